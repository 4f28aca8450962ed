//! The cluster's own affairs: venues into the directory, slots into the calendar, how the nodes stand, what a log holds.
//!
//! Called by the router's admin routes, the `rotunda` command and audits. All of it may be repeated, so the calls retry
//! as queries do.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rotunda_booking::ids::VenueNo;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status};

use super::metrics::Ending;
use super::query::setback_of;
use super::retry::{Itinerary, Setback};
use super::{ClusterClient, Filled, Inner, LogEntry};
use crate::convert::NodeStatus;
use crate::error::ClientError;
use crate::limits::ClusterLimit;
use crate::proto::admin;
use crate::rejection::Rejection;
use crate::shard_map::{NodeInfo, ShardMap};
use crate::token::{NewToken, TokenOutcome};
use crate::version::{Behind, Formats, release};

/// The meta group's id, among the groups of a node.
pub(super) const META: u64 = 0;

/// How long one attempt at filling a calendar or assigning venues may take: the node proposes many entries for it.
const LONG_ATTEMPT: Duration = Duration::from_secs(10);

/// How long one node may take to say how it stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one message of a log may take.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// A log is read in pages of about so many bytes of payload.
const LOG_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// For calls that are not repeated: what the node said, or that it said nothing.
pub(super) fn refused(status: &Status) -> ClientError {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled => ClientError::Unavailable,
        _ => ClientError::Rejected(status.message().to_owned()),
    }
}

/// How a node stands that was asked to give its leaderships away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// It takes none.
    pub draining: bool,
    /// Groups that it leads, the meta group among them.
    pub leads: u32,
}

/// As its binary's version tells.
fn behind(node: &admin::NodeBehind) -> Behind {
    let told = !node.version.is_empty();
    Behind {
        node: node.node,
        runs: told.then(|| (release(&node.version).to_owned(), Formats::of(&node.version))),
    }
}

/// Not the leader; the node that is, where it is known.
pub(super) struct NotLeader(pub(super) u32);

/// Version of the map and outcome.
fn told(reply: admin::TokenReply) -> Result<(u64, u32), NotLeader> {
    if reply.not_leader {
        Err(NotLeader(reply.leader_node))
    } else {
        Ok((reply.version, reply.outcome))
    }
}

impl ClusterClient {
    /// Numbers and shards for the venues of this network that have none yet. Answers with a map that holds them all, or in
    /// which one of them belongs to another network: then nothing was assigned.
    ///
    /// # Errors
    /// `Unavailable` at the deadline (venues may have been assigned; ask again), `Rejected` for a slug that cannot be.
    pub async fn assign_venues(
        &self,
        network: &str,
        slugs: &[String],
        deadline: Instant,
    ) -> Result<Arc<ShardMap>, ClientError> {
        let request = admin::AssignVenuesRequest {
            slugs: slugs.to_vec(),
            network: network.to_owned(),
        };
        let version = self
            .ask_leader(META, deadline, |mut node| {
                let request = request.clone();
                async move {
                    let reply = node.assign_venues(request).await?.into_inner();
                    Ok(if reply.not_leader {
                        Err(NotLeader(reply.leader_node))
                    } else {
                        Ok(reply.version)
                    })
                }
            })
            .await?;
        let there = self.inner.map.seek(|map| map.version() >= version);
        timeout_at(deadline, there).await.map_err(|_| ClientError::Unavailable)
    }

    /// Issues a token. Answers once this client's own map shows it.
    ///
    /// # Errors
    /// `Unavailable` at the deadline (it may have been issued), `Rejected` for what cannot be a token.
    pub async fn create_token(&self, token: NewToken, deadline: Instant) -> Result<TokenOutcome, ClientError> {
        let name = token.name.clone();
        let request = admin::CreateTokenRequest::from(token);
        let asked = self.ask_leader(META, deadline, |mut node| {
            let request = request.clone();
            async move { Ok(told(node.create_token(request).await?.into_inner())) }
        });
        let told = asked.await?;
        self.shown(told, |map| map.token(&name).is_some(), deadline).await
    }

    /// Takes a token back. Answers once this client's own map shows it.
    ///
    /// # Errors
    /// `Unavailable` at the deadline: it may have been revoked; ask again.
    pub async fn revoke_token(&self, name: &str, by: &str, deadline: Instant) -> Result<TokenOutcome, ClientError> {
        let request = admin::RevokeTokenRequest {
            name: name.to_owned(),
            by: by.to_owned(),
        };
        let asked = self.ask_leader(META, deadline, |mut node| {
            let request = request.clone();
            async move { Ok(told(node.revoke_token(request).await?.into_inner())) }
        });
        let told = asked.await?;
        let is_revoked = |map: &ShardMap| map.token(name).is_some_and(|token| token.revoked.is_some());
        self.shown(told, is_revoked, deadline).await
    }

    /// What came of it, once the map shows what it must show then.
    async fn shown(
        &self,
        (version, outcome): (u64, u32),
        shows: impl Fn(&ShardMap) -> bool,
        deadline: Instant,
    ) -> Result<TokenOutcome, ClientError> {
        let outcome = u8::try_from(outcome).ok().and_then(TokenOutcome::from_number);
        let outcome =
            outcome.ok_or_else(|| ClientError::Rejected("an outcome that this version does not know".to_owned()))?;
        let is_done = outcome == TokenOutcome::Done;
        let there = self
            .inner
            .map
            .seek(|map| map.version() >= version && (!is_done || shows(map)));
        timeout_at(deadline, there)
            .await
            .map_err(|_| ClientError::Unavailable)?;
        Ok(outcome)
    }

    /// Has quotas kept for all routers, in the place of those before. Answers once this client's own map shows them.
    ///
    /// # Errors
    /// `Unavailable` at the deadline (they may have been set; ask again), `Rejected` for what cannot be kept.
    pub async fn set_limits(&self, limits: &[ClusterLimit], by: &str, deadline: Instant) -> Result<(), ClientError> {
        let request = admin::SetLimitsRequest {
            limits: limits.iter().cloned().map(admin::Limit::from).collect(),
            by: by.to_owned(),
        };
        let asked = self.ask_leader(META, deadline, |mut node| {
            let request = request.clone();
            async move {
                let reply = node.set_limits(request).await?.into_inner();
                Ok(if reply.not_leader {
                    Err(NotLeader(reply.leader_node))
                } else {
                    Ok(reply.version)
                })
            }
        });
        let version = asked.await?;
        let there = self.inner.map.seek(|map| map.version() >= version);
        timeout_at(deadline, there)
            .await
            .map(drop)
            .map_err(|_| ClientError::Unavailable)
    }

    /// Raises the cluster's version; the newest that any node reads where none is named. Answers with the version as it is then,
    /// once this client's own map shows it.
    ///
    /// # Errors
    /// `NotYet` where a node does not read it, or does not answer; `Rejected` for an older one; `Unavailable` at the deadline (it
    /// may have been raised; ask again).
    pub async fn raise_version(&self, to: Option<u32>, by: &str, deadline: Instant) -> Result<u32, ClientError> {
        let request = admin::RaiseVersionRequest {
            to: to.unwrap_or(0),
            by: by.to_owned(),
        };
        let asked = self.ask_leader(META, deadline, |mut node| {
            let request = request.clone();
            async move {
                let reply = node.raise_version(request).await?.into_inner();
                Ok(if reply.not_leader {
                    Err(NotLeader(reply.leader_node))
                } else {
                    Ok(reply)
                })
            }
        });
        let reply = asked.await?;
        if !reply.behind.is_empty() {
            let behind: Vec<String> = reply.behind.iter().map(|node| behind(node).to_string()).collect();
            return Err(ClientError::NotYet(behind.join("; ")));
        }
        let there = self.inner.map.seek(|map| map.version() >= reply.version);
        let map = timeout_at(deadline, there)
            .await
            .map_err(|_| ClientError::Unavailable)?;
        Ok(map.cluster_version())
    }

    /// Has a node give its leaderships away and take none, or `stop` that. Answers with how many it still leads.
    ///
    /// # Errors
    /// `Rejected` where there is no such node, or it is too old to know how; `Unavailable` where it does not answer in time.
    pub async fn drain(&self, node: u32, stop: bool, deadline: Instant) -> Result<Drained, ClientError> {
        self.inner.ready(deadline).await?;
        let map = self.inner.map.current();
        let connection = self.inner.connections.to(&map, node);
        let connection = connection.ok_or_else(|| ClientError::Rejected(format!("there is no node {node}")))?;
        match timeout_at(deadline, connection.affairs().drain(admin::DrainRequest { stop })).await {
            Ok(Ok(reply)) => {
                let admin::DrainReply { draining, leads } = reply.into_inner();
                Ok(Drained { draining, leads })
            }
            Ok(Err(status)) if status.code() == Code::Unimplemented => Err(ClientError::NotYet(format!(
                "node {node} runs a binary that cannot be drained by command; SIGTERM drains it as well"
            ))),
            Ok(Err(status)) => Err(refused(&status)),
            Err(_) => Err(ClientError::Unavailable),
        }
    }

    /// Has the slots of a venue's rolling window worked out and put in place.
    ///
    /// # Errors
    /// `UnknownVenue`; `Unavailable` at the deadline (part may have been done; ask again).
    pub async fn fill_calendar(&self, venue: VenueNo, deadline: Instant) -> Result<Filled, ClientError> {
        self.inner.ready(deadline).await?;
        let shard = self
            .inner
            .map
            .current()
            .shard_of(venue)
            .ok_or(ClientError::UnknownVenue)?
            .id;
        let request = admin::FillCalendarRequest { shard, venue: venue.0 };
        self.ask_leader(shard, deadline, |mut node| async move {
            let reply = node.fill_calendar(request).await?.into_inner();
            Ok(if reply.not_leader {
                Err(NotLeader(reply.leader_node))
            } else {
                Ok(Filled {
                    added: reply.slots_added,
                    removed: reply.slots_removed,
                    index: reply.index,
                })
            })
        })
        .await
    }

    /// How every node of the map stands; each is asked for two seconds at most. Empty where there is no map yet.
    pub async fn node_status(&self, deadline: Instant) -> Vec<(NodeInfo, Result<NodeStatus, ClientError>)> {
        let map = self.inner.map.current();
        let until = deadline.min(Instant::now() + STATUS_TIMEOUT);
        let asked = map.nodes().iter().map(|node| {
            let connection = self.inner.connections.to(&map, node.id);
            async move {
                let Some(connection) = connection else {
                    return (node.clone(), Err(ClientError::Unavailable));
                };
                let status = match timeout_at(until, connection.affairs().status(admin::StatusRequest {})).await {
                    Ok(Ok(status)) => NodeStatus::try_from(status.into_inner())
                        .map_err(|error| ClientError::Rejected(format!("node {}: {error}", node.id))),
                    Ok(Err(_)) | Err(_) => Err(ClientError::Unavailable),
                };
                (node.clone(), status)
            }
        });
        join_all(asked).await
    }

    /// A page of a shard's applied entries as one node has them, in order, from an index on. Go on behind the last
    /// entry; an empty page is the end.
    ///
    /// # Errors
    /// `Unavailable` where the node does not answer, `Rejected` where it cannot give them, with its reason.
    pub async fn read_log(&self, node: u32, shard: u64, from: u64) -> Result<Vec<LogEntry>, ClientError> {
        let map = self.inner.map.current();
        let connection = self.inner.connections.to(&map, node).ok_or(ClientError::Unavailable)?;
        let request = admin::ReadLogRequest { shard, from };
        let opened = timeout(LOG_TIMEOUT, connection.affairs().read_log(request)).await;
        let mut log = opened
            .map_err(|_| ClientError::Unavailable)?
            .map_err(|status| refused(&status))?
            .into_inner();
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < LOG_PAGE_BYTES {
            let message = timeout(LOG_TIMEOUT, log.message())
                .await
                .map_err(|_| ClientError::Unavailable)?;
            let Some(entry) = message.map_err(|status| refused(&status))? else {
                break;
            };
            bytes += entry.payload.len();
            entries.push(LogEntry {
                index: entry.index,
                term: entry.term,
                payload: entry.payload,
            });
        }
        Ok(entries)
    }

    /// Asks a shard's leader to hand over to the replica on another node.
    ///
    /// # Errors
    /// `Rejected` where the leader refuses or the other does not take over, with the reason; `Unavailable` where no leader is found in time.
    pub async fn transfer_leader(&self, shard: u64, to_node: u32, deadline: Instant) -> Result<(), ClientError> {
        self.inner.ready(deadline).await?;
        let statuses = self.node_status(deadline).await;
        let leads = |status: &NodeStatus| status.replicas.iter().any(|r| r.shard == shard && r.role == "leader");
        let map = self.inner.map.current();
        let connection = statuses
            .iter()
            .find(|(_, status)| status.as_ref().is_ok_and(leads))
            .and_then(|(node, _)| self.inner.connections.to(&map, node.id))
            .ok_or(ClientError::Unavailable)?;
        let request = admin::TransferLeaderRequest { shard, to_node };
        match timeout_at(deadline, connection.affairs().transfer_leader(request)).await {
            Ok(Ok(reply)) => match reply.into_inner() {
                reply if reply.started => Ok(()),
                reply => Err(ClientError::Rejected(reply.detail)),
            },
            Ok(Err(status)) => Err(refused(&status)),
            Err(_) => Err(ClientError::Unavailable),
        }
    }

    /// Asks the nodes that may lead a group, the meta group among them, until one does.
    pub(super) async fn ask_leader<T, F, Answer>(&self, group: u64, deadline: Instant, ask: F) -> Result<T, ClientError>
    where
        F: Fn(admin::admin_client::AdminClient<crate::dial::Line>) -> Answer,
        Answer: Future<Output = Result<Result<T, NotLeader>, Status>>,
    {
        let inner: &Inner = &self.inner;
        inner.ready(deadline).await?;
        let mut way = Itinerary::default();
        loop {
            let now = Instant::now();
            if now >= deadline {
                return Err(ClientError::Unavailable);
            }
            let map = inner.map.current();
            let candidates: Vec<u32> = match map.shard(group) {
                Some(shard) => shard.replicas.iter().map(|replica| replica.node).collect(),
                None => map.nodes().iter().map(|node| node.id).collect(),
            };
            let Some(node) = way.choose(candidates.iter().copied(), &inner.leaders, group, now, |_| false) else {
                inner
                    .follow(super::retry::Advice::Pause(way.pause()), map.version(), deadline)
                    .await?;
                continue;
            };
            let setback = match inner.connections.to(&map, node) {
                None => Setback::Unreachable,
                Some(connection) => {
                    let until = deadline.min(now + LONG_ATTEMPT);
                    match timeout_at(until, ask(connection.affairs())).await {
                        Err(_) => Setback::Silent,
                        Ok(Err(status)) => setback_of(&status),
                        Ok(Ok(Err(NotLeader(hint)))) => {
                            Setback::Rejected(Rejection::not_leader((hint != 0).then_some(hint)))
                        }
                        Ok(Ok(Ok(answer))) => {
                            inner.metrics.attempt(Ending::Answered);
                            inner.leaders.confirmed(group, node);
                            return Ok(answer);
                        }
                    }
                }
            };
            tracing::debug!(node, group, ?setback, "the node did not do it");
            inner.metrics.attempt(setback.ending());
            let advice = way.after(&setback, node, candidates.len(), &inner.leaders, group, Instant::now());
            inner.follow(advice, map.version(), deadline).await?;
        }
    }
}
