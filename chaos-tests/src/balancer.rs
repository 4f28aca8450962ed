//! What stands before several routers in production, played by the clients themselves: each request goes to a router that says
//! it is ready, in turns, and is sent once. What a caller would have seen as a failure of ours is noted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::cluster;

/// Between two questions after a router's health. A router's drain delay has to be longer.
pub const HEALTH_PERIOD: Duration = Duration::from_millis(100);

/// How long a router may take to say that it is ready.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Failures that are kept in words.
const SHOWN: usize = 20;

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub struct Balancer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    doors: Vec<Door>,
    turn: AtomicUsize,
    failed: AtomicUsize,
    shown: Mutex<Vec<String>>,
    began: Instant,
    looking: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Door {
    url: String,
    ready: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(looking) = self.looking.lock().take() {
            looking.abort();
        }
    }
}

impl Balancer {
    /// Over these doors, all of which are ready now.
    #[must_use]
    pub fn over(doors: impl IntoIterator<Item = String>) -> Self {
        let doors = doors.into_iter().map(|url| Door {
            url,
            ready: AtomicBool::new(true),
        });
        let inner = Arc::new(Inner {
            doors: doors.collect(),
            turn: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            shown: Mutex::default(),
            began: Instant::now(),
            looking: Mutex::default(),
        });
        let seen = Arc::downgrade(&inner);
        let looking = tokio::spawn(async move {
            let http = cluster::http();
            while let Some(inner) = seen.upgrade() {
                for door in &inner.doors {
                    let asked = http.get(format!("{}/readyz", door.url)).timeout(HEALTH_TIMEOUT).send();
                    let ready = asked.await.is_ok_and(|answer| answer.status().is_success());
                    door.ready.store(ready, Ordering::Release);
                }
                drop(inner);
                tokio::time::sleep(HEALTH_PERIOD).await;
            }
        });
        *inner.looking.lock() = Some(looking);
        Self(inner)
    }

    /// The door for the next request: the ready ones take turns.
    #[must_use]
    pub fn door(&self) -> String {
        let doors = &self.0.doors;
        let first = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..doors.len()).map(|step| &doors[(first + step) % doors.len()]);
        let ready = in_turn.clone().find(|door| door.ready.load(Ordering::Acquire));
        // Where none is, the caller shall see it.
        ready
            .or_else(|| doors.first())
            .map(|door| door.url.clone())
            .unwrap_or_default()
    }

    /// True where this door takes requests, as far as was last heard.
    #[must_use]
    pub fn is_ready(&self, door: &str) -> bool {
        let mut doors = self.0.doors.iter();
        doors.any(|known| known.url == door && known.ready.load(Ordering::Acquire))
    }

    /// Notes that a request was not answered, or with a failure of ours.
    pub fn failed(&self, what: impl FnOnce() -> String) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
        let mut shown = self.0.shown.lock();
        if shown.len() < SHOWN {
            shown.push(format!("{:>8.3} s  {}", self.0.began.elapsed().as_secs_f64(), what()));
        }
    }

    /// How many requests failed so far, and the first of them in words.
    #[must_use]
    pub fn failures(&self) -> (usize, Vec<String>) {
        (self.0.failed.load(Ordering::Relaxed), self.0.shown.lock().clone())
    }

    /// Time since it began, for notes beside those of failures.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }
}
