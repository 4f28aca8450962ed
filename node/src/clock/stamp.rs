//! A leader's stamps advance with its monotonic clock from max(last stamp, wall clock when it took over), so a jump of
//! the wall clock expires nobody's hold (domain rule 3).

use tokio::time::Instant;

/// The clock of one group's leader.
#[derive(Debug)]
pub struct StampClock {
    term: Option<u64>,
    base_ms: i64,
    since: Instant,
}

impl StampClock {
    /// Starts when it first leads.
    #[must_use]
    pub fn new() -> Self {
        Self {
            term: None,
            base_ms: 0,
            since: Instant::now(),
        }
    }

    /// The stamp for an entry proposed now in `term`; `applied_ms` is the log time applied so far.
    pub fn stamp(&mut self, term: u64, applied_ms: i64, wall_ms: i64) -> i64 {
        self.stamp_at(Instant::now(), term, applied_ms, wall_ms)
    }

    fn stamp_at(&mut self, now: Instant, term: u64, applied_ms: i64, wall_ms: i64) -> i64 {
        if self.term != Some(term) {
            self.term = Some(term);
            self.base_ms = applied_ms.max(wall_ms);
            self.since = now;
        }
        let elapsed = i64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(i64::MAX);
        let stamp = self.base_ms.saturating_add(elapsed);
        if stamp < applied_ms {
            // Entries of the leader before us were applied after we took the base: go on from them.
            self.base_ms = applied_ms;
            self.since = now;
            return applied_ms;
        }
        stamp
    }
}

impl Default for StampClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_jump_of_the_wall_clock_within_a_term_moves_no_stamp() {
        let mut clock = StampClock::new();
        let start = Instant::now();
        assert_eq!(clock.stamp_at(start, 1, 0, 1_000), 1_000);
        let later = start + Duration::from_millis(50);
        assert_eq!(clock.stamp_at(later, 1, 1_000, 9_999_999), 1_050);
        assert_eq!(clock.stamp_at(later, 1, 1_000, 0), 1_050);
    }

    #[test]
    fn a_new_leader_whose_wall_clock_is_behind_goes_on_from_the_log() {
        let mut clock = StampClock::new();
        let start = Instant::now();
        assert_eq!(clock.stamp_at(start, 2, 5_000, 1_000), 5_000);
        assert_eq!(
            clock.stamp_at(start + Duration::from_millis(10), 2, 5_000, 1_000),
            5_010
        );
    }

    #[test]
    fn entries_of_the_leader_before_that_are_applied_late_pull_the_stamps_up() {
        let mut clock = StampClock::new();
        let start = Instant::now();
        assert_eq!(clock.stamp_at(start, 2, 0, 1_000), 1_000);
        assert_eq!(clock.stamp_at(start, 2, 7_000, 1_000), 7_000);
        assert_eq!(clock.stamp_at(start + Duration::from_millis(3), 2, 7_000, 1_000), 7_003);
    }
}
