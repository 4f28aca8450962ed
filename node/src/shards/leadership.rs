//! Who leads a group, as far as this node knows: a few atomics that the hot path reads and one task that writes them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use parking_lot::RwLock;
use rotunda_raft_storage::TypeConfig;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct Leadership {
    leads: AtomicBool,
    term: AtomicU64,
    leader_replica: AtomicU64,
    leader_node: AtomicU32,
    role: RwLock<&'static str>,
    nodes: RwLock<BTreeMap<u64, u32>>,
    changed: Notify,
}

impl Leadership {
    /// Of a group whose replicas live on these nodes.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = (u64, u32)>) -> Self {
        Self {
            nodes: RwLock::new(nodes.into_iter().collect()),
            role: RwLock::new("follower"),
            ..Self::default()
        }
    }

    /// Learns where more replicas live. Those that have left stay known: one of them may lead for a moment yet.
    pub fn place(&self, replicas: &BTreeMap<u64, u32>) {
        let mut nodes = self.nodes.write();
        nodes.extend(replicas.iter().map(|(replica, node)| (*replica, *node)));
        let leader = self.leader_replica.load(Ordering::Acquire);
        if let Some(node) = nodes.get(&leader) {
            self.leader_node.store(*node, Ordering::Release);
        }
    }

    /// True while this replica leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// The term last seen.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }

    /// The leading replica, if one is known.
    #[must_use]
    pub fn leader_replica(&self) -> Option<u64> {
        Some(self.leader_replica.load(Ordering::Acquire)).filter(|id| *id != 0)
    }

    /// The node of the leading replica, if one is known.
    #[must_use]
    pub fn leader_node(&self) -> Option<u32> {
        Some(self.leader_node.load(Ordering::Acquire)).filter(|node| *node != 0)
    }

    /// `leader`, `follower`, `candidate`, `learner` or `stopped`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        *self.role.read()
    }

    /// Waits until something about it changes.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Follows openraft's own view until the core ends.
    pub async fn follow(&self, mut metrics: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>) {
        loop {
            self.take(&metrics.borrow_watched().clone());
            if metrics.changed().await.is_err() {
                break;
            }
        }
        self.leads.store(false, Ordering::Release);
        *self.role.write() = "stopped";
        self.changed.notify_waiters();
    }

    fn take(&self, metrics: &RaftServerMetrics<TypeConfig>) {
        let replica = metrics.current_leader;
        let node = replica.and_then(|replica| self.nodes.read().get(&replica).copied());
        let leads = metrics.state == ServerState::Leader && replica == Some(metrics.id);
        self.term.store(metrics.vote.leader_id.term, Ordering::Release);
        self.leader_replica.store(replica.unwrap_or(0), Ordering::Release);
        self.leader_node.store(node.unwrap_or(0), Ordering::Release);
        *self.role.write() = match metrics.state {
            ServerState::Leader => "leader",
            ServerState::Follower => "follower",
            ServerState::Candidate => "candidate",
            ServerState::Learner => "learner",
            ServerState::Shutdown => "stopped",
        };
        // Last, so whoever sees it leads sees the term as well.
        self.leads.store(leads, Ordering::Release);
        self.changed.notify_waiters();
    }
}
