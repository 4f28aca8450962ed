//! What every request passes, outermost first: [`observed`], then [`guarded`] with the list of checks; each is a function
//! below or in the module that it names. [`around`] puts them around axum's routes; the one route that a sale is made of
//! passes them without axum (see [`crate::api::App`]).
//!
//! Left out on purpose: a concurrency limit that queues (tower's), for a queue in front of a sale only makes everybody
//! wait longer; here the request above the limit is refused at once and the client's own back-off does the waiting.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Method};
use rotunda_protocol::alarm::Alarms;
use tokio::time::Instant;

use crate::access::{Rule, Rules};
use crate::api::error::{Code, Outcome, Problem};
use crate::api::{ADMIN_NETWORK, BOOKINGS, MAX_BODY_BYTES, MAX_NETWORK_BYTES};
use crate::auth::{self, Caller};
use crate::metrics::ShedReason;
use crate::rate_limit;
use crate::request_body::{self, Incoming, Lingering};
use crate::server::Door;
use crate::trace::{REQUEST_ID, Trace};
use rotunda_telemetry::current;
use rotunda_telemetry::traces::Span;

/// How much longer than its deadline a request may live. Whatever waits on the cluster stops at the deadline by itself
/// and knows more about what happened; this is for what forgot to.
const GRACE: Duration = Duration::from_millis(500);

/// Wraps the layers around the routes; `open` are the routes that must answer even when the door is overrun.
///
/// Two layers and no more: each costs a request two allocations and copies of all layers within it.
pub fn around(routes: Router<Arc<Door>>, rules: Arc<Rules>, open: Router<Arc<Door>>, door: Arc<Door>) -> Router {
    let guarded = routes.layer(from_fn_with_state((door.clone(), rules), guard));
    guarded
        .merge(open)
        .layer(from_fn_with_state(door.clone(), observe))
        .with_state(door)
}

/// The template of the route that a request is for.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// `POST /v1/bookings`.
    Hold,
    /// As axum found it.
    Matched(MatchedPath),
    /// None fits.
    Unmatched,
}

impl Route {
    fn of(request: &Request) -> Self {
        match request.extensions().get::<MatchedPath>() {
            Some(path) => Self::Matched(path.clone()),
            None => Self::Unmatched,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Hold => BOOKINGS,
            Self::Matched(path) => path.as_str(),
            Self::Unmatched => "unmatched",
        }
    }
}

/// Who may go on, and until when. In the request's extensions where axum hands it on.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub(crate) caller: Caller,
    /// The route's row of the matrix; none where no route fits.
    pub(crate) rule: Option<Rule>,
    /// Those who wait on the cluster wait until then.
    pub(crate) deadline: Instant,
}

/// Where a request comes from. In the request's extensions where axum hands it on.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: IpAddr,
    pub(crate) alarms: Alarms,
}

async fn observe(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let route = Route::of(&request);
    observed(&door, route, request, |request| next.run(request.map(Body::new))).await
}

async fn guard(
    State((door, rules)): State<(Arc<Door>, Arc<Rules>)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let route = Route::of(&request);
    let rule = rules.of(request.method(), route.as_str());
    let Some(origin) = request.extensions_mut().remove::<Origin>() else {
        return Err(Problem::new(Code::Internal, "The request came past the door."));
    };
    guarded(&door, &route, rule, &origin, request, |admitted, mut parts, bytes| {
        parts.extensions.insert(admitted);
        next.run(Request::from_parts(parts, Body::from(bytes)))
    })
    .await
}

/// What stands before every route, in this order.
pub(crate) async fn guarded<F: Future<Output = Response>>(
    door: &Arc<Door>,
    route: &Route,
    rule: Option<Rule>,
    origin: &Origin,
    request: http::Request<impl Incoming>,
    answer: impl FnOnce(Admitted, Parts, Bytes) -> F,
) -> Result<Response, Problem> {
    // Refuse at once what would only wait: before any work is spent on it.
    let _entered = enter(door)?;
    // From here on the clock runs, for slow senders too.
    let is_import = route.as_str() == ADMIN_NETWORK;
    let allowed = if is_import {
        door.import_deadline
    } else {
        door.request_deadline
    };
    let deadline = Instant::now() + allowed;
    // Who is it? Needed to know whose quota to spend.
    let caller = auth::identify(door, origin.peer, request.headers());
    // Before the token is judged: guessing tokens costs the guesser's quota.
    let quota = rate_limit::spend(door, &caller, rule)?;
    // Before the body is read: a stranger's large body is none of our business.
    let admitted = auth::admit(&caller, rule);
    let answered = async {
        admitted?;
        let limit = if is_import { MAX_NETWORK_BYTES } else { MAX_BODY_BYTES };
        let mut alarm = origin.alarms.at(deadline);
        let (parts, body) = request.into_parts();
        let safe = parts.method.is_safe();
        // All of the body, up to its bound: no handler ever waits for a slow sender.
        let bytes = request_body::read(&parts.headers, body, limit, deadline, &mut alarm).await?;
        let answering = answer(Admitted { caller, rule, deadline }, parts, bytes);
        match alarm.before(deadline + GRACE, answering).await {
            Some(answered) => Ok(answered),
            None => Err(late(safe)),
        }
    };
    // Whoever has a quota is told what is left of it with every answer.
    let mut response = answered.await.unwrap_or_else(IntoResponse::into_response);
    if let Some(quota) = quota {
        quota.show(&mut response);
    }
    Ok(response)
}

/// What waits on the cluster should have noticed by itself that the time is over.
fn late(safe: bool) -> Problem {
    let problem = if safe {
        Problem::new(Code::Unavailable, "The cluster did not answer in time. Ask again.")
    } else {
        Problem::new(Code::OutcomeUnknown, Code::OutcomeUnknown.remedy())
    };
    problem.header(RETRY_AFTER, HeaderValue::from_static("1"))
}

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

    /// A request that is counted here only waits until the result is dropped, and is not counted meanwhile. It comes back
    /// unasked, so the count may be above the limit for as long as such requests take to be answered.
    pub fn step_aside(&self) -> Aside<'_> {
        self.now.fetch_sub(1, Ordering::Relaxed);
        Aside(self)
    }
}

/// See [`InFlight::step_aside`].
#[derive(Debug)]
pub struct Aside<'a>(&'a InFlight);

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_add(1, Ordering::Relaxed);
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
    route: Route,
    method: Method,
    started: Instant,
    // A client that goes away drops its request: nobody hears the answer, and the fault is not ours.
    outcome: Outcome,
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.door
            .metrics
            .answered(&self.route, &self.method, self.outcome, self.started.elapsed());
    }
}

/// Sees every answer, whoever made it: writes problems out, counts, names the request.
pub(crate) async fn observed<B: Incoming, F: Future<Output = Response>>(
    door: &Arc<Door>,
    route: Route,
    request: http::Request<B>,
    answer: impl FnOnce(http::Request<Lingering<B>>) -> F,
) -> Response {
    let trace = Trace::of(request.headers(), &*door.draw);
    let span = trace.begin(request.method(), route.as_str());
    let context = span.as_ref().map_or_else(|| trace.without_span(), Span::context);
    current::scope(context, seen(door, route, request, trace, span, answer)).await
}

/// As [`observed`], for a request that has a name.
async fn seen<B: Incoming, F: Future<Output = Response>>(
    door: &Arc<Door>,
    route: Route,
    request: http::Request<B>,
    trace: Trace,
    mut span: Option<Span>,
    answer: impl FnOnce(http::Request<Lingering<B>>) -> F,
) -> Response {
    let mut observation = Observation {
        door: door.clone(),
        route,
        method: request.method().clone(),
        started: Instant::now(),
        outcome: Outcome::ClientError,
    };
    let uri = request.uri().clone();
    let mut response = caught(async { answer(request_body::lingering(request)).await }).await;
    response.headers_mut().insert(REQUEST_ID, trace.request_id());
    observation.outcome = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => {
            let code = problem.code();
            if code.outcome() == Outcome::Error && observation.door.complaints.check().is_ok() {
                tracing::warn!(
                    trace_id = trace.id(), method = %observation.method, route = observation.route.as_str(),
                    code = code.as_str(),
                    "answered with an error: {}", problem.detail()
                );
            }
            if let Some(span) = &mut span
                && code.outcome() == Outcome::Error
            {
                span.fail(code.as_str());
            }
            *response.body_mut() = Body::from(problem.body(uri.path(), &trace.id()));
            code.outcome()
        }
        None if response.status().is_server_error() => Outcome::Error,
        None if response.status().is_client_error() => Outcome::ClientError,
        None => Outcome::Ok,
    };
    if let Some(span) = &mut span {
        span.set("http.response.status_code", i64::from(response.status().as_u16()));
    }
    // The route and not the path: ids of bookings are in paths, and open them.
    tracing::debug!(
        trace_id = trace.id(), method = %observation.method, route = observation.route.as_str(),
        status = response.status().as_u16(), took = ?observation.started.elapsed(), "answered"
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
