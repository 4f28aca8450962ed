//! A keep-alive connection to the router, as a browser's or a kiosk's: HTTP/1.1, a fresh key for each command.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rotunda_booking::ids::BookingId;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::Told;
use crate::bench::market::Stall;
use crate::bench::samples::Ending;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
const COMMIT: &str = "rotunda-commit";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// See the module.
pub struct Http {
    door: SocketAddr,
    host: HeaderValue,
    address: HeaderValue,
    random: fastrand::Rng,
    line: Option<Line>,
}

struct Line {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Http {
    /// A client that calls from an address of its own, in the eyes of a router that trusts this machine as a proxy.
    #[must_use]
    pub fn new(door: SocketAddr, client: usize, random: fastrand::Rng) -> Self {
        let [.., a, b, c] = client.to_be_bytes();
        Http {
            door,
            host: text(&door.to_string()),
            address: text(&format!("10.{a}.{b}.{c}")),
            random,
            line: None,
        }
    }

    pub(super) async fn look(&mut self, stall: &Stall) -> Told {
        match self.send(Method::GET, &stall.look, Bytes::new()).await {
            Some((head, _)) => Told::only(ending(head.status())),
            None => Told::only(Ending::Failed),
        }
    }

    pub(super) async fn hold(&mut self, stall: &Stall, more: u32) -> Told {
        let Some(body) = stall.bodies.get(more as usize).cloned() else {
            return Told::only(Ending::Failed);
        };
        let Some((head, body)) = self.send(Method::POST, "/v1/bookings", body).await else {
            return Told::only(Ending::Failed);
        };
        let ending = ending(head.status());
        let location = head.headers().get(LOCATION).and_then(|path| path.to_str().ok());
        let booking = location.and_then(|path| path.rsplit('/').next()?.parse().ok());
        Told {
            // Without its name a booking is of no use to whoever made it.
            ending: if ending == Ending::Done && booking.is_none() {
                Ending::Failed
            } else {
                ending
            },
            commit: commit(&head),
            booking,
            left: (head.status() == StatusCode::CONFLICT).then(|| left(&body)).flatten(),
        }
    }

    pub(super) async fn change(&mut self, booking: BookingId, operation: &str) -> Told {
        let path = format!("/v1/bookings/{booking}/{operation}");
        match self.send(Method::POST, &path, Bytes::new()).await {
            Some((head, _)) => Told {
                commit: commit(&head),
                ..Told::only(ending(head.status()))
            },
            None => Told::only(Ending::Failed),
        }
    }

    /// Sends a request and reads the whole answer; `None` where none came. The next one has a new connection then.
    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Option<(Response<()>, Bytes)> {
        let answer = self.attempt(method, path, body).await;
        if answer.is_none() {
            self.line = None;
        }
        answer
    }

    async fn attempt(&mut self, method: Method, path: &str, body: Bytes) -> Option<(Response<()>, Bytes)> {
        let mut request = Request::builder()
            .uri(path)
            .header(HOST, self.host.clone())
            .header(FORWARDED, self.address.clone());
        if method == Method::POST {
            let key = format!("{:016x}{:016x}", self.random.u64(..), self.random.u64(..));
            request = request.header(KEY, text(&key));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, JSON);
        }
        let request = request.method(method).body(Full::new(body)).ok()?;
        if self.line.as_ref().is_none_or(|line| line.sender.is_closed()) {
            self.line = Some(self.connect().await?);
        }
        let line = self.line.as_mut()?;
        line.sender.ready().await.ok()?;
        let response: Response<Incoming> = line.sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some((Response::from_parts(head, ()), body))
    }

    async fn connect(&self) -> Option<Line> {
        let socket = TcpStream::connect(self.door).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
        let driver = tokio::spawn(async move {
            // What broke is seen by whoever sends.
            let _ = connection.await;
        });
        Some(Line {
            sender,
            _driver: AbortOnDropHandle::new(driver),
        })
    }
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
}

fn ending(status: StatusCode) -> Ending {
    match status.as_u16() {
        200..300 => Ending::Done,
        429 | 503 => Ending::Shed,
        400..500 => Ending::Refused,
        _ => Ending::Failed,
    }
}

fn commit(head: &Response<()>) -> Option<(u64, u64)> {
    let (shard, index) = head.headers().get(COMMIT)?.to_str().ok()?.split_once(':')?;
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
