//! Records: one for each command with a key, in log order. A booking's record is the booking; it also carries what the
//! answer to its hold was made of, so that a retry years later gets the same bytes. Any other outcome is kept encoded.

use smallvec::SmallVec;

use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer, wire_struct};
use crate::command::Channel;
use crate::ids::{CommandKey, VenueNo};
use crate::keys::Key;
use crate::mutant::mutant;
use crate::outcome::BookingStatus;
use crate::state::Row;
use crate::time::Timestamp;

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordId {
    pub(crate) venue: VenueNo,
    pub(crate) seq: u64,
}

/// What is under a sequence number.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all records are bookings, and a box would cost each an allocation"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Booking(Booking),
    Operated(Operated),
}

/// A booking in any state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) secret: u64,
    pub(crate) channel: Channel,
    /// Key of the hold.
    pub(crate) key: Option<CommandKey>,
    /// Fingerprint of the hold.
    pub(crate) fingerprint: u64,
    /// Log index of the hold.
    pub(crate) index: u64,
    pub(crate) status: BookingStatus,
    pub(crate) created_at: Timestamp,
    /// When the hold ended as it was first answered.
    pub(crate) first_deadline: Timestamp,
    /// When the hold ends by now.
    pub(crate) deadline: Timestamp,
    /// How often it was extended.
    pub(crate) extensions: u8,
    pub(crate) confirmed_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// What the tickets' secrets are derived from; 0 before confirm.
    pub(crate) nonce: u64,
    /// Serial of the first ticket; 0 before confirm.
    pub(crate) first_serial: u64,
    /// Number of the first ticket: those of earlier issues stand before it.
    pub(crate) first_number: u16,
    pub(crate) lines: Lines,
    /// What it had before it was exchanged, oldest first.
    pub(crate) past: Vec<PastIssue>,
}

/// Lines that were exchanged for others, and their tickets, which are void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastIssue {
    pub(crate) nonce: u64,
    pub(crate) first_serial: u64,
    pub(crate) first_number: u16,
    /// Log time of the exchange.
    pub(crate) until: Timestamp,
    pub(crate) lines: Lines,
}

wire_struct!(PastIssue {
    nonce,
    first_serial,
    first_number,
    until,
    lines
});

/// Lines of a booking: most have one or two, which then cost no allocation.
pub(crate) type Lines = SmallVec<[Line; 2]>;

wire_struct!(Booking {
    secret,
    channel,
    key,
    fingerprint,
    index,
    status,
    created_at,
    first_deadline,
    deadline,
    extensions,
    confirmed_at,
    ended_at,
    nonce,
    first_serial,
    first_number,
    lines,
    past,
});

impl Booking {
    /// True where nothing has happened to it since its hold.
    pub(crate) fn is_as_first_held(&self) -> bool {
        self.status == BookingStatus::Held && self.extensions == 0
    }

    /// The booking as its hold left it: what a retry of the hold is answered with.
    pub(crate) fn as_first_held(&self) -> Self {
        let mut lines = self.past.first().map_or(&self.lines, |issue| &issue.lines).clone();
        for line in &mut lines {
            line.cancelled = false;
        }
        Self {
            status: BookingStatus::Held,
            deadline: self.first_deadline,
            extensions: 0,
            confirmed_at: None,
            ended_at: None,
            nonce: 0,
            first_serial: 0,
            first_number: 0,
            lines,
            past: Vec::new(),
            ..*self
        }
    }

    /// Persons over all lines, those of cancelled ones included: as many tickets.
    pub(crate) fn persons(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.places())).sum()
    }

    /// Lines that were not cancelled by themselves, with their positions.
    pub(crate) fn live_lines(&self) -> impl Iterator<Item = (u16, &Line)> {
        (0u16..).zip(&self.lines).filter(|(_, line)| !line.cancelled)
    }

    /// What it costs, in minor units.
    pub(crate) fn total(&self) -> i64 {
        self.live_lines().map(|(_, line)| line.total).sum()
    }

    /// The tickets of its present issue, with their numbers: one for each person, in order of lines.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = (u16, &Line)> {
        tickets_of(self.first_number, &self.lines)
    }
}

/// A line as it was sold: a later catalogue changes none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Number of the product's name.
    pub(crate) product: u16,
    /// Number of the unit's name.
    pub(crate) unit: u16,
    /// Start of the slot.
    pub(crate) start: Timestamp,
    pub(crate) offset_minutes: i16,
    pub(crate) quantity: u32,
    /// Persons that one of it admits.
    pub(crate) pax: u32,
    /// Minor units, tax included.
    pub(crate) unit_price: i64,
    /// Minor units, tax included.
    pub(crate) total: i64,
    /// Tax contained in `total`.
    pub(crate) tax: i64,
    /// Cancelled by itself; its places are given back.
    pub(crate) cancelled: bool,
}

/// The tickets of lines, numbered from `first`.
pub(crate) fn tickets_of(first: u16, lines: &Lines) -> impl Iterator<Item = (u16, &Line)> {
    let persons = lines
        .iter()
        .flat_map(|line| std::iter::repeat_n(line, line.places() as usize));
    (first..).zip(persons)
}

wire_struct!(Line {
    product,
    unit,
    start,
    offset_minutes,
    quantity,
    pax,
    unit_price,
    total,
    tax,
    cancelled
});

impl Line {
    /// Places in every pool of the slot.
    pub(crate) fn places(&self) -> u32 {
        let pax = if mutant!(FamilyCountsAsOne) { 1 } else { self.pax };
        self.quantity.saturating_mul(pax)
    }
}

/// What came of a command that made no booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operated {
    pub(crate) key: CommandKey,
    pub(crate) fingerprint: u64,
    /// The reply as `codec::encode_reply` gave it.
    pub(crate) reply: Vec<u8>,
}

impl Record {
    /// The key under which the command came.
    pub(crate) fn key(&self) -> Option<CommandKey> {
        match self {
            Self::Booking(booking) => booking.key,
            Self::Operated(operated) => Some(operated.key),
        }
    }
}

impl Wire for Record {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Booking(booking) => {
                writer.put(&0u8);
                writer.put(booking);
            }
            Self::Operated(Operated {
                key,
                fingerprint,
                reply,
            }) => {
                writer.put(&1u8);
                writer.put(key);
                writer.put(fingerprint);
                writer.length(reply.len());
                writer.raw(reply);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.take::<u8>()? {
            0 => Ok(Self::Booking(reader.take()?)),
            1 => {
                let (key, fingerprint) = (reader.take()?, reader.take()?);
                let length = reader.length()?;
                Ok(Self::Operated(Operated {
                    key,
                    fingerprint,
                    reply: reader.raw(length)?.to_vec(),
                }))
            }
            _ => Err(CodecError::Value { what: "record" }),
        }
    }
}

impl Row for Record {
    type Id = RecordId;

    fn key(id: RecordId) -> Key {
        Key::record(id)
    }
}
