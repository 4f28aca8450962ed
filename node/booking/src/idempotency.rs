//! Which command keys a venue has seen. The newest are in memory, the older ones were written to rows in bulk, sorted,
//! because a row at a random key per booking would cost more than all its other rows. When to write depends on counts
//! that are themselves rows, so all replicas write the same keys at the same index.
//!
//! The record that a key points to (see `state::Record`) holds the answer. Keys are never forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use xxhash_rust::xxh3::xxh3_128;

use crate::codec::wire::wire_newtype;
use crate::ids::{CommandKey, VenueNo};
use crate::inventory::Transaction;
use crate::keys::{self, Key};
use crate::rows::{ReadRows, RowsError};
use crate::state::{Counters, Record, RecordId, damaged, decode_row, encode_row};

/// How many keys a venue keeps in memory. Part of the rules, not of a node's configuration: it decides which rows are
/// written when, so all replicas of a cluster must agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyWindow {
    /// So many at least, about 70 bytes each.
    pub recent: u64,
    /// Beyond `recent`, so many more are let in before that many are written at once.
    pub spill: u64,
}

impl Default for KeyWindow {
    fn default() -> Self {
        Self {
            recent: 1 << 15,
            spill: 1 << 12,
        }
    }
}

/// Value of a key row: the sequence number of the record.
struct Spilled(u64);

wire_newtype!(Spilled);

/// The keys of one venue.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Key to sequence number.
    recent: BTreeMap<CommandKey, u64>,
    /// The same in order of sequence number.
    order: VecDeque<(u64, CommandKey)>,
    /// Over the keys on disk, once there are any.
    filter: Option<Filter>,
}

impl Keys {
    /// Rebuilds what is in memory from the rows.
    pub(crate) fn load(
        rows: &(impl ReadRows + ?Sized),
        venue: VenueNo,
        counters: &Counters,
        filter_bytes: usize,
    ) -> Result<Self, RowsError> {
        let mut keys = Self::default();
        let mut broken = None;
        let from = Key::record(RecordId {
            venue,
            seq: counters.window_from,
        });
        let to = Key::record(RecordId {
            venue,
            seq: counters.next_seq,
        });
        rows.scan(
            &from,
            &to,
            &mut |key, value| match (keys::last_number(key), decode_row::<Record>(key, value)) {
                (Some(seq), Ok(record)) => {
                    if let Some(command) = record.key() {
                        keys.remember(command, seq);
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
        if keys.order.len() as u64 != counters.window_keys {
            let detail = format!(
                "counts {} keys in the window, its records hold {}",
                counters.window_keys,
                keys.order.len()
            );
            return Err(damaged(&Key::counters(venue), detail));
        }
        if counters.spilled_keys > 0 {
            let mut filter = Filter::new(filter_bytes);
            let (from, to) = (
                Key::command_key(venue, CommandKey([0; 16])),
                Key::command_key(venue, CommandKey([u8::MAX; 16])),
            );
            let mut add = |key: &[u8], _: &[u8]| {
                if let Some(command) = keys::command_key_of(key) {
                    filter.add(command);
                }
                ControlFlow::Continue(())
            };
            rows.scan(&from, &to, &mut add)?;
            // The range excludes its end; a key of all ones is as good as any other.
            filter.add(CommandKey([u8::MAX; 16]));
            keys.filter = Some(filter);
        }
        Ok(keys)
    }

    /// Notes a key that was not there.
    pub(crate) fn remember(&mut self, key: CommandKey, seq: u64) {
        self.recent.insert(key, seq);
        self.order.push_back((seq, key));
    }

    /// The record that `key` stands for.
    pub(crate) fn find(
        &self,
        rows: &(impl ReadRows + ?Sized),
        venue: VenueNo,
        key: CommandKey,
    ) -> Result<Option<u64>, RowsError> {
        if let Some(seq) = self.recent.get(&key) {
            return Ok(Some(*seq));
        }
        if !self.filter.as_ref().is_some_and(|filter| filter.may_hold(key)) {
            return Ok(None);
        }
        let row = Key::command_key(venue, key);
        let found = rows
            .get(&row)?
            .map(|bytes| decode_row::<Spilled>(&row, &bytes))
            .transpose()?;
        Ok(found.map(|spilled| spilled.0))
    }

    /// Takes the `count` oldest out of memory, in order of key.
    fn oldest(&mut self, count: usize, filter_bytes: usize) -> Vec<(CommandKey, u64)> {
        let filter = self.filter.get_or_insert_with(|| Filter::new(filter_bytes));
        let mut oldest: Vec<_> = self
            .order
            .drain(..count.min(self.order.len()))
            .map(|(seq, key)| (key, seq))
            .collect();
        for (key, _) in &oldest {
            self.recent.remove(key);
            filter.add(*key);
        }
        oldest.sort_unstable();
        oldest
    }
}

/// Writes the oldest keys of `venue` to rows once there are enough of them.
pub(crate) fn spill(transaction: &mut Transaction<'_>, venue: VenueNo, window: KeyWindow) {
    let filter_bytes = transaction.limits().filter_bytes;
    while transaction.counters(venue).window_keys >= window.recent.saturating_add(window.spill.max(1)) {
        let count = usize::try_from(window.spill.max(1)).unwrap_or(usize::MAX);
        let oldest = transaction.keys_mut(venue).oldest(count, filter_bytes);
        let Some(last) = oldest.iter().map(|(_, seq)| *seq).max() else {
            return;
        };
        for (key, seq) in &oldest {
            transaction.append(&Key::command_key(venue, *key), &encode_row(&Spilled(*seq)));
        }
        let counters = transaction.counters_mut(venue);
        counters.window_from = last + 1;
        counters.window_keys -= oldest.len() as u64;
        counters.spilled_keys += oldest.len() as u64;
    }
}

/// A Bloom filter over the keys on disk: almost every new command has a new key, and this spares it a look at the disk.
/// Of fixed size; when it is overfull more look-ups go to the disk for nothing, and none goes wrong.
#[derive(Debug)]
struct Filter {
    words: Vec<u64>,
}

/// Bits set for a key: at ten bits a key one look-up in eighty is for nothing.
const PROBES: u64 = 4;

impl Filter {
    fn new(bytes: usize) -> Self {
        Self {
            words: vec![0; (bytes / 8).max(1)],
        }
    }

    fn bits(&self, key: CommandKey) -> impl Iterator<Item = (usize, u64)> + use<> {
        let hash = xxh3_128(&key.0);
        let (first, step) = (hash as u64, (hash >> 64) as u64 | 1);
        let bits = self.words.len() as u64 * 64;
        (0..PROBES).map(move |probe| {
            let bit = first.wrapping_add(step.wrapping_mul(probe)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn add(&mut self, key: CommandKey) {
        for (word, bit) in self.bits(key) {
            self.words[word] |= bit;
        }
    }

    fn may_hold(&self, key: CommandKey) -> bool {
        self.bits(key).all(|(word, bit)| self.words[word] & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> CommandKey {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        CommandKey(bytes)
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
