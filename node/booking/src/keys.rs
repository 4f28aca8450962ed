//! Keys of rows. `[table u8][venue u32]...`, all integers big-endian, so the order of bytes is the order of values, and
//! all rows of a venue can be copied by their prefixes when it moves to another shard.
//!
//! Table 0 belongs to the store. What is written once per booking has a key that grows with the log: sequential keys
//! cost a log-structured store a seventh of random ones.

use std::ops::Deref;

use crate::ids::VenueNo;
use crate::state::{GuideHourId, HourId, RecordId, SlotId, TicketNo};
use crate::time::{ServiceDay, Timestamp};

/// First byte of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Table {
    /// Log time of the last entry; one row a shard.
    Clock = 0x01,
    /// Sum of the digests of all other rows; one row a shard.
    Hash = 0x02,
    /// What views of a venue's bookings need.
    Venue = 0x10,
    /// The venue's definition.
    Catalogue = 0x11,
    /// The numbers that a venue hands out.
    Counters = 0x12,
    /// How far a product's slots are planned.
    Plan = 0x13,
    /// Slots, by product and start.
    Slot = 0x20,
    /// The building, by hour.
    Building = 0x21,
    /// A product's tours under way, by hour.
    Guides = 0x22,
    /// Bookings and other keyed outcomes, in log order.
    Record = 0x30,
    /// Holds, by deadline: those of one entry that end together share a row.
    Deadline = 0x31,
    /// Command keys older than the window in memory, some hundreds a row.
    Key = 0x32,
    /// Scans of a ticket, by booking and number.
    Scans = 0x33,
    /// The ticket of a scan, by device and its number.
    Device = 0x34,
    /// Who came and went, by service day and hour.
    Footfall = 0x35,
    /// Void tickets of a booking, by service day.
    Void = 0x36,
    /// Bookings of a tour that may not take place, by the time at which that is decided.
    Tour = 0x37,
    /// Keys that tickets are signed with.
    TicketKeys = 0x38,
    /// Double-entry journal, in log order.
    Ledger = 0x40,
    /// Events for others, in log order, those of an entry in one row.
    Outbox = 0x41,
    /// Cash drawers.
    Drawer = 0x42,
    /// What the staff did, in log order.
    Audit = 0x50,
    /// What probers have of the reserve; one row a shard.
    Reserve = 0x60,
}

/// The longest key: table, venue, deadline, sequence number.
const LONGEST: usize = 1 + 4 + 8 + 8;

/// A key on the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Deref for Key {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Key {
    /// A key that was read. None is longer than [`LONGEST`]; what is would be cut off, and not be found.
    pub(crate) fn copied(key: &[u8]) -> Self {
        let length = key.len().min(LONGEST);
        let mut bytes = [0; LONGEST];
        bytes[..length].copy_from_slice(&key[..length]);
        Self {
            bytes,
            length: length as u8,
        }
    }

    fn of(table: Table) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[0] = table as u8;
        Self { bytes, length: 1 }
    }

    fn then<const N: usize>(mut self, part: [u8; N]) -> Self {
        let from = usize::from(self.length);
        self.bytes[from..from + N].copy_from_slice(&part);
        self.length += N as u8;
        self
    }

    fn venue(table: Table, venue: VenueNo) -> Self {
        Self::of(table).then(venue.0.to_be_bytes())
    }

    /// The smallest key of `table`.
    pub(crate) fn table_start(table: Table) -> Self {
        Self::of(table)
    }

    /// The first key beyond `table`.
    pub(crate) fn table_end(table: Table) -> [u8; 1] {
        [table as u8 + 1]
    }

    /// The smallest key of a venue's rows in `table`, and the first beyond them.
    pub(crate) fn of_venue(table: Table, venue: VenueNo) -> (Self, Self) {
        let to = match venue.0.checked_add(1) {
            Some(next) => Self::venue(table, VenueNo(next)),
            None => Self::copied(&Self::table_end(table)),
        };
        (Self::venue(table, venue), to)
    }

    pub(crate) fn clock() -> Self {
        Self::of(Table::Clock)
    }

    pub(crate) fn hash() -> Self {
        Self::of(Table::Hash)
    }

    pub(crate) fn venue_row(venue: VenueNo) -> Self {
        Self::venue(Table::Venue, venue)
    }

    pub(crate) fn catalogue(venue: VenueNo) -> Self {
        Self::venue(Table::Catalogue, venue)
    }

    pub(crate) fn counters(venue: VenueNo) -> Self {
        Self::venue(Table::Counters, venue)
    }

    pub(crate) fn plan(venue: VenueNo, product: u16) -> Self {
        Self::venue(Table::Plan, venue).then(product.to_be_bytes())
    }

    pub(crate) fn slot(id: SlotId) -> Self {
        Self::venue(Table::Slot, id.venue)
            .then(id.product.to_be_bytes())
            .then(ordered(id.start.0))
    }

    pub(crate) fn building(id: HourId) -> Self {
        Self::venue(Table::Building, id.venue).then(ordered(id.hour))
    }

    pub(crate) fn guides(id: GuideHourId) -> Self {
        Self::venue(Table::Guides, id.venue)
            .then(id.product.to_be_bytes())
            .then(ordered(id.hour))
    }

    pub(crate) fn record(id: RecordId) -> Self {
        Self::venue(Table::Record, id.venue).then(id.seq.to_be_bytes())
    }

    /// `first` is the first of the sequence numbers in the row.
    pub(crate) fn deadline(venue: VenueNo, deadline: Timestamp, first: u64) -> Self {
        Self::venue(Table::Deadline, venue)
            .then(ordered(deadline.0))
            .then(first.to_be_bytes())
    }

    /// Old command keys whose hashes begin like `partition`, written by the venue's spill number `run`.
    pub(crate) fn old_keys(venue: VenueNo, level: u8, partition: u32, run: u64) -> Self {
        Self::venue(Table::Key, venue)
            .then([level])
            .then(partition.to_be_bytes())
            .then(run.to_be_bytes())
    }

    pub(crate) fn ledger(venue: VenueNo, number: u64) -> Self {
        Self::venue(Table::Ledger, venue).then(number.to_be_bytes())
    }

    pub(crate) fn scans(ticket: TicketNo) -> Self {
        Self::venue(Table::Scans, ticket.venue)
            .then(ticket.seq.to_be_bytes())
            .then(ticket.number.to_be_bytes())
    }

    /// `device` is a digest of the device's id.
    pub(crate) fn device(venue: VenueNo, device: u64, device_seq: u64) -> Self {
        Self::venue(Table::Device, venue)
            .then(device.to_be_bytes())
            .then(device_seq.to_be_bytes())
    }

    /// `hour` counts from 1970.
    pub(crate) fn footfall(venue: VenueNo, day: ServiceDay, hour: i64) -> Self {
        Self::venue(Table::Footfall, venue)
            .then(ordered_day(day))
            .then(ordered(hour))
    }

    pub(crate) fn void(venue: VenueNo, day: ServiceDay, seq: u64) -> Self {
        Self::venue(Table::Void, venue)
            .then(ordered_day(day))
            .then(seq.to_be_bytes())
    }

    pub(crate) fn tour(venue: VenueNo, due: Timestamp, product: u16) -> Self {
        Self::venue(Table::Tour, venue)
            .then(ordered(due.0))
            .then(product.to_be_bytes())
    }

    pub(crate) fn ticket_keys(venue: VenueNo) -> Self {
        Self::venue(Table::TicketKeys, venue)
    }

    /// `drawer` is a digest of the drawer's id.
    pub(crate) fn drawer(venue: VenueNo, drawer: u64) -> Self {
        Self::venue(Table::Drawer, venue).then(drawer.to_be_bytes())
    }

    pub(crate) fn audit(venue: VenueNo, number: u64) -> Self {
        Self::venue(Table::Audit, venue).then(number.to_be_bytes())
    }

    pub(crate) fn reserve() -> Self {
        Self::venue(Table::Reserve, VenueNo::RESERVE)
    }

    pub(crate) fn outbox(venue: VenueNo, number: u64) -> Self {
        Self::venue(Table::Outbox, venue).then(number.to_be_bytes())
    }
}

/// Signed integers sort as bytes once the sign bit is turned over.
fn ordered(value: i64) -> [u8; 8] {
    (value as u64 ^ (1 << 63)).to_be_bytes()
}

fn ordered_day(day: ServiceDay) -> [u8; 4] {
    (day.0 as u32 ^ (1 << 31)).to_be_bytes()
}

fn unordered(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

/// The venue in a key of any table from [`Table::Venue`] on.
pub(crate) fn venue_of(key: &[u8]) -> Option<VenueNo> {
    Some(VenueNo(u32::from_be_bytes(*key.get(1..)?.first_chunk()?)))
}

/// The product in a key of slots or guides.
pub(crate) fn product_of(key: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*key.get(5..)?.first_chunk()?))
}

/// The last eight bytes as a time: slots and hours end with it.
pub(crate) fn last_time(key: &[u8]) -> Option<i64> {
    key.last_chunk().copied().map(unordered)
}

/// The last eight bytes as a number: records, journal and outbox end with it.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().copied().map(u64::from_be_bytes)
}

/// Deadline and first sequence number of a deadline row.
pub(crate) fn deadline_of(key: &[u8]) -> Option<(Timestamp, u64)> {
    let deadline = key.get(5..)?.first_chunk().copied().map(unordered)?;
    Some((Timestamp(deadline), last_number(key)?))
}

/// The service day in a key of footfall or void tickets.
pub(crate) fn day_of(key: &[u8]) -> Option<ServiceDay> {
    let bytes = key.get(5..)?.first_chunk().copied()?;
    Some(ServiceDay((u32::from_be_bytes(bytes) ^ (1 << 31)) as i32))
}

/// The ticket's number in a key of scans.
pub(crate) fn ticket_number(key: &[u8]) -> Option<u16> {
    key.last_chunk().copied().map(u16::from_be_bytes)
}

/// The time at which a tour is decided, and the number of its product.
pub(crate) fn tour_of(key: &[u8]) -> Option<(Timestamp, u16)> {
    let due = key.get(5..)?.first_chunk().copied().map(unordered)?;
    Some((Timestamp(due), u16::from_be_bytes(*key.last_chunk()?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]
    use super::*;

    #[test]
    fn times_before_and_after_1970_sort_as_bytes() {
        let venue = VenueNo(7);
        let times = [i64::MIN, -1, 0, 1, i64::MAX];
        for pair in times.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|time| Key::deadline(venue, Timestamp(time), 9));
            assert!(*a < *b, "{pair:?}");
            assert_eq!(deadline_of(&a), Some((Timestamp(pair[0]), 9)));
        }
    }

    #[test]
    fn a_key_gives_back_what_it_was_made_of() {
        let venue = VenueNo(0x0102_0304);
        let slot = Key::slot(SlotId {
            venue,
            product: 3,
            start: Timestamp(-60_000),
        });
        assert_eq!((venue_of(&slot), last_time(&slot)), (Some(venue), Some(-60_000)));
        assert_eq!(last_number(&Key::record(RecordId { venue, seq: 99 })), Some(99));
        assert_eq!(venue_of(&[1, 2]), None);
    }
}
