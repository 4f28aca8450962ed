//! The model: it steps through the instants, looks at the clock at each, and takes the first at which the clock has
//! reached the time.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use rotunda_booking::catalogue::VenueDefinition;
use rotunda_booking::time::{ServiceDay, Timestamp};

pub(crate) const MINUTE: i64 = 60_000;

/// The instants that the model looks at are this far apart: the grid of the catalogue.
const STEP: i64 = 5 * MINUTE;

/// The clock of a zone at every step of a span of days, as minutes since 1970-01-01 of local time.
pub(crate) struct Clock {
    begin: i64,
    /// The latest time that the clock has shown so far: grows, where the clock itself may go back.
    reached: Vec<i64>,
}

impl Clock {
    /// From two days before `first` to three days behind `last`.
    pub(crate) fn new(zone: &TimeZone, first: ServiceDay, last: ServiceDay) -> Self {
        let begin = (i64::from(first.0) - 2) * 1_440 * MINUTE;
        let steps = (i64::from(last.0) - i64::from(first.0) + 5) * 1_440 * MINUTE / STEP;
        let mut latest = i64::MIN;
        let reached = (0..steps).map(|step| {
            let instant = jiff::Timestamp::from_millisecond(begin + step * STEP).unwrap();
            let local = instant.as_second() + i64::from(zone.to_offset(instant).seconds());
            latest = latest.max(local.div_euclid(60));
            latest
        });
        Self {
            begin,
            reached: reached.collect(),
        }
    }

    fn first_reaching(&self, day: ServiceDay, minute: i64) -> Timestamp {
        let local = i64::from(day.0) * 1_440 + minute;
        let step = self.reached.partition_point(|reached| *reached < local);
        assert!(step < self.reached.len());
        Timestamp(self.begin + step as i64 * STEP)
    }

    /// From when until when each opening of a day lasts, in order.
    pub(crate) fn openings(&self, venue: &VenueDefinition, day: ServiceDay) -> Vec<(Timestamp, Timestamp)> {
        let mut openings: Vec<(Timestamp, Timestamp)> = venue
            .opening
            .iter()
            .filter(|opening| opening.days & (1 << day.weekday()) != 0 && !venue.closed.contains(&day))
            .map(|opening| {
                let (from, to) = (i64::from(opening.from_minute), i64::from(opening.to_minute));
                let to = if to <= from { to + 1_440 } else { to };
                (self.first_reaching(day, from), self.first_reaching(day, to))
            })
            .filter(|(open, close)| open < close)
            .collect();
        openings.sort_unstable();
        openings
    }
}

pub(crate) fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

pub(crate) fn minutes(from: Timestamp, to: Timestamp) -> i64 {
    (to.0 - from.0) / MINUTE
}
