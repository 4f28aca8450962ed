//! RocksDB as an engine: a thin layer, for the options see [`crate::db`]. The only code that calls RocksDB for reading and
//! writing.

use std::ffi::CStr;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{DB, ReadOptions, WriteOptions, properties};
use self_cell::self_cell;

use super::{Caching, Condition, Db, EngineError, MarkFile, Opened, Reencryption};
use crate::at_rest::{self, Keys};
use crate::db::Shared;
use crate::error::OpenError;
use crate::mark;
use crate::memory::Budget;

pub(super) type Operations = rocksdb::WriteBatch;
pub(super) type Pinned<'a> = rocksdb::DBPinnableSlice<'a>;
pub(super) type Walk<'a> = rocksdb::DBRawIterator<'a>;

/// What the databases hold in memory, for metrics.
pub(crate) struct Usage {
    shared: Option<Shared>,
}

impl Usage {
    /// Of an engine that has no caches.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn nothing() -> Self {
        Self { shared: None }
    }

    /// Bytes in the block cache, memtables included.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| shared.cache.get_usage())
    }

    /// Bytes in memtables.
    pub(crate) fn memtable_bytes(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| shared.memtables.get_usage())
    }
}

/// The databases of a data directory.
pub(crate) const DATABASES: [&str; 2] = ["raftdb", "statedb"];

pub(super) fn open(dir: &Path, budget: Budget, keys: Option<&Arc<Keys>>) -> Result<Opened, OpenError> {
    let io_error = |source| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(io_error)?;
    // In the files' headers, before RocksDB changes anything.
    at_rest::check(dir, &DATABASES, keys.map(Arc::as_ref))?;
    let shared = Shared::new(budget, keys);
    // raftdb first: its lock is the directory's.
    let [log, state] = DATABASES.map(|name| dir.join(name));
    if let Some(keys) = keys {
        for dir in [&log, &state] {
            at_rest::forget_old_identity(dir, keys).map_err(io_error)?;
        }
    }
    let (log, state) = (shared.open_log(&log)?, shared.open_state(&state)?);
    let reencryption = keys.map(|keys| Reencryption::start(dir, keys, [&log, &state]));
    let reencryption = reencryption.transpose().map_err(io_error)?.flatten();
    let mark = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(mark::FILE))
        .map_err(io_error)?;
    let mark_written = mark.metadata().map_err(io_error)?.len() > 0;
    Ok(Opened {
        log: Db::Rocks(Rocks { db: log }),
        state: Db::Rocks(Rocks { db: state }),
        mark: MarkFile::Real(mark),
        mark_written,
        usage: Usage { shared: Some(shared) },
        reencryption,
    })
}

pub(super) fn batch(bytes: usize) -> Operations {
    Operations::with_capacity_bytes(bytes)
}

impl From<rocksdb::Error> for EngineError {
    fn from(error: rocksdb::Error) -> Self {
        match error.kind() {
            rocksdb::ErrorKind::Corruption => Self::corrupt(error.into_string()),
            _ => Self::failed(error.into_string()),
        }
    }
}

/// One RocksDB.
#[derive(Clone)]
pub(crate) struct Rocks {
    db: Arc<DB>,
}

impl Rocks {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Pinned<'_>>, rocksdb::Error> {
        self.db.get_pinned(key)
    }

    pub(super) fn rows(&self, from: &[u8], to: &[u8], caching: Caching) -> Walk<'_> {
        at_first(self.db.raw_iterator_opt(range(from, to, caching)))
    }

    pub(super) fn seeker(&self) -> Walk<'_> {
        self.db.raw_iterator()
    }

    pub(super) fn view(&self) -> OwnedSnapshot {
        OwnedSnapshot::new(Arc::clone(&self.db), |db| db.snapshot())
    }

    pub(super) fn write_unlogged(&self, batch: Operations) -> Result<(), EngineError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    pub(super) fn write_synced(&self, batch: Operations) -> Result<(), EngineError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.db.write_opt(batch, &options)?)
    }

    pub(super) fn flush(&self) -> Result<(), EngineError> {
        Ok(self.db.flush()?)
    }

    pub(super) fn holds_up_writes(&self) -> bool {
        let is_set = |name| matches!(self.db.property_int_value(name), Ok(Some(value)) if value > 0);
        is_set(properties::IS_WRITE_STOPPED) || is_set(properties::ACTUAL_DELAYED_WRITE_RATE)
    }

    pub(super) fn latest_sequence_number(&self) -> u64 {
        self.db.latest_sequence_number()
    }

    /// None of these properties reads a file; each is a counter or the sum of some hundred.
    pub(super) fn condition(&self) -> Condition {
        let of = |name: &CStr| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        let stalls = self.db.property_value(WRITE_STALLS).ok().flatten().unwrap_or_default();
        Condition {
            table_file_bytes: of(properties::TOTAL_SST_FILES_SIZE),
            live_data_bytes: of(properties::ESTIMATE_LIVE_DATA_SIZE),
            pending_compaction_bytes: of(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            level_zero_files: of(&properties::num_files_at_level(0)),
            immutable_memtables: of(properties::NUM_IMMUTABLE_MEM_TABLE),
            running_compactions: of(properties::NUM_RUNNING_COMPACTIONS),
            running_flushes: of(properties::NUM_RUNNING_FLUSHES),
            background_errors: of(properties::BACKGROUND_ERRORS),
            writes_delayed: stalled(&stalls, "total-delays").unwrap_or(0),
            writes_stopped: stalled(&stalls, "total-stops").unwrap_or(0),
            holds_up_writes: self.holds_up_writes(),
        }
    }
}

/// A property that the crate has no constant for: `Write Stall (count): total-delays: 0, total-stops: 0, ..`.
const WRITE_STALLS: &str = "rocksdb.cf-write-stall-stats";

/// One of the counts in [`WRITE_STALLS`].
fn stalled(stalls: &str, of: &str) -> Option<u64> {
    let counts = stalls.split_once("): ")?.1;
    let (_, count) = counts
        .split(',')
        .filter_map(|pair| pair.trim().rsplit_once(": "))
        .find(|(name, _)| *name == of)?;
    count.trim().parse().ok()
}

/// Options for reading every key in `from..to` once.
fn range(from: &[u8], to: &[u8], caching: Caching) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    options.fill_cache(caching == Caching::Keep);
    options
}

fn at_first(mut rows: Walk<'_>) -> Walk<'_> {
    rows.seek_to_first();
    rows
}

type DbSnapshot<'a> = rocksdb::Snapshot<'a>;

self_cell!(
    /// A RocksDB snapshot together with the database it borrows from.
    pub(crate) struct OwnedSnapshot {
        owner: Arc<DB>,
        #[covariant]
        dependent: DbSnapshot,
    }
);

impl OwnedSnapshot {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Pinned<'_>>, rocksdb::Error> {
        self.borrow_dependent().get_pinned(key)
    }

    pub(super) fn rows(&self, from: &[u8], to: &[u8], caching: Caching) -> Walk<'_> {
        at_first(self.borrow_dependent().raw_iterator_opt(range(from, to, caching)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_are_read_out_of_what_rocksdb_prints() {
        let printed = "Write Stall (count): cf-l0-file-count-limit-delays-with-ongoing-compaction: 1, total-delays: 12, total-stops: 3\ninterval: 15 total count\n";
        assert_eq!(stalled(printed, "total-delays"), Some(12));
        assert_eq!(
            stalled("Write Stall (count): total-delays: 1, total-stops: 3\n", "total-stops"),
            Some(3)
        );
        assert_eq!(stalled(printed, "total"), None);
        assert_eq!(stalled("", "total-stops"), None);
    }

    #[test]
    fn a_database_says_how_it_is_doing() {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(dir.path(), Budget::of(64 * 1024 * 1024), None).unwrap();
        assert_eq!(opened.state.condition(), Condition::default());
        opened.state.put_synced(b"key", b"value").unwrap();
        opened.state.flush().unwrap();
        let condition = opened.state.condition();
        assert!(condition.table_file_bytes > 0, "{condition:?}");
        assert_eq!(condition.level_zero_files, 1);

        // A property that RocksDB no longer had would be zero for ever, and nobody would hear of a stall.
        let Db::Rocks(rocks) = &opened.log else {
            panic!("another engine");
        };
        let stalls = rocks.db.property_value(WRITE_STALLS).unwrap().expect("the property");
        assert_eq!(stalled(&stalls, "total-delays"), Some(0), "{stalls}");
        assert_eq!(stalled(&stalls, "total-stops"), Some(0), "{stalls}");
    }
}
