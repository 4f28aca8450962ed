//! One venue that is watched: its picture, how old it may be, and the answers that were rendered from it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::FRESH;
use super::picture::{Picture, Range};
use crate::backend::Heard;

/// Different answers that are kept rendered for a venue. One more, and they are begun anew.
const RENDERED: usize = 64;

/// Different events that are kept written while a picture is the newest. One more is written for each who takes it.
const EVENTS: usize = 256;

/// A venue at a log index.
#[derive(Clone, Debug)]
pub struct View {
    /// Where the venue lives.
    pub shard: u64,
    /// The state's log index.
    pub index: u64,
    /// Its log time.
    pub time: Timestamp,
    /// How the slots stand.
    pub picture: Arc<Picture>,
}

#[derive(Debug)]
struct Seen {
    view: View,
    /// All that was acknowledged before is in it.
    as_of: Instant,
}

/// What is asked: a range, and how many of which units.
pub(crate) type Key = (Range, Vec<(String, u32)>);

/// An answer that was rendered.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// Of which picture.
    pub(crate) serial: u64,
    /// Log index at which the range last changed.
    pub(crate) changed: u64,
    /// Log index that it says.
    pub(crate) index: u64,
    /// All of it.
    pub(crate) body: Bytes,
    /// Where in it the slots begin, which say nothing of the index.
    pub(crate) slots_at: usize,
}

/// Picture's serial, and for each range and index that were seen before: the event.
type Events = (u64, HashMap<(Range, u64), Bytes>);

/// See the module.
pub struct Venue {
    pub(crate) number: VenueNo,
    /// Watched from then on.
    since: Instant,
    seen: RwLock<Option<Seen>>,
    changes: watch::Sender<u64>,
    looked: Mutex<(Instant, Instant)>,
    streams: AtomicUsize,
    rendered: Mutex<HashMap<Key, Arc<Rendered>>>,
    rendered_bytes: Arc<AtomicUsize>,
    most_bytes: usize,
    events: Mutex<Events>,
}

impl std::fmt::Debug for Venue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Venue")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Venue {
    pub(super) fn new(number: VenueNo, rendered_bytes: Arc<AtomicUsize>, most_bytes: usize) -> Self {
        Self {
            number,
            since: Instant::now(),
            seen: RwLock::new(None),
            changes: watch::Sender::new(0),
            looked: Mutex::new((Instant::now(), Instant::now())),
            streams: AtomicUsize::new(0),
            rendered: Mutex::default(),
            rendered_bytes,
            most_bytes,
            events: Mutex::default(),
        }
    }

    /// Takes what a stream says.
    pub(super) fn take(&self, heard: Heard) {
        let now = Instant::now();
        let as_of = now.checked_sub(heard.age).unwrap_or(now - FRESH - FRESH);
        let mut seen = self.seen.write();
        let before = seen.as_ref().filter(|seen| seen.view.shard == heard.shard);
        if before.is_some_and(|seen| seen.view.index > heard.index) {
            return; // What was shown is not taken back.
        }
        let (picture, changed) = match heard.news {
            Some(news) => match Picture::after(before.map(|seen| &*seen.view.picture), heard.index, news) {
                Some((mut picture, changed)) => {
                    if let (None, Some(elsewhere)) = (before, seen.as_ref()) {
                        picture.serial += elsewhere.view.picture.serial;
                    }
                    (Arc::new(picture), changed)
                }
                None => return,
            },
            // Nothing has changed since what was seen; without that it says nothing.
            None => match before {
                Some(seen) => (seen.view.picture.clone(), false),
                None => return,
            },
        };
        let serial = picture.serial;
        *seen = Some(Seen {
            view: View {
                shard: heard.shard,
                index: heard.index,
                time: heard.time,
                picture,
            },
            as_of,
        });
        drop(seen);
        if changed || *self.changes.borrow() == 0 {
            self.changes.send_replace(serial);
        }
    }

    /// How the venue stands, where that is at most a second old.
    #[must_use]
    pub fn fresh(&self) -> Option<View> {
        let seen = self.seen.read();
        let seen = seen.as_ref()?;
        (seen.as_of.elapsed() <= FRESH).then(|| seen.view.clone())
    }

    /// How old that is which is known of it.
    pub(super) fn age(&self) -> Duration {
        let as_of = self.seen.read().as_ref().map_or(self.since, |seen| seen.as_of);
        as_of.elapsed()
    }

    /// How it stood when last heard of.
    #[must_use]
    pub fn latest(&self) -> Option<View> {
        self.seen.read().as_ref().map(|seen| seen.view.clone())
    }

    /// The log index that is known, 0 before the first.
    pub(super) fn index(&self) -> u64 {
        self.seen.read().as_ref().map_or(0, |seen| seen.view.index)
    }

    /// Sees the serial of each newer picture; may skip some.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Somebody has looked.
    pub(crate) fn looked_at(&self) {
        self.looked.lock().0 = Instant::now();
    }

    /// True once in so long: looking for it at every message would be too often.
    pub(super) fn ask_whether_idle(&self, every: Duration) -> bool {
        let mut looked = self.looked.lock();
        let due = looked.1.elapsed() >= every;
        if due {
            looked.1 = Instant::now();
        }
        due
    }

    pub(super) fn is_idle(&self, after: Duration) -> bool {
        self.streams.load(Ordering::Relaxed) == 0 && self.looked.lock().0.elapsed() >= after
    }

    /// An event stream is open until the result is dropped: the venue is watched as long.
    pub(crate) fn stream_opened(self: &Arc<Self>) -> Onlooker {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Onlooker(self.clone())
    }

    /// The answer that was kept.
    pub(crate) fn rendered(&self, key: &Key) -> Option<Arc<Rendered>> {
        self.rendered.lock().get(key).cloned()
    }

    /// Keeps an answer, where there is room.
    pub(crate) fn keep(&self, key: Key, answer: Arc<Rendered>) {
        let mut rendered = self.rendered.lock();
        if rendered.len() >= RENDERED && !rendered.contains_key(&key) {
            self.give_back(rendered.drain().map(|(_, answer)| answer));
        }
        self.give_back(rendered.remove(&key).into_iter());
        let bytes = answer.body.len();
        if self.rendered_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.most_bytes {
            self.rendered_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return;
        }
        rendered.insert(key, answer);
    }

    fn give_back(&self, answers: impl Iterator<Item = Arc<Rendered>>) {
        let bytes = answers.map(|answer| answer.body.len()).sum();
        self.rendered_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The event that tells of the changes to `range` after `index`; written once for all who wait for it.
    pub(crate) fn event(&self, view: &View, range: &Range, after: u64, write: impl FnOnce() -> Bytes) -> Bytes {
        let mut events = self.events.lock();
        if events.0 != view.picture.serial {
            *events = (view.picture.serial, HashMap::new());
        }
        let key = (range.clone(), after);
        if let Some(event) = events.1.get(&key) {
            return event.clone();
        }
        let event = write();
        if events.1.len() < EVENTS {
            events.1.insert(key, event.clone());
        }
        event
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        let answers: Vec<Arc<Rendered>> = self.rendered.get_mut().drain().map(|(_, answer)| answer).collect();
        self.give_back(answers.into_iter());
    }
}

/// An open event stream of a venue.
#[derive(Debug)]
pub(crate) struct Onlooker(Arc<Venue>);

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.0.looked_at();
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
