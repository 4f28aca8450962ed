//! `rotunda-bench`: how fast places are sold, with an audit of what was sold. The library's `bench` does the work.

mod goals;
mod look;
mod peers;
mod run;
mod strangers;
mod streams;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use goals::GoalsArguments;
use look::LookArguments;
use peers::PeersArguments;
use run::RunArguments;
use strangers::StrangersArguments;
use streams::StreamsArguments;
use tempfile::TempDir;

// As in the router, whose client library it uses.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures a Rotunda cluster that it starts on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "rotunda-bench",
    version,
    after_help = "Exit codes: 0 sound, 1 the audit found something, 2 wrong usage or nothing could be measured. Goals that are missed are told, and change no exit code."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one workload, audit it, and tell rates, latencies and processor time.
    Run(Box<RunArguments>),
    /// Measure PostgreSQL, Redis, etcd and Rotunda, one after the other on this machine, and tell the ratios.
    Peers(PeersArguments),
    /// Let visitors look at one museum's month, at the router and at nginx with the same bytes, and tell the ratio.
    Look(LookArguments),
    /// Keep event streams open on one router while places are sold, and tell what they saw, how late, and what one costs.
    Streams(StreamsArguments),
    /// Let a million addresses ask one router, and tell what its limiter costs in memory.
    Strangers(StrangersArguments),
    /// Measure the goals for speed, S1 to S9, in one run, and tell which are met.
    Goals(GoalsArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

// One thread for all clients: the others of the machine are for what is measured. Of the multi-threaded runtime all the same,
// for whoever kills a node waits for its end.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    // An on-sale has more connections than the usual soft limit.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments).await,
        Command::Peers(arguments) => peers::peers(&arguments).await,
        Command::Look(arguments) => look::look(&arguments).await,
        Command::Streams(arguments) => streams::streams(&arguments).await,
        Command::Strangers(arguments) => strangers::strangers(&arguments).await,
        Command::Goals(arguments) => goals::goals(&arguments).await,
    }
}

/// A folder that others' servers can use too, which run as other users.
fn open_folder(data: Option<&PathBuf>) -> Result<TempDir, ExitCode> {
    let folder = match data {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    folder
        .and_then(|folder| std::fs::set_permissions(folder.path(), open).map(|()| folder))
        .map_err(|error| {
            eprintln!("error: no folder for data: {error}\n  next: name another one with --data");
            ExitCode::from(2)
        })
}
