//! Bookings as they are shown: to whoever sent a command, and to queries.

use sha2::{Digest, Sha256};

use crate::codec::wire::Writer;
use crate::ids::{BookingId, SlotRef, TicketId};
use crate::outcome::{BookingStatus, BookingView, LineView, TicketStatus, TicketView};
use crate::reference::Reference;
use crate::state::{Booking, Line, Lines, RecordId, VenueRow, tickets_of};

/// The booking as it stands.
pub(crate) fn booking(venue: &VenueRow, id: RecordId, booking: &Booking) -> BookingView {
    let held = booking.status == BookingStatus::Held;
    BookingView {
        id: BookingId {
            venue: id.venue,
            seq: id.seq,
            secret: booking.secret,
        },
        reference: Reference::new(&venue.slug, id.seq).to_string(),
        status: booking.status,
        venue: venue.slug.clone(),
        channel: booking.channel,
        currency: venue.currency.clone(),
        lines: booking.lines.iter().map(|line| line_view(venue, line)).collect(),
        total: booking.total(),
        created_at: booking.created_at,
        expires_at: held.then_some(booking.deadline),
        confirmed_at: booking.confirmed_at,
        ended_at: booking.ended_at,
        offset_minutes: booking.lines.first().map_or(0, |line| line.offset_minutes),
        tickets: tickets(venue, id, booking),
    }
}

/// Writes the bytes of what [`booking`] would show, without making it: most of a leader's work on a hold would be copies of
/// names that nobody but the encoder looks at.
pub(crate) fn write(writer: &mut Writer, venue: &VenueRow, id: RecordId, booking: &Booking) {
    if booking.confirmed_at.is_some() {
        writer.put(&self::booking(venue, id, booking)); // Tickets take more than copies.
        return;
    }
    writer.put(&BookingId {
        venue: id.venue,
        seq: id.seq,
        secret: booking.secret,
    });
    writer.text(&Reference::new(&venue.slug, id.seq));
    writer.put(&booking.status);
    writer.text(&venue.slug);
    writer.put(&booking.channel);
    writer.text(&venue.currency);
    writer.length(booking.lines.len());
    for line in &booking.lines {
        writer.text(venue.name(line.product));
        writer.put(&line.start);
        writer.put(&line.offset_minutes);
        writer.text(venue.name(line.unit));
        writer.put(&line.quantity);
        writer.put(&line.unit_price);
        writer.put(&line.tax);
        writer.put(&line.total);
        writer.put(&line.cancelled);
    }
    writer.put(&booking.total());
    writer.put(&booking.created_at);
    let held = booking.status == BookingStatus::Held;
    writer.put(&held.then_some(booking.deadline));
    writer.put(&booking.confirmed_at);
    writer.put(&booking.ended_at);
    writer.put(&booking.lines.first().map_or(0, |line| line.offset_minutes));
    writer.length(0); // No tickets.
}

fn line_view(venue: &VenueRow, line: &Line) -> LineView {
    LineView {
        slot: slot_ref(venue, line),
        unit: venue.name(line.unit).to_owned(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        tax: line.tax,
        total: line.total,
        cancelled: line.cancelled,
    }
}

pub(crate) fn slot_ref(venue: &VenueRow, line: &Line) -> SlotRef {
    SlotRef {
        product: venue.name(line.product).to_owned(),
        start: line.start,
        offset_minutes: line.offset_minutes,
    }
}

/// One ticket for each person, in order of lines. They are not stored: number, serial and secret follow from the
/// booking's row. Those of earlier issues are void and not shown.
fn tickets(venue: &VenueRow, id: RecordId, booking: &Booking) -> Vec<TicketView> {
    if booking.confirmed_at.is_none() {
        return Vec::new();
    }
    let issue = Issue::present(booking);
    issue.tickets(venue, id, booking)
}

/// Tickets that were issued together.
#[derive(Clone, Copy)]
pub(crate) struct Issue<'a> {
    nonce: u64,
    first_serial: u64,
    first_number: u16,
    lines: &'a Lines,
    /// Exchanged, or all cancelled.
    void: bool,
}

impl<'a> Issue<'a> {
    /// The one that counts.
    fn present(booking: &'a Booking) -> Self {
        Self {
            nonce: booking.nonce,
            first_serial: booking.first_serial,
            first_number: booking.first_number,
            lines: &booking.lines,
            void: booking.status != BookingStatus::Confirmed,
        }
    }

    /// The one that `number` is of, if the booking ever had tickets.
    fn of_number(booking: &'a Booking, number: u16) -> Option<Self> {
        booking.confirmed_at?;
        if number >= booking.first_number {
            return Some(Self::present(booking));
        }
        let past = booking.past.iter().rev().find(|past| number >= past.first_number)?;
        Some(Self {
            nonce: past.nonce,
            first_serial: past.first_serial,
            first_number: past.first_number,
            lines: &past.lines,
            void: true,
        })
    }

    fn tickets(self, venue: &VenueRow, id: RecordId, booking: &Booking) -> Vec<TicketView> {
        tickets_of(self.first_number, self.lines)
            .map(|(number, line)| self.ticket(venue, id, booking, number, line))
            .collect()
    }

    fn ticket(self, venue: &VenueRow, id: RecordId, booking: &Booking, number: u16, line: &Line) -> TicketView {
        TicketView {
            id: TicketId {
                venue: id.venue,
                seq: id.seq,
                number,
                secret: ticket_secret(self.nonce, booking.secret, number),
            },
            serial: self.first_serial + u64::from(number - self.first_number),
            unit: venue.name(line.unit).to_owned(),
            slot: slot_ref(venue, line),
            status: if self.void || line.cancelled {
                TicketStatus::Void
            } else {
                TicketStatus::Valid
            },
        }
    }
}

/// The ticket that `id` names, with the line that it is of. A wrong secret is as good as a wrong number.
pub(crate) fn ticket<'a>(venue: &VenueRow, id: TicketId, booking: &'a Booking) -> Option<(TicketView, &'a Line)> {
    let issue = Issue::of_number(booking, id.number)?;
    let (number, line) = tickets_of(issue.first_number, issue.lines).find(|(number, _)| *number == id.number)?;
    let record = RecordId {
        venue: id.venue,
        seq: id.seq,
    };
    let ticket = issue.ticket(venue, record, booking, number, line);
    (ticket.id == id).then_some((ticket, line))
}

/// The unguessable part of a ticket's id: the first eight bytes of SHA-256 over the nonce of the issue, the booking's
/// secret and the ticket's number. One ticket tells nothing of the others, nor of the booking.
fn ticket_secret(nonce: u64, booking: u64, number: u16) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(nonce.to_be_bytes());
    hasher.update(booking.to_be_bytes());
    hasher.update(number.to_be_bytes());
    let digest = hasher.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |secret, byte| secret << 8 | u64::from(*byte))
}
