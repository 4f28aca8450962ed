//! One run from beginning to end, in a folder of its own: `history.jsonl`, `report.html`, the logs of every process, and the
//! data of the nodes where something was found.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::{Timestamp, ToSpan as _};
use rotunda_protocol::client::ClusterClient;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::failover::Times;
use super::nemesis::{Nemesis, Tally};
use super::notes::{Counts, Notes};
use super::stage::Stage;
use super::{Scenario, cycles, heal, random};
use crate::audit::{self, Observer};
use crate::cluster::{Cluster, MERIDIAN, TIMING};
use crate::history::Recorder;
use crate::history::lines::{Header, VERSION};
use crate::history::reader::Saved;
use crate::history::visitors::Venues;
use crate::invariants::{self, Verdict, is_sound};
use crate::lab::capabilities::{Capabilities, Need};
use crate::report::html;
use crate::selling::{self, Manner, Offer, Selling};
use crate::visitor::Visitor;

/// The venue that everybody wants.
const HOT_VENUE: &str = "lisbon-tides";
/// Slots of a venue that are offered at all: many visitors meet on few.
const SLOTS_PER_VENUE: usize = 6;
/// How often what visitors remember is saved.
const SAVE: Duration = Duration::from_secs(1);
/// Each node's disk. It takes only what is written.
const DISK: u64 = 2 << 30;
/// Random faults of a class that are dealt so often must have been felt once.
const OFTEN: u64 = 3;
/// Log entries that are kept where a follower is to need a snapshot.
const FEW_ENTRIES: u64 = 100;

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which faults.
    pub scenario: Scenario,
    /// What random faults are drawn from.
    pub seed: u64,
    /// How long random faults come.
    pub span: Duration,
    /// How often the scenario's cycle runs.
    pub times: u32,
    /// Nodes.
    pub nodes: u32,
    /// Shards.
    pub shards: u64,
    /// Visitors at once.
    pub visitors: usize,
    /// Where the programs are.
    pub programs: PathBuf,
    /// The run's own folder, which is there and empty.
    pub folder: PathBuf,
    /// What repeats it.
    pub command: String,
}

/// What it came to.
#[derive(Debug)]
pub struct Outcome {
    /// Which scenario.
    pub scenario: Scenario,
    /// Where everything is.
    pub folder: PathBuf,
    /// What repeats it.
    pub command: String,
    /// Requests.
    pub counts: Counts,
    /// Faults by class.
    pub faults: BTreeMap<&'static str, Tally>,
    /// What each invariant says.
    pub verdicts: Vec<Verdict>,
    /// From the last fault's end until every shard had served.
    pub healed: Option<Duration>,
    /// From a fault to the next booking.
    pub failovers: Times,
    /// Nodes that ended by themselves, and why.
    pub deaths: Vec<String>,
    /// What was seen besides.
    pub remarks: Vec<String>,
    /// Why the run is not sound, besides violated invariants.
    pub problems: Vec<String>,
}

impl Outcome {
    /// True where nothing was violated, it healed, and every fault that was asked for was felt.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        is_sound(&self.verdicts) && self.problems.is_empty()
    }
}

/// What a run saw.
#[derive(Default)]
struct Seen {
    faults: BTreeMap<&'static str, Tally>,
    healed: Option<Duration>,
    failovers: Vec<Duration>,
    deaths: Vec<String>,
    remarks: Vec<String>,
    problems: Vec<String>,
}

/// Runs a plan. Whatever breaks on the way is a problem of the outcome; what was noted until then is audited all the same.
///
/// # Errors
/// Where nothing can be said: the folder cannot be written.
pub async fn run(plan: &Plan, able: &Capabilities) -> Result<Outcome, String> {
    let history = plan.folder.join("history.jsonl");
    let notes =
        Notes::begin(&history, header(plan, able)).map_err(|error| format!("{}: {error}", history.display()))?;
    // A panic of the harness ends the run and not the report; what the run made is taken away as it unwinds.
    let played = AssertUnwindSafe(Box::pin(play(plan, able, &notes)))
        .catch_unwind()
        .await;
    let seen = played.unwrap_or_else(|panic| Seen::broken_off(&*panic));
    let mut outcome = Outcome {
        scenario: plan.scenario,
        folder: plan.folder.clone(),
        command: plan.command.clone(),
        counts: notes.counts(),
        faults: seen.faults,
        verdicts: Vec::new(),
        healed: seen.healed,
        failovers: Times::of(&seen.failovers),
        deaths: seen.deaths,
        remarks: seen.remarks,
        problems: seen.problems,
    };
    if let Err(error) = notes.end() {
        outcome
            .problems
            .push(format!("the history could not be written: {error}"));
    }
    for (class, tally) in &outcome.faults {
        if tally.felt > 0 {
            continue;
        }
        let text = format!("{class} was asked for and had no effect, {} times", tally.begun);
        // Where faults overlap, a few meet a node that another one has brought down.
        if plan.scenario == Scenario::Random && tally.begun < OFTEN {
            outcome.remarks.push(text);
        } else {
            outcome.problems.push(text);
        }
    }
    // A run that broke off has said why, and what it counted went with it.
    if outcome.faults.is_empty() && outcome.problems.is_empty() {
        outcome.problems.push("no fault was dealt".to_owned());
    }
    judge(plan, &history, &mut outcome)?;
    Ok(outcome)
}

impl Seen {
    fn broken_off(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Seen {
            problems: vec![format!(
                "the run broke off: {}",
                text.unwrap_or("a panic without words")
            )],
            ..Seen::default()
        }
    }
}

async fn play(plan: &Plan, able: &Capabilities, notes: &Notes) -> Seen {
    let mut seen = Seen::default();
    let mut cluster = found(plan, able).await;
    let observing = (plan.scenario == Scenario::DamagedSnapshot).then(|| observe(cluster.client().clone()));
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    let offers = offers(&cluster).await;
    let Some(hot) = offers.iter().find(|offer| offer.venue == HOT_VENUE).cloned() else {
        seen.problems.push(format!("{HOT_VENUE} offers nothing"));
        return seen;
    };
    let shard = cluster.shard_of(HOT_VENUE).await;
    let venues = cluster.venues();
    let recorder = Recorder::default();
    let selling = crowd(plan, &cluster, &recorder, &hot, &offers);
    let saving = keep_saving(notes, &recorder, &venues);
    let nemesis = Nemesis::new(cluster, able.clone(), notes.clone(), recorder.clone(), hot.clone());
    let mut stage = Stage::new(nemesis, recorder.clone(), hot, shard);
    // Where the run is cut short, everybody goes home before the cluster is taken down: bound last, dropped first.
    let (selling, saving) = (selling, saving);

    if let Err(stuck) = torment(plan, able, &mut stage).await {
        seen.problems.push(stuck);
    }
    match heal::run(&mut stage.nemesis, notes).await {
        Ok(Some(took)) => seen.healed = Some(took),
        Ok(None) => seen
            .problems
            .push("the cluster did not serve again after the last fault".to_owned()),
        Err(error) => seen.problems.push(error),
    }
    if seen.healed.is_some() {
        selling.stop().await;
    } else {
        // Who never hears goes on asking for a minute each time.
        drop(selling);
    }
    drop(saving);
    notes.save(&recorder, &venues);
    seen.faults.clone_from(stage.nemesis.tally());
    seen.deaths = stage.nemesis.deaths().to_vec();
    seen.failovers = std::mem::take(&mut stage.failovers);
    seen.remarks = std::mem::take(&mut stage.remarks);
    if seen.healed.is_some() {
        let mut replicas = Saved::default();
        // Waits on its own: replicas that never come to agree are a finding, with what the visitors were told.
        stage.nemesis.cluster.until_settled().await;
        if let Some((observer, task)) = observing {
            // What is purged by now was read while it was there; the rest is read below.
            drop(task);
            let mut observer = observer.lock().await;
            observer.read(stage.nemesis.cluster.client()).await;
            notes.add(&std::mem::take(&mut *observer).into_saved());
        }
        audit::add_replicas(&stage.nemesis.cluster, &mut replicas).await;
        notes.add(&replicas);
    }
    seen
}

async fn torment(plan: &Plan, able: &Capabilities, stage: &mut Stage) -> Result<(), String> {
    stage.sell(50).await?;
    if plan.scenario == Scenario::Random {
        let planned = random::draw(plan.seed, plan.span, plan.nodes, able);
        return random::run(stage, planned, plan.span).await;
    }
    for cycle in 0..plan.times {
        stage.cycle = cycle;
        cycles::run(plan.scenario, stage)
            .await
            .map_err(|stuck| format!("cycle {} of {}: {stuck}", cycle + 1, plan.times))?;
    }
    Ok(())
}

/// Nodes and a router, on as much of a lab as the machine permits.
async fn found(plan: &Plan, able: &Capabilities) -> Cluster {
    let mut builder = Cluster::builder()
        .nodes(plan.nodes)
        .replication(plan.nodes)
        .shards(plan.shards)
        .programs(&plan.programs)
        .place(&plan.folder)
        .node_flags("--memory 192MiB")
        // The visitors' addresses are made up: the router believes them, so each visitor has a quota of their own.
        .router_flags("--trusted-proxy 127.0.0.0/8 --trusted-proxy 198.18.0.0/15 --rate-limit 60/60s");
    if able.network.is_ok() {
        builder = builder.network();
    }
    if able.volumes.is_ok() {
        builder = builder.volumes(DISK);
    }
    if let Ok(library) = &able.preload {
        builder = builder.faults(library);
    }
    if plan.scenario == Scenario::DamagedSnapshot {
        builder = builder.keep_log_entries(FEW_ENTRIES);
    }
    builder.start().await
}

/// A week from the day after tomorrow, a few slots a venue.
async fn offers(cluster: &Cluster) -> Vec<Offer> {
    let day = |days: i64| {
        (Timestamp::now() + (days * 24).hours())
            .strftime("%Y-%m-%d")
            .to_string()
    };
    let all = selling::offers(&Visitor::new(&cluster.door()), &day(2), &day(9)).await;
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    all.into_iter()
        .filter(|offer| {
            let count = taken.entry(offer.venue.clone()).or_default();
            *count += 1;
            *count <= SLOTS_PER_VENUE
        })
        .collect()
}

fn crowd(plan: &Plan, cluster: &Cluster, recorder: &Recorder, hot: &Offer, offers: &[Offer]) -> Selling {
    let (manner, offers): (Manner, Vec<Offer>) = match plan.scenario {
        // What is measured is how soon one can book again, so nothing may sell out.
        Scenario::LeaderKilled | Scenario::SlowFollower => {
            let of_hot = offers.iter().filter(|offer| offer.venue == HOT_VENUE);
            (Manner::Looking, of_hot.cloned().collect())
        }
        _ => (Manner::Living, offers.to_vec()),
    };
    let (door, gates) = (cluster.door(), Some(cluster.token()));
    Selling::start_with(recorder.clone(), &door, gates, plan.visitors, manner, hot, &offers)
}

/// Reads the logs every second, for a run in which they are purged.
fn observe(client: ClusterClient) -> (Arc<Mutex<Observer>>, Background) {
    let observer = Arc::new(Mutex::new(Observer::default()));
    let mine = Arc::clone(&observer);
    let task = Background(tokio::spawn(async move {
        loop {
            mine.lock().await.read(&client).await;
            tokio::time::sleep(SAVE).await;
        }
    }));
    (observer, task)
}

/// A task that ends with whoever wanted it.
struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn keep_saving(notes: &Notes, recorder: &Recorder, venues: &Venues) -> Background {
    let (notes, recorder, venues) = (notes.clone(), recorder.clone(), venues.clone());
    Background(tokio::spawn(async move {
        loop {
            tokio::time::sleep(SAVE).await;
            notes.save(&recorder, &venues);
        }
    }))
}

/// Reads the history back, asks the invariants, writes the page and the pictures.
fn judge(plan: &Plan, history: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let text = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(history).map_err(|error| text(history, &error))?;
    let saved = Saved::read_unfinished(BufReader::new(file)).map_err(|error| text(history, &error))?;
    outcome.verdicts = invariants::check(&saved).map_err(|error| text(history, &error))?;
    let page = plan.folder.join("report.html");
    fs::write(&page, html::page(&saved, &outcome.verdicts)).map_err(|error| text(&page, &error))?;
    let title = format!(
        "{}: from the fault to the next booking, {} times",
        plan.scenario,
        outcome.failovers.count()
    );
    if let Some(picture) = outcome.failovers.picture(&title) {
        let path = plan.folder.join("failover.svg");
        fs::write(&path, picture).map_err(|error| text(&path, &error))?;
        let path = plan.folder.join("failover.txt");
        let words = outcome.failovers.in_words().unwrap_or_default();
        fs::write(
            &path,
            format!("{words}\nin milliseconds:\n{}", outcome.failovers.in_full()),
        )
        .map_err(|error| text(&path, &error))?;
    }
    if outcome.is_sound() {
        forget_data(plan);
    }
    Ok(())
}

/// The data of a sound run says nothing that its history does not.
fn forget_data(plan: &Plan) {
    for node in 1..=plan.nodes {
        let _ = fs::remove_file(plan.folder.join(format!("node-{node}.img")));
        let _ = fs::remove_dir_all(plan.folder.join(format!("node-{node}")));
        let _ = fs::remove_file(plan.folder.join(format!("node-{node}.orders")));
    }
}

fn header(plan: &Plan, able: &Capabilities) -> Header {
    let mut environment = BTreeMap::from([
        ("nodes".to_owned(), plan.nodes.to_string()),
        ("shards".to_owned(), plan.shards.to_string()),
        ("visitors".to_owned(), plan.visitors.to_string()),
        ("cycles".to_owned(), plan.times.to_string()),
        ("timing".to_owned(), TIMING.to_owned()),
        ("programs".to_owned(), plan.programs.display().to_string()),
        ("rotunda-chaos".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("began".to_owned(), Timestamp::now().to_string()),
        (
            "cores".to_owned(),
            std::thread::available_parallelism()
                .map_or(1, std::num::NonZeroUsize::get)
                .to_string(),
        ),
    ]);
    if let Ok(kernel) = fs::read_to_string("/proc/sys/kernel/osrelease") {
        environment.insert("kernel".to_owned(), kernel.trim().to_owned());
    }
    for (what, why) in able.not_covered() {
        environment.insert(format!("NOT COVERED: {what}"), why);
    }
    Header {
        version: VERSION,
        name: plan.scenario.name().to_owned(),
        seed: Some(plan.seed),
        command: plan.command.clone(),
        environment,
        heal_within_ms: u64::try_from(heal::WITHIN.as_millis()).ok(),
        ..Header::default()
    }
}

/// What of a scenario's needs the machine does not meet; none where it can be run.
#[must_use]
pub fn cannot(scenario: Scenario, able: &Capabilities) -> Option<String> {
    let unmet: Vec<String> = scenario
        .needs()
        .iter()
        .filter_map(|need: &Need| able.missing(*need).map(ToString::to_string))
        .collect();
    (!unmet.is_empty()).then(|| unmet.join("; "))
}
