//! Which command keys a shard has seen. The newest are in memory, the older ones were written to rows, some hundreds in each
//! ([`archive`]), because a row at a random key per booking would cost more than all its other rows. When to write depends on
//! counts that are themselves rows, so all replicas write the same keys at the same index.
//!
//! The record that a key points to (see `state::Record`) holds the answer. Keys are never forgotten.

pub(crate) mod archive;
mod window;

use std::ops::ControlFlow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::archive::Old;
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
    filter_bytes: usize,
}

impl Keys {
    /// None yet. The filter will take `filter_bytes`.
    pub(crate) fn new(filter_bytes: usize) -> Self {
        Self {
            recent: Window::default(),
            filter: None,
            filter_bytes,
        }
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
            let filter = self.filter.get_or_insert_with(|| Filter::new(self.filter_bytes));
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

    /// Takes the `count` oldest of a venue out of memory.
    fn take_oldest(&mut self, venue: VenueNo, count: usize) -> Vec<Old> {
        let oldest = self.recent.take_oldest(venue, count);
        let filter = self.filter.get_or_insert_with(|| Filter::new(self.filter_bytes));
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
pub(crate) fn spill(transaction: &mut Transaction<'_>, window: KeyWindow) -> Result<(), RowsError> {
    let batch = window.spill.max(1);
    let beyond = transaction.keys().in_window().saturating_sub(window.recent);
    // Whole batches, and of a venue all that go at once: an entry does not see what it writes.
    let mut left = beyond / batch * batch;
    if left == 0 {
        return Ok(());
    }
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

/// A Bloom filter over the keys on disk: almost every new command has a new key, and this spares it a look at the disk.
/// Of fixed size; when it is overfull more look-ups go to the disk for nothing, and none goes wrong. All bits of a key are
/// in one block, which is a line of the processor's cache (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom
/// Filters, 2007): of a filter of some megabytes each further line would be a miss.
#[derive(Debug)]
struct Filter {
    words: Vec<u64>,
}

/// Words of a block.
const BLOCK: usize = 8;

/// Bits set for a key: at ten bits a key one look-up in fifty is for nothing, at sixteen one in several hundred.
const PROBES: u32 = 5;

impl Filter {
    fn new(bytes: usize) -> Self {
        Self {
            words: vec![0; (bytes / 8 / BLOCK).max(1) * BLOCK],
        }
    }

    fn bits(&self, hash: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let blocks = self.words.len() / BLOCK;
        // The hash chooses the block by multiplication; scattered anew it has nine bits for each probe.
        let block = (u128::from(hash) * blocks as u128) >> 64;
        let (from, places) = (block as usize * BLOCK, scattered(hash));
        (0..PROBES).map(move |probe| {
            let place = places >> (9 * probe);
            (from + (place >> 6 & 7) as usize, 1 << (place & 63))
        })
    }

    fn add(&mut self, hash: u64) {
        for (word, bit) in self.bits(hash) {
            self.words[word] |= bit;
        }
    }

    fn may_hold(&self, hash: u64) -> bool {
        self.bits(hash).all(|(word, bit)| self.words[word] & bit != 0)
    }
}

/// A bijection in which every bit depends on all others (the finalizer of splitmix64, by Stafford).
fn scattered(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> u64 {
        hash(VenueNo(1), CommandKey(u128::from(number).to_be_bytes()))
    }

    #[test]
    fn the_filter_forgets_no_key_and_lets_few_strangers_in() {
        let mut filter = Filter::new(12_500);
        for number in 0..10_000 {
            filter.add(key(number));
        }
        assert!((0..10_000).all(|number| filter.may_hold(key(number))));
        let strangers = (10_000..20_000).filter(|number| filter.may_hold(key(*number))).count();
        assert!(strangers < 300, "{strangers} of 10000");
    }

    #[test]
    fn an_overfull_filter_still_forgets_no_key() {
        let mut filter = Filter::new(8);
        (0..1000).for_each(|number| filter.add(key(number)));
        assert!((0..1000).all(|number| filter.may_hold(key(number))));
    }
}
