//! From opening hours to slots, on real venues and through both clock changes.
//!
//! [`stories`] are golden: their values were worked out with another implementation of the zone rules. [`properties`] are
//! checked against a [`clock`], a model that knows nothing of skipped and repeated times.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod clock;
#[path = "../support/meridian.rs"]
mod meridian;
mod properties;
mod stories;

use rotunda_booking::calendar::plan;
use rotunda_booking::catalogue::{ProductDefinition, VenueDefinition, revision};
use rotunda_booking::command::SlotSpec;
use rotunda_booking::time::ServiceDay;

const EVERY_DAY: u8 = 0b111_1111;

fn day(text: &str) -> ServiceDay {
    text.parse().unwrap()
}

fn slots(venue: &VenueDefinition, product: &ProductDefinition, day: ServiceDay) -> Vec<SlotSpec> {
    let plan = plan(venue, product, day).unwrap();
    assert_eq!(
        (plan.product.as_str(), plan.day, plan.revision),
        (product.slug.as_str(), day, revision(venue))
    );
    plan.slots
}

/// Lord Howe's station, which is open around the clock in slots of half an hour, under another sky.
fn around_the_clock(zone: &str) -> VenueDefinition {
    VenueDefinition {
        time_zone: zone.to_owned(),
        ..meridian::venue("lord-howe-reef")
    }
}
