//! Who led a shard when last heard of, and which replicas had better be left alone for a moment.
//!
//! Only a hint: a wrong entry costs a round trip, never a wrong answer, since a node that does not lead says so.
//! Shared by all calls, so that one call's disappointment spares the others theirs.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct LeaderCache {
    shards: RwLock<BTreeMap<u64, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    leader: Option<u32>,
    // At most one for each node that was ever a replica of the shard.
    shunned: BTreeMap<u32, Instant>,
}

impl LeaderCache {
    pub(crate) fn leader(&self, shard: u64) -> Option<u32> {
        self.shards.read().get(&shard).and_then(|entry| entry.leader)
    }

    /// The node answered as the leader.
    pub(crate) fn confirmed(&self, shard: u64, node: u32) {
        // Nearly every call ends here with nothing to change, so look before taking the lock for writing.
        if let Some(entry) = self.shards.read().get(&shard)
            && entry.leader == Some(node)
            && !entry.shunned.contains_key(&node)
        {
            return;
        }
        let mut shards = self.shards.write();
        let entry = shards.entry(shard).or_default();
        entry.leader = Some(node);
        entry.shunned.remove(&node);
    }

    /// The node is not the leader, or is not there; `hint` is whom it named. What another call has learnt meanwhile
    /// stays: late refusals of slow followers must not send everybody back to the old leader.
    pub(crate) fn refuted(&self, shard: u64, by: u32, hint: Option<u32>) {
        let mut shards = self.shards.write();
        let entry = shards.entry(shard).or_default();
        if entry.leader.is_none() || entry.leader == Some(by) {
            entry.leader = hint.filter(|&node| node != by);
        }
    }

    /// Leave the node alone for this shard until then, unless there is no other.
    pub(crate) fn shun(&self, shard: u64, node: u32, until: Instant) {
        let mut shards = self.shards.write();
        let entry = shards.entry(shard).or_default();
        let known = entry.shunned.entry(node).or_insert(until);
        *known = until.max(*known);
        if entry.leader == Some(node) {
            entry.leader = None;
        }
    }

    pub(crate) fn is_shunned(&self, shard: u64, node: u32, now: Instant) -> bool {
        self.shards
            .read()
            .get(&shard)
            .and_then(|entry| entry.shunned.get(&node))
            .is_some_and(|&until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_late_refusal_does_not_undo_what_was_learnt_meanwhile() {
        let cache = LeaderCache::default();
        cache.refuted(7, 1, Some(2));
        assert_eq!(cache.leader(7), Some(2), "the hint is all there is");
        cache.confirmed(7, 3);
        cache.refuted(7, 1, Some(2));
        assert_eq!(cache.leader(7), Some(3), "node 3 answered; node 1 only believes");
        cache.refuted(7, 3, None);
        assert_eq!(cache.leader(7), None, "node 3 itself stepped down");
    }

    #[test]
    fn a_node_that_names_itself_and_refuses_is_no_leader() {
        let cache = LeaderCache::default();
        cache.refuted(7, 1, Some(1));
        assert_eq!(cache.leader(7), None);
    }

    #[test]
    fn a_shunned_node_is_forgotten_as_leader_until_it_answers() {
        let cache = LeaderCache::default();
        let now = Instant::now();
        cache.confirmed(7, 1);
        cache.shun(7, 1, now + Duration::from_secs(2));
        assert_eq!(cache.leader(7), None);
        assert!(cache.is_shunned(7, 1, now));
        assert!(!cache.is_shunned(8, 1, now), "other shards of the node may be well");
        assert!(!cache.is_shunned(7, 1, now + Duration::from_secs(2)), "not for ever");
        cache.confirmed(7, 1);
        assert!(!cache.is_shunned(7, 1, now));
        assert_eq!(cache.leader(7), Some(1));
    }
}
