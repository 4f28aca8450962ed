//! One number bounds a node's memory; here it is divided. RocksDB and the log's cache take the most, the shards' decoded
//! caches a part, and what is left covers queues, streams and the process itself.

use rotunda_booking::inventory::Limits;

/// Share of the store: block cache, memtables, decoded entries, writer queue. `raft-storage`'s `memory` divides it further.
const STORE_PERCENT: usize = 60;

/// Share of the decoded caches of all shards together.
const CACHES_PERCENT: usize = 20;

/// About what [`Limits::default`] takes, by the sizes that stand beside its fields.
const DEFAULT_LIMITS_BYTES: usize = 32_768 * 150 + 16_384 * 200 + 8_192 * 400 + (1 << 20);

/// Below this a cache would be read anew for every entry.
const FEWEST: usize = 256;

/// What each part may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes for the store.
    pub store_bytes: usize,
    /// Bounds of each shard's caches.
    pub limits: Limits,
}

impl Budget {
    /// Divides `memory_bytes` among the store and `shards` shards.
    #[must_use]
    pub fn divide(memory_bytes: usize, shards: u64) -> Self {
        let shards = usize::try_from(shards).unwrap_or(usize::MAX).max(1);
        let per_shard = memory_bytes / 100 * CACHES_PERCENT / shards;
        let whole = Limits::default();
        let scaled = |count: usize| {
            let scaled = count as u128 * per_shard as u128 / DEFAULT_LIMITS_BYTES as u128;
            // A larger budget than the default's helps nobody: the caches hold all of a venue's window by then.
            usize::try_from(scaled).unwrap_or(count).clamp(FEWEST, count)
        };
        Self {
            store_bytes: memory_bytes / 100 * STORE_PERCENT,
            limits: Limits {
                slots: scaled(whole.slots),
                hours: scaled(whole.hours),
                records: scaled(whole.records),
                filter_bytes: scaled(whole.filter_bytes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_shrink_with_the_budget_and_never_vanish() {
        let (large, small) = (Budget::divide(512 << 20, 8), Budget::divide(64 << 20, 64));
        assert!(small.limits.slots < large.limits.slots);
        assert!(small.limits.hours >= FEWEST);
        assert!(large.limits.slots <= Limits::default().slots);
        assert!(large.store_bytes < 512 << 20);
    }
}
