//! The layers that every request passes, outermost first. [`around`] is the list; each layer is a function below or in
//! the module that it names.
//!
//! Left out on purpose: a concurrency limit that queues (tower's), for a queue in front of a sale only makes everybody
//! wait longer; here the request above the limit is refused at once and the client's own back-off does the waiting.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::{HeaderValue, Method};
use tokio::time::Instant;
use tower::ServiceBuilder;

use crate::api::ADMIN_NETWORK;
use crate::api::error::{Code, Outcome, Problem};
use crate::auth;
use crate::metrics::ShedReason;
use crate::rate_limit;
use crate::request_body;
use crate::server::Door;
use crate::trace::Trace;

/// How much longer than its deadline a request may live. Whatever waits on the cluster stops at the deadline by itself
/// and knows more about what happened; this is for what forgot to.
const GRACE: Duration = Duration::from_millis(500);

/// Wraps the layers around the routes; `open` are the routes that must answer even when the door is overrun.
pub fn around(routes: Router<Arc<Door>>, open: Router<Arc<Door>>, door: Arc<Door>) -> Router {
    let with = door.clone();
    let guarded = ServiceBuilder::new()
        // Refuse at once what would only wait: before any work is spent on it.
        .layer(from_fn_with_state(with.clone(), shed))
        // From here on the clock runs, for slow senders too.
        .layer(from_fn_with_state(with.clone(), deadline))
        // Who is it? Needed to know whose quota to spend.
        .layer(from_fn_with_state(with.clone(), auth::identify))
        // Before the token is judged: guessing tokens costs the guesser's quota.
        .layer(from_fn_with_state(with.clone(), rate_limit::spend))
        // Before the body is read: a stranger's large body is none of our business.
        .layer(from_fn(auth::admit))
        // All of the body, up to its bound: no handler ever waits for a slow sender.
        .layer(from_fn(request_body::read));
    let all = ServiceBuilder::new()
        // Sees every answer, whoever made it: writes problems out, counts, names the request.
        .layer(from_fn_with_state(with, observe))
        // A panic is one request's 500, not a closed connection.
        .layer(from_fn(catch_panic));
    routes.layer(guarded).merge(open).layer(all).with_state(door)
}

/// Until when a request may be worked on. In the request's extensions from [`deadline`] on.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

/// Requests being worked on, and how many may be.
#[derive(Debug)]
pub struct InFlight {
    now: AtomicUsize,
    limit: usize,
}

impl InFlight {
    /// At most `limit` at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            now: AtomicUsize::new(0),
            limit,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }
}

/// One request in flight; leaves when dropped, also when the client goes away in the middle.
struct Entered(Arc<Door>);

impl Entered {
    fn enter(door: &Arc<Door>) -> Option<Self> {
        let before = door.in_flight.now.fetch_add(1, Ordering::Relaxed);
        if before >= door.in_flight.limit {
            door.in_flight.now.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        door.metrics.in_flight.set((before + 1) as f64);
        Some(Self(door.clone()))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.in_flight.now.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight.set((before - 1) as f64);
    }
}

/// Counts a request when it is over, however it ends.
struct Observation {
    door: Arc<Door>,
    route: Option<MatchedPath>,
    method: Method,
    started: Instant,
    // A client that goes away drops its request: nobody hears the answer, and the fault is not ours.
    outcome: Outcome,
}

impl Drop for Observation {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        self.door
            .metrics
            .answered(route, &self.method, self.outcome, self.started.elapsed());
    }
}

async fn observe(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let trace = Trace::of(request.headers(), &*door.draw);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut observation = Observation {
        door,
        route,
        method: request.method().clone(),
        started: Instant::now(),
        outcome: Outcome::ClientError,
    };
    let uri = request.uri().clone();
    request.extensions_mut().insert(trace.clone());
    let mut response = next.run(request_body::lingering(request)).await;
    response.headers_mut().insert("x-request-id", trace.request_id());
    observation.outcome = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => {
            let code = problem.code();
            if code.outcome() == Outcome::Error && observation.door.complaints.check().is_ok() {
                tracing::warn!(
                    trace_id = trace.id(), method = %observation.method, path = uri.path(), code = code.as_str(),
                    "answered with an error: {}", problem.detail()
                );
            }
            *response.body_mut() = Body::from(problem.body(uri.path(), &trace.id()));
            code.outcome()
        }
        None if response.status().is_server_error() => Outcome::Error,
        None if response.status().is_client_error() => Outcome::ClientError,
        None => Outcome::Ok,
    };
    tracing::debug!(
        trace_id = trace.id(), method = %observation.method, path = uri.path(), status = response.status().as_u16(),
        took = ?observation.started.elapsed(), "answered"
    );
    response
}

async fn catch_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("a panic without words");
            tracing::error!(panic = text, "a request panicked");
            Problem::new(
                Code::Internal,
                "The router made a mistake; it is in its log under this trace id.",
            )
            .into_response()
        }
    }
}

async fn shed(State(door): State<Arc<Door>>, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(_entered) = Entered::enter(&door) else {
        door.metrics.shed(ShedReason::InFlight);
        return Err(Problem::new(
            Code::Overloaded,
            "This router works on as many requests as it may. Nothing was done; come back in a second.",
        )
        .header("retry-after", HeaderValue::from_static("1")));
    };
    Ok(next.run(request).await)
}

async fn deadline(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let allowed = if is_import(&request) {
        door.import_deadline
    } else {
        door.request_deadline
    };
    let until = Instant::now() + allowed;
    request.extensions_mut().insert(Deadline(until));
    let safe = request.method().is_safe();
    match tokio::time::timeout_at(until + GRACE, next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) if safe => Err(
            Problem::new(Code::Unavailable, "The cluster did not answer in time. Ask again.")
                .header("retry-after", HeaderValue::from_static("1")),
        ),
        Err(_) => Err(Problem::new(Code::OutcomeUnknown, Code::OutcomeUnknown.remedy())
            .header("retry-after", HeaderValue::from_static("1"))),
    }
}

/// The import has bounds of its own.
pub(crate) fn is_import(request: &Request) -> bool {
    request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| path.as_str() == ADMIN_NETWORK)
}
