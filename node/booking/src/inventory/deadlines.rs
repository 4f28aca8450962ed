//! When holds end. The holds that an entry makes at a venue end together, mostly, so they share a row: a row for each of them
//! would cost as much as its booking.
//!
//! A row is a reminder and not the truth: a booking's own row says when its hold ends and whether it is one. A confirm or a
//! release therefore leaves the reminder alone, and `Expire` passes over what is no hold any more, or ends at another time.

use std::collections::BTreeSet;

use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer};
use crate::ids::VenueNo;
use crate::inventory::appended::Appended;
use crate::inventory::hash::StateHash;
use crate::keys::Key;
use crate::time::Timestamp;

/// The largest gap between two sequence numbers of one row: it is kept in a byte.
const LARGEST_GAP: u64 = u8::MAX as u64;

/// So many of an entry's rows are tried for a further hold; where more take turns it begins a new one.
const TRIED: usize = 8;

/// Holds that end at one time, the first of them in the row's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    /// From each sequence number to the next.
    gaps: Vec<u8>,
}

impl Ending {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.gaps.len() + 1
    }

    /// The sequence numbers, ascending, for the first of them.
    pub(crate) fn seqs(&self, first: u64) -> impl Iterator<Item = u64> {
        let gaps = self.gaps.iter();
        std::iter::once(first).chain(gaps.scan(first, |seq, gap| {
            *seq = seq.saturating_add(u64::from(*gap));
            Some(*seq)
        }))
    }
}

impl Wire for Ending {
    fn write(&self, writer: &mut Writer) {
        writer.length(self.gaps.len());
        writer.raw(&self.gaps);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = reader.length()?;
        Ok(Self {
            gaps: reader.raw(length)?.to_vec(),
        })
    }
}

/// A row that the entry will write.
#[derive(Debug)]
struct Noted {
    venue: VenueNo,
    deadline: Timestamp,
    first: u64,
    last: u64,
    ending: Ending,
}

/// What the entry that is being applied has to say of deadlines.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    noted: Vec<Noted>,
    /// Rows of earlier entries that this one has removed; scans still show them.
    removed: BTreeSet<(VenueNo, Timestamp, u64)>,
}

impl Deadlines {
    /// Notes that a hold ends at `deadline`. A booking is noted once for each deadline that it is given, and a deadline that
    /// it had does not come again, so no two rows have one key.
    pub(crate) fn note(&mut self, venue: VenueNo, deadline: Timestamp, seq: u64) {
        for noted in self.noted.iter_mut().rev().take(TRIED) {
            if (noted.venue, noted.deadline) != (venue, deadline) {
                continue;
            }
            let gap = seq.saturating_sub(noted.last);
            if (1..=LARGEST_GAP).contains(&gap) {
                noted.ending.gaps.push(gap as u8);
                noted.last = seq;
                return;
            }
        }
        self.noted.push(Noted {
            venue,
            deadline,
            first: seq,
            last: seq,
            ending: Ending::default(),
        });
    }

    /// Notes the removal of a stored row.
    pub(crate) fn remove(&mut self, venue: VenueNo, deadline: Timestamp, first: u64) {
        self.removed.insert((venue, deadline, first));
    }

    /// True where the entry has removed the row.
    pub(crate) fn is_removed(&self, venue: VenueNo, deadline: Timestamp, first: u64) -> bool {
        self.removed.contains(&(venue, deadline, first))
    }

    /// Takes back what was noted in this entry and is due: what an `Expire` before this one has left.
    pub(crate) fn take_due(&mut self, venue: VenueNo, now: Timestamp) -> Vec<(Timestamp, u64)> {
        let is_due = |noted: &Noted| noted.venue == venue && noted.deadline <= now;
        if !self.noted.iter().any(is_due) {
            return Vec::new();
        }
        let (due, rest) = std::mem::take(&mut self.noted).into_iter().partition(is_due);
        self.noted = rest;
        let due: Vec<Noted> = due;
        let seqs = |noted: &Noted| {
            let deadline = noted.deadline;
            let seqs: Vec<_> = noted.ending.seqs(noted.first).map(|seq| (deadline, seq)).collect();
            seqs
        };
        due.iter().flat_map(seqs).collect()
    }

    /// Hands the rows over, and is empty.
    pub(crate) fn flush(&mut self, appended: &mut Appended, hash: &mut StateHash) {
        for noted in self.noted.drain(..) {
            let key = Key::deadline(noted.venue, noted.deadline, noted.first);
            appended.put(hash, key, &noted.ending);
        }
        self.removed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VENUE: VenueNo = VenueNo(1);

    #[test]
    fn holds_that_end_together_share_a_row_where_they_are_close() {
        let mut deadlines = Deadlines::default();
        let ends = Timestamp(600_000);
        for seq in [7, 8, 10, 265, 600] {
            deadlines.note(VENUE, ends, seq);
            deadlines.note(VENUE, Timestamp(1), seq + 1_000);
            deadlines.note(VenueNo(2), ends, seq);
        }
        let of_venue = deadlines
            .noted
            .iter()
            .filter(|noted| noted.venue == VENUE && noted.deadline == ends);
        let rows: Vec<Vec<u64>> = of_venue.map(|noted| noted.ending.seqs(noted.first).collect()).collect();
        assert_eq!(rows, [vec![7, 8, 10, 265], vec![600]]);
        let due = deadlines.take_due(VENUE, Timestamp(1));
        assert_eq!(due.len(), 5);
        assert!(deadlines.take_due(VENUE, Timestamp(1)).is_empty());
        assert_eq!(deadlines.take_due(VENUE, ends).len(), 5);
        assert_eq!(deadlines.noted.len(), 2);
    }
}
