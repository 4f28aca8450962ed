//! Opens the two RocksDB databases of a node, with their options in one place. They share a block cache and a write-buffer manager,
//! so that one budget bounds both; they share nothing else, because RocksDB does not group writes with and without a WAL,
//! and applies would queue behind fsyncs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, Env, ErrorKind, LogLevel,
    Options, WriteBufferManager,
};

use crate::at_rest::Keys;
use crate::engine::encrypted_env;
use crate::error::{DAMAGE_REMEDY, OpenError};
use crate::memory::Budget;

/// What both databases share.
pub(crate) struct Shared {
    pub(crate) cache: Cache,
    pub(crate) memtables: WriteBufferManager,
    budget: Budget,
    /// Where files are encrypted.
    env: Option<Env>,
}

impl Shared {
    pub(crate) fn new(budget: Budget, keys: Option<&Arc<Keys>>) -> Self {
        let cache = Cache::new_lru_cache(budget.blocks);
        // No stall: a full budget flushes sooner. A writer that stalls would hold up every group of the node.
        let memtables = WriteBufferManager::new_write_buffer_manager_with_cache(budget.memtables, false, cache.clone());
        Self {
            cache,
            memtables,
            budget,
            env: keys.map(|keys| encrypted_env(Arc::clone(keys))),
        }
    }

    fn options(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_bloom_filter(10.0, false);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        // In parts: the filters of some millions of rows are larger than the cache, and a look-up of one key would read a
        // whole file's filter, a megabyte, for a bit of it.
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_partition_filters(true);
        table.set_metadata_block_size(4 * 1024);
        table.set_pin_top_level_index_and_filter(true);
        table.set_block_size(16 * 1024);

        let mut options = Options::default();
        if let Some(env) = &self.env {
            options.set_env(env);
        }
        options.create_if_missing(true);
        options.set_block_based_table_factory(&table);
        options.set_write_buffer_manager(&self.memtables);
        options.set_write_buffer_size(self.budget.write_buffer);
        options.set_max_background_jobs(2);
        options.set_max_open_files(256);
        options.set_bytes_per_sync(1024 * 1024);
        // The two upper levels are rewritten soon, so compressing them costs more than it saves.
        options.set_compression_per_level(&[
            DBCompressionType::None,
            DBCompressionType::None,
            DBCompressionType::Lz4,
            DBCompressionType::Lz4,
            DBCompressionType::Lz4,
            DBCompressionType::Lz4,
            DBCompressionType::Lz4,
        ]);
        // RocksDB's own LOG files: warnings only, three files of 4 MiB.
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(3);
        options.set_max_log_file_size(4 * 1024 * 1024);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options
    }

    /// The logs: every write is synced by its writer.
    pub(crate) fn open_log(&self, dir: &Path) -> Result<Arc<DB>, OpenError> {
        let mut options = self.options();
        past_the_page_cache(&mut options, dir)?;
        gather_log_files(&mut options);
        // A torn tail is dropped; whether more than a torn tail is missing is told by the high-water mark.
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_max_total_wal_size(256 * 1024 * 1024);
        open(&options, dir)
    }

    /// The state: never synced by a write, only by a flush.
    pub(crate) fn open_state(&self, dir: &Path) -> Result<Arc<DB>, OpenError> {
        let mut options = self.options();
        options.set_memtable_prefix_bloom_ratio(0.1);
        options.set_memtable_whole_key_filtering(true);
        options.set_max_write_buffer_number(3);
        past_the_page_cache(&mut options, dir)?;
        gather_before_compacting(&mut options);
        open(&options, dir)
    }
}

/// Every file of the upper level spans all tables of all shards, so a compaction of it rewrites the next level whole: by
/// RocksDB's defaults that was half of all the work of a node which sells as fast as it can. It waits for more of them here.
/// Keys grow within a table, so further down a file moves without being rewritten, unless it spans two tables; small files
/// seldom do.
fn gather_before_compacting(options: &mut Options) {
    options.set_level_zero_file_num_compaction_trigger(16);
    options.set_level_zero_slowdown_writes_trigger(32);
    options.set_level_zero_stop_writes_trigger(48);
    options.set_target_file_size_base(16 * 1024 * 1024);
    // Eight gigabytes of them, within the thousand descriptors that a process has where nobody gave it more.
    options.set_max_open_files(512);
}

/// A log is written once and read by nobody, but for a follower that lags: files of the upper level are merged only when there
/// are many, for each merge rewrites what is kept of all groups.
fn gather_log_files(options: &mut Options) {
    options.set_level_zero_file_num_compaction_trigger(24);
    options.set_level_zero_slowdown_writes_trigger(48);
    options.set_level_zero_stop_writes_trigger(64);
    options.set_max_bytes_for_level_base(1024 * 1024 * 1024);
}

/// Flushes and compactions write past the operating system's page cache, where the file system lets them: what they write is
/// seldom read soon, RocksDB has a cache of its own, and the copies were an eighth of what a node did under load.
fn past_the_page_cache(options: &mut Options, dir: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    if takes_direct_writes(dir).map_err(failed)? {
        options.set_use_direct_io_for_flush_and_compaction(true);
    }
    Ok(())
}

/// Whether files in `dir` can be opened for direct writes: some file systems in memory and over networks refuse.
#[cfg(target_os = "linux")]
fn takes_direct_writes(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let probe = dir.join("DIRECT");
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(nix::fcntl::OFlag::O_DIRECT.bits())
        .open(&probe);
    let takes = opened.is_ok();
    // Some refuse only after they have made the file.
    match std::fs::remove_file(&probe) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(takes),
    }
}

#[cfg(not(target_os = "linux"))]
fn takes_direct_writes(_: &Path) -> io::Result<bool> {
    Ok(false)
}

fn open(options: &Options, dir: &Path) -> Result<Arc<DB>, OpenError> {
    DB::open(options, dir).map(Arc::new).map_err(|error| {
        let text = error.to_string();
        // RocksDB has no kind for a held lock; these are its two messages, for another process and for this one.
        if text.contains("While lock file") || text.contains("lock hold by current process") {
            return OpenError::InUse {
                dir: dir.parent().unwrap_or(dir).to_owned(),
            };
        }
        match error.kind() {
            ErrorKind::Corruption => OpenError::Damaged {
                group: None,
                index: None,
                detail: format!("{}: {text}", dir.display()),
                remedy: DAMAGE_REMEDY,
            },
            _ => OpenError::Io {
                path: dir.to_owned(),
                source: io::Error::other(text),
            },
        }
    })
}
