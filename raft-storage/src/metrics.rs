//! The crate's metrics, named in one place. Histograms are recorded where things happen; gauges are set by
//! [`Store::publish`](crate::Store::publish), which a scrape calls first. Install the recorder before opening a store:
//! handles are taken once.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(crate) const FSYNC_SECONDS: &str = "rotunda_raft_fsync_seconds";
pub(crate) const APPEND_BATCH_BYTES: &str = "rotunda_raft_append_batch_bytes";
pub(crate) const APPLY_SECONDS: &str = "rotunda_raft_apply_seconds";
pub(crate) const SNAPSHOTS_INSTALLED: &str = "rotunda_raft_snapshots_installed_total";
pub(crate) const LOG_TRUNCATIONS: &str = "rotunda_raft_log_truncations_total";
pub(crate) const ENTRY_CACHE_BYTES: &str = "rotunda_storage_entry_cache_bytes";
pub(crate) const LOG_QUEUE_BYTES: &str = "rotunda_storage_log_queue_bytes";
pub(crate) const BLOCK_CACHE_BYTES: &str = "rotunda_storage_block_cache_bytes";
pub(crate) const MEMTABLE_BYTES: &str = "rotunda_storage_memtable_bytes";

/// Describes every metric of this crate to the installed recorder.
pub fn describe_metrics() {
    describe_histogram!(
        FSYNC_SECONDS,
        Unit::Seconds,
        "Time to write and sync one batch of the log, over all groups of the node"
    );
    describe_histogram!(
        APPEND_BATCH_BYTES,
        Unit::Bytes,
        "Size of one synced batch of the log, over all groups of the node"
    );
    describe_histogram!(
        APPLY_SECONDS,
        Unit::Seconds,
        "Time to apply one entry and write its rows, by shard"
    );
    describe_counter!(
        SNAPSHOTS_INSTALLED,
        "Snapshots that replaced the state of a replica here, because the log that it lacked was cut already"
    );
    describe_counter!(
        LOG_TRUNCATIONS,
        "Times that entries at a log's end were cut off, because another leader's log had others there"
    );
    describe_gauge!(ENTRY_CACHE_BYTES, Unit::Bytes, "Decoded log entries held in memory");
    describe_gauge!(LOG_QUEUE_BYTES, Unit::Bytes, "Log entries that wait for the writer");
    describe_gauge!(
        BLOCK_CACHE_BYTES,
        Unit::Bytes,
        "RocksDB block cache of both databases, memtables included"
    );
    describe_gauge!(MEMTABLE_BYTES, Unit::Bytes, "RocksDB memtables of both databases");
}
