//! Cancel: a confirmed booking is undone before its first slot begins. Voids the tickets, reverses the sale, and gives
//! the places back in the same entry.

use super::{find_booking, must_be_held, store_booking};
use crate::ids::{BookingId, VenueNo};
use crate::inventory::{Halt, Shift, Transaction};
use crate::ledger::{self, Reason};
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, LineProblem, Outcome, Refusal, RefusalCode};

pub(super) fn cancel(transaction: &mut Transaction<'_>, venue: VenueNo, booking: BookingId) -> Result<Outcome, Halt> {
    let (id, mut booking) = find_booking(transaction, venue, booking)?;
    match booking.status {
        BookingStatus::Confirmed => {}
        BookingStatus::Held => {
            let detail = "the booking is held, not confirmed; release it instead";
            return Err(Refusal::new(RefusalCode::NotConfirmed, detail).into());
        }
        ended => must_be_held(ended)?,
    }
    let begun: Vec<LineProblem> = (0u16..)
        .zip(&booking.lines)
        .filter(|(_, line)| line.start <= transaction.now)
        .map(|(line, _)| LineProblem {
            line,
            left: None,
            detail: "the slot has begun".to_owned(),
        })
        .collect();
    if !begun.is_empty() {
        let detail = "a slot of the booking has begun; it can no longer be cancelled";
        return Err(Refusal::about(RefusalCode::SlotInPast, detail, begun).into());
    }
    transaction.shift_booking(venue, &booking, Shift::Cancel)?;
    booking.status = BookingStatus::Cancelled;
    booking.ended_at = Some(transaction.now);
    ledger::post(transaction, venue, Reason::Reversal, id.seq, &booking);
    outbox::tell_booking(transaction, id, Event::Cancelled);
    store_booking(transaction, id, booking)
}
