//! Tours that need so many visitors: what is sold of one is remembered by the time at which it is decided, and then the
//! tour takes place or is cancelled for everybody in one entry, with the reversal in the ledger.

use super::cancel::undo;
use super::expire::end;
use super::tickets::{none_admitted, slot_of};
use crate::catalogue::ProductDefinition;
use crate::ids::VenueNo;
use crate::inventory::{Halt, Transaction};
use crate::keys::{self, Key};
use crate::ledger::Reason;
use crate::outcome::BookingStatus;
use crate::pools;
use crate::rows::RowsError;
use crate::state::{Record, RecordId, SlotId, Tour, TourId};
use crate::time::Timestamp;
use std::ops::ControlFlow;

/// Remembers that a booking has places of a tour that may yet be cancelled.
pub(super) fn note(
    transaction: &mut Transaction<'_>,
    product: &ProductDefinition,
    id: SlotId,
    booking: u64,
) -> Result<(), RowsError> {
    let Some(due) = pools::decided_at(product, id) else {
        return Ok(());
    };
    if transaction.now >= due {
        return Ok(()); // It takes place, or nothing of it could have been sold.
    }
    let tour = TourId {
        venue: id.venue,
        due,
        product: id.product,
    };
    let row = transaction.desk_mut::<Tour>(tour)?.get_or_insert(Tour {
        start: id.start,
        bookings: Vec::new(),
    });
    if !row.bookings.contains(&booking) {
        row.bookings.push(booking);
    }
    Ok(())
}

/// Decides the tours that are due, while fewer than `limit` bookings have ended by it. How many have, and whether more
/// tours are due.
pub(super) fn decide(transaction: &mut Transaction<'_>, venue: VenueNo, limit: u32) -> Result<(u32, bool), Halt> {
    let mut count = 0;
    for id in due(transaction, venue)? {
        let Some(tour) = transaction.desk::<Tour>(id)?.cloned() else {
            continue; // Decided by an earlier command of this entry.
        };
        if count >= limit {
            return Ok((count, true));
        }
        count += decide_one(transaction, id, &tour)?;
        *transaction.desk_mut::<Tour>(id)? = None;
    }
    Ok((count, false))
}

/// Tours of the venue that are due, stored or noted in this entry, in order.
fn due(transaction: &Transaction<'_>, venue: VenueNo) -> Result<Vec<TourId>, RowsError> {
    let first = TourId {
        venue,
        due: Timestamp(i64::MIN),
        product: 0,
    };
    let last = TourId {
        venue,
        due: transaction.now,
        product: u16::MAX,
    };
    let mut tours = transaction.tours_changed(first, last);
    let from = Key::tour(venue, first.due, 0);
    let to = Key::tour(venue, Timestamp(transaction.now.0.saturating_add(1)), 0);
    transaction.rows().scan(&from, &to, &mut |key, _| {
        tours.extend(keys::tour_of(key).map(|(due, product)| TourId { venue, due, product }));
        ControlFlow::Continue(())
    })?;
    tours.sort_unstable();
    tours.dedup();
    Ok(tours)
}

/// Cancels a tour that has too few visitors; how many bookings have ended, or lost a line, by it.
fn decide_one(transaction: &mut Transaction<'_>, id: TourId, tour: &Tour) -> Result<u32, Halt> {
    let catalogue = transaction.known_catalogue(id.venue)?;
    let slot_id = SlotId {
        venue: id.venue,
        product: id.product,
        start: tour.start,
    };
    let needed = catalogue.product_of(id.product).and_then(|product| product.min_to_run);
    let sold = transaction.slot(slot_id)?.map_or(0, |slot| slot.confirmed);
    if sold >= needed.unwrap_or(0) {
        return Ok(0);
    }
    let mut count = 0;
    for seq in &tour.bookings {
        let record_id = RecordId {
            venue: id.venue,
            seq: *seq,
        };
        let Some(Record::Booking(booking)) = transaction.record(record_id)?.cloned() else {
            continue;
        };
        let lines: Vec<u16> = booking
            .live_lines()
            .filter(|(_, line)| slot_of(id.venue, line) == slot_id)
            .map(|(number, _)| number)
            .collect();
        if lines.is_empty() {
            continue; // Exchanged for something else.
        }
        match booking.status {
            BookingStatus::Held => end(transaction, record_id)?,
            BookingStatus::Confirmed => {
                let mut booking = booking;
                let concerned = |line: u16| lines.contains(&line);
                match none_admitted(transaction, record_id, &booking, concerned) {
                    Ok(()) => {}
                    Err(Halt::Refused(_)) => continue, // Let in early: the guide has seen them, and decides.
                    Err(broken) => return Err(broken),
                }
                undo(transaction, record_id, &mut booking, Reason::TourCancelled, concerned)?;
                transaction.set_booking(record_id, booking)?;
            }
            _ => continue,
        }
        count += 1;
    }
    Ok(count)
}
