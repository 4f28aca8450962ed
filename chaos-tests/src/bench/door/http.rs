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
use crate::bench::samples::Ending;

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
        let [.., a, b, c] = client.to_be_bytes();
        Http {
            door,
            about: format!(" HTTP/1.1\r\nhost: {door}\r\nx-forwarded-for: 10.{a}.{b}.{c}\r\n"),
            random,
            stream: None,
            request: Vec::new(),
            inbox: BytesMut::new(),
        }
    }

    pub(super) async fn look(&mut self, stall: &Stall) -> Told {
        match self.send(Method::GET, &stall.look, &[]).await {
            Some(answer) => Told::only(ending(answer.status)),
            None => Told::only(Ending::Failed),
        }
    }

    pub(super) async fn hold(&mut self, stall: &Stall, more: u32) -> Told {
        let Some(body) = stall.bodies.get(more as usize) else {
            return Told::only(Ending::Failed);
        };
        let Some(answer) = self.send(Method::POST, "/v1/bookings", body).await else {
            return Told::only(Ending::Failed);
        };
        let ending = ending(answer.status);
        Told {
            // Without its name a booking is of no use to whoever made it.
            ending: if ending == Ending::Done && answer.booking.is_none() {
                Ending::Failed
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
                ..Told::only(ending(answer.status))
            },
            None => Told::only(Ending::Failed),
        }
    }

    /// Sends a request and reads the whole answer; `None` where none came. The next one has a new connection then.
    async fn send(&mut self, method: Method, path: &str, body: &[u8]) -> Option<Answer> {
        self.write_request(&method, path, body);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.door).await.ok()?;
                stream.set_nodelay(true).ok()?;
                self.inbox.clear();
                stream
            }
        };
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
        if answer.status == StatusCode::CONFLICT {
            answer.left = left(&self.inbox[head.length..head.length + head.body]);
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

fn ending(status: StatusCode) -> Ending {
    match status.as_u16() {
        200..300 => Ending::Done,
        429 | 503 => Ending::Shed,
        400..500 => Ending::Refused,
        _ => Ending::Failed,
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

    #[test]
    fn what_is_no_head_is_no_answer() {
        assert!(head(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").is_none());
        assert!(head(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_none());
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_none());
    }
}
