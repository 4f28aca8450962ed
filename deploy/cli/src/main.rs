//! `rotunda`, the operator's command.
//!
//! It starts a demo cluster of real processes (`demo`), loads a catalogue (`import`), shows how a cluster stands (`status`) and
//! what one process does from second to second (`top`), drains, awaits and replaces nodes (`node`), sees and raises the cluster's
//! version (`cluster`), changes what is logged (`log`), issues tokens (`token`), sets quotas (`limits`), recomputes what the
//! ledgers say (`ledger`), makes backups and new clusters of them (`backup`), asks one process for its health (`health`), has files
//! of settings checked (`config`) and makes certificates (`certs`). It reaches a running cluster by the router's HTTP door; by
//! admin ports where one process is asked (`health`, `top`, `log`); by the nodes' gRPC ports only where it must: a backup reads
//! more than a door should carry, a lost node is replaced where there may be no router, and the demo owns its nodes. What
//! production runs is `rotunda-node` and `rotunda-router`; nothing here is in their path.
//!
//! One module a command; `door` is the HTTP client that they share, `failure` what an error owes the caller.

mod args;
mod backup;
mod binaries;
mod certs;
mod config;
mod demo;
mod door;
mod failure;
mod health;
mod import;
mod ledger;
mod limits;
mod log;
mod nodes;
mod paint;
mod status;
mod token;
mod top;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command, NodeArguments, NodeCommand};
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
            Command::Node(node) => node_command(node).await,
            Command::Cluster(cluster) => upgrade::cluster(cluster).await,
            Command::Log(log) => log::run(log).await,
            Command::Backup(backup) => backup::run(backup).await,
            Command::Health(health) => health::run(health).await,
            Command::Config(config) => config::run(config).await,
            Command::Certs(certs) => certs::run(certs),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Of a node that runs, through the door; of one that comes or goes, from the nodes.
async fn node_command(arguments: NodeArguments) -> Result<(), Failure> {
    match arguments.command {
        NodeCommand::Drain(drain) => upgrade::drain_node(drain).await,
        NodeCommand::Ready(ready) => upgrade::await_node(ready).await,
        NodeCommand::Remove(remove) => nodes::remove_node(remove).await,
        NodeCommand::Add(add) => nodes::add_node(add).await,
    }
}
