//! The shard map: which venue lives in which shard, and which shard has replicas on which nodes.
//!
//! The meta group owns it; every change is a new version (the index of the meta entry that made it). Nodes keep a copy
//! and stream it to routers, which replace theirs as a whole: a map is immutable, and checked when it is made, so
//! whoever holds one may rely on it (a venue's shard exists, a replica's node exists, slugs are unique).
//! Who leads a shard is not in here: that changes by itself and is learnt by asking.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rotunda_booking::ids::VenueNo;

use crate::limits::ClusterLimits;
use crate::token::{Holder, TokenInfo};
use crate::version::BEFORE;

/// A version of the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardMap {
    version: u64,
    cluster: String,
    nodes: Vec<NodeInfo>,
    shards: Vec<ShardInfo>,
    venues: Vec<VenueInfo>,
    // Slug -> index into `venues`.
    slugs: BTreeMap<String, usize>,
    tokens: Vec<TokenInfo>,
    // Digest -> holder, of the tokens that are good.
    holders: BTreeMap<[u8; 32], Arc<Holder>>,
    limits: Arc<ClusterLimits>,
    // Before there is a map, 0.
    cluster_version: u32,
}

/// A node as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Id; never 0.
    pub id: u32,
    /// Where it serves gRPC: `http://127.0.0.1:7001`.
    pub grpc: String,
    /// Where it serves health and metrics: `http://127.0.0.1:9101`.
    pub admin: String,
    /// Version of its binary, as it said when it made itself known.
    pub version: String,
}

/// A shard: a Raft group and where its replicas are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// Id; never 0, which is the meta group's.
    pub id: u64,
    /// Grows with each change of replicas or venues.
    pub epoch: u64,
    /// In the order in which they were placed.
    pub replicas: Vec<ReplicaInfo>,
}

/// A replica of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Its id in the Raft group; never used again once removed.
    pub id: u64,
    /// The node that hosts it.
    pub node: u32,
}

/// A venue in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueInfo {
    /// Its number, part of every booking's id.
    pub number: VenueNo,
    /// Its id in the catalogue: `lisbon-tides`.
    pub slug: String,
    /// Where it lives.
    pub shard: u64,
    /// The network that it belongs to; `None` where it was imported before networks were kept, until the next import.
    pub network: Option<Arc<str>>,
}

/// What makes a map contradict itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// A node's id is 0 or there twice.
    #[error("node id {0} is 0 or there twice")]
    Node(u32),
    /// A shard's id is 0 or there twice.
    #[error("shard id {0} is 0 or there twice")]
    Shard(u64),
    /// A shard has no replicas, or one of its replicas is on no node, or two are on one node.
    #[error("shard {shard} has no replicas, or one on an unknown node, or two on one node")]
    Replicas {
        /// Which shard.
        shard: u64,
    },
    /// A venue's number is there twice.
    #[error("venue number {0} is there twice")]
    VenueNumber(u32),
    /// A venue's slug is empty or there twice.
    #[error("venue slug {0:?} is empty or there twice")]
    VenueSlug(String),
    /// A venue lives in a shard that does not exist.
    #[error("venue {slug:?} lives in shard {shard}, which does not exist")]
    VenueShard {
        /// Which venue.
        slug: String,
        /// Where it should live.
        shard: u64,
    },
}

impl ShardMap {
    /// A map of these parts, in any order.
    ///
    /// # Errors
    /// Where the parts contradict each other; the error names the first that does.
    pub fn new(
        version: u64,
        cluster: String,
        mut nodes: Vec<NodeInfo>,
        mut shards: Vec<ShardInfo>,
        mut venues: Vec<VenueInfo>,
    ) -> Result<Self, MapError> {
        nodes.sort_by_key(|node| node.id);
        shards.sort_by_key(|shard| shard.id);
        venues.sort_by_key(|venue| venue.number);

        let mut previous = 0;
        for node in &nodes {
            if node.id == previous {
                return Err(MapError::Node(node.id));
            }
            previous = node.id;
        }
        let mut previous = 0;
        for shard in &shards {
            if shard.id == previous {
                return Err(MapError::Shard(shard.id));
            }
            previous = shard.id;
            let mut used = BTreeSet::new();
            let placed = |replica: &ReplicaInfo| {
                nodes.binary_search_by_key(&replica.node, |node| node.id).is_ok() && used.insert(replica.node)
            };
            if shard.replicas.is_empty() || !shard.replicas.iter().all(placed) {
                return Err(MapError::Replicas { shard: shard.id });
            }
        }
        let mut slugs = BTreeMap::new();
        for (position, venue) in venues.iter().enumerate() {
            if position > 0 && venues[position - 1].number == venue.number {
                return Err(MapError::VenueNumber(venue.number.0));
            }
            if venue.slug.is_empty() || slugs.insert(venue.slug.clone(), position).is_some() {
                return Err(MapError::VenueSlug(venue.slug.clone()));
            }
            if shards.binary_search_by_key(&venue.shard, |shard| shard.id).is_err() {
                return Err(MapError::VenueShard {
                    slug: venue.slug.clone(),
                    shard: venue.shard,
                });
            }
        }
        Ok(Self {
            version,
            cluster,
            nodes,
            shards,
            venues,
            slugs,
            tokens: Vec::new(),
            holders: BTreeMap::new(),
            limits: Arc::default(),
            cluster_version: BEFORE,
        })
    }

    /// The map with the cluster's tokens, in any order.
    #[must_use]
    pub fn with_tokens(mut self, mut tokens: Vec<TokenInfo>) -> Self {
        tokens.sort_by(|one, other| one.holder.name.cmp(&other.holder.name));
        let good = tokens.iter().filter(|token| token.revoked.is_none());
        self.holders = good
            .filter_map(|token| Some((token.digest?, token.holder.clone())))
            .collect();
        self.tokens = tokens;
        self
    }

    /// The map with the cluster's quotas.
    #[must_use]
    pub fn with_limits(mut self, limits: ClusterLimits) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    /// The map with the cluster's version; 0 where none is said.
    #[must_use]
    pub fn with_cluster_version(mut self, version: u32) -> Self {
        self.cluster_version = version.max(BEFORE);
        self
    }

    /// Index of the meta entry that made this map; 0 where there is none yet.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Name of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// All nodes, by id.
    #[must_use]
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// All shards, by id.
    #[must_use]
    pub fn shards(&self) -> &[ShardInfo] {
        &self.shards
    }

    /// All venues, by number.
    #[must_use]
    pub fn venues(&self) -> &[VenueInfo] {
        &self.venues
    }

    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: u32) -> Option<&NodeInfo> {
        self.nodes
            .binary_search_by_key(&id, |node| node.id)
            .ok()
            .map(|at| &self.nodes[at])
    }

    /// The shard of this id.
    #[must_use]
    pub fn shard(&self, id: u64) -> Option<&ShardInfo> {
        self.shards
            .binary_search_by_key(&id, |shard| shard.id)
            .ok()
            .map(|at| &self.shards[at])
    }

    /// The venue of this slug.
    #[must_use]
    pub fn venue(&self, slug: &str) -> Option<&VenueInfo> {
        self.slugs.get(slug).map(|&at| &self.venues[at])
    }

    /// The venue of this number.
    #[must_use]
    pub fn venue_no(&self, number: VenueNo) -> Option<&VenueInfo> {
        self.venues
            .binary_search_by_key(&number, |venue| venue.number)
            .ok()
            .map(|at| &self.venues[at])
    }

    /// The shard in which this venue lives.
    #[must_use]
    pub fn shard_of(&self, number: VenueNo) -> Option<&ShardInfo> {
        self.venue_no(number).and_then(|venue| self.shard(venue.shard))
    }

    /// All tokens that were ever issued, by name.
    #[must_use]
    pub fn tokens(&self) -> &[TokenInfo] {
        &self.tokens
    }

    /// The token of this name, good or revoked.
    #[must_use]
    pub fn token(&self, name: &str) -> Option<&TokenInfo> {
        self.tokens
            .binary_search_by(|token| (*token.holder.name).cmp(name))
            .ok()
            .map(|at| &self.tokens[at])
    }

    /// Who holds the token whose secret has this SHA-256. The look-up takes no constant time and need not: how near a guess
    /// came says nothing about the secret, only about its digest.
    #[must_use]
    pub fn holder(&self, digest: &[u8; 32]) -> Option<&Arc<Holder>> {
        self.holders.get(digest)
    }

    /// Quotas for all routers.
    #[must_use]
    pub fn limits(&self) -> &Arc<ClusterLimits> {
        &self.limits
    }

    /// The cluster's version: see [`crate::version`].
    #[must_use]
    pub fn cluster_version(&self) -> u32 {
        self.cluster_version.max(BEFORE)
    }

    /// The networks that venues belong to, by name.
    #[must_use]
    pub fn networks(&self) -> BTreeSet<&str> {
        self.venues
            .iter()
            .filter_map(|venue| venue.network.as_deref())
            .collect()
    }

    /// The venues that live in a shard, by number.
    pub fn venues_of(&self, shard: u64) -> impl Iterator<Item = &VenueInfo> {
        self.venues.iter().filter(move |venue| venue.shard == shard)
    }
}

#[cfg(test)]
mod tests;
