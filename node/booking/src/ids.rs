//! Identifiers. Each carries its placement key, so a booking or ticket id routes without a look-up.
//!
//! This is also where they become text and back, for the router's answers and for what callers send. A text that is
//! not an id is an [`IdError`] that says what is wrong; whether the thing named exists is the shard's to say.

pub(crate) mod crockford;

use std::fmt;
use std::str::FromStr;

use crate::time::{LocalTime, TimeError, Timestamp, push_offset};

/// Longest id that the catalogue may give to a venue, product, unit or bundle, in characters.
pub const MAX_SLUG: usize = 40;

/// True for what the catalogue may use as an id: 1 to [`MAX_SLUG`] of `a-z`, `0-9` and `-`.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (1..=MAX_SLUG).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Too short or too long.
    #[error("an id of this kind has {expected} characters, this one {found}; copy it whole")]
    Length {
        /// Characters of such an id.
        expected: usize,
        /// Characters of the text.
        found: usize,
    },
    /// Not of the alphabet.
    #[error("{character:?} at position {position} is not part of any id; ids use digits and letters without U")]
    Character {
        /// Counts from 0.
        position: usize,
        /// What stands there.
        character: char,
    },
    /// All characters are right, but no such id is ever given out.
    #[error("no such id is ever given out; copy it whole")]
    OutOfRange,
    /// A slot's id without `@` or with a product that cannot be one.
    #[error("not a slot id; it is written product@local-start, as general@2027-01-15T10:00+00:00")]
    SlotShape,
    /// A slot's id whose time does not read.
    #[error("the time after the @ of the slot id does not read: {0}; it is written as general@2027-01-15T10:00+00:00")]
    SlotTime(TimeError),
    /// Not a venue's number.
    #[error("not the number of a venue; it is a whole number from 0 to 4294967295")]
    VenueNo,
}

/// Number of a venue, handed out once by the meta group and never used again. Routes to a shard by the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueNo(pub u32);

impl VenueNo {
    /// No venue: the reserve of a shard, which its probers book. Never given to a venue.
    pub const RESERVE: Self = Self(u32::MAX);
}

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

/// Sequence numbers take six bytes in ids and row keys.
const SEQ_MASK: u64 = (1 << 48) - 1;

impl BookingId {
    /// Bytes of [`BookingId::to_bytes`].
    pub const BYTES: usize = 18;

    /// Venue, sequence number (six bytes) and secret, each most significant byte first: sorts as the log does.
    /// Bits of `seq` from the 48th up are not part of an id and are cut off.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.venue.0.to_be_bytes());
        bytes[4..10].copy_from_slice(&(self.seq & SEQ_MASK).to_be_bytes()[2..]);
        bytes[10..].copy_from_slice(&self.secret.to_be_bytes());
        bytes
    }

    /// The id of [`BookingId::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self {
            venue: VenueNo(number(&bytes[..4]) as u32),
            seq: number(&bytes[4..10]),
            secret: number(&bytes[10..]),
        }
    }

    /// Appends the text that `Display` writes.
    pub fn push_text(self, text: &mut String) {
        crockford::encode(&self.to_bytes(), text);
    }
}

impl TicketId {
    /// Bytes of [`TicketId::to_bytes`].
    pub const BYTES: usize = 20;

    /// Venue, sequence number (six bytes), number and secret, each most significant byte first.
    /// Bits of `seq` from the 48th up are not part of an id and are cut off.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.venue.0.to_be_bytes());
        bytes[4..10].copy_from_slice(&(self.seq & SEQ_MASK).to_be_bytes()[2..]);
        bytes[10..12].copy_from_slice(&self.number.to_be_bytes());
        bytes[12..].copy_from_slice(&self.secret.to_be_bytes());
        bytes
    }

    /// The id of [`TicketId::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self {
            venue: VenueNo(number(&bytes[..4]) as u32),
            seq: number(&bytes[4..10]),
            number: number(&bytes[10..12]) as u16,
            secret: number(&bytes[12..]),
        }
    }
}

/// Up to eight bytes, most significant first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// 29 characters of Crockford's base 32 over [`BookingId::to_bytes`].
impl fmt::Display for BookingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(crockford::text_len(Self::BYTES));
        crockford::encode(&self.to_bytes(), &mut text);
        f.pad(&text)
    }
}

/// Small letters count as capitals; I and L as 1; O as 0.
impl FromStr for BookingId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        crockford::decode(text).map(Self::from_bytes)
    }
}

/// 32 characters of Crockford's base 32 over [`TicketId::to_bytes`].
impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(crockford::text_len(Self::BYTES));
        crockford::encode(&self.to_bytes(), &mut text);
        f.pad(&text)
    }
}

/// Small letters count as capitals; I and L as 1; O as 0.
impl FromStr for TicketId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        crockford::decode(text).map(Self::from_bytes)
    }
}

impl SlotRef {
    /// `general@2027-01-15T10:00+00:00`. Slots start on whole minutes; a start that does not is written with its seconds.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(self.product.len() + "@2027-01-15T10:00+00:00".len());
        self.push_text(&mut text);
        text
    }

    /// Appends [`SlotRef::to_text`].
    pub fn push_text(&self, text: &mut String) {
        let local = LocalTime::of(self.start, self.offset_minutes);
        text.push_str(&self.product);
        text.push('@');
        local.push_minute(text);
        local.push_seconds(text);
        push_offset(text, self.offset_minutes);
    }
}

/// As [`SlotRef::to_text`].
impl fmt::Display for SlotRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// Reads `general@2027-01-15T10:00+00:00`; seconds may be there.
impl FromStr for SlotRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (product, start) = text.split_once('@').ok_or(IdError::SlotShape)?;
        if !is_slug(product) {
            return Err(IdError::SlotShape);
        }
        let (start, offset_minutes) = Timestamp::parse_with_offset(start).map_err(IdError::SlotTime)?;
        Ok(Self {
            product: product.to_owned(),
            start,
            offset_minutes,
        })
    }
}

/// Decimal.
impl fmt::Display for VenueNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads decimal digits.
impl FromStr for VenueNo {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // `parse` would take a leading plus.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IdError::VenueNo);
        }
        text.parse().map(Self).map_err(|_| IdError::VenueNo)
    }
}

/// Hexadecimal, for logs.
impl fmt::Display for CommandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
#[path = "ids/tests.rs"]
mod tests;
