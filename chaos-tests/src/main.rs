//! `rotunda-chaos`: what an operator runs against a build before an upgrade, and what audits a run afterwards.
//!
//! One module a command, under `command/`; the library beside it does the work. Exit codes mean the same everywhere: 0
//! sound, 1 something was violated, 2 nothing could be said.

mod command;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match command::Arguments::parse().command {
        command::Command::Check(arguments) => command::check::run(&arguments),
    }
}
