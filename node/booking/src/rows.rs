//! The state as sorted rows. RocksDB implements this in production, a map in tests and in the simulator.

mod map;

use std::ops::ControlFlow;

use bytes::Bytes;

pub use self::map::MapRows;

/// What broke while reading rows. Apply cannot go on after it.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
    /// A row does not decode.
    #[error("row {key} is damaged: {detail}")]
    Damaged {
        /// The row's key in hexadecimal.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// Reading.
pub trait ReadRows {
    /// The value under `key`.
    ///
    /// # Errors
    /// Where the store fails.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError>;

    /// Calls `visit` for each row in `from..to`, in order of key, until it breaks.
    ///
    /// # Errors
    /// Where the store fails.
    #[expect(
        clippy::type_complexity,
        reason = "an alias would hide the two lifetimes that implementors must repeat"
    )]
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError>;
}

/// Writing. What is put is part of one atomic change per entry; it need not be visible to `get` before the entry ends.
pub trait Rows: ReadRows {
    /// Sets a row.
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// Removes a row.
    fn delete(&mut self, key: &[u8]);
}
