//! Puts a node together, runs it, and takes it down so that nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use rotunda_protocol::dial::{Dial, Secured, Tcp};
use rotunda_protocol::proto::admin::joining_server::JoiningServer;
use rotunda_protocol::proto::booking::booking_server::BookingServer;
use rotunda_protocol::{KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT};
use rotunda_raft_storage::{Identity, Store, StoreConfig};
use rotunda_service::supervisor;
use rotunda_tls::mutual::Trust;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::codegen::http::Uri;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::admin_http::{self, AdminState};
use crate::budget::Budget;
use crate::clock::wall::WallClock;
use crate::config::Config;
use crate::grpc::{Stop, admission, booking::BookingDoor, incoming, joining::JoiningDoor};
use crate::joining::Blank;
use crate::meta::META_GROUP;
use crate::metrics::Page;
use crate::node::{Node, Surroundings};

/// Of a node that waits to be let in: its peers ask it, and nobody else.
const WAITING_CONNECTIONS: usize = 64;

/// How long open requests may take to finish once the node is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls and streams that one connection has open at once. A router's queries come each as one; its commands share one.
const STREAMS_PER_CONNECTION: u32 = 1_024;

/// A node that runs.
pub struct Server {
    id: u32,
    node: Node,
    health: tonic_health::server::HealthReporter,
    shutdown: watch::Sender<bool>,
    doors: tokio::task::JoinHandle<anyhow::Result<()>>,
    trust: Option<Arc<Trust>>,
}

/// Takes a port, or says who might have it.
async fn listen(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for {what}: is another process using the port? Choose one with --{what}")
    })
}

impl Server {
    /// Opens the data, takes the ports, starts the groups and the doors.
    ///
    /// # Errors
    /// Where the data belongs to another node or cluster, a port is taken, or the store refuses. Nothing is left running.
    pub fn start(config: Config, handle: PrometheusHandle) -> BoxFuture<'static, anyhow::Result<Self>> {
        Self::begin(config, handle).boxed()
    }

    async fn begin(config: Config, handle: PrometheusHandle) -> anyhow::Result<Self> {
        // Ports first: they are the most likely to be wrong, and cost nothing to give back.
        let grpc = listen("grpc", config.grpc).await?;
        let admin = listen("admin", config.admin).await?;
        let trust = trust(&config)?;
        let budget = Budget::new(config.memory_bytes, config.peers.len().saturating_sub(1));
        let store = open_store(&config, budget.store_bytes()).await?;
        let found = store.descriptors().get(&META_GROUP).map(|found| found.replica_id);
        let (meta_replica, grpc, admin) = match found {
            Some(replica) => (replica, grpc, admin),
            None => admitted(&config, grpc, admin, trust.clone(), &handle).await?,
        };
        let (shutdown, stop) = Stop::channel();
        let surroundings = Surroundings {
            store: store.clone(),
            budget: Arc::clone(&budget),
            dial: dial(trust.as_ref()),
            wall: WallClock::of_this_machine(),
            admin: admin_url(&config, admin.local_addr()?),
            stop: stop.clone(),
            meta_replica,
        };
        let node = Node::start(config.clone(), surroundings).await?;
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<BookingServer<BookingDoor>>().await;
        let mut routes = node.routes().add_service(health_service);
        if trust.is_some() {
            routes = admission::guard(routes);
        }
        let serve = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
            .initial_stream_window_size(budget.window_bytes())
            .initial_connection_window_size(budget.window_bytes())
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                incoming::at_most(
                    budget.connections(),
                    TcpIncoming::from(grpc).with_nodelay(Some(true)),
                    trust.clone(),
                ),
                stop.stopped(),
            );
        let doors = tokio::spawn(async move { serve.await.context("the gRPC door failed") });
        let admin_state = AdminState {
            page: Page::new(handle, Arc::clone(node.meta()), node.shards().clone(), store, budget),
            meta: Arc::clone(node.meta()),
            shards: node.shards().clone(),
            stopping: Arc::clone(node.stopping()),
            hot_slots: Arc::clone(node.hot_slots()),
            node: config.node_id,
        };
        // Not part of the drain: an orchestrator may watch until the very end.
        tokio::spawn(async move {
            if let Err(error) = axum::serve(admin, admin_http::routes(admin_state)).await {
                tracing::error!(%error, "the admin door failed");
            }
        });
        tracing::info!(node = config.node_id, cluster = %config.cluster, grpc = %config.grpc, admin = %config.admin, "started");
        Ok(Self {
            id: config.node_id,
            node,
            health,
            shutdown,
            doors,
            trust,
        })
    }

    /// Its certificates, where it has some: to look at the files when told to.
    #[must_use]
    pub fn trust(&self) -> Option<&Arc<Trust>> {
        self.trust.as_ref()
    }

    /// Each call comes back when the loop of the group that every node runs, the meta group's, has come round: so the
    /// runtime turns, and the log below it answers. Also once that group has ended: this is no judge of how.
    pub fn pulse(&self) -> impl Fn() -> BoxFuture<'static, ()> + Send + Sync + use<> {
        let meta = Arc::clone(self.node.meta());
        move || {
            let raft = meta.group.raft.clone();
            async move { drop(raft.with_raft_state(|_| ()).await) }.boxed()
        }
    }

    /// Runs until `stop` is ready, then gives leadership away, lets requests finish and closes the data.
    ///
    /// # Errors
    /// Where a door or the controller fails: the process is of no use then.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = stop => {}
            ended = &mut self.doors => return ended?,
            failed = self.node.failed() => return failed,
        }
        tracing::info!(node = self.id, "stopping: handing leadership over");
        self.health.set_not_serving::<BookingServer<BookingDoor>>().await;
        self.node.retire().await;
        // The peers and routers hear of it by the closing of their streams, after the last reply.
        self.shutdown.send_replace(true);
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut self.doors).await.is_err() {
            tracing::debug!("streams were still open at the end of the drain");
        }
        self.node.close().await?;
        tracing::info!(node = self.id, "stopped");
        Ok(())
    }
}

/// Reads the certificates, and goes on looking for newer ones. Says so where there are none and others can reach the port.
fn trust(config: &Config) -> anyhow::Result<Option<Arc<Trust>>> {
    let Some(files) = &config.tls else {
        if !config.grpc.ip().is_loopback() {
            tracing::warn!(
                grpc = %config.grpc,
                "no certificates are configured: whoever reaches the gRPC port may do everything. `rotunda certs` makes some; see [tls]"
            );
        }
        return Ok(None);
    };
    let trust = Trust::read(files.clone())?;
    trust.publish();
    tokio::spawn(Arc::clone(&trust).follow());
    Ok(Some(trust))
}

/// How this node reaches others.
fn dial(trust: Option<&Arc<Trust>>) -> Arc<dyn Dial> {
    trust.map_or_else(Tcp::shared, |trust| Secured::with(Arc::clone(trust)))
}

/// Waits, on these ports, until a node without data may take part; see [`crate::joining`]. Gives its replica of the meta group,
/// and the ports back.
async fn admitted(
    config: &Config,
    grpc: TcpListener,
    admin: TcpListener,
    trust: Option<Arc<Trust>>,
    handle: &PrometheusHandle,
) -> anyhow::Result<(u64, TcpListener, TcpListener)> {
    // The ports are never free in between: another process would take them, and peers that ask be refused.
    let (grpc, grpc_again) = shared(grpc)?;
    let (admin, admin_again) = shared(admin)?;
    let (done, stop) = Stop::channel();
    let mut routes = Routes::new(JoiningServer::new(JoiningDoor::blank(config.cluster.clone())));
    if trust.is_some() {
        routes = admission::guard(routes);
    }
    let doors = tonic::transport::Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            incoming::at_most(WAITING_CONNECTIONS, TcpIncoming::from(grpc), trust.clone()),
            stop.clone().stopped(),
        );
    let pages = axum::serve(admin, admin_http::waiting(handle.clone())).with_graceful_shutdown(stop.stopped());
    let blank = Blank {
        cluster: config.cluster.clone(),
        node: config.node_id,
        peers: config.peers.clone(),
        dial: dial(trust.as_ref()),
    };
    let (doors, pages) = (tokio::spawn(doors), tokio::spawn(pages.into_future()));
    // Three nodes may be started one after the other, each when the one before has said that it is up.
    supervisor::ready();
    let alive = tokio::spawn(supervisor::watchdog(|| std::future::ready(())));
    let replica = blank.admitted().await;
    alive.abort();
    done.send_replace(true);
    // Connections that are still open are cut off: whoever asks here asks again.
    for task in [doors.abort_handle(), pages.abort_handle()] {
        tokio::task::yield_now().await;
        task.abort();
    }
    let _ = tokio::join!(doors, pages);
    Ok((replica, grpc_again, admin_again))
}

/// The same port twice.
fn shared(listener: TcpListener) -> anyhow::Result<(TcpListener, TcpListener)> {
    let listener = listener.into_std()?;
    let again = listener.try_clone()?;
    Ok((TcpListener::from_std(listener)?, TcpListener::from_std(again)?))
}

/// Where people find the admin port. A node that listens on every address (in a container) is reached by the name that its
/// peers know.
fn admin_url(config: &Config, bound: SocketAddr) -> String {
    let named = config
        .peers
        .get(&config.node_id)
        .filter(|_| bound.ip().is_unspecified());
    let host = named.and_then(|url| url.parse::<Uri>().ok()?.host().map(str::to_owned));
    match host {
        Some(host) => format!("http://{host}:{}", bound.port()),
        None => format!("http://{bound}"),
    }
}

async fn open_store(config: &Config, store_bytes: usize) -> anyhow::Result<Store> {
    let identity = Identity {
        cluster: config.cluster.clone(),
        node: config.node_id,
    };
    let settings = StoreConfig {
        memory_bytes: store_bytes,
        keep_log_entries: config.keep_log_entries,
        keys: config.keys.clone(),
        ..StoreConfig::new(&config.data, identity)
    };
    Ok(tokio::task::spawn_blocking(move || Store::open(settings)).await??)
}
