//! The rows of all groups: statedb. Writers are the state machines, one write batch an entry without a WAL; readers take a
//! [`StateView`], a consistent snapshot with the applied index it belongs to. What was applied survives a crash only up to
//! the last flush, and openraft replays the rest from the log: see [`StateDb::flush`].

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::blocking::Blocking;
use crate::engine::{Batch, Caching, Condition, Db, Rows, Value, View};
use crate::error::ReadError;
use crate::failpoint::{Step, hit};
use crate::fatal::Latch;
use crate::keys::{self, StatePrefix};
use crate::record::{self, Applied};
use crate::snapshot::SnapshotData;
use crate::types::LogId;

/// Called with a row's key, as the machine wrote it, and its value. Breaks to stop.
pub type RowVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// How far one group is. Indexes are kept as "next", so that 0 means nothing yet.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) group: u64,
    /// One above the last index whose rows are written.
    applied_next: AtomicU64,
    /// One above the last index whose rows survive a crash.
    durable_next: AtomicU64,
    /// The generation that is current.
    generation: AtomicU32,
    /// The next generation that nobody has used.
    unused_generation: AtomicU32,
}

impl Progress {
    pub(crate) fn new(group: u64, applied_next: u64, generation: u32, unused_generation: u32) -> Self {
        Self {
            group,
            applied_next: AtomicU64::new(applied_next),
            // What is found at open came from files: the state has no WAL.
            durable_next: AtomicU64::new(applied_next),
            generation: AtomicU32::new(generation),
            unused_generation: AtomicU32::new(unused_generation),
        }
    }

    pub(crate) fn applied_next(&self) -> u64 {
        self.applied_next.load(Ordering::Acquire)
    }

    /// Called after the write that put them there.
    pub(crate) fn set_applied_next(&self, next: u64) {
        self.applied_next.store(next, Ordering::Release);
    }

    pub(crate) fn durable_next(&self) -> u64 {
        self.durable_next.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable_next(&self, next: u64) {
        self.durable_next.fetch_max(next, Ordering::AcqRel);
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn switch_generation(&self, generation: u32) {
        self.generation.store(generation, Ordering::Release);
    }

    pub(crate) fn take_generation(&self) -> u32 {
        self.unused_generation.fetch_add(1, Ordering::AcqRel)
    }

    pub(crate) fn prefix(&self) -> StatePrefix {
        keys::state_prefix(self.group, self.generation())
    }
}

/// statedb with the groups that are open in it.
pub(crate) struct StateDb {
    pub(crate) db: Db,
    pub(crate) latch: Arc<Latch>,
    groups: Mutex<BTreeMap<u64, Arc<Progress>>>,
    flushing: Mutex<()>,
}

impl StateDb {
    pub(crate) fn new(db: Db, latch: Arc<Latch>) -> Self {
        Self {
            db,
            latch,
            groups: Mutex::default(),
            flushing: Mutex::default(),
        }
    }

    pub(crate) fn register(&self, progress: &Arc<Progress>) {
        self.groups.lock().insert(progress.group, Arc::clone(progress));
    }

    /// Writes without a WAL. A failure closes the latch.
    pub(crate) fn write(&self, batch: Batch) -> io::Result<()> {
        self.latch.check()?;
        self.db
            .write_unlogged(batch)
            .map_err(|error| self.latch.close(format!("writing to statedb failed: {error}")))
    }

    /// True where a write would have to wait for flushes or compactions.
    pub(crate) fn holds_up_writes(&self) -> bool {
        self.db.holds_up_writes()
    }

    /// How the database is doing.
    pub(crate) fn condition(&self) -> Condition {
        self.db.condition()
    }

    /// Makes everything that is applied now survive a crash, for all groups: one column family, so one flush takes every
    /// group's rows and applied ids together. Blocks for as long as writing the memtables takes.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.latch.check()?;
        // One at a time: who waited here finds little left to flush.
        let _one = self.flushing.lock();
        // Captured before: what is applied during the flush may or may not be in it.
        let applied: Vec<_> = self
            .groups
            .lock()
            .values()
            .map(|progress| (Arc::clone(progress), progress.applied_next()))
            .collect();
        hit(Step::FlushBefore);
        self.db
            .flush()
            .map_err(|error| self.latch.close(format!("flushing statedb failed: {error}")))?;
        hit(Step::FlushDone);
        for (progress, next) in applied {
            progress.set_durable_next(next);
        }
        Ok(())
    }

    /// Deletes every row of a generation. Not flushed: what a crash brings back is deleted at the next open.
    pub(crate) fn delete_generation(&self, prefix: &StatePrefix) -> io::Result<()> {
        let mut batch = self.db.batch(64);
        batch.delete_range(prefix.as_slice(), keys::state_end(prefix).as_slice());
        self.write(batch)
    }

    pub(crate) fn applied(&self, prefix: &StatePrefix) -> Result<Applied, ReadError> {
        decode_applied(prefix, self.db.get(&keys::applied(prefix))?.as_deref())
    }
}

fn decode_applied(prefix: &StatePrefix, row: Option<&[u8]>) -> Result<Applied, ReadError> {
    let Some(row) = row else { return Ok(Applied::default()) };
    record::decode_applied(row).map_err(|error| ReadError::Damaged {
        place: format!("statedb row {}", hex(&keys::applied(prefix))),
        detail: error.to_string(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rows of one shard at one applied index. Stays the same while applies go on; holds back the database's clean-up for as
/// long as it lives, so keep it for a query, not for a session.
pub struct StateView {
    rows: View,
    prefix: StatePrefix,
    applied: Applied,
}

impl StateView {
    fn of(db: &Db, prefix: StatePrefix) -> Result<Self, ReadError> {
        let rows = db.view();
        let row = rows.get(&keys::applied(&prefix))?;
        let applied = decode_applied(&prefix, row.as_deref())?;
        drop(row);
        Ok(Self { rows, prefix, applied })
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let mut full = Vec::new();
        keys::row(&mut full, &self.prefix, key);
        Ok(self.rows.get(&full)?.map(Value::into_bytes))
    }

    /// Calls `visit` with each row in `from..to`, in order of key, until it breaks.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn scan(&self, from: &[u8], to: &[u8], visit: &mut RowVisitor<'_>) -> Result<(), ReadError> {
        if from >= to {
            return Ok(());
        }
        let (from, to) = bounds(&self.prefix, from, to);
        walk(self.rows.rows(&from, &to, Caching::Keep), visit)
    }

    /// The last applied log id that these rows contain.
    #[must_use]
    pub fn applied(&self) -> Option<&LogId> {
        self.applied.last.as_ref()
    }

    /// The last applied index that these rows contain; `None` before the first entry.
    #[must_use]
    pub fn applied_index(&self) -> Option<u64> {
        self.applied.last.as_ref().map(|id| id.index)
    }

    /// The digest of these rows, as the machine gave it with the last applied entry.
    #[must_use]
    pub fn state_hash(&self) -> [u8; 16] {
        self.applied.hash
    }

    /// These rows, to be sent to somebody; see [`SnapshotData::chunks`].
    #[must_use]
    pub fn into_snapshot(self, blocking: Blocking) -> SnapshotData {
        SnapshotData::source(self, blocking)
    }

    pub(crate) fn applied_record(&self) -> &Applied {
        &self.applied
    }

    /// Visits rows after `after` (all rows if `None`), without their prefix and without the row `[00]`.
    pub(crate) fn rows_after(&self, after: Option<&[u8]>, visit: &mut RowVisitor<'_>) -> Result<(), ReadError> {
        let mut from = Vec::new();
        match after {
            // The lowest row's key begins with 1: 0 is the row [00].
            None => keys::row(&mut from, &self.prefix, &[1]),
            Some(after) => {
                keys::row(&mut from, &self.prefix, after);
                from.push(0);
            }
        }
        walk(
            self.rows.rows(&from, &keys::state_end(&self.prefix), Caching::Pass),
            visit,
        )
    }
}

fn bounds(prefix: &StatePrefix, from: &[u8], to: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut lower, mut upper) = (Vec::new(), Vec::new());
    keys::row(&mut lower, prefix, from);
    keys::row(&mut upper, prefix, to);
    (lower, upper)
}

fn walk(mut rows: Rows<'_>, visit: &mut RowVisitor<'_>) -> Result<(), ReadError> {
    while let Some((key, value)) = rows.item() {
        if visit(&key[size_of::<StatePrefix>()..], value).is_break() {
            return Ok(());
        }
        rows.advance();
    }
    rows.status()?;
    Ok(())
}

/// Gives out views of one group's current rows.
#[derive(Clone)]
pub struct StateReader {
    state: Arc<StateDb>,
    progress: Arc<Progress>,
}

impl StateReader {
    pub(crate) fn new(state: Arc<StateDb>, progress: Arc<Progress>) -> Self {
        Self { state, progress }
    }

    /// The rows as they are now. Costs a snapshot and one read.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn view(&self) -> Result<StateView, ReadError> {
        loop {
            let prefix = self.progress.prefix();
            let view = StateView::of(&self.state.db, prefix)?;
            // An install between the two lines may have deleted the rows before the snapshot was taken.
            if self.progress.prefix() == prefix {
                return Ok(view);
            }
        }
    }

    /// The last applied index whose rows are readable, without a view.
    #[must_use]
    pub fn applied_index(&self) -> Option<u64> {
        self.progress.applied_next().checked_sub(1)
    }
}

/// The changes of one entry. Reads see the rows as they were before it.
pub struct StateTxn<'a> {
    db: &'a Db,
    prefix: &'a StatePrefix,
    batch: &'a mut Batch,
    scratch: Vec<u8>,
    refused_key: bool,
}

impl<'a> StateTxn<'a> {
    pub(crate) fn new(db: &'a Db, prefix: &'a StatePrefix, batch: &'a mut Batch) -> Self {
        Self {
            db,
            prefix,
            batch,
            scratch: Vec::with_capacity(64),
            refused_key: false,
        }
    }

    /// The value under `key` before this entry.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let mut full = Vec::new();
        keys::row(&mut full, self.prefix, key);
        Ok(self.db.get(&full)?.map(Value::into_bytes))
    }

    /// Calls `visit` with each row in `from..to` as it was before this entry, in order of key, until it breaks.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn scan(&self, from: &[u8], to: &[u8], visit: &mut RowVisitor<'_>) -> Result<(), ReadError> {
        if from >= to {
            return Ok(());
        }
        let (from, to) = bounds(self.prefix, from, to);
        walk(self.db.rows(&from, &to, Caching::Keep), visit)
    }

    /// Sets a row. Keys begin with a table number from 1 to 255; the entry fails otherwise.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        if self.accepts(key) {
            keys::row(&mut self.scratch, self.prefix, key);
            self.batch.put(&self.scratch, value);
        }
    }

    /// Removes a row.
    pub fn delete(&mut self, key: &[u8]) {
        if self.accepts(key) {
            keys::row(&mut self.scratch, self.prefix, key);
            self.batch.delete(&self.scratch);
        }
    }

    fn accepts(&mut self, key: &[u8]) -> bool {
        let accepted = key.first().is_some_and(|table| *table > 0);
        self.refused_key |= !accepted;
        accepted
    }

    /// Whether a key of table 0 was written, which is the store's own.
    pub(crate) fn refused_key(&self) -> bool {
        self.refused_key
    }
}
