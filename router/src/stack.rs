//! What every request passes, outermost first: [`around`] has the layers, [`guard`] and [`pass`] the list of checks; each
//! is a function below or in the module that it names.
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
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, Method};
use tokio::time::Instant;

use crate::api::ADMIN_NETWORK;
use crate::api::error::{Code, Outcome, Problem};
use crate::auth;
use crate::metrics::ShedReason;
use crate::rate_limit;
use crate::request_body;
use crate::server::Door;
use crate::trace::Trace;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How much longer than its deadline a request may live. Whatever waits on the cluster stops at the deadline by itself
/// and knows more about what happened; this is for what forgot to.
const GRACE: Duration = Duration::from_millis(500);

/// Wraps the layers around the routes; `open` are the routes that must answer even when the door is overrun.
///
/// Two layers and no more: each costs a request two allocations and copies of all layers within it.
pub fn around(routes: Router<Arc<Door>>, open: Router<Arc<Door>>, door: Arc<Door>) -> Router {
    let guarded = routes.layer(from_fn_with_state(door.clone(), guard));
    guarded
        .merge(open)
        .layer(from_fn_with_state(door.clone(), observe))
        .with_state(door)
}

/// What stands before every route, in this order.
async fn guard(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Result<Response, Problem> {
    // Refuse at once what would only wait: before any work is spent on it.
    let _entered = enter(&door)?;
    // From here on the clock runs, for slow senders too.
    let until = deadline(&door, &mut request);
    let safe = request.method().is_safe();
    let passed = pass(&door, request, next);
    match tokio::time::timeout_at(until + GRACE, passed).await {
        Ok(answered) => answered,
        Err(_) if safe => Err(
            Problem::new(Code::Unavailable, "The cluster did not answer in time. Ask again.")
                .header(RETRY_AFTER, HeaderValue::from_static("1")),
        ),
        Err(_) => Err(Problem::new(Code::OutcomeUnknown, Code::OutcomeUnknown.remedy())
            .header(RETRY_AFTER, HeaderValue::from_static("1"))),
    }
}

/// The part of [`guard`] that has to be done in time.
async fn pass(door: &Door, mut request: Request, next: Next) -> Result<Response, Problem> {
    // Who is it? Needed to know whose quota to spend.
    auth::identify(door, &mut request);
    // Before the token is judged: guessing tokens costs the guesser's quota.
    let quota = rate_limit::spend(door, &request)?;
    // Before the body is read: a stranger's large body is none of our business.
    let admitted = auth::admit(&request);
    let answered = async {
        admitted?;
        // All of the body, up to its bound: no handler ever waits for a slow sender.
        let request = request_body::read(request).await?;
        Ok::<Response, Problem>(next.run(request).await)
    };
    // Whoever has a quota is told what is left of it with every answer.
    let mut response = answered.await.unwrap_or_else(IntoResponse::into_response);
    if let Some(quota) = quota {
        quota.show(&mut response);
    }
    Ok(response)
}

/// Until when a request may be worked on. In the request's extensions from `deadline` on.
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

/// Sees every answer, whoever made it: writes problems out, counts, names the request.
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
    let mut response = caught(next.run(request_body::lingering(request))).await;
    response.headers_mut().insert(REQUEST_ID, trace.request_id());
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

/// A panic is one request's 500, not a closed connection.
async fn caught(answering: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(answering).catch_unwind().await {
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

fn enter(door: &Arc<Door>) -> Result<Entered, Problem> {
    Entered::enter(door).ok_or_else(|| {
        door.metrics.shed(ShedReason::InFlight);
        Problem::new(
            Code::Overloaded,
            "This router works on as many requests as it may. Nothing was done; come back in a second.",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("1"))
    })
}

/// Until when the request may be worked on; those who wait on the cluster find it in its extensions.
fn deadline(door: &Door, request: &mut Request) -> Instant {
    let allowed = if is_import(request) {
        door.import_deadline
    } else {
        door.request_deadline
    };
    let until = Instant::now() + allowed;
    request.extensions_mut().insert(Deadline(until));
    until
}

/// The import has bounds of its own.
pub(crate) fn is_import(request: &Request) -> bool {
    request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| path.as_str() == ADMIN_NETWORK)
}
