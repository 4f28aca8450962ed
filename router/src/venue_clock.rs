//! Days at a venue as instants: when a local day begins, and which service day it is.
//!
//! Reports are asked for by service day and the ledger knows instants; the door puts the one into the other, with the zone
//! tables that come with this binary. Nothing that is worked out here enters the log.

use std::sync::OnceLock;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use rotunda_booking::catalogue::{Opening, VenueDefinition};
use rotunda_booking::time::{ServiceDay, Timestamp};

/// A venue's clock on the wall.
pub(crate) struct VenueClock<'a> {
    zone: TimeZone,
    opening: &'a [Opening],
    closed: &'a [ServiceDay],
}

impl<'a> VenueClock<'a> {
    /// `None` where this binary's tables do not know the venue's zone: a newer router imported the venue.
    pub(crate) fn of(definition: &'a VenueDefinition) -> Option<Self> {
        Self::new(&definition.time_zone, &definition.opening, &definition.closed)
    }

    fn new(zone: &str, opening: &'a [Opening], closed: &'a [ServiceDay]) -> Option<Self> {
        // Keeps the zones that were read once.
        static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
        let tables = BUNDLED.get_or_init(TimeZoneDatabase::bundled);
        let zone = tables.get(zone).ok()?;
        Some(Self { zone, opening, closed })
    }

    /// The first instant of a local day; where midnight is skipped, the moment of the change. `None` outside of the
    /// calendar.
    pub(crate) fn midnight(&self, day: ServiceDay) -> Option<Timestamp> {
        let (year, month, of_month) = day.civil();
        let date = Date::new(i16::try_from(year).ok()?, month as i8, of_month as i8).ok()?;
        let first = self
            .zone
            .to_zoned(date.to_datetime(jiff::civil::Time::midnight()))
            .ok()?;
        let first = first.start_of_day().ok()?;
        Some(Timestamp(first.timestamp().as_millisecond()))
    }

    /// How far local time is ahead of UTC at an instant, in minutes. `None` outside of the calendar.
    pub(crate) fn offset_minutes(&self, at: Timestamp) -> Option<i16> {
        let instant = jiff::Timestamp::from_millisecond(at.0).ok()?;
        i16::try_from(self.zone.to_offset(instant).seconds() / 60).ok()
    }

    /// The day whose opening it is: until an opening past midnight ends it is the day before's. `None` outside of the
    /// calendar.
    pub(crate) fn service_day(&self, now: Timestamp) -> Option<ServiceDay> {
        let instant = jiff::Timestamp::from_millisecond(now.0).ok()?;
        let local = self.zone.to_datetime(instant);
        let today = ServiceDay::from_civil(i32::from(local.year()), local.month() as u8, local.day() as u8)?;
        let yesterday = today.plus_days(-1);
        let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
        let still_open = self.opening.iter().any(|opening| {
            let (from, to) = (i64::from(opening.from_minute), i64::from(opening.to_minute));
            let of_yesterday = opening.days >> yesterday.weekday() & 1 == 1;
            of_yesterday && to <= from && minute < to
        });
        let was_open = !self.closed.contains(&yesterday);
        Some(if still_open && was_open { yesterday } else { today })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const FRIDAYS: &[Opening] = &[Opening {
        days: 0b001_0000,
        from_minute: 600,
        to_minute: 120,
    }];

    fn midnight(zone: &str, day: &str) -> String {
        let clock = VenueClock::new(zone, FRIDAYS, &[]).unwrap();
        clock.midnight(day.parse().unwrap()).unwrap().to_rfc3339(0)
    }

    #[test]
    fn days_begin_when_the_clock_on_the_wall_says_so() {
        assert_eq!(midnight("Europe/Lisbon", "2026-03-29"), "2026-03-29T00:00:00+00:00");
        assert_eq!(midnight("Europe/Lisbon", "2026-03-30"), "2026-03-29T23:00:00+00:00");
        // A day of 24.5 hours.
        assert_eq!(
            midnight("Australia/Lord_Howe", "2026-04-05"),
            "2026-04-04T13:00:00+00:00"
        );
        assert_eq!(
            midnight("Australia/Lord_Howe", "2026-04-06"),
            "2026-04-05T13:30:00+00:00"
        );
        // The clock went from 23:59 to 01:00.
        assert_eq!(midnight("Africa/Cairo", "2026-04-24"), "2026-04-23T22:00:00+00:00");
    }

    #[test]
    fn an_hour_that_comes_twice_has_two_offsets() {
        let offset = |zone: &str, at: &str| {
            let clock = VenueClock::new(zone, FRIDAYS, &[]).unwrap();
            clock.offset_minutes(Timestamp::parse_rfc3339(at).unwrap()).unwrap()
        };
        assert_eq!(offset("Europe/Lisbon", "2027-10-31T00:30:00+00:00"), 60);
        assert_eq!(offset("Europe/Lisbon", "2027-10-31T01:30:00+00:00"), 0);
        assert_eq!(offset("Australia/Lord_Howe", "2027-04-03T14:59:00+00:00"), 660);
        assert_eq!(offset("Australia/Lord_Howe", "2027-04-03T15:00:00+00:00"), 630);
    }

    #[test]
    fn after_midnight_it_is_still_the_day_of_the_opening() {
        let clock = VenueClock::new("America/New_York", FRIDAYS, &[]).unwrap();
        let day = |text: &str| {
            clock
                .service_day(Timestamp::parse_rfc3339(text).unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(day("2027-01-15T23:59:00-05:00"), "2027-01-15"); // a Friday
        assert_eq!(day("2027-01-16T01:59:00-05:00"), "2027-01-15");
        assert_eq!(day("2027-01-16T02:00:00-05:00"), "2027-01-16");
        assert_eq!(day("2027-01-17T01:00:00-05:00"), "2027-01-17");
    }
}
