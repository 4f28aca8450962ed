//! Which command keys a shard has seen. The newest are in memory, the older ones were written to rows, some hundreds in each
//! ([`archive`]), because a row at a random key per booking would cost more than all its other rows. When to write depends on
//! counts that are themselves rows, so all replicas write the same keys at the same index.
//!
//! The record that a key points to (see `state::Record`) holds the answer. Keys are never forgotten.

pub(crate) mod archive;
mod filter;
mod window;

use std::ops::ControlFlow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::archive::Old;
use self::filter::Filter;
use self::window::{BYTES_PER_KEY, Window};
use crate::ids::{CommandKey, VenueNo};
use crate::inventory::Transaction;
use crate::keys::{self, Key};
use crate::rows::{ReadRows, RowsError};
use crate::state::{Counters, Record, RecordId, damaged, decode_row, read_row};

/// How many keys a shard keeps in memory, those of all its venues together. Part of the rules, not of a node's
/// configuration: it decides which rows are written when, so all replicas of a cluster must agree on it. What it comes
/// to in bytes is [`KeyWindow::bytes`], which a node must be able to afford for every shard that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyWindow {
    /// So many at least.
    pub recent: u64,
    /// Beyond `recent`, so many more are let in before that many are written at once.
    pub spill: u64,
}

impl Default for KeyWindow {
    fn default() -> Self {
        Self {
            recent: 3 << 12,
            spill: 1 << 12,
        }
    }
}

impl KeyWindow {
    /// The memory that a full window takes, in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        (self.recent + self.spill) * BYTES_PER_KEY
    }
}

/// By what a key is found, in memory and on disk. XXH3 is frozen: it is the same in every version of the library.
pub(crate) fn hash(venue: VenueNo, key: CommandKey) -> u64 {
    xxh3_64_with_seed(&key.0, u64::from(venue.0))
}

/// The keys of one shard.
#[derive(Debug)]
pub(crate) struct Keys {
    recent: Window,
    /// Over the keys on disk, once there are any.
    filter: Option<Filter>,
}

impl Keys {
    /// None yet, and room in the filter for `spilled`, as far as `filter_bytes` allow.
    pub(crate) fn with_room_for(spilled: u64, filter_bytes: usize) -> Self {
        Self {
            recent: Window::default(),
            filter: (spilled > 0).then(|| Filter::for_keys(spilled, filter_bytes)),
        }
    }

    /// What the filter takes in memory.
    pub(crate) fn filter_bytes(&self) -> usize {
        self.filter.as_ref().map_or(0, Filter::bytes)
    }

    /// Reads what is to be in memory of `venue`.
    pub(crate) fn load(
        &mut self,
        rows: &(impl ReadRows + ?Sized),
        venue: VenueNo,
        counters: &Counters,
    ) -> Result<(), RowsError> {
        let mut broken = None;
        let mut found = 0;
        let record = |seq| Key::record(RecordId { venue, seq });
        rows.scan(
            &record(counters.window_from),
            &record(counters.next_seq),
            &mut |key, value| match (keys::last_number(key), decode_row::<Record>(key, value)) {
                (Some(seq), Ok(record)) => {
                    if let Some(command) = record.key() {
                        self.remember(venue, command, seq);
                        found += 1;
                    }
                    ControlFlow::Continue(())
                }
                (None, _) => {
                    broken = Some(damaged(key, "not the key of a record".to_owned()));
                    ControlFlow::Break(())
                }
                (_, Err(error)) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        if let Some(error) = broken {
            return Err(error);
        }
        if found != counters.window_keys {
            let detail = format!(
                "counts {} keys in the window, its records hold {found}",
                counters.window_keys
            );
            return Err(damaged(&Key::counters(venue), detail));
        }
        if counters.spilled_keys > 0 {
            let filter = self.filter.get_or_insert_with(|| Filter::for_keys(0, 0));
            let mut found = 0;
            archive::each(rows, venue, |old| {
                filter.add(old.hash);
                found += 1;
            })?;
            if found != counters.spilled_keys {
                let detail = format!("counts {} keys on disk, there are {found}", counters.spilled_keys);
                return Err(damaged(&Key::counters(venue), detail));
            }
        }
        Ok(())
    }

    /// How many are in memory.
    pub(crate) fn in_window(&self) -> u64 {
        self.recent.len()
    }

    /// Notes a key that was not there.
    pub(crate) fn remember(&mut self, venue: VenueNo, key: CommandKey, seq: u64) {
        self.recent.insert(venue, hash(venue, key), key, seq);
    }

    /// The record that `key` stands for.
    pub(crate) fn find(
        &self,
        rows: &(impl ReadRows + ?Sized),
        venue: VenueNo,
        key: CommandKey,
    ) -> Result<Option<u64>, RowsError> {
        let hash = hash(venue, key);
        if let Some(seq) = self.recent.find(venue, hash, key) {
            return Ok(Some(seq));
        }
        if !self.filter.as_ref().is_some_and(|filter| filter.may_hold(hash)) {
            return Ok(None);
        }
        // Two keys may have one hash; their records tell them apart.
        for seq in archive::find(rows, venue, hash)? {
            let record = read_row::<Record>(rows, RecordId { venue, seq })?;
            if record.is_some_and(|record| record.key() == Some(key)) {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// Lets the filter grow up to `most_bytes`, where it is too small for the keys that `venues` have on disk.
    pub(crate) fn grow_filter(
        &mut self,
        rows: &(impl ReadRows + ?Sized),
        venues: &[VenueNo],
        most_bytes: usize,
    ) -> Result<(), RowsError> {
        match &mut self.filter {
            Some(filter) => filter.grow(rows, venues, most_bytes),
            None => Ok(()),
        }
    }

    /// Takes the `count` oldest of a venue out of memory.
    fn take_oldest(&mut self, venue: VenueNo, count: usize) -> Vec<Old> {
        let oldest = self.recent.take_oldest(venue, count);
        let filter = self.filter.get_or_insert_with(|| Filter::for_keys(0, 0));
        for old in &oldest {
            filter.add(old.hash);
        }
        oldest
    }
}

/// Writes the oldest keys to rows once the window is full: those of the venue that has most of it, and where they are
/// fewer than are to go, of the next. Ends an entry.
///
/// # Errors
/// Where the store fails or a row is damaged.
pub(crate) fn spill(
    transaction: &mut Transaction<'_>,
    window: KeyWindow,
    filter_bytes: usize,
) -> Result<(), RowsError> {
    let batch = window.spill.max(1);
    let beyond = transaction.keys().in_window().saturating_sub(window.recent);
    // Whole batches, and of a venue all that go at once: an entry does not see what it writes.
    let mut left = beyond / batch * batch;
    if left == 0 {
        return Ok(());
    }
    transaction.grow_filter(filter_bytes)?;
    for (venue, keys) in transaction.venues_by_window_keys() {
        let count = left.min(keys);
        if count == 0 {
            break;
        }
        spill_venue(transaction, venue, count)?;
        left -= count;
    }
    Ok(())
}

fn spill_venue(transaction: &mut Transaction<'_>, venue: VenueNo, count: u64) -> Result<(), RowsError> {
    let oldest = transaction
        .keys_mut()
        .take_oldest(venue, usize::try_from(count).unwrap_or(usize::MAX));
    let last = oldest.iter().map(|old| old.seq).max();
    let counters = transaction.counters_mut(venue);
    counters.window_from = last.map_or(counters.window_from, |last| last + 1);
    counters.window_keys -= oldest.len() as u64;
    counters.spilled_keys += oldest.len() as u64;
    let run = counters.spills;
    counters.spills += 1;
    archive::add(transaction, venue, run, oldest)
}
