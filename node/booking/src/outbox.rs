//! The outbox: what happened, for whoever must hear of it, in the order in which it happened at the venue. It is written in
//! the entry of the change that it tells of, so there is no change without its event and no event without its change. Events
//! say what and which; who reads them looks the rest up. Those of a venue in one entry share a row.

use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer, wire_struct};
use crate::ids::VenueNo;
use crate::inventory::{Appended, StateHash, Transaction};
use crate::keys::Key;
use crate::state::{RecordId, SlotId};
use crate::time::Timestamp;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A hold, by the booking's sequence number, as are the next five.
    Held(u64),
    Extended(u64),
    Confirmed(u64),
    Released(u64),
    Expired(u64),
    Cancelled(u64),
    /// Capacity or closing, by the operator or by a new plan: number of the product's name, start.
    SlotChanged(u16, Timestamp),
    /// A ticket was let in, or came back: the booking's sequence number, the ticket's number; as are the next two.
    Admitted(u64, u16),
    /// Its visitor left.
    Left(u64, u16),
    /// What its scans had come to is no longer so: the staff took one back, or an earlier one has come to light.
    AdmissionChanged(u64, u16),
    /// The booking got other places: its sequence number, as in the next.
    Rebooked(u64),
    /// Some of its lines were cancelled.
    PartCancelled(u64),
}

impl Wire for Event {
    fn write(&self, writer: &mut Writer) {
        let (tag, seq) = match self {
            Self::Admitted(seq, number) | Self::Left(seq, number) | Self::AdmissionChanged(seq, number) => {
                writer.put(match self {
                    Self::Admitted(..) => &7u8,
                    Self::Left(..) => &8,
                    _ => &9,
                });
                writer.put(seq);
                writer.put(number);
                return;
            }
            Self::Rebooked(seq) => (10u8, seq),
            Self::PartCancelled(seq) => (11, seq),
            Self::Held(seq) => (0, seq),
            Self::Extended(seq) => (1, seq),
            Self::Confirmed(seq) => (2, seq),
            Self::Released(seq) => (3, seq),
            Self::Expired(seq) => (4, seq),
            Self::Cancelled(seq) => (5, seq),
            Self::SlotChanged(product, start) => {
                writer.put(&6u8);
                writer.put(product);
                writer.put(start);
                return;
            }
        };
        writer.put(&tag);
        writer.put(seq);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Held(reader.take()?),
            1 => Self::Extended(reader.take()?),
            2 => Self::Confirmed(reader.take()?),
            3 => Self::Released(reader.take()?),
            4 => Self::Expired(reader.take()?),
            5 => Self::Cancelled(reader.take()?),
            6 => Self::SlotChanged(reader.take()?, reader.take()?),
            7 => Self::Admitted(reader.take()?, reader.take()?),
            8 => Self::Left(reader.take()?, reader.take()?),
            9 => Self::AdmissionChanged(reader.take()?, reader.take()?),
            10 => Self::Rebooked(reader.take()?),
            11 => Self::PartCancelled(reader.take()?),
            _ => return Err(CodecError::Value { what: "event" }),
        })
    }
}

/// One row of the outbox: what happened at a venue in one entry, numbered from the number in the row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    pub(crate) at: Timestamp,
    /// Log index of the entry.
    pub(crate) index: u64,
    pub(crate) events: Vec<Event>,
}

wire_struct!(OutboxRow { at, index, events });

/// What has happened in the entry that is being applied, by venue.
#[derive(Debug, Default)]
pub(crate) struct Events(Vec<OfVenue>);

#[derive(Debug)]
struct OfVenue {
    venue: VenueNo,
    first: u64,
    row: OutboxRow,
}

impl Events {
    /// Hands the rows over, and is empty.
    pub(crate) fn flush(&mut self, appended: &mut Appended, hash: &mut StateHash) {
        for OfVenue { venue, first, row } in self.0.drain(..) {
            appended.put(hash, Key::outbox(venue, first), &row);
        }
    }
}

/// Writes a line.
pub(crate) fn tell(transaction: &mut Transaction<'_>, venue: VenueNo, event: Event) {
    let (at, index) = (transaction.now, transaction.index);
    let counters = transaction.counters_mut(venue);
    let number = counters.next_event;
    counters.next_event += 1;
    let of_venues = &mut transaction.events().0;
    match of_venues.iter_mut().find(|of_venue| of_venue.venue == venue) {
        Some(of_venue) => of_venue.row.events.push(event),
        None => of_venues.push(OfVenue {
            venue,
            first: number,
            row: OutboxRow {
                at,
                index,
                events: vec![event],
            },
        }),
    }
}

/// Writes a line about a booking.
pub(crate) fn tell_booking(transaction: &mut Transaction<'_>, id: RecordId, event: fn(u64) -> Event) {
    tell(transaction, id.venue, event(id.seq));
}

/// Writes a line about a slot.
pub(crate) fn tell_slot(transaction: &mut Transaction<'_>, id: SlotId) {
    tell(transaction, id.venue, Event::SlotChanged(id.product, id.start));
}
