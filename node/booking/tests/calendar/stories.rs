//! Days whose slots are known: openings past midnight, quarters of an hour, days of 23 and of 25 hours.

use rotunda_booking::calendar::{CalendarError, DEFAULT_WINDOW_DAYS, plan, service_day_of, window};
use rotunda_booking::catalogue::{Opening, ProductDefinition, VenueDefinition};
use rotunda_booking::command::SlotSpec;
use rotunda_booking::ids::SlotRef;
use rotunda_booking::time::{ServiceDay, Timestamp};

use crate::{EVERY_DAY, around_the_clock, day, meridian, slots};

fn instant(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
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
