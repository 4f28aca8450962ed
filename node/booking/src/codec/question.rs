//! The layouts of questions and answers: between binaries, never stored.

use crate::admission::{FootfallView, TicketScans};
use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer, wire_struct, wire_tag};
use crate::query::{Answer, EventKind, EventPosition, EventView, NoShowRow, Query, SalesRow};

wire_struct!(TicketScans {
    ticket,
    venue,
    from,
    until,
    re_entry,
    scans,
    payload,
    time
});
wire_struct!(FootfallView {
    day,
    hour,
    offset_minutes,
    product,
    entered,
    left,
    visitors
});
wire_struct!(SalesRow {
    product,
    unit,
    channel,
    quantity,
    gross,
    tax
});
wire_struct!(NoShowRow {
    day,
    product,
    sold,
    admitted
});

wire_struct!(EventPosition { row, next });
wire_struct!(EventView {
    number,
    end,
    at,
    index,
    kind,
    booking,
    ticket,
    slot
});
wire_tag!(EventKind {
    Held,
    Extended,
    Confirmed,
    Released,
    Expired,
    Cancelled,
    SlotChanged,
    Admitted,
    Left,
    AdmissionChanged,
    Rebooked,
    PartCancelled
});

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
            Self::Ticket { ticket } => {
                writer.put(&3u8);
                writer.put(ticket);
            }
            Self::TicketKeys { venue } => {
                writer.put(&4u8);
                writer.put(venue);
            }
            Self::GateBundle { venue, from, to } => {
                writer.put(&5u8);
                writer.put(venue);
                writer.put(from);
                writer.put(to);
            }
            Self::Footfall { venue, from, to } => {
                writer.put(&6u8);
                writer.put(venue);
                writer.put(from);
                writer.put(to);
            }
            Self::Ledger { venue, after, limit } => {
                writer.put(&7u8);
                writer.put(venue);
                writer.put(after);
                writer.put(limit);
            }
            Self::Sales { venue, from, to } => {
                writer.put(&8u8);
                writer.put(venue);
                writer.put(from);
                writer.put(to);
            }
            Self::NoShows { venue, from, to } => {
                writer.put(&9u8);
                writer.put(venue);
                writer.put(from);
                writer.put(to);
            }
            Self::Events { venue, after, limit } => {
                writer.put(&10u8);
                writer.put(venue);
                writer.put(after);
                writer.put(limit);
            }
            Self::Drawer { venue, drawer } => {
                writer.put(&30u8);
                writer.put(venue);
                writer.put(drawer);
            }
            Self::Audit { venue, after, limit } => {
                writer.put(&20u8);
                writer.put(venue);
                writer.put(after);
                writer.put(limit);
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
            3 => Self::Ticket { ticket: reader.take()? },
            4 => Self::TicketKeys { venue: reader.take()? },
            5 => Self::GateBundle {
                venue: reader.take()?,
                from: reader.take()?,
                to: reader.take()?,
            },
            6 => Self::Footfall {
                venue: reader.take()?,
                from: reader.take()?,
                to: reader.take()?,
            },
            7 => Self::Ledger {
                venue: reader.take()?,
                after: reader.take()?,
                limit: reader.take()?,
            },
            8 => Self::Sales {
                venue: reader.take()?,
                from: reader.take()?,
                to: reader.take()?,
            },
            9 => Self::NoShows {
                venue: reader.take()?,
                from: reader.take()?,
                to: reader.take()?,
            },
            10 => Self::Events {
                venue: reader.take()?,
                after: reader.take()?,
                limit: reader.take()?,
            },
            20 => Self::Audit {
                venue: reader.take()?,
                after: reader.take()?,
                limit: reader.take()?,
            },
            30 => Self::Drawer {
                venue: reader.take()?,
                drawer: reader.take()?,
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
            Self::Ticket(ticket) => {
                writer.put(&4u8);
                writer.put(ticket);
            }
            Self::TicketKeys(keys) => {
                writer.put(&5u8);
                writer.put(keys);
            }
            Self::GateBundle { text, key, signature } => {
                writer.put(&6u8);
                writer.put(text);
                writer.put(key);
                writer.raw(signature);
            }
            Self::Footfall {
                time,
                building_capacity,
                rows,
            } => {
                writer.put(&7u8);
                writer.put(time);
                writer.put(building_capacity);
                writer.put(rows);
            }
            Self::Ledger {
                currency,
                currency_digits,
                lines,
                last,
                time,
            } => {
                writer.put(&8u8);
                writer.put(currency);
                writer.put(currency_digits);
                writer.put(lines);
                writer.put(last);
                writer.put(time);
            }
            Self::Sales { currency, rows, time } => {
                writer.put(&9u8);
                writer.put(currency);
                writer.put(rows);
                writer.put(time);
            }
            Self::Events {
                events,
                end,
                more,
                time,
            } => {
                writer.put(&10u8);
                writer.put(events);
                writer.put(end);
                writer.put(more);
                writer.put(time);
            }
            Self::NoShows { rows, time } => {
                writer.put(&30u8);
                writer.put(rows);
                writer.put(time);
            }
            Self::Drawer(view) => {
                writer.put(&31u8);
                writer.put(view);
            }
            Self::Audit { lines, last, time } => {
                writer.put(&20u8);
                writer.put(lines);
                writer.put(last);
                writer.put(time);
            }
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
            4 => Self::Ticket(reader.take()?),
            5 => Self::TicketKeys(reader.take()?),
            6 => Self::GateBundle {
                text: reader.take()?,
                key: reader.take()?,
                signature: reader.array()?,
            },
            7 => Self::Footfall {
                time: reader.take()?,
                building_capacity: reader.take()?,
                rows: reader.take()?,
            },
            8 => Self::Ledger {
                currency: reader.take()?,
                currency_digits: reader.take()?,
                lines: reader.take()?,
                last: reader.take()?,
                time: reader.take()?,
            },
            9 => Self::Sales {
                currency: reader.take()?,
                rows: reader.take()?,
                time: reader.take()?,
            },
            10 => Self::Events {
                events: reader.take()?,
                end: reader.take()?,
                more: reader.take()?,
                time: reader.take()?,
            },
            20 => Self::Audit {
                lines: reader.take()?,
                last: reader.take()?,
                time: reader.take()?,
            },
            30 => Self::NoShows {
                rows: reader.take()?,
                time: reader.take()?,
            },
            31 => Self::Drawer(reader.take()?),
            _ => return Err(CodecError::Value { what: "answer" }),
        })
    }
}
