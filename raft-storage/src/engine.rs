//! The seam to what keeps the bytes: RocksDB in a directory, or a simulated disk (feature `sim`). Everything above it (the
//! log's writer, recovery, checkpoints, snapshots, the state machine, all checksums) is the same over both, so that a
//! simulator runs the code that servers run. [`Db`] has the operations of RocksDB that this crate uses and no others; in a
//! build without the feature there is one engine, and nothing is left of the choice.
//!
//! Left out: what keys and values mean, and what a failure means.

mod batch;
mod encrypted;
mod reencryption;
mod rocks;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::batch::Batch;
pub(crate) use self::encrypted::env as encrypted_env;
pub(crate) use self::reencryption::Reencryption;
pub(crate) use self::rocks::{DATABASES, Usage};
use crate::at_rest::Keys;
use crate::error::OpenError;
use crate::memory::Budget;

/// What keeps a store's bytes.
#[derive(Clone, Default)]
pub enum Engine {
    /// RocksDB, in the store's directory: servers.
    #[default]
    RocksDb,
    /// A simulated disk; the directory is only a name then. The store is to be opened and used on one single-threaded
    /// runtime, on which its writer is a task, and blocking work runs where it is asked for.
    #[cfg(any(test, feature = "sim"))]
    Simulated(sim::SimDisk),
}

/// What an engine opened.
pub(crate) struct Opened {
    pub(crate) log: Db,
    pub(crate) state: Db,
    pub(crate) mark: MarkFile,
    /// Whether anything was ever written into it.
    pub(crate) mark_written: bool,
    pub(crate) usage: Usage,
    /// Under way where keys have changed.
    pub(crate) reencryption: Option<Reencryption>,
}

impl Engine {
    pub(crate) fn open(&self, dir: &Path, budget: Budget, keys: Option<&Arc<Keys>>) -> Result<Opened, OpenError> {
        match self {
            Self::RocksDb => rocks::open(dir, budget, keys),
            #[cfg(any(test, feature = "sim"))]
            Self::Simulated(disk) => disk.open(dir),
        }
    }

    /// Whether everything must happen on the runtime's one thread.
    pub(crate) fn is_simulated(&self) -> bool {
        !matches!(self, Self::RocksDb)
    }
}

/// How a database is doing, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Table files on disk, those included that only wait to be deleted.
    pub(crate) table_file_bytes: u64,
    /// An estimate of what they would be without what is deleted or written over.
    pub(crate) live_data_bytes: u64,
    /// An estimate of what compactions have to rewrite until every level has its size.
    pub(crate) pending_compaction_bytes: u64,
    pub(crate) level_zero_files: u64,
    pub(crate) immutable_memtables: u64,
    pub(crate) running_compactions: u64,
    pub(crate) running_flushes: u64,
    /// Flushes and compactions that failed since it was opened.
    pub(crate) background_errors: u64,
    /// How often writes began to be slowed down since it was opened.
    pub(crate) writes_delayed: u64,
    /// How often writes were stopped since it was opened.
    pub(crate) writes_stopped: u64,
    /// Whether they are, one or the other, now.
    pub(crate) holds_up_writes: bool,
}

/// An engine could not read or write.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    message: String,
    corrupt: bool,
}

impl EngineError {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            corrupt: false,
        }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            corrupt: true,
        }
    }

    /// Whether what is on disk is not what was written.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        self.corrupt
    }
}

/// One database. Clones share it.
#[derive(Clone)]
pub(crate) enum Db {
    Rocks(rocks::Rocks),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::Database),
}

/// Whether what a walk reads is worth keeping in the block cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caching {
    Keep,
    Pass,
}

impl Db {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>, EngineError> {
        match self {
            Self::Rocks(db) => Ok(db.get(key)?.map(Value::Rocks)),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(db) => Ok(db.get(key)?.map(Value::Sim)),
        }
    }

    /// The rows of `from..to` as they are now, standing at the first.
    pub(crate) fn rows(&self, from: &[u8], to: &[u8], caching: Caching) -> Rows<'_> {
        match self {
            Self::Rocks(db) => Rows::Rocks(db.rows(from, to, caching)),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(db) => Rows::Sim(db.rows(from, Some(to))),
        }
    }

    /// All rows as they are now, standing nowhere: see [`Rows::seek`].
    pub(crate) fn seeker(&self) -> Rows<'_> {
        match self {
            Self::Rocks(db) => Rows::Rocks(db.seeker()),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(db) => Rows::Sim(db.rows(&[], None)),
        }
    }

    /// The rows as they are now, for as long as the view lives.
    pub(crate) fn view(&self) -> View {
        match self {
            Self::Rocks(db) => View::Rocks(db.view()),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(db) => View::Sim(db.view()),
        }
    }

    /// An empty batch for this database, with room for `bytes`.
    pub(crate) fn batch(&self, bytes: usize) -> Batch {
        match self {
            Self::Rocks(_) => Batch::Rocks(rocks::batch(bytes)),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(_) => Batch::Sim(sim::Operations::default()),
        }
    }

    /// Writes a batch that a crash loses, unless a flush came after it.
    pub(crate) fn write_unlogged(&self, batch: Batch) -> Result<(), EngineError> {
        match (self, batch) {
            (Self::Rocks(db), Batch::Rocks(batch)) => db.write_unlogged(batch),
            #[cfg(any(test, feature = "sim"))]
            (Self::Sim(db), Batch::Sim(batch)) => db.write(batch),
            #[cfg(any(test, feature = "sim"))]
            _ => Err(EngineError::failed("the batch is another engine's")),
        }
    }

    /// Writes a batch that is on disk once this is done. RocksDB's fsync holds up the thread, which is the log writer's own;
    /// a simulated one takes simulated time.
    pub(crate) async fn write_synced(&self, batch: Batch) -> Result<(), EngineError> {
        match (self, batch) {
            (Self::Rocks(db), Batch::Rocks(batch)) => db.write_synced(batch),
            #[cfg(any(test, feature = "sim"))]
            (Self::Sim(db), Batch::Sim(batch)) => {
                db.write(batch)?;
                db.sync_takes_its_time().await;
                db.sync()
            }
            #[cfg(any(test, feature = "sim"))]
            _ => Err(EngineError::failed("the batch is another engine's")),
        }
    }

    /// Sets one row, on disk once this returns.
    pub(crate) fn put_synced(&self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        let mut batch = self.batch(key.len() + value.len());
        batch.put(key, value);
        match (self, batch) {
            (Self::Rocks(db), Batch::Rocks(batch)) => db.write_synced(batch),
            #[cfg(any(test, feature = "sim"))]
            (Self::Sim(db), Batch::Sim(batch)) => db.write(batch).and_then(|()| db.sync()),
            #[cfg(any(test, feature = "sim"))]
            _ => Err(EngineError::failed("the batch is another engine's")),
        }
    }

    /// Makes everything that is written survive a crash.
    pub(crate) fn flush(&self) -> Result<(), EngineError> {
        match self {
            Self::Rocks(db) => db.flush(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(db) => db.sync(),
        }
    }

    /// True where a write would have to wait: memtables are full, or compactions have fallen behind.
    pub(crate) fn holds_up_writes(&self) -> bool {
        match self {
            Self::Rocks(db) => db.holds_up_writes(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(_) => false,
        }
    }

    /// How it is doing. A simulated disk has nothing to tell.
    pub(crate) fn condition(&self) -> Condition {
        match self {
            Self::Rocks(db) => db.condition(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(_) => Condition::default(),
        }
    }

    /// The number of the last write: each put, each deletion and each deletion of a range is one. Never goes back, unless
    /// writes are lost.
    pub(crate) fn latest_sequence_number(&self) -> u64 {
        match self {
            Self::Rocks(db) => db.latest_sequence_number(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(db) => db.latest_sequence_number(),
        }
    }
}

/// A value that was read, not copied.
pub(crate) enum Value<'a> {
    Rocks(rocks::Pinned<'a>),
    #[cfg(any(test, feature = "sim"))]
    Sim(Bytes),
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Rocks(value) => value,
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(value) => value,
        }
    }
}

impl Value<'_> {
    /// The value as its own.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Rocks(value) => Bytes::copy_from_slice(&value),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(value) => value,
        }
    }
}

/// The rows at one moment. Holds back the engine's clean-up for as long as it lives.
pub(crate) enum View {
    Rocks(rocks::OwnedSnapshot),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::View),
}

impl View {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>, EngineError> {
        match self {
            Self::Rocks(view) => Ok(view.get(key)?.map(Value::Rocks)),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(view) => Ok(view.get(key)?.map(Value::Sim)),
        }
    }

    /// The rows of `from..to`, standing at the first.
    pub(crate) fn rows(&self, from: &[u8], to: &[u8], caching: Caching) -> Rows<'_> {
        match self {
            Self::Rocks(view) => Rows::Rocks(view.rows(from, to, caching)),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(view) => Rows::Sim(view.rows(from, to)),
        }
    }
}

/// A walk over rows in order of key.
pub(crate) enum Rows<'a> {
    Rocks(rocks::Walk<'a>),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::Walk),
}

impl Rows<'_> {
    /// The row that the walk stands at: key and value. `None` at the end, and where a read failed: see [`Self::status`].
    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Self::Rocks(rows) => rows.item(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(rows) => rows.item(),
        }
    }

    /// The key that the walk stands at.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.item().map(|(key, _)| key)
    }

    /// Goes on to the next row.
    pub(crate) fn advance(&mut self) {
        match self {
            Self::Rocks(rows) => rows.next(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(rows) => rows.advance(),
        }
    }

    /// Goes to the first row at or above `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) {
        match self {
            Self::Rocks(rows) => rows.seek(key),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(rows) => rows.seek(key),
        }
    }

    /// Whether the walk ended because there was nothing more, or because a read failed.
    pub(crate) fn status(&self) -> Result<(), EngineError> {
        match self {
            Self::Rocks(rows) => Ok(rows.status()?),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(rows) => rows.status(),
        }
    }
}

/// The file that the high-water mark is kept in.
#[derive(Debug)]
pub(crate) enum MarkFile {
    Real(std::fs::File),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::File),
}

impl MarkFile {
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => std::os::unix::fs::FileExt::read_exact_at(file, bytes, at),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(file) => file.read_exact_at(bytes, at),
        }
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match self {
            Self::Real(file) => std::os::unix::fs::FileExt::write_all_at(file, bytes, at),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(file) => file.write_all_at(bytes, at),
        }
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        match self {
            Self::Real(file) => file.sync_data(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(file) => file.sync_data(),
        }
    }

    /// Before [`Self::sync_data`] on a task: waits for as long as a simulated disk is told to take.
    pub(crate) async fn sync_takes_its_time(&self) {
        match self {
            Self::Real(_) => {}
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(file) => file.sync_takes_its_time().await,
        }
    }
}
