//! `rotunda-chaos`: what an operator runs against a build before an upgrade, and what audits a run afterwards.
//!
//! One module a command, under `command/`; the library beside it does the work. Exit codes mean the same everywhere: 0
//! sound, 1 something was violated, 2 nothing could be said.

mod command;

use std::process::ExitCode;

use clap::Parser as _;

// As in the nodes, whose code simulations run.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match command::Arguments::parse().command {
        command::Command::Check(arguments) => command::check::run(&arguments),
        command::Command::Run(arguments) => command::run::run(&arguments),
        command::Command::Simulate(arguments) => command::simulate::run(&arguments),
        command::Command::Shrink(arguments) => command::shrink::run(&arguments),
        command::Command::Mutants(arguments) => command::mutants::run(&arguments),
    }
}
