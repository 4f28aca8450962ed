//! What a checker says: what it looked at, what it found, and what it could not look at.

use std::fmt;

use rotunda_booking::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use serde::Serialize;

/// So many findings are kept of one invariant; the first ones tell the most.
pub const KEPT: usize = 25;

/// How an invariant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// It held wherever it was looked at.
    Sound,
    /// It did not.
    Violated,
    /// It held as far as was looked, which was not to the end.
    Undecided,
    /// There was nothing to look at.
    NotCovered,
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ruling::Sound => "sound",
            Ruling::Violated => "VIOLATED",
            Ruling::Undecided => "undecided",
            Ruling::NotCovered => "NOT COVERED",
        })
    }
}

/// What an invariant's checker says of a history.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// The invariant's number.
    pub id: &'static str,
    /// What should hold.
    pub promise: &'static str,
    /// What was looked at, and how much of it.
    pub looked_at: Vec<(&'static str, u64)>,
    /// What does not hold: the first of it.
    pub findings: Vec<Finding>,
    /// How much of it there is.
    pub found: u64,
    /// Why it was not looked at to the end.
    pub undecided: Vec<String>,
    /// Why it was not looked at.
    pub not_covered: Vec<String>,
}

impl Verdict {
    /// Counts what was looked at.
    pub fn count(&mut self, what: &'static str, number: u64) {
        match self.looked_at.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += number,
            None => self.looked_at.push((what, number)),
        }
    }

    /// Adds what does not hold.
    pub fn add(&mut self, finding: Finding) {
        self.found += 1;
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        }
    }

    /// How it stands. What was not looked at is never sound.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        if self.found > 0 {
            Ruling::Violated
        } else if !self.undecided.is_empty() {
            Ruling::Undecided
        } else if !self.not_covered.is_empty() || self.looked_at.iter().all(|(_, count)| *count == 0) {
            Ruling::NotCovered
        } else {
            Ruling::Sound
        }
    }
}

/// What a finding is about: the last events of these are shown with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// A booking.
    Booking(BookingId),
    /// A command's key.
    Key(CommandKey),
    /// A slot.
    Slot(VenueNo, SlotRef),
    /// A shard around an index.
    Log(u64, u64),
}

/// Something that does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In words: what is, and what should be.
    pub text: String,
    /// Lines of the history that show it.
    pub lines: Vec<u64>,
    /// Entries of logs that show it: shard and index.
    pub entries: Vec<(u64, u64)>,
    /// The last events of what it is about, each with its line.
    pub last_events: Vec<String>,
    /// What it is about.
    #[serde(skip)]
    pub about: Vec<Entity>,
}

impl Finding {
    /// A finding in words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Finding {
            text: text.into(),
            ..Finding::default()
        }
    }

    /// Shown by a line of the history.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.lines.push(line);
        self
    }

    /// Shown by an entry of a log.
    #[must_use]
    pub fn entry(mut self, shard: u64, index: u64) -> Self {
        self.entries.push((shard, index));
        self
    }

    /// It is about this.
    #[must_use]
    pub fn about(mut self, entity: Entity) -> Self {
        self.about.push(entity);
        self
    }

    /// It is about this booking.
    #[must_use]
    pub fn booking(self, booking: BookingId) -> Self {
        self.about(Entity::Booking(booking))
    }

    /// It is about this key, where there is one.
    #[must_use]
    pub fn key(self, key: Option<CommandKey>) -> Self {
        match key {
            Some(key) => self.about(Entity::Key(key)),
            None => self,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        if !self.lines.is_empty() {
            write!(f, " (line {})", list(&self.lines))?;
        }
        Ok(())
    }
}
