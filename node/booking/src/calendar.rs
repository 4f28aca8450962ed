//! From opening hours to slots: which instants a venue's weekly hours mean on one day.
//!
//! The proposer calls this (the leader of the venue's shard, which keeps a rolling window of days planned) and what
//! comes out enters the log as instants. Apply never calls it: it opens zone tables, and two versions of a binary may
//! carry different ones. The tables are those bundled with this binary, not the machine's, so all proposers of one
//! version agree.
//!
//! What a local time means when clocks change: doors open, and close, *as soon as the venue's clock first shows that
//! time or a later one*. A time that the clock skips in spring is thus the moment of the change, and a time that comes
//! twice in autumn is the first of the two. The rule keeps the order of local times, so openings that do not overlap
//! on paper never overlap in fact, and a venue that is open around the clock has days of 23, 23.5, 24, 24.5 and 25
//! hours that join without a gap. (The usual rule, to shift a skipped time by the length of the gap, does not keep
//! the order: 02:30 would come after 03:00.)

pub(crate) mod zone;

use self::zone::Zone;
pub use crate::catalogue::revision;
use crate::catalogue::{ProductDefinition, ProductKind, VenueDefinition, bounds};
use crate::command::{SlotPlan, SlotSpec};
use crate::time::{ServiceDay, Timestamp};

/// Days of the rolling window whose slots are kept in place, today included.
pub const DEFAULT_WINDOW_DAYS: i32 = 90;

/// Why a day cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// This binary's tables do not know the venue's zone: a newer binary imported the venue.
    #[error("this binary knows no time zone {zone:?}; let a node plan whose binary is as new as the importer's")]
    UnknownZone {
        /// The venue's zone.
        zone: String,
    },
    /// Outside of what a calendar with four-digit years can say.
    #[error("{day} lies outside of the calendar")]
    OutOfRange {
        /// The day asked for.
        day: ServiceDay,
    },
    /// The zone was so many odd minutes off UTC on that day that the building limit's grid does not fit (before 1972).
    #[error("on {day} the clocks of {zone} were not a multiple of five minutes off UTC")]
    OffGrid {
        /// The day asked for.
        day: ServiceDay,
        /// The venue's zone.
        zone: String,
    },
    /// A definition that validation would have refused.
    #[error("product {product:?} has no minutes from slot to slot; import the catalogue again")]
    NotValidated {
        /// The product.
        product: String,
    },
}

/// From when until when the doors are open, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Doors {
    open: Timestamp,
    close: Timestamp,
}

/// The slots of `product` on `day`: none on a day without opening. In order of start; disjoint; inside an opening that
/// began on `day`.
///
/// Timed, guided and group products have a slot every `slot_minutes` of *elapsed* time from each opening. One that
/// would end after closing is not made; where the product has a last entry, the last slot instead starts no later
/// than that many minutes before closing, and ends at closing at the latest. A day pass has one slot from the first
/// opening to the last closing, less its last entry.
///
/// # Errors
/// [`CalendarError`] where this binary cannot say what the day's local times mean.
pub fn plan(
    definition: &VenueDefinition,
    product: &ProductDefinition,
    day: ServiceDay,
) -> Result<SlotPlan, CalendarError> {
    let zone = open_zone(definition)?;
    let doors = doors_of(definition, &zone, day)?;
    let spans: Vec<SlotTimes> = match product.kind {
        ProductKind::Day => day_pass(product, &doors).into_iter().collect(),
        ProductKind::Timed | ProductKind::Guided | ProductKind::Group => {
            if product.slot_minutes == 0 {
                return Err(CalendarError::NotValidated {
                    product: product.slug.clone(),
                });
            }
            doors.iter().flat_map(|doors| timed(product, *doors)).collect()
        }
    };
    let slots = spans
        .into_iter()
        .map(|times| {
            // No offset of more than a day exists, so the division is exact wherever the instant is on the grid.
            let offset = zone
                .offset_seconds(times.start)
                .ok_or(CalendarError::OutOfRange { day })?;
            let off_grid = || CalendarError::OffGrid {
                day,
                zone: definition.time_zone.clone(),
            };
            if times.start.0 % (bounds::GRID_MINUTES * 60_000) != 0 || offset % 60 != 0 {
                return Err(off_grid());
            }
            Ok(SlotSpec {
                start: times.start,
                end: times.end,
                occupies_until: times.occupies_until,
                offset_minutes: i16::try_from(offset / 60).map_err(|_| off_grid())?,
                capacity: product.capacity,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(SlotPlan {
        revision: revision(definition),
        product: product.slug.clone(),
        day,
        slots,
    })
}

/// The service day that an instant belongs to at the venue: while an opening that began yesterday lasts, yesterday;
/// else the local date.
///
/// # Errors
/// [`CalendarError`] where this binary cannot say what the venue's clock shows.
pub fn service_day_of(definition: &VenueDefinition, instant: Timestamp) -> Result<ServiceDay, CalendarError> {
    let zone = open_zone(definition)?;
    let utc_day =
        i32::try_from(instant.0.div_euclid(86_400_000)).unwrap_or(if instant.0 < 0 { i32::MIN } else { i32::MAX });
    let today = zone.day_of(instant).ok_or(CalendarError::OutOfRange {
        day: ServiceDay(utc_day),
    })?;
    let yesterday = today.plus_days(-1);
    let still_open = doors_of(definition, &zone, yesterday)?
        .iter()
        .any(|doors| (doors.open..doors.close).contains(&instant));
    Ok(if still_open { yesterday } else { today })
}

/// First and last service day, both included, of the window of `days` days that begins with the one `now` belongs to.
///
/// # Errors
/// [`CalendarError`] where this binary cannot say what the venue's clock shows.
pub fn window(
    definition: &VenueDefinition,
    now: Timestamp,
    days: i32,
) -> Result<(ServiceDay, ServiceDay), CalendarError> {
    let first = service_day_of(definition, now)?;
    Ok((first, first.plus_days(days.max(1) - 1)))
}

fn open_zone(definition: &VenueDefinition) -> Result<Zone, CalendarError> {
    Zone::open(&definition.time_zone).ok_or_else(|| CalendarError::UnknownZone {
        zone: definition.time_zone.clone(),
    })
}

/// The openings that begin on `day`, in order.
fn doors_of(definition: &VenueDefinition, zone: &Zone, day: ServiceDay) -> Result<Vec<Doors>, CalendarError> {
    if definition.closed.contains(&day) {
        return Ok(Vec::new());
    }
    let today = definition
        .opening
        .iter()
        .filter(|opening| opening.days >> day.weekday() & 1 == 1);
    let mut doors = Vec::new();
    for opening in today {
        let closing_day = day.plus_days(i32::from(opening.to_minute <= opening.from_minute));
        let at = |day, minute| zone.first_showing(day, minute).ok_or(CalendarError::OutOfRange { day });
        let hours = Doors {
            open: at(day, opening.from_minute)?,
            close: at(closing_day, opening.to_minute)?,
        };
        // Empty where the clock skipped all of it.
        if hours.open < hours.close {
            doors.push(hours);
        }
    }
    doors.sort_unstable();
    Ok(doors)
}

struct SlotTimes {
    start: Timestamp,
    end: Timestamp,
    occupies_until: Timestamp,
}

fn timed(product: &ProductDefinition, doors: Doors) -> impl Iterator<Item = SlotTimes> {
    let step = i64::from(product.slot_minutes);
    let visit = i64::from(product.visit_minutes);
    let last_entry = product
        .last_entry_before_close_minutes
        .map(|minutes| doors.close.plus_minutes(-i64::from(minutes)));
    (0..)
        .map(move |slot: i64| doors.open.plus_minutes(slot * step))
        .map_while(move |start| {
            let end = start.plus_minutes(step);
            let made = match last_entry {
                None => end <= doors.close,
                Some(last_entry) => start <= last_entry && start < doors.close,
            };
            made.then(|| SlotTimes {
                start,
                end: end.min(doors.close),
                occupies_until: start.plus_minutes(visit),
            })
        })
}

/// Entry at any time of the day, breaks between two openings included; the gate minds those.
fn day_pass(product: &ProductDefinition, doors: &[Doors]) -> Option<SlotTimes> {
    let start = doors.first()?.open;
    let last_entry = i64::from(product.last_entry_before_close_minutes.unwrap_or(0));
    let end = doors.last()?.close.plus_minutes(-last_entry);
    (start < end).then_some(SlotTimes {
        start,
        end,
        occupies_until: start,
    })
}
