//! The layouts of outcomes and of what they show. As those of commands, they are stored and do not change.

use crate::admission::{AdmissionView, Admits, FirstAdmission, Verdict};
use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer, wire_struct, wire_tag};
use crate::ids::BookingId;
use crate::ids::TicketId;
use crate::outcome::{
    BookingStatus, BookingView, DrawerView, LineProblem, LineView, Outcome, Refusal, RefusalCode, Reply, SlotStatus,
    SlotView, TicketStatus, TicketView,
};
use crate::ticket_key::TicketKeyView;

wire_tag!(BookingStatus {
    Held,
    Confirmed,
    Expired,
    Released,
    Cancelled,
    Redeemed
});
wire_tag!(TicketStatus {
    Valid,
    Void,
    Inside,
    Outside,
    Used,
    NoShow
});
wire_tag!(Verdict {
    Accepted,
    Duplicate,
    WrongVenue,
    WrongDay,
    OutsideWindow,
    Void,
    Unknown,
    Annulled,
    NotInside
});
wire_struct!(AdmissionView {
    ticket,
    gate,
    device,
    device_seq,
    direction,
    at,
    verdict,
    first,
    admits,
    offset_minutes
});
wire_struct!(FirstAdmission {
    at,
    gate,
    device,
    device_seq
});
wire_struct!(Admits {
    unit,
    slot,
    serial,
    id_required
});
wire_struct!(TicketKeyView {
    key,
    public,
    created_at,
    retired_at
});
wire_struct!(DrawerView {
    drawer,
    currency,
    opened_at,
    closed_at,
    float,
    sales,
    bookings,
    counted
});
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
    total,
    cancelled
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

/// By itself: as of a booking without lines.
impl Wire for TicketView {
    fn write(&self, writer: &mut Writer) {
        writer.put(&BookingId {
            venue: self.id.venue,
            seq: self.id.seq,
            secret: 0,
        });
        write_ticket(
            writer,
            self,
            &BookingId {
                venue: self.id.venue,
                seq: self.id.seq,
                secret: 0,
            },
            &[],
        );
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let id = reader.take()?;
        read_ticket(reader, &id, &[])
    }
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
            Self::Rebooked { booking, difference } => {
                writer.put(&6u8);
                writer.put(booking);
                writer.put(difference);
            }
            Self::Admission(view) => {
                writer.put(&7u8);
                writer.put(view);
            }
            Self::Merged { scans, conflicts } => {
                writer.put(&8u8);
                writer.put(scans);
                writer.put(conflicts);
            }
            Self::TicketKeys(keys) => {
                writer.put(&9u8);
                writer.put(keys);
            }
            Self::Drawer(view) => {
                writer.put(&10u8);
                writer.put(view);
            }
            Self::Probed { held } => {
                writer.put(&11u8);
                writer.put(held);
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
            6 => Self::Rebooked {
                booking: reader.take()?,
                difference: reader.take()?,
            },
            7 => Self::Admission(reader.take()?),
            8 => Self::Merged {
                scans: reader.take()?,
                conflicts: reader.take()?,
            },
            9 => Self::TicketKeys(reader.take()?),
            10 => Self::Drawer(reader.take()?),
            11 => Self::Probed { held: reader.take()? },
            _ => return Err(CodecError::Value { what: "outcome" }),
        })
    }
}
