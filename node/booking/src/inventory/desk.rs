//! Rows that gates and counters write: a few a command, kept decoded like all that one entry may change twice.

use crate::inventory::cache::Cache;
use crate::inventory::hash::StateHash;
use crate::inventory::transaction::Transaction;
use crate::rows::{Rows, RowsError};
use crate::state::{DeviceScan, Drawer, Footfall, Row, Scans, TicketKeys, Tour, VoidTickets};

/// Rows of each kind that are kept from one entry to the next.
const KEPT: usize = 1_024;

/// The caches.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    scans: Cache<Scans>,
    devices: Cache<DeviceScan>,
    footfall: Cache<Footfall>,
    voids: Cache<VoidTickets>,
    tours: Cache<Tour>,
    keys: Cache<TicketKeys>,
    drawers: Cache<Drawer>,
}

/// A kind of row that is kept here.
pub(crate) trait DeskRow: Row {
    /// Where.
    fn cache(desk: &mut Desk) -> &mut Cache<Self>
    where
        Self: Sized;
}

macro_rules! kept_in {
    ($($row:ident $field:ident;)*) => {
        $( impl DeskRow for $row {
            fn cache(desk: &mut Desk) -> &mut Cache<Self> {
                &mut desk.$field
            }
        } )*

        impl Desk {
            /// Hands the entry's changes to the store, and makes room.
            pub(crate) fn flush(&mut self, rows: &mut dyn Rows, hash: &mut StateHash) {
                $( self.$field.flush(rows, hash); self.$field.evict(KEPT); )*
            }
        }
    };
}

kept_in! {
    Scans scans;
    DeviceScan devices;
    Footfall footfall;
    VoidTickets voids;
    Tour tours;
    TicketKeys keys;
    Drawer drawers;
}

impl Transaction<'_> {
    /// A row, as the entry has left it so far.
    pub(crate) fn desk<T: DeskRow>(&mut self, id: T::Id) -> Result<Option<&T>, RowsError> {
        T::cache(&mut self.inventory.desk).get(self.rows, id)
    }

    /// A row, to change it.
    pub(crate) fn desk_mut<T: DeskRow>(&mut self, id: T::Id) -> Result<&mut Option<T>, RowsError> {
        T::cache(&mut self.inventory.desk).change(self.rows, id)
    }

    /// Tours that this entry has changed, up to one.
    pub(crate) fn tours_changed(
        &self,
        from: crate::state::TourId,
        to: crate::state::TourId,
    ) -> Vec<crate::state::TourId> {
        self.inventory.desk.tours.changed(from..=to).collect()
    }
}
