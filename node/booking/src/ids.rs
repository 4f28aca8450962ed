//! Identifiers. Each carries its placement key, so a booking or ticket id routes without a look-up.

use crate::time::Timestamp;

/// Number of a venue, handed out once by the meta group and never used again. Routes to a shard by the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueNo(pub u32);

/// A booking: venue, the sequence number that the venue handed out in apply (so row keys are in log order),
/// and 64 unguessable bits that the router drew, because whoever knows the id may read and release the booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookingId {
    /// The venue, and with it the shard.
    pub venue: VenueNo,
    /// Sequence number within the venue; below 2^48.
    pub seq: u64,
    /// Unguessable part.
    pub secret: u64,
}

/// A ticket: the booking's place, the ticket's number within it, and its own secret (a ticket is handed to friends;
/// it must not reveal the booking's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId {
    /// The venue, and with it the shard.
    pub venue: VenueNo,
    /// The booking's sequence number.
    pub seq: u64,
    /// Counts from 0 within the booking.
    pub number: u16,
    /// Unguessable part.
    pub secret: u64,
}

/// What a slot is called from outside: `product@local-start-with-offset`, as `general@2027-01-15T10:00+00:00`.
/// The repeated hour in autumn has two ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRef {
    /// Product id within the venue.
    pub product: String,
    /// Start as an instant.
    pub start: Timestamp,
    /// Offset of local time from UTC at the start, in minutes.
    pub offset_minutes: i16,
}

/// The digest that identifies a command: (principal, operation, `Idempotency-Key`), or one that the router drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandKey(pub [u8; 16]);
