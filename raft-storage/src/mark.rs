//! The high-water mark: a small file beside raftdb that says up to which sequence number its WAL was synced. RocksDB, asked
//! to recover to a point in time, stops at the first record that does not check and forgets what came after, be it a tail
//! that was torn by a loss of power or years of votes behind one flipped bit. The mark tells the two apart: it lies outside
//! the WAL, and it is written only after the WAL's fsync. A database that recovers below it has lost what it promised.
//!
//! The mark is written after every batch and synced now and then. Behind is harmless (it promises less), and it cannot be
//! ahead: sequence numbers never go back, not by a truncation either.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::record::{self, MARK_BYTES};

/// The file's name in the data directory.
pub(crate) const FILE: &str = "MARK";

/// Two slots, used in turn, in different sectors: a torn write leaves the other.
const SLOT_BYTES: u64 = 4096;

/// Batches between syncs of the mark. A process that is killed loses nothing (the page cache stays); after a loss of power
/// at most this many batches are not covered by the check.
const SYNC_EVERY: u32 = 64;

/// The open file.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    counter: u64,
    unsynced: u32,
}

/// What the file said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is no file.
    Nothing,
    /// The file holds no valid mark.
    Unreadable,
    /// Everything up to this sequence number was synced.
    Sequence(u64),
}

impl Mark {
    /// Opens the file, or creates it, and reads it.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, Found)> {
        let path = dir.join(FILE);
        let existed = path.try_exists()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let newest = (0..2)
            .filter_map(|slot| {
                let mut bytes = [0; MARK_BYTES];
                file.read_exact_at(&mut bytes, slot * SLOT_BYTES).ok()?;
                record::decode_mark(&bytes).ok()
            })
            .max();
        let found = match newest {
            Some((_, sequence)) => Found::Sequence(sequence),
            None if existed => Found::Unreadable,
            None => Found::Nothing,
        };
        let counter = newest.map_or(0, |(counter, _)| counter);
        Ok((
            Self {
                file,
                counter,
                unsynced: 0,
            },
            found,
        ))
    }

    /// Says that everything up to `sequence` is synced.
    pub(crate) fn advance(&mut self, sequence: u64) -> io::Result<()> {
        self.counter += 1;
        let slot = (self.counter % 2) * SLOT_BYTES;
        self.file
            .write_all_at(&record::encode_mark(self.counter, sequence), slot)?;
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY {
            self.sync()
        } else {
            Ok(())
        }
    }

    /// Makes the mark itself survive a loss of power.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced > 0 {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_newest_valid_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut mark, found) = Mark::open(dir.path()).unwrap();
        assert_eq!(found, Found::Nothing);
        for sequence in [5, 9, 12] {
            mark.advance(sequence).unwrap();
        }
        assert_eq!(Mark::open(dir.path()).unwrap().1, Found::Sequence(12));

        // The newest slot is torn: the one before counts.
        mark.file.write_all_at(&[0xaa; 4], SLOT_BYTES + 8).unwrap();
        assert_eq!(Mark::open(dir.path()).unwrap().1, Found::Sequence(9));
        mark.file.write_all_at(&[0xaa; 4], 8).unwrap();
        assert_eq!(Mark::open(dir.path()).unwrap().1, Found::Unreadable);
    }
}
