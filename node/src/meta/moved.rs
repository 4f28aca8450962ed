//! The state of one cluster as the beginning of another: what a restored backup starts from. Venues, numbers, tokens,
//! networks and quotas stay; nodes, addresses and replicas are the new cluster's. Nothing of the old one's addresses may
//! stay: routers of the new cluster would be led to the old.

use std::collections::BTreeMap;

use super::command::{BackupRecord, NodeRecord};
use super::map::{MetaState, spread};
use super::members::Members;

/// Places the shards of `state` anew, on these nodes: id and gRPC address.
#[must_use]
pub fn moved(mut state: MetaState, nodes: &BTreeMap<u32, String>, replication: usize) -> MetaState {
    let ids: Vec<u32> = nodes.keys().copied().collect();
    state.nodes = nodes
        .iter()
        .map(|(id, grpc)| {
            let record = NodeRecord {
                id: *id,
                grpc: grpc.clone(),
                admin: String::new(),
                version: String::new(),
            };
            (*id, record)
        })
        .collect();
    let places = spread(&ids, state.shards.len() as u64, replication);
    for (shard, nodes) in state.shards.values_mut().zip(places) {
        // Commit tokens and maps of the old cluster are told apart by it.
        shard.epoch += 1;
        shard.replicas = nodes
            .into_iter()
            .map(|node| {
                state.next_replica += 1;
                (state.next_replica - 1, node)
            })
            .collect();
    }
    state.members = Members::founders();
    // The new cluster has made none yet.
    state.backup = BackupRecord::default();
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::command::MetaCommand;

    #[test]
    fn venues_stay_and_nothing_of_the_old_nodes_does() {
        let mut state = MetaState::default();
        let nodes = vec![(1, "old-1".to_owned()), (2, "old-2".to_owned())];
        let shards = spread(&[1, 2], 2, 2);
        state.apply(1, MetaCommand::Bootstrap { nodes, shards });
        let slugs = vec!["a".to_owned(), "b".to_owned()];
        state.apply(2, MetaCommand::AssignVenues { slugs });
        state.apply(3, MetaCommand::RemoveNode { node: 2 });
        let before = state.clone();
        let nodes: BTreeMap<u32, String> = (1..=3).map(|id| (id, format!("new-{id}"))).collect();
        let after = moved(state, &nodes, 3);
        assert_eq!((&after.venues, after.next_venue), (&before.venues, before.next_venue));
        assert_eq!(after.nodes.len(), 3);
        assert!(after.nodes.values().all(|node| node.grpc.starts_with("new-")));
        assert!((1..=3).all(|node| !after.has_been_here(node)));
        assert_eq!(
            after.meta_replicas(),
            (1..=3).map(|node| (u64::from(node), node)).collect()
        );
        for (id, shard) in &after.shards {
            assert_eq!(shard.replicas.len(), 3);
            assert!(
                shard
                    .replicas
                    .iter()
                    .all(|(replica, _)| *replica >= before.next_replica)
            );
            assert!(shard.epoch > before.shards[id].epoch);
        }
    }
}
