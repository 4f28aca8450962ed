//! Looks at the process once a second, keeps what it saw, and tells whoever looks.
//!
//! Nobody is waited for: a reader that falls behind is told everything anew. The map is asked of others, over the network,
//! and only while somebody looks; it has a task of its own, so that a node that does not answer does not make the seconds late.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{Instant, MissedTickBehavior};

use crate::changes::Changes;
use crate::history::{History, Second};
use crate::plan::Plan;
use crate::scrape::{Between, Scrape};
use crate::state::{HotSlot, Kpi, Map, Now, Process, State, Tick};

/// How often the process is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Event streams that are open at once; whoever comes then is told to come later.
pub(crate) const MOST_STREAMS: usize = 16;

/// Seconds that a reader may be behind before it is told everything anew.
const BEHIND: usize = 4;

/// After the last question without a stream the map is looked after for so long.
const LOOKED_FOR: Duration = Duration::from_secs(10);

/// A map older than this is asked for before it is shown.
const STALE: Duration = Duration::from_secs(2);

/// Slots that are shown.
const HOTTEST: usize = 10;

/// A process that is shown.
pub trait Subject: Send + Sync + 'static {
    /// Which one.
    fn process(&self) -> Process;

    /// What is shown of it.
    fn plan(&self) -> Plan;

    /// Its metrics in Prometheus' text format. May take a few milliseconds.
    fn metrics(&self) -> String;

    /// The slots that most holds ask for.
    fn hot(&self, most: usize) -> Vec<HotSlot>;

    /// Who is where, asked now; none where that is not known yet.
    fn map(&self) -> BoxFuture<'_, Option<Map>>;
}

/// A tick as JSON, and its time.
pub(crate) type Told = (u64, Bytes);

/// See the module.
pub struct Overview {
    subject: Arc<dyn Subject>,
    plan: Plan,
    seen: Mutex<Seen>,
    /// Held while the map is asked for, with when it was last.
    map_asked: tokio::sync::Mutex<Option<Instant>>,
    ticks: broadcast::Sender<Told>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Seen {
    history: History,
    kpis: Vec<Kpi>,
    hot: Vec<HotSlot>,
    map: Option<Map>,
    changes: Changes,
    /// When somebody last asked without a stream.
    looked: Option<Instant>,
}

impl std::fmt::Debug for Overview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overview").finish_non_exhaustive()
    }
}

impl Overview {
    /// Begins to look; ends when the last handle is dropped. Within a tokio runtime.
    #[must_use]
    pub fn start(subject: Arc<dyn Subject>) -> Arc<Self> {
        let overview = Arc::new(Self {
            plan: subject.plan(),
            subject,
            seen: Mutex::default(),
            map_asked: tokio::sync::Mutex::default(),
            ticks: broadcast::channel(BEHIND).0,
            places: Arc::new(Semaphore::new(MOST_STREAMS)),
        });
        tokio::spawn(watch_metrics(Arc::downgrade(&overview)));
        tokio::spawn(watch_map(Arc::downgrade(&overview)));
        overview
    }

    /// All that is known. Asks for the map where nobody has for a while.
    pub async fn state(&self) -> State {
        self.seen.lock().looked = Some(Instant::now());
        self.ask_map(STALE).await;
        let seen = self.seen.lock();
        State {
            process: self.subject.process(),
            panels: self.plan.panels.clone(),
            times: seen.history.times(),
            values: seen.history.columns(self.plan.take.len()),
            now: seen.now(),
        }
    }

    /// A place among those who are told each second, and what they are told: ticks as JSON.
    pub(crate) fn stream(&self) -> Option<(OwnedSemaphorePermit, broadcast::Receiver<Told>)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((place, self.ticks.subscribe()))
    }

    /// Asks for the map, unless that was done within `age`.
    async fn ask_map(&self, age: Duration) {
        let mut asked = self.map_asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < age) {
            return;
        }
        let map = self.subject.map().await;
        *asked = Some(Instant::now());
        let mut seen = self.seen.lock();
        if let Some(map) = &map {
            seen.changes.note(map, unix_millis());
        }
        seen.map = map;
    }

    fn is_looked_at(&self) -> bool {
        let recently = self.seen.lock().looked.is_some_and(|at| at.elapsed() < LOOKED_FOR);
        recently || self.ticks.receiver_count() > 0
    }

    /// Takes one more second in and tells it.
    fn take(&self, before: Option<&Scrape>, now: &Scrape, seconds: f64) {
        let hot = self.subject.hot(HOTTEST);
        let between = Between {
            before: before.unwrap_or(now),
            now,
            seconds,
        };
        let (values, totals) = (self.plan.values(&between), (self.plan.totals)(now));
        let mut seen = self.seen.lock();
        // Also where the machine's clock is put back, for readers tell seconds apart by their time.
        let after = seen.history.last().map_or(0, |time| time + 1);
        let second = Second {
            time: unix_millis().max(after),
            values,
            totals,
        };
        seen.history.push(second.clone());
        seen.kpis = self.plan.kpis(now, &seen.history);
        seen.hot = hot;
        if self.ticks.receiver_count() == 0 {
            return;
        }
        let tick = Tick {
            time: second.time,
            values: second.values,
            now: seen.now(),
        };
        drop(seen);
        match serde_json::to_vec(&tick) {
            // No receiver any more: nobody to tell.
            Ok(json) => drop(self.ticks.send((tick.time, json.into()))),
            Err(error) => tracing::error!(%error, "the overview cannot be written as JSON"),
        }
    }
}

impl Seen {
    fn now(&self) -> Now {
        Now {
            kpis: self.kpis.clone(),
            map: self.map.clone(),
            hot: self.hot.clone(),
            changes: self.changes.latest(),
        }
    }
}

async fn watch_metrics(overview: Weak<Overview>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<(Scrape, Instant)> = None;
    loop {
        period.tick().await;
        let Some(overview) = overview.upgrade() else { return };
        let reading = Arc::clone(&overview);
        let read = tokio::task::spawn_blocking(move || Scrape::read(&reading.subject.metrics(), reading.plan.wanted));
        let Ok(now) = read.await else { continue };
        let at = Instant::now();
        let seconds = before.as_ref().map_or(PERIOD, |(_, then)| at - *then).as_secs_f64();
        overview.take(before.as_ref().map(|(scrape, _)| scrape), &now, seconds);
        before = Some((now, at));
    }
}

async fn watch_map(overview: Weak<Overview>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let Some(overview) = overview.upgrade() else { return };
        if overview.is_looked_at() {
            overview.ask_map(PERIOD / 2).await;
        }
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
