//! `rotunda-chaos shrink`: makes a seed that violates something smaller, and writes what is left as a scenario.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use rotunda_chaos::sim::plan::Plan;
use rotunda_chaos::sim::shrink::{Trial, shrink};

use super::simulate::{Setting, Summary, cores, run_apart};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rotunda-chaos shrink --seed 17 --minutes 10 --out chaos-tests/scenarios/what-it-is.json
  rotunda-chaos simulate --scenario chaos-tests/scenarios/what-it-is.json

Scenarios under chaos-tests/scenarios are run by `make test`, and must be sound: keep the file with the mend.

Exit codes: 0 written, 1 the seed violates nothing, 2 wrong usage.")]
pub(crate) struct ShrinkArguments {
    /// The seed that fails.
    #[arg(long, value_name = "N", required_unless_present = "scenario")]
    seed: Option<u64>,
    /// A scenario that fails and is to be smaller still.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "minutes", "nodes", "shards", "faults"])]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    setting: Setting,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Stop with the smallest that was found after so many seconds.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    budget: u64,
    /// Simulations at once; as many as there are cores where it is left out.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// Runs the command.
pub(crate) fn run(arguments: &ShrinkArguments) -> ExitCode {
    match smaller(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn smaller(arguments: &ShrinkArguments) -> Result<bool, String> {
    let plan = match (&arguments.scenario, arguments.seed) {
        (Some(path), _) => Plan::read(path)?,
        (None, Some(seed)) => arguments.setting.plan(seed),
        (None, None) => return Err("say which: --seed N or --scenario FILE".to_owned()),
    };
    let mut trials = Trials {
        dir: tempfile::tempdir().map_err(|error| error.to_string())?,
        until: Instant::now() + Duration::from_secs(arguments.budget),
        jobs: arguments.jobs.unwrap_or_else(cores).max(1),
        promises: Vec::new(),
        tried: 0,
        bar: ProgressBar::new_spinner(),
    };
    trials.promises = trials.run(&plan)?.broken_promises();
    if trials.promises.is_empty() {
        println!("nothing to make smaller: seed {} is sound", plan.seed);
        return Ok(false);
    }
    let mut small = shrink(plan.clone(), &mut trials);
    small.about = format!("seed {}: {}", plan.seed, trials.promises.join(", "));
    trials.bar.finish_and_clear();
    small
        .write(&arguments.out)
        .map_err(|error| format!("{}: {error}", arguments.out.display()))?;
    println!(
        "{} of {} faults, {} of {} visitors, {} of {} simulated seconds are left after {} simulations: {}\n  again: \
         rotunda-chaos simulate --scenario {}",
        small.faults.len(),
        plan.faults.len(),
        small.visits.len(),
        plan.visits.len(),
        small.span_ms / 1_000,
        plan.span_ms / 1_000,
        trials.tried,
        trials.promises.join(", "),
        arguments.out.display(),
    );
    Ok(true)
}

/// Tries plans in processes of their own, several at once.
struct Trials {
    dir: tempfile::TempDir,
    until: Instant,
    jobs: usize,
    /// What the original violates: one of these must be violated still.
    promises: Vec<String>,
    tried: usize,
    bar: ProgressBar,
}

impl Trials {
    fn run(&self, plan: &Plan) -> Result<Summary, String> {
        let file = tempfile::NamedTempFile::new_in(self.dir.path()).map_err(|error| error.to_string())?;
        plan.write(file.path()).map_err(|error| error.to_string())?;
        run_apart(&[format!("--scenario={}", file.path().display())])
    }

    fn fails(&self, plan: &Plan) -> bool {
        self.run(plan).is_ok_and(|summary| {
            let promises = summary.broken_promises();
            promises.iter().any(|promise| self.promises.contains(promise))
        })
    }
}

impl Trial for Trials {
    fn first_that_fails(&mut self, candidates: &[Plan]) -> Option<usize> {
        for (batch, plans) in candidates.chunks(self.jobs).enumerate() {
            if Instant::now() >= self.until {
                return None;
            }
            self.tried += plans.len();
            self.bar.set_message(format!("{} simulations", self.tried));
            self.bar.tick();
            let this = &*self;
            let fail: Vec<bool> = std::thread::scope(|threads| {
                let running: Vec<_> = plans
                    .iter()
                    .map(|plan| threads.spawn(move || this.fails(plan)))
                    .collect();
                running.into_iter().map(|run| run.join().unwrap_or(false)).collect()
            });
            if let Some(found) = fail.iter().position(|fails| *fails) {
                return Some(batch * self.jobs + found);
            }
        }
        None
    }

    fn steps_taken(&mut self, plan: &Plan) -> u64 {
        let steps = self.run(plan).ok().map(|summary| summary.steps);
        steps.unwrap_or(u64::MAX)
    }
}
