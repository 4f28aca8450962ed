//! After a change of keys: files that an older key opens are written anew, so that the older key can go. RocksDB does it, as a
//! compaction of everything, on a thread of its own while the node serves.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use rocksdb::{BottommostLevelCompaction, CompactOptions, DB};

use super::rocks::DATABASES;
use crate::at_rest::{Keys, to_encrypt_anew};

/// Under way. Dropped, it stops where it is; the next start goes on.
pub(crate) struct Reencryption {
    databases: Vec<Arc<DB>>,
    thread: Option<JoinHandle<()>>,
}

impl Reencryption {
    /// Starts it where a file needs it.
    pub(super) fn start(dir: &Path, keys: &Keys, databases: [&Arc<DB>; 2]) -> io::Result<Option<Self>> {
        let mut older = Vec::new();
        for (name, database) in DATABASES.into_iter().zip(databases) {
            let files = to_encrypt_anew(&dir.join(name), keys)?;
            if files > 0 {
                tracing::info!(database = name, files, "encrypting anew what older keys open");
                older.push((name, Arc::clone(database)));
            }
        }
        if older.is_empty() {
            return Ok(None);
        }
        let databases = older.iter().map(|(_, database)| Arc::clone(database)).collect();
        let thread = std::thread::Builder::new()
            .name("rotunda-keys".to_owned())
            .spawn(move || older.iter().for_each(|(name, database)| rewrite(name, database)))?;
        Ok(Some(Self {
            databases,
            thread: Some(thread),
        }))
    }
}

fn rewrite(name: &str, database: &DB) {
    let begun = Instant::now();
    let mut options = CompactOptions::default();
    // The lowest level, too, which a compaction passes over where nothing was deleted.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    // Memtables first: with them goes the log that they stand in.
    if let Err(error) = database.flush() {
        tracing::warn!(database = name, %error, "encrypting anew stopped; the next start goes on");
        return;
    }
    // Does not say whether it failed; what is left is counted on the disk.
    database.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
    tracing::info!(database = name, took = ?begun.elapsed(), "encrypted anew");
}

impl Drop for Reencryption {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !thread.is_finished() {
            for database in &self.databases {
                database.cancel_all_background_work(false);
            }
        }
        if thread.join().is_err() {
            tracing::error!("the thread that encrypts anew panicked");
        }
    }
}
