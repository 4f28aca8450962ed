//! Changes that are written together or not at all. Each engine has its own form, which is filled in directly: the log's
//! writer and the state machine copy nothing twice.

use super::rocks;
#[cfg(any(test, feature = "sim"))]
use super::sim;

/// A batch, made by the database that it is for.
pub(crate) enum Batch {
    Rocks(rocks::Operations),
    #[cfg(any(test, feature = "sim"))]
    Sim(sim::Operations),
}

impl Batch {
    /// Sets a row.
    pub(crate) fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        match self {
            Self::Rocks(batch) => batch.put(key, value),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(batch) => batch.put(key.as_ref(), value.as_ref()),
        }
    }

    /// Removes a row.
    pub(crate) fn delete(&mut self, key: impl AsRef<[u8]>) {
        match self {
            Self::Rocks(batch) => batch.delete(key),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(batch) => batch.delete(key.as_ref()),
        }
    }

    /// Removes the rows of `from..to`.
    pub(crate) fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        match self {
            Self::Rocks(batch) => batch.delete_range(from, to),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(batch) => batch.delete_range(from, to),
        }
    }

    /// Its size as it is written.
    pub(crate) fn size_in_bytes(&self) -> usize {
        match self {
            Self::Rocks(batch) => batch.size_in_bytes(),
            #[cfg(any(test, feature = "sim"))]
            Self::Sim(batch) => batch.size_in_bytes(),
        }
    }
}
