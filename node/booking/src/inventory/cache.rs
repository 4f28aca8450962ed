//! Rows kept decoded. Changes stay here until the entry ends, so a command sees what the commands before it in the same
//! entry did, and a row that many of them change is encoded and written once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::codec::wire::Writer;
use crate::inventory::hash::{StateHash, digest};
use crate::rows::{ReadRows, Rows, RowsError};
use crate::state::{Row, checked_row, write_row};

/// One row.
#[derive(Debug)]
struct Cached<V> {
    /// `None` where there is no such row.
    value: Option<V>,
    /// Digest of the row as it is stored; 0 where it is not.
    stored: u128,
    /// Waits in [`Cache::changed`].
    changed: bool,
    /// Last entry that looked at it.
    used: u64,
}

/// See the module. Bounded: [`Cache::evict`] forgets what was not used for longest, between entries.
#[derive(Debug)]
pub(crate) struct Cache<V: Row> {
    entries: BTreeMap<V::Id, Cached<V>>,
    changed: Vec<V::Id>,
    /// A row on its way to the store.
    encoded: Vec<u8>,
    /// Counts entries.
    tick: u64,
}

impl<V: Row> Default for Cache<V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            changed: Vec::new(),
            encoded: Vec::new(),
            tick: 0,
        }
    }
}

impl<V: Row> Cache<V> {
    fn cached(&mut self, rows: &(impl ReadRows + ?Sized), id: V::Id) -> Result<&mut Cached<V>, RowsError> {
        use std::collections::btree_map::Entry;
        let cached = match self.entries.entry(id) {
            Entry::Occupied(occupied) => occupied.into_mut(),
            Entry::Vacant(vacant) => {
                let key = V::key(id);
                let (value, stored) = match rows.get(&key)? {
                    Some(bytes) => (Some(checked_row(&key, &bytes)?), digest(&key, &bytes)),
                    None => (None, 0),
                };
                vacant.insert(Cached {
                    value,
                    stored,
                    changed: false,
                    used: 0,
                })
            }
        };
        cached.used = self.tick;
        Ok(cached)
    }

    /// The row, as the entry has left it so far.
    pub(crate) fn get(&mut self, rows: &(impl ReadRows + ?Sized), id: V::Id) -> Result<Option<&V>, RowsError> {
        Ok(self.cached(rows, id)?.value.as_ref())
    }

    /// The row, to change it.
    pub(crate) fn change(&mut self, rows: &(impl ReadRows + ?Sized), id: V::Id) -> Result<&mut Option<V>, RowsError> {
        let newly = {
            let cached = self.cached(rows, id)?;
            !std::mem::replace(&mut cached.changed, true)
        };
        if newly {
            self.changed.push(id);
        }
        Ok(&mut self.cached(rows, id)?.value)
    }

    /// A row that did not exist before: nothing is read.
    pub(crate) fn insert_new(&mut self, id: V::Id, value: V) {
        self.entries.insert(
            id,
            Cached {
                value: Some(value),
                stored: 0,
                changed: true,
                used: self.tick,
            },
        );
        self.changed.push(id);
    }

    /// The row, if it is at hand. Rows that the current entry changed always are.
    pub(crate) fn peek(&self, id: V::Id) -> Option<&V> {
        self.entries.get(&id)?.value.as_ref()
    }

    /// Rows of a range that are at hand, so that a scan can be completed by what the entry has added.
    pub(crate) fn present(&self, range: RangeInclusive<V::Id>) -> impl Iterator<Item = V::Id> {
        self.entries
            .range(range)
            .filter(|(_, cached)| cached.value.is_some())
            .map(|(id, _)| *id)
    }

    /// Hands the changes of the entry to the store.
    pub(crate) fn flush(&mut self, rows: &mut dyn Rows, hash: &mut StateHash) {
        // A memtable finds the place of a row at once where it follows the one before.
        self.changed.sort_unstable();
        for id in self.changed.drain(..) {
            let Some(cached) = self.entries.get_mut(&id) else {
                continue;
            };
            cached.changed = false;
            let key = V::key(id);
            if cached.value.as_ref().is_some_and(Row::is_void) {
                cached.value = None;
            }
            self.encoded.clear();
            let after = match &cached.value {
                None => 0,
                Some(value) => {
                    let mut writer = Writer::onto(std::mem::take(&mut self.encoded));
                    write_row(&mut writer, value);
                    self.encoded = writer.finish();
                    digest(&key, &self.encoded)
                }
            };
            if after == cached.stored {
                continue;
            }
            hash.replace(cached.stored, after);
            cached.stored = after;
            if cached.value.is_some() {
                rows.put(&key, &self.encoded);
            } else {
                rows.delete(&key);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Ends the entry, which may have brought in any number: beyond `limit` rows, a quarter goes, so that this is rare.
    pub(crate) fn evict(&mut self, limit: usize) {
        self.tick += 1;
        if self.entries.len() <= limit {
            return;
        }
        let keep = limit - limit / 4;
        let surplus = self.entries.len() - keep;
        let mut ages: Vec<u64> = self.entries.values().map(|cached| cached.used).collect();
        let (_, threshold, _) = ages.select_nth_unstable(surplus - 1);
        let threshold = *threshold;
        let mut surplus = surplus;
        self.entries.retain(|_, cached| {
            let goes = surplus > 0 && cached.used <= threshold;
            surplus -= usize::from(goes);
            !goes
        });
    }
}
