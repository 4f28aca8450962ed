//! One simulation, one process: what draws on the process as a whole (hash keys, the allocator, counters) then is the same
//! each time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rotunda_chaos::sim::plan::Plan;
use rotunda_chaos::sim::run::simulate;
use rotunda_chaos::sim::tally::Tally;

use super::summary::Summary;

/// Runs a simulation in a process of its own, and waits for what it came to. `flags` say which.
pub(crate) fn run_apart(flags: &[String]) -> Result<Summary, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg("simulate").args(flags).arg("--child").stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("the process ended with {}: {}", output.status, said.trim())
    })
}

/// Turns on the seeded bug that `ROTUNDA_MUTANT` names: so that what finds it can be made smaller, and kept.
#[cfg(feature = "mutants")]
fn seed_a_bug() -> Result<(), String> {
    use rotunda_chaos::mutants::{Mutant, switch_on};
    let Ok(name) = std::env::var("ROTUNDA_MUTANT") else {
        return Ok(());
    };
    let mutant = Mutant::named(&name).ok_or_else(|| format!("ROTUNDA_MUTANT: no such bug: {name}"))?;
    switch_on(mutant)
        .then_some(())
        .ok_or_else(|| "another bug is on".to_owned())
}

/// A build without seeded bugs, which does not go on as if it had one.
#[cfg(not(feature = "mutants"))]
fn seed_a_bug() -> Result<(), String> {
    match std::env::var("ROTUNDA_MUTANT") {
        Ok(_) => Err("ROTUNDA_MUTANT is set, and this build has no seeded bugs: see `make mutants`".to_owned()),
        Err(_) => Ok(()),
    }
}

/// Runs a plan in this process, and tells on standard output what it came to, as a line of JSON.
pub(super) fn run_here(plan: &Plan, history: Option<&Path>) -> Result<(), String> {
    seed_a_bug()?;
    let tally = Tally::install().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let outcome = simulate(plan, Some(&tally));
    if let Some(path) = history {
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = std::fs::File::create(path).map_err(told)?;
        outcome.history.write(std::io::BufWriter::new(file)).map_err(told)?;
    }
    let line = serde_json::to_string(&Summary::of(plan.seed, &outcome, begun.elapsed()));
    println!("{}", line.map_err(|error| error.to_string())?);
    Ok(())
}
