//! What may be wrong with opening hours and closed days.

use super::*;

#[test]
fn a_weekday_that_is_none_is_refused() {
    venue_finds("/opening/0/days/1", "there is no weekday \"Tuesday\"", |venue| {
        venue.opening[0].days[1] = "Tuesday".into();
    });
    venue_finds("/opening/0/days/1", "names mon a second time", |venue| {
        venue.opening[0].days[1] = "mon".into()
    });
    venue_finds("/opening/0/days", "names no weekday", |venue| {
        venue.opening[0].days.clear()
    });
}

#[test]
fn a_time_of_day_that_is_none_is_refused() {
    for time in [
        "",
        "10",
        "9:30",
        "10:00:00",
        "24:05",
        "25:00",
        "10:60",
        "10.00",
        "36000",
        "1\u{e9}:00",
    ] {
        venue_finds("/opening/0/from", "is not a time of day", |venue| {
            venue.opening[0].from = time.into()
        });
        venue_finds("/opening/0/to", "is not a time of day", |venue| {
            venue.opening[0].to = time.into()
        });
    }
    venue_finds("/opening/0/from", "begins at 00:00", |venue| {
        venue.opening[0].from = "24:00".into()
    });
    let venue = &good(|network| network.venues[0].opening[0].to = "24:00".into()).venues[0];
    assert_eq!(venue.opening[0].to_minute, 1_440);
}

#[test]
fn openings_that_overlap_are_refused() {
    let overlap = |detail: &str, openings: &[(&[&str], &str, &str)]| {
        venue_finds("/opening/1", detail, |venue| {
            venue.opening = openings
                .iter()
                .map(|(days, from, to)| opening(days, from, to))
                .collect();
        });
    };
    overlap(
        "overlaps on wed",
        &[(&["tue", "wed"], "10:00", "14:00"), (&["wed", "thu"], "13:55", "18:00")],
    );
    overlap(
        "overlaps on wed",
        &[(&["wed"], "10:00", "18:00"), (&["wed"], "12:00", "13:00")],
    );
    overlap(
        "overlaps on wed",
        &[(&["wed"], "10:00", "18:00"), (&["wed"], "10:00", "18:00")],
    );
    // Past midnight into the next day's.
    overlap(
        "overlaps on sat",
        &[(&["fri"], "20:00", "02:00"), (&["sat"], "01:00", "09:00")],
    );
    overlap(
        "overlaps on sat",
        &[(&["sat"], "01:00", "09:00"), (&["fri"], "20:00", "02:00")],
    );
    // From Sunday's night into Monday's morning.
    overlap(
        "overlaps on mon",
        &[(&["sun"], "20:00", "02:00"), (&["mon"], "00:00", "09:00")],
    );
    // Ends where it starts: around the clock.
    overlap(
        "overlaps on tue",
        &[(&["mon"], "10:00", "10:00"), (&["tue"], "09:00", "12:00")],
    );
}

#[test]
fn openings_may_touch() {
    good(|network| {
        network.venues[0].opening = vec![
            opening(&["mon", "tue"], "10:00", "13:00"),
            opening(&["mon", "tue"], "13:00", "00:00"),
            opening(&["tue", "wed"], "00:00", "10:00"),
            opening(&["wed"], "10:00", "10:00"),
            opening(&["thu"], "10:00", "24:00"),
        ];
    });
}

#[test]
fn a_date_that_is_none_is_refused() {
    venue_finds("/closed/1", "write it as 2027-01-15", |venue| {
        venue.closed[1] = "25.12.2026".into()
    });
    venue_finds("/closed/1", "the calendar has no \"2027-02-29\"", |venue| {
        venue.closed[1] = "2027-02-29".into()
    });
}
