//! The shards that this node hosts: [`Shard`] runs one replica, [`Shards`] finds it by id.

pub mod batcher;
pub mod freshness;
pub mod leadership;
pub mod reads;
pub mod shard;
pub mod traced;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use rotunda_protocol::rejection::Rejection;

pub use shard::Shard;

use crate::raft::PeerFacing;

/// Shards by id, and every group (the meta group too) by id for its peers.
#[derive(Clone, Default)]
pub struct Shards {
    shards: Arc<RwLock<BTreeMap<u64, Arc<Shard>>>>,
    facing: Arc<RwLock<HashMap<u64, Arc<dyn PeerFacing>>>>,
}

impl Shards {
    /// Makes a shard reachable.
    pub fn insert(&self, shard: Arc<Shard>) {
        self.insert_facing(shard.group.id, Arc::clone(&shard.group.facing));
        self.shards.write().insert(shard.group.id, shard);
    }

    /// Makes a group reachable for its peers.
    pub fn insert_facing(&self, group: u64, facing: Arc<dyn PeerFacing>) {
        self.facing.write().insert(group, facing);
    }

    /// A shard, for a call that was routed by a map with this epoch of it.
    ///
    /// # Errors
    /// What the caller should do instead.
    pub fn routed(&self, shard: u64, epoch: u64) -> Result<Arc<Shard>, Rejection> {
        let found = self.get(shard).ok_or_else(Rejection::not_here)?;
        if found.epoch == epoch {
            Ok(found)
        } else {
            Err(Rejection::stale_epoch(found.epoch))
        }
    }

    /// A shard by id.
    #[must_use]
    pub fn get(&self, shard: u64) -> Option<Arc<Shard>> {
        self.shards.read().get(&shard).cloned()
    }

    /// All shards, by id.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Shard>> {
        self.shards.read().values().cloned().collect()
    }

    /// A group as its peers see it.
    #[must_use]
    pub fn facing(&self, group: u64) -> Option<Arc<dyn PeerFacing>> {
        self.facing.read().get(&group).cloned()
    }
}
