//! Looking: many visitors read one museum's month, as fast as they are answered. Beside it Debian's nginx serves the same
//! bytes from a file to the same clients; and the nodes' counters say how much of it reached the cluster.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan as _};
use parking_lot::Mutex;
use serde::Serialize;

use super::cpu::Meter;
use super::door::Http;
use super::load::{self, Client, Next, Pace, Shape};
use super::market::{Kind, NotOnOffer};
use super::peers::{self, Missing};
use super::run::{self, Plan, Way};
use super::samples::{Counts, Deed, Ending, Failure, Percentiles, Samples};
use super::shopper::Workload;
use crate::cluster::{self, Cluster};
use crate::ports;
use crate::process::{Process, Recipe};

/// The museum that everybody looks at.
const VENUE: &str = "lisbon-tides";

/// How long an answer may take to come out of a change stream, at the begin.
const WATCHED: Duration = Duration::from_secs(20);

/// How long nginx may take to listen.
const LISTENS: Duration = Duration::from_secs(5);

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
    /// How they ended.
    pub counts: Counts,
    /// Microseconds from a request to the end of its answer.
    pub latency_us: Percentiles,
    /// Cores that the server kept busy.
    pub cores: f64,
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
    /// The router.
    pub router: Served,
    /// Questions that reached each node meanwhile.
    pub questions: BTreeMap<u32, u64>,
    /// Which of them leads the museum's shard.
    pub leader: u32,
    /// nginx.
    pub nginx: Option<Served>,
    /// Why it was not measured.
    pub missing: Option<Missing>,
    /// The router's rate over nginx's.
    pub ratio: Option<f64>,
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
            "{:<14} {:>12} {:>9} {:>9} {:>7} {:>7}\n",
            "", "answers/s", "p50 us", "p99 us", "cores", "failed"
        ));
        for served in [Some(&self.router), self.nginx.as_ref()].into_iter().flatten() {
            text.push_str(&format!(
                "{:<14} {:>12.0} {:>9} {:>9} {:>7.2} {:>7}\n",
                served.who,
                served.rate,
                served.latency_us.p50,
                served.latency_us.p99,
                served.cores,
                served.counts.all() - served.counts.done
            ));
        }
        match (&self.ratio, &self.missing) {
            (Some(ratio), _) => text.push_str(&format!("\nrouter / nginx: {ratio:.2} (wanted: at least 0.5)\n")),
            (None, Some(missing)) => text.push_str(&format!("\nnot measured: {}: {}\n", missing.who, missing.why)),
            (None, None) => {}
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
        let whole = |served: &Served| served.counts.done == served.counts.all() && served.counts.done > 0;
        whole(&self.router) && self.nginx.as_ref().is_none_or(whole)
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

    progress("the router");
    let before = questions(cluster).await?;
    let router = serve(
        looking,
        "router".to_owned(),
        cluster.http_address(),
        &path,
        &[cluster.router().pid()],
    )
    .await;
    let after = questions(cluster).await?;
    let questions = after
        .into_iter()
        .map(|(node, count)| (node, count.saturating_sub(before.get(&node).copied().unwrap_or(0))))
        .collect();

    progress("nginx");
    let (nginx, missing) = match nginx(looking, cluster.folder(), &body).await {
        Ok(served) => (Some(served), None),
        Err(why) => (None, Some(Missing { who: "nginx", why })),
    };
    cluster.check_processes();
    Ok(Outcome {
        bytes: body.len(),
        connections: looking.connections,
        visitors: looking.visitors,
        ratio: nginx.as_ref().map(|nginx| router.rate / nginx.rate.max(1.0)),
        router,
        questions,
        leader,
        nginx,
        missing,
    })
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

/// Clients that read `path` of a server.
async fn serve(looking: &Looking, who: String, server: SocketAddr, path: &str, pids: &[u32]) -> Served {
    let mut random = fastrand::Rng::with_seed(1);
    let path: Arc<str> = path.into();
    let lookers = (0..looking.connections.max(1)).map(|number| Looker {
        http: Http::new(server, number, random.fork()),
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
    let meter = Meter::of(pids.iter().map(|pid| (who.clone(), *pid)).collect());
    let begun = Instant::now();
    let (_, samples) = load::run(lookers.collect(), &shape).await;
    let took = begun.elapsed().as_secs_f64();
    let micros: u64 = meter.read().into_iter().map(|(_, micros)| micros).sum();
    let looks = samples.of(Deed::Look);
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let cores = micros as f64 / 1e6 / took;
    Served {
        who,
        rate: samples.rate(Deed::Look),
        counts: looks.counts,
        latency_us: Percentiles::of(&looks.decided),
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

/// nginx with as many workers as the router has by default, without a log, serving the bytes from a file that it keeps open.
async fn nginx(looking: &Looking, folder: &Path, body: &[u8]) -> Result<Served, String> {
    let folder = folder.join("nginx");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder.join("served")).map_err(failed)?;
    fs::write(folder.join("served").join("month.json"), body).map_err(failed)?;
    let version = peers::said(std::process::Command::new("nginx").arg("-v"))?;
    let version = version.trim().rsplit(' ').next().unwrap_or("nginx").to_owned();
    let address = ports::free();
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let place = folder.display();
    let settings = format!(
        "daemon off;\nworker_processes {workers};\npid {place}/pid;\nerror_log {place}/error.log;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 100000000;\n  \
         open_file_cache max=16;\n  types {{ application/json json; }}\n  \
         client_body_temp_path {place}/body;\n  proxy_temp_path {place}/proxy;\n  fastcgi_temp_path {place}/fastcgi;\n  \
         uwsgi_temp_path {place}/uwsgi;\n  scgi_temp_path {place}/scgi;\n  \
         server {{ listen {address} backlog=4096; root {place}/served; }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, settings).map_err(failed)?;
    let mut process = Process::start(Recipe {
        name: "nginx".to_owned(),
        program: "nginx".into(),
        arguments: ["-c", &file.display().to_string(), "-e", &format!("{place}/error.log")]
            .map(str::to_owned)
            .to_vec(),
        environment: Vec::new(),
        log: folder.join("server.log"),
    });
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if begun.elapsed() > LISTENS {
            let said = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            return Err(format!("it does not listen: {}", said.trim()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pids = children(process.pid());
    let served = serve(looking, version, address, "/month.json", &pids).await;
    // By SIGTERM: the first process takes its workers along, which outlive it where it is killed.
    process.terminate();
    Ok(served)
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
