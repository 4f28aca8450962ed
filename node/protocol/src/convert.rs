//! Between generated messages and domain types, both ways. Reading checks; writing cannot fail.

use std::sync::Arc;

use bytes::Bytes;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::time::Timestamp;

use crate::error::WireError;
use crate::limits::{ClusterLimit, ClusterLimits};
use crate::proto::{admin, booking};
use crate::rejection::{Rejection, RejectionKind};
use crate::shard_map::{NodeInfo, ReplicaInfo, ShardInfo, ShardMap, VenueInfo};
use crate::token::{Holder, Mark, NewToken, TokenInfo, role_from_number};

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
                network: named(venue.network),
            })
            .collect();
        // A token of a role that a newer node knows opens nothing here, and costs nobody the map.
        let known = map
            .tokens
            .into_iter()
            .filter(|token| role_from_number(token.role).is_some());
        let tokens = known.map(TokenInfo::try_from).collect::<Result<_, _>>()?;
        let limits = map.limits.map(ClusterLimits::from).unwrap_or_default();
        let cluster_version = map.cluster_version;
        let map = ShardMap::new(map.version, map.cluster, nodes, shards, venues)?;
        Ok(map
            .with_tokens(tokens)
            .with_limits(limits)
            .with_cluster_version(cluster_version))
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
                    network: venue.network.as_deref().unwrap_or_default().to_owned(),
                })
                .collect(),
            tokens: map.tokens().iter().map(admin::Token::from).collect(),
            limits: map.limits().set.is_some().then(|| admin::Limits::from(&**map.limits())),
            cluster_version: map.cluster_version(),
        }
    }
}

impl TryFrom<admin::Token> for TokenInfo {
    type Error = WireError;

    fn try_from(token: admin::Token) -> Result<Self, WireError> {
        let role = role_from_number(token.role).ok_or_else(|| WireError::Field {
            field: "Token.role",
            detail: format!("no role has the number {}", token.role),
        })?;
        let digest = match token.digest.len() {
            0 => None,
            _ => Some(digest("Token.digest", &token.digest)?),
        };
        let mark = |author: &str, at| Mark::read(author, Timestamp(at));
        Ok(TokenInfo {
            holder: Arc::new(Holder {
                name: token.name.into(),
                role,
                network: named(token.network),
                venues: token.venues,
            }),
            digest,
            created: mark(&token.created_by, token.created_at),
            revoked: (!token.revoked_by.is_empty()).then(|| mark(&token.revoked_by, token.revoked_at)),
        })
    }
}

impl From<&TokenInfo> for admin::Token {
    fn from(token: &TokenInfo) -> Self {
        let revoked = token.revoked.as_ref();
        admin::Token {
            name: token.holder.name.to_string(),
            role: token.holder.role as u32,
            venues: token.holder.venues.clone(),
            digest: token
                .digest
                .map_or_else(Bytes::new, |digest| Bytes::copy_from_slice(&digest)),
            created_by: token.created.author(),
            created_at: token.created.at.0,
            revoked_by: revoked.map_or_else(String::new, Mark::author),
            revoked_at: revoked.map_or(0, |mark| mark.at.0),
            network: token.holder.network.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl From<NewToken> for admin::CreateTokenRequest {
    fn from(token: NewToken) -> Self {
        admin::CreateTokenRequest {
            name: token.name,
            role: token.role as u32,
            venues: token.venues,
            digest: Bytes::copy_from_slice(&token.digest),
            by: token.by,
            network: token.network.unwrap_or_default(),
        }
    }
}

impl TryFrom<admin::CreateTokenRequest> for NewToken {
    type Error = WireError;

    fn try_from(request: admin::CreateTokenRequest) -> Result<Self, WireError> {
        let role = role_from_number(request.role).ok_or_else(|| WireError::Field {
            field: "CreateTokenRequest.role",
            detail: format!("no role has the number {}", request.role),
        })?;
        Ok(NewToken {
            name: request.name,
            role,
            network: (!request.network.is_empty()).then_some(request.network),
            venues: request.venues,
            digest: digest("CreateTokenRequest.digest", &request.digest)?,
            by: request.by,
        })
    }
}

impl From<admin::Limits> for ClusterLimits {
    fn from(limits: admin::Limits) -> Self {
        ClusterLimits {
            limits: limits.limits.into_iter().map(ClusterLimit::from).collect(),
            set: Some(Mark::read(&limits.set_by, Timestamp(limits.set_at))),
        }
    }
}

impl From<&ClusterLimits> for admin::Limits {
    fn from(limits: &ClusterLimits) -> Self {
        let set = limits.set.as_ref();
        admin::Limits {
            limits: limits.limits.iter().cloned().map(admin::Limit::from).collect(),
            set_by: set.map_or_else(String::new, Mark::author),
            set_at: set.map_or(0, |mark| mark.at.0),
        }
    }
}

impl From<admin::Limit> for ClusterLimit {
    fn from(limit: admin::Limit) -> Self {
        let admin::Limit {
            role,
            routes,
            venue,
            quota,
        } = limit;
        ClusterLimit {
            role,
            routes,
            venue,
            quota,
        }
    }
}

impl From<ClusterLimit> for admin::Limit {
    fn from(limit: ClusterLimit) -> Self {
        let ClusterLimit {
            role,
            routes,
            venue,
            quota,
        } = limit;
        admin::Limit {
            role,
            routes,
            venue,
            quota,
        }
    }
}

/// A name, where there is one.
fn named(text: String) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn digest(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], WireError> {
    bytes.try_into().map_err(|_| WireError::Field {
        field,
        detail: format!("{} bytes instead of 32", bytes.len()),
    })
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
    /// It gives leadership away and takes none.
    pub draining: bool,
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
    /// Replicas that vote, as far as it knows.
    pub voters: Vec<ReplicaInfo>,
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
            draining,
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
            draining,
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
            voters: status
                .voters
                .into_iter()
                .map(|voter| ReplicaInfo {
                    id: voter.id,
                    node: voter.node,
                })
                .collect(),
        })
    }
}
