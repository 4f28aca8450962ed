//! Confirm: what is held is sold. Issues the tickets and writes the sale to the journal. A hold past its deadline that
//! no `Expire` has ended yet is confirmed: the log decides which came first.

use super::{drawers, find_booking, must_be_held, store_booking};
use crate::command::Payment;
use crate::ids::{BookingId, VenueNo};
use crate::inventory::{Halt, Shift, Transaction};
use crate::ledger::{self, Account, Posted, Reason};
use crate::mutant::mutant;
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, Outcome};

pub(super) fn confirm(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    booking: BookingId,
    nonce: u64,
    payment: Option<&Payment>,
) -> Result<Outcome, Halt> {
    let (id, mut booking) = find_booking(transaction, venue, booking)?;
    if !(mutant!(ConfirmAfterExpiry) && booking.status == BookingStatus::Expired) {
        must_be_held(booking.status)?;
    }
    let money = match payment {
        None => Account::Takings,
        Some(Payment::Card) => Account::Card,
        Some(Payment::Cash { drawer }) => {
            drawers::take(transaction, venue, drawer, booking.total())?;
            Account::Cash
        }
    };
    transaction.shift_booking(venue, &booking, Shift::Sell)?;
    let counters = transaction.counters_mut(venue);
    booking.first_serial = counters.next_serial;
    counters.next_serial += booking.persons();
    booking.status = BookingStatus::Confirmed;
    booking.confirmed_at = Some(transaction.now);
    booking.nonce = nonce;
    let posted = Posted {
        reason: Reason::Sale,
        booking: id.seq,
        channel: booking.channel,
        money,
        back: &[],
        sold: &booking.lines.iter().collect::<Vec<_>>(),
    };
    ledger::post(transaction, venue, &posted)?;
    outbox::tell_booking(transaction, id, Event::Confirmed);
    store_booking(transaction, id, booking)
}
