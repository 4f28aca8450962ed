//! hyper's clock for the time that a client may take to send a head. hyper sets a timer for each request and drops it when
//! the head is there; this one keeps what was dropped for the next.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use rotunda_protocol::alarm::{Alarm, Alarms};

/// The timers of one connection.
#[derive(Debug)]
pub(crate) struct HeaderTimer(Alarms);

impl HeaderTimer {
    pub(crate) fn new(alarms: Alarms) -> Self {
        Self(alarms)
    }
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Waiting(self.0.at(deadline.into())))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

struct Waiting(Alarm);

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll(context)
    }
}

impl Sleep for Waiting {}
