//! Answers to queries: pure functions of rows, without caches, so that many run beside apply on snapshots of the store.

mod audit;
mod events;
mod reports;
mod tickets;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::ids::{BookingId, VenueNo};
use crate::inventory::{read_catalogue, read_clock, venues_in};
use crate::keys::{self, Key, Table};
use crate::pools::{self, PoolRows};
use crate::query::{Answer, Query};
use crate::rows::{ReadRows, RowsError};
use crate::state::{
    BUCKET, BUCKETS_PER_HOUR, Catalogue, Counters, GuideHour, GuideHourId, Hour, HourId, PlanRow, Record, RecordId,
    Row, Slot, SlotId, checked_row, read_row,
};
use crate::time::{ServiceDay, Timestamp};
use crate::views;

/// Service days that one availability answer spans at most; what lies beyond is left out.
pub const MAX_AVAILABILITY_DAYS: i32 = 366;

const DAY: i64 = 24 * 60 * 60 * 1000;
const HOUR: i64 = BUCKET * BUCKETS_PER_HOUR as i64;

/// Answers one query.
///
/// # Errors
/// Where the store fails or a row is damaged.
pub fn answer(rows: &impl ReadRows, query: &Query) -> Result<Answer, RowsError> {
    let answer = match query {
        Query::Venue { venue } => venue_answer(rows, *venue)?,
        Query::Booking { booking } => booking_answer(rows, *booking)?,
        Query::Availability {
            venue,
            product,
            from,
            to,
        } => availability(rows, *venue, product.as_deref(), *from, *to)?,
        Query::Ticket { ticket } => tickets::ticket(rows, *ticket)?,
        Query::TicketKeys { venue } => tickets::keys_of(rows, *venue)?,
        Query::GateBundle { venue, from, to } => tickets::gate_bundle(rows, *venue, *from, *to)?,
        Query::Footfall { venue, from, to } => reports::footfall(rows, *venue, *from, *to)?,
        Query::Ledger { venue, after, limit } => reports::ledger(rows, *venue, *after, *limit)?,
        Query::Sales { venue, from, to } => reports::sales(rows, *venue, *from, *to)?,
        Query::NoShows { venue, from, to } => reports::no_shows(rows, *venue, *from, *to)?,
        Query::Drawer { venue, drawer } => reports::drawer(rows, *venue, drawer)?,
        Query::Audit { venue, after, limit } => audit::lines(rows, *venue, *after, *limit)?,
        Query::Events { venue, after, limit } => events::events(rows, *venue, *after, *limit)?,
    };
    Ok(answer.unwrap_or(Answer::NotFound))
}

fn venue_answer(rows: &impl ReadRows, venue: VenueNo) -> Result<Option<Answer>, RowsError> {
    let Some(catalogue) = read_catalogue(rows, venue)? else {
        return Ok(None);
    };
    let revision = catalogue.row.revision;
    let mut planned_through = Vec::with_capacity(catalogue.product_numbers.len());
    for product in &catalogue.product_numbers {
        let plan = read_row::<PlanRow>(rows, (venue, *product))?;
        planned_through.push(plan.filter(|plan| plan.revision == revision).map(|plan| plan.through));
    }
    Ok(Some(Answer::Venue {
        revision,
        planned_through,
        definition: Box::new(catalogue.definition),
    }))
}

fn booking_answer(rows: &impl ReadRows, booking: BookingId) -> Result<Option<Answer>, RowsError> {
    let id = RecordId {
        venue: booking.venue,
        seq: booking.seq,
    };
    let Some(Record::Booking(stored)) = read_row::<Record>(rows, id)? else {
        return Ok(None);
    };
    if stored.secret != booking.secret {
        return Ok(None);
    }
    let Some(catalogue) = read_catalogue(rows, booking.venue)? else {
        return Ok(None);
    };
    let mut view = views::booking(&catalogue.row, id, &stored);
    tickets::bring_up_to_date(rows, &catalogue, id, &stored, &mut view)?;
    Ok(Some(Answer::Booking(view)))
}

fn availability(
    rows: &impl ReadRows,
    venue: VenueNo,
    product: Option<&str>,
    from: ServiceDay,
    to: ServiceDay,
) -> Result<Option<Answer>, RowsError> {
    let Some(catalogue) = read_catalogue(rows, venue)? else {
        return Ok(None);
    };
    if product.is_some_and(|slug| catalogue.product(slug).is_none()) {
        return Ok(None);
    }
    let time = read_clock(rows)?.unwrap_or_default();
    let to = to.min(ServiceDay(from.0.saturating_add(MAX_AVAILABILITY_DAYS - 1)));
    let mut slots = Vec::new();
    for (position, definition) in catalogue.definition.products.iter().enumerate() {
        if product.is_none_or(|slug| slug == definition.slug) {
            slots.push((position, slots_of(rows, venue, &catalogue, position, from..=to)?));
        }
    }
    let mut hours = HoursRead::around(rows, venue, slots.iter().flat_map(|(_, slots)| slots))?;
    let building = catalogue.definition.building_capacity;
    let mut views = Vec::with_capacity(slots.iter().map(|(_, slots)| slots.len()).sum());
    for (position, slots) in slots {
        let definition = &catalogue.definition.products[position];
        for slot in slots {
            views.push(pools::slot_view(&mut hours, building, definition, slot, time)?);
        }
    }
    Ok(Some(Answer::Availability { time, slots: views }))
}

/// The slots of a product whose service day is one of `days`. A day's openings may begin in UTC up to a day before it,
/// and have slots up to two days after.
pub(crate) fn slots_of(
    rows: &impl ReadRows,
    venue: VenueNo,
    catalogue: &Catalogue,
    position: usize,
    days: std::ops::RangeInclusive<ServiceDay>,
) -> Result<Vec<(SlotId, Slot)>, RowsError> {
    let product = catalogue.product_numbers[position];
    let start_of = |day: i64| Timestamp(day * DAY);
    let from = SlotId {
        venue,
        product,
        start: start_of(i64::from(days.start().0) - 1),
    };
    let to = SlotId {
        venue,
        product,
        start: start_of(i64::from(days.end().0) + 3),
    };
    let mut slots = Vec::new();
    scan_rows::<Slot>(rows, &Key::slot(from), &Key::slot(to), |key, slot| {
        if let Some(start) = keys::last_time(key)
            && days.contains(&slot.day)
        {
            slots.push((
                SlotId {
                    venue,
                    product,
                    start: Timestamp(start),
                },
                slot,
            ));
        }
    })?;
    Ok(slots)
}

/// Decodes the rows of a range. A range that ends before it begins is empty.
fn scan_rows<T: Row>(
    rows: &impl ReadRows,
    from: &[u8],
    to: &[u8],
    mut each: impl FnMut(&[u8], T),
) -> Result<(), RowsError> {
    if from >= to {
        return Ok(());
    }
    let mut broken = None;
    rows.scan(from, to, &mut |key, value| match checked_row::<T>(key, value) {
        Ok(row) => {
            each(key, row);
            ControlFlow::Continue(())
        }
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    })?;
    broken.map_or(Ok(()), Err)
}

/// The pools over time, read in two sweeps: a look-up per slot and hour would cost more than the slots themselves.
pub(crate) struct HoursRead {
    building: BTreeMap<HourId, Hour>,
    guides: BTreeMap<GuideHourId, GuideHour>,
}

impl HoursRead {
    pub(crate) fn around<'a>(
        rows: &impl ReadRows,
        venue: VenueNo,
        slots: impl Iterator<Item = &'a (SlotId, Slot)>,
    ) -> Result<Self, RowsError> {
        let mut read = Self {
            building: BTreeMap::new(),
            guides: BTreeMap::new(),
        };
        // From the first to the last hour, by product: guides have rows of their own each.
        let mut ranges: BTreeMap<u16, (i64, i64)> = BTreeMap::new();
        for (id, slot) in slots {
            let (first, last) = (id.start.0.div_euclid(HOUR), slot.occupies_until.0.div_euclid(HOUR) + 1);
            let range = ranges.entry(id.product).or_insert((first, last));
            *range = (range.0.min(first), range.1.max(last));
        }
        let Some(first) = ranges.values().map(|range| range.0).min() else {
            return Ok(read);
        };
        let last = ranges.values().map(|range| range.1).max().unwrap_or(first);
        let (from, to) = (HourId { venue, hour: first }, HourId { venue, hour: last });
        scan_rows::<Hour>(rows, &Key::building(from), &Key::building(to), |key, row| {
            read.building
                .extend(keys::last_time(key).map(|hour| (HourId { venue, hour }, row)));
        })?;
        for (product, (first, last)) in ranges {
            let id = |hour| GuideHourId { venue, product, hour };
            scan_rows::<GuideHour>(rows, &Key::guides(id(first)), &Key::guides(id(last)), |key, row| {
                read.guides.extend(keys::last_time(key).map(|hour| (id(hour), row)));
            })?;
        }
        Ok(read)
    }
}

impl PoolRows for HoursRead {
    fn building(&mut self, id: HourId) -> Result<Hour, RowsError> {
        Ok(self.building.get(&id).copied().unwrap_or_default())
    }

    fn guides(&mut self, id: GuideHourId) -> Result<GuideHour, RowsError> {
        Ok(self.guides.get(&id).copied().unwrap_or_default())
    }
}

/// The venue of the shard whose hold ends first, or whose tour is decided first, and when: what the proposer waits for. It may be past, where nobody has
/// proposed an `Expire` yet. Two seeks a venue.
///
/// # Errors
/// Where the store fails or a row is damaged.
pub fn next_deadline(rows: &impl ReadRows) -> Result<Option<(VenueNo, Timestamp)>, RowsError> {
    let mut next: Option<(VenueNo, Timestamp)> = None;
    for venue in venues_in(rows, Table::Counters)? {
        let counters = read_row::<Counters>(rows, venue)?.unwrap_or_default();
        let from = Key::deadline(venue, counters.expired_through, 0);
        let to = Key::deadline(venue, Timestamp(i64::MAX), u64::MAX);
        rows.scan(&from, &to, &mut |key, _| {
            if let Some((deadline, _)) = keys::deadline_of(key)
                && next.is_none_or(|(_, earliest)| deadline < earliest)
            {
                next = Some((venue, deadline));
            }
            ControlFlow::Break(())
        })?;
        let from = Key::tour(venue, Timestamp(i64::MIN), 0);
        let to = Key::tour(venue, Timestamp(i64::MAX), u16::MAX);
        rows.scan(&from, &to, &mut |key, _| {
            if let Some((due, _)) = keys::tour_of(key)
                && next.is_none_or(|(_, earliest)| due < earliest)
            {
                next = Some((venue, due));
            }
            ControlFlow::Break(())
        })?;
    }
    Ok(next)
}
