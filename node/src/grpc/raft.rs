//! The peers' messages: one stream per calling node, for all groups.

use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use rotunda_protocol::proto::raft::peer_frame::Kind;
use rotunda_protocol::proto::raft::raft_server::Raft;
use rotunda_protocol::proto::raft::{PeerFrame, SnapshotChunk, SnapshotReply};
use rotunda_protocol::version::Formats;
use rotunda_raft_storage::scope;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::Stop;
use crate::clock::wall::WallClock;
use crate::meta::map::MetaState;
use crate::raft::Unavailable;
use crate::raft::peer::{CLUSTER_HEADER, Caller, FROM_HEADER, TO_HEADER, VERSION_HEADER};
use crate::shards::Shards;

/// Responses waiting to be sent to one peer. When full the peer's requests are not read further.
const RESPONSE_QUEUE_FRAMES: usize = 2_048;

/// Requests of one peer that are worked on at once. When so many are, the stream is not read further.
const REQUESTS_IN_WORK: usize = 4_096;

/// The `Raft` service.
pub struct PeerDoor {
    me: Caller,
    groups: Shards,
    wall: WallClock,
    /// Of requests of one peer that are worked on at once.
    bytes_in_work: usize,
    stop: Stop,
    /// With the cluster's version, which callers must read.
    map: Option<watch::Receiver<MetaState>>,
}

impl PeerDoor {
    /// Over these groups; `wall` is what peers compare their clocks with. Of one peer's requests `bytes_in_work` are taken in
    /// before the stream is not read further.
    #[must_use]
    pub fn new(me: Caller, groups: Shards, wall: WallClock, bytes_in_work: usize, stop: Stop) -> Self {
        Self {
            me,
            groups,
            wall,
            bytes_in_work,
            stop,
            map: None,
        }
    }

    /// Refuses callers that do not read the version of the cluster.
    #[must_use]
    pub fn gated_by(mut self, map: watch::Receiver<MetaState>) -> Self {
        self.map = Some(map);
        self
    }

    /// Refuses a caller of another cluster, or one that means another node: a stale address must not split a group's brain.
    fn check(&self, metadata: &MetadataMap) -> Result<String, Status> {
        let text = |name| metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        if text(CLUSTER_HEADER) != self.me.cluster {
            return Err(Status::failed_precondition(format!(
                "this is a node of cluster {:?}, the caller belongs to {:?}: check --cluster and --peer",
                self.me.cluster,
                text(CLUSTER_HEADER)
            )));
        }
        if text(TO_HEADER) != self.me.node.to_string() {
            return Err(Status::failed_precondition(format!(
                "this is node {}, the caller means node {}: check --peer",
                self.me.node,
                text(TO_HEADER)
            )));
        }
        let version = self.map.as_ref().map(|map| map.borrow().cluster_version.number());
        let reads = Formats::of(text(VERSION_HEADER));
        if let Some(version) = version.filter(|version| !reads.reads(*version)) {
            return Err(Status::failed_precondition(format!(
                "the cluster is at version {version}, and node {} runs a binary that reads {reads}: start one there that reads {version}",
                text(FROM_HEADER)
            )));
        }
        Ok(text(FROM_HEADER).to_owned())
    }
}

type Response1 = BoxFuture<'static, PeerFrame>;

#[tonic::async_trait]
impl Raft for PeerDoor {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<PeerFrame, Status>> + Send>>;

    async fn exchange(&self, request: Request<Streaming<PeerFrame>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let from = self.check(request.metadata())?;
        let (sender, responses) = mpsc::channel(RESPONSE_QUEUE_FRAMES);
        let (groups, wall, stop) = (self.groups.clone(), self.wall.clone(), self.stop.clone());
        let room = self.bytes_in_work;
        scope::spawn(async move {
            tokio::select! {
                () = serve(from, request.into_inner(), sender, groups, wall, room) => {}
                () = stop.stopped() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(responses).map(Ok).boxed()))
    }

    async fn snapshot(&self, request: Request<Streaming<SnapshotChunk>>) -> Result<Response<SnapshotReply>, Status> {
        let from = self.check(request.metadata())?;
        let mut chunks = request.into_inner();
        let first = chunks
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("a snapshot without a header"))?;
        let facing = self
            .groups
            .facing(first.group)
            .filter(|facing| facing.replica() == first.to)
            .ok_or_else(|| Status::not_found("no such replica here"))?;
        tracing::info!(group = first.group, %from, "receiving a snapshot");
        let refused = |error: Unavailable| Status::unavailable(error.0);
        let mut sink = facing.begin_snapshot(first.header).await.map_err(refused)?;
        while let Some(chunk) = chunks.message().await? {
            sink.push(chunk.data).await.map_err(refused)?;
        }
        let body = sink.finish().await.map_err(refused)?;
        tracing::info!(group = first.group, %from, "installed a snapshot");
        Ok(Response::new(SnapshotReply { body }))
    }
}

/// Hands requests to their groups in the order of the stream, and responses back as they come.
async fn serve(
    from: String,
    mut requests: Streaming<PeerFrame>,
    responses: mpsc::Sender<PeerFrame>,
    groups: Shards,
    wall: WallClock,
    room: usize,
) {
    let mut in_work = FuturesUnordered::new();
    let mut bytes_in_work = 0;
    loop {
        let reading = in_work.is_empty() || (in_work.len() < REQUESTS_IN_WORK && bytes_in_work < room);
        let response = tokio::select! {
            Some((bytes, response)) = in_work.next() => {
                bytes_in_work -= bytes;
                response
            }
            request = requests.message(), if reading => match request {
                Ok(Some(request)) => {
                    let bytes = request.body.len();
                    let mut answer = dispatch(request, &groups, &wall);
                    // Polled once here, which hands it to the group's core: so the order of AppendEntries is the order of
                    // the stream, whatever becomes of their answers.
                    match futures::poll!(&mut answer) {
                        Poll::Ready(response) => response,
                        Poll::Pending => {
                            bytes_in_work += bytes;
                            in_work.push(answer.map(move |response| (bytes, response)));
                            continue;
                        }
                    }
                }
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(%from, %status, "a peer's stream ended");
                    return;
                }
            },
        };
        if responses.send(response).await.is_err() {
            return;
        }
    }
}

fn dispatch(request: PeerFrame, groups: &Shards, wall: &WallClock) -> Response1 {
    let (group, call, to, kind) = (request.group, request.call, request.to, request.kind());
    let frame = move |kind: Kind, body: Bytes| PeerFrame {
        group,
        call,
        to,
        kind: kind.into(),
        body,
    };
    if kind == Kind::Ping {
        let now = Bytes::copy_from_slice(&wall.machine_ms().to_be_bytes());
        return Box::pin(std::future::ready(frame(Kind::Ping, now)));
    }
    let Some(facing) = groups.facing(group).filter(|facing| facing.replica() == to) else {
        return Box::pin(std::future::ready(frame(
            Kind::Unavailable,
            Bytes::from_static(b"no such replica here"),
        )));
    };
    let answer = match kind {
        Kind::Append => facing.append(request.body),
        Kind::Vote => facing.vote(request.body),
        Kind::PreVote => facing.pre_vote(request.body),
        Kind::TransferLeader => facing.transfer_leader(request.body),
        Kind::Ping | Kind::Unspecified | Kind::Unavailable => {
            return Box::pin(std::future::ready(frame(
                Kind::Unavailable,
                Bytes::from_static(b"unknown kind of request"),
            )));
        }
    };
    Box::pin(async move {
        match answer.await {
            Ok(body) => frame(kind, body),
            Err(Unavailable(detail)) => frame(Kind::Unavailable, detail.into()),
        }
    })
}
