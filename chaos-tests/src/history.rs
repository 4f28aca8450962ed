//! What the visitors did and what they were told: one side of every audit.
//!
//! Two forms. In memory, while visitors buy: [`History`], which a [`Recorder`] keeps. Saved, as lines of JSON that any
//! checker can read (`chaos-tests/HISTORY.md`): [`lines`] has the kinds, [`writer`] and [`reader`] the file, [`answers`]
//! what was asked and told, [`keys`] how a
//! caller's key is found in the log, [`visitors`] the way from the first form to the second.

pub mod answers;
mod blocks;
pub mod keys;
pub mod lines;
mod operations;
pub mod reader;
pub mod text;
pub mod visitors;
pub mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::lines::Act;
use crate::visitor::{Answer, Fate, Settled};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Take places.
    Hold,
    /// Sell them.
    Confirm,
    /// Give them back.
    Release,
    /// Start the hold's time again.
    Extend,
    /// Undo a sale, or a part of it.
    Cancel,
    /// Exchange what was bought for other places.
    Rebook,
    /// Let the holder of a ticket in.
    Admit,
    /// Hand in what a gate scanned while it could not ask.
    Merge,
}

impl Deed {
    /// What the router calls the operation where it makes a command's key.
    #[must_use]
    pub fn operation(self) -> &'static str {
        match self {
            Deed::Hold => "hold",
            Deed::Confirm => "confirm",
            Deed::Release => "release",
            Deed::Extend => "extend",
            Deed::Cancel => "cancel",
            Deed::Rebook => "rebook",
            Deed::Admit => "admit",
            Deed::Merge => "merge",
        }
    }
}

/// One request under one key.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who asked.
    pub client: String,
    /// What was asked for.
    pub deed: Deed,
    /// `Idempotency-Key`.
    pub key: String,
    /// The venue's id.
    pub venue: String,
    /// The booking that it was about; none for a hold.
    pub booking: Option<String>,
    /// The body that was sent, where there was one.
    pub request: Option<Value>,
    /// What became of it.
    pub settled: Settled,
}

/// The same key sent again after, or beside, the first.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The key.
    pub key: String,
    /// The first answer.
    pub first: Answer,
    /// The other one.
    pub again: Answer,
    /// When it was sent again.
    pub invoked: Instant,
    /// When the other answer came.
    pub returned: Instant,
}

/// A look at a booking or at what is left.
#[derive(Clone, Debug)]
pub struct Read {
    /// Who asked.
    pub client: String,
    /// [`Act::Read`] or [`Act::Availability`].
    pub act: Act,
    /// The venue's id.
    pub venue: String,
    /// The booking, where it was one.
    pub booking: Option<String>,
    /// What became of it.
    pub settled: Settled,
}

/// A request that the router turned away before it could have an effect, and that was not repeated.
#[derive(Clone, Debug)]
pub struct TurnedAway {
    /// What was asked for.
    pub deed: Deed,
    /// Its key, where it had one.
    pub key: String,
    /// The venue's id.
    pub venue: String,
    /// 429, 503, ...
    pub status: u16,
    /// When it was sent.
    pub invoked: Instant,
    /// When it was turned away.
    pub returned: Instant,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests with their fate.
    pub records: Vec<Record>,
    /// Keys sent again.
    pub replays: Vec<Replay>,
    /// Requests without effect.
    pub turned_away: Vec<TurnedAway>,
    /// Looks.
    pub reads: Vec<Read>,
}

impl History {
    /// Requests of a kind that were answered with success.
    pub fn acknowledged(&self, deed: Deed) -> impl Iterator<Item = (&Record, &Answer)> {
        self.records
            .iter()
            .filter(move |record| record.deed == deed)
            .filter_map(|record| match &record.settled.fate {
                Fate::Answered(answer) if answer.is_success() => Some((record, answer)),
                _ => None,
            })
    }

    /// Requests whose fate the visitors never learnt.
    pub fn unknown(&self) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(|record| matches!(record.settled.fate, Fate::Unknown))
    }
}

/// A history that many visitors write.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<History>>, Arc<Mutex<Sold>>);

/// What was sold so far, counted while it happens: a history that is saved piece by piece is not kept.
#[derive(Debug, Default)]
struct Sold {
    /// Acknowledged holds by venue.
    holds: BTreeMap<String, u64>,
    /// When the latest were acknowledged, and how long they took; see [`REMEMBERED`].
    latest: VecDeque<(String, Instant, Duration)>,
    /// Whoever waits for the next one.
    watch: Option<Watch>,
}

/// Holds whose times are remembered; older ones are forgotten. Minutes of a busy cluster.
const REMEMBERED: usize = 1 << 16;

/// Waits for the first acknowledgement of a hold that was asked for after a moment. What was under way before may have
/// been committed already, and proves nothing.
#[derive(Debug)]
struct Watch {
    since: Instant,
    venue: String,
    first: Option<Duration>,
}

impl Recorder {
    /// Adds to it.
    ///
    /// # Panics
    /// Where another visitor panicked while it wrote.
    pub fn write(&self, change: impl FnOnce(&mut History)) {
        change(&mut self.0.lock().expect("no panic under this lock"));
    }

    /// Looks at it.
    ///
    /// # Panics
    /// Where a visitor panicked while it wrote.
    pub fn read<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.0.lock().expect("no panic under this lock"))
    }

    /// Adds a request with its fate and what was told to whoever repeated it, and counts it.
    ///
    /// # Panics
    /// Where another visitor panicked while it wrote.
    pub fn settled(&self, record: Record, replays: impl IntoIterator<Item = Replay>) {
        let done = record.settled.answer().is_some_and(Answer::is_success);
        if record.deed == Deed::Hold && done {
            let mut sold = self.1.lock().expect("no panic under this lock");
            *sold.holds.entry(record.venue.clone()).or_default() += 1;
            let took = record.settled.returned - record.settled.invoked;
            sold.latest
                .push_back((record.venue.clone(), record.settled.returned, took));
            if sold.latest.len() > REMEMBERED {
                sold.latest.pop_front();
            }
            if let Some(watch) = sold.watch.as_mut()
                && watch.venue == record.venue
                && record.settled.invoked >= watch.since
            {
                let took = record.settled.returned - watch.since;
                watch.first = Some(watch.first.map_or(took, |first| first.min(took)));
            }
        }
        self.write(|history| {
            history.records.push(record);
            history.replays.extend(replays);
        });
    }

    /// Acknowledged holds so far, of one venue or of all.
    ///
    /// # Panics
    /// Where a visitor panicked while it wrote.
    #[must_use]
    pub fn sold(&self, venue: Option<&str>) -> u64 {
        let sold = self.1.lock().expect("no panic under this lock");
        let counted = sold
            .holds
            .iter()
            .filter(|(name, _)| venue.is_none_or(|venue| venue == *name));
        counted.map(|(_, count)| count).sum()
    }

    /// How long the holds at a venue took that were acknowledged since a moment, in order of length.
    ///
    /// # Panics
    /// Where a visitor panicked while it wrote.
    #[must_use]
    pub fn took_since(&self, venue: &str, since: Instant) -> Vec<Duration> {
        let sold = self.1.lock().expect("no panic under this lock");
        let meant = sold
            .latest
            .iter()
            .filter(|(at, returned, _)| at == venue && *returned >= since);
        let mut took: Vec<Duration> = meant.map(|(_, _, took)| *took).collect();
        took.sort_unstable();
        took
    }

    /// Looks out for the next hold at a venue that is asked for from now on.
    ///
    /// # Panics
    /// Where a visitor panicked while it wrote.
    pub fn watch(&self, venue: &str, since: Instant) {
        self.1.lock().expect("no panic under this lock").watch = Some(Watch {
            since,
            venue: venue.to_owned(),
            first: None,
        });
    }

    /// How long it took, once it has come.
    ///
    /// # Panics
    /// Where a visitor panicked while it wrote.
    #[must_use]
    pub fn watched(&self) -> Option<Duration> {
        self.1.lock().expect("no panic under this lock").watch.as_ref()?.first
    }

    /// All of it so far, and none of it is left here.
    ///
    /// # Panics
    /// Where a visitor panicked while it wrote.
    #[must_use]
    pub fn take(&self) -> History {
        std::mem::take(&mut self.0.lock().expect("no panic under this lock"))
    }

    /// A copy of all of it.
    #[must_use]
    pub fn history(&self) -> History {
        self.read(Clone::clone)
    }
}
