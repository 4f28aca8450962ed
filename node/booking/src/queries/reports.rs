//! What managers ask: who came, what was sold, who did not come, the journal and the drawers. All from one state, so the
//! money of a report is that of the ledger at the same index.

use std::collections::BTreeMap;

use super::{scan_rows, slots_of};
use crate::admission::FootfallView;
use crate::command::Channel;
use crate::commands::drawers;
use crate::ids::VenueNo;
use crate::inventory::{read_catalogue, read_clock};
use crate::keys::{self, Key};
use crate::ledger::{JournalEntry, Reason};
use crate::query::{Answer, MAX_LEDGER_LINES, MAX_REPORT_DAYS, NoShowRow, SalesRow};
use crate::rows::{ReadRows, RowsError};
use crate::state::{Catalogue, Counters, Drawer, Footfall, Slot, SlotId, VenueRow, damaged, decode_row, read_row};
use crate::time::{ServiceDay, Timestamp};

const HOUR: i64 = 60 * 60 * 1000;

/// The days, but not more than a report may span.
fn bounded(from: ServiceDay, to: ServiceDay) -> (ServiceDay, ServiceDay) {
    (from, to.min(ServiceDay(from.0.saturating_add(MAX_REPORT_DAYS - 1))))
}

pub(super) fn footfall(
    rows: &impl ReadRows,
    venue: VenueNo,
    from: ServiceDay,
    to: ServiceDay,
) -> Result<Option<Answer>, RowsError> {
    let Some(catalogue) = read_catalogue(rows, venue)? else {
        return Ok(None);
    };
    let (from, to) = bounded(from, to);
    let offsets = offsets(rows, venue, &catalogue, from, to)?;
    let mut views = Vec::new();
    each_footfall(rows, venue, from, to, |day, hour, passed| {
        views.push(FootfallView {
            day,
            hour: Timestamp(hour * HOUR),
            offset_minutes: offsets.get(&day).copied().unwrap_or_default(),
            product: catalogue.row.name(passed.product).to_owned(),
            entered: passed.entered,
            left: passed.left,
            visitors: passed.visitors,
        });
    })?;
    Ok(Some(Answer::Footfall {
        time: read_clock(rows)?.unwrap_or_default(),
        building_capacity: catalogue.definition.building_capacity,
        rows: views,
    }))
}

fn each_footfall(
    rows: &impl ReadRows,
    venue: VenueNo,
    from: ServiceDay,
    to: ServiceDay,
    mut each: impl FnMut(ServiceDay, i64, crate::state::Passed),
) -> Result<(), RowsError> {
    let first = Key::footfall(venue, from, i64::MIN);
    let last = Key::footfall(venue, ServiceDay(to.0.saturating_add(1)), i64::MIN);
    scan_rows::<Footfall>(rows, &first, &last, |key, row| {
        if let (Some(day), Some(hour)) = (keys::day_of(key), keys::last_time(key)) {
            row.0.into_iter().for_each(|passed| each(day, hour, passed));
        }
    })
}

/// Local time's offset at the first slot of each day.
fn offsets(
    rows: &impl ReadRows,
    venue: VenueNo,
    catalogue: &Catalogue,
    from: ServiceDay,
    to: ServiceDay,
) -> Result<BTreeMap<ServiceDay, i16>, RowsError> {
    let mut first: BTreeMap<ServiceDay, (Timestamp, i16)> = BTreeMap::new();
    for_each_slot(rows, venue, catalogue, from, to, |id, slot| {
        let earliest = first.entry(slot.day).or_insert((id.start, slot.offset_minutes));
        *earliest = (*earliest).min((id.start, slot.offset_minutes));
    })?;
    Ok(first.into_iter().map(|(day, (_, offset))| (day, offset)).collect())
}

fn for_each_slot(
    rows: &impl ReadRows,
    venue: VenueNo,
    catalogue: &Catalogue,
    from: ServiceDay,
    to: ServiceDay,
    mut each: impl FnMut(SlotId, &Slot),
) -> Result<(), RowsError> {
    for position in 0..catalogue.definition.products.len() {
        for (id, slot) in slots_of(rows, venue, catalogue, position, from..=to)? {
            each(id, &slot);
        }
    }
    Ok(())
}

pub(super) fn no_shows(
    rows: &impl ReadRows,
    venue: VenueNo,
    from: ServiceDay,
    to: ServiceDay,
) -> Result<Option<Answer>, RowsError> {
    let Some(catalogue) = read_catalogue(rows, venue)? else {
        return Ok(None);
    };
    let (from, to) = bounded(from, to);
    let time = read_clock(rows)?.unwrap_or_default();
    let mut days: BTreeMap<(ServiceDay, u16), (u64, u64)> = BTreeMap::new();
    for_each_slot(rows, venue, &catalogue, from, to, |id, slot| {
        if slot.end <= time && slot.confirmed > 0 {
            days.entry((slot.day, id.product)).or_default().0 += u64::from(slot.confirmed);
        }
    })?;
    each_footfall(rows, venue, from, to, |day, _, passed| {
        // Of slots that are not over yet nothing is said.
        if let Some(counts) = days.get_mut(&(day, passed.product)) {
            counts.1 += u64::from(passed.visitors);
        }
    })?;
    let rows = days.into_iter().map(|((day, product), (sold, admitted))| NoShowRow {
        day,
        product: catalogue.row.name(product).to_owned(),
        sold,
        admitted: admitted.min(sold),
    });
    Ok(Some(Answer::NoShows {
        rows: rows.collect(),
        time,
    }))
}

pub(super) fn ledger(
    rows: &impl ReadRows,
    venue: VenueNo,
    after: u64,
    limit: u32,
) -> Result<Option<Answer>, RowsError> {
    let Some(catalogue) = read_catalogue(rows, venue)? else {
        return Ok(None);
    };
    let last = last_line(rows, venue)?;
    let limit = u64::from(limit.min(MAX_LEDGER_LINES));
    let first = after.saturating_add(1);
    let mut lines = Vec::new();
    for number in first..first.saturating_add(limit).min(last.saturating_add(1)) {
        lines.push(journal(rows, venue, number)?.line(&catalogue.row, number));
    }
    Ok(Some(Answer::Ledger {
        currency: catalogue.row.currency.clone(),
        currency_digits: catalogue.definition.currency_digits,
        lines,
        last,
        time: read_clock(rows)?.unwrap_or_default(),
    }))
}

fn last_line(rows: &impl ReadRows, venue: VenueNo) -> Result<u64, RowsError> {
    let counters = read_row::<Counters>(rows, venue)?.unwrap_or_default();
    Ok(counters.next_journal - 1)
}

fn journal(rows: &impl ReadRows, venue: VenueNo, number: u64) -> Result<JournalEntry, RowsError> {
    let key = Key::ledger(venue, number);
    let bytes = rows
        .get(&key)?
        .ok_or_else(|| damaged(&key, "a line of the journal is missing".to_owned()))?;
    decode_row(&key, &bytes)
}

pub(super) fn sales(
    rows: &impl ReadRows,
    venue: VenueNo,
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<Answer>, RowsError> {
    let Some(row) = read_row::<VenueRow>(rows, venue)? else {
        return Ok(None);
    };
    let last = last_line(rows, venue)?;
    let mut sums: BTreeMap<(u16, u16, u8), SalesRow> = BTreeMap::new();
    for number in first_from(rows, venue, from, last)?..=last {
        let entry = journal(rows, venue, number)?;
        if entry.at >= to {
            break;
        }
        if entry.reason == Reason::DrawerClosed {
            continue;
        }
        for item in entry.items {
            let sum = sums
                .entry((item.product, item.unit, entry.channel as u8))
                .or_insert_with(|| empty(&row, item.product, item.unit, entry.channel));
            sum.quantity = sum.quantity.saturating_add(item.quantity);
            sum.gross = sum.gross.saturating_add(item.total);
            sum.tax = sum.tax.saturating_add(item.tax);
        }
    }
    let mut sales: Vec<SalesRow> = sums.into_values().collect();
    sales.sort_by(|one, other| {
        (&one.product, &one.unit, one.channel).cmp(&(&other.product, &other.unit, other.channel))
    });
    Ok(Some(Answer::Sales {
        currency: row.currency,
        rows: sales,
        time: read_clock(rows)?.unwrap_or_default(),
    }))
}

fn empty(row: &VenueRow, product: u16, unit: u16, channel: Channel) -> SalesRow {
    SalesRow {
        product: row.name(product).to_owned(),
        unit: row.name(unit).to_owned(),
        channel,
        quantity: 0,
        gross: 0,
        tax: 0,
    }
}

/// The number of the first line at or after `from`: log time never goes back, so lines are in order of it.
fn first_from(rows: &impl ReadRows, venue: VenueNo, from: Timestamp, last: u64) -> Result<u64, RowsError> {
    let (mut low, mut high) = (1, last.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if journal(rows, venue, middle)?.at < from {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

pub(super) fn drawer(rows: &impl ReadRows, venue: VenueNo, drawer: &str) -> Result<Option<Answer>, RowsError> {
    let Some(row) = read_row::<VenueRow>(rows, venue)? else {
        return Ok(None);
    };
    let found = read_row::<Drawer>(rows, drawers::id(venue, drawer))?;
    let found = found.filter(|found| found.name == drawer);
    Ok(found.map(|found| Answer::Drawer(drawers::shown(&found, row.currency))))
}
