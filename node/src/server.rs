//! Puts a node together, runs it, and takes it down so that nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use rotunda_protocol::proto::admin::admin_server::AdminServer;
use rotunda_protocol::proto::booking::booking_server::BookingServer;
use rotunda_protocol::proto::raft::raft_server::RaftServer;
use rotunda_protocol::{KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, MAX_MESSAGE_BYTES};
use rotunda_raft_storage::{Identity, Store, StoreConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;

use crate::admin_http::{self, AdminState};
use crate::budget::Budget;
use crate::clock::wall::WallClock;
use crate::config::Config;
use crate::group::Host;
use crate::grpc::{Stop, admin::AdminDoor, booking::BookingDoor, incoming, raft::PeerDoor};
use crate::meta::command::NodeRecord;
use crate::meta::controller::{Controller, Meta};
use crate::metrics::Page;
use crate::raft::peer::{Caller, Peers};
use crate::raft::raft_config;
use crate::shards::Shards;
use crate::vital;

/// How long open requests may take to finish once the node is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a node that is about to stop looks whether it has been made a leader again.
const HANDOVER_INTERVAL: Duration = Duration::from_millis(50);

/// Calls and streams that one connection has open at once. A router's queries come each as one; its commands share one.
const STREAMS_PER_CONNECTION: u32 = 1_024;

/// Leaders that are handed over at once when a node stops.
const HANDOVERS_AT_ONCE: usize = 4;

/// A service with our message limits: tonic's traits name no common one for them.
macro_rules! limits {
    ($service:expr) => {
        $service
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    };
}
/// A node that runs.
pub struct Server {
    config: Config,
    host: Host,
    meta: Arc<Meta>,
    shards: Shards,
    health: tonic_health::server::HealthReporter,
    shutdown: watch::Sender<bool>,
    doors: tokio::task::JoinHandle<anyhow::Result<()>>,
    controller: tokio::task::JoinHandle<anyhow::Result<()>>,
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
    pub async fn start(config: Config, handle: PrometheusHandle) -> anyhow::Result<Self> {
        // Ports first: they are the most likely to be wrong, and cost nothing to give back.
        let grpc = listen("grpc", config.grpc).await?;
        let admin = listen("admin", config.admin).await?;
        let record = NodeRecord {
            id: config.node_id,
            grpc: config.peers.get(&config.node_id).cloned().unwrap_or_default(),
            admin: format!("http://{}", admin.local_addr()?),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let budget = Budget::new(config.memory_bytes, config.peers.len().saturating_sub(1));
        let store = open_store(&config, budget.store_bytes()).await?;
        let caller = Caller {
            cluster: config.cluster.clone(),
            node: config.node_id,
        };
        let peers = Peers::new(caller.clone());
        for (node, address) in &config.peers {
            peers.set_address(*node, address);
        }
        let host = Host {
            node: config.node_id,
            store: store.clone(),
            peers: peers.clone(),
            budget: Arc::clone(&budget),
            wall: WallClock::of_this_machine(),
            config: raft_config(&config.cluster, &config.timing)?,
            stopping: Arc::new(AtomicBool::new(false)),
        };
        let meta = Meta::start(&host, &config).await?;
        let shards = Shards::default();
        shards.insert_facing(meta.group.id, Arc::clone(&meta.group.facing));

        let (shutdown, stop) = Stop::channel();
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<BookingServer<BookingDoor>>().await;
        let doors = {
            let booking = BookingDoor::new(shards.clone(), Arc::clone(&meta), Arc::clone(&budget), stop.clone());
            let raft = PeerDoor::new(caller, shards.clone(), budget.bytes_per_peer(), stop.clone());
            let door = AdminDoor {
                record: record.clone(),
                cluster: config.cluster.clone(),
                meta: Arc::clone(&meta),
                shards: shards.clone(),
                store: store.clone(),
                stop: stop.clone(),
            };
            let serve = tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
                .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
                .initial_stream_window_size(budget.window_bytes())
                .initial_connection_window_size(budget.window_bytes())
                .max_concurrent_streams(STREAMS_PER_CONNECTION)
                .add_service(health_service)
                .add_service(limits!(BookingServer::new(booking)))
                .add_service(limits!(RaftServer::new(raft)))
                .add_service(limits!(AdminServer::new(door)))
                .serve_with_incoming_shutdown(
                    incoming::at_most(budget.connections(), TcpIncoming::from(grpc).with_nodelay(Some(true))),
                    stop.clone().stopped(),
                );
            tokio::spawn(async move { serve.await.context("the gRPC door failed") })
        };
        let admin_state = AdminState {
            page: Page::new(handle, Arc::clone(&meta), shards.clone(), store, budget),
            meta: Arc::clone(&meta),
            shards: shards.clone(),
            stopping: Arc::clone(&host.stopping),
            node: config.node_id,
        };
        // Not part of the drain: an orchestrator may watch until the very end.
        tokio::spawn(async move {
            if let Err(error) = axum::serve(admin, admin_http::routes(admin_state)).await {
                tracing::error!(%error, "the admin door failed");
            }
        });
        let controller = Controller {
            host: host.clone(),
            config: config.clone(),
            meta: Arc::clone(&meta),
            shards: shards.clone(),
            record,
        };
        let controller = tokio::spawn(controller.run());
        watch_clock(&host, &meta, &shards);
        tracing::info!(node = config.node_id, cluster = %config.cluster, grpc = %config.grpc, admin = %config.admin, "started");
        Ok(Self {
            config,
            host,
            meta,
            shards,
            health,
            shutdown,
            doors,
            controller,
        })
    }

    /// Runs until `stop` is ready, then gives leadership away, lets requests finish and closes the data.
    ///
    /// # Errors
    /// Where a door or the controller fails: the process is of no use then.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = stop => {}
            ended = &mut self.doors => return ended?,
            ended = &mut self.controller => return ended?,
        }
        tracing::info!(node = self.config.node_id, "stopping: handing leadership over");
        self.host.stopping.store(true, Ordering::Release);
        self.health.set_not_serving::<BookingServer<BookingDoor>>().await;
        self.forbid_elections();
        self.hand_over().await;
        // The peers and routers hear of it by the closing of their streams, after the last reply.
        self.shutdown.send_replace(true);
        if tokio::time::timeout(DRAIN_TIMEOUT, &mut self.doors).await.is_err() {
            tracing::debug!("streams were still open at the end of the drain");
        }
        self.controller.abort();
        for shard in self.shards.all() {
            let _ = shard.group.raft.shutdown().await;
        }
        let _ = self.meta.group.raft.shutdown().await;
        self.host.store.flush().await.context("flushing the state")?;
        tracing::info!(node = self.config.node_id, "stopped");
        Ok(())
    }

    fn forbid_elections(&self) {
        self.meta.group.raft.runtime_config().elect(false);
        for shard in self.shards.all() {
            shard.group.raft.runtime_config().elect(false);
        }
    }

    /// Gives every led group to another replica, as long as that goes well; a lone node has nobody to give it to.
    async fn hand_over(&self) {
        use futures::StreamExt as _;
        let deadline = tokio::time::Instant::now() + DRAIN_TIMEOUT;
        loop {
            let led: Vec<_> = self
                .shards
                .all()
                .into_iter()
                .filter(|shard| shard.group.leadership.leads())
                .collect();
            let meta_led = self.meta.group.leadership.leads();
            if led.is_empty() && !meta_led {
                return;
            }
            if tokio::time::Instant::now() > deadline {
                tracing::warn!(shards = led.len(), "some leadership could not be handed over");
                return;
            }
            if meta_led {
                self.meta.group.give_leadership_away().await;
            }
            futures::stream::iter(led)
                .for_each_concurrent(HANDOVERS_AT_ONCE, |shard| async move {
                    shard.group.give_leadership_away().await;
                })
                .await;
            tokio::time::sleep(HANDOVER_INTERVAL).await;
        }
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
        ..StoreConfig::new(&config.data, identity)
    };
    Ok(tokio::task::spawn_blocking(move || Store::open(settings)).await??)
}

fn watch_clock(host: &Host, meta: &Arc<Meta>, shards: &Shards) {
    let (meta, shards, stopping) = (Arc::clone(meta), shards.clone(), Arc::clone(&host.stopping));
    let judged = move |right: bool| {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        meta.group.raft.runtime_config().elect(right);
        let all = shards.all();
        for shard in &all {
            shard.group.raft.runtime_config().elect(right);
        }
        if !right {
            let meta = Arc::clone(&meta);
            tokio::spawn(async move {
                meta.group.give_leadership_away().await;
                for shard in all {
                    shard.group.give_leadership_away().await;
                }
            });
        }
    };
    let watch = crate::clock::watch::run(host.peers.clone(), host.wall.clone(), judged);
    vital::spawn("the watch over the clock", watch);
}
