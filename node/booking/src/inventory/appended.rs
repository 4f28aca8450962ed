//! Rows that an entry writes once and does not read again, kept until it is done and then handed over in order of key: a
//! memtable finds the place of a row at once where it follows the one before. Their bytes stand side by side in one buffer,
//! so a row costs no allocation.

use std::ops::Range;

use crate::codec::wire::{Wire, Writer};
use crate::inventory::hash::{StateHash, digest};
use crate::keys::Key;
use crate::rows::Rows;
use crate::state::write_row;

/// Room that is kept from one entry to the next; what a larger one took is given back.
const KEPT_BYTES: usize = 256 << 10;

/// The rows of one table, in the order in which they were written.
type OfTable = Vec<(Key, Option<Range<usize>>)>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    /// By table. Each grows nearly in order of key, so sorting one is little more than a look; all of them in one list
    /// would be interleaved.
    tables: Vec<(u8, OfTable)>,
    values: Vec<u8>,
}

impl Appended {
    /// Writes a row that was not there.
    pub(crate) fn put<T: Wire>(&mut self, hash: &mut StateHash, key: Key, value: &T) {
        let from = self.values.len();
        let mut writer = Writer::onto(std::mem::take(&mut self.values));
        write_row(&mut writer, value);
        self.values = writer.finish();
        self.note(hash, key, from);
    }

    fn note(&mut self, hash: &mut StateHash, key: Key, from: usize) {
        let value = from..self.values.len();
        hash.replace(0, digest(&key, &self.values[value.clone()]));
        self.of_table(key).push((key, Some(value)));
    }

    /// Removes a row of an earlier entry, which had this digest.
    pub(crate) fn remove(&mut self, hash: &mut StateHash, key: Key, stored: u128) {
        hash.replace(stored, 0);
        self.of_table(key).push((key, None));
    }

    fn of_table(&mut self, key: Key) -> &mut OfTable {
        let table = key[0];
        let place = match self.tables.iter().position(|(known, _)| *known == table) {
            Some(place) => place,
            None => {
                self.tables.push((table, Vec::new()));
                self.tables.len() - 1
            }
        };
        &mut self.tables[place].1
    }

    /// Hands everything over, and is empty.
    pub(crate) fn flush(&mut self, rows: &mut dyn Rows) {
        for (_, of_table) in &mut self.tables {
            // Stable: of a row that was removed and written anew, the last has the say.
            of_table.sort_by(|(one, _), (other, _)| one[..].cmp(&other[..]));
            for (key, value) in of_table.drain(..) {
                match value {
                    Some(value) => rows.put(&key, &self.values[value]),
                    None => rows.delete(&key),
                }
            }
        }
        self.values.clear();
        self.values.shrink_to(KEPT_BYTES);
    }
}
