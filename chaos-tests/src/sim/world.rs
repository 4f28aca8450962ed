//! The nodes of a simulation: what survives a node (its disk, its clock), what dies with it (its tasks), and how it is
//! started, paused and killed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rotunda_booking::inventory::recompute_state_hash;
use rotunda_node::budget::Budget;
use rotunda_node::clock::wall::WallClock;
use rotunda_node::config::{Checkpoints, Config, Timing};
use rotunda_node::grpc::Stop;
use rotunda_node::node::{Node, Surroundings};
use rotunda_node::raft::machine::ViewRows;
use rotunda_node::shards::Shards;
use rotunda_raft_storage::scope::Scope;
use rotunda_raft_storage::sim::{Damage, SimDisk};
use rotunda_raft_storage::{AppliedHook, Blocking, Engine, FatalHook, Identity, Store, StoreConfig};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::applied::AppliedLogs;
use super::chance::Chance;
use super::net::Net;

/// Wall clocks begin here: 2027-01-11 08:00 UTC, a Monday.
pub const BEGINNING_MS: i64 = 1_799_654_400_000;

/// The cluster's name.
const CLUSTER: &str = "simulated";

/// How large the cluster is, and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Nodes.
    pub nodes: u32,
    /// Shards.
    pub shards: u64,
    /// Applied entries that a replica keeps: few, so that those that were away need a snapshot.
    pub keep_log_entries: u64,
}

/// A node that runs, or ran until it died.
struct Life {
    scope: Scope,
    /// Why it ended by itself.
    died: Arc<Mutex<Option<String>>>,
    /// Its replicas, once they are there.
    replicas: Arc<Mutex<Option<Shards>>>,
}

struct Member {
    disk: SimDisk,
    /// How far its wall clock is ahead of where it would be.
    skew_ms: Arc<AtomicI64>,
    /// How far it is ahead from the beginning, and how much it gains: no two clocks are the same.
    clock: Clock,
    /// How long its disk takes to sync when nothing is wrong with it.
    sync_takes: Duration,
    life: Option<Life>,
    paused: bool,
    /// Something on its disk is not what it wrote.
    damaged: bool,
    /// It ended itself over that, and stays away: nobody can tell what it had promised.
    lost: bool,
}

#[derive(Clone, Copy)]
struct Clock {
    ahead_ms: i64,
    gains_ppm: i64,
}

impl Clock {
    /// Milliseconds since 1970 when `passed` of true time have gone by.
    fn at(self, passed: Duration) -> i64 {
        let passed = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX / 1_000);
        BEGINNING_MS + self.ahead_ms + (passed + passed / 1_000 * self.gains_ppm / 1_000) / 1_000
    }
}

/// See the module.
pub struct World {
    net: Net,
    size: Size,
    begun: Instant,
    members: BTreeMap<u32, Member>,
    applied: AppliedLogs,
    chance: Chance,
}

impl World {
    /// Nodes that were never started, with empty disks.
    #[must_use]
    pub fn new(net: Net, size: Size, mut chance: Chance) -> Self {
        let mut within =
            |limit: i64| i64::try_from(chance.below(usize::try_from(2 * limit).unwrap_or(0))).unwrap_or(0) - limit;
        let members = (1..=size.nodes)
            .map(|id| {
                let member = Member {
                    disk: SimDisk::new(),
                    skew_ms: Arc::default(),
                    clock: Clock {
                        ahead_ms: within(150),
                        gains_ppm: within(200),
                    },
                    sync_takes: Duration::from_micros(700) + Duration::from_micros(within(600).unsigned_abs()),
                    life: None,
                    paused: false,
                    damaged: false,
                    lost: false,
                };
                (id, member)
            })
            .collect();
        let world = Self {
            net,
            size,
            begun: Instant::now(),
            members,
            applied: AppliedLogs::default(),
            chance,
        };
        world.nodes().into_iter().for_each(|node| world.heal_disk(node));
        world
    }

    /// Takes all faults from a node's disk. What was damaged stays so.
    pub fn heal_disk(&self, id: u32) {
        if let Some(member) = self.members.get(&id) {
            member.disk.heal();
            member.disk.set_sync_takes(member.sync_takes);
        }
    }

    /// Ids of the nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<u32> {
        self.members.keys().copied().collect()
    }

    /// The network.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// A node's disk.
    #[must_use]
    pub fn disk(&self, node: u32) -> Option<&SimDisk> {
        self.members.get(&node).map(|member| &member.disk)
    }

    /// Nanoseconds since the simulation began.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// True where the node was started and has not died.
    #[must_use]
    pub fn is_up(&self, node: u32) -> bool {
        let life = self.members.get(&node).and_then(|member| member.life.as_ref());
        life.is_some_and(|life| life.died.lock().is_none())
    }

    /// True where its tasks stand still.
    #[must_use]
    pub fn is_paused(&self, node: u32) -> bool {
        self.members.get(&node).is_some_and(|member| member.paused)
    }

    /// Nodes that ended by themselves since they were started, and why. They count as down from now on.
    pub fn take_dead(&mut self) -> Vec<(u32, String)> {
        let mut dead = Vec::new();
        for (id, member) in &mut self.members {
            let why = member.life.as_ref().and_then(|life| life.died.lock().clone());
            if let Some(why) = why {
                member.life = None;
                member.paused = false;
                member.lost = member.damaged;
                member.disk.kill(self.chance.number());
                dead.push((*id, why));
            }
        }
        dead
    }

    /// What the replicas of all nodes have applied.
    #[must_use]
    pub fn applied(&self) -> &AppliedLogs {
        &self.applied
    }

    /// A shard on a node as its rows are: the applied index, and the state hash worked out anew from all rows. What the
    /// node itself reports is carried along from entry to entry, and through snapshots.
    #[must_use]
    pub fn state_by_rows(&self, node: u32, shard: u64) -> Option<(u64, [u8; 16])> {
        let shards = self.members.get(&node)?.life.as_ref()?.replicas.lock().clone();
        let shard = shards?.get(shard)?;
        let view = shard.group.reader.view().ok()?;
        let hash = recompute_state_hash(&ViewRows(&view)).ok()?;
        Some((view.applied_index()?, hash))
    }

    /// Starts a node on what its disk has. Whether it comes up shows later.
    pub fn start(&mut self, id: u32) {
        let (net, size, begun) = (self.net.clone(), self.size, self.begun);
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if member.life.is_some() || member.lost {
            return;
        }
        let scope = Scope::default();
        let died = Arc::<Mutex<Option<String>>>::default();
        let replicas = Arc::<Mutex<Option<Shards>>>::default();
        let ends: FatalHook = {
            let (net, scope, died) = (net.clone(), scope.clone(), Arc::clone(&died));
            Arc::new(move |why: &str| {
                died.lock().get_or_insert_with(|| why.to_owned());
                net.down(id);
                scope.kill();
            })
        };
        let skew = Arc::clone(&member.skew_ms);
        let clock = member.clock;
        let wall = WallClock::over(Arc::new(move || {
            clock.at(begun.elapsed()) + skew.load(Ordering::Relaxed)
        }));
        let (disk, own, published, fatal, applied) = (
            member.disk.clone(),
            scope.clone(),
            Arc::clone(&replicas),
            Arc::clone(&ends),
            self.applied.hook(id),
        );
        scope.spawn(async move {
            let ended = run(id, size, disk, wall, net, own, published, fatal, applied).await;
            ends(&format!("{ended:#}"));
        });
        member.life = Some(Life { scope, died, replicas });
    }

    /// Ends a node's process; its disk loses what a process loses.
    pub fn kill(&mut self, id: u32) {
        self.end(id);
        let choice = self.chance.number();
        if let Some(member) = self.members.get(&id) {
            member.disk.kill(choice);
        }
    }

    /// Takes the power from a node's machine; its disk loses what was not synced, or part of it.
    pub fn lose_power(&mut self, id: u32) {
        self.end(id);
        let choice = self.chance.number();
        if let Some(member) = self.members.get(&id) {
            member.disk.lose_power(choice);
        }
    }

    /// True where a node can be damaged: one of them, or two replicas of a shard could be.
    #[must_use]
    pub fn may_damage(&self, id: u32) -> bool {
        self.members.values().all(|member| !member.damaged) && self.members.contains_key(&id)
    }

    /// Takes the power from a node's machine, and damages what is on its disk.
    pub fn damage(&mut self, id: u32, damage: Damage, choice: u64) {
        self.lose_power(id);
        if let Some(member) = self.members.get_mut(&id) {
            member.damaged = member.disk.damage(damage, choice).is_some();
        }
    }

    /// Nodes that ended themselves over their damage, and stay away.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.members.values().filter(|member| member.lost).count()
    }

    fn end(&mut self, id: u32) {
        self.net.down(id);
        if let Some(member) = self.members.get_mut(&id) {
            member.paused = false;
            if let Some(life) = member.life.take() {
                life.scope.kill();
            }
        }
    }

    /// Stops a node's tasks where they are, or lets them go on.
    pub fn pause(&mut self, id: u32, paused: bool) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let Some(life) = &member.life else { return };
        member.paused = paused;
        if paused {
            life.scope.pause();
        } else {
            life.scope.resume();
        }
    }

    /// Sets how far a node's wall clock is ahead, in milliseconds.
    pub fn set_skew(&self, id: u32, skew_ms: i64) {
        if let Some(member) = self.members.get(&id) {
            member.skew_ms.store(skew_ms, Ordering::Relaxed);
        }
    }
}

/// A node's whole life; gives why it ended.
#[expect(clippy::too_many_arguments, reason = "what a node stands on, once")]
async fn run(
    id: u32,
    size: Size,
    disk: SimDisk,
    wall: WallClock,
    net: Net,
    scope: Scope,
    published: Arc<Mutex<Option<Shards>>>,
    fatal: FatalHook,
    applied: AppliedHook,
) -> anyhow::Error {
    let config = config(id, size);
    let budget = Budget::new(config.memory_bytes, config.peers.len() - 1);
    let identity = Identity {
        cluster: CLUSTER.to_owned(),
        node: id,
    };
    let store = Store::open(StoreConfig {
        engine: Engine::Simulated(disk),
        memory_bytes: budget.store_bytes(),
        keep_log_entries: size.keep_log_entries,
        blocking: Blocking::Inline,
        fatal,
        applied: Some(applied),
        ..StoreConfig::new(&config.data, identity)
    });
    let store = match store {
        Ok(store) => store,
        Err(error) => return error.into(),
    };
    // Held for as long as the node runs: dropping it would end its callers' streams.
    let (_switch, stop) = Stop::channel();
    let surroundings = Surroundings {
        store,
        budget,
        dial: net.dial(id),
        wall,
        admin: format!("http://host-{id}:7101"),
        stop,
        meta_replica: u64::from(id),
    };
    let mut node = match Node::start(config, surroundings).await {
        Ok(node) => node,
        Err(error) => return error,
    };
    *published.lock() = Some(node.shards().clone());
    net.up(id, scope, node.routes());
    match node.failed().await {
        Ok(()) => anyhow::anyhow!("the controller ended"),
        Err(error) => error,
    }
}

fn config(id: u32, size: Size) -> Config {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        tls: None,
        node_id: id,
        cluster: CLUSTER.to_owned(),
        data: PathBuf::from(format!("disk-of-{id}")),
        grpc: nowhere,
        admin: nowhere,
        peers: (1..=size.nodes).map(|node| (node, Net::address(node))).collect(),
        shards: size.shards,
        replication: 3,
        memory_bytes: 64 << 20,
        workers: 1,
        keep_log_entries: size.keep_log_entries,
        keys: None,
        checkpoints: Checkpoints {
            interval: Duration::from_secs(3),
            entries: 16,
        },
        timing: Timing {
            heartbeat_ms: 200,
            election_min_ms: 600,
            election_max_ms: 1_200,
        },
        log: "info".to_owned(),
        log_format: Default::default(),
        traces_endpoint: None,
        exit_with_parent: false,
    }
}
