//! The store beneath the logs and rows: files, compactions, stalls, caches, the disk. Hit rates of the block cache are not
//! there: RocksDB counts them only with its statistics on, which cost more than they tell.

use rotunda_metrics::{node, storage};

use crate::board::{Board, Panel};
use crate::expression::{max, of, sum};

const EACH: &[&str] = &["instance", "database"];

pub(super) fn board() -> Board {
    let free = format!(
        "{} / {}",
        of(&storage::DISK_FREE_BYTES).now(),
        of(&storage::DISK_SIZE_BYTES).now()
    );
    let shown = "{{instance}} {{database}}";
    let backup_age = format!(
        "time() - {}",
        max(&[], &of(&node::BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS).now())
    );
    Board::new("rocksdb", "Rotunda: RocksDB", "The two databases of each node, `log` and `state`, and the disk beneath.")
        .row(
            "Writes",
            [
                Panel::lines("Writes held up", "short", "1 where RocksDB slows down or stops writes at the moment of a scrape.")
                    .show(max(EACH, &of(&storage::WRITES_HELD_UP).now()), shown)
                    .up_to(1.0),
                Panel::lines(
                    "Write stalls",
                    "short",
                    "How often RocksDB began to slow down (`delay`) or stop (`stop`) writes, those between scrapes included. Compactions fall behind what is written.",
                )
                .show(sum(&["instance", "database", "reason"], &of(&storage::WRITE_STALLS).increase()), "{{instance}} {{database}} {{reason}}"),
                Panel::lines("Background errors", "short", "Flushes and compactions that failed. Any is the disk's.")
                    .show(sum(EACH, &of(&storage::BACKGROUND_ERRORS).increase()), shown),
            ],
        )
        .row(
            "Files",
            [
                Panel::lines("Table files", "bytes", "On disk, those included that only wait to be deleted.")
                    .show(max(EACH, &of(&storage::TABLE_FILE_BYTES).now()), shown),
                Panel::lines("Live data", "bytes", "An estimate of the table files without what is deleted or written over.")
                    .show(max(EACH, &of(&storage::LIVE_DATA_BYTES).now()), shown),
                Panel::lines(
                    "Pending compaction",
                    "bytes",
                    "An estimate of what compactions have to rewrite until every level has its size. Growing for hours: the disk is too slow for what is sold.",
                )
                .show(max(EACH, &of(&storage::PENDING_COMPACTION_BYTES).now()), shown),
                Panel::lines("Files in the upper level", "short", "Writes are slowed from 32 (state) and 48 (log) on, and stopped at 48 and 64.")
                    .show(max(EACH, &of(&storage::LEVEL_ZERO_FILES).now()), shown),
                Panel::lines("Compactions and flushes at work", "short", "Two of them at a time, for each database.")
                    .show(max(EACH, &of(&storage::RUNNING_COMPACTIONS).now()), "compactions {{instance}} {{database}}")
                    .show(max(EACH, &of(&storage::RUNNING_FLUSHES).now()), "flushes {{instance}} {{database}}"),
                Panel::lines("Memtables that wait for a flush", "short", "More than one for long: flushes do not keep up.")
                    .show(max(EACH, &of(&storage::IMMUTABLE_MEMTABLES).now()), shown),
            ],
        )
        .row(
            "Backups",
            [
                Panel::stat("Age of the last backup", "s", "Since the last one that was complete, as the meta group keeps it. Half a century: there never was one.")
                    .show(backup_age, "age")
                    .wide(8)
                    .worse_from(93_600.0, 180_000.0),
            ],
        )
        .row(
            "Memory",
            [
                Panel::lines("Block cache", "bytes", "Of both databases, memtables included, by node.")
                    .show(max(&["instance"], &of(&storage::BLOCK_CACHE_BYTES).now()), "{{instance}}"),
                Panel::lines("Memtables", "bytes", "Of both databases, by node.")
                    .show(max(&["instance"], &of(&storage::MEMTABLE_BYTES).now()), "{{instance}}"),
                Panel::lines("Log entries in memory", "bytes", "Decoded entries, and those that wait for the writer.")
                    .show(max(&["instance"], &of(&storage::ENTRY_CACHE_BYTES).now()), "cache {{instance}}")
                    .show(max(&["instance"], &of(&storage::LOG_QUEUE_BYTES).now()), "queue {{instance}}"),
            ],
        )
        .row(
            "Disk",
            [
                Panel::lines("Free space", "percentunit", "Of the file system of the data directory. A node ends at the first write that fails.")
                    .show(max(&["instance"], &free), "{{instance}}")
                    .up_to(1.0),
                Panel::lines("Free bytes", "bytes", "What the node may still write.")
                    .show(max(&["instance"], &of(&storage::DISK_FREE_BYTES).now()), "{{instance}}"),
                Panel::lines("Encrypted", "short", "1 where log and rows are encrypted on disk.")
                    .show(max(&["instance"], &of(&storage::ENCRYPTED).now()), "{{instance}}"),
                Panel::lines("Files of older keys", "short", "After a change of keys; at 0 the older keys can go.")
                    .show(max(&["instance"], &of(&storage::FILES_OF_OLDER_KEYS).now()), "{{instance}}"),
            ],
        )
}
