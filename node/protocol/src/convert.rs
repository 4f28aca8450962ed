//! Between generated messages and domain types, both ways. Reading checks; writing cannot fail.

use rotunda_booking::ids::VenueNo;

use crate::error::WireError;
use crate::proto::{admin, booking};
use crate::rejection::{Rejection, RejectionKind};
use crate::shard_map::{NodeInfo, ReplicaInfo, ShardInfo, ShardMap, VenueInfo};

impl TryFrom<admin::ShardMap> for ShardMap {
    type Error = WireError;

    fn try_from(map: admin::ShardMap) -> Result<Self, WireError> {
        let nodes = map.nodes.into_iter().map(NodeInfo::from).collect();
        let shards = map
            .shards
            .into_iter()
            .map(|shard| ShardInfo {
                id: shard.id,
                epoch: shard.epoch,
                replicas: shard
                    .replicas
                    .into_iter()
                    .map(|r| ReplicaInfo { id: r.id, node: r.node })
                    .collect(),
            })
            .collect();
        let venues = map
            .venues
            .into_iter()
            .map(|venue| VenueInfo {
                number: VenueNo(venue.number),
                slug: venue.slug,
                shard: venue.shard,
            })
            .collect();
        Ok(ShardMap::new(map.version, map.cluster, nodes, shards, venues)?)
    }
}

impl From<&ShardMap> for admin::ShardMap {
    fn from(map: &ShardMap) -> Self {
        admin::ShardMap {
            version: map.version(),
            cluster: map.cluster().to_owned(),
            nodes: map.nodes().iter().map(admin::Node::from).collect(),
            shards: map
                .shards()
                .iter()
                .map(|shard| admin::Shard {
                    id: shard.id,
                    epoch: shard.epoch,
                    replicas: shard
                        .replicas
                        .iter()
                        .map(|r| admin::Replica { id: r.id, node: r.node })
                        .collect(),
                })
                .collect(),
            venues: map
                .venues()
                .iter()
                .map(|venue| admin::Venue {
                    number: venue.number.0,
                    slug: venue.slug.clone(),
                    shard: venue.shard,
                })
                .collect(),
        }
    }
}

impl From<admin::Node> for NodeInfo {
    fn from(node: admin::Node) -> Self {
        NodeInfo {
            id: node.id,
            grpc: node.grpc,
            admin: node.admin,
            version: node.version,
        }
    }
}

impl From<&NodeInfo> for admin::Node {
    fn from(node: &NodeInfo) -> Self {
        let NodeInfo {
            id,
            grpc,
            admin,
            version,
        } = node.clone();
        admin::Node {
            id,
            grpc,
            admin,
            version,
        }
    }
}

impl From<&Rejection> for booking::Rejection {
    fn from(rejection: &Rejection) -> Self {
        booking::Rejection {
            kind: i32::from(rejection.kind as u8),
            leader_node: rejection.leader_node.unwrap_or(0),
            epoch: rejection.epoch,
            detail: rejection.detail.clone(),
        }
    }
}

impl TryFrom<booking::Rejection> for Rejection {
    type Error = WireError;

    fn try_from(rejection: booking::Rejection) -> Result<Self, WireError> {
        let kind = u8::try_from(rejection.kind)
            .ok()
            .and_then(RejectionKind::from_number)
            .ok_or(WireError::RejectionKind(rejection.kind))?;
        Ok(Rejection {
            kind,
            leader_node: (rejection.leader_node != 0).then_some(rejection.leader_node),
            epoch: rejection.epoch,
            detail: rejection.detail,
        })
    }
}

/// How a node stands, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its id.
    pub node: u32,
    /// Name of its cluster.
    pub cluster: String,
    /// Version of its binary.
    pub version: String,
    /// Where it serves gRPC.
    pub grpc: String,
    /// Where it serves health and metrics.
    pub admin: String,
    /// What it hosts; shard 0 is the meta group.
    pub replicas: Vec<ReplicaStatus>,
}

/// How one replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Its shard; 0 is the meta group.
    pub shard: u64,
    /// Its id.
    pub replica: u64,
    /// `leader`, `follower`, `candidate`, `learner` or `stopped`.
    pub role: String,
    /// Replica that it believes to lead.
    pub leader_replica: Option<u64>,
    /// Node that it believes to lead.
    pub leader_node: Option<u32>,
    /// Raft term.
    pub term: u64,
    /// Index of its last log entry.
    pub last_log: u64,
    /// Index up to which it knows the log to be committed.
    pub committed: u64,
    /// Index of its last applied entry.
    pub applied: u64,
    /// Index up to which its log is purged.
    pub purged: u64,
    /// Hash of its state at `applied`.
    pub state_hash: [u8; 16],
    /// Epoch of its shard, as far as it knows.
    pub epoch: u64,
}

impl TryFrom<admin::NodeStatus> for NodeStatus {
    type Error = WireError;

    fn try_from(status: admin::NodeStatus) -> Result<Self, WireError> {
        let admin::NodeStatus {
            node,
            cluster,
            version,
            grpc,
            admin,
            replicas,
        } = status;
        let replicas = replicas
            .into_iter()
            .map(ReplicaStatus::try_from)
            .collect::<Result<_, _>>()?;
        Ok(NodeStatus {
            node,
            cluster,
            version,
            grpc,
            admin,
            replicas,
        })
    }
}

impl TryFrom<admin::ReplicaStatus> for ReplicaStatus {
    type Error = WireError;

    fn try_from(status: admin::ReplicaStatus) -> Result<Self, WireError> {
        let state_hash = <[u8; 16]>::try_from(&status.state_hash[..]).map_err(|_| WireError::Field {
            field: "ReplicaStatus.state_hash",
            detail: format!("{} bytes instead of 16", status.state_hash.len()),
        })?;
        Ok(ReplicaStatus {
            shard: status.shard,
            replica: status.replica,
            role: status.role,
            leader_replica: (status.leader_replica != 0).then_some(status.leader_replica),
            leader_node: (status.leader_node != 0).then_some(status.leader_node),
            term: status.term,
            last_log: status.last_log,
            committed: status.committed,
            applied: status.applied,
            purged: status.purged,
            state_hash,
            epoch: status.epoch,
        })
    }
}
