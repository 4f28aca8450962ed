//! What the router counts. Names and labels are in `dashboards/metrics`; labels are bounded: `route` is the template of a
//! route, never a path, and `venue` comes from the catalogue.
//!
//! Handles are kept, for looking one up costs more than counting. [`install`] sets the process up once, from `main`;
//! without it (in tests) counting does nothing. [`Page::render`] is the page.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::RwLock;
use rotunda_booking::command::Role;
use rotunda_metrics::{process, router as names, tls};

use crate::access::RouteClass;
use crate::api::error::Outcome;
use crate::stack;

/// Upper bounds of the latency histograms, in seconds: from a read that is answered at once to a request that waited
/// out a failover.
const LATENCY_BUCKETS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0,
    5.0, 10.0,
];

/// How often samples are moved from buffers into buckets; without it buffers grow until somebody looks at the page.
const UPKEEP: Duration = Duration::from_secs(5);

/// Routes that may be told apart. There are far fewer; it only keeps a mistake from growing a map without end.
const MAX_ROUTES: usize = 256;

/// Why a request was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// Too many requests in flight here.
    InFlight,
    /// Too many connections here.
    Connections,
    /// The shard's queue, or this router's queue to it, is full.
    Cluster,
}

/// Whose quota was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaKind {
    /// The caller's own.
    Caller,
    /// That of the venue, over all callers.
    Venue,
}

/// The page of this process.
#[derive(Clone)]
pub struct Page(PrometheusHandle);

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Page")
    }
}

/// Makes this process count. Once, before the first [`Metrics::new`].
///
/// # Errors
/// Where the process counts already.
pub fn install() -> Result<Page, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCY_BUCKETS)?
        .install_recorder()?;
    Ok(Page(handle))
}

impl Page {
    /// The page in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let cpu_seconds = observe_process();
        let mut page = self.0.render();
        // By hand: the recorder's counters are whole numbers, and whole seconds of CPU are too coarse to take a rate of.
        if let Some(seconds) = cpu_seconds {
            let name = process::CPU_SECONDS.name;
            let _ = writeln!(
                page,
                "# HELP {name} User and system CPU time spent.\n# TYPE {name} counter\n{name} {seconds}"
            );
        }
        page
    }

    /// What was counted, in the same format, without what is asked of the system.
    #[must_use]
    pub(crate) fn counted(&self) -> String {
        self.0.render()
    }

    /// Runs for ever: see [`UPKEEP`].
    pub async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }
}

/// Counters of one route and method.
#[derive(Debug)]
struct Route {
    outcomes: [Counter; Outcome::ALL.len()],
    seconds: Histogram,
}

/// All that the door counts.
pub struct Metrics {
    routes: RwLock<HashMap<&'static str, HashMap<String, Arc<Route>>>>,
    /// One of `routes`, at hand.
    hold: OnceLock<Arc<Route>>,
    /// Requests in flight.
    pub(crate) in_flight: Gauge,
    shed: [Counter; 3],
    /// Refused by their own quota, by role and class of routes.
    rate_limited: Vec<[Counter; RouteClass::ALL.len()]>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Describes everything and sets what does not change.
    #[must_use]
    pub fn new(concurrency_limit: usize) -> Self {
        describe();
        gauge!(names::CONCURRENCY_LIMIT.name).set(concurrency_limit as f64);
        spans_sent(Ok(0));
        spans_sent(Err(0));
        gauge!(process::BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION"), "revision" => revision()).set(1.0);
        Self {
            routes: RwLock::new(HashMap::new()),
            hold: OnceLock::new(),
            in_flight: gauge!(names::INFLIGHT_REQUESTS.name),
            shed: ["in_flight", "connections", "cluster"].map(|why| counter!(names::SHED.name, "reason" => why)),
            rate_limited: Role::ALL
                .iter()
                .map(|role| RouteClass::ALL.map(|class| rate_limited(QuotaKind::Caller, *role, class)))
                .collect(),
        }
    }

    /// One request has been answered.
    pub(crate) fn answered(&self, route: &stack::Route, method: &Method, outcome: Outcome, took: Duration) {
        let find = || self.route(route.as_str(), method_label(method));
        match route {
            stack::Route::Hold => self.hold.get_or_init(find).answered(outcome, took),
            _ => find().answered(outcome, took),
        }
    }

    /// One request or connection was refused because too much is going on.
    pub(crate) fn shed(&self, reason: ShedReason) {
        self.shed[reason as usize].increment(1);
    }

    /// One request was refused because a quota is used up.
    pub(crate) fn rate_limited(&self, kind: QuotaKind, role: Role, class: RouteClass) {
        match kind {
            QuotaKind::Caller => self.rate_limited[role as usize][class as usize].increment(1),
            // Of few: what may be asked of a venue is large.
            QuotaKind::Venue => rate_limited(kind, role, class).increment(1),
        }
    }

    /// A booking was confirmed (not: answered again from the record). A confirm whose first answer got lost on the way
    /// to this router comes back as a replay and is not counted: the figure may fall short, it never exceeds the truth.
    pub(crate) fn tickets_issued(&self, venue: &str, channel: &'static str, tickets: u64) {
        counter!(names::TICKETS_ISSUED.name, "venue" => venue.to_owned(), "channel" => channel).increment(tickets);
    }

    fn route(&self, route: &str, method: &'static str) -> Arc<Route> {
        if let Some(known) = self.routes.read().get(method).and_then(|routes| routes.get(route)) {
            return known.clone();
        }
        let mut methods = self.routes.write();
        let routes = methods.entry(method).or_default();
        let route = if routes.len() < MAX_ROUTES { route } else { "other" };
        routes
            .entry(route.to_owned())
            .or_insert_with(|| Arc::new(Route::new(route, method)))
            .clone()
    }
}

impl Route {
    fn new(route: &str, method: &'static str) -> Self {
        let outcomes = Outcome::ALL.map(|outcome| {
            counter!(
                names::HTTP_REQUESTS.name,
                "route" => route.to_owned(), "method" => method, "outcome" => outcome.as_str()
            )
        });
        let seconds = histogram!(names::HTTP_REQUEST_SECONDS.name, "route" => route.to_owned(), "method" => method);
        Self { outcomes, seconds }
    }

    fn answered(&self, outcome: Outcome, took: Duration) {
        self.outcomes[outcome as usize].increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}

fn rate_limited(kind: QuotaKind, role: Role, class: RouteClass) -> Counter {
    let kind = match kind {
        QuotaKind::Caller => "caller",
        QuotaKind::Venue => "venue",
    };
    counter!(
        names::RATE_LIMITED.name,
        "quota" => kind, "role" => role.as_str(), "routes" => class.as_str()
    )
}

/// Methods beyond these are whatever a client made up.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// Commit that this binary was built from, where the build said so.
fn revision() -> &'static str {
    option_env!("ROTUNDA_REVISION").unwrap_or("unknown")
}

/// Spans were sent to the collector, or lost.
pub fn spans_sent(spans: Result<usize, usize>) {
    let (outcome, spans) = match spans {
        Ok(spans) => ("sent", spans),
        Err(spans) => ("lost", spans),
    };
    counter!(process::TRACE_SPANS.name, "outcome" => outcome).increment(spans as u64);
}

fn describe() {
    rotunda_metrics::describe!(process::METRICS);
    rotunda_metrics::describe!(process::FOREIGN);
    rotunda_metrics::describe!(names::METRICS);
    rotunda_metrics::describe!(tls::METRICS);
}

/// Sets the gauges of the process; gives the CPU seconds it has spent.
fn observe_process() -> Option<f64> {
    let found = metrics_process::collector::collect();
    let gauges = [
        (process::OPEN_FDS.name, found.open_fds),
        (process::MAX_FDS.name, found.max_fds),
        (process::VIRTUAL_MEMORY_BYTES.name, found.virtual_memory_bytes),
        (process::RESIDENT_MEMORY_BYTES.name, found.resident_memory_bytes),
        (process::START_TIME_SECONDS.name, found.start_time_seconds),
        (process::THREADS.name, found.threads),
    ];
    for (name, value) in gauges {
        if let Some(value) = value {
            gauge!(name).set(value as f64);
        }
    }
    found.cpu_seconds_total
}
