//! One running Raft group on this node: the core, who leads it, its reads, its checkpoints; and the watch that ends the
//! process when the core stops. Over the meta group's machine and the shards' alike.

mod membership;
pub mod rows;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{Config, Instant as _};
use rotunda_protocol::dial::Dial;
use rotunda_protocol::proto::admin::{self as proto, ReplicaStatus};
use rotunda_raft_storage::{Checkpoint, GroupId, Machine, ReplicaNode, StateReader, Store};

use crate::budget::Budget;
use crate::clock::wall::WallClock;
use crate::config::Checkpoints;
use crate::raft::network::Network;
use crate::raft::peer::Peers;
use crate::raft::{PeerFacing, Raft, Replica};
use crate::shards::freshness::Heard;
use crate::shards::leadership::Leadership;
use crate::shards::reads::Reads;
use crate::vital;

/// How long a leader waits for another replica to take over before it gives up.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3);

/// What groups of a node share.
#[derive(Clone)]
pub struct Host {
    /// This node.
    pub node: u32,
    /// The store of all groups.
    pub store: Store,
    /// The other nodes.
    pub peers: Peers,
    /// How other nodes are reached.
    pub dial: Arc<dyn Dial>,
    /// What may be kept in memory.
    pub budget: Arc<Budget>,
    /// The time of day that leaders start their stamps from.
    pub wall: WallClock,
    /// openraft's settings.
    pub config: Arc<Config>,
    /// Set when the node is about to stop: a core that ends is then no surprise.
    pub stopping: Arc<AtomicBool>,
    /// When logs are cut.
    pub checkpoints: Checkpoints,
}

fn voters(membership: &openraft::Membership<u64, ReplicaNode>) -> Vec<proto::Replica> {
    let voter = |id| proto::Replica {
        id,
        node: membership.get_node(&id).map_or(0, |at| at.node),
    };
    membership.voter_ids().map(voter).collect()
}

/// See the module.
pub struct Group<M: Machine> {
    /// Group id: 0 is the meta group.
    pub id: u64,
    /// This replica's id.
    pub replica: u64,
    /// The core.
    pub raft: Raft<M>,
    /// Who leads.
    pub leadership: Arc<Leadership>,
    /// Linearizable reads.
    pub reads: Reads,
    /// The applied state.
    pub reader: StateReader,
    /// What leaders said last.
    heard: Arc<Heard>,
    /// Towards the peers.
    pub facing: Arc<dyn PeerFacing>,
    checkpoint: Checkpoint,
}

impl<M: Machine> Group<M> {
    /// Opens the replica's log and state and starts the core.
    ///
    /// # Errors
    /// Where the store or openraft refuses.
    pub async fn start(
        host: &Host,
        id: u64,
        replica: u64,
        replicas: impl IntoIterator<Item = (u64, u32)>,
        machine: M,
    ) -> anyhow::Result<Arc<Self>> {
        let opened = host.store.open_group(GroupId(id), replica, machine).await?;
        let network = Network::new(id, replica, host.peers.clone(), Arc::clone(&host.budget));
        let raft = Raft::<M>::new(replica, Arc::clone(&host.config), network, opened.log, opened.machine).await?;
        if !host.wall.is_right() {
            raft.runtime_config().elect(false);
        }
        let leadership = Arc::new(Leadership::new(replicas));
        let heard = Arc::new(Heard::default());
        let group = Arc::new(Self {
            id,
            replica,
            reads: Reads::spawn(raft.clone(), Arc::clone(&leadership)),
            facing: Arc::new(Replica::new(
                replica,
                raft.clone(),
                opened.snapshots,
                Arc::clone(&heard),
            )),
            heard,
            reader: opened.reader,
            checkpoint: opened.checkpoint,
            raft,
            leadership,
        });
        let (following, metrics) = (Arc::clone(&group.leadership), group.raft.server_metrics());
        let named = |what: &str| format!("{what} of Raft group {id} (replica {replica})");
        vital::spawn(named("the view of who leads"), async move {
            following.follow(metrics).await
        });
        vital::spawn(
            named("the watch over the core"),
            Arc::clone(&group).watch_core(Arc::clone(&host.stopping)),
        );
        vital::spawn(
            named("checkpoints"),
            Arc::clone(&group).keep_checkpoints(host.checkpoints),
        );
        Ok(group)
    }

    /// Founds the group with these replicas, unless it is founded already.
    ///
    /// # Errors
    /// Where the core has stopped.
    pub async fn found(&self, replicas: impl IntoIterator<Item = (u64, u32)>) -> anyhow::Result<()> {
        if self.raft.is_initialized().await? {
            return Ok(());
        }
        let members: std::collections::BTreeMap<u64, ReplicaNode> = replicas
            .into_iter()
            .map(|(id, node)| (id, ReplicaNode { node }))
            .collect();
        match self.raft.initialize(members).await {
            Ok(()) => Ok(()),
            // Another replica was quicker and its first entry arrived in between: founded all the same.
            Err(openraft::errors::RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands leadership to the replica that has most of the log. True once this one no longer leads.
    pub async fn give_leadership_away(&self) -> bool {
        if !self.leadership.leads() {
            return true;
        }
        let Some(successor) = self.best_successor() else {
            return false;
        };
        self.transfer_to(successor).await
    }

    /// Hands leadership to one replica. True once this one no longer leads.
    pub async fn transfer_to(&self, replica: u64) -> bool {
        if self.raft.trigger().transfer_leader(replica).await.is_err() {
            return false;
        }
        let done = tokio::time::timeout(TRANSFER_TIMEOUT, async {
            while self.leadership.leads() {
                let _ = tokio::time::timeout(Duration::from_millis(50), self.leadership.changed()).await;
            }
        });
        done.await.is_ok()
    }

    fn best_successor(&self) -> Option<u64> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let voters: std::collections::BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
        metrics
            .replication?
            .into_iter()
            .filter(|(id, _)| *id != self.replica && voters.contains(id))
            .max_by_key(|(_, matching)| matching.as_ref().map(|log_id| log_id.index))
            .map(|(id, _)| id)
    }

    /// Applied index and the state hash there, of one moment. Zeros where nothing is applied or the store fails, which
    /// the next apply will say louder.
    fn applied_state(&self) -> (u64, [u8; 16]) {
        self.reader.view().map_or((0, [0; 16]), |view| {
            (view.applied_index().unwrap_or(0), view.state_hash())
        })
    }

    /// How old the applied state may be: it holds everything that was acknowledged longer ago. `None` where that is not
    /// known, as before the first leader. A leader that was deposed without its knowing, and a follower that hears such a
    /// one, are told apart from others by a quorum's acknowledgements; what is in between is the time of a heartbeat.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        if self.leadership.leads() {
            let acked = self.raft.metrics().borrow_watched().last_quorum_acked;
            return acked.map(|at| at.elapsed());
        }
        self.heard.age(self.reader.applied_index().unwrap_or(0))
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self, epoch: u64) -> ReplicaStatus {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let (applied, state_hash) = self.applied_state();
        ReplicaStatus {
            shard: self.id,
            replica: self.replica,
            role: self.leadership.role().to_owned(),
            leader_replica: self.leadership.leader_replica().unwrap_or(0),
            leader_node: self.leadership.leader_node().unwrap_or(0),
            term: metrics.current_term,
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: metrics.local_committed.map_or(0, |id| id.index),
            applied,
            purged: metrics.purged.map_or(0, |id| id.index),
            state_hash: state_hash.to_vec().into(),
            epoch,
            voters: voters(metrics.membership_config.membership()),
        }
    }

    /// Replicas that vote.
    #[must_use]
    pub fn voters(&self) -> usize {
        let metrics = self.raft.metrics();
        metrics
            .borrow_watched()
            .membership_config
            .membership()
            .voter_ids()
            .count()
    }

    /// A core that ends by itself has lost its store or met a defect. The other groups of this process may be as wrong,
    /// and a silent group is worse than a dead node, which the others notice.
    async fn watch_core(self: Arc<Self>, stopping: Arc<AtomicBool>) {
        // Not the metrics that say why: those change several times with each entry, these with leaders. Both end with the core.
        let mut changes = self.raft.server_metrics();
        while changes.changed().await.is_ok() {}
        if stopping.load(Ordering::Acquire) {
            return;
        }
        let reason = match &self.raft.metrics().borrow_watched().running_state {
            Err(fatal) => fatal.to_string(),
            Ok(()) => "its core has gone".to_owned(),
        };
        tracing::error!(group = self.id, replica = self.replica, %reason, "a Raft group stopped; ending the process");
        // In one write: whoever panics at the same moment writes there too, and would come in between.
        let told = format!(
            "rotunda-node: Raft group {} (replica {}) stopped: {reason}\n\
             The process ends so that the other replicas take over. Look above for the cause, then start it again.\n",
            self.id, self.replica
        );
        let _ = std::io::stderr().write_all(told.as_bytes());
        std::process::abort();
    }

    async fn keep_checkpoints(self: Arc<Self>, when: Checkpoints) {
        // Groups take turns: each starts at its own offset, so that flushes do not come all at once.
        tokio::time::sleep(when.interval.mul_f64(fastrand::f64())).await;
        let mut last = 0;
        loop {
            let applied = self.reader.applied_index().unwrap_or(0);
            if applied >= last + when.entries {
                match self.checkpoint.checkpoint(&self.raft).await {
                    Ok(_) => last = applied,
                    Err(error) => tracing::warn!(group = self.id, %error, "checkpoint failed; the log is kept longer"),
                }
            }
            tokio::time::sleep(when.interval).await;
        }
    }
}
