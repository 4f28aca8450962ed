//! Bodies of requests: read whole and up to a bound before the handler runs, and read on for a while where nobody wants
//! them any more.
//!
//! The second part is for clients that send all of their body before they look for an answer. Were the connection closed
//! on them in the middle, the operating system would throw the answer away with the rest, and they would see a reset
//! connection instead of the reason (413, 401, 429, ...). So what is left of a body is read and forgotten, within
//! bounds, while the answer is on its way.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use rotunda_protocol::alarm::Alarm;
use tokio::time::Instant;

use crate::api::error::{Code, Problem};

/// What is read and forgotten of a body that nobody wants.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// How long that may take.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Unwanted bodies that are read at once, in this process. A further one is cut off.
const MAX_LINGERING: usize = 64;

static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// A body as it comes from a client: hyper's, or axum's in tests.
pub(crate) trait Incoming: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> Incoming for B {}

/// All of a body, of at most `limit` bytes and until then, or why the request is refused.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: impl Incoming,
    limit: usize,
    until: Instant,
    alarm: &mut Alarm,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // What is packed may be any size unpacked: nothing here unpacks, and the rules see only what they can bound.
    let is_packed = |value: &HeaderValue| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(is_packed) {
        return Err(Problem::new(
            Code::UnsupportedEncoding,
            "A body here comes as it is: leave Content-Encoding out.",
        )
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let close = HeaderValue::from_static("close");
    let too_large = || {
        Problem::new(
            Code::BodyTooLarge,
            format!("A body here has at most {} KiB.", limit / 1024),
        )
        .header(CONNECTION, close.clone())
    };
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match alarm.before(until, collect(&mut body, limit)).await {
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(Collect::TooLarge)) => Err(too_large()),
        Some(Err(Collect::Broken)) => Err(Problem::new(Code::RequestTimeout, "The body broke off.")),
        None => Err(Problem::new(Code::RequestTimeout, "The body did not arrive in time.").header(CONNECTION, close)),
    }
}

enum Collect {
    TooLarge,
    Broken,
}

async fn collect(body: &mut impl Incoming, limit: usize) -> Result<Bytes, Collect> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    // What a declared length has brought to its end is not asked for more.
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        let Ok(data) = frame.map_err(|_| Collect::Broken)?.into_data() else {
            continue;
        };
        if first.len() + more.len() + data.len() > limit {
            return Err(Collect::TooLarge);
        }
        // Nearly every body is one frame, and that one needs no copy.
        if first.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&data);
        }
    }
    if more.is_empty() {
        return Ok(first);
    }
    let mut all = BytesMut::with_capacity(first.len() + more.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&more);
    Ok(all.freeze())
}

/// The request with a body that is read on for a while when it is dropped unread.
pub(crate) fn lingering<B: Incoming>(request: Request<B>) -> Request<Lingering<B>> {
    // Nothing comes, or nothing until we say so (and reading on would say so).
    let lingers = !request.body().is_end_stream() && !request.headers().contains_key(EXPECT);
    request.map(|body| Lingering {
        body: Some(body),
        lingers,
    })
}

/// See [`lingering`].
pub(crate) struct Lingering<B: Incoming> {
    body: Option<B>,
    lingers: bool,
}

impl<B: Incoming> Body for Lingering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Incoming> Drop for Lingering<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| self.lingers && !body.is_end_stream()) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if LINGERING.fetch_add(1, Ordering::Relaxed) >= MAX_LINGERING {
            LINGERING.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        runtime.spawn(async move {
            let _ = tokio::time::timeout(LINGER_TIME, forget(body)).await;
            LINGERING.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn forget(mut body: impl Incoming) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}
