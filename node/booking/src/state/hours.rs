//! Pools over time: the building and a product's guides, counted in five-minute buckets of UTC, a row for each hour.
//!
//! All opening times and durations of a catalogue are multiples of five minutes, so a visit covers whole buckets;
//! what does not is widened to them, which can only refuse, never overbook.

use crate::codec::wire::{wire_newtype, wire_struct};
use crate::ids::VenueNo;
use crate::keys::Key;
use crate::rows::RowsError;
use crate::state::{Row, damaged};
use crate::time::Timestamp;

/// Milliseconds in a bucket.
pub(crate) const BUCKET: i64 = 5 * 60 * 1000;

/// Buckets in a row.
pub(crate) const BUCKETS_PER_HOUR: usize = 12;

/// A row of the building.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HourId {
    pub(crate) venue: VenueNo,
    /// Hours since 1970.
    pub(crate) hour: i64,
}

/// A row of a product's guides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GuideHourId {
    pub(crate) venue: VenueNo,
    /// Number of the product's name.
    pub(crate) product: u16,
    /// Hours since 1970.
    pub(crate) hour: i64,
}

/// Buckets that a visit covers, numbered since 1970; empty where it does not draw on the building.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First bucket.
    pub(crate) from: i64,
    /// First bucket after it.
    pub(crate) to: i64,
}

impl Span {
    /// From `start` up to `until`.
    pub(crate) fn new(start: Timestamp, until: Timestamp) -> Self {
        let from = start.0.div_euclid(BUCKET);
        if until <= start {
            return Self { from, to: from };
        }
        Self {
            from,
            to: until.0.saturating_sub(1).div_euclid(BUCKET) + 1,
        }
    }

    /// True where `bucket` is one of them.
    pub(crate) fn covers(self, bucket: i64) -> bool {
        (self.from..self.to).contains(&bucket)
    }

    /// The hours that it touches, and which of their buckets.
    pub(crate) fn hours(self) -> impl Iterator<Item = (i64, std::ops::Range<usize>)> {
        let per_hour = BUCKETS_PER_HOUR as i64;
        let hours = self.from.div_euclid(per_hour)..(self.to + per_hour - 1).div_euclid(per_hour);
        let hours = if self.from == self.to { 0..0 } else { hours };
        hours.map(move |hour| {
            let first = hour * per_hour;
            let from = (self.from - first).max(0);
            let to = (self.to - first).min(per_hour);
            (hour, from as usize..to as usize)
        })
    }
}

/// Places taken in one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) held: u32,
    pub(crate) confirmed: u32,
}

wire_struct!(Taken { held, confirmed });

/// The building over one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hour(pub(crate) Buckets<Taken>);

/// One value for each bucket of an hour.
pub(crate) type Buckets<T> = [T; BUCKETS_PER_HOUR];

wire_newtype!(Hour, GuideHour);

impl Hour {
    /// Places taken in a bucket, counted from the start of the hour.
    pub(crate) fn used(&self, bucket: usize) -> u32 {
        self.0[bucket].held.saturating_add(self.0[bucket].confirmed)
    }

    /// Places taken in the fullest of these buckets.
    pub(crate) fn peak(&self, buckets: std::ops::Range<usize>) -> u32 {
        let used = self.0[buckets]
            .iter()
            .map(|taken| taken.held.saturating_add(taken.confirmed));
        used.max().unwrap_or(0)
    }
}

impl Row for Hour {
    type Id = HourId;

    fn key(id: HourId) -> Key {
        Key::building(id)
    }

    fn is_void(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), &'static str> {
        let sums = self
            .0
            .iter()
            .all(|bucket| bucket.held.checked_add(bucket.confirmed).is_some());
        if sums {
            Ok(())
        } else {
            Err("more people in the building than can be counted")
        }
    }
}

/// Tours under way of one product over one hour: slots in which any place is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GuideHour(pub(crate) Buckets<u32>);

impl GuideHour {
    /// A tour more or less in `buckets`.
    pub(crate) fn shift(
        &mut self,
        id: GuideHourId,
        buckets: std::ops::Range<usize>,
        starts: bool,
    ) -> Result<(), RowsError> {
        for tours in &mut self.0[buckets] {
            let after = if starts {
                tours.checked_add(1)
            } else {
                tours.checked_sub(1)
            };
            *tours = after.ok_or_else(|| damaged(&Self::key(id), "tours under way do not add up".to_owned()))?;
        }
        Ok(())
    }
}

impl Row for GuideHour {
    type Id = GuideHourId;

    fn key(id: GuideHourId) -> Key {
        Key::guides(id)
    }

    fn is_void(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn buckets(start: i64, until: i64) -> Vec<(i64, std::ops::Range<usize>)> {
        Span::new(Timestamp(start * MINUTE), Timestamp(until * MINUTE))
            .hours()
            .collect()
    }

    #[test]
    fn a_visit_covers_the_buckets_up_to_its_end_and_not_the_one_after() {
        assert_eq!(buckets(50, 120), [(0, 10..12), (1, 0..12)]);
        assert_eq!(buckets(0, 5), [(0, 0..1)]);
        assert_eq!(buckets(-10, 5), [(-1, 10..12), (0, 0..1)]);
    }

    #[test]
    fn a_day_pass_covers_nothing() {
        assert_eq!(buckets(50, 50), []);
    }

    #[test]
    fn odd_minutes_are_widened() {
        assert_eq!(buckets(4, 6), [(0, 0..2)]);
    }
}
