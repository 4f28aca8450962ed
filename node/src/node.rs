//! A node without its sockets: the groups, the services that are called over them, and the tasks beside them. [`crate::server`]
//! puts it behind ports; a simulator puts several into one process, over a network, clock and disk of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rotunda_overview::HotSlots;
use rotunda_protocol::MAX_MESSAGE_BYTES;
use rotunda_protocol::dial::Dial;
use rotunda_protocol::proto::admin::admin_server::AdminServer;
use rotunda_protocol::proto::admin::joining_server::JoiningServer;
use rotunda_protocol::proto::booking::booking_server::BookingServer;
use rotunda_protocol::proto::raft::raft_server::RaftServer;
use rotunda_protocol::version::Formats;
use rotunda_raft_storage::Store;
use rotunda_raft_storage::scope;
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::audit;
use crate::budget::Budget;
use crate::clock::wall::WallClock;
use crate::config::Config;
use crate::group::Host;
use crate::grpc::{Stop, admin::AdminDoor, booking::BookingDoor, joining::JoiningDoor, raft::PeerDoor};
use crate::leaderships::Leaderships;
use crate::meta::command::NodeRecord;
use crate::meta::controller::{Controller, Meta};
use crate::raft::peer::{Caller, Peers};
use crate::raft::raft_config;
use crate::shards::Shards;
use crate::vital;

/// A service with our message limits: tonic's traits name no common one for them.
macro_rules! limits {
    ($service:expr) => {
        $service
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    };
}

/// What a node stands on.
pub struct Surroundings {
    /// Its data, open.
    pub store: Store,
    /// What it may keep in memory.
    pub budget: Arc<Budget>,
    /// How it reaches other nodes.
    pub dial: Arc<dyn Dial>,
    /// The time of day.
    pub wall: WallClock,
    /// Where it tells people that its admin port is.
    pub admin: String,
    /// Ends the streams of its callers.
    pub stop: Stop,
    /// Its replica of the meta group, where its data has none yet: the node's id for a founder; see [`crate::joining`].
    pub meta_replica: u64,
}

/// See the module.
pub struct Node {
    host: Host,
    meta: Arc<Meta>,
    shards: Shards,
    hot_slots: Arc<HotSlots>,
    routes: Routes,
    leaderships: Leaderships,
    controller: JoinHandle<anyhow::Result<()>>,
}

impl Node {
    /// Starts the groups that the data knows of and the tasks that find the others.
    ///
    /// # Errors
    /// Where the store or openraft refuses.
    pub fn start(config: Config, on: Surroundings) -> BoxFuture<'static, anyhow::Result<Self>> {
        // Boxed here so that all of a node is compiled in this crate, once, not in each program that starts one.
        Self::begin(config, on).boxed()
    }

    async fn begin(config: Config, on: Surroundings) -> anyhow::Result<Self> {
        let record = NodeRecord {
            id: config.node_id,
            grpc: config.peers.get(&config.node_id).cloned().unwrap_or_default(),
            admin: on.admin,
            version: Formats::OURS.stated_with(env!("CARGO_PKG_VERSION")),
        };
        let caller = Caller {
            cluster: config.cluster.clone(),
            node: config.node_id,
        };
        let peers = Peers::new(caller.clone(), Arc::clone(&on.dial));
        for (node, address) in &config.peers {
            peers.set_address(*node, address);
        }
        let host = Host {
            node: config.node_id,
            store: on.store.clone(),
            peers,
            dial: on.dial,
            budget: Arc::clone(&on.budget),
            wall: on.wall,
            checkpoints: config.checkpoints,
            config: raft_config(&config.cluster, &config.timing)?,
            stopping: Arc::new(AtomicBool::new(false)),
        };
        let meta = Meta::start(&host, &config, on.meta_replica).await?;
        let shards = Shards::default();
        shards.insert_facing(meta.group.id, Arc::clone(&meta.group.facing));

        let hot_slots = Arc::<HotSlots>::default();
        let booking = BookingDoor::new(
            shards.clone(),
            Arc::clone(&meta),
            Arc::clone(&on.budget),
            Arc::clone(&hot_slots),
            on.stop.clone(),
        );
        let room = on.budget.bytes_per_peer();
        let raft =
            PeerDoor::new(caller, shards.clone(), host.wall.clone(), room, on.stop.clone()).gated_by(meta.watch());
        let leaderships = Leaderships::new(Arc::clone(&meta), shards.clone());
        let door = AdminDoor {
            record: record.clone(),
            cluster: config.cluster.clone(),
            meta: Arc::clone(&meta),
            shards: shards.clone(),
            store: on.store.clone(),
            wall: host.wall.clone(),
            dial: Arc::clone(&host.dial),
            leaderships: leaderships.clone(),
            stop: on.stop,
        };
        let routes = Routes::new(limits!(BookingServer::new(booking)))
            .add_service(limits!(RaftServer::new(raft)))
            .add_service(limits!(AdminServer::new(door)))
            .add_service(JoiningServer::new(JoiningDoor::serving(
                config.cluster.clone(),
                Arc::clone(&meta),
                on.store,
            )));
        let controller = Controller {
            host: host.clone(),
            config,
            meta: Arc::clone(&meta),
            shards: shards.clone(),
            record,
        };
        let controller = scope::spawn(controller.run());
        watch_clock(&host, &leaderships);
        vital::spawn(
            "the comparison of replicas",
            audit::replicas(host.node, shards.clone(), meta.watch(), Arc::clone(&host.dial)),
        );
        Ok(Self {
            host,
            meta,
            shards,
            hot_slots,
            routes,
            leaderships,
            controller,
        })
    }

    /// What its callers call.
    #[must_use]
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// The meta group's replica.
    #[must_use]
    pub fn meta(&self) -> &Arc<Meta> {
        &self.meta
    }

    /// The shards that are started here.
    #[must_use]
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Slots that its callers want most.
    #[must_use]
    pub fn hot_slots(&self) -> &Arc<HotSlots> {
        &self.hot_slots
    }

    /// True from the moment when it begins to stop.
    #[must_use]
    pub fn stopping(&self) -> &Arc<AtomicBool> {
        &self.host.stopping
    }

    /// Returns when the node is of no use any more.
    ///
    /// # Errors
    /// Why.
    pub async fn failed(&mut self) -> anyhow::Result<()> {
        (&mut self.controller).await?
    }

    /// Gives leadership away and takes none any more; its callers are still served.
    pub fn retire(&self) -> BoxFuture<'_, ()> {
        self.host.stopping.store(true, Ordering::Release);
        self.leaderships.allow(false);
        self.leaderships.give_away().boxed()
    }

    /// Ends the groups and makes the applied state durable.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn close(self) -> BoxFuture<'static, anyhow::Result<()>> {
        let end = async move {
            self.controller.abort();
            for shard in self.shards.all() {
                let _ = shard.group.raft.shutdown().await;
            }
            let _ = self.meta.group.raft.shutdown().await;
            self.host.store.flush().await.context("flushing the state")
        };
        end.boxed()
    }
}

fn watch_clock(host: &Host, leaderships: &Leaderships) {
    let (leaderships, stopping) = (leaderships.clone(), Arc::clone(&host.stopping));
    let judged = move |right: bool| {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        leaderships.allow(right);
        if !right {
            let leaderships = leaderships.clone();
            scope::spawn(async move { leaderships.offer_once().await });
        }
    };
    let watch = crate::clock::watch::run(host.peers.clone(), host.wall.clone(), judged);
    vital::spawn("the watch over the clock", watch);
}
