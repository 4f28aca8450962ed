//! Recent log entries, decoded, for all groups of a node. Replication and apply read each entry again moments after it was
//! appended, and an entry must be readable before it is synced: so it is here first. Only flushed entries leave, the oldest
//! first; unflushed ones are bounded by the writer's queue.

use std::collections::{BTreeMap, VecDeque};

use openraft::EntryPayload;
use parking_lot::Mutex;

use crate::types::Entry;

/// What an entry costs beyond its payload: the struct, and its place in the deque.
const ENTRY_OVERHEAD: usize = 160;

/// What an entry costs in memory.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Blank => 0,
        EntryPayload::Normal(payload) => payload.0.len(),
        // Rare, and small next to a batch; a guess is enough for a bound.
        EntryPayload::Membership(_) => 1024,
    };
    ENTRY_OVERHEAD + payload
}

/// The cache.
pub(crate) struct EntryCache {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    bytes: usize,
    next_stamp: u64,
    groups: BTreeMap<u64, Group>,
}

#[derive(Default)]
struct Group {
    /// Contiguous indexes, ascending stamps.
    entries: VecDeque<Cached>,
    /// Entries with this stamp or a lower one are on disk.
    flushed: u64,
}

struct Cached {
    entry: Entry,
    stamp: u64,
}

impl EntryCache {
    /// Bounded by `limit` bytes, but for what is not flushed.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            inner: Mutex::new(Inner {
                next_stamp: 1,
                ..Inner::default()
            }),
        }
    }

    /// Adds entries at the end of a group's log. Gives the stamp of the last one, for [`Self::flushed`]. Stamps, not
    /// indexes: after a truncation the same index comes again, and an old flush must not free a new entry.
    pub(crate) fn append(&self, group: u64, entries: &[Entry]) -> u64 {
        let mut inner = self.inner.lock();
        let Inner {
            bytes,
            next_stamp,
            groups,
            ..
        } = &mut *inner;
        let cached = groups.entry(group).or_default();
        for entry in entries {
            if cached
                .entries
                .back()
                .is_some_and(|last| last.entry.log_id.index + 1 != entry.log_id.index)
            {
                // After a purge beyond the end: what is left belongs to the purged part.
                *bytes -= cached
                    .entries
                    .drain(..)
                    .map(|old| entry_bytes(&old.entry))
                    .sum::<usize>();
            }
            *bytes += entry_bytes(entry);
            cached.entries.push_back(Cached {
                entry: entry.clone(),
                stamp: *next_stamp,
            });
            *next_stamp += 1;
        }
        let last = *next_stamp - 1;
        inner.evict(self.limit);
        last
    }

    /// Entries up to `stamp` are on disk, so they may be evicted.
    pub(crate) fn flushed(&self, group: u64, stamp: u64) {
        let mut inner = self.inner.lock();
        if let Some(cached) = inner.groups.get_mut(&group) {
            cached.flushed = cached.flushed.max(stamp);
        }
        inner.evict(self.limit);
    }

    /// The cached entries of `from..to`, which are always the upper part of it, at most `max_bytes` of them but at least
    /// one, and the index at which they begin (`to` if there are none).
    pub(crate) fn read(&self, group: u64, from: u64, to: u64, max_bytes: usize) -> (u64, Vec<Entry>) {
        let inner = self.inner.lock();
        let Some(first) = inner
            .groups
            .get(&group)
            .and_then(|cached| Some((cached, cached.entries.front()?)))
        else {
            return (to, Vec::new());
        };
        let (cached, first) = (first.0, first.1.entry.log_id.index);
        let start = from.max(first).min(to);
        let skip = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        let count = usize::try_from(to - start).unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        let mut bytes = 0;
        for cached in cached.entries.iter().skip(skip).take(count) {
            bytes += entry_bytes(&cached.entry);
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(cached.entry.clone());
        }
        (if entries.is_empty() { to } else { start }, entries)
    }

    /// Drops entries from `index` on.
    pub(crate) fn truncate(&self, group: u64, index: u64) {
        self.drop_while(group, |entries| match entries.back() {
            Some(last) if last.entry.log_id.index >= index => entries.pop_back(),
            _ => None,
        });
    }

    /// Drops entries up to `index`.
    pub(crate) fn purge(&self, group: u64, index: u64) {
        self.drop_while(group, |entries| match entries.front() {
            Some(first) if first.entry.log_id.index <= index => entries.pop_front(),
            _ => None,
        });
    }

    fn drop_while(&self, group: u64, mut next: impl FnMut(&mut VecDeque<Cached>) -> Option<Cached>) {
        let mut inner = self.inner.lock();
        let Inner { bytes, groups, .. } = &mut *inner;
        if let Some(cached) = groups.get_mut(&group) {
            while let Some(dropped) = next(&mut cached.entries) {
                *bytes -= entry_bytes(&dropped.entry);
            }
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }
}

impl Inner {
    fn evict(&mut self, limit: usize) {
        while self.bytes > limit {
            // A node has some tens of groups at most, so looking at each front is cheaper than keeping them sorted.
            let oldest = self
                .groups
                .values_mut()
                .filter(|cached| {
                    cached
                        .entries
                        .front()
                        .is_some_and(|first| first.stamp <= cached.flushed)
                })
                .min_by_key(|cached| cached.entries.front().map(|first| first.stamp));
            let Some(evicted) = oldest.and_then(|cached| cached.entries.pop_front()) else {
                return;
            };
            self.bytes -= entry_bytes(&evicted.entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};

    use super::*;
    use crate::types::{LogId, Payload};

    fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        indexes
            .map(|index| Entry {
                log_id: LogId {
                    leader_id: LeaderId::new(term, 1),
                    index,
                },
                payload: EntryPayload::Normal(Payload(Bytes::from(vec![7; 1000]))),
            })
            .collect()
    }

    fn indexes(found: &(u64, Vec<Entry>)) -> Vec<u64> {
        found.1.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn what_is_not_flushed_stays_however_full_it_is() {
        let cache = EntryCache::new(2500);
        let stamp = cache.append(1, &entries(1, 0..=9));
        assert_eq!(indexes(&cache.read(1, 0, 10, usize::MAX)).len(), 10);
        cache.flushed(1, stamp);
        assert!(cache.bytes() <= 2500);
        assert_eq!(indexes(&cache.read(1, 0, 10, usize::MAX)), [8, 9]);
    }

    #[test]
    fn an_old_flush_does_not_free_what_came_after_a_truncation() {
        let cache = EntryCache::new(0);
        let old = cache.append(1, &entries(1, 0..=4));
        cache.truncate(1, 2);
        cache.append(1, &entries(2, 2..=3));
        cache.flushed(1, old);
        let found = cache.read(1, 0, 10, usize::MAX);
        assert_eq!(indexes(&found), [2, 3]);
        assert!(found.1.iter().all(|entry| entry.log_id.leader_id.term == 2));
    }

    #[test]
    fn the_oldest_of_all_groups_goes_first() {
        let cache = EntryCache::new(4 * (1000 + ENTRY_OVERHEAD));
        let a = cache.append(1, &entries(1, 0..=1));
        let b = cache.append(2, &entries(1, 0..=1));
        cache.flushed(1, a);
        cache.flushed(2, b);
        let c = cache.append(2, &entries(1, 2..=3));
        cache.flushed(2, c);
        assert_eq!(indexes(&cache.read(1, 0, 9, usize::MAX)), Vec::<u64>::new());
        assert_eq!(indexes(&cache.read(2, 0, 9, usize::MAX)), [0, 1, 2, 3]);
    }

    #[test]
    fn a_read_is_cut_by_bytes_but_gives_at_least_one() {
        let cache = EntryCache::new(usize::MAX);
        cache.append(1, &entries(1, 5..=9));
        assert_eq!(indexes(&cache.read(1, 6, 9, 0)), [6]);
        assert_eq!(indexes(&cache.read(1, 6, 9, 2 * (1000 + ENTRY_OVERHEAD))), [6, 7]);
        assert_eq!(cache.read(1, 0, 3, usize::MAX), (3, vec![]));
        assert_eq!(cache.read(1, 12, 20, usize::MAX), (20, vec![]));
        cache.purge(1, 6);
        assert_eq!(indexes(&cache.read(1, 0, 99, usize::MAX)), [7, 8, 9]);
    }
}
