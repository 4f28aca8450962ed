//! How the cluster stands, for `rotunda status`: nodes, shards with leaders and lag, and this router.
//!
//! Asked of every node at the moment of the request; nothing is kept. A node that does not answer in time is `live:
//! false`, and what it would have said is missing: the answer is as good as the cluster's health, and always comes.

use std::time::Duration;

use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use rotunda_protocol::client::{NodeStatus, ReplicaStatus};
use rotunda_protocol::shard_map::{NodeInfo, ShardInfo, ShardMap};
use rotunda_protocol::version::{Formats, release};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::call::{Call, json};
use super::error::{Problem, ProblemBody};

/// How long the nodes have to answer. A dead one must not make the healthy ones' status late.
const PATIENCE: Duration = Duration::from_secs(1);

/// The cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cluster {
    /// What log entries, rows and snapshots may be like: raised by an operator once every node reads it.
    #[schema(example = 4)]
    cluster_version: u32,
    /// In order of id.
    nodes: Vec<Node>,
    /// In order of id.
    shards: Vec<Shard>,
    /// The router that answers. Routers do not know of each other.
    routers: Vec<Router>,
}

/// A node.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Node {
    id: u32,
    /// Where it serves routers and peers.
    #[schema(example = "http://127.0.0.1:7001")]
    grpc: String,
    /// Where it serves health and metrics.
    #[schema(example = "http://127.0.0.1:7101")]
    admin: String,
    /// Whether it answered this router just now.
    live: bool,
    /// Of its binary; null where it is not known.
    version: Option<String>,
    /// The cluster's versions that its binary reads; null where it is not known.
    reads: Option<Reads>,
    /// It gives leadership away and takes none.
    draining: bool,
}

/// Versions of the cluster, from one to the other.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reads {
    #[schema(example = 3)]
    oldest: u32,
    #[schema(example = 4)]
    newest: u32,
}

/// A shard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shard {
    id: u64,
    /// Grows with each change of replicas or venues.
    epoch: u64,
    /// Node that leads; null where none says so.
    leader: Option<u32>,
    /// Raft term, the highest that a replica knows.
    term: Option<u64>,
    replicas: Vec<Replica>,
    /// Ids of the venues that live here.
    venues: Vec<String>,
}

/// A replica of a shard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replica {
    node: u32,
    #[schema(example = "voter")]
    role: &'static str,
    /// Log index up to which it has applied; null where its node does not answer.
    applied: Option<u64>,
    /// Committed entries that it has not applied yet, as far as the replicas know together.
    lag: Option<u64>,
}

/// A router.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Router {
    /// The public door.
    #[schema(example = "http://127.0.0.1:8080")]
    http: String,
    /// Health and metrics.
    #[schema(example = "http://127.0.0.1:9090")]
    admin: String,
    version: &'static str,
}

/// How the cluster stands.
#[utoipa::path(
    get, path = "/v1/admin/cluster", tag = "operator",
    responses(
        (status = 200, body = Cluster),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn status(call: Call) -> Result<Response, Problem> {
    call.parameters([])?;
    let map = call.map()?;
    let deadline = call.deadline.min(Instant::now() + PATIENCE);
    let answers: Vec<Answer> = call
        .door
        .backend
        .node_status(deadline)
        .await
        .into_iter()
        .map(|(node, status)| (node, status.ok()))
        .collect();
    let body = Cluster {
        cluster_version: map.cluster_version(),
        nodes: answers
            .iter()
            .map(|(node, status)| seen(node, status.as_ref()))
            .collect(),
        shards: map.shards().iter().map(|info| shard(&map, info, &answers)).collect(),
        routers: vec![Router {
            http: format!("http://{}", call.door.addresses.http),
            admin: format!("http://{}", call.door.addresses.admin),
            version: env!("CARGO_PKG_VERSION"),
        }],
    };
    let mut response = json(StatusCode::OK, &body);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn seen(node: &NodeInfo, status: Option<&NodeStatus>) -> Node {
    let known = status.map(|status| &status.version).unwrap_or(&node.version);
    let reads = Formats::of(known);
    Node {
        id: node.id,
        grpc: node.grpc.clone(),
        admin: status.map_or_else(|| node.admin.clone(), |status| status.admin.clone()),
        live: status.is_some(),
        version: (!known.is_empty()).then(|| release(known).to_owned()),
        reads: (!known.is_empty()).then_some(Reads {
            oldest: reads.oldest,
            newest: reads.newest,
        }),
        draining: status.is_some_and(|status| status.draining),
    }
}

fn shard(map: &ShardMap, info: &ShardInfo, answers: &[Answer]) -> Shard {
    let said = Said::of(info.id, answers);
    Shard {
        id: info.id,
        epoch: info.epoch,
        leader: said.leader(),
        term: said.term(),
        replicas: info
            .replicas
            .iter()
            .map(|known| {
                let status = said.on(known.node);
                Replica {
                    node: known.node,
                    role: if status.is_some_and(|status| status.role == "learner") {
                        "learner"
                    } else {
                        "voter"
                    },
                    applied: status.map(|status| status.applied),
                    lag: said.lag(known.node),
                }
            })
            .collect(),
        venues: map.venues_of(info.id).map(|venue| venue.slug.clone()).collect(),
    }
}

/// What a node said of itself, where it answered.
pub(crate) type Answer = (NodeInfo, Option<NodeStatus>);

/// What the nodes say of one shard.
pub(crate) struct Said<'a>(Vec<(u32, &'a ReplicaStatus)>);

impl<'a> Said<'a> {
    /// Out of all that they said.
    pub(crate) fn of(shard: u64, answers: &'a [Answer]) -> Self {
        let replicas = answers.iter().filter_map(|(node, status)| {
            let replica = status
                .as_ref()?
                .replicas
                .iter()
                .find(|replica| replica.shard == shard)?;
            Some((node.id, replica))
        });
        Self(replicas.collect())
    }

    /// Of the replica on this node.
    pub(crate) fn on(&self, node: u32) -> Option<&'a ReplicaStatus> {
        self.0
            .iter()
            .find(|(known, _)| *known == node)
            .map(|(_, replica)| *replica)
    }

    /// The highest term that one of them knows.
    pub(crate) fn term(&self) -> Option<u64> {
        self.0.iter().map(|(_, replica)| replica.term).max()
    }

    /// The node that leads. A deposed leader that has not noticed yet says that it leads, too: the highest term is the true one.
    pub(crate) fn leader(&self) -> Option<u32> {
        let leaders = self.0.iter().filter(|(_, replica)| replica.role == "leader");
        let (node, replica) = leaders.max_by_key(|(_, replica)| replica.term)?;
        (Some(replica.term) == self.term()).then_some(*node)
    }

    /// Committed entries that the replica on this node has not applied yet.
    pub(crate) fn lag(&self, node: u32) -> Option<u64> {
        let committed = self.0.iter().map(|(_, replica)| replica.committed).max()?;
        self.on(node).map(|status| committed.saturating_sub(status.applied))
    }
}
