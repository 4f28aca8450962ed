//! One time zone of the tables bundled with this binary, asked in the crate's own types.
//!
//! The machine's own tables are never consulted, whatever `TZDIR` says. Called by the calendar and by validation only.

use std::sync::OnceLock;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::time::{ServiceDay, Timestamp};

/// A zone of the bundled tables.
pub(crate) struct Zone(TimeZone);

/// What a local time of day means on the venue's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Showing {
    /// The clock shows it; the first time, where it comes twice.
    At(Timestamp),
    /// The clock skips it.
    Skipped,
}

impl Zone {
    /// The zone of that IANA name, or `None` where the tables have none.
    pub(crate) fn open(name: &str) -> Option<Self> {
        // Keeps the zones that were read once.
        static BUNDLED: OnceLock<TimeZoneDatabase> = OnceLock::new();
        let zone = BUNDLED.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
        zone.iana_name().is_some().then_some(Self(zone))
    }

    /// The name as the tables spell it.
    pub(crate) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or_default()
    }

    /// Seconds that local time is ahead of UTC. `None` outside of the calendar.
    pub(crate) fn offset_seconds(&self, instant: Timestamp) -> Option<i32> {
        Some(self.0.to_offset(outer(instant)?).seconds())
    }

    /// The local date at an instant. `None` outside of the calendar.
    pub(crate) fn day_of(&self, instant: Timestamp) -> Option<ServiceDay> {
        let local = self.0.to_datetime(outer(instant)?);
        ServiceDay::from_civil(i32::from(local.year()), local.month() as u8, local.day() as u8)
    }

    /// The first instant at which the clock shows `minute` minutes after midnight of `day` (up to 1440: the next
    /// midnight) or later: a skipped time is the moment of the change, a repeated one the first of the two.
    /// `None` outside of the calendar.
    pub(crate) fn first_showing(&self, day: ServiceDay, minute: u16) -> Option<Timestamp> {
        let local = local_time(
            day.plus_days(i32::from(minute / 1440)),
            i64::from(minute % 1440) * 60_000,
        )?;
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                Some(inner(ambiguous.earlier().ok()?))
            }
            AmbiguousOffset::Gap { .. } => {
                // As far behind the change as the time lies behind the last one shown before it.
                let behind = ambiguous.later().ok()?;
                let change = self
                    .0
                    .preceding(behind.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?)
                    .next()?;
                Some(inner(change.timestamp()))
            }
        }
    }

    /// What the clock makes of a time given to the millisecond. `None` outside of the calendar.
    pub(crate) fn showing(&self, day: ServiceDay, millis: i64) -> Option<Showing> {
        let ambiguous = self.0.to_ambiguous_timestamp(local_time(day, millis)?);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => Some(Showing::Skipped),
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                Some(Showing::At(inner(ambiguous.earlier().ok()?)))
            }
        }
    }
}

fn local_time(day: ServiceDay, millis: i64) -> Option<civil::DateTime> {
    let (year, month, of_month) = day.civil();
    let date = civil::Date::new(i16::try_from(year).ok()?, month as i8, of_month as i8).ok()?;
    date.to_datetime(civil::Time::midnight())
        .checked_add(jiff::SignedDuration::from_millis(millis))
        .ok()
}

fn outer(instant: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(instant.0).ok()
}

fn inner(instant: jiff::Timestamp) -> Timestamp {
    Timestamp(instant.as_millisecond())
}
