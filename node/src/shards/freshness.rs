//! How old a follower's applied state may be, worked out from what its leader says: whatever was acknowledged before a
//! message left the leader is committed up to the index that the message names.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The leader's words, as far as the applied state does not hold what they promise, and the last time at which it did.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Words>);

#[derive(Debug, Default)]
struct Words {
    /// The state holds all that was acknowledged before.
    sure: Option<Instant>,
    /// It will do so of this time once it has applied so much. The oldest that is open: newer words wait for their turn, or
    /// a follower that is always a little behind would never be sure of anything.
    open: Option<(Instant, u64)>,
}

impl Heard {
    /// A message of the leader that came at `came`, and was accepted, names this committed index.
    pub fn leader_said(&self, came: Instant, committed: u64) {
        self.0.lock().open.get_or_insert((came, committed));
    }

    /// How old a state with this applied index may be; `None` where no leader was heard yet.
    pub fn age(&self, applied: u64) -> Option<Duration> {
        let mut words = self.0.lock();
        if let Some((came, committed)) = words.open
            && applied >= committed
        {
            words.sure = words.sure.max(Some(came));
            words.open = None;
        }
        words.sure.map(|sure| sure.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(200);

    #[tokio::test(start_paused = true)]
    async fn a_state_is_as_old_as_the_last_word_that_it_fulfils() {
        let heard = Heard::default();
        assert_eq!(heard.age(9), None, "no leader was heard");
        heard.leader_said(Instant::now(), 10);
        tokio::time::advance(STEP).await;
        assert_eq!(heard.age(9), None, "10 was committed and 9 is applied");
        assert_eq!(heard.age(10), Some(STEP));
        // The leader goes on; this replica does not.
        heard.leader_said(Instant::now(), 11);
        tokio::time::advance(STEP).await;
        heard.leader_said(Instant::now(), 12);
        assert_eq!(heard.age(10), Some(2 * STEP));
        assert_eq!(heard.age(11), Some(STEP), "the older word is fulfilled first");
    }
}
