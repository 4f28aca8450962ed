//! Timers that are kept. Nearly every timer of a request is set and never needed, and taking it out of the runtime's wheel and
//! putting the next one in costs two turns at the wheel's lock. A kept timer stays in the wheel when its work is done, and
//! setting it to a later time is one atomic write. The price: it may wake, for nothing, the task that had it last.
//!
//! The cluster client has one [`Alarms`] for its attempts, the router one for each connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

/// Where timers are kept that nobody has set. Clones share them. All alarms must be used on one runtime.
#[derive(Clone, Debug)]
pub struct Alarms {
    kept: Arc<Mutex<Vec<Pin<Box<Sleep>>>>>,
    most: usize,
}

impl Alarms {
    /// Keeps at most so many; what is over is taken out of the wheel.
    #[must_use]
    pub fn keeping(most: usize) -> Self {
        Self {
            kept: Arc::default(),
            most,
        }
    }

    /// An alarm that goes off at `at`, if somebody looks at it until then.
    #[must_use]
    pub fn at(&self, at: Instant) -> Alarm {
        Alarm {
            sleep: None,
            at,
            is_set: false,
            alarms: self.clone(),
        }
    }
}

/// One timer. Costs nothing before it is waited for.
#[derive(Debug)]
pub struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Instant,
    is_set: bool,
    alarms: Alarms,
}

impl Alarm {
    /// Goes off at `at` instead.
    pub fn set(&mut self, at: Instant) {
        self.is_set &= self.at == at;
        self.at = at;
    }

    /// Ready once the time has come.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let alarms = &self.alarms;
        let sleep = self.sleep.get_or_insert_with(|| {
            let kept = alarms.kept.lock().pop();
            kept.unwrap_or_else(|| Box::pin(sleep_until(at)))
        });
        if !self.is_set {
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            self.is_set = true;
        }
        sleep.as_mut().poll(context)
    }

    /// What comes of `work`, or `None` where it is not done at `at`.
    pub async fn before<T>(&mut self, at: Instant, work: impl Future<Output = T>) -> Option<T> {
        self.set(at);
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(context).map(|()| None),
        })
        .await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            let mut kept = self.alarms.kept.lock();
            if kept.len() < self.alarms.most {
                kept.push(sleep);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_kept_timer_goes_off_at_its_new_time_and_not_at_its_old_one() {
        let alarms = Alarms::keeping(1);
        let far = Instant::now() + HOUR;
        let work = tokio::time::sleep(Duration::from_millis(1));
        assert_eq!(alarms.at(far).before(far, work).await, Some(()));
        assert_eq!(alarms.kept.lock().len(), 1, "set, not needed, kept");
        // Sooner than it was set for, then later, twice.
        for _ in 0..3 {
            let soon = Instant::now() + Duration::from_millis(5);
            assert_eq!(alarms.at(far).before(soon, pending::<()>()).await, None);
            assert!(Instant::now() >= soon);
        }
        let mut alarm = alarms.at(far);
        let work = tokio::time::sleep(Duration::from_millis(10));
        assert_eq!(alarm.before(far, work).await, Some(()), "its old time has passed");
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(alarm.before(soon, pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn no_more_are_kept_than_were_asked_for() {
        let alarms = Alarms::keeping(2);
        let at = Instant::now() + HOUR;
        let waiting = (0..5).map(|_| async { alarms.at(at).before(at, tokio::task::yield_now()).await });
        futures::future::join_all(waiting).await;
        assert_eq!(alarms.kept.lock().len(), 2);
        assert_eq!(alarms.at(at).before(at, ready(7)).await, Some(7));
    }
}
