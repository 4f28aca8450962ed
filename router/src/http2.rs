//! HTTP/2 without TLS, for clients and proxies that begin with its preface ("prior knowledge"): many requests side by side
//! on one connection. What one connection may cost is bounded: streams at once, a head's size, what waits to be sent, and
//! streams that a client opens and resets at once (CVE-2023-44487), which cost us work and it nothing.
//!
//! Quotas, deadlines and the bound on requests in flight are the stack's, the same as over HTTP/1.1; a write that nobody
//! takes ends the connection as there.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Requests that one connection may have open at once. More wait at the client.
pub const MAX_STREAMS: u32 = 128;

/// Bytes of a request's head, as HTTP/2 counts them.
const MAX_HEAD_BYTES: u32 = 32 * 1024;

/// Bytes of one answer that wait for the client to take them.
const MAX_SEND_BYTES: usize = 64 * 1024;

/// Bytes that a client may send ahead of what is read: on a stream, and on the connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Streams that the client reset before they were answered and that still cost us something. One more ends the connection.
const MAX_RESET_STREAMS: usize = 64;

/// A connection that has not begun a request for so long is asked to end; what is open on it goes on.
const IDLE: Duration = Duration::from_secs(60);

/// How often the other side is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// What an HTTP/2 connection begins with, as far as no HTTP/1.1 request does.
const PREFACE: &[u8] = b"PRI";

/// Whether the client speaks HTTP/2: looks at its first bytes and takes none of them. `None` where none comes within
/// `patience`, or never.
pub(crate) async fn is_begun(stream: &TcpStream, patience: Duration) -> Option<bool> {
    let mut first = [0; PREFACE.len()];
    let length = tokio::time::timeout(patience, stream.peek(&mut first))
        .await
        .ok()?
        .ok()?;
    (length > 0).then(|| first.get(..length) == Some(PREFACE))
}

/// Serves a connection until it ends by itself, or `stop` and then what is open on it.
pub(crate) async fn serve<S, A, F>(stream: S, stop: &CancellationToken, answer: A) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response> + Send + 'static,
{
    let begun = Arc::new(AtomicU64::new(0));
    let counted = begun.clone();
    let service = service_fn(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_send_buf_size(MAX_SEND_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let (mut seen, mut closing) = (0, false);
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            () = stop.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(IDLE), if !closing => {
                let now = begun.load(Ordering::Relaxed);
                closing = now == seen;
                seen = now;
                if closing {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
