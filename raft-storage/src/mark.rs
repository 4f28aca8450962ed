//! The high-water mark: a small file beside raftdb that says up to which sequence number its WAL was synced. RocksDB, asked
//! to recover to a point in time, stops at the first record that does not check and forgets what came after, be it a tail
//! that was torn by a loss of power or years of votes behind one flipped bit. The mark tells the two apart: it lies outside
//! the WAL, and it is written only after the WAL's fsync. A database that recovers below it has lost what it promised.
//!
//! Behind is harmless (it promises less), and it cannot be ahead: sequence numbers never go back, not by a truncation either.
//! How far behind it may be, its [`keeper`] says.

pub(crate) mod keeper;

use std::io;

use crate::engine::MarkFile;
use crate::record::{self, MARK_BYTES};

/// The file's name in the data directory.
pub(crate) const FILE: &str = "MARK";

/// Two slots, used in turn, in different sectors: a torn write leaves the other.
const SLOT_BYTES: u64 = 4096;

/// The open file.
#[derive(Debug)]
pub(crate) struct Mark {
    file: MarkFile,
    counter: u64,
}

/// What the file said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The file is new, or empty.
    Nothing,
    /// The file holds no valid mark.
    Unreadable,
    /// Everything up to this sequence number was synced.
    Sequence(u64),
}

impl Mark {
    /// Reads the file; `written` says that it holds anything at all.
    pub(crate) fn of(file: MarkFile, written: bool) -> io::Result<(Self, Found)> {
        let mut newest = None;
        for slot in 0..2 {
            let mut bytes = [0; MARK_BYTES];
            match file.read_exact_at(&mut bytes, slot * SLOT_BYTES) {
                Ok(()) => newest = newest.max(record::decode_mark(&bytes).ok()),
                // A slot that nobody has written. Any other failure says nothing about what is there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error),
            }
        }
        let found = match newest {
            Some((_, sequence)) => Found::Sequence(sequence),
            None if written => Found::Unreadable,
            None => Found::Nothing,
        };
        let counter = newest.map_or(0, |(counter, _)| counter);
        Ok((Self { file, counter }, found))
    }

    /// Says that everything up to `sequence` is synced, and makes that survive a loss of power.
    pub(crate) fn advance(&mut self, sequence: u64) -> io::Result<()> {
        self.write(sequence)?;
        self.file.sync_data()
    }

    fn write(&mut self, sequence: u64) -> io::Result<()> {
        self.counter += 1;
        let slot = (self.counter % 2) * SLOT_BYTES;
        self.file
            .write_all_at(&record::encode_mark(self.counter, sequence), slot)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn open(dir: &std::path::Path) -> (Mark, Found) {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(FILE))
            .unwrap();
        let written = file.metadata().unwrap().len() > 0;
        Mark::of(MarkFile::Real(file), written).unwrap()
    }

    #[test]
    fn the_newest_valid_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut mark, found) = open(dir.path());
        assert_eq!(found, Found::Nothing);
        for sequence in [5, 9, 12] {
            mark.advance(sequence).unwrap();
        }
        assert_eq!(open(dir.path()).1, Found::Sequence(12));

        // The newest slot is torn: the one before counts.
        mark.file.write_all_at(&[0xaa; 4], SLOT_BYTES + 8).unwrap();
        assert_eq!(open(dir.path()).1, Found::Sequence(9));
        mark.file.write_all_at(&[0xaa; 4], 8).unwrap();
        assert_eq!(open(dir.path()).1, Found::Unreadable);
    }
}
