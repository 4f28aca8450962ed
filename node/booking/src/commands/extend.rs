//! Extend: the hold's time starts again, a few times at most. What an `Expire` has not ended can still be extended:
//! the log decides, not the deadline.

use super::{find_booking, must_be_held, store_booking};
use crate::ids::{BookingId, VenueNo};
use crate::inventory::{Halt, Transaction};
use crate::outbox::{self, Event};
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::time::Timestamp;

/// So often at most; a place must not be held for ever without being sold.
const MAX_EXTENSIONS: u8 = 3;

pub(super) fn extend(transaction: &mut Transaction<'_>, venue: VenueNo, booking: BookingId) -> Result<Outcome, Halt> {
    let (id, mut booking) = find_booking(transaction, venue, booking)?;
    must_be_held(booking.status)?;
    if booking.extensions >= MAX_EXTENSIONS {
        let detail = format!("the hold was extended {MAX_EXTENSIONS} times already; confirm it or release it");
        return Err(Refusal::new(RefusalCode::ExtendLimit, detail).into());
    }
    let life = booking.first_deadline.0.saturating_sub(booking.created_at.0);
    let deadline = Timestamp(transaction.now.0.saturating_add(life));
    // Twice at one time: the reminder is there.
    if deadline != booking.deadline {
        booking.deadline = deadline;
        transaction.deadlines().note(venue, deadline, id.seq);
    }
    booking.extensions += 1;
    outbox::tell_booking(transaction, id, Event::Extended);
    store_booking(transaction, id, booking)
}
