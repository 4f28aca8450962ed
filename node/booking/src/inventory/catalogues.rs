//! Catalogues kept decoded, bounded in bytes. They change seldom and every command of a venue needs its own, so a shard
//! that holds more venues than fit reads those anew that nobody has asked for lately.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::VenueNo;
use crate::inventory::read_catalogue;
use crate::rows::{ReadRows, RowsError};
use crate::state::{Catalogue, CatalogueRow, encode_row};

/// What a decoded catalogue takes for each byte of its row: short names in strings of their own, vectors with room left.
const MEMORY_PER_ROW_BYTE: usize = 4;

#[derive(Debug)]
struct Kept {
    catalogue: Arc<Catalogue>,
    bytes: usize,
    /// Last entry that asked for it.
    used: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Catalogues {
    kept: BTreeMap<VenueNo, Kept>,
    bytes: usize,
    /// Counts entries.
    tick: u64,
}

impl Catalogues {
    /// The venue's catalogue as the entry has left it so far, where it has one.
    pub(crate) fn get(
        &mut self,
        rows: &(impl ReadRows + ?Sized),
        venue: VenueNo,
    ) -> Result<Option<Arc<Catalogue>>, RowsError> {
        if let Some(kept) = self.kept.get_mut(&venue) {
            kept.used = self.tick;
            return Ok(Some(Arc::clone(&kept.catalogue)));
        }
        let Some(catalogue) = read_catalogue(rows, venue)? else {
            return Ok(None);
        };
        Ok(Some(self.keep(venue, catalogue)))
    }

    /// Keeps what was read or written. What an entry has written stays until it ends, whatever the limit.
    pub(crate) fn keep(&mut self, venue: VenueNo, catalogue: Catalogue) -> Arc<Catalogue> {
        let bytes = encode_row(&CatalogueRow(catalogue.definition.clone())).len() * MEMORY_PER_ROW_BYTE;
        let catalogue = Arc::new(catalogue);
        let kept = Kept {
            catalogue: Arc::clone(&catalogue),
            bytes,
            used: self.tick,
        };
        self.bytes += bytes;
        if let Some(before) = self.kept.insert(venue, kept) {
            self.bytes -= before.bytes;
        }
        catalogue
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Ends the entry: while there is more than `limit`, the one goes that was not asked for longest. One always stays.
    pub(crate) fn evict(&mut self, limit: usize) {
        self.tick += 1;
        while self.bytes > limit && self.kept.len() > 1 {
            let oldest = self
                .kept
                .iter()
                .min_by_key(|(_, kept)| kept.used)
                .map(|(venue, _)| *venue);
            let Some(gone) = oldest.and_then(|venue| self.kept.remove(&venue)) else {
                return;
            };
            self.bytes -= gone.bytes;
        }
    }
}
