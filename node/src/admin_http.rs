//! `/livez`, `/readyz` and `/metrics` on the admin port, for orchestrators and Prometheus, and `/log` for operators; for people
//! the [`crate::overview`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use rotunda_overview::HotSlots;
use serde::Deserialize;

use crate::meta::controller::Meta;
use crate::metrics::Page;
use crate::overview;
use crate::shards::Shards;

/// What the pages look at.
#[derive(Clone)]
pub struct AdminState {
    /// The scrape.
    pub page: Page,
    /// The meta group.
    pub meta: Arc<Meta>,
    /// The shards here.
    pub shards: Shards,
    /// Set once the node is on its way out.
    pub stopping: Arc<AtomicBool>,
    /// Slots that callers want most.
    pub hot_slots: Arc<HotSlots>,
    /// This node.
    pub node: u32,
}

/// The admin port's routes.
pub fn routes(state: AdminState) -> Router {
    let overview = overview::begin(state.clone());
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log", rotunda_telemetry::logs::door::route())
        .with_state(state)
        .merge(rotunda_overview::routes(overview))
}

/// What a node answers that waits to be let in: it lives, is not ready, and has what its process counts.
pub fn waiting(page: PrometheusHandle) -> Router {
    let not_ready = (
        StatusCode::SERVICE_UNAVAILABLE,
        "not ready: the data directory is empty, and the log says what this node waits for\n",
    );
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { not_ready }))
        .route("/metrics", get(move || async move { page.render() }))
}

#[derive(Deserialize)]
struct Detail {
    verbose: Option<String>,
}

/// Ready: every replica that the map puts here runs and knows a leader. Liveness does not depend on a quorum.
async fn readyz(State(state): State<AdminState>, Query(detail): Query<Detail>) -> Response {
    let checks = checks(&state);
    let ready = checks.iter().all(|(_, fine)| *fine);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = String::new();
    if detail.verbose.is_some() {
        for (name, fine) in &checks {
            body.push_str(&format!("[{}] {name}\n", if *fine { '+' } else { '-' }));
        }
    }
    body.push_str(if ready {
        "ok\n"
    } else {
        "not ready; add ?verbose for the reasons\n"
    });
    (status, body).into_response()
}

fn checks(state: &AdminState) -> Vec<(String, bool)> {
    let map = state.meta.watch().borrow().clone();
    let mut checks = vec![
        ("not stopping".to_owned(), !state.stopping.load(Ordering::Acquire)),
        (
            "the meta group has a leader".to_owned(),
            state.meta.group.leadership.leader_replica().is_some(),
        ),
        ("the cluster is founded".to_owned(), !map.shards.is_empty()),
    ];
    for (id, record) in &map.shards {
        if record.replicas.iter().any(|(_, node)| *node == state.node) {
            let led = state
                .shards
                .get(*id)
                .is_some_and(|shard| shard.group.leadership.leader_replica().is_some());
            checks.push((format!("shard {id} runs and has a leader"), led));
        }
    }
    checks
}

async fn metrics(State(state): State<AdminState>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.page.render(),
    )
        .into_response()
}
