//! What visitors look at: how the slots of venues stand, kept fresh by the nodes' change streams, so that ten thousand who
//! look at one museum cost its leader nothing.
//!
//! A venue is watched while somebody looks at it: [`Live::watched`] begins a task that follows a change stream from any
//! replica of its shard and keeps a [`venue::Venue`] up to date; a minute after the last look it ends. These tasks run on a
//! thread of their own ([`Live::follow_on`]): ten thousand visitors who keep the door busy must not make what they see old.
//! Where a stream is not there, or broken, or older than a second, [`Live::ask`] asks the cluster instead, once for all who
//! ask the same at the same time. Nothing here decides a sale. Bytes are cached here and made in `api`.

pub mod picture;
pub mod streams;
pub mod venue;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt};
use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::Query;
use rotunda_booking::time::ServiceDay;
use rotunda_protocol::error::ClientError;
use rotunda_protocol::shard_map::VenueInfo;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::streams::Streams;
use self::venue::Venue;
use crate::backend::{Answered, Backend};
use crate::stack::InFlight;

/// How old a state may be that is shown.
pub const FRESH: Duration = Duration::from_secs(1);

/// A venue that nobody looks at is watched for so long.
const IDLE: Duration = Duration::from_secs(60);

/// How often a task asks itself whether anybody still looks.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// Pause before the next stream is opened, from the first to the second, growing while none comes about.
const REOPEN_MIN: Duration = Duration::from_millis(50);
const REOPEN_MAX: Duration = Duration::from_secs(1);

/// Answers that are kept rendered, in bytes over all venues. Beyond it an answer is put together for each who asks.
const RENDERED_BYTES: usize = 64 << 20;

/// Questions under way that others may join. Beyond it everybody asks alone. The bound of requests in flight holds for those
/// who ask; who joins waits beside it, as one of a bounded number of connections.
const FLIGHTS: usize = 4_096;

/// What is asked: venue, product, first and last service day.
pub type Asked = (VenueNo, Option<String>, ServiceDay, ServiceDay);

/// What the cluster said to all who asked the same.
#[derive(Debug)]
pub struct Said {
    /// The answer.
    pub answered: Answered,
    /// As it is written for those who name no units, by the first of them.
    pub written: OnceLock<Bytes>,
}

impl From<Answered> for Said {
    fn from(answered: Answered) -> Self {
        Self {
            answered,
            written: OnceLock::new(),
        }
    }
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Said>, ClientError>>>;

/// See the module.
pub struct Live {
    backend: Arc<dyn Backend>,
    venues: Mutex<HashMap<VenueNo, Arc<Venue>>>,
    /// Venues that may be watched at once.
    most: usize,
    flights: Mutex<HashMap<Asked, (Instant, Flight)>>,
    rendered: Arc<AtomicUsize>,
    /// Open event streams.
    pub streams: Streams,
    closing: CancellationToken,
    /// Where change streams are followed; where the first look comes from, where none is set.
    threads: OnceLock<Handle>,
    watched: Gauge,
    age: Gauge,
    /// Answers out of what is watched, and those that were asked for.
    pub(crate) shown: Counter,
    asked: Counter,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// Watches at most `venues` at once, and has at most `streams` event streams open, `per_caller` of them to one caller.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, venues: usize, streams: usize, per_caller: usize) -> Arc<Self> {
        Arc::new(Self {
            backend,
            venues: Mutex::default(),
            most: venues,
            flights: Mutex::default(),
            rendered: Arc::default(),
            streams: Streams::new(streams, per_caller),
            closing: CancellationToken::new(),
            threads: OnceLock::new(),
            watched: gauge!(rotunda_metrics::router::WATCHED_VENUES.name),
            age: gauge!(rotunda_metrics::router::CHANGES_AGE_SECONDS.name),
            shown: counter!(rotunda_metrics::router::AVAILABILITY_ANSWERS.name, "source" => "stream"),
            asked: counter!(rotunda_metrics::router::AVAILABILITY_ANSWERS.name, "source" => "asked"),
        })
    }

    /// From now on change streams are followed there. The first call counts.
    pub fn follow_on(&self, threads: Handle) {
        let _ = self.threads.set(threads);
    }

    /// The venue, which is watched from now on; `None` where as many are watched as may be.
    pub fn watched(self: &Arc<Self>, info: &VenueInfo) -> Option<Arc<Venue>> {
        let mut venues = self.venues.lock();
        if let Some(venue) = venues.get(&info.number) {
            venue.looked_at();
            return Some(venue.clone());
        }
        if venues.len() >= self.most || self.closing.is_cancelled() {
            return None;
        }
        let venue = Arc::new(Venue::new(info.number, self.rendered.clone(), RENDERED_BYTES));
        venues.insert(info.number, venue.clone());
        self.watched.set(venues.len() as f64);
        let following = follow(self.clone(), venue.clone());
        match self.threads.get() {
            Some(threads) => threads.spawn(following),
            None => tokio::spawn(following),
        };
        Some(venue)
    }

    /// Ends all event streams with a word, and watches nothing any more.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Ready once [`Live::close`] was called.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Asks the cluster, together with whoever asks the same just now. Shows at least `at_least`. Who joins others is not among
    /// those `in_flight` while he waits: he costs nobody anything, and thousands of him must not shut the door to the rest.
    ///
    /// # Errors
    /// As the cluster's.
    pub async fn ask(
        &self,
        asked: Asked,
        at_least: Option<u64>,
        deadline: Instant,
        in_flight: &InFlight,
    ) -> Result<Arc<Said>, ClientError> {
        self.asked.increment(1);
        let (venue, product, from, to) = asked.clone();
        let query = Query::Availability {
            venue,
            product,
            from,
            to,
        };
        let now = Instant::now();
        let (joins, began, flight) = {
            let mut flights = self.flights.lock();
            match flights.get(&asked) {
                // One that began longer ago might show what is too old by now.
                Some((began, flight)) if now.duration_since(*began) < FRESH => (true, *began, flight.clone()),
                _ => {
                    let (backend, query) = (self.backend.clone(), query.clone());
                    let asking = async move {
                        let answered = backend.query(&query, at_least, deadline).await?;
                        Ok(Arc::new(Said::from(answered)))
                    };
                    let flight = asking.boxed().shared();
                    if flights.len() < FLIGHTS || flights.contains_key(&asked) {
                        flights.insert(asked.clone(), (now, flight.clone()));
                    }
                    (false, now, flight)
                }
            }
        };
        let said = {
            let _landing = Landing {
                live: self,
                asked: &asked,
                began,
            };
            let _aside = joins.then(|| in_flight.step_aside());
            flight.await?
        };
        if at_least.is_none_or(|index| said.answered.index >= index) {
            return Ok(said);
        }
        let answered = self.backend.query(&query, at_least, deadline).await?;
        Ok(Arc::new(Said::from(answered)))
    }

    /// Says how old the oldest picture is; none is old where nobody looks.
    pub(crate) fn measure(&self) {
        let oldest = self.venues.lock().values().map(|venue| venue.age()).max();
        self.age.set(oldest.unwrap_or_default().as_secs_f64());
    }

    /// Forgets a venue that nobody looks at, unless somebody has begun to.
    fn forget_if_idle(&self, venue: &Venue) -> bool {
        let mut venues = self.venues.lock();
        let idle = venue.is_idle(IDLE) || self.closing.is_cancelled();
        if idle {
            venues.remove(&venue.number);
            self.watched.set(venues.len() as f64);
        }
        idle
    }
}

/// Takes a flight off the list when it is over, or when the first who waited for it has gone: others have it in hand.
struct Landing<'a> {
    live: &'a Live,
    asked: &'a Asked,
    began: Instant,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut flights = self.live.flights.lock();
        if flights.get(self.asked).is_some_and(|(began, _)| *began == self.began) {
            flights.remove(self.asked);
        }
    }
}

/// Follows one venue until nobody looks at it.
async fn follow(live: Arc<Live>, venue: Arc<Venue>) {
    let mut pause = REOPEN_MIN;
    loop {
        let mut stream = live.backend.watch(venue.number, venue.index());
        loop {
            match timeout(IDLE_CHECK, stream.next()).await {
                Ok(Some(Ok(heard))) => {
                    pause = REOPEN_MIN;
                    venue.take(heard);
                }
                Ok(Some(Err(_)) | None) => break,
                Err(_) => {}
            }
            if venue.ask_whether_idle(IDLE_CHECK) && live.forget_if_idle(&venue) {
                return;
            }
        }
        drop(stream);
        if live.forget_if_idle(&venue) {
            return;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = live.closing.cancelled() => {}
        }
        pause = (pause * 2).min(REOPEN_MAX);
    }
}
