//! Rows kept decoded. Changes stay here until the entry ends, so a command sees what the commands before it in the same
//! entry did, and a row that many of them change is encoded and written once.
//!
//! Rows lie in places side by side and are found by a hash table of positions, whose order decides nothing. A new row takes
//! the place of one that nobody has asked for since the hand last passed it (the clock algorithm: second chance), so that
//! keeping within the bound costs each newcomer the same little, and no entry a sweep.

use std::ops::RangeInclusive;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::codec::wire::Writer;
use crate::inventory::hash::{StateHash, digest};
use crate::rows::{ReadRows, Rows, RowsError};
use crate::state::{Row, checked_row, write_row};

/// Places that are added at a time: a vector would double, and be nearly twice as large as its bound.
const GROWTH: usize = 1_024;

/// Places that the hand passes at most for one newcomer, which otherwise gets a place beyond the bound for now.
const PATIENCE: usize = 16;

/// One row.
#[derive(Debug)]
struct Place<V: Row> {
    id: V::Id,
    /// `None` where there is no such row.
    value: Option<V>,
    /// Digest of the row as it is stored; 0 where it is not.
    stored: u128,
    /// Waits in [`Cache::changed`], and stays where it is until then.
    changed: bool,
    /// Asked for since the hand passed.
    used: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache<V: Row> {
    places: Vec<Place<V>>,
    positions: HashTable<u32>,
    /// Positions of what the entry has changed.
    changed: Vec<u32>,
    /// A row on its way to the store.
    encoded: Vec<u8>,
    /// The place asked for last: a command asks for the same one several times.
    last: usize,
    hand: usize,
    /// Places, by the end of the last entry.
    limit: usize,
}

impl<V: Row> Default for Cache<V> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            positions: HashTable::new(),
            changed: Vec::new(),
            encoded: Vec::new(),
            last: 0,
            hand: 0,
            limit: usize::MAX,
        }
    }
}

fn hash<V: Row>(id: V::Id) -> u64 {
    xxh3_64(&V::key(id))
}

impl<V: Row> Cache<V> {
    fn find(&self, id: V::Id) -> Option<usize> {
        if self.places.get(self.last).is_some_and(|place| place.id == id) {
            return Some(self.last);
        }
        let is_it = |position: &u32| self.places[*position as usize].id == id;
        let found = self.positions.find(hash::<V>(id), is_it);
        found.map(|position| *position as usize)
    }

    /// The place of a row, which is read where it is not at hand.
    fn place(&mut self, rows: &(impl ReadRows + ?Sized), id: V::Id) -> Result<&mut Place<V>, RowsError> {
        let position = match self.find(id) {
            Some(position) => position,
            None => {
                let key = V::key(id);
                let (value, stored) = match rows.get(&key)? {
                    Some(bytes) => (Some(checked_row(&key, &bytes)?), digest(&key, &bytes)),
                    None => (None, 0),
                };
                self.settle(id, value, stored)
            }
        };
        self.last = position;
        let place = &mut self.places[position];
        place.used = true;
        Ok(place)
    }

    /// Gives a row that is not at hand a place.
    fn settle(&mut self, id: V::Id, value: Option<V>, stored: u128) -> usize {
        let place = Place {
            id,
            value,
            stored,
            changed: false,
            used: false,
        };
        let position = match self.vacate() {
            Some(position) => {
                self.places[position] = place;
                position
            }
            None => {
                if self.places.len() == self.places.capacity() {
                    self.places.reserve_exact(GROWTH);
                }
                self.places.push(place);
                self.places.len() - 1
            }
        };
        let places = &self.places;
        let rehash = |position: &u32| hash::<V>(places[*position as usize].id);
        self.positions.insert_unique(hash::<V>(id), position as u32, rehash);
        position
    }

    /// Makes a place free where there are as many as there may be.
    fn vacate(&mut self) -> Option<usize> {
        if self.places.len() < self.limit {
            return None;
        }
        for _ in 0..PATIENCE.min(self.places.len()) {
            let position = self.hand % self.places.len();
            self.hand = position + 1;
            let place = &mut self.places[position];
            if !place.changed && !std::mem::replace(&mut place.used, false) {
                self.forget(position);
                return Some(position);
            }
        }
        None
    }

    /// Makes a place be found no more.
    fn forget(&mut self, position: usize) {
        let hash = hash::<V>(self.places[position].id);
        let is_it = |known: &u32| *known as usize == position;
        if let Ok(entry) = self.positions.find_entry(hash, is_it) {
            entry.remove();
        }
    }

    /// The row, as the entry has left it so far.
    pub(crate) fn get(&mut self, rows: &(impl ReadRows + ?Sized), id: V::Id) -> Result<Option<&V>, RowsError> {
        Ok(self.place(rows, id)?.value.as_ref())
    }

    /// The row, to change it.
    pub(crate) fn change(&mut self, rows: &(impl ReadRows + ?Sized), id: V::Id) -> Result<&mut Option<V>, RowsError> {
        let newly = !std::mem::replace(&mut self.place(rows, id)?.changed, true);
        if newly {
            self.changed.push(self.last as u32);
        }
        Ok(&mut self.places[self.last].value)
    }

    /// A row that did not exist before: nothing is read.
    pub(crate) fn insert_new(&mut self, id: V::Id, value: V) {
        // Somebody may have asked for it before it was there.
        let position = self.find(id).unwrap_or_else(|| self.settle(id, None, 0));
        let place = &mut self.places[position];
        place.value = Some(value);
        if !std::mem::replace(&mut place.changed, true) {
            self.changed.push(position as u32);
        }
        self.last = position;
    }

    /// The row, if it is at hand. Rows that the current entry changed always are.
    pub(crate) fn peek(&self, id: V::Id) -> Option<&V> {
        self.places[self.find(id)?].value.as_ref()
    }

    /// Rows of a range that the entry has changed or added, so that a scan of what is stored can be completed by them.
    pub(crate) fn changed(&self, range: RangeInclusive<V::Id>) -> impl Iterator<Item = V::Id> {
        let changed = self.changed.iter().map(|position| &self.places[*position as usize]);
        changed
            .filter(move |place| place.value.is_some() && range.contains(&place.id))
            .map(|place| place.id)
    }

    /// Hands the changes of the entry to the store.
    pub(crate) fn flush(&mut self, rows: &mut dyn Rows, hash: &mut StateHash) {
        // A memtable finds the place of a row at once where it follows the one before.
        let places = &mut self.places;
        self.changed
            .sort_unstable_by(|one, other| places[*one as usize].id.cmp(&places[*other as usize].id));
        for position in self.changed.drain(..) {
            let place = &mut places[position as usize];
            place.changed = false;
            let key = V::key(place.id);
            if place.value.as_ref().is_some_and(Row::is_void) {
                place.value = None;
            }
            self.encoded.clear();
            let after = match &place.value {
                None => 0,
                Some(value) => {
                    let mut writer = Writer::onto(std::mem::take(&mut self.encoded));
                    write_row(&mut writer, value);
                    self.encoded = writer.finish();
                    digest(&key, &self.encoded)
                }
            };
            if after == place.stored {
                continue;
            }
            hash.replace(place.stored, after);
            place.stored = after;
            if place.value.is_some() {
                rows.put(&key, &self.encoded);
            } else {
                rows.delete(&key);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Ends the entry: what it has brought in beyond `limit` goes, and from now on there are no more than that.
    pub(crate) fn evict(&mut self, limit: usize) {
        self.limit = limit;
        if self.places.len() <= limit {
            return;
        }
        while self.places.len() > limit {
            let position = self.hand % self.places.len();
            // Nothing is changed between entries, so the second round finds a place at the latest.
            if std::mem::replace(&mut self.places[position].used, false) {
                self.hand = position + 1;
                continue;
            }
            self.hand = position;
            self.forget(position);
            self.places.swap_remove(position);
            if let Some(moved) = self.places.get(position) {
                let from = self.places.len();
                let is_it = |known: &u32| *known as usize == from;
                if let Some(known) = self.positions.find_mut(hash::<V>(moved.id), is_it) {
                    *known = position as u32;
                }
            }
        }
        if self.places.capacity() > limit.saturating_add(2 * GROWTH) {
            self.places.shrink_to(limit);
        }
        self.last = 0;
    }
}
