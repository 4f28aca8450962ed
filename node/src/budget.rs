//! One number bounds a node's memory; here it is divided, and here stands what may be taken of it.
//!
//! | share | what | when it is used up |
//! |---|---|---|
//! | 50 % | the store: blocks, memtables, decoded entries, the writer's queue | `raft-storage`'s `memory` says |
//! | 20 % | decoded slots, hours, bookings, catalogues and key filters of the shards hosted here | the least recently used are read again when wanted; a shard's filter grows into what the other shards' do not use, and then no more |
//! | 10 % | the newest command keys of each shard; their number is one of the rules | a node that cannot hold those of its shards does not start |
//! | 5 % | commands taken in and not yet answered | further ones are answered `Overloaded`, and nothing was done |
//! | 5 % | queries being answered | further ones wait |
//! | 5 % | entries on their way to and from peers | the next entries wait |
//! | 5 % | what connections have received and nobody has read yet | HTTP/2 holds the sender back; further connections are closed |
//!
//! Outside it are the process itself: code, stacks, the allocator's slack, and some tens of kilobytes a connection.

mod ceiling;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use rotunda_booking::idempotency::KeyWindow;
use rotunda_booking::inventory::Limits;
use tokio::sync::Semaphore;

pub use self::ceiling::{Ceiling, Share};

const STORE_PERCENT: usize = 50;
const CACHES_PERCENT: usize = 20;
const KEYS_PERCENT: usize = 10;
const COMMANDS_PERCENT: usize = 5;
const QUERIES_PERCENT: usize = 5;
const PEERS_PERCENT: usize = 5;
const CONNECTIONS_PERCENT: usize = 5;
const _: () = assert!(
    STORE_PERCENT
        + CACHES_PERCENT
        + KEYS_PERCENT
        + COMMANDS_PERCENT
        + QUERIES_PERCENT
        + PEERS_PERCENT
        + CONNECTIONS_PERCENT
        == 100
);

/// About what a cache of [`Limits`] takes, by the sizes that stand beside its fields. Hours are kept of the building and
/// of guides, each up to the limit.
const fn bytes_of(limits: &Limits) -> usize {
    limits.slots * 150 + 2 * limits.hours * 200 + limits.records * 400 + limits.catalogue_bytes + limits.filter_bytes
}

/// At ten bits a key enough for fifty million old keys of one shard.
const MAX_FILTER_BYTES: usize = 64 << 20;

/// Below this a cache would be read anew for every entry.
const FEWEST: usize = 256;

/// What the window of one connection may come to at most: a long fat network needs no more.
const MAX_WINDOW_BYTES: usize = 1 << 20;

/// HTTP/2's own default; below it nothing would flow.
const MIN_WINDOW_BYTES: usize = 65_535;

/// Connections that a node takes at least, and their window shrinks instead.
const MIN_CONNECTIONS: usize = 48;

/// A semaphore counts in `u32`; queries are counted in units of this.
pub const QUERY_UNIT_BYTES: usize = 1 << 10;

/// A node was given less memory than its shards need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shards} shards need at least {}MiB: their newest idempotency keys are in memory", needed_bytes.div_ceil(1 << 20))]
pub struct TooSmall {
    /// So many shards.
    pub shards: usize,
    /// Need so much.
    pub needed_bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Budget {
    memory_bytes: usize,
    peers: usize,
    /// Bounds of each hosted shard's caches, and how many shards share them.
    caches: ArcSwap<(usize, Limits)>,
    /// Bytes of all shards' filters over old keys.
    filters: AtomicUsize,
    commands: Arc<Ceiling>,
    queries: Arc<Semaphore>,
}

impl Budget {
    /// Divides `memory_bytes` of a node with `peers` other nodes. No shard is hosted yet.
    #[must_use]
    pub fn new(memory_bytes: usize, peers: usize) -> Arc<Self> {
        let percent = |share: usize| memory_bytes / 100 * share;
        Arc::new(Self {
            memory_bytes,
            peers: peers.max(1),
            caches: ArcSwap::from_pointee((1, scaled(percent(CACHES_PERCENT)))),
            filters: AtomicUsize::new(0),
            commands: Ceiling::new(percent(COMMANDS_PERCENT)),
            queries: Arc::new(Semaphore::new(percent(QUERIES_PERCENT) / QUERY_UNIT_BYTES)),
        })
    }

    /// Whether `memory_bytes` do for `shards` shards.
    ///
    /// # Errors
    /// Where they do not.
    pub fn check(memory_bytes: usize, shards: usize) -> Result<(), TooSmall> {
        let keys = usize::try_from(KeyWindow::default().bytes()).unwrap_or(usize::MAX);
        let needed_bytes = keys.saturating_mul(shards) / KEYS_PERCENT * 100;
        if memory_bytes < needed_bytes {
            return Err(TooSmall { shards, needed_bytes });
        }
        Ok(())
    }

    /// From now on `shards` shards share the caches.
    ///
    /// # Errors
    /// Where there is too little for so many, and nothing has changed.
    pub fn host(&self, shards: usize) -> Result<(), TooSmall> {
        let shards = shards.max(1);
        Self::check(self.memory_bytes, shards)?;
        if self.caches.load().0 != shards {
            let limits = scaled(self.percent(CACHES_PERCENT) / shards);
            self.caches.store(Arc::new((shards, limits)));
        }
        Ok(())
    }

    /// Bounds of each hosted shard's caches.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.caches.load().1
    }

    /// Bounds of the caches of a shard whose filter takes `filter` bytes now: it may grow into what the others leave of all
    /// filters' share.
    #[must_use]
    pub fn limits_beside(&self, filter: usize) -> Limits {
        let caches = self.caches.load();
        let all = caches.0 * caches.1.filter_bytes;
        let others = self.filters.load(Ordering::Relaxed).saturating_sub(filter);
        Limits {
            filter_bytes: all.saturating_sub(others).min(MAX_FILTER_BYTES),
            ..caches.1
        }
    }

    /// A shard's filter has grown or shrunk, or come or gone.
    pub fn filter_changed(&self, before: usize, after: usize) {
        self.filters.fetch_add(after, Ordering::Relaxed);
        self.filters.fetch_sub(before, Ordering::Relaxed);
    }

    /// For the store.
    #[must_use]
    pub fn store_bytes(&self) -> usize {
        self.percent(STORE_PERCENT)
    }

    /// Of commands that were taken in and have no answer yet.
    #[must_use]
    pub fn commands(&self) -> &Arc<Ceiling> {
        &self.commands
    }

    /// Of queries being answered, in units of [`QUERY_UNIT_BYTES`].
    #[must_use]
    pub fn queries(&self) -> &Arc<Semaphore> {
        &self.queries
    }

    /// Of the entries that one peer has sent and that are not yet in the log.
    #[must_use]
    pub fn bytes_per_peer(&self) -> usize {
        self.percent(PEERS_PERCENT) / 2 / self.peers
    }

    /// Of the entries of one group on their way to one peer.
    #[must_use]
    pub fn bytes_per_replication(&self) -> usize {
        self.bytes_per_peer() / self.caches.load().0
    }

    /// Bytes that a connection may send ahead of being read: HTTP/2's window.
    #[must_use]
    pub fn window_bytes(&self) -> u32 {
        let window = (self.percent(CONNECTIONS_PERCENT) / MIN_CONNECTIONS).clamp(MIN_WINDOW_BYTES, MAX_WINDOW_BYTES);
        u32::try_from(window).unwrap_or(u32::MAX)
    }

    /// Connections that may be open at once.
    #[must_use]
    pub fn connections(&self) -> usize {
        let window = usize::try_from(self.window_bytes()).unwrap_or(MAX_WINDOW_BYTES);
        (self.percent(CONNECTIONS_PERCENT) / window).max(MIN_CONNECTIONS)
    }

    /// Everything together.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn percent(&self, share: usize) -> usize {
        self.memory_bytes / 100 * share
    }
}

/// The default limits, scaled down to `bytes`. More than those helps nobody, for they hold all of a venue's window; only of
/// the filter over old command keys a shard with millions of bookings can use more.
fn scaled(bytes: usize) -> Limits {
    let whole = Limits::default();
    let spare = bytes.saturating_sub(bytes_of(&whole));
    let all = bytes_of(&whole) as u128;
    let part = |count: usize| {
        let scaled = count as u128 * bytes as u128 / all;
        usize::try_from(scaled).unwrap_or(count).clamp(FEWEST, count)
    };
    Limits {
        slots: part(whole.slots),
        hours: part(whole.hours),
        records: part(whole.records),
        catalogue_bytes: part(whole.catalogue_bytes),
        filter_bytes: (part(whole.filter_bytes) + spare).min(MAX_FILTER_BYTES),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_parts_stay_within_the_whole() {
        for (memory, shards) in [(64 * MIB, 8), (512 * MIB, 8), (512 * MIB, 64), (4096 * MIB, 256)] {
            for peers in [0, 2, 6] {
                let budget = Budget::new(memory, peers);
                budget.host(shards).unwrap();
                let keys = usize::try_from(KeyWindow::default().bytes()).unwrap() * shards;
                let peers = peers.max(1);
                let sum = budget.store_bytes()
                    + bytes_of(&budget.limits()) * shards
                    + keys
                    + budget.commands().limit()
                    + budget.queries().available_permits() * QUERY_UNIT_BYTES
                    + peers * (budget.bytes_per_peer() + shards * budget.bytes_per_replication())
                    + budget.connections() * usize::try_from(budget.window_bytes()).unwrap();
                assert!(
                    sum <= memory,
                    "{sum} of {memory} with {shards} shards and {peers} peers"
                );
                // Whatever is rounded away must not be much.
                assert!(sum > memory * 7 / 10 || memory > 1024 * MIB, "{sum} of {memory}");
            }
        }
    }

    #[test]
    fn caches_shrink_as_shards_come_and_never_vanish() {
        let budget = Budget::new(512 * MIB, 2);
        budget.host(8).unwrap();
        let before = budget.limits();
        budget.host(32).unwrap();
        assert!(budget.limits().slots < before.slots && budget.limits().slots >= FEWEST);
        budget.host(8).unwrap();
        assert_eq!(budget.limits(), before);
    }

    #[test]
    fn a_shards_filter_grows_into_what_the_others_leave() {
        let budget = Budget::new(512 * MIB, 2);
        budget.host(4).unwrap();
        let share = budget.limits().filter_bytes;
        assert_eq!(budget.limits_beside(0).filter_bytes, 4 * share);
        budget.filter_changed(0, 3 * share);
        assert_eq!(budget.limits_beside(0).filter_bytes, share);
        assert_eq!(budget.limits_beside(3 * share).filter_bytes, 4 * share);
        budget.filter_changed(3 * share, share / 2);
        assert_eq!(budget.limits_beside(0).filter_bytes, 4 * share - share / 2);
    }

    #[test]
    fn more_shards_than_the_keys_have_room_for_are_refused_with_what_they_need() {
        let budget = Budget::new(64 * MIB, 2);
        budget.host(8).unwrap();
        let before = budget.limits();
        let refused = budget.host(64).unwrap_err();
        assert_eq!(budget.limits(), before);
        assert!(refused.to_string().contains("64 shards need at least"), "{refused}");
        Budget::new(refused.needed_bytes, 2).host(64).unwrap();
        assert!(Budget::new(refused.needed_bytes - MIB, 2).host(64).is_err());
    }
}
