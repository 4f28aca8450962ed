//! Who came and went, by hour and by day, with the peak hours.

use std::collections::BTreeMap;

use axum::response::Response;
use rotunda_booking::admission::FootfallView;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::{ServiceDay, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::call::{Call, unknown_venue};
use super::super::error::Problem;
use super::super::venues::known;
use super::super::views::AsOf;
use super::{Asked, as_of};
use crate::venue_clock::VenueClock;

/// Who came and went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FootfallReport<'a> {
    /// Venue id.
    venue: &'a str,
    #[schema(format = Date)]
    from: String,
    #[schema(format = Date)]
    to: String,
    /// The hour of all these days in which most came.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<Peak>,
    /// Days on which somebody came.
    days: Vec<FootfallDay>,
    /// In order of day, hour and product.
    hours: Vec<FootfallHour<'a>>,
    as_of: AsOf,
}

/// The hour in which most people came, over all products; the first, where there are several.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Peak {
    #[schema(format = DateTime)]
    hour: String,
    entered: u64,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FootfallDay {
    #[schema(format = Date)]
    day: String,
    entered: u64,
    left: u64,
    visitors: u64,
    peak: Peak,
}

/// One product in one hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FootfallHour<'a> {
    /// Service day of the tickets.
    #[schema(format = Date)]
    day: String,
    /// It begins, in the venue's local time.
    #[schema(format = DateTime)]
    hour: String,
    product: &'a str,
    /// Entries, those of people who came back included.
    entered: u32,
    left: u32,
    /// Tickets that were admitted for the first time.
    visitors: u32,
}

pub(super) async fn footfall_of(call: &Call, asked: &Asked) -> Result<Response, Problem> {
    let venue = call.venue(&asked.slug, "{venue}")?;
    let query = Query::Footfall {
        venue: venue.number,
        from: asked.from,
        to: asked.to,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::Footfall { time, mut rows, .. } = answered.answer else {
        return Err(unknown_venue(&asked.slug, "{venue}"));
    };
    // The node tells of the day's first slot; on a day on which the clocks change there are hours with another offset.
    let known = known(call, &asked.slug).await?;
    if let Some(clock) = VenueClock::of(&known.definition) {
        for row in &mut rows {
            row.offset_minutes = clock.offset_minutes(row.hour).unwrap_or(row.offset_minutes);
        }
    }
    let days = days_of(&rows);
    let peak = days.iter().filter_map(|day| day.peak.as_ref());
    let report = FootfallReport {
        venue: &asked.slug,
        from: asked.from.to_string(),
        to: asked.to.to_string(),
        peak: first_highest(peak).map(Counted::peak),
        hours: rows.iter().map(FootfallHour::of).collect(),
        days: days.iter().filter_map(Day::shown).collect(),
        as_of: as_of(answered.shard, answered.index, time),
    };
    asked.answer(&report.as_of, &report, |sheet| {
        sheet.row(&[
            "day",
            "hour",
            "product",
            "entered",
            "left",
            "visitors",
            "peak_hour_of_day",
        ]);
        for hour in &report.hours {
            let day = report.days.iter().find(|day| day.day == hour.day);
            let is_peak = day.is_some_and(|day| day.peak.hour == hour.hour);
            sheet.row(&[
                &hour.day,
                &hour.hour,
                hour.product,
                &hour.entered.to_string(),
                &hour.left.to_string(),
                &hour.visitors.to_string(),
                if is_peak { "true" } else { "false" },
            ]);
        }
    })
}

impl<'a> FootfallHour<'a> {
    fn of(row: &'a FootfallView) -> Self {
        Self {
            day: row.day.to_string(),
            hour: row.hour.to_rfc3339(row.offset_minutes),
            product: &row.product,
            entered: row.entered,
            left: row.left,
            visitors: row.visitors,
        }
    }
}

/// Entries of one hour, over all products.
#[derive(Clone, Debug)]
struct Counted {
    hour: Timestamp,
    offset_minutes: i16,
    entered: u64,
}

impl Counted {
    fn peak(&self) -> Peak {
        Peak {
            hour: self.hour.to_rfc3339(self.offset_minutes),
            entered: self.entered,
        }
    }
}

/// Sums of one day.
#[derive(Debug)]
struct Day {
    day: ServiceDay,
    entered: u64,
    left: u64,
    visitors: u64,
    peak: Option<Counted>,
}

impl Day {
    fn shown(&self) -> Option<FootfallDay> {
        Some(FootfallDay {
            day: self.day.to_string(),
            entered: self.entered,
            left: self.left,
            visitors: self.visitors,
            peak: self.peak.as_ref()?.peak(),
        })
    }
}

fn days_of(rows: &[FootfallView]) -> Vec<Day> {
    let mut days: BTreeMap<ServiceDay, BTreeMap<Timestamp, (Counted, u64, u64)>> = BTreeMap::new();
    for row in rows {
        let hours = days.entry(row.day).or_default();
        let (counted, left, visitors) = hours.entry(row.hour).or_insert_with(|| {
            let counted = Counted {
                hour: row.hour,
                offset_minutes: row.offset_minutes,
                entered: 0,
            };
            (counted, 0, 0)
        });
        counted.entered += u64::from(row.entered);
        *left += u64::from(row.left);
        *visitors += u64::from(row.visitors);
    }
    let sums = days.into_iter().map(|(day, hours)| Day {
        day,
        entered: hours.values().map(|(counted, ..)| counted.entered).sum(),
        left: hours.values().map(|(_, left, _)| left).sum(),
        visitors: hours.values().map(|(.., visitors)| visitors).sum(),
        peak: first_highest(hours.values().map(|(counted, ..)| counted)).cloned(),
    });
    sums.collect()
}

fn first_highest<'a>(hours: impl Iterator<Item = &'a Counted>) -> Option<&'a Counted> {
    hours.reduce(|best, hour| if hour.entered > best.entered { hour } else { best })
}
