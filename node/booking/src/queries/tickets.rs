//! Tickets: how they stand by their scans, what they prove, and what a gate without a network has to know.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::scan_rows;
use crate::admission::{Admits, TicketScans};
use crate::commands::admit::admission_view;
use crate::commands::ticket_keys::shown;
use crate::commands::tickets::{slot_of, terms};
use crate::ids::{TicketId, VenueNo};
use crate::inventory::{read_catalogue, read_clock};
use crate::keys::{self, Key};
use crate::outcome::{BookingStatus, BookingView, TicketStatus};
use crate::query::Answer;
use crate::rows::{ReadRows, RowsError};
use crate::state::{
    Booking, Catalogue, Record, RecordId, Scans, Slot, TicketKeys, TicketNo, VenueRow, VoidTickets, read_row,
};
use crate::ticket_key::{Claims, sign_bundle};
use crate::time::{ServiceDay, Timestamp};
use crate::{admission, views};

pub(super) fn ticket(rows: &impl ReadRows, id: TicketId) -> Result<Option<Answer>, RowsError> {
    let venue = id.venue;
    let record = RecordId { venue, seq: id.seq };
    let Some(Record::Booking(booking)) = read_row::<Record>(rows, record)? else {
        return Ok(None);
    };
    let Some(catalogue) = read_catalogue(rows, venue)? else {
        return Ok(None);
    };
    let Some((mut view, line)) = views::ticket(&catalogue.row, id, &booking) else {
        return Ok(None);
    };
    let time = read_clock(rows)?.unwrap_or_default();
    let slot = read_row::<Slot>(rows, slot_of(venue, line))?;
    let scans = read_row::<Scans>(rows, TicketNo::from(id))?;
    let void = view.status == TicketStatus::Void;
    let terms = match &scans {
        Some(scans) => scans.terms(void),
        None => terms(&catalogue, line, slot.as_ref(), void),
    };
    let facts = scans.map(|scans| scans.facts).unwrap_or_default();
    let judgement = admission::judge(terms, &facts);
    view.status = admission::status(terms, &judgement, time);
    let keys = read_row::<TicketKeys>(rows, venue)?.unwrap_or_default();
    let payload = keys.signing().filter(|_| !void).map(|key| {
        let claims = Claims {
            key: key.key,
            ticket: id,
            from: terms.from,
            until: terms.until,
            serial: view.serial,
        };
        claims.sign(&key.seed)
    });
    let product = catalogue.product_of(line.product);
    let unit = product.and_then(|product| product.units.iter().find(|unit| unit.slug == view.unit));
    let admits = Admits {
        unit: view.unit.clone(),
        slot: view.slot.clone(),
        serial: view.serial,
        id_required: unit.is_some_and(|unit| unit.id_required),
    };
    let scans = judgement.verdicts.iter();
    Ok(Some(Answer::Ticket(Box::new(TicketScans {
        venue: catalogue.row.slug.clone(),
        from: terms.from,
        until: terms.until,
        re_entry: terms.re_entry,
        scans: scans
            .map(|judged| admission_view(id, Some(admits.clone()), &facts, *judged))
            .collect(),
        payload,
        time,
        ticket: view,
    }))))
}

/// Brings a confirmed booking's view to what its tickets' scans say.
pub(super) fn bring_up_to_date(
    rows: &impl ReadRows,
    catalogue: &Catalogue,
    id: RecordId,
    booking: &Booking,
    view: &mut BookingView,
) -> Result<(), RowsError> {
    if booking.status != BookingStatus::Confirmed {
        return Ok(());
    }
    let time = read_clock(rows)?.unwrap_or_default();
    let of = |number| TicketNo {
        venue: id.venue,
        seq: id.seq,
        number,
    };
    let mut scanned: Vec<(u16, Scans)> = Vec::new();
    scan_rows::<Scans>(rows, &Key::scans(of(0)), &Key::scans(of(u16::MAX)), |key, scans| {
        scanned.extend(keys::ticket_number(key).map(|number| (number, scans)));
    })?;
    let mut slots: Vec<(crate::state::SlotId, Option<Slot>)> = Vec::new();
    for ((number, line), ticket) in booking.tickets().zip(&mut view.tickets) {
        let slot_id = slot_of(id.venue, line);
        if slots.iter().all(|(known, _)| *known != slot_id) {
            slots.push((slot_id, read_row::<Slot>(rows, slot_id)?));
        }
        let slot = slots
            .iter()
            .find(|(known, _)| *known == slot_id)
            .and_then(|(_, slot)| slot.as_ref());
        let void = ticket.status == TicketStatus::Void;
        let scans = scanned
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, scans)| scans);
        ticket.status = match scans {
            Some(scans) => admission::status(scans.terms(void), &scans.judged(void), time),
            None => admission::status(terms(catalogue, line, slot, void), &Default::default(), time),
        };
    }
    let came = |status| {
        matches!(
            status,
            TicketStatus::Inside | TicketStatus::Outside | TicketStatus::Used
        )
    };
    let mut counted = view
        .tickets
        .iter()
        .filter(|ticket| ticket.status != TicketStatus::Void)
        .peekable();
    if counted.peek().is_some() && counted.all(|ticket| came(ticket.status)) {
        view.status = BookingStatus::Redeemed;
    }
    Ok(())
}

pub(super) fn keys_of(rows: &impl ReadRows, venue: VenueNo) -> Result<Option<Answer>, RowsError> {
    if read_row::<VenueRow>(rows, venue)?.is_none() {
        return Ok(None);
    }
    let keys = read_row::<TicketKeys>(rows, venue)?.unwrap_or_default();
    Ok(Some(Answer::TicketKeys(shown(&keys))))
}

/// See [`crate::ticket_key`] for the text.
pub(super) fn gate_bundle(
    rows: &impl ReadRows,
    venue: VenueNo,
    from: ServiceDay,
    to: ServiceDay,
) -> Result<Option<Answer>, RowsError> {
    let Some(row) = read_row::<VenueRow>(rows, venue)? else {
        return Ok(None);
    };
    let keys = read_row::<TicketKeys>(rows, venue)?.unwrap_or_default();
    let Some(signing) = keys.signing() else {
        return Ok(None);
    };
    let time: Timestamp = read_clock(rows)?.unwrap_or_default();
    let mut text = String::with_capacity(1024);
    // Writing to a text does not fail.
    let _ = writeln!(text, "rotunda-gate-bundle 1");
    let _ = writeln!(text, "venue {} {venue}", row.slug);
    let _ = writeln!(text, "as-of {}", time.to_rfc3339(0));
    let _ = writeln!(text, "days {from} {to}");
    for key in shown(&keys).iter().filter(|key| key.retired_at.is_none()) {
        let public = key.public.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let _ = writeln!(text, "key {} {public}", key.key);
    }
    let first = Key::void(venue, from, 0);
    let last = Key::void(venue, ServiceDay(to.0.saturating_add(1)), 0);
    let mut broken = None;
    if *first < *last {
        rows.scan(
            &first,
            &last,
            &mut |key, value| match crate::state::checked_row::<VoidTickets>(key, value) {
                Ok(tickets) => {
                    let _ = write!(text, "void {}", keys::last_number(key).unwrap_or_default());
                    for number in tickets.0 {
                        let _ = write!(text, " {number}");
                    }
                    text.push('\n');
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
    }
    if let Some(error) = broken {
        return Err(error);
    }
    let signature = sign_bundle(&text, &signing.seed);
    Ok(Some(Answer::GateBundle {
        text,
        key: signing.key,
        signature,
    }))
}
