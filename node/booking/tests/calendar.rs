//! From opening hours to slots, on real venues and through both clock changes.
//!
//! The expected values of the golden stories were worked out with another implementation of the zone rules. The
//! properties are checked against a model that knows nothing of skipped and repeated times: it steps through the
//! instants, looks at the clock at each, and takes the first at which the clock has reached the time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/meridian.rs"]
mod meridian;

use std::collections::BTreeSet;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use rotunda_booking::calendar::{CalendarError, DEFAULT_WINDOW_DAYS, plan, service_day_of, window};
use rotunda_booking::catalogue::{Opening, ProductDefinition, ProductKind, VenueDefinition, revision};
use rotunda_booking::command::SlotSpec;
use rotunda_booking::ids::SlotRef;
use rotunda_booking::time::{ServiceDay, Timestamp};

const MINUTE: i64 = 60_000;
/// The instants that the model looks at are this far apart: the grid of the catalogue.
const STEP: i64 = 5 * MINUTE;
const EVERY_DAY: u8 = 0b111_1111;

fn day(text: &str) -> ServiceDay {
    text.parse().unwrap()
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn slots(venue: &VenueDefinition, product: &ProductDefinition, day: ServiceDay) -> Vec<SlotSpec> {
    let plan = plan(venue, product, day).unwrap();
    assert_eq!(
        (plan.product.as_str(), plan.day, plan.revision),
        (product.slug.as_str(), day, revision(venue))
    );
    plan.slots
}

fn ids(venue: &VenueDefinition, product: &str, date: &str) -> Vec<String> {
    let product = meridian::product(venue, product);
    let id = |slot: SlotSpec| SlotRef {
        product: product.slug.clone(),
        start: slot.start,
        offset_minutes: slot.offset_minutes,
    };
    slots(venue, product, day(date))
        .into_iter()
        .map(|slot| id(slot).to_string())
        .collect()
}

/// Lord Howe's station, which is open around the clock in slots of half an hour, under another sky.
fn around_the_clock(zone: &str) -> VenueDefinition {
    VenueDefinition {
        time_zone: zone.to_owned(),
        ..meridian::venue("lord-howe-reef")
    }
}

#[test]
fn a_day_in_lisbon_ends_with_its_last_entry() {
    let tides = meridian::venue("lisbon-tides");
    let friday = ids(&tides, "general", "2027-01-15");
    assert_eq!(friday.len(), 41);
    assert_eq!(friday[0], "general@2027-01-15T10:00+00:00");
    assert_eq!(friday[40], "general@2027-01-15T20:00+00:00");
    let first = slots(&tides, meridian::product(&tides, "general"), day("2027-01-15"))[0];
    assert_eq!(
        first,
        SlotSpec {
            start: instant("2027-01-15T10:00Z"),
            end: instant("2027-01-15T10:15Z"),
            occupies_until: instant("2027-01-15T12:00Z"),
            offset_minutes: 0,
            capacity: 150,
        }
    );
    // Without a last entry, a slot that would end after closing is not made.
    assert_eq!(
        ids(&tides, "deep-water", "2027-01-15").last().unwrap(),
        "deep-water@2027-01-15T20:45+00:00"
    );
    assert_eq!(ids(&tides, "conservator-tour", "2027-01-15").len(), 11);
}

#[test]
fn the_days_of_the_clock_changes_in_lisbon_open_by_the_new_clock() {
    let tides = meridian::venue("lisbon-tides");
    let spring = ids(&tides, "general", "2027-03-28");
    assert_eq!(
        (spring.len(), spring[0].as_str()),
        (29, "general@2027-03-28T10:00+01:00")
    );
    assert_eq!(spring[28], "general@2027-03-28T17:00+01:00");
    let autumn = ids(&tides, "general", "2026-10-25");
    assert_eq!(
        (autumn.len(), autumn[0].as_str()),
        (29, "general@2026-10-25T10:00+00:00")
    );
}

#[test]
fn a_closed_day_and_a_weekday_without_opening_have_no_slots() {
    let tides = meridian::venue("lisbon-tides");
    for date in ["2026-12-25", "2027-01-01", "2027-01-18"] {
        assert_eq!(ids(&tides, "general", date), [""; 0], "{date}");
    }
    let albatross = meridian::venue("chatham-albatross");
    assert_eq!(ids(&albatross, "day-pass", "2027-01-15"), [""; 0]);
}

#[test]
fn a_slot_after_midnight_belongs_to_the_evening_before() {
    let looms = meridian::venue("new-york-looms");
    let friday = ids(&looms, "general", "2026-11-20");
    assert_eq!(friday.len(), 30);
    assert_eq!(friday[0], "general@2026-11-20T10:00-05:00");
    assert_eq!(friday[29], "general@2026-11-21T00:30-05:00");
    let service_day = |text| service_day_of(&looms, instant(text)).unwrap();
    assert_eq!(service_day("2026-11-21T00:59-05:00"), day("2026-11-20"));
    assert_eq!(service_day("2026-11-21T01:00-05:00"), day("2026-11-21"));
    // Thursday closes at five, so after midnight it is Friday.
    assert_eq!(service_day("2026-11-20T00:30-05:00"), day("2026-11-20"));
    // A holiday has no evening.
    assert_eq!(service_day("2026-12-26T00:30-05:00"), day("2026-12-26"));
}

#[test]
fn an_evening_that_closes_at_a_repeated_time_closes_at_the_first() {
    // Clocks go back from two to one in the night after this Saturday; closing time is one.
    let looms = meridian::venue("new-york-looms");
    let saturday = ids(&looms, "general", "2026-10-31");
    assert_eq!(
        (saturday.len(), saturday[29].as_str()),
        (30, "general@2026-11-01T00:30-04:00")
    );
    assert_eq!(
        service_day_of(&looms, instant("2026-11-01T01:00-04:00")),
        Ok(day("2026-11-01"))
    );
}

#[test]
fn quarters_of_an_hour_are_counted_in_kathmandu_and_chatham() {
    let stupa = meridian::venue("kathmandu-stupa");
    let friday = slots(&stupa, &stupa.products[0], day("2027-01-15"));
    assert_eq!(
        (friday.len(), friday[0].start, friday[0].offset_minutes),
        (8, instant("2027-01-15T04:30Z"), 345)
    );
    assert_eq!(
        ids(&stupa, "general", "2027-01-15")[7],
        "general@2027-01-15T15:30+05:45"
    );
    let albatross = meridian::venue("chatham-albatross");
    assert_eq!(
        ids(&albatross, "day-pass", "2027-01-16"),
        ["day-pass@2027-01-16T09:00+13:45"]
    );
    // The first Sunday of April is back on standard time by the morning; the day before is not.
    assert_eq!(
        ids(&albatross, "day-pass", "2027-04-03"),
        ["day-pass@2027-04-03T09:00+13:45"]
    );
    assert_eq!(
        ids(&albatross, "day-pass", "2027-04-04"),
        ["day-pass@2027-04-04T09:00+12:45"]
    );
    assert_eq!(
        ids(&albatross, "day-pass", "2027-09-26"),
        ["day-pass@2027-09-26T09:00+13:45"]
    );
}

#[test]
fn a_day_pass_is_one_slot_that_leaves_the_building_limit_alone() {
    let albatross = meridian::venue("chatham-albatross");
    let saturday = slots(&albatross, &albatross.products[0], day("2027-01-16"));
    let start = instant("2027-01-15T19:15Z");
    let end = instant("2027-01-16T02:15Z");
    assert_eq!(
        saturday,
        [SlotSpec {
            start,
            end,
            occupies_until: start,
            offset_minutes: 825,
            capacity: 150
        }]
    );
    let mut pass = albatross.products[0].clone();
    pass.last_entry_before_close_minutes = Some(90);
    assert_eq!(
        slots(&albatross, &pass, day("2027-01-16"))[0].end,
        end.plus_minutes(-90)
    );
    pass.last_entry_before_close_minutes = Some(420);
    assert_eq!(slots(&albatross, &pass, day("2027-01-16")), []);
    // From the first opening to the last closing.
    let dhow = meridian::venue("kuwait-dhow");
    let saturday = slots(&dhow, &pass, day("2027-01-16"));
    assert_eq!(saturday.len(), 1);
    assert_eq!(
        (saturday[0].start, saturday[0].end),
        (instant("2027-01-16T06:00Z"), instant("2027-01-16T10:30Z"))
    );
}

#[test]
fn a_day_with_two_openings_has_a_break() {
    let dhow = meridian::venue("kuwait-dhow");
    let hours: Vec<String> = ids(&dhow, "general", "2027-01-16")
        .iter()
        .map(|id| id["general@2027-01-16T".len()..][..5].to_owned())
        .collect();
    assert_eq!(
        hours,
        ["09:00", "10:00", "11:00", "12:00", "16:30", "17:30", "18:30", "19:30"]
    );
}

#[test]
fn lord_howe_has_days_of_23_and_a_half_and_24_and_a_half_hours() {
    let reef = meridian::venue("lord-howe-reef");
    let spring = ids(&reef, "general", "2026-10-04");
    assert_eq!(spring.len(), 47);
    assert_eq!(
        spring[3..5],
        ["general@2026-10-04T01:30+10:30", "general@2026-10-04T02:30+11:00"]
    );
    let autumn = ids(&reef, "general", "2027-04-04");
    assert_eq!(autumn.len(), 49);
    assert_eq!(
        autumn[2..6],
        [
            "general@2027-04-04T01:00+11:00",
            "general@2027-04-04T01:30+11:00",
            "general@2027-04-04T01:30+10:30",
            "general@2027-04-04T02:00+10:30"
        ]
    );
    assert_eq!(ids(&reef, "general", "2027-01-15").len(), 48);
}

#[test]
fn lisbon_and_new_york_have_days_of_23_and_25_hours() {
    for (zone, spring, autumn) in [
        ("Europe/Lisbon", "2027-03-28", "2026-10-25"),
        ("America/New_York", "2027-03-14", "2026-11-01"),
    ] {
        let venue = around_the_clock(zone);
        assert_eq!(ids(&venue, "general", spring).len(), 46, "{zone}");
        assert_eq!(ids(&venue, "general", autumn).len(), 50, "{zone}");
    }
    let lisbon = around_the_clock("Europe/Lisbon");
    assert_eq!(
        ids(&lisbon, "general", "2026-10-25")[1..7],
        [
            "general@2026-10-25T00:30+01:00",
            "general@2026-10-25T01:00+01:00",
            "general@2026-10-25T01:30+01:00",
            "general@2026-10-25T01:00+00:00",
            "general@2026-10-25T01:30+00:00",
            "general@2026-10-25T02:00+00:00"
        ]
    );
    let spring = ids(&lisbon, "general", "2027-03-28");
    assert_eq!(
        spring[1..3],
        ["general@2027-03-28T00:30+00:00", "general@2027-03-28T02:00+01:00"]
    );
}

#[test]
fn doors_whose_time_is_skipped_move_at_the_moment_of_the_change() {
    let mut lisbon = around_the_clock("Europe/Lisbon");
    let opening = |from_minute, to_minute| Opening {
        days: EVERY_DAY,
        from_minute,
        to_minute,
    };
    // One to two does not exist on this Sunday: the evening that closes at half past one closes at the change, and the
    // morning that opens then opens at the change.
    lisbon.opening = vec![opening(22 * 60, 90), opening(90, 4 * 60)];
    let sunday = ids(&lisbon, "general", "2027-03-28");
    assert_eq!(sunday[0], "general@2027-03-28T02:00+01:00");
    let saturday = ids(&lisbon, "general", "2027-03-27");
    assert_eq!(saturday.last().unwrap(), "general@2027-03-28T00:30+00:00");
    // An opening inside the skipped hour is none.
    lisbon.opening = vec![opening(60, 120)];
    assert_eq!(ids(&lisbon, "general", "2027-03-28"), [""; 0]);
    assert_eq!(ids(&lisbon, "general", "2027-03-29").len(), 2);
}

#[test]
fn a_slot_with_a_late_last_entry_ends_with_the_opening() {
    let tides = meridian::venue("lisbon-tides");
    let mut product = meridian::product(&tides, "conservator-tour").clone();
    product.last_entry_before_close_minutes = Some(0);
    product.slot_minutes = 90;
    let thursday = slots(&tides, &product, day("2027-01-14"));
    // Eight hours: five whole slots and a last one of half an hour; none begins at closing time.
    let last = thursday.last().unwrap();
    assert_eq!(
        (thursday.len(), last.start, last.end),
        (6, instant("2027-01-14T17:30Z"), instant("2027-01-14T18:00Z"))
    );
    product.slot_minutes = 60;
    assert_eq!(slots(&tides, &product, day("2027-01-14")).len(), 8);
    // A last entry before opening leaves nothing.
    product.last_entry_before_close_minutes = Some(485);
    assert_eq!(slots(&tides, &product, day("2027-01-14")), []);
}

#[test]
fn the_window_begins_with_the_day_that_still_lasts() {
    let looms = meridian::venue("new-york-looms");
    let at = |text| window(&looms, instant(text), DEFAULT_WINDOW_DAYS);
    assert_eq!(at("2026-11-20T12:00-05:00"), Ok((day("2026-11-20"), day("2027-02-17"))));
    assert_eq!(at("2026-11-21T00:30-05:00"), Ok((day("2026-11-20"), day("2027-02-17"))));
    assert_eq!(at("2026-11-21T01:00-05:00"), Ok((day("2026-11-21"), day("2027-02-18"))));
    let albatross = meridian::venue("chatham-albatross");
    assert_eq!(
        window(&albatross, instant("2027-01-15T10:15Z"), 1),
        Ok((day("2027-01-16"), day("2027-01-16")))
    );
}

#[test]
fn what_the_tables_do_not_know_is_an_error_and_no_panic() {
    let unknown = around_the_clock("Atlantis/Capital");
    let error = CalendarError::UnknownZone {
        zone: "Atlantis/Capital".into(),
    };
    assert_eq!(
        plan(&unknown, &unknown.products[0], day("2027-01-15")),
        Err(error.clone())
    );
    assert_eq!(window(&unknown, Timestamp(0), 90), Err(error));
    let lisbon = around_the_clock("Europe/Lisbon");
    for far in [i32::MIN, i32::MAX] {
        let far = plan(&lisbon, &lisbon.products[0], ServiceDay(far));
        assert!(matches!(far, Err(CalendarError::OutOfRange { .. })), "{far:?}");
    }
    for far in [i64::MIN, i64::MAX] {
        let far = service_day_of(&lisbon, Timestamp(far));
        assert!(matches!(far, Err(CalendarError::OutOfRange { .. })), "{far:?}");
    }
    // Lisbon was 36 minutes and 45 seconds behind before 1912.
    let odd = plan(&lisbon, &lisbon.products[0], day("1900-01-01"));
    assert!(matches!(odd, Err(CalendarError::OffGrid { .. })), "{odd:?}");
    let never = ProductDefinition {
        slot_minutes: 0,
        ..lisbon.products[0].clone()
    };
    let never = plan(&lisbon, &never, day("2027-01-15"));
    assert_eq!(
        never,
        Err(CalendarError::NotValidated {
            product: "general".into()
        })
    );
}

/// The clock of a zone at every step of a span of days, as minutes since 1970-01-01 of local time.
struct Clock {
    begin: i64,
    /// The latest time that the clock has shown so far: grows, where the clock itself may go back.
    reached: Vec<i64>,
}

impl Clock {
    /// From two days before `first` to three days behind `last`.
    fn new(zone: &TimeZone, first: ServiceDay, last: ServiceDay) -> Self {
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
    fn openings(&self, venue: &VenueDefinition, day: ServiceDay) -> Vec<(Timestamp, Timestamp)> {
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

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn minutes(from: Timestamp, to: Timestamp) -> i64 {
    (to.0 - from.0) / MINUTE
}

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
