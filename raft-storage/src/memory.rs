//! How the one memory budget of a store is split. Everything here that can grow is bounded by a share of
//! `StoreConfig::memory_bytes`; what else the crate holds is a few kilobytes a group.
//!
//! | share | what | when it is full |
//! |---|---|---|
//! | 1/2 | blocks of both databases and their memtables, in one LRU cache that the write-buffer manager charges | blocks are evicted; memtables are flushed at half of this share |
//! | 1/4 | recent log entries, decoded | flushed entries are evicted, oldest first; entries that are not yet flushed stay, bounded by the next row |
//! | 1/8 | entries that wait for the log's writer | `append` waits |
//! | 1/8 | snapshot chunks, write batches, RocksDB's table readers and indexes outside the cache | chunks are produced on demand, one at a time per stream |

const MIB: usize = 1024 * 1024;

/// The smallest budget that still works; a smaller one is raised to it.
pub const MIN_MEMORY_BYTES: usize = 32 * MIB;

/// The shares, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Block cache, memtables included.
    pub(crate) blocks: usize,
    /// Memtables of both databases, inside `blocks`.
    pub(crate) memtables: usize,
    /// One memtable.
    pub(crate) write_buffer: usize,
    /// Decoded entries.
    pub(crate) entries: usize,
    /// Entries in the writer's queue.
    pub(crate) queue: usize,
    /// One read of the log for replication, of which each follower that lags has a few under way.
    pub(crate) read: usize,
}

impl Budget {
    pub(crate) fn of(memory_bytes: usize) -> Self {
        let memory = memory_bytes.max(MIN_MEMORY_BYTES);
        let blocks = memory / 2;
        let memtables = blocks / 2;
        Self {
            blocks,
            memtables,
            write_buffer: (64 * MIB).min(memtables / 2),
            entries: memory / 4,
            queue: memory / 8,
            // Below the transport's limit for a message, with room for one large entry.
            read: (memory / 256).min(MIB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_stay_within_the_budget() {
        for memory in [0, MIN_MEMORY_BYTES, 512 * MIB, 8192 * MIB] {
            let budget = Budget::of(memory);
            assert!(budget.blocks + budget.entries + budget.queue <= memory.max(MIN_MEMORY_BYTES) * 7 / 8);
            assert!(budget.memtables <= budget.blocks);
            assert!(budget.write_buffer * 2 <= budget.memtables);
        }
    }
}
