//! The seconds that are kept: for each, the curves' values and what had been counted by then.

use std::collections::VecDeque;

use crate::plan::Totals;

/// Seconds that are kept: a quarter of an hour.
pub(crate) const KEPT: usize = 900;

/// One second.
#[derive(Clone, Debug)]
pub(crate) struct Second {
    /// Milliseconds since 1970.
    pub(crate) time: u64,
    /// One for each curve.
    pub(crate) values: Vec<Option<f64>>,
    /// Since the process began.
    pub(crate) totals: Totals,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct History {
    seconds: VecDeque<Second>,
}

impl History {
    /// Takes one more in; the oldest goes where there are too many.
    pub(crate) fn push(&mut self, second: Second) {
        if self.seconds.len() >= KEPT {
            self.seconds.pop_front();
        }
        self.seconds.push_back(second);
    }

    /// What was counted in the last so many seconds, or since there is a history, and in how many seconds that was.
    pub(crate) fn counted(&self, seconds: usize) -> (Totals, f64) {
        let (Some(now), Some(then)) = (
            self.seconds.back(),
            self.seconds.get(self.seconds.len().saturating_sub(seconds + 1)),
        ) else {
            return (Totals::default(), 0.0);
        };
        let took = now.time.saturating_sub(then.time) as f64 / 1_000.0;
        (now.totals.since(&then.totals), took)
    }

    /// When the last second was.
    pub(crate) fn last(&self) -> Option<u64> {
        self.seconds.back().map(|second| second.time)
    }

    /// When each second was.
    pub(crate) fn times(&self) -> Vec<u64> {
        self.seconds.iter().map(|second| second.time).collect()
    }

    /// The values of each of so many curves.
    pub(crate) fn columns(&self, curves: usize) -> Vec<Vec<Option<f64>>> {
        let column = |n: usize| {
            self.seconds
                .iter()
                .map(move |second| second.values.get(n).copied().flatten())
        };
        (0..curves).map(|n| column(n).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Second {
        let totals = Totals {
            asked: n as f64 * 10.0,
            ..Totals::default()
        };
        Second {
            time: n * 1_000,
            values: vec![Some(n as f64), None],
            totals,
        }
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept() {
        let mut history = History::default();
        assert_eq!(history.counted(60).1, 0.0);
        for n in 0..2_000 {
            history.push(second(n));
        }
        let times = history.times();
        assert_eq!((times.len(), times[0], times[KEPT - 1]), (KEPT, 1_100_000, 1_999_000));
        let columns = history.columns(2);
        assert_eq!(columns[0][0], Some(1_100.0));
        assert!(columns[1].iter().all(Option::is_none));
    }

    #[test]
    fn what_was_counted_lately_is_what_came_since() {
        let mut history = History::default();
        for n in 0..100 {
            history.push(second(n));
        }
        let (lately, seconds) = history.counted(60);
        assert_eq!((lately.asked, seconds), (600.0, 60.0));
        let (ever, seconds) = history.counted(5_000);
        assert_eq!((ever.asked, seconds), (990.0, 99.0));
    }
}
