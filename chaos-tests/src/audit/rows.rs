//! The auditor's own store: a sorted map. What RocksDB does to the rows is part of what is audited, so it has no say here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use rotunda_booking::rows::{ReadRows, Rows, RowsError};

/// Rows in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct MapRows(BTreeMap<Vec<u8>, Bytes>);

impl ReadRows for MapRows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        Ok(self.0.get(key).cloned())
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
        for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Rows for MapRows {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), Bytes::copy_from_slice(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}
