//! Which nodes have come and gone since the founding: in a row of its own, for clusters were there before this was. A node
//! that comes, the same machine with a new disk included, gets a replica id of its own in the meta group as in each shard:
//! what its lost disk had promised was promised under another one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::NodeRecord;
use super::map::MetaState;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The meta group's replica of each node. Empty before the first change: then it is the node's id.
    meta: BTreeMap<u32, u64>,
    /// Replicas that shards have lost with nodes, and shall have again.
    lost: BTreeMap<u64, u32>,
    /// Nodes that were removed and not added again.
    gone: BTreeSet<u32>,
}

impl Members {
    /// True before any node has come or gone.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.meta.is_empty()
    }

    /// True where a node that says where it is may be believed to belong here.
    pub(super) fn may_register(&self, node: u32) -> bool {
        !self.gone.contains(&node)
    }

    /// The founders of a cluster that is restored from another one's backup.
    #[must_use]
    pub fn founders() -> Self {
        Self::default()
    }
}

/// Why a node cannot be removed or added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// There must be somebody left.
    #[error("node {0} is the only one left: restore a backup instead, see `rotunda backup restore`")]
    LastNode(u32),
    /// A shard would have no replica at all.
    #[error("node {node} has the only replica of shard {shard}: what it holds would be lost")]
    LastReplica {
        /// Which node.
        node: u32,
        /// Which shard.
        shard: u64,
    },
    /// Ids begin at 1.
    #[error("a node's id is 1 or above")]
    NoNode,
    /// There is one at that address.
    #[error("node {0} has this address: is its id meant?")]
    AddressTaken(u32),
    /// It is a member at another address.
    #[error("node {node} is a member at {grpc}: to replace it, run `rotunda node remove {node}` first")]
    Elsewhere {
        /// Which node.
        node: u32,
        /// Where it is.
        grpc: String,
    },
}

impl MetaState {
    /// The meta group's replica ids, and their nodes.
    #[must_use]
    pub fn meta_replicas(&self) -> BTreeMap<u64, u32> {
        match self.members.is_untouched() {
            true => self.nodes.keys().map(|node| (u64::from(*node), *node)).collect(),
            false => self
                .members
                .meta
                .iter()
                .map(|(node, replica)| (*replica, *node))
                .collect(),
        }
    }

    /// The meta group's replica of a node, where it is a member.
    #[must_use]
    pub fn meta_replica_of(&self, node: u32) -> Option<u64> {
        let found = self.meta_replicas().into_iter().find(|(_, at)| *at == node);
        found.map(|(replica, _)| replica)
    }

    /// True where a node has said that it serves, since it was founded or added. What it had on disk then must be there.
    #[must_use]
    pub fn has_been_here(&self, node: u32) -> bool {
        self.nodes.get(&node).is_some_and(|record| !record.version.is_empty())
    }

    /// Whether all replicas may leave a node.
    ///
    /// # Errors
    /// Why not.
    pub fn may_remove(&self, node: u32) -> Result<(), MembersError> {
        if self.nodes.keys().all(|other| *other == node) {
            return Err(MembersError::LastNode(node));
        }
        let alone = |record: &super::map::ShardRecord| record.replicas.iter().all(|(_, at)| *at == node);
        match self.shards.iter().find(|(_, record)| alone(record)) {
            Some((shard, _)) => Err(MembersError::LastReplica { node, shard: *shard }),
            None => Ok(()),
        }
    }

    /// Whether a node may join at this address.
    ///
    /// # Errors
    /// Why not.
    pub fn may_add(&self, node: u32, grpc: &str) -> Result<(), MembersError> {
        if node == 0 {
            return Err(MembersError::NoNode);
        }
        if let Some(other) = self.nodes.values().find(|other| other.grpc == grpc && other.id != node) {
            return Err(MembersError::AddressTaken(other.id));
        }
        match self.nodes.get(&node) {
            Some(record) if record.grpc != grpc => Err(MembersError::Elsewhere {
                node,
                grpc: record.grpc.clone(),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn remove_node(&mut self, node: u32) -> bool {
        if !self.nodes.contains_key(&node) || self.may_remove(node).is_err() {
            return false;
        }
        let replicas = self.meta_replicas();
        self.members.meta = replicas.into_iter().map(|(replica, node)| (node, replica)).collect();
        self.members.meta.remove(&node);
        self.members.gone.insert(node);
        self.nodes.remove(&node);
        for (id, shard) in &mut self.shards {
            let before = shard.replicas.len();
            shard.replicas.retain(|(_, at)| *at != node);
            if shard.replicas.len() < before {
                *self.members.lost.entry(*id).or_default() += 1;
            }
        }
        true
    }

    pub(super) fn add_node(&mut self, node: u32, grpc: String) -> bool {
        if self.nodes.contains_key(&node) || self.shards.is_empty() || self.may_add(node, &grpc).is_err() {
            return false;
        }
        let replicas = self.meta_replicas();
        self.members.meta = replicas.into_iter().map(|(replica, node)| (node, replica)).collect();
        let replica = self.take_replica();
        self.members.meta.insert(node, replica);
        self.members.gone.remove(&node);
        let record = NodeRecord {
            id: node,
            grpc,
            admin: String::new(),
            version: String::new(),
        };
        self.nodes.insert(node, record);
        let lost: Vec<u64> = self.members.lost.keys().copied().collect();
        for id in lost {
            let replica = self.take_replica();
            if let Some(shard) = self.shards.get_mut(&id) {
                shard.replicas.push((replica, node));
            }
            match self.members.lost.get_mut(&id) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.members.lost.remove(&id)),
            }
        }
        true
    }

    /// A replica id that nobody has had.
    fn take_replica(&mut self) -> u64 {
        self.next_replica += 1;
        self.next_replica - 1
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::meta::command::MetaCommand;
    use crate::meta::machine::{rows_of, state_of};
    use crate::meta::map::spread;

    fn founded() -> MetaState {
        let mut state = MetaState::default();
        let nodes = [(1, "a"), (2, "b"), (3, "c")].map(|(id, grpc)| (id, grpc.to_owned()));
        let shards = spread(&[1, 2, 3], 4, 3);
        let nodes = nodes.to_vec();
        assert!(state.apply(1, MetaCommand::Bootstrap { nodes, shards }).changed);
        state
    }

    fn register(state: &mut MetaState, node: u32, grpc: &str) -> bool {
        let record = NodeRecord {
            id: node,
            grpc: grpc.to_owned(),
            admin: "x".to_owned(),
            version: "1".to_owned(),
        };
        state.apply(9, MetaCommand::RegisterNode(record)).changed
    }

    fn add(state: &mut MetaState, node: u32, grpc: &str) -> bool {
        let grpc = grpc.to_owned();
        state.apply(9, MetaCommand::AddNode { node, grpc }).changed
    }

    #[test]
    fn a_node_that_comes_back_has_ids_that_nobody_had() {
        let mut state = founded();
        assert!(register(&mut state, 3, "c"));
        assert!(state.has_been_here(3));
        assert_eq!(state.meta_replica_of(3), Some(3));
        let mut used: BTreeSet<u64> = state.meta_replicas().into_keys().collect();
        used.extend(
            state
                .shards
                .values()
                .flat_map(|shard| shard.replicas.iter().map(|r| r.0)),
        );

        assert!(state.apply(10, MetaCommand::RemoveNode { node: 3 }).changed);
        assert!(!state.apply(11, MetaCommand::RemoveNode { node: 3 }).changed);
        assert!(
            !register(&mut state, 3, "c"),
            "what was removed does not come back by itself"
        );
        assert!(state.shards.values().all(|shard| shard.replicas.len() == 2));
        assert_eq!(state.meta_replicas(), BTreeMap::from([(1, 1), (2, 2)]));

        assert!(add(&mut state, 3, "d"));
        assert!(!add(&mut state, 3, "d"), "again changes nothing");
        assert!(!state.has_been_here(3), "its disk is new");
        assert!(state.shards.values().all(|shard| shard.replicas.len() == 3));
        let replica = state.meta_replica_of(3).unwrap();
        assert!(!used.contains(&replica));
        let ids = state.shards.values().map(|shard| shard.replicas[2].0);
        let new: BTreeSet<u64> = ids.chain([replica]).collect();
        assert!(new.is_disjoint(&used) && new.len() == 5, "{new:?}");
        assert!(register(&mut state, 3, "d") && state.has_been_here(3));
    }

    #[test]
    fn the_last_copy_is_never_removed() {
        let mut state = founded();
        assert!(state.apply(2, MetaCommand::RemoveNode { node: 1 }).changed);
        assert!(state.apply(3, MetaCommand::RemoveNode { node: 2 }).changed);
        assert_eq!(state.may_remove(3), Err(MembersError::LastNode(3)));
        assert!(!state.apply(4, MetaCommand::RemoveNode { node: 3 }).changed);
        // Two were lost: the first that comes gets one of each, the second the other.
        assert!(add(&mut state, 7, "g"));
        assert!(state.shards.values().all(|shard| shard.replicas.len() == 2));
        assert!(add(&mut state, 8, "h"));
        assert!(state.shards.values().all(|shard| shard.replicas.len() == 3));
    }

    #[test]
    fn an_address_tells_who_is_meant() {
        let state = founded();
        assert_eq!(state.may_add(4, "b"), Err(MembersError::AddressTaken(2)));
        assert!(matches!(
            state.may_add(2, "x"),
            Err(MembersError::Elsewhere { node: 2, .. })
        ));
        assert_eq!(state.may_add(0, "x"), Err(MembersError::NoNode));
        assert_eq!(state.may_add(2, "b"), Ok(()));
    }

    #[test]
    fn it_is_in_a_row_of_its_own_which_old_clusters_lack() {
        let mut state = founded();
        let rows = rows_of(&state).unwrap();
        assert_eq!(rows.len(), 1);
        assert!(state.apply(2, MetaCommand::RemoveNode { node: 1 }).changed);
        let rows = rows_of(&state).unwrap();
        assert_eq!(rows.len(), 2);
        let get = |key: &[u8]| {
            let found = rows.iter().find(|(at, _)| *at == key);
            Ok(found.map(|(_, row)| bytes::Bytes::from(row.clone())))
        };
        assert_eq!(state_of(get).unwrap(), Some(state));
    }
}
