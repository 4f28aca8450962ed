//! A keep-alive connection to the router, as a browser's or a kiosk's: HTTP/1.1, a fresh key for each command.
//!
//! Written on the socket itself and not on hyper: the generator shares the machine with what it measures, and a client that
//! waits for each answer before it asks again needs one buffer to write from, one to read into, and a parser of heads.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};
use rotunda_booking::ids::BookingId;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Told;
use crate::bench::market::Stall;
use crate::bench::samples::{Ending, Failure};

/// Headers of one answer; the router sends a dozen.
const MAX_HEADERS: usize = 32;

/// No answer is longer: one that claims so is taken for damage.
const MAX_BODY_BYTES: usize = 16 << 20;

/// See the module.
pub struct Http {
    door: SocketAddr,
    /// The lines that are the same in each request's head.
    about: String,
    random: fastrand::Rng,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    inbox: BytesMut,
}

/// What of an answer anybody here looks at.
struct Answer {
    status: StatusCode,
    commit: Option<(u64, u64)>,
    booking: Option<BookingId>,
    left: Option<u32>,
    /// Of a 503: it was too much at once, and not that the cluster could not.
    shed: bool,
}

/// What the head of an answer says.
struct Head {
    answer: Answer,
    /// Bytes of the head.
    length: usize,
    /// Bytes of the body behind it.
    body: usize,
    /// The router closes the connection behind it.
    last: bool,
}

impl Http {
    /// A client that calls from an address of its own, in the eyes of a router that trusts this machine as a proxy.
    #[must_use]
    pub fn new(door: SocketAddr, client: usize, random: fastrand::Rng) -> Self {
        Http {
            door,
            about: about(door, client),
            random,
            stream: None,
            request: Vec::new(),
            inbox: BytesMut::new(),
        }
    }

    /// From now on it calls from another address.
    pub fn call_from(&mut self, client: usize) {
        self.about = about(self.door, client);
    }

    /// Reads a page to its end; `None` where no answer came.
    pub async fn get(&mut self, path: &str) -> Option<Ending> {
        self.send(Method::GET, path, &[]).await.map(|answer| answer.ending())
    }

    pub(super) async fn look(&mut self, stall: &Stall) -> Told {
        match self.send(Method::GET, &stall.look, &[]).await {
            Some(answer) => Told::only(answer.ending()),
            None => Told::only(Ending::Failed(Failure::NoAnswer)),
        }
    }

    pub(super) async fn hold(&mut self, stall: &Stall, more: u32) -> Told {
        let Some(body) = stall.bodies.get(more as usize) else {
            return Told::only(Ending::Failed(Failure::Internal));
        };
        let Some(answer) = self.send(Method::POST, "/v1/bookings", body).await else {
            return Told::only(Ending::Failed(Failure::NoAnswer));
        };
        let ending = answer.ending();
        Told {
            // Without its name a booking is of no use to whoever made it.
            ending: if ending == Ending::Done && answer.booking.is_none() {
                Ending::Failed(Failure::Internal)
            } else {
                ending
            },
            commit: answer.commit,
            booking: answer.booking,
            left: answer.left,
        }
    }

    pub(super) async fn change(&mut self, booking: BookingId, operation: &str) -> Told {
        let path = format!("/v1/bookings/{booking}/{operation}");
        match self.send(Method::POST, &path, &[]).await {
            Some(answer) => Told {
                commit: answer.commit,
                ..Told::only(answer.ending())
            },
            None => Told::only(Ending::Failed(Failure::NoAnswer)),
        }
    }

    /// Sends a request and reads the whole answer; `None` where none came. The next one has a new connection then.
    ///
    /// A server may close a connection on which nothing was asked for a while, just when a request is on its way. As any
    /// browser does, the request is sent once more then, on a new connection (RFC 9112, section 9.3.1), with its key.
    async fn send(&mut self, method: Method, path: &str, body: &[u8]) -> Option<Answer> {
        self.write_request(&method, path, body);
        if let Some(stream) = self.stream.take() {
            match self.ask(stream).await {
                None if self.inbox.is_empty() => {}
                answered => return answered,
            }
        }
        let stream = TcpStream::connect(self.door).await.ok()?;
        stream.set_nodelay(true).ok()?;
        self.inbox.clear();
        self.ask(stream).await
    }

    /// Sends what was written. Where no answer came, `inbox` has what came of it.
    async fn ask(&mut self, mut stream: TcpStream) -> Option<Answer> {
        stream.write_all(&self.request).await.ok()?;
        let head = loop {
            if stream.read_buf(&mut self.inbox).await.ok()? == 0 {
                return None;
            }
            if let Some(head) = head(&self.inbox)? {
                break head;
            }
        };
        while self.inbox.len() < head.length + head.body {
            if stream.read_buf(&mut self.inbox).await.ok()? == 0 {
                return None;
            }
        }
        let mut answer = head.answer;
        let body = &self.inbox[head.length..head.length + head.body];
        match answer.status {
            StatusCode::CONFLICT => answer.left = left(body),
            StatusCode::SERVICE_UNAVAILABLE => answer.shed = is_overload(body),
            _ => {}
        }
        self.inbox.advance(head.length + head.body);
        if !head.last {
            self.stream = Some(stream);
        }
        Some(answer)
    }

    /// All of a request in one piece, so that it leaves in one write.
    fn write_request(&mut self, method: &Method, path: &str, body: &[u8]) {
        let (high, low) = (self.random.u64(..), self.random.u64(..));
        let request = &mut self.request;
        request.clear();
        for part in [method.as_str(), " ", path, &self.about] {
            request.extend_from_slice(part.as_bytes());
        }
        if method == Method::POST {
            request.extend_from_slice(format!("idempotency-key: {high:016x}{low:016x}\r\n").as_bytes());
            if !body.is_empty() {
                request.extend_from_slice(b"content-type: application/json\r\n");
            }
            request.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
    }
}

/// What a request has between its path and what is its own.
fn about(door: SocketAddr, client: usize) -> String {
    let [.., a, b, c] = client.to_be_bytes();
    format!(" HTTP/1.1\r\nhost: {door}\r\nx-forwarded-for: 10.{a}.{b}.{c}\r\n")
}

/// The head at the begin of `bytes`, once all of it is there; nothing at all where it is none.
fn head(bytes: &[u8]) -> Option<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).ok()? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Some(None),
    };
    let mut head = Head {
        answer: Answer {
            status: StatusCode::from_u16(response.code?).ok()?,
            commit: None,
            booking: None,
            left: None,
            shed: false,
        },
        length,
        body: 0,
        last: false,
    };
    for header in response.headers {
        // Every name that matters has a length of its own.
        let value = || std::str::from_utf8(header.value).ok();
        match header.name.len() {
            8 if header.name.eq_ignore_ascii_case("location") => {
                head.answer.booking = value().and_then(|path| path.rsplit('/').next()?.parse().ok());
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                head.last = header.value.eq_ignore_ascii_case(b"close");
            }
            14 if header.name.eq_ignore_ascii_case("rotunda-commit") => head.answer.commit = value().and_then(commit),
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                head.body = value()?.parse().ok().filter(|length| *length <= MAX_BODY_BYTES)?;
            }
            // The router knows how long its answers are.
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => return None,
            _ => {}
        }
    }
    Some(Some(head))
}

impl Answer {
    fn ending(&self) -> Ending {
        match self.status.as_u16() {
            200..300 => Ending::Done,
            429 => Ending::Shed,
            503 if self.shed => Ending::Shed,
            503 => Ending::Failed(Failure::Unavailable),
            504 => Ending::Failed(Failure::Unknown),
            400..500 => Ending::Refused,
            _ => Ending::Failed(Failure::Internal),
        }
    }
}

fn commit(token: &str) -> Option<(u64, u64)> {
    let (shard, index) = token.split_once(':')?;
    Some((shard.parse().ok()?, index.parse().ok()?))
}

/// What a refusal says is left for the first line.
fn left(body: &[u8]) -> Option<u32> {
    let problem: Value = serde_json::from_slice(body).ok()?;
    if problem["code"] != "sold_out" {
        return None;
    }
    problem["errors"][0]["left"].as_u64()?.try_into().ok()
}

/// The problem of a 503 is that too much came at once.
fn is_overload(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|problem| problem["code"] == "overloaded")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nRotunda-Commit: 3:41\r\n\
        content-length: 2\r\nconnection: close\r\n\r\n{}";

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        for cut in 0..ANSWER.len() - 2 {
            assert!(head(&ANSWER[..cut]).expect("no damage").is_none(), "{cut}");
        }
        let head = head(ANSWER).expect("a head").expect("all of it");
        assert_eq!((head.length + head.body, head.last), (ANSWER.len(), true));
        assert_eq!(
            (head.answer.status, head.answer.commit),
            (StatusCode::CREATED, Some((3, 41)))
        );
    }

    /// The server closes every connection behind its first answer without a word, as one does that has waited too long.
    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let door = listener.local_addr().expect("an address");
        let answer = String::from_utf8_lossy(ANSWER).replace("connection: close\r\n", "");
        let server = tokio::spawn(async move {
            let mut keys = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.expect("a request");
                keys.push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(answer.as_bytes()).await.expect("an answer");
            }
            keys
        });
        let mut http = Http::new(door, 1, fastrand::Rng::with_seed(1));
        for _ in 0..2 {
            let answer = http.send(Method::POST, "/v1/bookings", b"{}").await;
            assert_eq!(answer.map(|answer| answer.ending()), Some(Ending::Done));
        }
        let asked = server.await.expect("the server");
        assert!(asked.iter().all(|request| request.contains("idempotency-key: ")));
        // Nobody is there any more: that one is.
        assert!(http.send(Method::POST, "/v1/bookings", b"{}").await.is_none());
    }

    #[test]
    fn what_went_wrong_is_told_apart() {
        let answer = |status, shed| Answer {
            status,
            commit: None,
            booking: None,
            left: None,
            shed,
        };
        let overload = is_overload(br#"{"code":"overloaded"}"#);
        let down = is_overload(br#"{"code":"unavailable"}"#);
        assert_eq!(answer(StatusCode::SERVICE_UNAVAILABLE, overload).ending(), Ending::Shed);
        assert_eq!(
            answer(StatusCode::SERVICE_UNAVAILABLE, down).ending(),
            Ending::Failed(Failure::Unavailable)
        );
        assert_eq!(
            answer(StatusCode::GATEWAY_TIMEOUT, false).ending(),
            Ending::Failed(Failure::Unknown)
        );
    }

    #[test]
    fn what_is_no_head_is_no_answer() {
        assert!(head(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").is_none());
        assert!(head(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_none());
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_none());
    }
}
