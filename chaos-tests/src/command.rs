//! The commands and what each takes.

pub(crate) mod check;
mod table;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}
