//! `rotunda-node`: arguments, logging, signals. Everything else is the library's.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use rotunda_node::config::{Config, Flags};
use rotunda_node::server::Server;
use rotunda_service::supervisor;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The settings are wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let config = match Config::load(&flags) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("rotunda-node: {error}\nRun `rotunda-node --help` for all settings.");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if flags.check_config {
        println!("{}", good(&config));
        return ExitCode::SUCCESS;
    }
    log_to_stderr(config.log_json);
    // The soft limit is often 1,024: fewer than the tables and connections of a busy node. Where it stays, opening says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(config.workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rotunda-node: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rotunda-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What `--check-config` says of settings that can be used.
fn good(config: &Config) -> String {
    format!(
        "good: node {} of {} in cluster {}, data in {}, gRPC on {}, admin on {}",
        config.node_id,
        config.peers.len(),
        config.cluster,
        config.data.display(),
        config.grpc,
        config.admin
    )
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_env("ROTUNDA_LOG").unwrap_or_else(|_| EnvFilter::new("info,openraft=error"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.init() }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let watch_parent = config.exit_with_parent;
    let start = Server::start(config, rotunda_node::metrics::install()?);
    let mut stop = Box::pin(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone(), if watch_parent => {}
        }
        supervisor::stopping();
    });
    // A node without data may wait for long until it is let in.
    let server = tokio::select! {
        server = start => server?,
        () = &mut stop => return Ok(()),
    };
    supervisor::ready();
    tokio::spawn(supervisor::watchdog(server.pulse()));
    server.run_until(stop).await
}

/// Ready when standard input ends. Read on a thread of its own: a read of tokio's stdin cannot be given up, and the
/// runtime would wait for it after SIGTERM, for ever.
async fn parent_gone() {
    let (told, gone) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = told.send(());
    });
    // Without the thread nobody would tell: then the node stays until it is asked to stop.
    if thread.is_err() || gone.await.is_err() {
        std::future::pending::<()>().await;
    }
}
