//! Time as the log knows it: instants and service days, and the civil arithmetic that turns them into text and back.
//!
//! Everything here is whole-number arithmetic on the proleptic Gregorian calendar and an offset that the caller hands
//! in, so apply may use it: two binaries cannot disagree about it. What needs a zone table is the proposer's and lives
//! in [`crate::calendar`].

use std::fmt;
use std::str::FromStr;

/// Milliseconds in a second.
const SECOND: i64 = 1_000;
/// Milliseconds in a minute.
const MINUTE: i64 = 60 * SECOND;
/// Milliseconds in 24 hours.
const DAY: i64 = 24 * 60 * MINUTE;
/// Offsets of local time stay below this many minutes on either side (RFC 3339 writes at most 23:59).
const OFFSET_LIMIT: i16 = 24 * 60;

/// Milliseconds since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Days since 1970-01-01 of the venue's calendar: the day on which an opening began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceDay(pub i32);

/// Why a text is not a time or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the shape of an instant.
    #[error("not a time; write it as 2027-01-15T10:00:00+00:00")]
    TimeShape,
    /// Not of the shape of a day.
    #[error("not a date; write it as 2027-01-15")]
    DayShape,
    /// The shape is right, but the calendar has no such day.
    #[error("the calendar has no such day; check month and day")]
    NoSuchDay,
    /// The shape is right, but no clock shows this.
    #[error("no clock shows this; hours go to 23, minutes and seconds to 59")]
    NoSuchTime,
    /// The shape is right, but there is no such offset.
    #[error("no such offset from UTC; write it as +00:00, at most 23:59")]
    NoSuchOffset,
}

impl Timestamp {
    /// `minutes` later; stays at the last representable instant rather than wrap.
    #[must_use]
    pub const fn plus_minutes(self, minutes: i64) -> Self {
        Self(self.0.saturating_add(minutes.saturating_mul(MINUTE)))
    }

    /// The instant as RFC 3339 text in local time at `offset_minutes`: `2027-01-15T10:00:00+00:00`, with milliseconds
    /// only where there are some. Years outside 0..=9999 are written with as many digits as they need, which RFC 3339
    /// does not cover; no such instant enters the log.
    #[must_use]
    pub fn to_rfc3339(self, offset_minutes: i16) -> String {
        let mut text = String::with_capacity("2027-01-15T10:00:00.000+00:00".len());
        self.push_rfc3339(offset_minutes, &mut text);
        text
    }

    /// Appends [`Timestamp::to_rfc3339`].
    pub fn push_rfc3339(self, offset_minutes: i16, text: &mut String) {
        let local = LocalTime::of(self, offset_minutes);
        local.push_minute(text);
        text.push(':');
        push_two(text, local.second);
        local.push_fraction(text);
        push_offset(text, offset_minutes);
    }

    /// Reads RFC 3339 text; seconds may be left out, fractions are cut to milliseconds, `Z` means `+00:00`.
    ///
    /// # Errors
    /// [`TimeError`] where the text is not an instant.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        Self::parse_with_offset(text).map(|(instant, _)| instant)
    }

    /// As [`Timestamp::parse_rfc3339`], with the offset in minutes that the text was written in.
    ///
    /// # Errors
    /// [`TimeError`] where the text is not an instant.
    pub fn parse_with_offset(text: &str) -> Result<(Self, i16), TimeError> {
        let (date, clock) = split_date(text).ok_or(TimeError::TimeShape)?;
        let day: ServiceDay = date.parse().map_err(|error| match error {
            TimeError::DayShape => TimeError::TimeShape,
            other => other,
        })?;
        let zone_at = clock.find(['Z', 'z', '+', '-']).ok_or(TimeError::TimeShape)?;
        let (clock, zone) = clock.split_at(zone_at);
        let millis = parse_clock(clock)?;
        let offset = parse_offset(zone)?;
        let local = i64::from(day.0) * DAY + millis;
        Ok((Self(local - i64::from(offset) * MINUTE), offset))
    }
}

/// Splits `2027-01-15T10:00...` at the `T`. Works on bytes of any text without cutting a character in two.
fn split_date(text: &str) -> Option<(&str, &str)> {
    let at = text.find(['T', 't'])?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Reads `10:00`, `10:00:30` or `10:00:30.250` as milliseconds after midnight.
pub(crate) fn parse_clock(text: &str) -> Result<i64, TimeError> {
    let mut parts = text.split(':');
    let hour = two_digits(parts.next().ok_or(TimeError::TimeShape)?)?;
    let minute = two_digits(parts.next().ok_or(TimeError::TimeShape)?)?;
    let (second, milli) = match parts.next() {
        None => (0, 0),
        Some(text) => match text.split_once('.') {
            None => (two_digits(text)?, 0),
            Some((second, fraction)) => (two_digits(second)?, parse_fraction(fraction)?),
        },
    };
    if parts.next().is_some() {
        return Err(TimeError::TimeShape);
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err(TimeError::NoSuchTime);
    }
    Ok((hour * 60 + minute) * MINUTE + second * SECOND + milli)
}

fn parse_fraction(text: &str) -> Result<i64, TimeError> {
    if text.is_empty() || text.len() > 9 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeError::TimeShape);
    }
    let digits = text.bytes().chain(std::iter::repeat(b'0')).take(3);
    Ok(digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn parse_offset(text: &str) -> Result<i16, TimeError> {
    if text == "Z" || text == "z" {
        return Ok(0);
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(TimeError::TimeShape),
    };
    let (hours, minutes) = rest.split_once(':').ok_or(TimeError::TimeShape)?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    if hours > 23 || minutes > 59 {
        return Err(TimeError::NoSuchOffset);
    }
    i16::try_from(sign * (hours * 60 + minutes)).map_err(|_| TimeError::NoSuchOffset)
}

fn two_digits(text: &str) -> Result<i64, TimeError> {
    match text.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Ok(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => Err(TimeError::TimeShape),
    }
}

/// Appends the last two digits of a number. What `format!` takes for one time is more than all else in an answer takes, and
/// an answer has several.
fn push_two(text: &mut String, number: i64) {
    const PAIRS: &str = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
                         5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    let at = 2 * (number % 100) as usize;
    text.push_str(PAIRS.get(at..at + 2).unwrap_or_default());
}

/// Appends `+05:45`. Offsets that RFC 3339 cannot write (24 hours and more) are cut to its bound.
pub(crate) fn push_offset(text: &mut String, offset_minutes: i16) {
    let offset = offset_minutes.clamp(1 - OFFSET_LIMIT, OFFSET_LIMIT - 1);
    text.push(if offset < 0 { '-' } else { '+' });
    push_two(text, i64::from(offset.abs() / 60));
    text.push(':');
    push_two(text, i64::from(offset.abs() % 60));
}

/// An instant taken apart at an offset.
pub(crate) struct LocalTime {
    pub(crate) day: CivilDay,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) milli: i64,
}

impl LocalTime {
    pub(crate) fn of(instant: Timestamp, offset_minutes: i16) -> Self {
        let offset = offset_minutes.clamp(1 - OFFSET_LIMIT, OFFSET_LIMIT - 1);
        let local = instant.0.saturating_add(i64::from(offset) * MINUTE);
        let within = local.rem_euclid(DAY);
        Self {
            day: CivilDay::of(local.div_euclid(DAY)),
            hour: within / (60 * MINUTE),
            minute: within / MINUTE % 60,
            second: within / SECOND % 60,
            milli: within % SECOND,
        }
    }

    /// Appends `2027-01-15T10:00`.
    pub(crate) fn push_minute(&self, text: &mut String) {
        self.day.push(text);
        text.push('T');
        push_two(text, self.hour);
        text.push(':');
        push_two(text, self.minute);
    }

    /// Appends `:30.250`, of it only what is not nothing.
    pub(crate) fn push_seconds(&self, text: &mut String) {
        if self.second != 0 || self.milli != 0 {
            text.push(':');
            push_two(text, self.second);
            self.push_fraction(text);
        }
    }

    /// Appends `.250`, where there is a fraction.
    fn push_fraction(&self, text: &mut String) {
        if self.milli != 0 {
            text.push('.');
            text.push(char::from(b'0' + (self.milli / 100) as u8));
            push_two(text, self.milli);
        }
    }
}

/// Year, month and day of a count of days since 1970-01-01, by pure arithmetic.
pub(crate) struct CivilDay {
    year: i64,
    month: u8,
    day: u8,
}

impl CivilDay {
    /// Counts in eras of 400 years that begin on a first of March, so that the leap day comes last
    /// (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn of(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        } as u8;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day }
    }

    /// Appends `2027-01-15`.
    fn push(&self, text: &mut String) {
        if (0..=9_999).contains(&self.year) {
            push_two(text, self.year / 100);
            push_two(text, self.year);
        } else {
            text.push_str(&format!("{:04}", self.year));
        }
        for part in [self.month, self.day] {
            text.push('-');
            push_two(text, i64::from(part));
        }
    }
}

impl fmt::Display for CivilDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity("2027-01-15".len());
        self.push(&mut text);
        f.write_str(&text)
    }
}

impl ServiceDay {
    /// The day of the proleptic Gregorian calendar, or `None` where it has no such day or the year lies outside
    /// -9999..=9999.
    #[must_use]
    pub fn from_civil(year: i32, month: u8, day: u8) -> Option<Self> {
        if !(-9_999..=9_999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        let shifted_year = year - i32::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let shifted_month = (i32::from(month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + i32::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self(era * 146_097 + day_of_era - 719_468))
    }

    /// Year, month (1..=12) and day of month (1..=31).
    #[must_use]
    pub fn civil(self) -> (i32, u8, u8) {
        let civil = CivilDay::of(i64::from(self.0));
        (civil.year as i32, civil.month, civil.day)
    }

    /// 0 is Monday, 6 is Sunday: the bit of the day in [`crate::catalogue::Opening::days`].
    #[must_use]
    pub const fn weekday(self) -> u8 {
        // 1970-01-01 was a Thursday.
        (self.0 as i64 + 3).rem_euclid(7) as u8
    }

    /// `days` later (earlier where negative); stays at the last representable day rather than wrap.
    #[must_use]
    pub const fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }
}

const fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `2027-01-15`.
impl fmt::Display for ServiceDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CivilDay::of(i64::from(self.0)).fmt(f)
    }
}

/// Reads `2027-01-15`: four digits of year, nothing around it.
impl FromStr for ServiceDay {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' || !text.is_ascii() {
            return Err(TimeError::DayShape);
        }
        let shape = |_| TimeError::DayShape;
        let year = two_digits(&text[..2]).map_err(shape)? * 100 + two_digits(&text[2..4]).map_err(shape)?;
        let month = two_digits(&text[5..7]).map_err(shape)?;
        let day = two_digits(&text[8..]).map_err(shape)?;
        Self::from_civil(year as i32, month as u8, day as u8).ok_or(TimeError::NoSuchDay)
    }
}

#[cfg(test)]
#[path = "time/tests.rs"]
mod tests;
