//! `rotunda-chaos simulate`: runs seeds, each in a process of its own, side by side; says what was exercised and, of a
//! seed that violated something, what, where, and how to see it again.

mod apart;
mod report;
mod setting;
mod summary;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rotunda_chaos::sim::faults::Class;
use rotunda_chaos::sim::plan::Plan;

pub(crate) use self::apart::run_apart;
use self::report::Report;
pub(crate) use self::setting::Setting;
pub(crate) use self::summary::Summary;
use super::Output;

/// So many in a hundred seeds are run twice, to see that they give the same trace.
const RERUN_PERCENT: u64 = 5;

/// Results that wait to be counted. When there are so many, the next seeds wait.
const SUMMARIES_WAITING: usize = 16;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rotunda-chaos simulate --seeds 1..200
  rotunda-chaos simulate --seed 17 --minutes 10 --history seed-17.jsonl
  rotunda-chaos check seed-17.jsonl --html seed-17.html
  rotunda-chaos simulate --scenario chaos-tests/scenarios/some.json

Exit codes: 0 sound, 1 violated, not repeatable, or a fault that was asked for was never felt, 2 wrong usage.")]
pub(crate) struct SimulateArguments {
    /// One seed.
    #[arg(long, value_name = "N", group = "which", required_unless_present_any = ["seeds", "scenario"])]
    seed: Option<u64>,
    /// Several: from the first to the last, both included.
    #[arg(long, value_name = "A..B", value_parser = range, group = "which")]
    seeds: Option<(u64, u64)>,
    /// A scenario: what `rotunda-chaos shrink` wrote. It says itself how large and how long.
    #[arg(long, value_name = "FILE", group = "which", conflicts_with_all = ["minutes", "nodes", "shards", "faults"])]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    setting: Setting,
    /// Seeds at once; as many as there are cores where it is left out.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Save the history, for `rotunda-chaos check`; of one seed or scenario.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    history: Option<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Run it here and print one line of JSON about it.
    #[arg(long, hide = true)]
    child: bool,
}

pub(super) fn range(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(from, to)| {
        let to = to.strip_prefix('=').unwrap_or(to);
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    parsed
        .filter(|(from, to)| from <= to)
        .ok_or_else(|| "expected two numbers, as 1..200".to_owned())
}

impl SimulateArguments {
    /// The flags that repeat a seed, or the scenario.
    fn flags(&self, seed: u64) -> Vec<String> {
        match &self.scenario {
            Some(path) => vec![format!("--scenario={}", path.display())],
            None => self.setting.flags(seed),
        }
    }

    /// The first seed and the last.
    fn seeds(&self) -> Result<(u64, u64), String> {
        match (&self.scenario, self.seed, self.seeds) {
            (Some(path), _, _) => Plan::read(path).map(|plan| (plan.seed, plan.seed)),
            (None, Some(seed), _) => Ok((seed, seed)),
            (None, None, Some(seeds)) => Ok(seeds),
            (None, None, None) => Err("say which: --seed 1, --seeds 1..200 or --scenario FILE".to_owned()),
        }
    }

    /// The faults that the runs are to show.
    fn classes(&self) -> Vec<Class> {
        match &self.scenario {
            Some(_) => Vec::new(),
            None => self.setting.classes(),
        }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &SimulateArguments) -> ExitCode {
    let ran = if arguments.child {
        here(arguments).map(|()| true)
    } else {
        arguments.seeds().map(|(from, to)| all(arguments, from, to))
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn here(arguments: &SimulateArguments) -> Result<(), String> {
    let plan = match &arguments.scenario {
        Some(path) => Plan::read(path)?,
        None => arguments.setting.plan(arguments.seeds()?.0),
    };
    apart::run_here(&plan, arguments.history.as_deref())
}

/// Runs all seeds and says what they came to; true where that is sound.
fn all(arguments: &SimulateArguments, from: u64, to: u64) -> bool {
    let jobs = arguments.jobs.unwrap_or_else(cores);
    let every = (100 / RERUN_PERCENT).max(1);
    let mut queue: Vec<u64> = (from..=to).rev().collect();
    // The first seed and then every twentieth once more.
    queue.extend((from..=to).step_by(usize::try_from(every).unwrap_or(1)));
    let bar = progress(queue.len() as u64);
    let begun = Instant::now();
    let queue = Mutex::new(queue);
    let (tell, told) = mpsc::sync_channel(SUMMARIES_WAITING);
    let mut seen: BTreeMap<u64, Summary> = BTreeMap::new();
    let (mut broken, mut different, mut reruns) = (Vec::new(), Vec::new(), 0_u64);
    std::thread::scope(|threads| {
        for _ in 0..jobs.max(1) {
            let (queue, tell) = (&queue, tell.clone());
            threads.spawn(move || {
                while let Some(seed) = queue.lock().ok().and_then(|mut queue| queue.pop()) {
                    let mut flags = arguments.flags(seed);
                    flags.extend(
                        arguments
                            .history
                            .iter()
                            .map(|path| format!("--history={}", path.display())),
                    );
                    let _ = tell.send((seed, run_apart(&flags)));
                }
            });
        }
        drop(tell);
        for (seed, summary) in told {
            bar.inc(1);
            match (summary, seen.get(&seed)) {
                (Err(why), _) => broken.push((seed, why)),
                (Ok(found), Some(first)) => {
                    reruns += 1;
                    if first.trace != found.trace {
                        different.push((seed, first.trace.clone(), found.trace));
                    }
                }
                (Ok(found), None) => {
                    if !found.is_sound() {
                        bar.println(format!("seed {seed}: violated"));
                    }
                    seen.insert(seed, found);
                }
            }
        }
    });
    bar.finish_and_clear();
    let report = Report {
        missing: missing(&arguments.classes(), &seen),
        seen,
        broken,
        different,
        reruns,
        wall: begun.elapsed(),
    };
    match arguments.output {
        Output::Table => report.print(arguments),
        Output::Json => report.print_json(),
    }
    report.is_sound()
}

/// How many simulations run well at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

fn progress(seeds: u64) -> ProgressBar {
    let bar = ProgressBar::new(seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} to go") {
        bar.set_style(style);
    }
    bar
}

/// Faults that were asked for and not felt: never dealt, or dealt and without effect.
fn missing(asked: &[Class], seen: &BTreeMap<u64, Summary>) -> Vec<Class> {
    let happened = |of: fn(&Summary) -> &BTreeMap<String, u64>| -> BTreeSet<&str> {
        let counts = seen.values().flat_map(of);
        counts
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| name.as_str())
            .collect()
    };
    let (dealt, felt) = (happened(|summary| &summary.faults), happened(|summary| &summary.counts));
    let is_missing =
        |class: &Class| !dealt.contains(class.name()) || class.felt_as().is_some_and(|count| !felt.contains(count));
    asked.iter().copied().filter(is_missing).collect()
}
