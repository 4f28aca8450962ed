//! What the rows hold. Values use the layouts of `codec` behind a version byte of their own.
//!
//! Names of products and units are kept once per venue and stand in rows as numbers (see [`VenueRow::names`]): a
//! booking's row stays short, and a booking keeps its names when the catalogue drops them.

mod desk;
mod hours;
mod record;
mod reserve;
mod slot;
mod venue;

pub(crate) use self::desk::{
    DeviceScan, DeviceScanId, Drawer, DrawerId, Footfall, FootfallId, Passage, Passed, Scans, TicketKey, TicketKeys,
    TicketNo, Tour, TourId, VoidId, VoidTickets,
};
#[cfg(test)]
pub(crate) use self::hours::Taken;
pub(crate) use self::hours::{BUCKET, BUCKETS_PER_HOUR, GuideHour, GuideHourId, Hour, HourId, Span};
pub(crate) use self::record::{Booking, Line, Lines, Operated, PastIssue, Record, RecordId, tickets_of};
pub(crate) use self::reserve::{Prober, RESERVE_PLACES, Reserve};
pub(crate) use self::slot::{Slot, SlotId};
pub(crate) use self::venue::{Catalogue, CatalogueRow, Counters, PlanRow, VenueRow};
use crate::codec::wire::{Reader, Wire, Writer};
use crate::keys::Key;
use crate::rows::{ReadRows, RowsError};

/// First byte of every value.
const ROW_VERSION: u8 = 1;

/// A row's value that is kept decoded.
pub(crate) trait Row: Wire {
    /// What names it.
    type Id: Copy + Ord + std::fmt::Debug;

    /// Where it lies.
    fn key(id: Self::Id) -> Key;

    /// True where the value says no more than that there is none: such a row is not stored.
    fn is_void(&self) -> bool {
        false
    }

    /// What must hold of a value that was just read.
    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// The stored form of a value.
pub(crate) fn encode_row<T: Wire>(value: &T) -> Vec<u8> {
    let mut writer = Writer::onto(Vec::with_capacity(128));
    write_row(&mut writer, value);
    writer.finish()
}

/// Writes the stored form of a value behind what is there.
pub(crate) fn write_row<T: Wire>(writer: &mut Writer, value: &T) {
    writer.raw(&[ROW_VERSION]);
    writer.put(value);
}

/// The value that is stored as `bytes` under `key`.
pub(crate) fn decode_row<T: Wire>(key: &[u8], bytes: &[u8]) -> Result<T, RowsError> {
    let decode = || {
        let mut reader = Reader::versioned(ROW_VERSION, bytes)?;
        let value = reader.take()?;
        reader.end().map(|()| value)
    };
    decode().map_err(|error| damaged(key, error.to_string()))
}

/// Reads, decodes and checks one row.
pub(crate) fn read_row<T: Row>(rows: &(impl ReadRows + ?Sized), id: T::Id) -> Result<Option<T>, RowsError> {
    let key = T::key(id);
    rows.get(&key)?.map(|bytes| checked_row(&key, &bytes)).transpose()
}

/// Decodes and checks one row.
pub(crate) fn checked_row<T: Row>(key: &[u8], bytes: &[u8]) -> Result<T, RowsError> {
    let value = decode_row::<T>(key, bytes)?;
    value.check().map_err(|what| damaged(key, what.to_owned()))?;
    Ok(value)
}

/// The error of a row that cannot be what it is.
pub(crate) fn damaged(key: &[u8], detail: String) -> RowsError {
    let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
    RowsError::Damaged { key, detail }
}
