//! The time of day that a leader starts its stamps from. The machine's own clock counts only once the peers have agreed with it:
//! between two measurements of [`super::watch`] time goes on by the monotonic clock, so a jump moves nothing, neither
//! within a term nor at a takeover (domain rule 3).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{wall_ms, watch};

/// Tells the time of day in milliseconds since 1970, right or wrong.
pub type Source = Arc<dyn Fn() -> i64 + Send + Sync>;

/// See the module. Clones share it.
#[derive(Clone)]
pub struct WallClock(Arc<Inner>);

struct Inner {
    machine: Source,
    right: AtomicBool,
    anchor: Mutex<Anchor>,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall_ms: i64,
    at: Instant,
}

impl Anchor {
    fn now_ms(&self, now: Instant) -> i64 {
        let elapsed = i64::try_from(now.saturating_duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.saturating_add(elapsed)
    }
}

impl WallClock {
    /// Of this machine, taken to be right until its peers say otherwise.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::over(Arc::new(wall_ms))
    }

    /// Of a machine whose clock is `source`.
    #[must_use]
    pub fn over(source: Source) -> Self {
        Self(Arc::new(Inner {
            right: AtomicBool::new(true),
            anchor: Mutex::new(Anchor {
                wall_ms: source(),
                at: Instant::now(),
            }),
            machine: source,
        }))
    }

    /// The machine's clock as it stands, agreed with or not: what its peers compare theirs with.
    #[must_use]
    pub fn machine_ms(&self) -> i64 {
        (self.0.machine)()
    }

    /// Milliseconds since 1970, by the last agreement.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.anchor.lock().now_ms(Instant::now())
    }

    /// False while this machine's clock is known to be wrong: this node should not lead then.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.0.right.load(Ordering::Relaxed)
    }

    /// Takes over what a measurement came to: the machine's clock is `off_ms` ahead of the median. Within
    /// [`watch::LIMIT`] it counts as it is, else the median does. True where that made a right clock wrong or a wrong one right.
    pub(super) fn agree(&self, off_ms: i64) -> bool {
        self.agree_at(Instant::now(), self.machine_ms(), off_ms)
    }

    fn agree_at(&self, now: Instant, wall_ms: i64, off_ms: i64) -> bool {
        let right = watch::is_within_limit(off_ms);
        *self.0.anchor.lock() = Anchor {
            wall_ms: if right { wall_ms } else { wall_ms.saturating_sub(off_ms) },
            at: now,
        };
        self.0.right.swap(right, Ordering::Relaxed) != right
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("WallClock");
        shown
            .field("now_ms", &self.now_ms())
            .field("is_right", &self.is_right())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(clock: &WallClock, now: Instant) -> i64 {
        clock.0.anchor.lock().now_ms(now)
    }

    #[test]
    fn time_goes_on_from_the_last_agreement() {
        let clock = WallClock::of_this_machine();
        let start = Instant::now();
        assert!(!clock.agree_at(start, 1_000, 20));
        assert_eq!(at(&clock, start), 1_000);
        // Whatever the machine's clock does meanwhile.
        assert_eq!(at(&clock, start + Duration::from_millis(70)), 1_070);
        assert!(clock.is_right());
    }

    #[test]
    fn a_clock_that_is_off_does_not_count() {
        let clock = WallClock::of_this_machine();
        let start = Instant::now();
        assert!(clock.agree_at(start, 90_001_000, 90_000_000));
        assert!(!clock.is_right());
        assert_eq!(at(&clock, start), 1_000);
        assert!(!clock.agree_at(start, 90_002_000, 90_000_000));
        assert!(clock.agree_at(start, 3_000, 0));
        assert!(clock.is_right());
        assert_eq!(at(&clock, start), 3_000);
    }
}
