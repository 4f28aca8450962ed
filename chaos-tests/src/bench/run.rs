//! One benchmark from beginning to end: a fresh cluster for each run, a market, clients, an audit; medians over the runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rotunda_protocol::client::{ClientConfig, ClusterClient};
use serde::Serialize;
use tempfile::TempDir;

use super::audit::{self, Audit};
use super::cpu::{self, Meter};
use super::door::{Door, Grpc, Http};
use super::load::{self, Pace, Shape};
use super::market::{self, Kind, NotOnOffer, Stall};
use super::samples::{Counts, Deed, Percentiles, Samples};
use super::shopper::{Shopper, Workload};
use crate::cluster::Cluster;

/// Entries that each log keeps, so that the audit finds in it what was acknowledged.
const KEEP: u64 = 200_000;

/// The limiter is on, and nobody here is to meet it: a quota of their own for each client, of so many a second.
const QUOTA: &str = "1000000/1s";

/// Which way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// JSON through the router.
    Http,
    /// Commands straight to the nodes.
    Grpc,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What clients do.
    pub workload: Workload,
    /// What they buy.
    pub market: Kind,
    /// How they buy.
    pub way: Way,
    /// How many.
    pub clients: usize,
    /// Streams to each node that they share; by HTTP each has a connection of its own.
    pub streams: usize,
    /// Shards.
    pub shards: u64,
    /// What does not count.
    pub warm_up: Duration,
    /// What counts.
    pub span: Duration,
    /// Steps a second at random times, instead of each client's next one when it has its answer.
    pub rate: Option<f64>,
    /// Arrivals by the second, likewise.
    pub arrivals: Option<Arc<[u64]>>,
    /// More flags for each node.
    pub node_flags: String,
    /// More flags for the router.
    pub router_flags: String,
    /// No TLS between the processes, which users have.
    pub plain_inside: bool,
    /// Where the programs are; beside this one where nobody says.
    pub programs: Option<PathBuf>,
    /// Where logs and data go, in a folder of each run's own that does not outlive it; where temporary files go where nobody says.
    pub place: Option<PathBuf>,
    /// Choices come from it.
    pub seed: u64,
}

impl Plan {
    /// A closed loop with as many clients as keep the cluster busy; of an on-sale, twice as many as the router works for at
    /// once, so that nobody who arrives has to wait for another one to be served before the router even hears of it.
    #[must_use]
    pub fn new(workload: Workload, way: Way, span: Duration, programs: Option<PathBuf>) -> Self {
        Plan {
            workload,
            market: workload.market(),
            way,
            clients: match way {
                Way::Http if workload == Workload::Onsale => 8_192,
                Way::Http => 256,
                Way::Grpc => 2_048,
            },
            streams: 4,
            shards: 4,
            // How long it takes until nothing is left is counted from the first place on.
            warm_up: Duration::from_secs(if workload == Workload::Sellout { 0 } else { 3 }),
            span,
            rate: None,
            arrivals: None,
            node_flags: String::new(),
            router_flags: String::new(),
            plain_inside: false,
            programs,
            place: None,
            seed: 1,
        }
    }
}

/// One sort of request of a run.
#[derive(Clone, Debug, Serialize)]
pub struct DeedOutcome {
    /// Done a second.
    pub rate: f64,
    /// How they ended.
    pub counts: Counts,
    /// Microseconds from when it was sent (closed) or due (open) to its answer.
    pub latency_us: Percentiles,
    /// The same with the correction for coordinated omission; for closed loops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_us: Option<Percentiles>,
    /// Of those that were turned away.
    pub shed_us: Percentiles,
}

/// What a process used.
#[derive(Clone, Debug, Serialize)]
pub struct Used {
    /// `node 1 (leader)`.
    pub name: String,
    /// Microseconds of processor time for each request of the headline that was done, warm-up and all others included.
    pub us_each: f64,
    /// Cores that it kept busy.
    pub cores: f64,
    /// Bytes of resident memory at the end.
    pub resident: u64,
}

/// What one run came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// By request.
    pub deeds: BTreeMap<Deed, DeedOutcome>,
    /// The time that counted, in seconds.
    pub seconds: f64,
    /// By process.
    pub cpu: Vec<Used>,
    /// Whether it is sound.
    pub audit: Audit,
    /// By the second.
    #[serde(skip)]
    pub samples: Option<Samples>,
}

impl Outcome {
    /// The headline's rate.
    #[must_use]
    pub fn rate(&self, deed: Deed) -> f64 {
        self.deeds.get(&deed).map_or(0.0, |outcome| outcome.rate)
    }
}

/// Runs a plan once.
///
/// # Errors
/// Where the market cannot be set up.
///
/// # Panics
/// Where the cluster does not come up, or ends.
pub async fn run(plan: &Plan) -> Result<Outcome, NotOnOffer> {
    let mut ground = found(plan).await?;
    let outcome = measure(plan, &mut ground.cluster, &ground.stalls).await;
    ground.cluster.check_processes();
    Ok(outcome)
}

/// Where a run takes place.
pub(super) struct Ground {
    pub(super) cluster: Cluster,
    pub(super) stalls: Arc<[Stall]>,
    /// Goes after the cluster, whose data is in it.
    _folder: Option<TempDir>,
}

/// A cluster with its market.
pub(super) async fn found(plan: &Plan) -> Result<Ground, NotOnOffer> {
    let mut builder = Cluster::builder()
        .default_timing()
        .shards(plan.shards)
        .keep_log_entries(KEEP)
        .node_flags(&plan.node_flags)
        .router_flags(&router_flags(&plan.router_flags));
    if let Some(programs) = &plan.programs {
        builder = builder.programs(programs);
    }
    if plan.plain_inside {
        builder = builder.plain_inside();
    }
    let folder = folder(plan.place.as_deref())?;
    if let Some(folder) = &folder {
        builder = builder.place(folder.path());
    }
    let mut cluster = builder.start().await;
    let stalls = market::set_up(&mut cluster, plan.market).await?;
    Ok(Ground {
        cluster,
        stalls: stalls.into(),
        _folder: folder,
    })
}

fn router_flags(more: &str) -> String {
    let quota = if more.contains("--rate-limit ") {
        String::new()
    } else {
        format!("--rate-limit {QUOTA}")
    };
    format!("--trusted-proxy 127.0.0.0/8 {quota} {more}")
}

/// A folder of a cluster's own in `place`: several runs may have the same one.
pub(super) fn folder(place: Option<&Path>) -> Result<Option<TempDir>, NotOnOffer> {
    let made = place.map(|place| tempfile::Builder::new().prefix("rotunda-bench-").tempdir_in(place));
    made.transpose()
        .map_err(|error| NotOnOffer::new(format!("no folder for data: {error}; name another one with --data")))
}

/// Clients at a cluster's doors.
pub(super) fn shoppers(plan: &Plan, cluster: &Cluster, stalls: &Arc<[Stall]>) -> Vec<Shopper> {
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let seeds: Vec<String> = cluster
        .nodes()
        .iter()
        .map(|node| cluster.inside().url(cluster.grpc(*node)))
        .collect();
    let clients: Vec<ClusterClient> = (0..plan.streams.max(1))
        .filter(|_| plan.way == Way::Grpc)
        .map(|_| {
            ClusterClient::connect(ClientConfig {
                seeds: seeds.clone(),
                dial: cluster.inside().dial(),
                ..ClientConfig::default()
            })
        })
        .collect();
    let router: SocketAddr = cluster.http_address();
    (0..plan.clients)
        .map(|number| {
            let mut own = random.fork();
            let door = match plan.way {
                Way::Http => Door::Http(Box::new(Http::new(router, number, own.fork()))),
                Way::Grpc => Door::Grpc(Grpc::new(clients[number % clients.len()].clone(), own.fork())),
            };
            Shopper::new(plan.workload, door, Arc::clone(stalls), own)
        })
        .collect()
}

/// Lets clients buy, and audits.
async fn measure(plan: &Plan, cluster: &mut Cluster, stalls: &Arc<[Stall]>) -> Outcome {
    let mut random = fastrand::Rng::with_seed(plan.seed ^ 1);
    let pace = match (&plan.arrivals, plan.rate) {
        (Some(arrivals), _) => Pace::by_the_second(arrivals, &mut random),
        (None, Some(rate)) => Pace::at_rate(rate, plan.warm_up + plan.span, &mut random),
        (None, None) => Pace::Closed,
    };
    let closed = matches!(pace, Pace::Closed);
    let shape = Shape {
        warm_up: plan.warm_up,
        span: plan.span,
        pace,
    };
    let processes = processes(cluster, stalls).await;
    let pids: Vec<u32> = processes.iter().map(|(_, pid)| *pid).collect();
    let shoppers = shoppers(plan, cluster, stalls);
    let meter = Meter::of(processes);
    let begun = std::time::Instant::now();
    let (shoppers, samples) = load::run(shoppers, &shape).await;
    let (used, took) = (meter.read(), begun.elapsed().as_secs_f64());
    let headline = plan.workload.headline();
    let acknowledged: usize = match headline {
        Deed::Look => usize::try_from(samples.of(Deed::Look).counts.done).unwrap_or(usize::MAX),
        deed => shoppers
            .iter()
            .map(|shopper| shopper.acknowledged.iter().filter(|ack| ack.deed == deed).count())
            .sum(),
    };
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let cpu = used
        .into_iter()
        .zip(pids)
        .map(|((name, micros), pid)| Used {
            name,
            us_each: micros as f64 / acknowledged.max(1) as f64,
            cores: micros as f64 / 1e6 / took,
            resident: cpu::resident(pid).unwrap_or(0),
        })
        .collect();
    let audit = audit::run(cluster, stalls, &shoppers).await;
    let deeds = Deed::ALL.iter().filter(|deed| samples.of(**deed).counts.all() > 0);
    Outcome {
        deeds: deeds
            .map(|deed| (*deed, of_deed(*deed, &samples, plan.clients, closed)))
            .collect(),
        seconds: samples.span().as_secs_f64(),
        cpu,
        audit,
        samples: Some(samples),
    }
}

fn of_deed(deed: Deed, samples: &Samples, clients: usize, closed: bool) -> DeedOutcome {
    let of_deed = samples.of(deed);
    // How often a client of the closed loop asked on the average.
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let interval = samples.span().as_secs_f64() * clients as f64 / of_deed.counts.all().max(1) as f64;
    DeedOutcome {
        rate: samples.rate(deed),
        counts: of_deed.counts,
        latency_us: Percentiles::of(&of_deed.decided),
        corrected_us: closed.then(|| Percentiles::corrected(&of_deed.decided, Duration::from_secs_f64(interval))),
        shed_us: Percentiles::of(&of_deed.shed),
    }
}

/// Who takes part, with what each is.
async fn processes(cluster: &Cluster, stalls: &[Stall]) -> Vec<(String, u32)> {
    let mut processes = Vec::new();
    let shards: BTreeSet<u64> = stalls.iter().map(|stall| stall.shard).collect();
    let mut leaders = Vec::new();
    for shard in shards {
        leaders.push(cluster.leader_of(shard).await);
    }
    for node in cluster.nodes() {
        let leads = leaders.iter().filter(|leader| **leader == node).count();
        let role = match leads {
            0 => "follower".to_owned(),
            _ if leaders.len() == 1 => "leader".to_owned(),
            leads => format!("leads {leads} of {}", leaders.len()),
        };
        processes.push((format!("node {node} ({role})"), cluster.process(node).pid()));
    }
    processes.push(("router".to_owned(), cluster.router().pid()));
    processes.push(("generator".to_owned(), std::process::id()));
    processes
}

/// The run in the middle, by the headline's rate.
#[must_use]
pub fn median(outcomes: &[Outcome], deed: Deed) -> Option<&Outcome> {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|one, other| one.rate(deed).total_cmp(&other.rate(deed)));
    sorted.get(sorted.len() / 2).copied()
}
