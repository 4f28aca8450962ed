//! Release: a hold is given back before its time is over.

use super::{find_booking, must_be_held, store_booking};
use crate::ids::{BookingId, VenueNo};
use crate::inventory::{Halt, Shift, Transaction};
use crate::mutant::mutant;
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, Outcome};

pub(super) fn release(transaction: &mut Transaction<'_>, venue: VenueNo, booking: BookingId) -> Result<Outcome, Halt> {
    let (id, mut booking) = find_booking(transaction, venue, booking)?;
    if !(mutant!(ReleaseAfterExpiry) && booking.status == BookingStatus::Expired) {
        must_be_held(booking.status)?;
    }
    transaction.shift_booking(venue, &booking, Shift::Release)?;
    booking.status = BookingStatus::Released;
    booking.ended_at = Some(transaction.now);
    outbox::tell_booking(transaction, id, Event::Released);
    store_booking(transaction, id, booking)
}
