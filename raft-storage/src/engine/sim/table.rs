//! One simulated database: rows in order of key, and for each batch that is not on disk what undoes it. A crash takes back
//! the newest of them, so what is left is always a prefix of what was written, batch by batch.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

/// Synced batches whose undoing is remembered, for damage that costs them.
const HISTORY: usize = 64;

/// Rows at one moment. Views share them; a write copies them where a view still looks at them.
pub(super) type Map = BTreeMap<Bytes, Stored>;

/// A value as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    Whole(Bytes),
    /// The block's checksum does not match.
    Unreadable,
}

enum Operation {
    Put(Bytes, Bytes),
    Delete(Bytes),
    DeleteRange(Bytes, Bytes),
}

/// Changes that are written together.
#[derive(Default)]
pub(crate) struct Operations {
    operations: Vec<Operation>,
    bytes: usize,
}

impl Operations {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.operations.push(Operation::Put(key, value));
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.bytes += key.len();
        self.operations.push(Operation::Delete(Bytes::copy_from_slice(key)));
    }

    pub(crate) fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        self.bytes += from.len() + to.len();
        let (from, to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
        self.operations.push(Operation::DeleteRange(from, to));
    }

    pub(crate) fn size_in_bytes(&self) -> usize {
        self.bytes
    }
}

/// What takes a batch back.
struct Undo {
    /// The sequence number before it.
    sequence: u64,
    /// Rows as they were, in the order in which they were changed.
    rows: Vec<(Bytes, Option<Stored>)>,
}

/// The database.
#[derive(Default)]
pub(super) struct Table {
    rows: Arc<Map>,
    sequence: u64,
    /// Written and not synced, oldest first.
    pending: VecDeque<Undo>,
    /// Synced, oldest first; the last few.
    synced: VecDeque<Undo>,
}

impl Table {
    pub(super) fn rows(&self) -> &Arc<Map> {
        &self.rows
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Batches that a loss of power may take.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn write(&mut self, batch: Operations) {
        let mut undo = Undo {
            sequence: self.sequence,
            rows: Vec::with_capacity(batch.operations.len()),
        };
        let rows = Arc::make_mut(&mut self.rows);
        for operation in batch.operations {
            self.sequence += 1;
            match operation {
                Operation::Put(key, value) => {
                    let before = rows.insert(key.clone(), Stored::Whole(value));
                    undo.rows.push((key, before));
                }
                Operation::Delete(key) => {
                    let before = rows.remove(&key);
                    undo.rows.push((key, before));
                }
                Operation::DeleteRange(from, to) => {
                    let keys: Vec<Bytes> = range(rows, &from, Some(&to)).map(|(key, _)| key.clone()).collect();
                    for key in keys {
                        let before = rows.remove(&key);
                        undo.rows.push((key, before));
                    }
                }
            }
        }
        self.pending.push_back(undo);
    }

    /// Everything that is written is on disk now.
    pub(super) fn sync(&mut self) {
        self.synced.append(&mut self.pending);
        let too_many = self.synced.len().saturating_sub(HISTORY);
        drop(self.synced.drain(..too_many));
    }

    /// Loses what is not synced, except for the oldest `keep` batches, which are on disk now. Gives how many are lost.
    pub(super) fn lose_pending(&mut self, keep: usize) -> usize {
        let lost = self.pending.len().saturating_sub(keep);
        for _ in 0..lost {
            let undo = self.pending.pop_back();
            self.take_back(undo);
        }
        self.sync();
        lost
    }

    /// Loses synced batches, as damage to a log file does to all that follows it. Gives how many are lost.
    pub(super) fn lose_synced(&mut self, batches: usize) -> usize {
        let lost = batches.min(self.synced.len());
        for _ in 0..lost {
            let undo = self.synced.pop_back();
            self.take_back(undo);
        }
        lost
    }

    fn take_back(&mut self, undo: Option<Undo>) {
        let Some(undo) = undo else { return };
        let rows = Arc::make_mut(&mut self.rows);
        for (key, before) in undo.rows.into_iter().rev() {
            match before {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
        self.sequence = undo.sequence;
    }

    /// Replaces a value in place: nobody wrote it, so it has no sequence number and is not undone.
    pub(super) fn spoil(&mut self, key: &Bytes, value: Stored) {
        Arc::make_mut(&mut self.rows).insert(key.clone(), value);
    }

    /// Forgets how to undo what is synced.
    pub(super) fn forget_history(&mut self) {
        self.synced.clear();
    }
}

/// The rows of `from..to`; `None` is the end of the database.
pub(super) fn range<'a>(
    rows: &'a Map,
    from: &[u8],
    to: Option<&[u8]>,
) -> std::collections::btree_map::Range<'a, Bytes, Stored> {
    let to = match to {
        None => Bound::Unbounded,
        // An empty range, where BTreeMap would panic on one that is the wrong way round.
        Some(to) => Bound::Excluded(to.max(from)),
    };
    rows.range::<[u8], _>((Bound::Included(from), to))
}
