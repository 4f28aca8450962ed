//! What a node's store counts: logs, rows, RocksDB beneath them and the file system beneath that. The label `database` is
//! `log` or `state`.

use crate::metrics;

metrics! {
    /// All of them.
    METRICS:

    FSYNC_SECONDS = Histogram Seconds "rotunda_raft_fsync_seconds" []
        "Time to write and sync one batch of the log, over all groups of the node.";
    APPEND_BATCH_BYTES = Histogram Bytes "rotunda_raft_append_batch_bytes" []
        "Size of one synced batch of the log, over all groups of the node.";
    APPLY_SECONDS = Histogram Seconds "rotunda_raft_apply_seconds" ["shard"]
        "Time to apply one entry and write its rows, by shard.";
    SNAPSHOTS_INSTALLED = Counter Count "rotunda_raft_snapshots_installed_total" []
        "Snapshots that replaced the state of a replica here, because the log that it lacked was cut already.";
    LOG_TRUNCATIONS = Counter Count "rotunda_raft_log_truncations_total" []
        "Times that entries at a log's end were cut off, because another leader's log had others there.";
    ENTRY_CACHE_BYTES = Gauge Bytes "rotunda_storage_entry_cache_bytes" []
        "Decoded log entries held in memory.";
    LOG_QUEUE_BYTES = Gauge Bytes "rotunda_storage_log_queue_bytes" []
        "Log entries that wait for the writer.";
    BLOCK_CACHE_BYTES = Gauge Bytes "rotunda_storage_block_cache_bytes" []
        "RocksDB block cache of both databases, memtables included.";
    MEMTABLE_BYTES = Gauge Bytes "rotunda_storage_memtable_bytes" []
        "RocksDB memtables of both databases.";
    TABLE_FILE_BYTES = Gauge Bytes "rotunda_storage_table_file_bytes" ["database"]
        "RocksDB table files on disk, those included that are only waiting to be deleted.";
    LIVE_DATA_BYTES = Gauge Bytes "rotunda_storage_live_data_bytes" ["database"]
        "RocksDB's estimate of what its table files would be without what is deleted or written over.";
    PENDING_COMPACTION_BYTES = Gauge Bytes "rotunda_storage_pending_compaction_bytes" ["database"]
        "RocksDB's estimate of what compactions have to rewrite until every level has its size.";
    LEVEL_ZERO_FILES = Gauge Count "rotunda_storage_level_zero_files" ["database"]
        "RocksDB table files in the upper level; writes are slowed and then stopped when there are too many.";
    IMMUTABLE_MEMTABLES = Gauge Count "rotunda_storage_immutable_memtables" ["database"]
        "Full RocksDB memtables that wait to be flushed.";
    RUNNING_COMPACTIONS = Gauge Count "rotunda_storage_running_compactions" ["database"]
        "RocksDB compactions at work.";
    RUNNING_FLUSHES = Gauge Count "rotunda_storage_running_flushes" ["database"]
        "RocksDB flushes at work.";
    WRITES_HELD_UP = Gauge Count "rotunda_storage_writes_held_up" ["database"]
        "1 where RocksDB slows down or stops writes at this moment, else 0.";
    WRITE_STALLS = Counter Count "rotunda_storage_write_stalls_total" ["database" "reason"]
        "Times that RocksDB began to slow down (delay) or stop (stop) writes.";
    BACKGROUND_ERRORS = Counter Count "rotunda_storage_background_errors_total" ["database"]
        "Flushes and compactions that failed.";
    ENCRYPTED = Gauge Count "rotunda_storage_encrypted" []
        "1 where log and rows are encrypted on disk, else 0.";
    FILES_OF_OLDER_KEYS = Gauge Count "rotunda_storage_files_of_older_keys" []
        "Files that another key opens than the one new files are encrypted with; at 0 the older keys can go.";
    DISK_SIZE_BYTES = Gauge Bytes "rotunda_disk_size_bytes" []
        "Size of the file system that the data directory is on.";
    DISK_FREE_BYTES = Gauge Bytes "rotunda_disk_free_bytes" []
        "What the node may still write on the file system of its data directory.";
}
