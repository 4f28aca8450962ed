//! Brings a group's members in line with the map: who leads it adds replicas that are to come as learners, promotes them once
//! they have the log, and lets go of those that are to leave. Each step looks at what is, so that it may be broken off
//! anywhere and done again, by this leader or the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use rotunda_raft_storage::{Machine, ReplicaNode};
use tokio::sync::watch;

use super::Group;
use crate::meta::map::MetaState;

/// Between two looks while members are not yet as they should be.
const STEP: Duration = Duration::from_millis(250);

/// A step that takes longer has no quorum; it is looked at again.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// A learner that lacks fewer entries than this is promoted: it has the rest before the change is through.
const NEARLY_THERE: u64 = 64;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Members are as they should be.
    Done,
    /// Look again.
    UnderWay,
}

impl<M: Machine> Group<M> {
    /// Keeps members in line with what `wanted` reads off the map: replica ids and their nodes. An empty answer asks for
    /// nothing. Ends with the map.
    pub(crate) async fn keep_members(
        self: Arc<Self>,
        mut map: watch::Receiver<MetaState>,
        wanted: impl Fn(&MetaState) -> BTreeMap<u64, u32> + Send + 'static,
    ) {
        loop {
            let wanted = wanted(&map.borrow_and_update());
            self.leadership.place(&wanted);
            if wanted.is_empty() || self.step(&wanted).await == Progress::Done {
                if map.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let _ = tokio::time::timeout(STEP, map.changed()).await;
        }
    }

    async fn step(&self, wanted: &BTreeMap<u64, u32>) -> Progress {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let membership = metrics.membership_config.membership().clone();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let target: BTreeSet<u64> = wanted.keys().copied().collect();
        // A change under way shows as two sets of voters.
        if voters == target && membership.get_joint_config().len() == 1 {
            return Progress::Done;
        }
        // Not founded yet; or another leads, and does it.
        if voters.is_empty() || !self.leadership.leads() {
            return Progress::UnderWay;
        }
        let last = metrics.last_log_index.unwrap_or(0);
        let matching = |replica: &u64| {
            let replication = metrics.replication.as_ref()?;
            replication.get(replica)?.as_ref().map(|id| id.index)
        };
        for (replica, node) in wanted.iter().filter(|(replica, _)| !voters.contains(replica)) {
            if membership.get_node(replica).is_none() {
                tracing::info!(group = self.id, replica, node, "a replica joins as a learner");
                let joins = self.raft.add_learner(*replica, ReplicaNode { node: *node }, false);
                self.told("adding a learner", tokio::time::timeout(STEP_TIMEOUT, joins).await);
                return Progress::UnderWay;
            }
            if matching(replica).is_none_or(|index| index + NEARLY_THERE < last) {
                return Progress::UnderWay;
            }
        }
        tracing::info!(group = self.id, ?voters, ?target, "the voters change");
        let change = self.raft.change_membership(target, false);
        self.told("changing the voters", tokio::time::timeout(STEP_TIMEOUT, change).await);
        Progress::UnderWay
    }

    fn told<T, E: std::fmt::Display>(&self, what: &str, outcome: Result<Result<T, E>, tokio::time::error::Elapsed>) {
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(group = self.id, %error, "{what} waits"),
            Err(_elapsed) => tracing::warn!(group = self.id, "{what} waits for a quorum"),
        }
    }
}
