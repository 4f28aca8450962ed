//! A replica that begins with rows instead of a log, as if it had just installed a snapshot: how a backup becomes a cluster.
//! All replicas of a group are sown from the same seed, each into an empty directory, before any of them is started.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use futures::stream::{Stream, StreamExt};
use openraft::storage::{RaftLogStorage as _, RaftStateMachine as _};
use openraft::{Membership, StoredMembership as Stored};

use crate::machine::Machine;
use crate::record::leader;
use crate::store::Group;
use crate::types::{LogId, ReplicaNode, SnapshotMeta, Vote};

/// Where the rows come from, and who votes on what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The last applied entry that the rows hold.
    pub last: LogId,
    /// Replicas that vote, and their nodes.
    pub voters: BTreeMap<u64, u32>,
}

impl Seed {
    /// Rows whose last entry has this index, and was proposed by `leader_replica` in `term`.
    #[must_use]
    pub fn after(index: u64, term: u64, leader_replica: u64, voters: BTreeMap<u64, u32>) -> Self {
        let leader_id = leader(term, leader_replica);
        let last = LogId { leader_id, index };
        Self { last, voters }
    }
}

impl<M: Machine> Group<M> {
    /// Makes the chunks of a snapshot this replica's state. What comes after has a higher term than what went before: the
    /// replica's vote begins in the term of the seed's last entry. Not durable before [`crate::Store::flush`].
    ///
    /// # Errors
    /// Where the replica has a log or a state already, a chunk is damaged, the rows do not give the hash that the end of the
    /// snapshot names, or the store fails.
    pub async fn seed(&mut self, seed: &Seed, chunks: impl Stream<Item = io::Result<Bytes>> + Send) -> io::Result<()> {
        if self.reader.applied_index().is_some() || self.log.get_log_state().await?.last_log_id.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the replica has a state already",
            ));
        }
        let nodes: BTreeMap<u64, ReplicaNode> = seed
            .voters
            .iter()
            .map(|(replica, node)| (*replica, ReplicaNode { node: *node }))
            .collect();
        let voters = nodes.keys().copied().collect();
        let membership = Membership::new(vec![voters], nodes).map_err(io::Error::other)?;
        let meta = SnapshotMeta {
            last_log_id: Some(seed.last),
            last_membership: Stored::new(Some(seed.last), membership),
        };
        let mut writer = self.snapshots.begin(meta.clone()).await?;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            writer.push(chunk?).await?;
        }
        let snapshot = writer.finish().await?;
        self.machine.install_snapshot(&meta, snapshot).await?;
        let vote = Vote {
            leader_id: seed.last.leader_id,
            committed: false,
        };
        self.log.save_vote(&vote).await?;
        self.log.purge(seed.last).await
    }
}
