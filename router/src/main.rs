//! `rotunda-router`: reads the settings, connects to the cluster, serves until SIGTERM or Ctrl-C, drains.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use rotunda_protocol::client::{ClientConfig, ClusterClient};
use rotunda_protocol::dial::{Secured, Tcp};
use rotunda_router::backend::Backend;
use rotunda_router::config::Config;
use rotunda_router::metrics;
use rotunda_router::prober::{self, Pace};
use rotunda_router::server::{Bound, Door};
use rotunda_router::trace::{Draw as _, OsDraw};
use rotunda_service::supervisor;
use rotunda_telemetry::{logs, traces};
use rotunda_tls::door::DoorTrust;
use rotunda_tls::mutual::Trust;
use rotunda_tls::renewal::{Material, Renewed};
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

// Many small, short-lived allocations from several threads: glibc's allocator keeps ever more memory under that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line for people: what is wrong and what to do. No backtrace, whatever RUST_BACKTRACE says.
            eprintln!("rotunda-router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let config = Config::load()?;
    if config.check_config {
        println!(
            "good: HTTP on {}, admin on {}, nodes {}",
            config.http,
            config.admin,
            config.node.join(" ")
        );
        return Ok(());
    }
    logs::start(&config.log, config.log_format)?;
    // The soft limit is often 1,024: fewer than the connections that are taken. Where it stays, accepting says so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // What visitors look at comes in on a thread of its own, however busy the door is.
    let streams = threads("streams", 1)?;
    let served = threads("router", config.workers)?.block_on(serve(config, streams.handle().clone()));
    streams.shutdown_background();
    served
}

fn threads(name: &str, count: usize) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count)
        .thread_name(name)
        .enable_all()
        .build()
        .context("cannot start threads")
}

async fn serve(config: Config, streams: Handle) -> anyhow::Result<()> {
    let bound = Bound::bind(&config)?;
    let page = metrics::install().context("cannot set up metrics")?;
    tokio::spawn(page.clone().upkeep());
    if let Some(endpoint) = &config.traces_endpoint {
        let settings = traces::Settings {
            endpoint: endpoint.clone(),
            ratio: config.traces_ratio,
            service: "rotunda-router",
            instance: bound.http().to_string(),
            version: env!("CARGO_PKG_VERSION"),
        };
        traces::start(&settings, metrics::spans_sent)?;
    }
    let trust = match config.tls.files()? {
        Some(files) => Some(Trust::read(files)?),
        None => None,
    };
    if let Some(trust) = &trust {
        trust.publish();
        tokio::spawn(Arc::clone(trust).follow());
    }
    let backend = ClusterClient::connect(ClientConfig {
        seeds: config.node.clone(),
        dial: trust.clone().map_or_else(Tcp::shared, Secured::with),
        ..ClientConfig::default()
    });
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let door = Door::new(&config, Arc::clone(&backend), Arc::new(OsDraw))?;
    door.live.follow_on(streams);
    let stop = CancellationToken::new();
    if config.exit_with_parent {
        stop_with_parent(stop.clone())?;
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn({
        let stop = stop.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            supervisor::stopping();
            stop.cancel();
            // Asked twice, it does not wait.
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        }
    });
    if !config.probe_interval.0.is_zero() {
        let pace = Pace {
            interval: config.probe_interval.0,
            timeout: config.probe_timeout.0,
        };
        tokio::spawn(prober::run(backend, OsDraw.draw(), pace, stop.clone()));
    }
    tokio::spawn(read_anew(
        signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?,
        Arc::clone(&door),
        Certificates {
            inside: trust,
            door: bound.trust(),
        },
    ));
    tracing::info!(http = %bound.http(), https = bound.https().map(tracing::field::display), admin = %bound.admin(), nodes = ?config.node, "serving");
    if config.admin_token.is_empty() && !config.token.iter().any(|token| token.admin) {
        tracing::warn!("no admin token is configured: /v1/admin is closed. Set ROTUNDA_ADMIN_TOKEN to open it");
    }
    // Its ports are taken, and what comes in from now on is answered by the same call.
    supervisor::ready();
    // A runtime that turns comes round to this task; what else would hang has a deadline of its own.
    tokio::spawn(supervisor::watchdog(|| std::future::ready(())));
    bound.serve(door, Some(page), stop).await;
    tracing::info!("stopped");
    if traces::are_on() {
        let _ = tokio::task::spawn_blocking(traces::stop).await;
    }
    Ok(())
}

/// What a router shows nodes, and visitors.
struct Certificates {
    inside: Option<Arc<Trust>>,
    door: Option<Arc<DoorTrust>>,
}

impl Certificates {
    async fn look(&self) {
        look(self.inside.clone(), "the cluster's").await;
        look(self.door.clone(), "the door's").await;
    }
}

async fn look<M: Material>(renewed: Option<Arc<Renewed<M>>>, whose: &str) {
    let Some(renewed) = renewed else { return };
    match tokio::task::spawn_blocking(move || renewed.look()).await {
        Ok(Ok(false)) => tracing::info!("SIGHUP: {whose} certificates are those in use"),
        Ok(Err(problem)) => tracing::error!("SIGHUP: {whose} certificates stay as they were: {problem}"),
        Ok(Ok(true)) | Err(_) => {}
    }
}

/// With each SIGHUP the settings are read as at the start, and their quotas and what they say of the log count from then on; files
/// with certificates are looked at, which they are every few seconds anyway. Everything else stays as it was until the next start;
/// where the settings cannot be used, so do these.
async fn read_anew(mut hangup: Signal, door: Arc<Door>, certificates: Certificates) {
    while hangup.recv().await.is_some() {
        certificates.look().await;
        match Config::load() {
            Ok(config) => {
                door.set_quotas(&config);
                if let Err(error) = logs::reset(&config.log) {
                    tracing::error!("SIGHUP: {error}");
                }
                tracing::info!("SIGHUP: the quotas and what is logged are read anew");
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::error!("SIGHUP: the settings cannot be used, quotas and log stay as they were: {error:#}");
            }
        }
    }
}

/// Cancels `stop` when standard input ends. On a thread of its own: a read of tokio's stdin cannot be given up, and
/// would keep the process from ending on SIGTERM.
fn stop_with_parent(stop: CancellationToken) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name("parent".to_owned())
        .spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            stop.cancel();
        })
        .context("cannot start threads")?;
    Ok(())
}
