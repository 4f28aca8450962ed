//! What commands need to know of tickets: what one allows, whether its visitor was admitted, and how it becomes void.

use std::collections::BTreeMap;

use crate::admission::Terms;
use crate::ids::VenueNo;
use crate::inventory::{Halt, Transaction};
use crate::outcome::{LineProblem, Refusal, RefusalCode};
use crate::rows::RowsError;
use crate::state::{Booking, Catalogue, Line, RecordId, Scans, Slot, SlotId, TicketNo, VoidId, VoidTickets};
use crate::time::{ServiceDay, Timestamp};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The slot of a line.
pub(crate) fn slot_of(venue: VenueNo, line: &Line) -> SlotId {
    SlotId {
        venue,
        product: line.product,
        start: line.start,
    }
}

/// What a ticket of this line allows. `slot` is what is left of its slot: an unsold one may be gone.
pub(crate) fn terms(catalogue: &Catalogue, line: &Line, slot: Option<&Slot>, void: bool) -> Terms {
    let product = catalogue.product_of(line.product);
    let early = product.map_or(0, |product| product.early_entry_minutes);
    Terms {
        from: Timestamp(line.start.0.saturating_sub(i64::from(early) * MINUTE)),
        until: slot.map_or(line.start, |slot| slot.end),
        re_entry: product.is_some_and(|product| product.re_entry),
        void,
    }
}

/// The service day of a line.
pub(crate) fn day_of(line: &Line, slot: Option<&Slot>) -> ServiceDay {
    let by_clock = (line.start.0 + i64::from(line.offset_minutes) * MINUTE).div_euclid(DAY);
    slot.map_or(ServiceDay(i32::try_from(by_clock).unwrap_or(0)), |slot| slot.day)
}

/// Refuses where a visitor of one of these lines has been admitted: what was used is not taken back.
pub(super) fn none_admitted(
    transaction: &mut Transaction<'_>,
    id: RecordId,
    booking: &Booking,
    concerned: impl Fn(u16) -> bool,
) -> Result<(), Halt> {
    let mut problems: Vec<LineProblem> = Vec::new();
    for (number, position, _) in tickets_of_lines(booking) {
        if concerned(position)
            && problems.last().is_none_or(|problem| problem.line != position)
            && is_admitted(transaction, id, number)?
        {
            problems.push(LineProblem {
                line: position,
                left: None,
                detail: "a visitor was admitted".to_owned(),
            });
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let detail = "a visitor of the booking has been admitted; what was used cannot be given back";
    Err(Refusal::about(RefusalCode::AlreadyAdmitted, detail, problems).into())
}

/// The tickets of a booking's present issue: number, position of the line, line.
fn tickets_of_lines(booking: &Booking) -> impl Iterator<Item = (u16, u16, &Line)> {
    let persons = (0u16..)
        .zip(&booking.lines)
        .flat_map(|(position, line)| std::iter::repeat_n((position, line), line.places() as usize));
    (booking.first_number..)
        .zip(persons)
        .map(|(number, (position, line))| (number, position, line))
}

fn is_admitted(transaction: &mut Transaction<'_>, id: RecordId, number: u16) -> Result<bool, RowsError> {
    let ticket = TicketNo {
        venue: id.venue,
        seq: id.seq,
        number,
    };
    let scans = transaction.desk::<Scans>(ticket)?;
    Ok(scans.is_some_and(|scans| scans.judged(false).admitted))
}

/// Tells offline gates that the tickets of these lines are void.
pub(super) fn make_void(
    transaction: &mut Transaction<'_>,
    id: RecordId,
    booking: &Booking,
    concerned: impl Fn(u16) -> bool,
) -> Result<(), Halt> {
    let mut by_day: BTreeMap<ServiceDay, Vec<u16>> = BTreeMap::new();
    for (number, position, line) in tickets_of_lines(booking) {
        if concerned(position) && !line.cancelled {
            let slot = transaction.slot(slot_of(id.venue, line))?;
            by_day.entry(day_of(line, slot.as_ref())).or_default().push(number);
        }
    }
    for (day, numbers) in by_day {
        let row = VoidId {
            venue: id.venue,
            day,
            seq: id.seq,
        };
        let tickets = transaction.desk_mut::<VoidTickets>(row)?.get_or_insert_default();
        tickets.0.extend(numbers);
        tickets.0.sort_unstable();
        tickets.0.dedup();
    }
    Ok(())
}
