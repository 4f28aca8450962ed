//! `rotunda`, the operator's command.
//!
//! It starts a demo cluster of real processes (`demo`), loads a catalogue (`import`), shows how a cluster stands (`status`) and
//! what one process does from second to second (`top`), issues tokens (`token`), sets quotas (`limits`), recomputes what the ledgers say (`ledger`), asks one process for its health (`health`) and has
//! files of settings checked (`config`). It reaches a running cluster by the router's HTTP
//! door alone, `health` and `top` apart, which ask admin ports; only the demo, which owns its nodes, also
//! asks them over gRPC. What production runs is `rotunda-node` and `rotunda-router`; nothing here is in their path.
//!
//! One module a command; `door` is the HTTP client that they share, `failure` what an error owes the caller.

mod args;
mod binaries;
mod config;
mod demo;
mod door;
mod failure;
mod health;
mod import;
mod ledger;
mod limits;
mod paint;
mod status;
mod token;
mod top;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::failed(format!("cannot start the asynchronous runtime: {error}"))
                .next("check the limits on threads and open files: ulimit -a")
                .report();
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Demo(demo) => demo::run(demo).await,
            Command::Import(import) => import::run(import).await,
            Command::Status(status) => status::run(status).await,
            Command::Top(top) => top::run(top).await,
            Command::Ledger(ledger) => ledger::run(ledger).await,
            Command::Token(token) => token::run(token).await,
            Command::Limits(limits) => limits::run(limits).await,
            Command::Health(health) => health::run(health).await,
            Command::Config(config) => config::run(config).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
