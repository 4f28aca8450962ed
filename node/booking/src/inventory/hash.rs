//! The state hash: a wrapping sum over the digests of all rows. A row that changes moves the sum by the difference of
//! its digests, so the hash costs no scan, and replicas that hold the same rows have the same hash, whatever the way
//! by which they came to them (entries, snapshots, venues moved from other shards).

use std::ops::ControlFlow;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::keys::{Key, Table};
use crate::rows::{ReadRows, RowsError};
use crate::state::damaged;

/// Digest of one row. XXH3 is frozen: it is the same in every version of the library.
pub(crate) fn digest(key: &[u8], value: &[u8]) -> u128 {
    // 0 stands for "no row".
    xxh3_128_with_seed(value, xxh3_64(key)).max(1)
}

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateHash(pub(crate) u128);

impl StateHash {
    /// A row had the digest `before` and has `after`; 0 for none.
    pub(crate) fn replace(&mut self, before: u128, after: u128) {
        self.0 = self.0.wrapping_sub(before).wrapping_add(after);
    }

    /// The hash as it was stored.
    pub(crate) fn read(rows: &(impl ReadRows + ?Sized)) -> Result<Self, RowsError> {
        let key = Key::hash();
        let Some(bytes) = rows.get(&key)? else {
            return Ok(Self::default());
        };
        let bytes = <[u8; 16]>::try_from(&bytes[..]).map_err(|_| damaged(&key, "not 16 bytes".to_owned()))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// The state hash worked out anew, row by row, in any order: of rows that are in no store, as in a backup.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowsHash(StateHash);

impl RowsHash {
    /// One more row.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        if key != &*Key::hash() {
            self.0.replace(0, digest(key, value));
        }
    }

    /// In the form of [`crate::inventory::Inventory::state_hash`].
    #[must_use]
    pub fn finish(self) -> [u8; 16] {
        self.0.0.to_be_bytes()
    }
}

/// The state hash worked out anew from all rows, in the form of [`crate::inventory::Inventory::state_hash`]: what an
/// audit compares the kept one with. Reads everything.
///
/// # Errors
/// Where the store fails.
pub fn recompute_state_hash(rows: &impl ReadRows) -> Result<[u8; 16], RowsError> {
    let mut hash = RowsHash::default();
    rows.scan(&Key::table_start(Table::Clock), &[u8::MAX], &mut |key, value| {
        hash.add(key, value);
        ControlFlow::Continue(())
    })?;
    Ok(hash.finish())
}
