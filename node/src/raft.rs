//! Raft as this node runs it: the settings, and the handle by which the rest of the node speaks to a group
//! without knowing what it decides about (bookings or the cluster itself).

pub mod machine;
pub mod network;
pub mod peer;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::{Config, ConfigError, SnapshotPolicy};
use rotunda_raft_storage::{KEEP_LOG_UNTIL_CHECKPOINT, Machine, SnapshotReceiver, StateMachine, TypeConfig};
use tokio::time::Instant;

use crate::config::Timing;
use crate::mutant::mutant;
use crate::shards::freshness::Heard;

/// A running group over machine `M`.
pub type Raft<M> = openraft::Raft<TypeConfig, StateMachine<M>>;

/// Commands waiting for openraft's core, per group. The batcher keeps at most a few entries in flight, so this is never
/// reached; should it be, the proposer waits.
const API_QUEUE_PER_GROUP: u64 = 256;

/// Entries a follower may be behind before the leader sends a snapshot instead of entries that are purged anyway.
/// Entries are batches of up to a thousand commands.
const REPLICATION_LAG_ENTRIES: u64 = 64;

/// A snapshot of a large shard takes its time; openraft's default of 200 ms would start over for ever.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);

/// openraft's settings for every group. The reasons stand in the design's table and in ARCHITECTURE.md.
///
/// # Errors
/// Where the timing makes no sense, as an election time-out below the heartbeat.
pub fn raft_config(cluster: &str, timing: &Timing) -> Result<Arc<Config>, ConfigError> {
    let config = Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_min_ms,
        election_timeout_max: timing.election_max_ms,
        install_snapshot_timeout: u64::try_from(SNAPSHOT_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        replication_lag_threshold: REPLICATION_LAG_ENTRIES,
        // A purge must follow durable applied state, which only the checkpointer knows.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: KEEP_LOG_UNTIL_CHECKPOINT,
        api_channel_size: Some(API_QUEUE_PER_GROUP),
        enable_pre_vote: Some(true),
        // 0.10 replicates before its own fsync: a leader that resumes its term with a shorter log
        // could give an index away twice.
        enable_leader_restore: Some(mutant!(LeaderRestored)),
        // A follower whose disk lost what it had acknowledged starts all the same where its mark does not tell (see
        // raft-storage's `mark`). Asked for what it once had, it says that it has not, and is sent all of it again. Without
        // this the leader asks for ever: the replica stays behind, votes, and the next fault finds one copy less.
        allow_log_reversion: Some(true),
        ..Config::default()
    };
    config.validate().map(Arc::new)
}

/// A group as its peers see it: requests in, responses out, both in wire form.
pub trait PeerFacing: Send + Sync + 'static {
    /// This replica's id, to tell a message meant for its predecessor.
    fn replica(&self) -> u64;
    /// AppendEntries. The call is handed to the core before this returns, so calls keep their order.
    fn append(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>>;
    /// RequestVote.
    fn vote(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>>;
    /// The question before RequestVote.
    fn pre_vote(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>>;
    /// A leader asks this replica to take over.
    fn transfer_leader(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>>;
    /// Starts to receive a snapshot.
    fn begin_snapshot(&self, header: Bytes) -> BoxFuture<'static, Result<Box<dyn SnapshotSink>, Unavailable>>;
}

/// Takes a snapshot chunk by chunk.
pub trait SnapshotSink: Send {
    /// The next chunk.
    fn push(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Unavailable>>;
    /// Verifies, installs, and answers as the leader expects.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Bytes, Unavailable>>;
}

/// The group cannot answer: it has stopped, or the message makes no sense to it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

impl Unavailable {
    fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// [`PeerFacing`] over openraft.
pub struct Replica<M: Machine> {
    raft: Raft<M>,
    id: u64,
    receiver: SnapshotReceiver<M>,
    heard: Arc<Heard>,
}

impl<M: Machine> Replica<M> {
    /// Wraps a running group. `receiver` writes incoming snapshots beside the live state.
    /// `heard` is told what leaders say.
    pub fn new(id: u64, raft: Raft<M>, receiver: SnapshotReceiver<M>, heard: Arc<Heard>) -> Self {
        Self {
            raft,
            id,
            receiver,
            heard,
        }
    }
}

impl<M: Machine> PeerFacing for Replica<M> {
    fn replica(&self) -> u64 {
        self.id
    }

    fn append(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>> {
        let (raft, heard) = (self.raft.clone(), Arc::clone(&self.heard));
        Box::pin(async move {
            let came = Instant::now();
            let request: AppendEntriesRequest<TypeConfig> = wire::decode(&body).map_err(Unavailable::because)?;
            let committed = request.leader_commit.map_or(0, |log_id| log_id.index);
            if mutant!(AckedOnArrival) {
                rotunda_raft_storage::scope::spawn(async move { drop(raft.append_entries(request).await) });
                let response = AppendEntriesResponse::<TypeConfig>::Success;
                return wire::encode(&response).map_err(Unavailable::because);
            }
            let response = raft.append_entries(request).await.map_err(Unavailable::because)?;
            if matches!(
                response,
                AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)
            ) {
                heard.leader_said(came, committed);
            }
            wire::encode(&response).map_err(Unavailable::because)
        })
    }

    fn vote(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let request = wire::decode(&body).map_err(Unavailable::because)?;
            let response = raft.vote(request).await.map_err(Unavailable::because)?;
            wire::encode(&response).map_err(Unavailable::because)
        })
    }

    fn pre_vote(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let request = wire::decode(&body).map_err(Unavailable::because)?;
            let response = raft.pre_vote(request).await.map_err(Unavailable::because)?;
            wire::encode(&response).map_err(Unavailable::because)
        })
    }

    fn transfer_leader(&self, body: Bytes) -> BoxFuture<'static, Result<Bytes, Unavailable>> {
        let raft = self.raft.clone();
        Box::pin(async move {
            let request = wire::decode(&body).map_err(Unavailable::because)?;
            let response = raft
                .handle_transfer_leader(request)
                .await
                .map_err(Unavailable::because)?;
            wire::encode(&response).map_err(Unavailable::because)
        })
    }

    fn begin_snapshot(&self, header: Bytes) -> BoxFuture<'static, Result<Box<dyn SnapshotSink>, Unavailable>> {
        let (raft, receiver) = (self.raft.clone(), self.receiver.clone());
        Box::pin(async move {
            let header: wire::SnapshotHeader = wire::decode(&header).map_err(Unavailable::because)?;
            let writer = receiver
                .begin(header.meta.clone())
                .await
                .map_err(Unavailable::because)?;
            Ok(Box::new(Incoming { raft, header, writer }) as Box<dyn SnapshotSink>)
        })
    }
}

struct Incoming<M: Machine> {
    raft: Raft<M>,
    header: wire::SnapshotHeader,
    writer: rotunda_raft_storage::SnapshotWriter<M>,
}

impl<M: Machine> SnapshotSink for Incoming<M> {
    fn push(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(async move { self.writer.push(chunk).await.map_err(Unavailable::because) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Bytes, Unavailable>> {
        Box::pin(async move {
            let snapshot = self.writer.finish().await.map_err(Unavailable::because)?;
            let snapshot = openraft::storage::Snapshot {
                meta: self.header.meta,
                snapshot,
            };
            let response = self
                .raft
                .install_full_snapshot(self.header.vote, snapshot)
                .await
                .map_err(Unavailable::because)?;
            wire::encode(&response).map_err(Unavailable::because)
        })
    }
}
