//! What the visitors did and what they were told: one side of every audit.
//!
//! Two forms. In memory, while visitors buy: [`History`], which a [`Recorder`] keeps. Saved, as lines of JSON that any
//! checker can read (`chaos-tests/HISTORY.md`): [`lines`] has the kinds, [`writer`] and [`reader`] the file, [`answers`]
//! what was asked and told, [`keys`] how a
//! caller's key is found in the log, [`visitors`] the way from the first form to the second.

pub mod answers;
pub mod keys;
pub mod lines;
pub mod reader;
pub mod text;
pub mod visitors;
pub mod writer;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

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
pub struct Recorder(Arc<Mutex<History>>);

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

    /// A copy of all of it.
    #[must_use]
    pub fn history(&self) -> History {
        self.read(Clone::clone)
    }
}
