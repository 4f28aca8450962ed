//! Health, metrics, quotas in force, what is logged and the [`crate::overview`]. On the admin port, and (health only) on the
//! public one for balancers that can reach no other.
//!
//! Liveness says that the process answers; it does not depend on the cluster, or one lost quorum would restart every
//! router. Readiness says that requests are welcome: a shard map is there and the process is not draining.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};

use crate::metrics::Page;
use crate::overview;
use crate::rate_limit::in_force::Shown;
use crate::server::Door;

/// `/livez` and `/readyz`.
pub fn health() -> Router<Arc<Door>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

/// All of the admin port.
pub fn admin(door: Arc<Door>, page: Option<Page>) -> Router {
    let overview = overview::begin(door.clone(), page.clone());
    health()
        .route("/metrics", get(metrics))
        .route("/limits", get(limits))
        .route("/log", rotunda_telemetry::logs::door::route())
        .layer(Extension(page))
        .with_state(door)
        .merge(rotunda_overview::routes(overview))
}

/// The quotas in force.
async fn limits(State(door): State<Arc<Door>>) -> Json<Shown> {
    Json(door.limits.load().in_force().shown())
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(door): State<Arc<Door>>, uri: Uri) -> Response {
    let checks = [
        (
            !door.is_draining(),
            "serving",
            "requests are taken",
            "draining, this router is about to stop",
        ),
        (
            door.backend.map().version() > 0,
            "shard_map",
            "there is one",
            "none yet; is a node reachable?",
        ),
    ];
    let ready = checks.iter().all(|check| check.0);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut text = String::new();
    let verbose = uri
        .query()
        .is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    for (ok, name, good, bad) in checks {
        if verbose || !ok {
            let _ = writeln!(
                text,
                "[{}] {name}: {}",
                if ok { '+' } else { '-' },
                if ok { good } else { bad }
            );
        }
    }
    text.push_str(if ready { "ok\n" } else { "not ready\n" });
    (status, text).into_response()
}

async fn metrics(Extension(page): Extension<Option<Page>>) -> Response {
    match page {
        Some(page) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page.render()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "this process does not count\n").into_response(),
    }
}
