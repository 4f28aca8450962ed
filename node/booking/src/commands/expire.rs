//! Expire: ends the holds whose time is over, so many in one entry. The only way in which time frees a place; a read
//! never does.

use std::ops::ControlFlow;

use crate::ids::VenueNo;
use crate::inventory::{Halt, Shift, Transaction};
use crate::keys::{self, Key};
use crate::mutant::mutant;
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, Outcome};
use crate::state::{Record, RecordId, damaged};
use crate::time::Timestamp;

/// So many in one entry, whatever the command says: an entry must not hold up those behind it.
const MAX_EXPIRED: u32 = 4096;

pub(super) fn expire(transaction: &mut Transaction<'_>, venue: VenueNo, limit: u32) -> Result<Outcome, Halt> {
    let limit = limit.min(MAX_EXPIRED) as usize;
    let now = transaction.now;
    let from = Key::deadline(venue, transaction.counters(venue).expired_through, 0);
    let to = Key::deadline(venue, Timestamp(now.0.saturating_add(1)), 0);
    let mut due: Vec<(Timestamp, RecordId)> = Vec::new();
    let mut more = false;
    transaction.rows().scan(&from, &to, &mut |key, _| {
        let Some((deadline, seq)) = keys::deadline_of(key) else {
            return ControlFlow::Continue(());
        };
        let id = RecordId { venue, seq };
        // The scan still shows rows that this entry has removed; their bookings are at hand and tell.
        let gone = transaction.record_at_hand(id).is_some_and(|record| match record {
            Record::Booking(booking) => booking.status != BookingStatus::Held || booking.deadline != deadline,
            Record::Operated(_) => true,
        });
        if gone {
            return ControlFlow::Continue(());
        }
        if due.len() == limit {
            more = true;
            return ControlFlow::Break(());
        }
        due.push((deadline, id));
        ControlFlow::Continue(())
    })?;
    for (deadline, id) in &due {
        let key = Key::deadline(venue, *deadline, id.seq);
        let booking = match transaction.record(*id)? {
            Some(Record::Booking(booking)) if booking.status == BookingStatus::Held => booking,
            _ => return Err(damaged(&key, "a deadline of what is not held".to_owned()).into()),
        };
        let mut booking = booking.clone();
        transaction.remove_empty(key);
        if !mutant!(ExpiryKeepsPlaces) {
            transaction.shift_booking(venue, &booking, Shift::Release)?;
        }
        booking.status = BookingStatus::Expired;
        booking.ended_at = Some(now);
        transaction.set_booking(*id, booking)?;
        outbox::tell_booking(transaction, *id, Event::Expired);
    }
    let through = if more {
        due.last().map(|(deadline, _)| *deadline)
    } else {
        Some(now)
    };
    if let Some(through) = through
        && !due.is_empty()
    {
        transaction.counters_mut(venue).expired_through = through;
    }
    Ok(Outcome::Expired {
        count: due.len() as u32,
        more,
    })
}
