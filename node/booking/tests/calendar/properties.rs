//! What holds for the slots of every day: of the network's venues for two years, and of any openings around the changes
//! of awkward clocks.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rotunda_booking::calendar::{plan, service_day_of};
use rotunda_booking::catalogue::{Opening, ProductDefinition, ProductKind, VenueDefinition};
use rotunda_booking::command::SlotSpec;
use rotunda_booking::ids::SlotRef;
use rotunda_booking::time::{ServiceDay, Timestamp};

use crate::clock::{Clock, MINUTE, minutes, zone};
use crate::{EVERY_DAY, around_the_clock, day, meridian, slots};

/// Asserts everything that holds for the slots of a day; gives the slots.
fn check_day(venue: &VenueDefinition, product: &ProductDefinition, day: ServiceDay, clock: &Clock) -> Vec<SlotSpec> {
    let slots = slots(venue, product, day);
    assert_eq!(
        plan(venue, product, day).unwrap().slots,
        slots,
        "a plan is the same each time"
    );
    let openings = clock.openings(venue, day);
    let about = || format!("{} {} on {day}: {openings:?} {slots:?}", venue.slug, product.slug);
    let mut ids = BTreeSet::new();
    for slot in &slots {
        assert!(
            slot.start < slot.end && slot.start <= slot.occupies_until,
            "{}",
            about()
        );
        let opening = openings
            .iter()
            .find(|(open, close)| *open <= slot.start && slot.start < *close);
        if product.kind != ProductKind::Day {
            let (open, close) = opening.unwrap_or_else(|| panic!("{}", about()));
            assert!(slot.end <= *close, "{}", about());
            assert_eq!(
                minutes(*open, slot.start) % i64::from(product.slot_minutes),
                0,
                "{}",
                about()
            );
            assert_eq!(
                minutes(slot.start, slot.occupies_until),
                i64::from(product.visit_minutes),
                "{}",
                about()
            );
        }
        assert_eq!(service_day_of(venue, slot.start), Ok(day), "{}", about());
        let id = SlotRef {
            product: product.slug.clone(),
            start: slot.start,
            offset_minutes: slot.offset_minutes,
        };
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert!(ids.insert(id.to_string()), "{}", about());
    }
    assert!(slots.windows(2).all(|pair| pair[0].end <= pair[1].start), "{}", about());
    let expected: i64 = match (product.kind, product.last_entry_before_close_minutes.map(i64::from)) {
        (ProductKind::Day, last_entry) => {
            let spans = openings
                .first()
                .zip(openings.last())
                .map(|(first, last)| minutes(first.0, last.1));
            i64::from(spans.is_some_and(|span| span > last_entry.unwrap_or(0)))
        }
        (_, None) => openings
            .iter()
            .map(|(open, close)| minutes(*open, *close) / i64::from(product.slot_minutes))
            .sum(),
        (_, Some(last_entry)) => openings
            .iter()
            // Starts no later than the last entry, and before closing.
            .map(|(open, close)| minutes(*open, *close) - last_entry.max(1))
            .map(|span| (span.div_euclid(i64::from(product.slot_minutes)) + 1).max(0))
            .sum(),
    };
    assert_eq!(slots.len() as i64, expected, "{}", about());
    slots
}

/// Two years that begin before an autumn change on one side of the equator and a spring change on the other.
fn two_years() -> (ServiceDay, ServiceDay) {
    (day("2026-06-01"), day("2028-05-31"))
}

#[test]
fn every_venue_of_the_network_has_right_slots_for_two_years() {
    let (first, last) = two_years();
    for venue in meridian::definition().venues {
        let clock = Clock::new(&zone(&venue.time_zone), first, last);
        for product in &venue.products {
            let mut count = 0;
            for day in first.0..=last.0 {
                count += check_day(&venue, product, ServiceDay(day), &clock).len();
            }
            assert!(count > 200, "{} {}", venue.slug, product.slug);
        }
    }
}

/// Zones whose clocks change at, over and far from midnight, by half an hour, an hour and two.
const AWKWARD: [&str; 9] = [
    "Australia/Lord_Howe",
    "Europe/Lisbon",
    "America/New_York",
    "Pacific/Chatham",
    "Asia/Beirut",
    "Atlantic/Azores",
    "America/Havana",
    "Africa/Cairo",
    "Antarctica/Troll",
];

#[test]
fn around_the_clock_the_days_join_for_two_years() {
    let (first, last) = two_years();
    for name in AWKWARD {
        let venue = around_the_clock(name);
        let clock = Clock::new(&zone(name), first, last);
        let mut lengths = BTreeSet::new();
        let mut ends: Option<Timestamp> = None;
        for day in first.0..=last.0 {
            let slots = check_day(&venue, &venue.products[0], ServiceDay(day), &clock);
            assert_eq!(
                ends.unwrap_or(slots[0].start),
                slots[0].start,
                "{name} {}",
                ServiceDay(day)
            );
            ends = slots.last().map(|slot| slot.end);
            lengths.insert(slots.len());
        }
        let change = match name {
            "Australia/Lord_Howe" => 1,
            "Antarctica/Troll" => 4,
            _ => 2,
        };
        assert_eq!(lengths, BTreeSet::from([48 - change, 48, 48 + change]), "{name}");
    }
}

fn grid(minutes: std::ops::RangeInclusive<u16>) -> impl Strategy<Value = u16> {
    (minutes.start() / 5..=minutes.end() / 5).prop_map(|step| step * 5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any two openings that touch or leave a break, on the days around a clock change.
    #[test]
    fn any_openings_have_right_slots_around_a_clock_change(
        name in prop::sample::select(&AWKWARD[..]),
        change in 0..4_usize,
        around in -2..=2_i32,
        mut times in prop::array::uniform4(grid(0..=1_435)),
        past_midnight in any::<bool>(),
        slot in grid(5..=300),
        last_entry in prop::option::of(grid(0..=300)),
        kind in prop::sample::select(ProductKind::ALL),
    ) {
        let tz = zone(name);
        let begin = jiff::Timestamp::from_millisecond(i64::from(day("2026-06-01").0) * 1_440 * MINUTE).unwrap();
        let change = tz.following(begin).nth(change).unwrap().timestamp();
        let day = ServiceDay((change.as_second().div_euclid(86_400)) as i32 + around);
        times.sort_unstable();
        let [a, b, c, d] = times;
        let opening = |from_minute, to_minute| Opening { days: EVERY_DAY, from_minute, to_minute };
        let mut venue = around_the_clock(name);
        // None of these overlap; the one that begins last may end behind midnight.
        venue.opening = match (a < b && c < d, b < c && a < d, past_midnight) {
            (true, _, false) => vec![opening(c, d), opening(a, b)],
            (_, true, true) => vec![opening(d, a), opening(b, c)],
            _ => vec![opening(d, a)],
        };
        let product = &mut venue.products[0];
        product.kind = kind;
        product.slot_minutes = u32::from(slot);
        product.visit_minutes = u32::from(slot) * 2;
        product.last_entry_before_close_minutes = last_entry.map(u32::from);
        let clock = Clock::new(&tz, day, day);
        check_day(&venue, &venue.products[0], day, &clock);
    }

    #[test]
    fn every_instant_of_an_opening_is_of_its_day(
        name in prop::sample::select(&AWKWARD[..]), around in 0..731_i32, from in grid(0..=1_435), length in grid(5..=1_440),
        into in 0.0..1.0_f64,
    ) {
        let day = two_years().0.plus_days(around);
        let to_minute = (from + length) % 1_440;
        let mut venue = around_the_clock(name);
        venue.opening = vec![Opening { days: EVERY_DAY, from_minute: from, to_minute }];
        let clock = Clock::new(&zone(name), day, day);
        for (open, close) in clock.openings(&venue, day) {
            let inside = open.0 + ((close.0 - open.0 - 1) as f64 * into) as i64;
            prop_assert_eq!(service_day_of(&venue, Timestamp(inside)), Ok(day));
        }
    }
}
