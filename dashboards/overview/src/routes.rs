//! The page, its files, the state and the events, over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Has;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures::stream::unfold;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use xxhash_rust::xxh3::xxh3_64;

use crate::assets::{ASSETS, Asset};
use crate::overview::{MOST_STREAMS, Overview, Told};
use crate::state::{EVENTS_PATH, STATE_PATH};

/// All of it is at the page's own port, and no other page may put it into a frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// After so many milliseconds a browser whose stream broke tries again.
const RETRY: &str = "retry: 1000\n";

/// What an admin port serves of it.
pub fn routes(overview: Arc<Overview>) -> Router {
    let mut router = Router::new();
    for asset in ASSETS {
        let etag = etag(asset);
        router = router.route(
            asset.path,
            get(move |headers: HeaderMap| {
                let answer = file(asset, &etag, &headers);
                async move { answer }
            }),
        );
    }
    router
        .route(STATE_PATH, get(state))
        .route(EVENTS_PATH, get(events))
        .with_state(overview)
}

fn etag(asset: &Asset) -> String {
    format!("\"{:016x}\"", xxh3_64(asset.body))
}

fn answer(status: StatusCode, media: &'static str, cached: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, media),
        (CACHE_CONTROL, cached),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A file; browsers keep it and ask whether it is still the same, so a page never goes with scripts of another version.
fn file(asset: &Asset, etag: &str, headers: &HeaderMap) -> Response {
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let is_known = known
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().trim_start_matches("W/") == etag);
    let (status, body) = match is_known {
        true => (StatusCode::NOT_MODIFIED, Body::empty()),
        false => (StatusCode::OK, Body::from(asset.body)),
    };
    let mut response = answer(status, asset.media, "no-cache", body);
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

async fn state(Has(overview): Has<Arc<Overview>>) -> Response {
    match serde_json::to_vec(&overview.state().await) {
        Ok(json) => answer(StatusCode::OK, "application/json", "no-store", Body::from(json)),
        Err(error) => {
            tracing::error!(%error, "the overview cannot be written as JSON");
            let body = Body::from("the state cannot be written as JSON; the log says why\n");
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                "no-store",
                body,
            )
        }
    }
}

/// One who is told each second.
struct Reader {
    overview: Arc<Overview>,
    ticks: broadcast::Receiver<Told>,
    _place: OwnedSemaphorePermit,
    /// Time of the last second that it was told; none where it has to be told everything.
    told: Option<u64>,
}

async fn events(Has(overview): Has<Arc<Overview>>) -> Response {
    let Some((place, ticks)) = overview.stream() else {
        let text =
            format!("{MOST_STREAMS} are looking already, and no more may; close one of those pages and come back\n");
        let mut response = answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            "no-store",
            Body::from(text),
        );
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return response;
    };
    let reader = Reader {
        overview,
        ticks,
        _place: place,
        told: None,
    };
    let events = unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), reader))
    });
    answer(
        StatusCode::OK,
        "text/event-stream",
        "no-store",
        Body::from_stream(events),
    )
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        while let Some(told) = self.told {
            match self.ticks.recv().await {
                // Of before the state that was told.
                Ok((time, _)) if time <= told => {}
                Ok((time, tick)) => {
                    self.told = Some(time);
                    return Some(event("event: tick\n", &tick));
                }
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return None,
            }
        }
        let state = self.overview.state().await;
        self.told = Some(state.times.last().copied().unwrap_or(0));
        Some(event(
            &format!("{RETRY}event: state\n"),
            &serde_json::to_vec(&state).ok()?,
        ))
    }
}

/// JSON has no line breaks, so it is one line of data.
fn event(head: &str, json: &[u8]) -> Bytes {
    [head.as_bytes(), b"data: ", json, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests;
