//! The store under a running Raft core: groups whose replicas speak to each other in this process.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::storage::Snapshot;
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use openraft::{Config, OptionalSend, Raft, RaftNetworkFactory, RaftNetworkV2, SnapshotPolicy};
use parking_lot::Mutex;

use super::{GROUP, Place, Registers, register, rows};
use crate::checkpoint::Checkpoint;
use crate::snapshot::{SnapshotData, SnapshotReceiver};
use crate::state::StateReader;
use crate::state_machine::StateMachine;
use crate::store::{Store, StoreConfig};
use crate::types::{Payload, ReplicaNode, TypeConfig};

pub(super) type TestRaft = Raft<TypeConfig, StateMachine<Registers>>;

/// Replicas that can be reached, with where their snapshots go.
pub(super) type Reachable = Arc<Mutex<BTreeMap<u64, (TestRaft, SnapshotReceiver<Registers>)>>>;

#[derive(Clone)]
struct Network {
    reachable: Reachable,
    target: u64,
}

impl Network {
    fn target(&self) -> Result<(TestRaft, SnapshotReceiver<Registers>), Unreachable<TypeConfig>> {
        let found = self.reachable.lock().get(&self.target).cloned();
        found.ok_or_else(|| Unreachable::new(&std::io::Error::other("not reachable")))
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Self;

    async fn new_client(&mut self, target: u64, _node: &ReplicaNode) -> Self {
        Self { target, ..self.clone() }
    }
}

fn unreachable(error: &impl std::fmt::Display) -> Unreachable<TypeConfig> {
    Unreachable::new(&std::io::Error::other(error.to_string()))
}

impl RaftNetworkV2<TypeConfig> for Network {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.target()?
            .0
            .append_entries(rpc)
            .await
            .map_err(|error| unreachable(&error).into())
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.target()?
            .0
            .vote(rpc)
            .await
            .map_err(|error| unreachable(&error).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let (raft, receiver) = self.target()?;
        let mut writer = receiver
            .begin(snapshot.meta.clone())
            .await
            .map_err(|error| unreachable(&error))?;
        let mut chunks = snapshot.snapshot.chunks();
        while let Some(chunk) = chunks.next().await {
            let pushed = async { writer.push(chunk?).await }.await;
            pushed.map_err(|error| unreachable(&error))?;
        }
        let data = writer.finish().await.map_err(|error| unreachable(&error))?;
        let snapshot = Snapshot {
            meta: snapshot.meta,
            snapshot: data,
        };
        raft.install_full_snapshot(vote, snapshot)
            .await
            .map_err(|error| unreachable(&error).into())
    }

    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

pub(super) struct Replica {
    pub(super) raft: TestRaft,
    pub(super) reader: StateReader,
    checkpoint: Checkpoint,
    _store: Store,
}

pub(super) async fn start(place: &Place, id: u64, reachable: &Reachable) -> Replica {
    let settings = StoreConfig {
        keep_log_entries: 10,
        ..place.config()
    };
    // openraft's workers may outlive its `shutdown` by a moment, and hold the state.
    let store = place.try_store(settings).await.unwrap();
    let group = store.open_group(GROUP, id, Registers::default()).await.unwrap();
    let settings = Config {
        heartbeat_interval: 50,
        election_timeout_min: 300,
        election_timeout_max: 600,
        install_snapshot_timeout: 60_000,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: crate::KEEP_LOG_UNTIL_CHECKPOINT,
        enable_leader_restore: Some(false),
        // As the node sets it.
        allow_log_reversion: Some(true),
        ..Config::default()
    };
    let network = Network {
        reachable: Arc::clone(reachable),
        target: 0,
    };
    let raft = Raft::new(
        id,
        Arc::new(settings.validate().unwrap()),
        network,
        group.log,
        group.machine,
    )
    .await
    .unwrap();
    reachable.lock().insert(id, (raft.clone(), group.snapshots));
    Replica {
        raft,
        reader: group.reader,
        checkpoint: group.checkpoint,
        _store: store,
    }
}

/// Writes `entries` entries that set the register of their own index; gives the last index.
pub(super) async fn write(replica: &Replica, entries: u64) -> u64 {
    // The first finds out where the log is.
    let mut last = replica
        .raft
        .client_write(Payload(Bytes::from("first=write")))
        .await
        .unwrap()
        .log_id
        .index;
    for _ in 0..entries {
        let payload = Payload(Bytes::from((last + 1).to_string()));
        last = replica.raft.client_write(payload).await.unwrap().log_id.index;
    }
    last
}

const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_purges_only_what_is_durable_and_a_restart_finds_the_rest() {
    let place = Place::dir();
    let nodes = BTreeMap::from([(1, ReplicaNode { node: 1 })]);
    let last = {
        let reachable = Reachable::default();
        let replica = start(&place, 1, &reachable).await;
        replica.raft.initialize(nodes).await.unwrap();
        replica
            .raft
            .wait(PATIENCE)
            .state(openraft::ServerState::Leader, "leads")
            .await
            .unwrap();
        let last = write(&replica, 200).await;
        let done = replica.checkpoint.checkpoint(&replica.raft).await.unwrap();
        assert!(done.durable >= Some(last));
        assert_eq!(done.purge_asked, Some(last - 10));
        let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.purged.map(|id| id.index) == Some(last - 10);
        replica.raft.wait(PATIENCE).metrics(purged, "purged").await.unwrap();
        // Again, with nothing new: nothing to do.
        assert_eq!(
            replica.checkpoint.checkpoint(&replica.raft).await.unwrap().purge_asked,
            None
        );
        let last = write(&replica, 5).await;
        replica.raft.shutdown().await.unwrap();
        reachable.lock().clear();
        last
    };
    let replica = start(&place, 1, &Reachable::default()).await;
    replica
        .raft
        .wait(PATIENCE)
        .state(openraft::ServerState::Leader, "leads again")
        .await
        .unwrap();
    replica
        .raft
        .wait(PATIENCE)
        .applied_index_at_least(Some(last), "applied again")
        .await
        .unwrap();
    let view = replica.reader.view().unwrap();
    for index in last - 4..=last {
        assert!(
            rows(&view).contains(&(register(index), index.to_string())),
            "register of {index}: {:?}",
            rows(&view)
        );
    }
    replica.raft.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_far_behind_gets_a_snapshot_and_goes_on_from_there() {
    let places = [Place::dir(), Place::dir()];
    let reachable = Reachable::default();
    let leader = start(&places[0], 1, &reachable).await;
    leader
        .raft
        .initialize(BTreeMap::from([(1, ReplicaNode { node: 1 })]))
        .await
        .unwrap();
    leader
        .raft
        .wait(PATIENCE)
        .state(openraft::ServerState::Leader, "leads")
        .await
        .unwrap();
    let last = write(&leader, 150).await;
    let asked = leader
        .checkpoint
        .checkpoint(&leader.raft)
        .await
        .unwrap()
        .purge_asked
        .unwrap();
    let purged = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.purged.map(|id| id.index) == Some(asked);
    leader.raft.wait(PATIENCE).metrics(purged, "purged").await.unwrap();

    // The log no longer reaches back to the beginning, so the new replica can only come by a snapshot.
    let learner = start(&places[1], 2, &reachable).await;
    leader.raft.add_learner(2, ReplicaNode { node: 2 }, true).await.unwrap();
    learner
        .raft
        .wait(PATIENCE)
        .applied_index_at_least(Some(last), "caught up")
        .await
        .unwrap();
    let installed = learner.raft.metrics().borrow_watched().snapshot;
    assert!(
        installed.is_some_and(|id| id.index >= asked),
        "came by a snapshot: {installed:?}"
    );
    let last = write(&leader, 30).await;
    learner
        .raft
        .wait(PATIENCE)
        .applied_index_at_least(Some(last), "follows")
        .await
        .unwrap();
    let (one, two) = (leader.reader.view().unwrap(), learner.reader.view().unwrap());
    assert_eq!(one.applied_index(), two.applied_index());
    assert_eq!(one.state_hash(), two.state_hash());
    assert_eq!(rows(&one), rows(&two));
    drop((one, two));

    // And it knows all that after a restart.
    learner.raft.shutdown().await.unwrap();
    reachable.lock().remove(&2);
    drop(learner);
    let learner = start(&places[1], 2, &reachable).await;
    let last = write(&leader, 30).await;
    learner
        .raft
        .wait(PATIENCE)
        .applied_index_at_least(Some(last), "follows again")
        .await
        .unwrap();
    assert_eq!(
        learner.reader.view().unwrap().state_hash(),
        leader.reader.view().unwrap().state_hash()
    );
    for replica in [leader, learner] {
        replica.raft.shutdown().await.unwrap();
    }
}
