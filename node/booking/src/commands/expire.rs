//! Expire: ends the holds whose time is over, so many in one entry. The only way in which time frees a place; a read
//! never does.
//!
//! Reminders say when which bookings may have to end (`inventory::deadlines`). They are gone through in order of deadline,
//! those of one deadline together and their bookings in order, so that every replica, and whoever replays the log, ends the
//! same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::tours;
use crate::ids::VenueNo;
use crate::inventory::{Ending, Halt, Shift, Transaction};
use crate::keys::{self, Key};
use crate::mutant::mutant;
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, Outcome};
use crate::rows::RowsError;
use crate::state::{Record, RecordId, damaged, decode_row};
use crate::time::Timestamp;

/// So many in one entry, whatever the command says: an entry must not hold up those behind it.
const MAX_EXPIRED: u32 = 4096;

/// Reminders of so many bookings are looked at in one entry, and those of the deadline at which that many are reached:
/// most may have been confirmed, and looking costs too.
const MAX_REMINDED: usize = 16_384;

/// What there is of one deadline.
#[derive(Default)]
struct Reminders {
    seqs: BTreeSet<u64>,
    /// Those of them that this entry has noted, and that are nowhere else.
    fresh: Vec<u64>,
    /// Stored rows: the first sequence number of each, and its value.
    rows: Vec<(u64, Vec<u8>)>,
}

pub(super) fn expire(transaction: &mut Transaction<'_>, venue: VenueNo, limit: u32) -> Result<Outcome, Halt> {
    let limit = limit.min(MAX_EXPIRED);
    let (reminders, complete) = reminders(transaction, venue)?;
    let mut count = 0;
    let mut through = None;
    let mut more = !complete;
    let mut reminders = reminders.into_iter();
    for (deadline, reminders) in reminders.by_ref() {
        let mut due = held_until(transaction, venue, deadline, &reminders.seqs)?.into_iter();
        let end_now = due.by_ref().take((limit - count) as usize).collect::<Vec<_>>();
        let left: Vec<u64> = due.collect();
        count += end_now.len() as u32;
        for seq in &end_now {
            end(transaction, RecordId { venue, seq: *seq })?;
        }
        for (first, value) in reminders.rows {
            transaction.remove_appended(Key::deadline(venue, deadline, first), &value);
            transaction.deadlines().remove(venue, deadline, first);
        }
        through = Some(deadline);
        if !left.is_empty() {
            for seq in left {
                transaction.deadlines().note(venue, deadline, seq);
            }
            more = true;
            break;
        }
    }
    for (deadline, reminders) in reminders {
        for seq in reminders.fresh {
            transaction.deadlines().note(venue, deadline, seq);
        }
    }
    if let Some(through) = through {
        transaction.counters_mut(venue).expired_through = if more { through } else { transaction.now };
    }
    let (cancelled, more_tours) = tours::decide(transaction, venue, limit - count)?;
    Ok(Outcome::Expired {
        count: count + cancelled,
        more: more || more_tours,
    })
}

/// Reminders that are due, by deadline, and whether these are all of them.
fn reminders(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
) -> Result<(BTreeMap<Timestamp, Reminders>, bool), RowsError> {
    let now = transaction.now;
    let fresh = transaction.deadlines().take_due(venue, now);
    let from = Key::deadline(venue, transaction.counters(venue).expired_through, 0);
    let to = Key::deadline(venue, Timestamp(now.0.saturating_add(1)), 0);
    let mut found: BTreeMap<Timestamp, Reminders> = BTreeMap::new();
    let (mut reminded, mut broken) = (0, None);
    let mut complete = true;
    let (rows, deadlines) = (transaction.rows(), transaction.deadlines_noted());
    rows.scan(&from, &to, &mut |key, value| {
        let Some((deadline, first)) = keys::deadline_of(key) else {
            return ControlFlow::Continue(());
        };
        if deadlines.is_removed(venue, deadline, first) {
            return ControlFlow::Continue(());
        }
        if reminded >= MAX_REMINDED && !found.contains_key(&deadline) {
            complete = false;
            return ControlFlow::Break(());
        }
        match decode_row::<Ending>(key, value) {
            Ok(ending) => {
                let before = found.entry(deadline).or_default();
                before.seqs.extend(ending.seqs(first));
                before.rows.push((first, value.to_vec()));
                reminded += ending.len();
                ControlFlow::Continue(())
            }
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = broken {
        return Err(error);
    }
    let last = found.keys().next_back().copied();
    for (deadline, seq) in fresh {
        if complete || last.is_some_and(|last| deadline <= last) {
            let reminders = found.entry(deadline).or_default();
            reminders.seqs.insert(seq);
            reminders.fresh.push(seq);
        } else {
            transaction.deadlines().note(venue, deadline, seq);
        }
    }
    Ok((found, complete))
}

/// Which of the bookings are holds that end at `deadline`, in order.
fn held_until(
    transaction: &Transaction<'_>,
    venue: VenueNo,
    deadline: Timestamp,
    seqs: &BTreeSet<u64>,
) -> Result<Vec<u64>, RowsError> {
    let is_due = |record: &Record| match record {
        Record::Booking(booking) => booking.status == BookingStatus::Held && booking.deadline == deadline,
        Record::Operated(_) => false,
    };
    let mut due = Vec::new();
    let (mut stored_from, mut stored_to) = (u64::MAX, 0);
    for seq in seqs {
        match transaction.record_at_hand(RecordId { venue, seq: *seq }) {
            Some(record) if is_due(record) => due.push(*seq),
            Some(_) => {}
            None => (stored_from, stored_to) = (stored_from.min(*seq), seq.saturating_add(1)),
        }
    }
    let mut broken = None;
    let record = |seq| Key::record(RecordId { venue, seq });
    // What is at hand may be newer than what is stored.
    transaction
        .rows()
        .scan(&record(stored_from), &record(stored_to), &mut |key, value| {
            let wanted = keys::last_number(key).filter(|seq| {
                seqs.contains(seq) && transaction.record_at_hand(RecordId { venue, seq: *seq }).is_none()
            });
            let Some(seq) = wanted else {
                return ControlFlow::Continue(());
            };
            match decode_row::<Record>(key, value) {
                Ok(record) => {
                    due.extend(is_due(&record).then_some(seq));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
    due.sort_unstable();
    broken.map_or(Ok(due), Err)
}

/// Ends one hold.
pub(super) fn end(transaction: &mut Transaction<'_>, id: RecordId) -> Result<(), Halt> {
    let booking = match transaction.record(id)? {
        Some(Record::Booking(booking)) => booking,
        _ => return Err(damaged(&Key::record(id), "a hold that was there is gone".to_owned()).into()),
    };
    let mut booking = booking.clone();
    if !mutant!(ExpiryKeepsPlaces) {
        transaction.shift_booking(id.venue, &booking, Shift::Release)?;
    }
    booking.status = BookingStatus::Expired;
    booking.ended_at = Some(transaction.now);
    transaction.set_booking(id, booking)?;
    outbox::tell_booking(transaction, id, Event::Expired);
    Ok(())
}
