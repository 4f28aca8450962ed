//! openraft's view of the peers: one [`Connection`] per target replica, all of a node's sharing its one stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, stream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{Backoff, RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use rotunda_protocol::proto::raft::SnapshotChunk;
use rotunda_protocol::proto::raft::peer_frame::Kind;
use rotunda_raft_storage::scope;
use rotunda_raft_storage::{ReplicaNode, SnapshotData, TypeConfig};
use serde::de::DeserializeOwned;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::peer::{PeerError, Peers};
use super::wire;
use crate::budget::Budget;

/// AppendEntries under way per stream before the next waits.
const PIPELINE_DEPTH: usize = 32;

/// A peer that accepts a message and does not answer for so long is treated as gone. Far above openraft's own time-out
/// (a heartbeat): a slow fsync on the other side is no reason to send everything again.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Chunks read ahead of the receiver. When full, reading waits.
const SNAPSHOT_CHUNKS_AHEAD: usize = 4;

/// Makes connections for one group.
#[derive(Clone)]
pub struct Network {
    group: u64,
    replica: u64,
    peers: Peers,
    budget: Arc<Budget>,
}

impl Network {
    /// For replica `replica` of group `group`.
    #[must_use]
    pub fn new(group: u64, replica: u64, peers: Peers, budget: Arc<Budget>) -> Self {
        Self {
            group,
            replica,
            peers,
            budget,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &ReplicaNode) -> Connection {
        log_reversions(node.node, 0);
        Connection(Arc::new(Route {
            group: self.group,
            from: self.replica,
            target,
            node: node.node,
            peers: self.peers.clone(),
            room: Room::of(self.budget.bytes_per_replication()),
            acknowledged: AtomicU64::new(0),
        }))
    }
}

/// From one replica to one other.
pub struct Connection(Arc<Route>);

struct Route {
    group: u64,
    from: u64,
    target: u64,
    node: u32,
    peers: Peers,
    room: Room,
    /// Index up to which the other has said that it has the log.
    acknowledged: AtomicU64,
}

/// Bounds the entries that are under way and not yet answered, in bytes.
struct Room {
    bytes: Arc<Semaphore>,
    limit: u32,
}

impl Room {
    fn of(bytes: usize) -> Self {
        let limit = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        let permits = usize::try_from(limit)
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        Self {
            bytes: Arc::new(Semaphore::new(permits)),
            limit,
        }
    }

    /// Waits until `bytes` fit. What is larger than the whole goes alone.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.limit);
        Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()
    }
}

fn log_reversions(node: u32, count: u64) {
    metrics::counter!(rotunda_metrics::node::RAFT_LOG_REVERSIONS.name, "node" => node.to_string()).increment(count);
}

type Rpc<T> = Result<T, RPCError<TypeConfig>>;

fn rpc_error(error: &PeerError) -> RPCError<TypeConfig> {
    match error {
        PeerError::Unreachable(_) | PeerError::NoGroup { .. } => RPCError::Unreachable(Unreachable::new(error)),
        PeerError::Busy(_) => RPCError::Network(NetworkError::new(error)),
    }
}

impl Route {
    /// Sends the request and waits for the response.
    async fn call<Q: serde::Serialize + Sync, A: DeserializeOwned + Send>(
        &self,
        kind: Kind,
        request: &Q,
        limit: Duration,
    ) -> Rpc<A> {
        match wire::encode(request) {
            Ok(body) => self.send(kind, body, limit).await,
            Err(error) => Err(RPCError::Network(NetworkError::new(&error))),
        }
    }

    /// Queues the request now; the future waits for the response.
    fn send<A: DeserializeOwned + Send>(
        &self,
        kind: Kind,
        body: Bytes,
        limit: Duration,
    ) -> impl Future<Output = Rpc<A>> + Send + use<A> {
        let (id, target) = (self.from, self.target);
        let pending = match self.peers.get(self.node) {
            Some(peer) => Ok(peer.call(self.group, self.target, kind, body)),
            None => Err(rpc_error(&PeerError::Unreachable(self.node))),
        };
        async move {
            let answer: Bytes = match tokio::time::timeout(limit, pending?).await {
                Ok(Ok(Ok(body))) => body,
                Ok(Ok(Err(error))) => return Err(rpc_error(&error)),
                Ok(Err(_dropped)) => {
                    return Err(RPCError::Network(NetworkError::new(&std::io::Error::other(
                        "the call was dropped",
                    ))));
                }
                Err(_elapsed) => {
                    let action = if kind == Kind::Append {
                        RPCTypes::AppendEntries
                    } else {
                        RPCTypes::Vote
                    };
                    return Err(RPCError::Timeout(Timeout {
                        action,
                        id,
                        target,
                        timeout: limit,
                    }));
                }
            };
            wire::decode(&answer).map_err(|error| RPCError::Network(NetworkError::new(&error)))
        }
    }
}

impl Route {
    /// A log that ends before what it was acknowledged to have has gone back: its disk lost what it had synced.
    fn note(&self, result: &StreamAppendResult<TypeConfig>) {
        match result {
            Ok(Some(log_id)) => {
                self.acknowledged.fetch_max(log_id.index, Ordering::Relaxed);
            }
            Err(StreamAppendError::Conflict(at)) if at.index <= self.acknowledged.load(Ordering::Relaxed) => {
                // Once for each loss: from here on it is filled again.
                self.acknowledged.store(0, Ordering::Relaxed);
                log_reversions(self.node, 1);
                tracing::error!(
                    group = self.group,
                    node = self.node,
                    index = at.index,
                    "the node has lost entries that it had acknowledged; it is sent them again. Does its disk sync?"
                );
            }
            Ok(None) | Err(_) => {}
        }
    }

    /// Queues the request once there is room for it; the second future waits for the response.
    async fn append(
        self: Arc<Self>,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> impl Future<Output = Rpc<StreamAppendResult<TypeConfig>>> + Send {
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let body = wire::encode(&request).map_err(|error| RPCError::Network(NetworkError::new(&error)));
        drop(request);
        let room = self.room.take(body.as_ref().map_or(0, Bytes::len)).await;
        let answer =
            body.map(|body| self.send::<AppendEntriesResponse<TypeConfig>>(Kind::Append, body, APPEND_TIMEOUT));
        async move {
            let _until_answered = room;
            let result = answer?.await?.into_stream_result(previous, last);
            self.note(&result);
            Ok(result)
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Connection {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        self.0.call(Kind::Append, &rpc, APPEND_TIMEOUT).await
    }

    /// Sends without waiting for the answer before: the order of the stream is the order of the requests, and answers
    /// are given in that order. The first that is not a plain success ends the stream; openraft starts another.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let route = Arc::clone(&self.0);
        let answers = input
            .then(move |request| Arc::clone(&route).append(request))
            .buffered(PIPELINE_DEPTH);
        let until_first_failure = stream::unfold(Some(Box::pin(answers)), |state| async move {
            let mut answers = state?;
            let answer = answers.next().await?;
            let go_on = matches!(answer, Ok(Ok(_)));
            Some((answer, go_on.then_some(answers)))
        });
        async move { Ok(until_first_failure.boxed()) }.boxed()
    }

    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> Rpc<VoteResponse<TypeConfig>> {
        self.0.call(Kind::Vote, &rpc, option.soft_ttl()).await
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> Rpc<VoteResponse<TypeConfig>> {
        self.0.call(Kind::PreVote, &rpc, option.soft_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<openraft::raft::TransferLeaderResponse<TypeConfig>> {
        self.0.call(Kind::TransferLeader, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let unreachable = |error: &(dyn std::error::Error + 'static)| {
            StreamingError::Unreachable(Unreachable::new(&std::io::Error::other(error.to_string())))
        };
        let peer = self
            .0
            .peers
            .get(self.0.node)
            .ok_or_else(|| unreachable(&PeerError::Unreachable(self.0.node)))?;
        let header = wire::encode(&wire::SnapshotHeader {
            vote,
            meta: snapshot.meta,
        })
        .map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
        let (group, to) = (self.0.group, self.0.target);
        let (feed, stream) = mpsc::channel(SNAPSHOT_CHUNKS_AHEAD);
        let mut chunks = snapshot.snapshot.chunks();
        scope::spawn(async move {
            let mut next = Some(SnapshotChunk {
                group,
                to,
                header,
                data: Bytes::new(),
            });
            while let Some(chunk) = next {
                if feed.send(chunk).await.is_err() {
                    return;
                }
                next = match chunks.next().await {
                    Some(Ok(data)) => Some(SnapshotChunk {
                        group,
                        to,
                        header: Bytes::new(),
                        data,
                    }),
                    // The stream ends early; the receiver finds the checksum missing and refuses.
                    Some(Err(error)) => {
                        tracing::error!(%error, "reading the snapshot to send failed");
                        None
                    }
                    None => None,
                };
            }
        });
        let sent = tokio::time::timeout(option.hard_ttl(), peer.snapshot(ReceiverStream::new(stream)));
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = sent => match answer {
                Ok(Ok(body)) => wire::decode(&body).map_err(|error| StreamingError::Network(NetworkError::new(&error))),
                Ok(Err(status)) => Err(unreachable(&status)),
                Err(elapsed) => Err(unreachable(&elapsed)),
            },
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        None
    }
}
