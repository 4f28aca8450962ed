//! `rotunda-node`: arguments, logging, signals. Everything else is the library's.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use rotunda_node::config::{Config, Flags};
use rotunda_node::server::Server;
use rotunda_service::supervisor;
use rotunda_telemetry::{logs, traces};
use rotunda_tls::mutual::Trust;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    if let Err(error) = logs::start(&config.log, config.log_format) {
        eprintln!("rotunda-node: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
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
    match runtime.block_on(run(config, flags)) {
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

async fn run(config: Config, flags: Flags) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let watch_parent = config.exit_with_parent;
    tokio::spawn(read_log_settings_anew(signal(SignalKind::hangup())?, flags));
    if let Some(endpoint) = &config.traces_endpoint {
        let settings = traces::Settings {
            endpoint: endpoint.clone(),
            // Routers decide which traces are kept; a node only adds to them.
            ratio: 0.0,
            service: "rotunda-node",
            instance: config.node_id.to_string(),
            version: env!("CARGO_PKG_VERSION"),
        };
        traces::start(&settings, rotunda_node::metrics::spans_sent)?;
    }
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
    tokio::spawn(look_when_told(signal(SignalKind::hangup())?, server.trust().cloned()));
    let served = server.run_until(stop).await;
    if traces::are_on() {
        let _ = tokio::task::spawn_blocking(traces::stop).await;
    }
    served
}

/// With each SIGHUP the settings are read as at the start, and what they say of the log counts from then on. Everything else
/// stays as it was until the next start; where the settings cannot be used, so does this.
async fn read_log_settings_anew(mut hangup: Signal, flags: Flags) {
    while hangup.recv().await.is_some() {
        let read = Config::load(&flags).map_err(|error| error.to_string());
        match read.and_then(|config| logs::reset(&config.log).map_err(|error| error.to_string())) {
            Ok(levels) => tracing::info!(filter = levels.filter, "SIGHUP: what is logged is read anew"),
            Err(error) => tracing::error!("SIGHUP: the settings cannot be used, the log stays as it was: {error}"),
        }
    }
}

/// With each SIGHUP the files with certificates are looked at, which they are every few seconds anyway. Without certificates it
/// means nothing.
async fn look_when_told(mut hangup: Signal, trust: Option<Arc<Trust>>) {
    while hangup.recv().await.is_some() {
        let Some(trust) = trust.clone() else { continue };
        match tokio::task::spawn_blocking(move || trust.look()).await {
            Ok(Ok(false)) => tracing::info!("SIGHUP: the certificates are those in use"),
            Ok(Err(problem)) => tracing::error!("SIGHUP: the certificates stay as they were: {problem}"),
            Ok(Ok(true)) | Err(_) => {}
        }
    }
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
