//! `rotunda-chaos mutants`: turns on the seeded bugs one at a time, runs seeds of the simulator until an invariant is
//! violated, and says which, at which seed, after how long. Each seed that finds a bug is run once more without it and has
//! to be sound then, or it proves nothing.
//!
//! Only a build with the feature `mutants` has the bugs; any other says how to make one.

use clap::Args;

use super::Output;

#[cfg(feature = "mutants")]
mod hunt;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  make mutants
  rotunda-chaos mutants --only VoteNotSaved,FollowerRead --budget 120
  rotunda-chaos mutants --output json

Exit codes: 0 every bug was found, 1 one was not, 2 wrong usage, or a build that has no bugs.")]
pub(crate) struct MutantsArguments {
    /// Only these bugs, separated by commas; all of them where it is left out.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Seeds to try: from the first to the last, both included.
    #[arg(long, default_value = "1..1000", value_name = "A..B", value_parser = super::simulate::range)]
    seeds: (u64, u64),
    /// Seconds to look for each.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    budget: u64,
    /// Bugs hunted at once; as many as there are cores where it is left out.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Run one seed here and print one line of JSON about it.
    #[arg(long, hide = true)]
    child: bool,
    /// With --child: leave the bug off.
    #[arg(long, hide = true)]
    control: bool,
}

/// Runs the command.
#[cfg(feature = "mutants")]
pub(crate) use self::hunt::run;

/// How a build with the bugs is made.
#[cfg(not(feature = "mutants"))]
const HOW: &str = "\
this build has no seeded bugs, as no build has that does not ask for them. To make one and run it:
  make mutants
or by hand:
  cargo run --workspace --locked --features rotunda-chaos/mutants --bin rotunda-chaos -- mutants";

/// Says what is lacking.
#[cfg(not(feature = "mutants"))]
pub(crate) fn run(_: &MutantsArguments) -> std::process::ExitCode {
    eprintln!("error: {HOW}");
    std::process::ExitCode::from(2)
}
