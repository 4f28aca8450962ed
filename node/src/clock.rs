//! Clocks: the stamp that a leader puts into entries, the time of day that it starts from, and the watch over this
//! machine's wall clock.

pub mod stamp;
pub mod wall;
pub mod watch;

use std::time::{SystemTime, UNIX_EPOCH};

/// This machine's wall clock as it stands, in milliseconds since 1970. Negative where it stands before that.
#[must_use]
pub fn wall_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}
