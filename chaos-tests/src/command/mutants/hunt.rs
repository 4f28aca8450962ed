//! The hunt: one bug after the other, seed after seed, each seed in a process of its own with the bug switched on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use rotunda_chaos::invariants::Ruling;
use rotunda_chaos::mutants::{Mutant, NODES, SEEDED, SHARDS, Seeded, switch_on};
use rotunda_chaos::sim::plan::Plan;
use rotunda_chaos::sim::run::{Outcome, simulate};
use serde::{Deserialize, Serialize};

use super::MutantsArguments;
use crate::command::Output;

/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A seed that takes so long has hung: it is ended, and says nothing.
const SEED_DEADLINE: Duration = Duration::from_secs(180);

/// Results that wait to be shown. When there are so many, the next hunts wait.
const HUNTS_WAITING: usize = 16;

/// Columns of the table.
const WIDTH: u16 = 160;

/// So many characters of what was found are shown.
const EVIDENCE: usize = 160;

/// What catches a bug when no invariant has to: a check of the node's own, which ends it.
const OWN_CHECK: &str = "the node's own check";

/// What catches a cluster that does not serve, or does not agree, after the faults are over.
const HEALING: &str = "I12";

/// What one seed came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Seen {
    /// Of each violated invariant the first finding.
    violations: BTreeMap<String, String>,
    /// What a node said when it ended by itself.
    deaths: Vec<String>,
    /// What kept the run from its end.
    stuck: Option<String>,
    simulated_ms: u64,
}

impl Seen {
    fn of(outcome: &Outcome) -> Self {
        let violated = outcome
            .verdicts
            .iter()
            .filter(|verdict| verdict.ruling() == Ruling::Violated);
        let violations = violated.map(|verdict| {
            let first = verdict.findings.first().map(|finding| finding.text.clone());
            (verdict.id.to_owned(), first.unwrap_or_default())
        });
        Self {
            violations: violations.collect(),
            deaths: outcome
                .deaths
                .iter()
                .map(|(node, why)| format!("node {node}: {why}"))
                .collect(),
            stuck: outcome.stuck.clone(),
            simulated_ms: outcome.history.ended_ns() / 1_000_000,
        }
    }

    /// The hunts have no failing disks, so a node that ends by itself has met what must not be.
    fn is_sound(&self) -> bool {
        self.violations.is_empty() && self.deaths.is_empty() && self.stuck.is_none()
    }

    /// Invariants first: what a user would have noticed counts for more than what a node says of itself.
    fn caught_by(&self) -> Vec<String> {
        let mut caught: Vec<String> = self.violations.keys().cloned().collect();
        if self.stuck.is_some() && !caught.iter().any(|id| id == HEALING) {
            caught.push(HEALING.to_owned());
        }
        if !self.deaths.is_empty() {
            caught.push(OWN_CHECK.to_owned());
        }
        caught
    }

    fn evidence(&self) -> String {
        let mut all = self.violations.values().chain(&self.stuck).chain(&self.deaths);
        let text = all.next().cloned().unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let short: String = line.chars().take(EVIDENCE).collect();
        if short.len() < line.len() {
            short + " ..."
        } else {
            short
        }
    }
}

/// How a hunt ended.
#[derive(Clone, Debug, Serialize)]
struct Hunt {
    mutant: &'static str,
    breaks: &'static str,
    source: &'static str,
    place: &'static str,
    /// The seed that found it.
    seed: Option<u64>,
    seeds_tried: u64,
    caught_by: Vec<String>,
    evidence: String,
    wall_seconds: f64,
    simulated_minutes: f64,
    /// Why it does not count, where a seed did find something.
    invalid: Option<String>,
}

impl Hunt {
    fn is_success(&self) -> bool {
        self.seed.is_some() && self.invalid.is_none()
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &MutantsArguments) -> ExitCode {
    let known: BTreeSet<&str> = SEEDED.iter().map(|seeded| seeded.mutant.name()).collect();
    if let Some(unknown) = arguments.only.iter().find(|name| !known.contains(name.as_str())) {
        let known: Vec<&str> = known.into_iter().collect();
        eprintln!("error: no such bug: {unknown}; there are: {}", known.join(", "));
        return ExitCode::from(2);
    }
    let wanted =
        |seeded: &&Seeded| arguments.only.is_empty() || arguments.only.iter().any(|name| name == seeded.mutant.name());
    let wanted: Vec<&Seeded> = SEEDED.iter().filter(wanted).collect();
    if arguments.child {
        return child(arguments, &wanted);
    }
    let hunts = hunt_all(arguments, &wanted);
    let found = hunts.iter().all(Hunt::is_success);
    match arguments.output {
        Output::Table => print_table(&hunts),
        Output::Json => {
            let report = serde_json::json!({
                "all_found": found,
                "median_wall_seconds": median(&hunts),
                "mutants": hunts,
            });
            println!("{report:#}");
        }
    }
    if found { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn hunt_all(arguments: &MutantsArguments, wanted: &[&Seeded]) -> Vec<Hunt> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let jobs = arguments.jobs.unwrap_or_else(cores).max(1);
    let bar = ProgressBar::new(wanted.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} bugs, {elapsed}") {
        bar.set_style(style);
    }
    let queue = Mutex::new(wanted.iter().enumerate());
    let (tell, told) = mpsc::sync_channel(HUNTS_WAITING);
    let mut hunts = BTreeMap::new();
    std::thread::scope(|threads| {
        for _ in 0..jobs {
            let (queue, tell) = (&queue, tell.clone());
            threads.spawn(move || {
                while let Some((position, seeded)) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let _ = tell.send((position, hunt(arguments, seeded)));
                }
            });
        }
        drop(tell);
        for (position, hunt) in told {
            bar.inc(1);
            let what = if hunt.is_success() { "found" } else { "NOT FOUND" };
            bar.println(format!("{what}: {} after {:.1} s", hunt.mutant, hunt.wall_seconds));
            hunts.insert(position, hunt);
        }
    });
    bar.finish_and_clear();
    hunts.into_values().collect()
}

fn hunt(arguments: &MutantsArguments, seeded: &Seeded) -> Hunt {
    let begun = Instant::now();
    let budget = Duration::from_secs(arguments.budget);
    let mut hunt = Hunt {
        mutant: seeded.mutant.name(),
        breaks: seeded.breaks,
        source: seeded.source,
        place: seeded.place,
        seed: None,
        seeds_tried: 0,
        caught_by: Vec::new(),
        evidence: String::new(),
        wall_seconds: 0.0,
        simulated_minutes: 0.0,
        invalid: None,
    };
    let (from, to) = arguments.seeds;
    for seed in from..=to {
        let Some(left) = budget.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) else {
            break;
        };
        hunt.seeds_tried += 1;
        let seen = match in_its_own_process(seeded.mutant, seed, false, left.min(SEED_DEADLINE)) {
            Ok(seen) => seen,
            Err(Ended::Late) => continue,
            Err(Ended::Otherwise(why)) => {
                hunt.invalid = Some(why);
                break;
            }
        };
        hunt.simulated_minutes += minutes(seen.simulated_ms);
        if seen.is_sound() {
            continue;
        }
        hunt.wall_seconds = begun.elapsed().as_secs_f64();
        hunt.seed = Some(seed);
        (hunt.caught_by, hunt.evidence) = (seen.caught_by(), seen.evidence());
        hunt.invalid = match in_its_own_process(seeded.mutant, seed, true, SEED_DEADLINE) {
            Ok(control) if control.is_sound() => None,
            Ok(control) => Some(format!(
                "the seed is unsound without the bug as well: {}",
                control.evidence()
            )),
            Err(Ended::Late) => Some("the seed without the bug came to no end".to_owned()),
            Err(Ended::Otherwise(why)) => Some(why),
        };
        return hunt;
    }
    hunt.wall_seconds = begun.elapsed().as_secs_f64();
    hunt
}

/// Why a child said nothing.
enum Ended {
    Late,
    Otherwise(String),
}

/// Runs a seed; with `control`, without the bug.
fn in_its_own_process(mutant: Mutant, seed: u64, control: bool, patience: Duration) -> Result<Seen, Ended> {
    let failed = |error: std::io::Error| Ended::Otherwise(format!("no process for the seed: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command
        .args(["mutants", "--child", "--only", mutant.name()])
        .arg(format!("--seeds={seed}..{seed}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if control {
        command.arg("--control");
    }
    let mut child = command.spawn().map_err(failed)?;
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let status = wait(&mut child, patience).map_err(failed)?;
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    let Some(status) = status else { return Err(Ended::Late) };
    if let Ok(seen) = serde_json::from_str(&out) {
        return Ok(seen);
    }
    if status.code().is_none() {
        // A node's task ended the process, as it would have ended the node's own.
        return Ok(Seen {
            deaths: vec![format!("{} ({status})", last_words(&err))],
            ..Seen::default()
        });
    }
    Err(Ended::Otherwise(format!(
        "the seed's process ended with {status}: {}",
        err.trim()
    )))
}

/// Why a process aborted: the message of its first panic, else the first line that it printed.
fn last_words(said: &str) -> &str {
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    let first = lines.clone().next().unwrap_or("it said nothing");
    let panic = lines.by_ref().find(|line| line.contains("panicked at"));
    panic.and_then(|_| lines.next()).unwrap_or(first)
}

fn read(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// Waits for the child to end; ends it where it does not in time.
fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn child(arguments: &MutantsArguments, wanted: &[&Seeded]) -> ExitCode {
    let [seeded] = wanted else {
        eprintln!("error: --child takes one bug");
        return ExitCode::from(2);
    };
    if !arguments.control && !switch_on(seeded.mutant) {
        eprintln!("error: another bug is on");
        return ExitCode::from(2);
    }
    let span = Duration::from_secs(seeded.minutes * 60);
    let plan = Plan::of_seed(arguments.seeds.0, span, NODES, SHARDS, seeded.faults);
    match serde_json::to_string(&Seen::of(&simulate(&plan, None))) {
        Ok(line) => println!("{line}"),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print_table(hunts: &[Hunt]) {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header([
            "seeded bug",
            "what it breaks; who had it",
            "caught by",
            "seed",
            "after",
            "simulated",
        ]);
    for hunt in hunts {
        let caught = match (&hunt.invalid, hunt.seed) {
            (Some(why), _) => format!("INVALID: {why}"),
            (None, None) => format!("NOT FOUND in {} seeds", hunt.seeds_tried),
            (None, Some(_)) => hunt.caught_by.join(", "),
        };
        table.add_row([
            hunt.mutant.to_owned(),
            format!("{}; {}", hunt.breaks, hunt.source),
            caught,
            hunt.seed.map(|seed| seed.to_string()).unwrap_or_default(),
            format!("{:.1} s", hunt.wall_seconds),
            format!("{:.1} min", hunt.simulated_minutes),
        ]);
    }
    println!("{table}");
    for hunt in hunts.iter().filter(|hunt| hunt.seed.is_some()) {
        println!("{}: {}", hunt.mutant, hunt.evidence);
    }
    let found = hunts.iter().filter(|hunt| hunt.is_success()).count();
    println!("\n{found} of {} found, median {:.1} s", hunts.len(), median(hunts));
}

fn median(hunts: &[Hunt]) -> f64 {
    let mut walls: Vec<f64> = hunts.iter().map(|hunt| hunt.wall_seconds).collect();
    walls.sort_by(f64::total_cmp);
    walls.get(walls.len() / 2).copied().unwrap_or(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn minutes(milliseconds: u64) -> f64 {
    milliseconds as f64 / 60_000.0
}
