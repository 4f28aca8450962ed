//! One port of the router: takes connections up to a bound, finds out what each speaks, serves it, and stops so that what is
//! under way finishes. The plain door, the door under TLS and the admin port are three of these.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rotunda_metrics::tls as names;
use rotunda_protocol::alarm::Alarms;
use rotunda_tls::door::{DoorTrust, Spoken};
use rotunda_tls::mutual::HandshakeError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::api::App;
use crate::header_timer::HeaderTimer;
use crate::http2;
use crate::metrics::ShedReason;
use crate::places::Places;
use crate::server::Door;
use crate::stack::Origin;
use crate::write_deadline::WriteDeadline;

/// Bytes of a request's head, and of the connection's read buffer. A longer head is answered with 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Headers of one request. More are answered with 431.
const MAX_HEADERS: usize = 100;

/// Timers that a connection keeps: one of a head that is awaited, one of a request that is worked on.
const ALARMS: usize = 2;

/// How long to wait before accepting again when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What answers the requests of a port.
pub(crate) trait Answer: Clone + Send + 'static {
    fn answer(self, origin: Origin, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static;
}

impl Answer for App {
    fn answer(self, origin: Origin, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        App::answer(self, origin, request)
    }
}

impl Answer for Router {
    async fn answer(self, _: Origin, request: Request<Incoming>) -> Response {
        let Ok(response) = self.oneshot(request).await;
        response
    }
}

/// One port.
pub(crate) struct Accept<A> {
    pub(crate) listener: TcpListener,
    pub(crate) app: A,
    pub(crate) door: Arc<Door>,
    /// Its certificate; a port without one is plain.
    pub(crate) trust: Option<Arc<DoorTrust>>,
    pub(crate) header_timeout: Duration,
    pub(crate) places: Arc<Places>,
    pub(crate) drain_timeout: Duration,
}

impl<A: Answer> Accept<A> {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let mut builder = http1::Builder::new();
        builder
            .header_read_timeout(self.header_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            // No `pipeline_flush`: with it hyper drops its answer (400, 431) to a head that it cannot read.
            .max_headers(MAX_HEADERS);
        if self.trust.is_some() {
            metrics::counter!(names::HANDSHAKES_FAILED.name, "side" => "called").increment(0);
        }
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // No descriptor left, or the client is gone again: either way the listener itself is fine.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = self.places.take(peer.ip()) else {
                self.door.metrics.shed(ShedReason::Connections);
                if self.trust.is_none() {
                    turn_away(&stream);
                }
                continue;
            };
            let _ = stream.set_nodelay(true);
            let alarms = Alarms::keeping(ALARMS);
            let mut builder = builder.clone();
            builder.timer(HeaderTimer::new(alarms.clone()));
            let connection = Connection {
                app: self.app.clone(),
                builder,
                origin: Origin {
                    peer: peer.ip(),
                    alarms,
                },
                patience: self.header_timeout,
                watcher: graceful.watcher(),
                stop: stop.clone(),
                door: self.door.clone(),
            };
            let trust = self.trust.clone();
            tokio::spawn(async move {
                let ended = match trust {
                    None => connection.plain(stream).await,
                    Some(trust) => connection.secured(stream, &trust).await,
                };
                // What ends a connection (a head that came too slowly, a reset) is the client's affair.
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                drop(place);
            });
        }
        drop(self.listener);
        if tokio::time::timeout(self.drain_timeout, graceful.shutdown())
            .await
            .is_err()
            && !self.drain_timeout.is_zero()
        {
            tracing::warn!(
                in_flight = self.door.in_flight.now(),
                "drain timeout: what is left is cut off"
            );
        }
    }
}

/// One connection, from its first byte.
struct Connection<A> {
    app: A,
    builder: http1::Builder,
    origin: Origin,
    patience: Duration,
    watcher: Watcher,
    stop: CancellationToken,
    door: Arc<Door>,
}

impl<A: Answer> Connection<A> {
    /// Looks at the first bytes for what is spoken. Whoever says nothing, or has gone, has no place here.
    async fn plain(self, stream: TcpStream) -> Result<(), hyper::Error> {
        let many = tokio::select! {
            many = http2::is_begun(&stream, self.patience) => many,
            () = self.stop.cancelled() => return Ok(()),
        };
        match many {
            Some(true) => self.many(stream).await,
            Some(false) => self.one_by_one(stream).await,
            None => Ok(()),
        }
    }

    /// Shows the certificate, and agrees on what is spoken.
    async fn secured(self, stream: TcpStream, trust: &DoorTrust) -> Result<(), hyper::Error> {
        let current = trust.current();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.patience, current.accept(stream)) => accepted,
            () = self.stop.cancelled() => return Ok(()),
        };
        match accepted {
            Ok(Ok((stream, Spoken::Http2))) => self.many(stream).await,
            Ok(Ok((stream, Spoken::Http1))) => self.one_by_one(stream).await,
            Ok(Err(error)) => {
                if matches!(error, HandshakeError::Refused(_)) {
                    metrics::counter!(names::HANDSHAKES_FAILED.name, "side" => "called").increment(1);
                }
                tracing::debug!(peer = %self.origin.peer, %error, "no TLS came about");
                Ok(())
            }
            Err(_silent) => Ok(()),
        }
    }

    /// HTTP/2.
    async fn many<S>(self, stream: S) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (app, peer) = (self.app, self.origin.peer);
        // Side by side they cannot share what is kept for one request after the other.
        let answer = move |request| {
            let origin = Origin {
                peer,
                alarms: Alarms::keeping(0),
            };
            app.clone().answer(origin, request)
        };
        // One that begins while the router drains is served like any other, until the port closes.
        let leave = if self.door.is_draining() {
            &self.stop
        } else {
            self.door.leaving()
        };
        let ended = http2::serve(WriteDeadline::new(stream, self.patience), leave, answer).await;
        drop(self.watcher);
        ended
    }

    /// HTTP/1.1.
    async fn one_by_one<S>(self, stream: S) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (app, origin, door) = (self.app, self.origin, self.door);
        let service = service_fn(move |request| {
            let answer = app.clone().answer(origin.clone(), request);
            let door = door.clone();
            async move {
                let mut response = answer.await;
                // A connection that a balancer or a browser keeps would be closed under its next request.
                if door.is_draining() {
                    let headers = response.headers_mut();
                    headers.insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(WriteDeadline::new(stream, self.patience));
        self.watcher.watch(self.builder.serve_connection(stream, service)).await
    }
}

/// Tells a connection above the limit why it is closed, without waiting for it.
fn turn_away(stream: &TcpStream) {
    const BODY: &str = "{\"type\":\"/problems/overloaded\",\"title\":\"Too much is going on\",\"status\":503,\"detail\":\"No more \
connections here. Nothing was done; come back in a second.\",\"code\":\"overloaded\",\"errors\":[],\"retryable\":true}";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let _ = stream.try_write(answer.as_bytes());
}
