//! Looking: many visitors read one museum's month, as fast as they are answered. Beside it Debian's nginx serves the same
//! bytes from a file to the same clients; and the nodes' counters say how much of it reached the cluster. The clients are ours,
//! and Debian's wrk beside them: two ways to ask, which cost the machine that they share with the servers not the same.

mod nginx;
mod wrk;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan as _};
use parking_lot::Mutex;
use serde::Serialize;

use self::nginx::Nginx;
use super::cpu::Meter;
use super::door::Http;
use super::load::{self, Client, Next, Pace, Shape};
use super::market::{Kind, NotOnOffer};
use super::peers::Missing;
use super::run::{self, Plan, Way};
use super::samples::{Deed, Ending, Failure, Percentiles, Samples};
use super::shopper::Workload;
use crate::cluster::{self, Cluster};

/// The museum that everybody looks at.
const VENUE: &str = "lisbon-tides";

/// How long an answer may take to come out of a change stream, at the begin.
const WATCHED: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Looking {
    /// Connections, each of which asks again when it has its answer.
    pub connections: usize,
    /// Addresses that the requests come from, in turn.
    pub visitors: usize,
    /// Days of one answer.
    pub days: u16,
    /// What does not count.
    pub warm_up: Duration,
    /// What counts.
    pub span: Duration,
    /// Where the programs are; beside this one where nobody says.
    pub programs: Option<PathBuf>,
    /// Where data and logs go; where temporary files go where nobody says.
    pub place: Option<PathBuf>,
}

/// One server's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    /// `router`, `nginx/1.22.1`.
    pub who: String,
    /// Answers a second.
    pub rate: f64,
    /// Answers that were what was asked for.
    pub answered: u64,
    /// The others, and connections that broke.
    pub failed: u64,
    /// Microseconds from a request to the end of its answer: half of them were faster.
    pub p50_us: u64,
    /// Ninety-nine of a hundred were.
    pub p99_us: u64,
    /// Cores that the server kept busy.
    pub cores: f64,
}

/// Both servers, asked by the same clients.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// Who asks: `rotunda-bench` or `wrk`.
    pub by: &'static str,
    /// The router.
    pub router: Served,
    /// nginx.
    pub nginx: Option<Served>,
    /// The router's rate over nginx's.
    pub ratio: Option<f64>,
}

impl Pair {
    fn new(by: &'static str, router: Served, nginx: Option<Served>) -> Self {
        let ratio = nginx.as_ref().map(|nginx| router.rate / nginx.rate.max(1.0));
        Pair {
            by,
            router,
            nginx,
            ratio,
        }
    }

    fn served(&self) -> impl Iterator<Item = &Served> {
        std::iter::once(&self.router).chain(&self.nginx)
    }
}

/// What it came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Bytes of an answer's body.
    pub bytes: usize,
    /// Connections.
    pub connections: usize,
    /// Addresses.
    pub visitors: usize,
    /// The figures, for each kind of client.
    pub pairs: Vec<Pair>,
    /// Questions that reached each node while the router was asked.
    pub questions: BTreeMap<u32, u64>,
    /// Which of them leads the museum's shard.
    pub leader: u32,
    /// What was not measured, and why.
    pub missing: Vec<Missing>,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} bytes an answer; {} visitors, each from an address of its own, over {} keep-alive connections\n\n",
            self.bytes, self.visitors, self.connections
        );
        text.push_str(&format!(
            "{:<14} {:<14} {:>12} {:>9} {:>9} {:>7} {:>7}\n",
            "", "asked by", "answers/s", "p50 us", "p99 us", "cores", "failed"
        ));
        for pair in &self.pairs {
            for served in pair.served() {
                text.push_str(&format!(
                    "{:<14} {:<14} {:>12.0} {:>9} {:>9} {:>7.2} {:>7}\n",
                    served.who, pair.by, served.rate, served.p50_us, served.p99_us, served.cores, served.failed
                ));
            }
        }
        text.push('\n');
        for pair in &self.pairs {
            if let Some(ratio) = pair.ratio {
                text.push_str(&format!(
                    "router / nginx, asked by {}: {ratio:.2} (wanted: at least 0.5)\n",
                    pair.by
                ));
            }
        }
        for missing in &self.missing {
            text.push_str(&format!("not measured: {}: {}\n", missing.who, missing.why));
        }
        for (node, questions) in &self.questions {
            let role = if *node == self.leader { "leader" } else { "follower" };
            text.push_str(&format!("questions that reached node {node} ({role}): {questions}\n"));
        }
        text
    }

    /// True where nothing failed.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let mut served = self.pairs.iter().flat_map(Pair::served);
        served.all(|served| served.failed == 0 && served.answered > 0)
    }
}

/// Measures both, one after the other.
///
/// # Errors
/// Where the museum is not there to be looked at.
///
/// # Panics
/// Where the cluster does not come up, or ends.
pub async fn measure(looking: &Looking, progress: impl Fn(&str)) -> Result<Outcome, NotOnOffer> {
    let plan = Plan {
        market: Kind::WholeNetwork,
        place: looking.place.clone(),
        ..Plan::new(Workload::Spread, Way::Http, looking.span, looking.programs.clone())
    };
    let mut ground = run::found(&plan).await?;
    let cluster = &mut ground.cluster;
    let day = |days: i64| {
        (Timestamp::now() + (days * 24).hours())
            .strftime("%Y-%m-%d")
            .to_string()
    };
    let last = day(1 + i64::from(looking.days.saturating_sub(1)));
    let path = format!("/v1/venues/{VENUE}/availability?from={}&to={last}", day(1));
    let body = until_watched(cluster, &path).await?;
    let leader = cluster.leader_of(cluster.shard_of(VENUE).await).await;
    let mut missing = Vec::new();

    let before = questions(cluster).await?;
    let door = Server {
        who: "router".to_owned(),
        address: cluster.http_address(),
        path,
        pids: vec![cluster.router().pid()],
    };
    progress("the router");
    let router = serve(looking, &door).await;
    progress("the router, asked by wrk");
    let router_by_wrk = wrk::serve(looking, &door, cluster.folder()).await;
    let after = questions(cluster).await?;
    let questions = after
        .into_iter()
        .map(|(node, count)| (node, count.saturating_sub(before.get(&node).copied().unwrap_or(0))))
        .collect();

    let (mut nginx, mut nginx_by_wrk) = (None, None);
    match Nginx::start(cluster.folder(), &body).await {
        Ok(peer) => {
            progress("nginx");
            nginx = Some(serve(looking, &peer.server).await);
            if router_by_wrk.is_ok() {
                progress("nginx, asked by wrk");
                nginx_by_wrk = wrk::serve(looking, &peer.server, cluster.folder()).await.ok();
            }
        }
        Err(why) => missing.push(Missing { who: "nginx", why }),
    }
    cluster.check_processes();
    let mut pairs = vec![Pair::new("rotunda-bench", router, nginx)];
    match router_by_wrk {
        Ok(router) => pairs.push(Pair::new("wrk", router, nginx_by_wrk)),
        Err(why) => missing.push(Missing { who: "wrk", why }),
    }
    Ok(Outcome {
        bytes: body.len(),
        connections: looking.connections,
        visitors: looking.visitors,
        pairs,
        questions,
        leader,
        missing,
    })
}

/// Who is asked for what.
struct Server {
    who: String,
    address: SocketAddr,
    path: String,
    pids: Vec<u32>,
}

impl Server {
    fn meter(&self) -> Meter {
        Meter::of(self.pids.iter().map(|pid| (self.who.clone(), *pid)).collect())
    }
}

/// Cores that were kept busy since the meter began.
#[expect(clippy::cast_precision_loss, reason = "an average")]
fn cores(meter: &Meter, begun: Instant) -> f64 {
    let micros: u64 = meter.read().into_iter().map(|(_, micros)| micros).sum();
    micros as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// Asks until the router answers out of a change stream, which its tag tells.
async fn until_watched(cluster: &Cluster, path: &str) -> Result<Vec<u8>, NotOnOffer> {
    let wrong = |what: String| NotOnOffer::new(format!("{path}: {what}"));
    let begun = Instant::now();
    loop {
        let answer = cluster::http().get(format!("{}{path}", cluster.door())).send().await;
        let answer = answer.map_err(|error| wrong(error.to_string()))?;
        let watched = answer
            .headers()
            .get("etag")
            .is_some_and(|tag| tag.as_bytes().starts_with(b"W/"));
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| wrong(error.to_string()))?;
        if status.is_success() && watched {
            return Ok(body.to_vec());
        }
        if begun.elapsed() > WATCHED {
            return Err(wrong(format!(
                "no answer out of a change stream in {WATCHED:?}, but {status}"
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Questions that each node was asked so far.
async fn questions(cluster: &Cluster) -> Result<BTreeMap<u32, u64>, NotOnOffer> {
    let mut questions = BTreeMap::new();
    for node in cluster.nodes() {
        let url = format!("http://{}/metrics", cluster.admin(node));
        let page = async { cluster::http().get(&url).send().await?.text().await };
        let page = page.await.map_err(|error| NotOnOffer::new(format!("{url}: {error}")))?;
        let count = page
            .lines()
            .find_map(|line| line.strip_prefix("rotunda_queries_total ")?.parse().ok());
        questions.insert(node, count.unwrap_or(0));
    }
    Ok(questions)
}

/// Our clients read a page of a server.
async fn serve(looking: &Looking, server: &Server) -> Served {
    let mut random = fastrand::Rng::with_seed(1);
    let path: Arc<str> = server.path.as_str().into();
    let lookers = (0..looking.connections.max(1)).map(|number| Looker {
        http: Http::new(server.address, number, random.fork()),
        path: path.clone(),
        visitor: number,
        step: looking.connections.max(1),
        visitors: looking.visitors.max(1),
    });
    let shape = Shape {
        warm_up: looking.warm_up,
        span: looking.span,
        pace: Pace::Closed,
    };
    let (meter, begun) = (server.meter(), Instant::now());
    let (_, samples) = load::run(lookers.collect(), &shape).await;
    let cores = cores(&meter, begun);
    let looks = samples.of(Deed::Look);
    let latency = Percentiles::of(&looks.decided);
    Served {
        who: server.who.clone(),
        rate: samples.rate(Deed::Look),
        answered: looks.counts.done,
        failed: looks.counts.all() - looks.counts.done,
        p50_us: latency.p50,
        p99_us: latency.p99,
        cores,
    }
}

/// A connection on which visitors ask in turn.
struct Looker {
    http: Http,
    path: Arc<str>,
    visitor: usize,
    step: usize,
    visitors: usize,
}

impl Client for Looker {
    async fn step(&mut self, due: Instant, samples: &Mutex<Samples>) -> Next {
        self.http.call_from(self.visitor);
        self.visitor = (self.visitor + self.step) % self.visitors;
        let ending = self.http.get(&self.path).await;
        let ending = ending.unwrap_or(Ending::Failed(Failure::NoAnswer));
        samples.lock().note(Deed::Look, ending, due);
        Next::Again
    }
}
