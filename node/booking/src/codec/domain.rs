//! The layouts of the domain's types. The order of fields and the numbers of variants are stored in logs and rows:
//! a change needs a new version byte, not an edit.

use crate::catalogue::VenueDefinition;
use crate::catalogue::encoding::{decode_venue, encode_venue};
use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer, skip_field, wire_newtype, wire_struct, wire_tag};
use crate::command::{Channel, Command, HoldRequest, LineRequest, Operation, SlotChange, SlotPlan, SlotSpec};
use crate::ids::{BookingId, CommandKey, SlotRef, TicketId, VenueNo};
use crate::outcome::{
    BookingStatus, BookingView, LineProblem, LineView, Outcome, Refusal, RefusalCode, Reply, SlotStatus, SlotView,
    TicketStatus, TicketView,
};
use crate::query::{Answer, Query};
use crate::time::{ServiceDay, Timestamp};

wire_newtype!(Timestamp, ServiceDay, VenueNo, CommandKey);

wire_struct!(BookingId { venue, seq, secret });
wire_struct!(TicketId {
    venue,
    seq,
    number,
    secret
});
wire_struct!(SlotRef {
    product,
    start,
    offset_minutes
});

/// A definition has a canonical form of its own, from which its revision is taken; here it stands behind its length.
impl Wire for VenueDefinition {
    fn write(&self, writer: &mut Writer) {
        let mut encoded = Vec::with_capacity(2048);
        encode_venue(self, &mut encoded);
        writer.length(encoded.len());
        writer.raw(&encoded);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = reader.length()?;
        match decode_venue(reader.raw(length)?) {
            Ok((definition, read)) if read == length => Ok(definition),
            _ => Err(CodecError::Value {
                what: "venue definition",
            }),
        }
    }
}

wire_tag!(Channel {
    Web,
    Kiosk,
    Counter,
    Reseller,
    Phone
});
wire_struct!(LineRequest { slot, unit, quantity });
wire_struct!(HoldRequest { secret, channel, lines });
wire_struct!(SlotSpec {
    start,
    end,
    occupies_until,
    offset_minutes,
    capacity
});
wire_struct!(SlotPlan {
    revision,
    product,
    day,
    slots
});
wire_struct!(Command {
    key,
    fingerprint,
    venue,
    operation
});

/// Passes over a command and gives its venue.
pub(super) fn check_command(reader: &mut Reader<'_>) -> Result<VenueNo, CodecError> {
    skip_field(|command: &Command| &command.key, reader)?;
    skip_field(|command: &Command| &command.fingerprint, reader)?;
    let venue = reader.take()?;
    skip_field(|command: &Command| &command.operation, reader)?;
    Ok(venue)
}

impl Wire for SlotChange {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Capacity(capacity) => {
                writer.put(&0u8);
                writer.put(capacity);
            }
            Self::Closed(closed) => {
                writer.put(&1u8);
                writer.put(closed);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.take::<u8>()? {
            0 => Ok(Self::Capacity(reader.take()?)),
            1 => Ok(Self::Closed(reader.take()?)),
            _ => Err(CodecError::Value { what: "slot change" }),
        }
    }
}

/// The number of [`Operation::Hold`].
const OPERATION_HOLD: u8 = 3;

impl Wire for Operation {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::ImportVenue(definition) => {
                writer.put(&0u8);
                writer.put(definition);
            }
            Self::SetSlots(plan) => {
                writer.put(&1u8);
                writer.put(plan);
            }
            Self::ChangeSlot { slot, change } => {
                writer.put(&2u8);
                writer.put(slot);
                writer.put(change);
            }
            Self::Hold(request) => {
                writer.put(&OPERATION_HOLD);
                writer.put(request);
            }
            Self::Extend { booking } => {
                writer.put(&4u8);
                writer.put(booking);
            }
            Self::Confirm { booking, nonce } => {
                writer.put(&5u8);
                writer.put(booking);
                writer.put(nonce);
            }
            Self::Release { booking } => {
                writer.put(&6u8);
                writer.put(booking);
            }
            Self::Cancel { booking } => {
                writer.put(&7u8);
                writer.put(booking);
            }
            Self::Expire { limit } => {
                writer.put(&8u8);
                writer.put(limit);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::ImportVenue(reader.take()?),
            1 => Self::SetSlots(reader.take()?),
            2 => Self::ChangeSlot {
                slot: reader.take()?,
                change: reader.take()?,
            },
            OPERATION_HOLD => Self::Hold(reader.take()?),
            4 => Self::Extend {
                booking: reader.take()?,
            },
            5 => Self::Confirm {
                booking: reader.take()?,
                nonce: reader.take()?,
            },
            6 => Self::Release {
                booking: reader.take()?,
            },
            7 => Self::Cancel {
                booking: reader.take()?,
            },
            8 => Self::Expire { limit: reader.take()? },
            _ => return Err(CodecError::Value { what: "operation" }),
        })
    }
    fn skip(reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let mut ahead = reader.clone();
        if ahead.take::<u8>()? == OPERATION_HOLD {
            *reader = ahead;
            return HoldRequest::skip(reader);
        }
        Self::read(reader).map(drop)
    }
}

wire_tag!(BookingStatus {
    Held,
    Confirmed,
    Expired,
    Released,
    Cancelled
});
wire_tag!(TicketStatus { Valid, Void });
wire_tag!(SlotStatus {
    Available,
    Limited,
    SoldOut,
    Closed,
    NotOnSale
});
wire_struct!(LineView {
    slot,
    unit,
    quantity,
    unit_price,
    tax,
    total
});
wire_struct!(SlotView {
    slot,
    end,
    day,
    status,
    capacity,
    held,
    confirmed,
    vacancies
});
wire_struct!(LineProblem { line, left, detail });
wire_struct!(Refusal { code, detail, lines });
wire_struct!(Reply {
    index,
    replayed,
    outcome
});

impl Wire for RefusalCode {
    fn write(&self, writer: &mut Writer) {
        writer.put(&(*self as u8));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::from_number(reader.take()?).ok_or(CodecError::Value { what: "refusal code" })
    }
}

/// A ticket that names no line of its booking, or another booking, spells its slot, unit and place out.
const SPELT_OUT: u8 = 255;

/// A booking's tickets nearly always repeat its place, and the slot and unit of one of its lines: each is then one byte.
fn write_ticket(writer: &mut Writer, ticket: &TicketView, id: &BookingId, lines: &[LineView]) {
    let line = (ticket.id.venue == id.venue && ticket.id.seq == id.seq)
        .then(|| {
            lines
                .iter()
                .position(|line| line.slot == ticket.slot && line.unit == ticket.unit)
        })
        .flatten()
        .and_then(|line| u8::try_from(line).ok())
        .filter(|line| *line != SPELT_OUT);
    writer.put(&line.unwrap_or(SPELT_OUT));
    if line.is_none() {
        writer.put(&ticket.id.venue);
        writer.put(&ticket.id.seq);
        writer.put(&ticket.slot);
        writer.put(&ticket.unit);
    }
    writer.put(&ticket.id.number);
    writer.put(&ticket.id.secret);
    writer.put(&ticket.serial);
    writer.put(&ticket.status);
}

fn read_ticket(reader: &mut Reader<'_>, id: &BookingId, lines: &[LineView]) -> Result<TicketView, CodecError> {
    let line = reader.take::<u8>()?;
    let (venue, seq, slot, unit) = if line == SPELT_OUT {
        (reader.take()?, reader.take()?, reader.take()?, reader.take()?)
    } else {
        let line = lines.get(usize::from(line)).ok_or(CodecError::Value {
            what: "line of a ticket",
        })?;
        (id.venue, id.seq, line.slot.clone(), line.unit.clone())
    };
    let id = TicketId {
        venue,
        seq,
        number: reader.take()?,
        secret: reader.take()?,
    };
    Ok(TicketView {
        id,
        serial: reader.take()?,
        unit,
        slot,
        status: reader.take()?,
    })
}

impl Wire for BookingView {
    fn write(&self, writer: &mut Writer) {
        writer.put(&self.id);
        writer.put(&self.reference);
        writer.put(&self.status);
        writer.put(&self.venue);
        writer.put(&self.channel);
        writer.put(&self.currency);
        writer.put(&self.lines);
        writer.put(&self.total);
        writer.put(&self.created_at);
        writer.put(&self.expires_at);
        writer.put(&self.confirmed_at);
        writer.put(&self.ended_at);
        writer.put(&self.offset_minutes);
        writer.length(self.tickets.len());
        for ticket in &self.tickets {
            write_ticket(writer, ticket, &self.id, &self.lines);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut view = Self {
            id: reader.take()?,
            reference: reader.take()?,
            status: reader.take()?,
            venue: reader.take()?,
            channel: reader.take()?,
            currency: reader.take()?,
            lines: reader.take()?,
            total: reader.take()?,
            created_at: reader.take()?,
            expires_at: reader.take()?,
            confirmed_at: reader.take()?,
            ended_at: reader.take()?,
            offset_minutes: reader.take()?,
            tickets: Vec::new(),
        };
        for _ in 0..reader.length()? {
            let ticket = read_ticket(reader, &view.id, &view.lines)?;
            view.tickets.push(ticket);
        }
        Ok(view)
    }
}

/// The number of [`Outcome::Booking`].
pub(crate) const OUTCOME_BOOKING: u8 = 0;

impl Wire for Outcome {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Booking(view) => {
                writer.put(&OUTCOME_BOOKING);
                writer.put(view);
            }
            Self::Refused(refusal) => {
                writer.put(&1u8);
                writer.put(refusal);
            }
            Self::Imported { revision, changed } => {
                writer.put(&2u8);
                writer.put(revision);
                writer.put(changed);
            }
            Self::SlotsSet { added, removed, kept } => {
                writer.put(&3u8);
                writer.put(added);
                writer.put(removed);
                writer.put(kept);
            }
            Self::SlotChanged(view) => {
                writer.put(&4u8);
                writer.put(view);
            }
            Self::Expired { count, more } => {
                writer.put(&5u8);
                writer.put(count);
                writer.put(more);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Booking(reader.take()?),
            1 => Self::Refused(reader.take()?),
            2 => Self::Imported {
                revision: reader.take()?,
                changed: reader.take()?,
            },
            3 => Self::SlotsSet {
                added: reader.take()?,
                removed: reader.take()?,
                kept: reader.take()?,
            },
            4 => Self::SlotChanged(reader.take()?),
            5 => Self::Expired {
                count: reader.take()?,
                more: reader.take()?,
            },
            _ => return Err(CodecError::Value { what: "outcome" }),
        })
    }
}

impl Wire for Query {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Venue { venue } => {
                writer.put(&0u8);
                writer.put(venue);
            }
            Self::Booking { booking } => {
                writer.put(&1u8);
                writer.put(booking);
            }
            Self::Availability {
                venue,
                product,
                from,
                to,
            } => {
                writer.put(&2u8);
                writer.put(venue);
                writer.put(product);
                writer.put(from);
                writer.put(to);
            }
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Venue { venue: reader.take()? },
            1 => Self::Booking {
                booking: reader.take()?,
            },
            2 => Self::Availability {
                venue: reader.take()?,
                product: reader.take()?,
                from: reader.take()?,
                to: reader.take()?,
            },
            _ => return Err(CodecError::Value { what: "query" }),
        })
    }
}

impl Wire for Answer {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Venue {
                revision,
                planned_through,
                definition,
            } => {
                writer.put(&0u8);
                writer.put(revision);
                writer.put(planned_through);
                writer.put(definition);
            }
            Self::Booking(view) => {
                writer.put(&1u8);
                writer.put(view);
            }
            Self::Availability { time, slots } => {
                writer.put(&2u8);
                writer.put(time);
                writer.put(slots);
            }
            Self::NotFound => writer.put(&3u8),
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match reader.take::<u8>()? {
            0 => Self::Venue {
                revision: reader.take()?,
                planned_through: reader.take()?,
                definition: reader.take()?,
            },
            1 => Self::Booking(reader.take()?),
            2 => Self::Availability {
                time: reader.take()?,
                slots: reader.take()?,
            },
            3 => Self::NotFound,
            _ => return Err(CodecError::Value { what: "answer" }),
        })
    }
}
