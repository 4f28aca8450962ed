//! The goals for speed, S1 to S9, in one run on one machine: what is wanted, what was reached, and whether that is it.
//!
//! What is compared is measured within minutes, for a machine that is shared is faster in one hour than in the next. Every run
//! is audited; one that is not sound is told, and counts as a goal that was missed.

mod crowd;
mod day;
mod large;
mod lone;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::market::NotOnOffer;
use super::onsale;
use super::peers::{self, Figure, Missing};
use super::report::{new_table, thousands};
use super::run::{self, Outcome, Plan, Way};
use super::samples::{Deed, Failures};
use super::shopper::Workload;

/// TigerBeetle's rate for 32 clients with 64 transfers each, as the design measured it on such a machine: it is not among the
/// peers that are measured here.
const TIGERBEETLE_32X64: f64 = 46_454.0;

/// Of `sellout`.
const PLACES: u64 = 1_400_000;

/// More visitors than two cores serve: the rush of S6 once more with so many for each.
const OVERLOAD: f64 = 4.0;

/// Sellouts that take longer are cut off.
const SELLOUT_LIMIT: Duration = Duration::from_secs(600);

/// A goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
pub enum Goal {
    /// One slot, by gRPC.
    S1,
    /// One slot, by HTTP.
    S2,
    /// All slots, held against one.
    S3,
    /// 1.4 million places.
    S4,
    /// One client.
    S5,
    /// An on-sale.
    S6,
    /// Ten million bookings.
    S7,
    /// Many groups.
    S8,
    /// A museum's day.
    S9,
}

/// What is measured, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// These and no others.
    pub only: BTreeSet<Goal>,
    /// Of each rate.
    pub span: Duration,
    /// Of S7.
    pub bookings: u64,
    /// How long twelve hours take, in S9.
    pub day: Duration,
    /// Visitors a second at the peak of S9.
    pub peak: f64,
    /// How many come in S6 for each one in the file.
    pub scale: f64,
    /// Where data goes: the disk that is measured.
    pub place: PathBuf,
    /// Where the programs are, where not beside this one.
    pub programs: Option<PathBuf>,
}

/// One thing that is wanted.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Of which goal.
    pub goal: Goal,
    /// Of what.
    pub what: String,
    /// What was wanted.
    pub wanted: String,
    /// What was reached.
    pub reached: String,
    /// Whether that is it.
    pub met: bool,
}

/// All that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// One thing after the other.
    pub lines: Vec<Line>,
    /// What the peers reached.
    pub peers: Vec<Figure>,
    /// Peers that were not measured.
    pub not_measured: Vec<Missing>,
    /// What audits found.
    pub unsound: Vec<String>,
}

impl Report {
    fn add(&mut self, goal: Goal, what: &str, wanted: impl Into<String>, reached: impl Into<String>, met: bool) {
        self.lines.push(Line {
            goal,
            what: what.to_owned(),
            wanted: wanted.into(),
            reached: reached.into(),
            met,
        });
    }

    /// As [`Report::add`] of a rate that should be at least so much.
    fn rate(&mut self, goal: Goal, what: &str, wanted: f64, reached: f64) {
        let text = |rate: f64| format!("{}/s", thousands(rate));
        self.add(
            goal,
            what,
            format!(">= {}", text(wanted)),
            text(reached),
            reached >= wanted,
        );
    }

    /// As [`Report::add`] of a rate that should be at least so many times another.
    fn times(&mut self, goal: Goal, what: &str, wanted: f64, reached: f64, other: f64) {
        let times = reached / other.max(1e-9);
        let reached = format!("{times:.2}x of {}/s", thousands(other));
        self.add(goal, what, format!(">= {wanted}x"), reached, times >= wanted);
    }

    fn audited(&mut self, goal: Goal, outcome: &Outcome) {
        for finding in &outcome.audit.findings {
            self.unsound.push(format!("{goal:?}: {finding}"));
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut table = new_table();
        table.set_header(["goal", "of what", "wanted", "reached", ""]);
        for line in &self.lines {
            let met = if line.met { "met" } else { "MISSED" };
            table.add_row([
                &format!("{:?}", line.goal),
                &line.what,
                &line.wanted,
                &line.reached,
                met,
            ]);
        }
        let mut text = format!("{table}\n");
        for missing in &self.not_measured {
            let _ = writeln!(text, "NOT MEASURED: {}: {}", missing.who, missing.why);
        }
        for finding in &self.unsound {
            let _ = writeln!(text, "NOT SOUND: {finding}");
        }
        text
    }
}

/// Measures the goals that are asked for.
///
/// # Errors
/// Where a market cannot be set up, or the folder cannot be used.
///
/// # Panics
/// Where a cluster does not come up, or ends.
pub async fn measure(options: &Options, progress: impl Fn(&str)) -> Result<Report, NotOnOffer> {
    let mut report = Report::default();
    let wanted = |goal| options.only.is_empty() || options.only.contains(&goal);
    if wanted(Goal::S1) || wanted(Goal::S2) || wanted(Goal::S3) {
        hot_and_spread(options, &mut report, &wanted, &progress).await?;
    }
    if wanted(Goal::S4) {
        progress("S4: 1.4 million places");
        sellout(options, &mut report).await?;
    }
    if wanted(Goal::S5) {
        progress("S5: one client");
        lone::measure(options, &mut report).await?;
    }
    if wanted(Goal::S6) {
        progress("S6: an on-sale");
        on_sale(options, &mut report).await?;
    }
    if wanted(Goal::S7) {
        large::measure(options, &mut report, &progress).await?;
    }
    if wanted(Goal::S8) {
        progress("S8: many groups");
        crowd::measure(options, &mut report).await?;
    }
    if wanted(Goal::S9) {
        progress("S9: a museum's day");
        day::measure(options, &mut report).await?;
    }
    Ok(report)
}

impl Options {
    /// A plan of this run.
    fn plan(&self, workload: Workload, way: Way) -> Plan {
        Plan {
            place: Some(self.place.clone()),
            ..Plan::new(workload, way, self.span, self.programs.clone())
        }
    }
}

async fn hot_and_spread(
    options: &Options,
    report: &mut Report,
    wanted: impl Fn(Goal) -> bool,
    progress: impl Fn(&str),
) -> Result<(), NotOnOffer> {
    if wanted(Goal::S1) || wanted(Goal::S2) {
        let (figures, missing) = peers::measure(&options.place, options.span, &progress).await;
        (report.peers, report.not_measured) = (figures, missing);
    }
    for (way, goal) in [(Way::Grpc, Goal::S1), (Way::Http, Goal::S2)] {
        let door = if way == Way::Grpc { "gRPC" } else { "HTTP" };
        progress(&format!("{goal:?}: one slot by {door}"));
        let outcome = run::run(&options.plan(Workload::Hot, way)).await?;
        report.audited(goal, &outcome);
        let hot = outcome.rate(Deed::Hold);
        if wanted(goal) {
            match way {
                Way::Grpc => against_redis(report, hot),
                Way::Http => against_databases(report, hot),
            }
        }
        if wanted(Goal::S3) {
            progress(&format!("S3: all slots by {door}"));
            let outcome = run::run(&options.plan(Workload::Spread, way)).await?;
            report.audited(Goal::S3, &outcome);
            let what = format!("all slots, held against one slot, {door}");
            report.times(Goal::S3, &what, 0.8, outcome.rate(Deed::Hold), hot);
        }
    }
    Ok(())
}

/// The best rate of a peer's figures of this work.
fn best(report: &Report, who: &str, fits: impl Fn(&Figure) -> bool) -> Option<f64> {
    let figures = report
        .peers
        .iter()
        .filter(|figure| figure.who.starts_with(who) && fits(figure));
    figures.map(|figure| figure.rate).max_by(f64::total_cmp)
}

fn against_redis(report: &mut Report, hot: f64) {
    report.rate(Goal::S1, "one slot, gRPC, 2,048 in flight", 100_000.0, hot);
    let tigerbeetle = "held against TigerBeetle, 32 x 64 (figure of the design)";
    report.times(Goal::S1, tigerbeetle, 2.0, hot, TIGERBEETLE_32X64);
    if let Some(redis) = best(report, "Redis", |figure| figure.clients <= 256) {
        report.times(Goal::S1, "held against Redis, up to 256 connections", 1.0, hot, redis);
    }
    if let Some(redis) = best(report, "Redis", |figure| figure.clients > 256) {
        report.times(Goal::S1, "held against Redis, 2,048 in pipelines", 1.0, hot, redis);
    }
}

fn against_databases(report: &mut Report, hot: f64) {
    report.rate(Goal::S2, "one slot, HTTP, 256 connections", 30_000.0, hot);
    let one = |figure: &Figure| figure.work.contains("hot slot");
    if let Some(rate) = best(report, "PostgreSQL", |figure| one(figure) && figure.clients > 8) {
        report.times(
            Goal::S2,
            "held against PostgreSQL's hot slot, 64 clients",
            15.0,
            hot,
            rate,
        );
    }
    if let Some(rate) = best(report, "PostgreSQL", one) {
        report.times(
            Goal::S2,
            "held against PostgreSQL's hot slot at its best",
            15.0,
            hot,
            rate,
        );
    }
    if let Some(rate) = best(report, "PostgreSQL", |figure| !one(figure)) {
        report.times(Goal::S2, "held against PostgreSQL's 1,000 slots", 2.0, hot, rate);
    }
    if let Some(rate) = best(report, "etcd", one) {
        report.times(Goal::S2, "held against etcd's best compare-and-swap", 75.0, hot, rate);
    }
}

async fn sellout(options: &Options, report: &mut Report) -> Result<(), NotOnOffer> {
    let plan = Plan {
        span: SELLOUT_LIMIT,
        ..options.plan(Workload::Sellout, Way::Http)
    };
    let outcome = run::run(&plan).await?;
    report.audited(Goal::S4, &outcome);
    let took = format!("{:.0} s", outcome.seconds);
    let what = "1.4 million places held and confirmed, HTTP";
    report.add(Goal::S4, what, "< 60 s", took, outcome.seconds < 60.0);
    let taken = outcome.audit.places_taken;
    let reached = format!("{} places", thousands(taken as f64));
    report.add(
        Goal::S4,
        "sold, each once",
        "all, and none twice",
        reached,
        taken == PLACES,
    );
    Ok(())
}

/// The whole of it as it is, and its first minute with more visitors than the machine can serve.
async fn on_sale(options: &Options, report: &mut Report) -> Result<(), NotOnOffer> {
    let whole = onsale::arrivals(options.scale);
    arrive(options, report, "on-sale", whole).await?;
    let rush = onsale::rush(options.scale * OVERLOAD);
    arrive(
        options,
        report,
        &format!("its first minute, {OVERLOAD} times the visitors"),
        rush,
    )
    .await
}

async fn arrive(options: &Options, report: &mut Report, what: &str, arrivals: Vec<u64>) -> Result<(), NotOnOffer> {
    let plan = Plan {
        warm_up: Duration::ZERO,
        // Until the last who came has gone.
        span: Duration::from_secs(arrivals.len() as u64 + 10),
        arrivals: Some(arrivals.into()),
        ..options.plan(Workload::Onsale, Way::Http)
    };
    let outcome = run::run(&plan).await?;
    report.audited(Goal::S6, &outcome);
    let deeds = || outcome.deeds.values();
    let failed: u64 = deeds().map(|deed| deed.counts.failed).sum();
    let all: u64 = deeds().map(|deed| deed.counts.all()).sum();
    let failures = deeds().fold(Failures::default(), |sum, deed| sum.and(deed.counts.failures));
    let why = if failed == 0 {
        String::new()
    } else {
        format!(" ({failures})")
    };
    let mut add = |row: &str, wanted: &str, reached: String, met| {
        report.add(Goal::S6, &format!("{what}: {row}"), wanted, reached, met);
    };
    let reached = format!("{failed} of {}{why}", thousands(all as f64));
    add("answers that are our error", "none", reached, failed == 0);
    let p99 = deeds().map(|deed| deed.latency_us.p99).max().unwrap_or(0);
    let reached = format!("{} ms", p99 / 1_000);
    add("admitted requests, p99", "<= 1,000 ms", reached, p99 <= 1_000_000);
    let shed: u64 = deeds().map(|deed| deed.counts.shed).sum();
    let slowest = deeds().map(|deed| deed.shed_us.p99).max().unwrap_or(0);
    let reached = format!("{} ms, {} shed", slowest / 1_000, thousands(shed as f64));
    add("shed requests, p99", "<= 50 ms", reached, slowest <= 50_000);
    let sound = outcome.audit.is_sound();
    let reached = if sound { "none" } else { "see below" };
    add("overbooked", "none", reached.to_owned(), sound);
    Ok(())
}

/// A folder under `place`.
fn folder(place: &Path, name: &str) -> Result<PathBuf, NotOnOffer> {
    let folder = place.join(name);
    std::fs::create_dir_all(&folder).map_err(|error| NotOnOffer::new(format!("{}: {error}", folder.display())))?;
    Ok(folder)
}
