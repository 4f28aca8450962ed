//! The cluster's own affairs: the map, venues, the calendar, status, the log for auditors. What backups read is in
//! `backup`, who comes and goes in `members`.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use rotunda_booking::ids::{VenueNo, is_slug};
use rotunda_protocol::client::LogEntry as AuditedEntry;
use rotunda_protocol::dial::Dial;
use rotunda_protocol::limits::{ClusterLimit, MAX_LIMIT_TEXT, MAX_LIMITS};
use rotunda_protocol::proto::admin::admin_server::Admin;
use rotunda_protocol::proto::admin::{
    AddNodeRequest, AssignVenuesReply, AssignVenuesRequest, Backup, ChangeReply, CreateTokenRequest, DrainReply,
    DrainRequest, FillCalendarReply, FillCalendarRequest, LogEntry, Node, NodeStatus, RaiseVersionReply,
    RaiseVersionRequest, ReadLogRequest, ReadPointReply, ReadPointRequest, ReadRowsRequest, RegisterNodeReply,
    RemoveNodeRequest, RevokeTokenRequest, RowsPart, SetLimitsReply, SetLimitsRequest, ShardMap, StatusRequest,
    TokenReply, TransferLeaderReply, TransferLeaderRequest, WatchMapRequest,
};
use rotunda_protocol::rejection::{Rejection, RejectionKind};
use rotunda_protocol::token::{MAX_TOKEN_VENUES, NewToken};
use rotunda_protocol::version::{Formats, release};
use rotunda_raft_storage::scope;
use rotunda_raft_storage::{GroupId, Store};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::{Request, Response, Status};

use super::Stop;
use crate::calendar;
use crate::clock::wall::WallClock;
use crate::leaderships::Leaderships;
use crate::meta::command::{LimitRecord, MetaCommand, NodeRecord, TokenGrant};
use crate::meta::controller::Meta;
use crate::meta::survey;
use crate::shards::Shards;
use crate::shards::shard::ShardError;

/// Entries read ahead of an auditor. When full the log is not read further.
const LOG_ENTRIES_AHEAD: usize = 64;

/// Bytes of the log read at a time.
const LOG_BYTES_AT_A_TIME: usize = 1 << 20;

/// Venue ids that one request may name.
const VENUES_PER_REQUEST: usize = 10_000;

/// Bytes of the name and address of whoever issues or revokes a token, for they are kept with it; the rest is cut off.
const BY_BYTES: usize = 96;

/// The `Admin` service.
pub struct AdminDoor {
    /// Of the binary's node.
    pub record: NodeRecord,
    /// Of the configuration.
    pub cluster: String,
    /// The meta group.
    pub meta: Arc<Meta>,
    /// The shards here.
    pub shards: Shards,
    /// For the log.
    pub store: Store,
    /// When tokens are issued and revoked.
    pub wall: WallClock,
    /// How the other nodes are reached.
    pub dial: Arc<dyn Dial>,
    /// Of this node.
    pub leaderships: Leaderships,
    /// Ends the watchers.
    pub stop: Stop,
}

impl AdminDoor {
    /// The map's version after a command was applied, out of its reply.
    pub(super) fn version(&self, reply: &[u8]) -> u64 {
        let version = reply.try_into().map(u64::from_be_bytes);
        version.unwrap_or_else(|_| self.meta.watch().borrow().version)
    }

    /// Proposes a change whose reply is the map's version.
    pub(super) async fn change(&self, command: MetaCommand) -> Result<Response<ChangeReply>, Status> {
        let reply = match self.meta.propose(&command).await {
            Ok(version) => ChangeReply {
                version: self.version(&version),
                ..ChangeReply::default()
            },
            Err(rejection) => ChangeReply {
                not_leader: true,
                leader_node: hint(&rejection)?,
                ..ChangeReply::default()
            },
        };
        Ok(Response::new(reply))
    }

    async fn propose_token(&self, command: MetaCommand) -> Result<Response<TokenReply>, Status> {
        let reply = match self.meta.propose(&command).await {
            Ok(outcome) => TokenReply {
                version: self.meta.watch().borrow().version,
                outcome: outcome.first().copied().map_or(u32::MAX, u32::from),
                ..TokenReply::default()
            },
            Err(rejection) => TokenReply {
                not_leader: true,
                leader_node: hint(&rejection)?,
                ..TokenReply::default()
            },
        };
        Ok(Response::new(reply))
    }
}

/// A name as it is kept.
fn shortened(by: String) -> String {
    let end = (0..=BY_BYTES.min(by.len())).rev().find(|end| by.is_char_boundary(*end));
    by[..end.unwrap_or(0)].to_owned()
}

/// (not leader, leader node) for replies that carry a hint instead of an error.
pub(super) fn hint(rejection: &Rejection) -> Result<u32, Status> {
    match rejection.kind {
        RejectionKind::NotLeader => Ok(rejection.leader_node.unwrap_or(0)),
        RejectionKind::Malformed => Err(Status::invalid_argument(rejection.to_string())),
        RejectionKind::NotYet => Err(Status::failed_precondition(rejection.detail.clone())),
        _ => Err(Status::unavailable(rejection.to_string())),
    }
}

#[tonic::async_trait]
impl Admin for AdminDoor {
    type WatchMapStream = Pin<Box<dyn Stream<Item = Result<ShardMap, Status>> + Send>>;
    type ReadLogStream = ReceiverStream<Result<LogEntry, Status>>;

    async fn watch_map(&self, request: Request<WatchMapRequest>) -> Result<Response<Self::WatchMapStream>, Status> {
        let after = request.into_inner().after_version;
        let cluster = self.cluster.clone();
        // Before the founding there is no map; the stream waits for it.
        let maps = WatchStream::new(self.meta.watch())
            .filter(move |state| std::future::ready(!state.shards.is_empty() && state.version > after))
            .map(move |state| Ok(state.to_proto(&cluster)))
            .take_until(self.stop.clone().stopped());
        Ok(Response::new(maps.boxed()))
    }

    async fn assign_venues(
        &self,
        request: Request<AssignVenuesRequest>,
    ) -> Result<Response<AssignVenuesReply>, Status> {
        let AssignVenuesRequest { slugs, network } = request.into_inner();
        if !network.is_empty() && !is_slug(&network) {
            return Err(Status::invalid_argument("a network is named with a-z, 0-9 and -"));
        }
        if slugs.len() > VENUES_PER_REQUEST {
            return Err(Status::invalid_argument(format!(
                "at most {VENUES_PER_REQUEST} venues at a time"
            )));
        }
        let command = match network.is_empty() {
            true => MetaCommand::AssignVenues { slugs },
            false => MetaCommand::AssignVenuesOf { network, slugs },
        };
        let reply = match self.meta.propose(&command).await {
            Ok(version) => AssignVenuesReply {
                version: self.version(&version),
                not_leader: false,
                leader_node: 0,
            },
            Err(rejection) => AssignVenuesReply {
                version: 0,
                not_leader: true,
                leader_node: hint(&rejection)?,
            },
        };
        Ok(Response::new(reply))
    }

    async fn register_node(&self, request: Request<Node>) -> Result<Response<RegisterNodeReply>, Status> {
        let node = request.into_inner();
        if !self.meta.watch().borrow().nodes.contains_key(&node.id) {
            return Err(Status::not_found(format!(
                "node {} was not among the founders",
                node.id
            )));
        }
        let cluster = self.meta.watch().borrow().cluster_version.number();
        let reads = Formats::of(&node.version);
        if !reads.reads(cluster) {
            return Err(Status::failed_precondition(format!(
                "the cluster is at version {cluster}, and node {} runs {}, which reads {reads}: start a binary there that reads {cluster}",
                node.id,
                release(&node.version)
            )));
        }
        let record = NodeRecord {
            id: node.id,
            grpc: node.grpc,
            admin: node.admin,
            version: node.version,
        };
        let reply = match self.meta.propose(&MetaCommand::RegisterNode(record)).await {
            Ok(_) => RegisterNodeReply {
                not_leader: false,
                leader_node: 0,
            },
            Err(rejection) => RegisterNodeReply {
                not_leader: true,
                leader_node: hint(&rejection)?,
            },
        };
        Ok(Response::new(reply))
    }

    async fn create_token(&self, request: Request<CreateTokenRequest>) -> Result<Response<TokenReply>, Status> {
        let token = NewToken::try_from(request.into_inner())
            .map_err(|error| Status::invalid_argument(format!("a token: {error}")))?;
        let mut ids = token.venues.iter().chain(&token.network);
        if !is_slug(&token.name) || token.venues.len() > MAX_TOKEN_VENUES || !ids.all(|id| is_slug(id)) {
            return Err(Status::invalid_argument(format!(
                "a token is named, like its network and its venues, with a-z, 0-9 and -, and has {MAX_TOKEN_VENUES} venues at most"
            )));
        }
        let grant = TokenGrant {
            name: token.name,
            role: token.role as u8,
            venues: token.venues,
            digest: token.digest,
            by: shortened(token.by),
            at: self.wall.now_ms(),
        };
        let command = match token.network {
            None => MetaCommand::CreateToken(grant),
            Some(network) => MetaCommand::CreateTokenOf { network, grant },
        };
        self.propose_token(command).await
    }

    async fn revoke_token(&self, request: Request<RevokeTokenRequest>) -> Result<Response<TokenReply>, Status> {
        let RevokeTokenRequest { name, by } = request.into_inner();
        let (by, at) = (shortened(by), self.wall.now_ms());
        self.propose_token(MetaCommand::RevokeToken { name, by, at }).await
    }

    async fn set_limits(&self, request: Request<SetLimitsRequest>) -> Result<Response<SetLimitsReply>, Status> {
        let SetLimitsRequest { limits, by } = request.into_inner();
        let limits: Vec<ClusterLimit> = limits.into_iter().map(ClusterLimit::from).collect();
        if limits.len() > MAX_LIMITS || !limits.iter().all(ClusterLimit::is_short) {
            return Err(Status::invalid_argument(format!(
                "at most {MAX_LIMITS} quotas, each of texts of at most {MAX_LIMIT_TEXT} bytes"
            )));
        }
        let records = limits.into_iter().map(|limit| LimitRecord {
            role: limit.role,
            routes: limit.routes,
            venue: limit.venue,
            quota: limit.quota,
        });
        let command = MetaCommand::SetLimits {
            limits: records.collect(),
            by: shortened(by),
            at: self.wall.now_ms(),
        };
        let reply = match self.meta.propose(&command).await {
            Ok(version) => SetLimitsReply {
                version: self.version(&version),
                ..SetLimitsReply::default()
            },
            Err(rejection) => SetLimitsReply {
                not_leader: true,
                leader_node: hint(&rejection)?,
                ..SetLimitsReply::default()
            },
        };
        Ok(Response::new(reply))
    }

    async fn raise_version(
        &self,
        request: Request<RaiseVersionRequest>,
    ) -> Result<Response<RaiseVersionReply>, Status> {
        let RaiseVersionRequest { to, by } = request.into_inner();
        let map = self.meta.watch().borrow().clone();
        let led_elsewhere = |rejection: &Rejection| {
            Ok(RaiseVersionReply {
                not_leader: true,
                leader_node: hint(rejection)?,
                ..RaiseVersionReply::default()
            })
        };
        if !self.meta.group.leadership.leads() {
            let rejection = Rejection::not_leader(self.meta.group.leadership.leader_node());
            return led_elsewhere(&rejection).map(Response::new);
        }
        let answers = survey::ask(&self.dial, &map.nodes, &self.record).await;
        let to = survey::target(to, &answers);
        let now = map.cluster_version.number();
        if to < now {
            return Err(Status::invalid_argument(format!(
                "the cluster is at version {now}, and never goes back, so not to {to}"
            )));
        }
        let behind = survey::behind(to, &map.nodes, &answers);
        let mut reply = RaiseVersionReply {
            version: map.version,
            cluster_version: now,
            behind,
            ..RaiseVersionReply::default()
        };
        if to > now && reply.behind.is_empty() {
            let command = MetaCommand::RaiseVersion {
                to,
                by: shortened(by),
                at: self.wall.now_ms(),
            };
            match self.meta.propose(&command).await {
                Ok(version) => {
                    reply.version = self.version(&version);
                    let map = self.meta.watch().borrow().clone();
                    reply.cluster_version = map.cluster_version.number();
                    // A node may have made itself known anew in between.
                    reply.behind = survey::behind(to, &map.nodes, &answers);
                }
                Err(rejection) => return led_elsewhere(&rejection).map(Response::new),
            }
        }
        Ok(Response::new(reply))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<DrainReply>, Status> {
        if request.into_inner().stop {
            self.leaderships.resume(self.wall.is_right());
        } else {
            self.leaderships.drain().await;
        }
        Ok(Response::new(DrainReply {
            draining: self.leaderships.is_draining(),
            leads: u32::try_from(self.leaderships.held()).unwrap_or(u32::MAX),
        }))
    }

    async fn fill_calendar(
        &self,
        request: Request<FillCalendarRequest>,
    ) -> Result<Response<FillCalendarReply>, Status> {
        let request = request.into_inner();
        let shard = self
            .shards
            .get(request.shard)
            .ok_or_else(|| Status::not_found("no replica of the shard here"))?;
        match calendar::fill(&shard, VenueNo(request.venue)).await {
            Ok(filled) => Ok(Response::new(FillCalendarReply {
                not_leader: false,
                leader_node: 0,
                slots_added: filled.added,
                slots_removed: filled.removed,
                index: filled.index,
            })),
            Err(ShardError::Rejected(rejection)) => Ok(Response::new(FillCalendarReply {
                not_leader: true,
                leader_node: hint(&rejection)?,
                ..FillCalendarReply::default()
            })),
            Err(ShardError::Broken(detail)) => Err(Status::internal(detail)),
        }
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<NodeStatus>, Status> {
        let mut replicas = vec![self.meta.group.status(1)];
        replicas.extend(self.shards.all().iter().map(|shard| shard.group.status(shard.epoch)));
        Ok(Response::new(NodeStatus {
            node: self.record.id,
            cluster: self.cluster.clone(),
            version: self.record.version.clone(),
            grpc: self.record.grpc.clone(),
            admin: self.record.admin.clone(),
            replicas,
            draining: self.leaderships.is_draining(),
        }))
    }

    async fn read_log(&self, request: Request<ReadLogRequest>) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        let shard = self
            .shards
            .get(request.shard)
            .ok_or_else(|| Status::not_found("no replica of the shard here"))?;
        let last = shard.group.reader.applied_index().unwrap_or(0);
        let (sender, entries) = mpsc::channel(LOG_ENTRIES_AHEAD);
        let store = self.store.clone();
        scope::spawn(async move {
            if let Err(status) = send_log(&store, &request, last, &sender).await {
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(entries)))
    }

    type ReadRowsStream = Pin<Box<dyn Stream<Item = Result<RowsPart, Status>> + Send>>;

    async fn read_point(&self, request: Request<ReadPointRequest>) -> Result<Response<ReadPointReply>, Status> {
        self.point_of(request.into_inner().group).await.map(Response::new)
    }

    async fn read_rows(&self, request: Request<ReadRowsRequest>) -> Result<Response<Self::ReadRowsStream>, Status> {
        let rows = self.rows_of(request.into_inner()).await?;
        Ok(Response::new(rows.take_until(self.stop.clone().stopped()).boxed()))
    }

    async fn record_backup(&self, request: Request<Backup>) -> Result<Response<ChangeReply>, Status> {
        self.keep_record(request.into_inner()).await
    }

    async fn remove_node(&self, request: Request<RemoveNodeRequest>) -> Result<Response<ChangeReply>, Status> {
        self.remove(request.into_inner().node).await
    }

    async fn add_node(&self, request: Request<AddNodeRequest>) -> Result<Response<ChangeReply>, Status> {
        self.add(request.into_inner()).await
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderReply>, Status> {
        let request = request.into_inner();
        let shard = self
            .shards
            .get(request.shard)
            .ok_or_else(|| Status::not_found("no replica of the shard here"))?;
        let map = self.meta.watch().borrow().clone();
        let target = map.shards.get(&request.shard).and_then(|record| {
            record
                .replicas
                .iter()
                .find(|(_, node)| *node == request.to_node)
                .map(|(replica, _)| *replica)
        });
        let Some(target) = target else {
            return Err(Status::invalid_argument(format!(
                "node {} has no replica of the shard",
                request.to_node
            )));
        };
        if !shard.group.leadership.leads() {
            return Ok(Response::new(TransferLeaderReply {
                started: false,
                detail: "this node does not lead the shard".into(),
            }));
        }
        let done = shard.group.transfer_to(target).await;
        let detail = if done {
            "done"
        } else {
            "the other replica did not take over in time"
        };
        Ok(Response::new(TransferLeaderReply {
            started: done,
            detail: detail.into(),
        }))
    }
}

/// Entries from `request.from` to `last`; ends early where the auditor has gone.
async fn send_log(
    store: &Store,
    request: &ReadLogRequest,
    last: u64,
    sender: &mpsc::Sender<Result<LogEntry, Status>>,
) -> Result<(), Status> {
    let mut next = request.from;
    loop {
        let page = log_page(store, request.shard, next, last).await;
        let page = page.map_err(|error| Status::internal(error.to_string()))?;
        let Some(end) = page.last().map(|entry| entry.index) else {
            return Ok(());
        };
        for AuditedEntry { index, term, payload } in page {
            if sender.send(Ok(LogEntry { index, term, payload })).await.is_err() {
                return Ok(());
            }
        }
        next = end + 1;
    }
}

/// Entries of a shard's log here from `from` to `last`, as many as are read at a time; none where there are none.
///
/// # Errors
/// Where the shard is not open here, or the store fails.
async fn log_page(store: &Store, shard: u64, from: u64, last: u64) -> std::io::Result<Vec<AuditedEntry>> {
    if from > last {
        return Ok(Vec::new());
    }
    let read = store.read_log(GroupId(shard), from, LOG_BYTES_AT_A_TIME).await?;
    let entries = read.iter().map(audited);
    Ok(entries.take_while(|entry| entry.index <= last).collect())
}

/// An entry as auditors see it: those of consensus itself are empty.
#[must_use]
pub fn audited(entry: &rotunda_raft_storage::Entry) -> AuditedEntry {
    AuditedEntry {
        index: entry.log_id.index,
        term: entry.log_id.committed_leader_id().term,
        payload: match &entry.payload {
            openraft::EntryPayload::Normal(payload) => payload.0.clone(),
            openraft::EntryPayload::Blank | openraft::EntryPayload::Membership(_) => bytes::Bytes::new(),
        },
    }
}
