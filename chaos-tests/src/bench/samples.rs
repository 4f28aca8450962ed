//! What clients measured.

use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::report::timeline::{Column, Timeline};

/// Latencies are told apart to one part in a thousand, up to a minute; in microseconds.
const DIGITS: u8 = 3;
const LONGEST_US: u64 = 60_000_000;
/// By the second, one part in a hundred will do.
const DIGITS_OF_SECONDS: u8 = 2;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Availability of a product on a day.
    Look,
    /// Places taken for a while.
    Hold,
    /// A hold sold.
    Confirm,
    /// A hold given back.
    Release,
}

impl Deed {
    /// All of them.
    pub const ALL: [Deed; 4] = [Deed::Look, Deed::Hold, Deed::Confirm, Deed::Release];
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// As wished.
    Done,
    /// By the rules: sold out, run out.
    Refused,
    /// Too much at once: 429 or 503, or the client's own bound.
    Shed,
    /// Our error, or no answer.
    Failed(Failure),
}

/// What was wrong with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The connection ended or could not be made.
    NoAnswer,
    /// 503: the cluster could not take it, nothing was done.
    Unavailable,
    /// 504: it may have taken effect.
    Unknown,
    /// Any other error, and answers that make no sense.
    Internal,
}

/// How many ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As wished.
    pub done: u64,
    /// By the rules.
    pub refused: u64,
    /// Turned away.
    pub shed: u64,
    /// Our errors.
    pub failed: u64,
    /// By what was wrong.
    pub failures: Failures,
}

/// How many failed of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "`Failure` tells what they are")]
pub struct Failures {
    pub no_answer: u64,
    pub unavailable: u64,
    pub unknown: u64,
    pub internal: u64,
}

impl Failures {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Failures {
            no_answer: self.no_answer + other.no_answer,
            unavailable: self.unavailable + other.unavailable,
            unknown: self.unknown + other.unknown,
            internal: self.internal + other.internal,
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.no_answer, "without an answer"),
            (self.unavailable, "unavailable"),
            (self.unknown, "outcome unknown"),
            (self.internal, "internal"),
        ];
        let there: Vec<String> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        f.write_str(&there.join(", "))
    }
}

impl Counts {
    fn add(&mut self, ending: Ending) {
        *match ending {
            Ending::Done => &mut self.done,
            Ending::Refused => &mut self.refused,
            Ending::Shed => &mut self.shed,
            Ending::Failed(failure) => {
                *match failure {
                    Failure::NoAnswer => &mut self.failures.no_answer,
                    Failure::Unavailable => &mut self.failures.unavailable,
                    Failure::Unknown => &mut self.failures.unknown,
                    Failure::Internal => &mut self.failures.internal,
                } += 1;
                &mut self.failed
            }
        } += 1;
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.done + self.refused + self.shed + self.failed
    }
}

/// One second of a run.
#[derive(Clone, Debug)]
pub struct Second {
    /// Requests that ended in it.
    pub counts: Counts,
    /// Their latencies, those that were turned away left out.
    pub latencies: Histogram<u64>,
}

/// One sort of request over the whole run.
#[derive(Clone, Debug)]
pub struct OfDeed {
    /// How they ended.
    pub counts: Counts,
    /// Latencies of what was decided: done, or refused by the rules.
    pub decided: Histogram<u64>,
    /// Latencies of what was turned away.
    pub shed: Histogram<u64>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Samples {
    from: Instant,
    until: Instant,
    deeds: Vec<OfDeed>,
    seconds: Vec<Second>,
}

#[expect(clippy::expect_used, reason = "the bounds are constants that a histogram takes")]
fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, digits).expect("bounds of a histogram")
}

impl Samples {
    /// Counts requests that end in `from..until`.
    #[must_use]
    pub fn new(from: Instant, until: Instant) -> Self {
        let deed = || OfDeed {
            counts: Counts::default(),
            decided: histogram(DIGITS),
            shed: histogram(DIGITS),
        };
        Samples {
            from,
            until,
            deeds: Deed::ALL.iter().map(|_| deed()).collect(),
            seconds: Vec::new(),
        }
    }

    /// Notes a request that was due at `due` and has ended now.
    pub fn note(&mut self, deed: Deed, ending: Ending, due: Instant) {
        let now = Instant::now();
        if now < self.from || now >= self.until {
            return;
        }
        let micros = u64::try_from((now - due).as_micros()).unwrap_or(LONGEST_US);
        let of_deed = &mut self.deeds[deed as usize];
        of_deed.counts.add(ending);
        let number = usize::try_from((now - self.from).as_secs()).unwrap_or_default();
        while self.seconds.len() <= number {
            self.seconds.push(Second {
                counts: Counts::default(),
                latencies: histogram(DIGITS_OF_SECONDS),
            });
        }
        let second = &mut self.seconds[number];
        second.counts.add(ending);
        match ending {
            Ending::Done | Ending::Refused => {
                of_deed.decided.saturating_record(micros);
                second.latencies.saturating_record(micros);
            }
            Ending::Shed => of_deed.shed.saturating_record(micros),
            Ending::Failed(_) => {}
        }
    }

    /// One sort of request.
    #[must_use]
    pub fn of(&self, deed: Deed) -> &OfDeed {
        &self.deeds[deed as usize]
    }

    /// By the second, from the first that counts.
    #[must_use]
    pub fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    /// By the second, for the picture.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        let ns = |micros: u64| Some(micros * 1_000);
        let column = |counts: Counts, latencies: &Histogram<u64>| Column {
            ok: counts.done,
            refused: counts.refused,
            turned_away: counts.shed,
            unknown: counts.failed,
            p50_ns: (!latencies.is_empty())
                .then(|| ns(latencies.value_at_quantile(0.5)))
                .flatten(),
            p99_ns: (!latencies.is_empty())
                .then(|| ns(latencies.value_at_quantile(0.99)))
                .flatten(),
        };
        Timeline {
            end_ns: u64::try_from(self.span().as_nanos()).unwrap_or(u64::MAX).max(1),
            column_ns: 1_000_000_000,
            columns: self
                .seconds
                .iter()
                .map(|second| column(second.counts, &second.latencies))
                .collect(),
            ..Timeline::default()
        }
    }

    /// The time that counted: less than was meant where it ended early.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.until - self.from
    }

    /// Nothing counts from now on: a run that has come to its end before its time.
    pub fn end_at(&mut self, moment: Instant) {
        self.until = self.until.min(moment).max(self.from);
    }

    /// Requests that were done, a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub fn rate(&self, deed: Deed) -> f64 {
        self.of(deed).counts.done as f64 / self.span().as_secs_f64().max(1e-9)
    }
}

/// Latencies at the usual shares, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "they are what they are called")]
pub struct Percentiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl Percentiles {
    /// Of a histogram; zeros where it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Percentiles {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }

    /// Of a closed loop, with the requests that would have been sent while one was waited for: a client that sends one
    /// every `interval` on the average and is held up for ten of them would have had nine more, each waiting a little less
    /// (Gil Tene's correction for coordinated omission).
    #[must_use]
    pub fn corrected(histogram: &Histogram<u64>, interval: Duration) -> Self {
        let micros = u64::try_from(interval.as_micros()).unwrap_or(LONGEST_US).max(1);
        Percentiles::of(&histogram.clone_correct(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_a_closed_loop_hides_is_seen_after_the_correction() {
        let mut measured = histogram(DIGITS);
        for _ in 0..999 {
            measured.record(1_000).expect("in bounds");
        }
        measured.record(1_000_000).expect("in bounds");
        let hidden = Percentiles::of(&measured);
        assert!(hidden.p99 <= 1_001, "{hidden:?}");
        let seen = Percentiles::corrected(&measured, Duration::from_millis(1));
        assert!(
            seen.p99 >= 950_000,
            "half of all requests would have met the pause: {seen:?}"
        );
        assert_eq!(seen.max, hidden.max);
    }

    #[test]
    fn only_what_ends_in_time_counts() {
        let now = Instant::now();
        let mut samples = Samples::new(now, now + Duration::from_secs(60));
        samples.note(Deed::Hold, Ending::Done, now);
        samples.note(Deed::Hold, Ending::Refused, now);
        samples.note(Deed::Look, Ending::Failed(Failure::Unknown), now);
        let mut late = Samples::new(now + Duration::from_secs(30), now + Duration::from_secs(60));
        late.note(Deed::Hold, Ending::Done, now);
        assert_eq!(late.of(Deed::Hold).counts.all(), 0, "it is the warm-up");
        assert_eq!(
            samples.of(Deed::Hold).counts,
            Counts {
                done: 1,
                refused: 1,
                ..Counts::default()
            }
        );
        assert_eq!(samples.of(Deed::Look).counts.failed, 1);
        assert_eq!(samples.of(Deed::Look).counts.failures.to_string(), "1 outcome unknown");
        assert_eq!(samples.of(Deed::Look).decided.len(), 0, "what failed has no latency");
        assert_eq!(samples.seconds()[0].counts.all(), 3);
    }
}
