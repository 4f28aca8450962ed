//! Instants, days and offsets as text and back, over the whole range.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

#[test]
fn instants_are_written_at_the_venues_offset() {
    let ten = Timestamp(1_800_007_200_000);
    assert_eq!(ten.to_rfc3339(0), "2027-01-15T10:00:00+00:00");
    assert_eq!(ten.to_rfc3339(345), "2027-01-15T15:45:00+05:45");
    assert_eq!(ten.to_rfc3339(-300), "2027-01-15T05:00:00-05:00");
    assert_eq!(ten.to_rfc3339(-30), "2027-01-15T09:30:00-00:30");
    assert_eq!(Timestamp(ten.0 + 7).to_rfc3339(0), "2027-01-15T10:00:00.007+00:00");
    assert_eq!(Timestamp(-1).to_rfc3339(0), "1969-12-31T23:59:59.999+00:00");
}

#[test]
fn what_rfc_3339_allows_is_read() {
    let ten = Timestamp(1_800_007_200_000);
    for text in [
        "2027-01-15T10:00:00+00:00",
        "2027-01-15T10:00:00Z",
        "2027-01-15t10:00:00z",
        "2027-01-15T10:00Z",
        "2027-01-15T10:00:00.000Z",
        "2027-01-15T15:45:00+05:45",
        "2027-01-15T05:00:00-05:00",
    ] {
        assert_eq!(Timestamp::parse_rfc3339(text), Ok(ten), "{text}");
    }
    assert_eq!(
        Timestamp::parse_rfc3339("2027-01-15T10:00:00.2509Z"),
        Ok(Timestamp(ten.0 + 250))
    );
    assert_eq!(
        Timestamp::parse_rfc3339("2027-01-15T10:00:00.5Z"),
        Ok(Timestamp(ten.0 + 500))
    );
    assert_eq!(
        Timestamp::parse_with_offset("2027-01-15T15:45:00+05:45"),
        Ok((ten, 345))
    );
}

#[test]
fn what_is_no_time_is_refused_with_the_reason() {
    use TimeError::{NoSuchDay, NoSuchOffset, NoSuchTime, TimeShape};
    for (text, error) in [
        ("", TimeShape),
        ("2027-01-15", TimeShape),
        ("2027-01-15 10:00:00Z", TimeShape),
        ("2027-01-15T10:00:00", TimeShape),
        ("2027-01-15T10Z", TimeShape),
        ("2027-01-15T10:00:00:00Z", TimeShape),
        ("2027-01-15T10:00:00.Z", TimeShape),
        ("2027-01-15T1o:00:00Z", TimeShape),
        ("27-01-15T10:00:00Z", TimeShape),
        ("2027-01-15T10:00:00Zulu", TimeShape),
        ("2027-01-15T10:00:00+0545", TimeShape),
        ("2027-02-29T10:00:00Z", NoSuchDay),
        ("2027-13-01T10:00:00Z", NoSuchDay),
        ("2027-01-15T24:00:00Z", NoSuchTime),
        ("2027-01-15T10:60:00Z", NoSuchTime),
        ("2027-01-15T10:00:60Z", NoSuchTime),
        ("2027-01-15T10:00:00+24:00", NoSuchOffset),
        ("2027-01-15T10:00:00+05:60", NoSuchOffset),
    ] {
        assert_eq!(Timestamp::parse_rfc3339(text), Err(error), "{text}");
    }
}

#[test]
fn days_know_their_date_and_weekday() {
    for (text, days, weekday) in [
        ("1970-01-01", 0, 3),
        ("1969-12-31", -1, 2),
        ("2000-02-29", 11_016, 1),
        ("2026-11-22", 20_779, 6),
        ("2027-01-15", 20_833, 4),
        ("2100-03-01", 47_541, 0),
        ("0000-03-01", -719_468, 2),
    ] {
        let day: ServiceDay = text.parse().unwrap();
        assert_eq!((day.0, day.weekday()), (days, weekday), "{text}");
        assert_eq!(day.to_string(), text);
    }
}

#[test]
fn what_is_no_day_is_refused_with_the_reason() {
    for text in [
        "",
        "2027-1-15",
        "2027-01-15 ",
        "2027/01/15",
        "20270115",
        "+027-01-15",
        "2027-0a-15",
        "2027-01-1é",
    ] {
        assert_eq!(text.parse::<ServiceDay>(), Err(TimeError::DayShape), "{text}");
    }
    for text in [
        "2027-02-29",
        "2100-02-29",
        "2027-04-31",
        "2027-00-10",
        "2027-13-10",
        "2027-01-00",
        "2027-01-32",
    ] {
        assert_eq!(text.parse::<ServiceDay>(), Err(TimeError::NoSuchDay), "{text}");
    }
}

#[test]
fn the_ends_of_the_range_neither_wrap_nor_panic() {
    for instant in [i64::MIN, i64::MIN + 1, i64::MAX] {
        for offset in [i16::MIN, -1, 0, i16::MAX] {
            assert!(!Timestamp(instant).to_rfc3339(offset).is_empty());
        }
    }
    for day in [i32::MIN, i32::MAX] {
        assert!(!ServiceDay(day).to_string().is_empty());
        assert!(ServiceDay(day).weekday() < 7);
        let _ = ServiceDay(day).plus_days(day);
    }
    assert_eq!(Timestamp(i64::MAX).plus_minutes(i64::MAX), Timestamp(i64::MAX));
}

/// 0000-01-01 to 9999-12-31, in milliseconds, less a day on either side for the offset.
const FOUR_DIGIT_YEARS: std::ops::Range<i64> = -62_167_132_800_000..253_402_214_400_000;

proptest! {
    #[test]
    fn instants_survive_being_written(instant in FOUR_DIGIT_YEARS, offset in -1439..=1439_i16) {
        let text = Timestamp(instant).to_rfc3339(offset);
        prop_assert_eq!(Timestamp::parse_with_offset(&text), Ok((Timestamp(instant), offset)));
    }

    #[test]
    fn days_survive_being_written(days in -719_528..=2_932_896_i32) {
        let day = ServiceDay(days);
        prop_assert_eq!(day.to_string().parse::<ServiceDay>(), Ok(day));
        let (year, month, of_month) = day.civil();
        prop_assert_eq!(ServiceDay::from_civil(year, month, of_month), Some(day));
    }

    #[test]
    fn days_agree_with_an_independent_calendar(days in -719_528..=2_932_896_i32) {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
        let (year, month, day) = ServiceDay(days).civil();
        prop_assert_eq!((year, month, day), (i32::from(date.year()), date.month() as u8, date.day() as u8));
        prop_assert_eq!(ServiceDay(days).weekday(), date.weekday().to_monday_zero_offset() as u8);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,40}", near in "[0-9TZz:.+-]{0,30}") {
        for text in [text, near] {
            let _ = Timestamp::parse_with_offset(&text);
            let _ = text.parse::<ServiceDay>();
        }
    }
}
