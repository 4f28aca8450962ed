//! Weekly opening hours: times, weekdays, and that no two openings overlap, also past midnight and around the week.

use super::fields::Report;
use crate::catalogue::bounds::{GRID_MINUTES, MAX_OPENINGS};
use crate::catalogue::{Opening, OpeningDescription};
use crate::time;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: i32 = 24 * 60;
const WEEK: i32 = 7 * DAY;

pub(super) fn weekly(at: &str, openings: &[OpeningDescription], report: &mut Report) -> Vec<Opening> {
    report.at_most(at, openings.len(), MAX_OPENINGS, "openings");
    let mut read = Vec::new();
    for (index, opening) in openings.iter().take(MAX_OPENINGS).enumerate() {
        let at = format!("{at}/{index}");
        let days = weekdays(&format!("{at}/days"), &opening.days, report);
        let from = minute_of_day(format!("{at}/from"), &opening.from, false, report);
        let to = minute_of_day(format!("{at}/to"), &opening.to, true, report);
        // A time that does not read is reported once; its opening takes no part in what follows.
        read.push(from.zip(to).map(|(from_minute, to_minute)| Opening {
            days,
            from_minute,
            to_minute,
        }));
    }
    overlaps(at, &read, report);
    read.into_iter().flatten().collect()
}

fn weekdays(at: &str, days: &[String], report: &mut Report) -> u8 {
    if days.is_empty() {
        report.say(
            at,
            "names no weekday; name at least one of mon, tue, wed, thu, fri, sat, sun",
        );
    }
    let mut bits = 0;
    for (index, day) in days.iter().enumerate() {
        match WEEKDAYS.iter().position(|known| known == day) {
            None => report.say(
                format!("{at}/{index}"),
                format!("there is no weekday {day:?}; use mon, tue, wed, thu, fri, sat or sun"),
            ),
            Some(bit) if bits >> bit & 1 == 1 => {
                report.say(
                    format!("{at}/{index}"),
                    format!("names {day} a second time; leave it out"),
                );
            }
            Some(bit) => bits |= 1 << bit,
        }
    }
    bits
}

/// Minutes after midnight of `10:00`; `24:00` where a time may end the day.
fn minute_of_day(at: String, text: &str, may_end_the_day: bool, report: &mut Report) -> Option<u16> {
    if text == "24:00" {
        if may_end_the_day {
            return Some(1_440);
        }
        report.say(
            at,
            "24:00 only ends a day; an opening that begins at midnight begins at 00:00",
        );
        return None;
    }
    let millis = (text.len() == 5).then(|| time::parse_clock(text).ok()).flatten();
    let Some(minute) = millis.map(|millis| millis / 60_000) else {
        report.say(
            at,
            format!("{text:?} is not a time of day; write it as 09:30, in quotes, up to 24:00"),
        );
        return None;
    };
    if minute % GRID_MINUTES != 0 {
        report.say(
            at,
            format!("{text} is not on a step of {GRID_MINUTES} minutes; use one, as 09:30 or 09:35"),
        );
        return None;
    }
    u16::try_from(minute).ok()
}

/// Openings of one venue may touch and must not overlap: the slots of both would.
fn overlaps(at: &str, openings: &[Option<Opening>], report: &mut Report) {
    for (index, later) in openings.iter().enumerate() {
        for (earlier_index, earlier) in openings[..index].iter().enumerate() {
            let (Some(earlier), Some(later)) = (earlier, later) else {
                continue;
            };
            if let Some(day) = common_day(earlier, later) {
                let (from, to) = (clock(earlier.from_minute), clock(earlier.to_minute));
                report.say(
                    format!("{at}/{index}"),
                    format!(
                        "overlaps on {day} with the opening at {at}/{earlier_index}, from {from} to {to}, so slots would \
                         overlap; let one end before the other begins, or join them"
                    ),
                );
            }
        }
    }
}

/// The weekday on which the later of two overlapping openings begins.
fn common_day(a: &Opening, b: &Opening) -> Option<&'static str> {
    for (day_a, (from_a, to_a)) in in_week(a) {
        for (day_b, (from_b, to_b)) in in_week(b) {
            // The week is a circle: Sunday's night is Monday's morning.
            for shift in [-WEEK, 0, WEEK] {
                if from_a < to_b + shift && from_b + shift < to_a {
                    return Some(WEEKDAYS[if from_a < from_b + shift { day_b } else { day_a }]);
                }
            }
        }
    }
    None
}

/// For each weekday of the opening: from and to in minutes since Monday's midnight.
fn in_week(opening: &Opening) -> impl Iterator<Item = (usize, (i32, i32))> {
    let opening = *opening;
    (0..7).filter(move |day| opening.days >> day & 1 == 1).map(move |day| {
        let midnight = day as i32 * DAY;
        let to = i32::from(opening.to_minute)
            + if opening.to_minute <= opening.from_minute {
                DAY
            } else {
                0
            };
        (day, (midnight + i32::from(opening.from_minute), midnight + to))
    })
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
