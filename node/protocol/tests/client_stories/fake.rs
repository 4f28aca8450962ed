//! Nodes that do what a story needs: each a real tonic server on loopback, on a runtime of its own, so that a test can
//! kill it, or freeze it with its sockets open, as SIGKILL and SIGSTOP would.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use rotunda_booking::codec;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::{CommandKey, VenueNo};
use rotunda_booking::outcome::{Outcome, Reply};
use rotunda_booking::query::{Answer, Query};
use rotunda_protocol::frame::{self, CommandRecord};
use rotunda_protocol::proto::admin::admin_server::{Admin, AdminServer};
use rotunda_protocol::proto::booking::booking_server::{Booking, BookingServer};
use rotunda_protocol::proto::booking::{CommandFrame, QueryReply, QueryRequest, ReplyFrame, WatchNews, WatchRequest};
use rotunda_protocol::proto::{admin, booking};
use rotunda_protocol::rejection::Rejection;
use rotunda_protocol::shard_map::{NodeInfo, ReplicaInfo, ShardInfo, ShardMap, VenueInfo};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const SHARD: u64 = 1;
pub(crate) const EPOCH: u64 = 5;
pub(crate) const VENUE: VenueNo = VenueNo(4);
pub(crate) const SLUG: &str = "lisbon-tides";

/// What a node does with a command.
pub(crate) enum Do {
    /// Answers as if it took effect at this index.
    Reply(u64),
    /// Refuses to take it.
    Reject(Rejection),
    /// Sends bytes that are no reply record.
    Babble,
    /// Breaks the stream.
    Break,
    /// Nothing, ever.
    Nothing,
    /// Answers once the latch is open.
    ReplyAfter(Latch, u64),
    /// Keeps it back; answers all that were kept back in the opposite order once there are so many. The index of each
    /// is its fingerprint.
    ReplyReversedAt(usize),
    /// Stops the whole node dead, as SIGSTOP does, until the latch opens.
    Freeze(Latch),
}

/// Something that a test opens when it is time.
#[derive(Clone, Default)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar, tokio::sync::Notify)>);

impl Latch {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
        self.0.2.notify_waiters();
    }

    /// Blocks the thread.
    fn block(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }

    async fn wait(&self) {
        loop {
            let notified = self.0.2.notified();
            if *self.0.0.lock().unwrap() {
                return;
            }
            // A notification between the look and here is found by the next round.
            let _ = tokio::time::timeout(Duration::from_millis(20), notified).await;
        }
    }
}

type OnCommand = Box<dyn FnMut(&CommandRecord) -> Do + Send>;
type OnQuery = Box<dyn FnMut(&QueryRequest) -> Result<QueryReply, Status> + Send>;
type OnAssign = Box<dyn FnMut(&[String]) -> admin::AssignVenuesReply + Send>;
type OnLimits = Box<dyn FnMut(admin::SetLimitsRequest) -> admin::SetLimitsReply + Send>;
type OnToken = Box<dyn FnMut(&str) -> admin::TokenReply + Send>;

/// What a node was asked, and what it does about it.
pub(crate) struct Mind {
    on_command: Mutex<OnCommand>,
    on_query: Mutex<OnQuery>,
    on_assign: Mutex<OnAssign>,
    on_token: Mutex<OnToken>,
    on_limits: Mutex<OnLimits>,
    pub(crate) commands: Mutex<Vec<CommandRecord>>,
    pub(crate) queries: Mutex<Vec<QueryRequest>>,
    pub(crate) frames: watch::Sender<usize>,
    pub(crate) streams: watch::Sender<usize>,
    pub(crate) watchers: watch::Sender<usize>,
    pub(crate) log: Mutex<Vec<admin::LogEntry>>,
    map: watch::Sender<Option<admin::ShardMap>>,
    id: u32,
}

pub(crate) struct FakeNode {
    pub(crate) mind: Arc<Mind>,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl FakeNode {
    pub(crate) fn start(id: u32) -> Self {
        let (map, frames, streams, watchers) = (
            watch::Sender::new(None),
            watch::Sender::new(0),
            watch::Sender::new(0),
            watch::Sender::new(0),
        );
        let mind = Arc::new(Mind {
            on_command: Mutex::new(Box::new(|_| Do::Reject(Rejection::not_leader(None)))),
            on_query: Mutex::new(Box::new(|_| Ok(rejected(&Rejection::not_leader(None))))),
            on_assign: Mutex::new(Box::new(|_| admin::AssignVenuesReply {
                not_leader: true,
                ..Default::default()
            })),
            on_token: Mutex::new(Box::new(|_| admin::TokenReply {
                not_leader: true,
                ..Default::default()
            })),
            on_limits: Mutex::new(Box::new(|_| admin::SetLimitsReply {
                not_leader: true,
                ..Default::default()
            })),
            commands: Mutex::default(),
            queries: Mutex::default(),
            log: Mutex::default(),
            frames,
            streams,
            watchers,
            map,
            id,
        });
        // One thread, so that a freeze stops everything.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let door = Door(mind.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .add_service(
                    BookingServer::new(door.clone()).max_decoding_message_size(rotunda_protocol::MAX_MESSAGE_BYTES),
                )
                .add_service(AdminServer::new(door))
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
                .await
                .unwrap();
        });
        Self {
            mind,
            address,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn on_command(&self, does: impl FnMut(&CommandRecord) -> Do + Send + 'static) -> &Self {
        *self.mind.on_command.lock().unwrap() = Box::new(does);
        self
    }

    pub(crate) fn on_query(
        &self,
        does: impl FnMut(&QueryRequest) -> Result<QueryReply, Status> + Send + 'static,
    ) -> &Self {
        *self.mind.on_query.lock().unwrap() = Box::new(does);
        self
    }

    pub(crate) fn on_assign(&self, does: impl FnMut(&[String]) -> admin::AssignVenuesReply + Send + 'static) -> &Self {
        *self.mind.on_assign.lock().unwrap() = Box::new(does);
        self
    }

    /// A token of this name is issued or revoked.
    pub(crate) fn on_token(&self, does: impl FnMut(&str) -> admin::TokenReply + Send + 'static) -> &Self {
        *self.mind.on_token.lock().unwrap() = Box::new(does);
        self
    }

    pub(crate) fn on_limits(
        &self,
        does: impl FnMut(admin::SetLimitsRequest) -> admin::SetLimitsReply + Send + 'static,
    ) -> &Self {
        *self.mind.on_limits.lock().unwrap() = Box::new(does);
        self
    }

    /// Every command gets this reply's index.
    pub(crate) fn leads(&self, index: u64) -> &Self {
        self.on_command(move |_| Do::Reply(index))
    }

    pub(crate) fn rejects(&self, rejection: Rejection) -> &Self {
        self.on_command(move |_| Do::Reject(rejection.clone()))
    }

    pub(crate) fn publish(&self, map: &ShardMap) {
        self.mind.map.send_replace(Some(map.into()));
    }

    pub(crate) fn commands_seen(&self) -> usize {
        self.mind.commands.lock().unwrap().len()
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All of its sockets close at once.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nodes 1 to 3, each with a replica of the shard.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<FakeNode>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let cluster = Self {
            nodes: (1..=3).map(FakeNode::start).collect(),
        };
        cluster.publish(10, EPOCH);
        cluster
    }

    pub(crate) fn node(&self, id: u32) -> &FakeNode {
        &self.nodes[id as usize - 1]
    }

    pub(crate) fn map(&self, version: u64, epoch: u64) -> ShardMap {
        let nodes = self.nodes.iter().map(|node| NodeInfo {
            id: node.mind.id,
            grpc: node.address(),
            admin: String::new(),
            version: "test".to_owned(),
        });
        let replicas = self.nodes.iter().map(|node| ReplicaInfo {
            id: u64::from(node.mind.id),
            node: node.mind.id,
        });
        let shard = ShardInfo {
            id: SHARD,
            epoch,
            replicas: replicas.collect(),
        };
        let venue = VenueInfo {
            number: VENUE,
            slug: SLUG.to_owned(),
            shard: SHARD,
            network: Some("museums".into()),
        };
        ShardMap::new(
            version,
            "meridian".to_owned(),
            nodes.collect(),
            vec![shard],
            vec![venue],
        )
        .unwrap()
    }

    /// All nodes tell this map from now on.
    pub(crate) fn publish(&self, version: u64, epoch: u64) {
        let map = self.map(version, epoch);
        self.nodes.iter().for_each(|node| node.publish(&map));
    }

    pub(crate) fn seeds(&self) -> Vec<String> {
        self.nodes.iter().map(FakeNode::address).collect()
    }

    pub(crate) fn commands_seen(&self) -> usize {
        self.nodes.iter().map(FakeNode::commands_seen).sum()
    }
}

/// A command of our venue; the fingerprint tells them apart.
pub(crate) fn command(fingerprint: u64) -> Command {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&fingerprint.to_be_bytes());
    Command {
        key: Some(CommandKey(key)),
        fingerprint,
        venue: VENUE,
        actor: None,
        operation: Operation::Expire { limit: 1 },
    }
}

pub(crate) fn venue_query() -> Query {
    Query::Venue { venue: VENUE }
}

pub(crate) fn rejected(rejection: &Rejection) -> QueryReply {
    QueryReply {
        index: 0,
        answer: Bytes::new(),
        rejection: Some(booking::Rejection::from(rejection)),
    }
}

pub(crate) fn answered(index: u64) -> QueryReply {
    QueryReply {
        index,
        answer: codec::encode_answer(&Answer::NotFound),
        rejection: None,
    }
}

fn reply_bytes(index: u64) -> Bytes {
    codec::encode_reply(&Reply {
        index,
        replayed: false,
        outcome: Outcome::Expired { count: 0, more: false },
    })
}

#[derive(Clone)]
struct Door(Arc<Mind>);

type Out = mpsc::Sender<Result<ReplyFrame, Status>>;

async fn send(out: &Out, replies: &[(u64, u64)]) {
    let mut records = BytesMut::new();
    for (call, index) in replies {
        frame::put_reply(&mut records, *call, *index, &reply_bytes(*index)).unwrap();
    }
    let _ = out
        .send(Ok(ReplyFrame {
            records: records.freeze(),
        }))
        .await;
}

impl Door {
    async fn serve(self, mut inbound: Streaming<CommandFrame>, out: Out) {
        let mut kept: Vec<(u64, u64)> = Vec::new();
        while let Ok(Some(commands)) = inbound.message().await {
            self.0.frames.send_modify(|count| *count += 1);
            for record in frame::commands(commands.records) {
                let record = record.unwrap();
                let what = (self.0.on_command.lock().unwrap())(&record);
                let call = record.call;
                let fingerprint = codec::decode_command(&record.command).unwrap().fingerprint;
                self.0.commands.lock().unwrap().push(record);
                match what {
                    Do::Reply(index) => send(&out, &[(call, index)]).await,
                    Do::Reject(rejection) => {
                        let mut records = BytesMut::new();
                        frame::put_rejection(&mut records, call, &rejection);
                        let _ = out
                            .send(Ok(ReplyFrame {
                                records: records.freeze(),
                            }))
                            .await;
                    }
                    Do::Babble => {
                        let _ = out
                            .send(Ok(ReplyFrame {
                                records: Bytes::from_static(b"babble"),
                            }))
                            .await;
                    }
                    Do::Break => {
                        let _ = out.send(Err(Status::unavailable("gone"))).await;
                        return;
                    }
                    Do::Nothing => {}
                    Do::ReplyAfter(latch, index) => {
                        let out = out.clone();
                        tokio::spawn(async move {
                            latch.wait().await;
                            send(&out, &[(call, index)]).await;
                        });
                    }
                    Do::ReplyReversedAt(count) => {
                        kept.push((call, fingerprint));
                        if kept.len() == count {
                            kept.reverse();
                            send(&out, &kept).await;
                            kept.clear();
                        }
                    }
                    Do::Freeze(latch) => latch.block(),
                }
            }
        }
    }
}

type Messages<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Booking for Door {
    type WatchStream = futures::stream::Empty<Result<WatchNews, Status>>;

    async fn watch(&self, _request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches in these stories"))
    }

    type SubmitStream = ReceiverStream<Result<ReplyFrame, Status>>;

    async fn submit(&self, request: Request<Streaming<CommandFrame>>) -> Result<Response<Self::SubmitStream>, Status> {
        self.0.streams.send_modify(|count| *count += 1);
        let (out, replies) = mpsc::channel(1024);
        tokio::spawn(self.clone().serve(request.into_inner(), out));
        Ok(Response::new(ReceiverStream::new(replies)))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let request = request.into_inner();
        let reply = (self.0.on_query.lock().unwrap())(&request);
        self.0.queries.lock().unwrap().push(request);
        reply.map(Response::new)
    }
}

#[tonic::async_trait]
impl Admin for Door {
    type WatchMapStream = Messages<admin::ShardMap>;
    type ReadLogStream = Messages<admin::LogEntry>;

    async fn watch_map(
        &self,
        request: Request<admin::WatchMapRequest>,
    ) -> Result<Response<Self::WatchMapStream>, Status> {
        let after = request.into_inner().after_version;
        self.0.watchers.send_modify(|count| *count += 1);
        let maps = WatchStream::new(self.0.map.subscribe());
        let newer = maps.filter_map(move |map| map.filter(|map| map.version > after).map(Ok));
        Ok(Response::new(Box::pin(newer)))
    }

    async fn assign_venues(
        &self,
        request: Request<admin::AssignVenuesRequest>,
    ) -> Result<Response<admin::AssignVenuesReply>, Status> {
        let reply = (self.0.on_assign.lock().unwrap())(&request.into_inner().slugs);
        Ok(Response::new(reply))
    }

    async fn set_limits(
        &self,
        request: Request<admin::SetLimitsRequest>,
    ) -> Result<Response<admin::SetLimitsReply>, Status> {
        let reply = (self.0.on_limits.lock().unwrap())(request.into_inner());
        Ok(Response::new(reply))
    }

    async fn fill_calendar(
        &self,
        _: Request<admin::FillCalendarRequest>,
    ) -> Result<Response<admin::FillCalendarReply>, Status> {
        // Node 2 leads, node 3 has no replica.
        let reply = match self.0.id {
            1 => admin::FillCalendarReply {
                not_leader: true,
                leader_node: 2,
                ..Default::default()
            },
            2 => admin::FillCalendarReply {
                slots_added: 90,
                slots_removed: 1,
                index: 7,
                ..Default::default()
            },
            _ => return Err(Status::not_found("no replica of the shard here")),
        };
        Ok(Response::new(reply))
    }

    type ReadRowsStream = futures::stream::Empty<Result<admin::RowsPart, Status>>;

    async fn read_point(&self, _: Request<admin::ReadPointRequest>) -> Result<Response<admin::ReadPointReply>, Status> {
        Err(Status::unimplemented("the stories make no backup"))
    }

    async fn read_rows(&self, _: Request<admin::ReadRowsRequest>) -> Result<Response<Self::ReadRowsStream>, Status> {
        Err(Status::unimplemented("the stories make no backup"))
    }

    async fn record_backup(&self, _: Request<admin::Backup>) -> Result<Response<admin::ChangeReply>, Status> {
        Err(Status::unimplemented("the stories make no backup"))
    }

    async fn remove_node(&self, _: Request<admin::RemoveNodeRequest>) -> Result<Response<admin::ChangeReply>, Status> {
        Err(Status::unimplemented("the stories' nodes stay"))
    }

    async fn add_node(&self, _: Request<admin::AddNodeRequest>) -> Result<Response<admin::ChangeReply>, Status> {
        Err(Status::unimplemented("the stories' nodes stay"))
    }

    async fn status(&self, _: Request<admin::StatusRequest>) -> Result<Response<admin::NodeStatus>, Status> {
        let replica = admin::ReplicaStatus {
            shard: SHARD,
            role: if self.0.id == 2 { "leader" } else { "follower" }.to_owned(),
            leader_node: 2,
            state_hash: Bytes::from_static(&[7; 16]),
            ..Default::default()
        };
        Ok(Response::new(admin::NodeStatus {
            node: self.0.id,
            replicas: vec![replica],
            ..Default::default()
        }))
    }

    async fn read_log(&self, request: Request<admin::ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        if request.shard != SHARD {
            return Err(Status::not_found("no such shard"));
        }
        let log = self.0.log.lock().unwrap().clone();
        let entries = log.into_iter().filter(move |entry| entry.index >= request.from).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(entries))))
    }

    async fn register_node(&self, _: Request<admin::Node>) -> Result<Response<admin::RegisterNodeReply>, Status> {
        Ok(Response::new(admin::RegisterNodeReply::default()))
    }

    async fn raise_version(
        &self,
        request: Request<admin::RaiseVersionRequest>,
    ) -> Result<Response<admin::RaiseVersionReply>, Status> {
        let to = request.into_inner().to;
        let reply = match (self.0.id, to) {
            // Node 2 leads, and reads nothing newer than 4.
            (2, 0 | 4) => admin::RaiseVersionReply {
                version: 1,
                cluster_version: 4,
                ..Default::default()
            },
            (2, _) => admin::RaiseVersionReply {
                behind: vec![admin::NodeBehind {
                    node: 2,
                    version: "0.1.0+formats.3-4".to_owned(),
                }],
                ..Default::default()
            },
            _ => admin::RaiseVersionReply {
                not_leader: true,
                leader_node: 2,
                ..Default::default()
            },
        };
        Ok(Response::new(reply))
    }

    async fn drain(&self, request: Request<admin::DrainRequest>) -> Result<Response<admin::DrainReply>, Status> {
        match self.0.id {
            // As a binary of before.
            1 => Err(Status::unimplemented("")),
            _ => Ok(Response::new(admin::DrainReply {
                draining: !request.into_inner().stop,
                leads: 0,
            })),
        }
    }

    async fn create_token(
        &self,
        request: Request<admin::CreateTokenRequest>,
    ) -> Result<Response<admin::TokenReply>, Status> {
        let request = request.into_inner();
        let reply = (self.0.on_token.lock().unwrap())(&request.name);
        Ok(Response::new(reply))
    }

    async fn revoke_token(
        &self,
        request: Request<admin::RevokeTokenRequest>,
    ) -> Result<Response<admin::TokenReply>, Status> {
        let reply = (self.0.on_token.lock().unwrap())(&request.into_inner().name);
        Ok(Response::new(reply))
    }

    async fn transfer_leader(
        &self,
        request: Request<admin::TransferLeaderRequest>,
    ) -> Result<Response<admin::TransferLeaderReply>, Status> {
        let to_node = request.into_inner().to_node;
        Ok(Response::new(match (self.0.id, to_node) {
            (2, 3) => admin::TransferLeaderReply {
                started: true,
                detail: String::new(),
            },
            _ => admin::TransferLeaderReply {
                started: false,
                detail: format!("node {to_node} has no replica"),
            },
        }))
    }
}
