//! Cancel: a confirmed booking, or some of its lines, are undone before their slots begin. Voids the tickets, reverses the
//! sale, and gives the places back in the same entry.

use super::tickets::{make_void, none_admitted, slot_of};
use super::{find_booking, must_be_held, store_booking};
use crate::ids::{BookingId, VenueNo};
use crate::inventory::{Halt, Shift, Transaction};
use crate::ledger::{self, Account, Posted, Reason};
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, LineProblem, Outcome, Refusal, RefusalCode};
use crate::state::{Booking, Catalogue, Line, RecordId};
use crate::time::Timestamp;

pub(super) fn cancel(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    booking: BookingId,
    lines: &[u16],
) -> Result<Outcome, Halt> {
    let (id, mut booking) = find_booking(transaction, venue, booking)?;
    must_be_confirmed(&booking)?;
    let catalogue = transaction.known_catalogue(venue)?;
    must_be_live(&booking, lines)?;
    let concerned = |line: u16| lines.is_empty() || lines.contains(&line);
    must_not_have_begun(&booking, concerned, transaction.now)?;
    none_admitted(transaction, id, &booking, concerned)?;
    if booking.live_lines().any(|(line, _)| !concerned(line)) {
        must_stand_without(&catalogue, &booking, concerned)?;
    }
    undo(transaction, id, &mut booking, Reason::Reversal, concerned)?;
    store_booking(transaction, id, booking)
}

/// Refuses what only a confirmed booking allows.
pub(super) fn must_be_confirmed(booking: &Booking) -> Result<(), Refusal> {
    match booking.status {
        BookingStatus::Confirmed => Ok(()),
        BookingStatus::Held => {
            let detail = "the booking is held, not confirmed; release it instead";
            Err(Refusal::new(RefusalCode::NotConfirmed, detail))
        }
        ended => must_be_held(ended),
    }
}

fn must_be_live(booking: &Booking, lines: &[u16]) -> Result<(), Refusal> {
    let unknown: Vec<LineProblem> = lines
        .iter()
        .filter(|line| !booking.live_lines().any(|(live, _)| live == **line))
        .map(|line| LineProblem {
            line: *line,
            left: None,
            detail: "no such line, or cancelled already".to_owned(),
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let detail = "the booking has no such line, or it was cancelled already; lines count from 0";
    Err(Refusal::about(RefusalCode::UnknownLine, detail, unknown))
}

/// Refuses once one of the slots has begun.
pub(super) fn must_not_have_begun(
    booking: &Booking,
    concerned: impl Fn(u16) -> bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    let begun: Vec<LineProblem> = booking
        .live_lines()
        .filter(|(number, line)| concerned(*number) && line.start <= now)
        .map(|(line, _)| LineProblem {
            line,
            left: None,
            detail: "the slot has begun".to_owned(),
        })
        .collect();
    if begun.is_empty() {
        return Ok(());
    }
    let detail = "a slot of the booking has begun; it can no longer be cancelled or exchanged";
    Err(Refusal::about(RefusalCode::SlotInPast, detail, begun))
}

/// What stays must be a booking that could have been made: nobody alone who must not be, no fewer than the least.
fn must_stand_without(
    catalogue: &Catalogue,
    booking: &Booking,
    concerned: impl Fn(u16) -> bool,
) -> Result<(), Refusal> {
    let stays: Vec<(u16, &Line)> = booking.live_lines().filter(|(line, _)| !concerned(*line)).collect();
    let name = |line: &Line| catalogue.row.name(line.unit);
    for (number, line) in &stays {
        let Some(product) = catalogue.product_of(line.product) else {
            continue; // Sold once and no longer in the catalogue: there is no rule to hold it to.
        };
        let unit = product.units.iter().find(|unit| unit.slug == name(line));
        let companions = unit.map_or(&[][..], |unit| &unit.accompanied_by);
        let same_slot = |other: &Line| (other.product, other.start) == (line.product, line.start);
        let accompanied = companions.is_empty()
            || stays
                .iter()
                .any(|(_, other)| same_slot(other) && companions.iter().any(|companion| companion == name(other)));
        let problem = |detail: String, left| {
            vec![LineProblem {
                line: *number,
                left,
                detail,
            }]
        };
        if !accompanied {
            let detail = "somebody would be left who must not come alone; cancel that line too";
            let lines = problem(format!("comes with one of: {}", companions.join(", ")), None);
            return Err(Refusal::about(RefusalCode::NotAccompanied, detail, lines));
        }
        let of_product = stays.iter().filter(|(_, other)| other.product == line.product);
        let quantity: u64 = of_product.map(|(_, other)| u64::from(other.quantity)).sum();
        let least = product.min_units_per_booking;
        if quantity < u64::from(least) {
            let detail = "fewer would be left than a booking of the product has; cancel all of it";
            let lines = problem(format!("at least {least} of {}", product.slug), Some(least));
            return Err(Refusal::about(RefusalCode::QuantityOutOfRange, detail, lines));
        }
    }
    Ok(())
}

/// Gives the places of these lines back, voids their tickets and reverses their sale. Where no other line is left, the
/// booking is cancelled.
pub(super) fn undo(
    transaction: &mut Transaction<'_>,
    id: RecordId,
    booking: &mut Booking,
    reason: Reason,
    concerned: impl Fn(u16) -> bool,
) -> Result<(), Halt> {
    let catalogue = transaction.known_catalogue(id.venue)?;
    make_void(transaction, id, booking, &concerned)?;
    let back: Vec<(u16, Line)> = booking
        .live_lines()
        .filter(|(line, _)| concerned(*line))
        .map(|(number, line)| (number, *line))
        .collect();
    for (_, line) in &back {
        transaction.shift(&catalogue, slot_of(id.venue, line), line.places(), Shift::Cancel)?;
    }
    let lines: Vec<&Line> = back.iter().map(|(_, line)| line).collect();
    let posted = Posted {
        reason,
        booking: id.seq,
        channel: booking.channel,
        money: Account::Takings,
        back: &lines,
        sold: &[],
    };
    ledger::post(transaction, id.venue, &posted)?;
    if back.len() == booking.live_lines().count() {
        // The lines stay as they are: they show what was cancelled.
        booking.status = BookingStatus::Cancelled;
        booking.ended_at = Some(transaction.now);
        outbox::tell_booking(transaction, id, Event::Cancelled);
    } else {
        for (number, _) in back {
            booking.lines[usize::from(number)].cancelled = true;
        }
        outbox::tell_booking(transaction, id, Event::PartCancelled);
    }
    Ok(())
}
