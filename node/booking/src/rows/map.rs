//! Rows in a map: for tests, simulations and audits that replay a log.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;

use super::{ReadRows, Rows, RowsError};

/// Rows in memory. What is put becomes visible with [`MapRows::commit`], as a store's write batch does: whoever reads
/// its own writes within an entry is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapRows {
    rows: BTreeMap<Vec<u8>, Bytes>,
    staged: Vec<(Vec<u8>, Option<Bytes>)>,
}

impl MapRows {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes what was put and deleted since the last commit visible, in order; says how many changes there were.
    pub fn commit(&mut self) -> usize {
        let staged = std::mem::take(&mut self.staged);
        let changes = staged.len();
        for (key, value) in staged {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        changes
    }

    /// All visible rows, in order of key.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().map(|(key, value)| (key.as_slice(), value.as_ref()))
    }
}

impl ReadRows for MapRows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        if from >= to {
            return Ok(());
        }
        for (key, value) in self.rows.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Rows for MapRows {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.staged.push((key.to_vec(), Some(Bytes::copy_from_slice(value))));
    }

    fn delete(&mut self, key: &[u8]) {
        self.staged.push((key.to_vec(), None));
    }
}
