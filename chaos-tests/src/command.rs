//! The commands and what each takes.

pub(crate) mod check;
pub(crate) mod mutants;
pub(crate) mod run;
mod run_table;
pub(crate) mod shrink;
pub(crate) mod simulate;
mod table;
mod verdicts;

use clap::{Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0  sound: nothing was violated; what is undecided or not covered is listed
  1  violated: the findings say what, where, and what led there
  2  unreadable or wrong usage: nothing can be said

Output is for people; `--output json` is for programs. NO_COLOR is honoured.";

/// Breaks Rotunda clusters and checks what they promised.
#[derive(Debug, Parser)]
#[command(name = "rotunda-chaos", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Audit a saved history against every invariant.
    Check(check::CheckArguments),
    /// Run a cluster of real processes, break it, and audit it.
    Run(run::RunArguments),
    /// Run a whole cluster in simulated time, with faults from a seed, and audit it.
    Simulate(simulate::SimulateArguments),
    /// Make a seed that violates something smaller, and write what is left as a scenario.
    Shrink(shrink::ShrinkArguments),
    /// Turn on seeded bugs, one at a time, and see that the simulator finds each.
    Mutants(mutants::MutantsArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}
