//! A history made ready for the invariants: each shard's log decoded, one [`Step`] a command with its reply, and which
//! holds an expiry ended, which the log leaves to the reader.

use std::collections::{BTreeMap, BTreeSet};

use rotunda_booking::codec;
use rotunda_booking::command::{Command, Entry, Operation};
use rotunda_booking::ids::{BookingId, CommandKey, VenueNo};
use rotunda_booking::outcome::{BookingView, Outcome, RefusalCode, Reply};
use rotunda_booking::time::Timestamp;
use rustc_hash::FxHashMap;

use super::replay::{Replay, Replayed};
use crate::cores;
use crate::history::lines::{LogLine, Op};
use crate::history::reader::{Saved, Unreadable};

/// See the module.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The history.
    pub saved: &'a Saved,
    /// By id.
    pub shards: BTreeMap<u64, Shard>,
    /// Where each key stands in the logs first: shard and position among its steps.
    pub keys: FxHashMap<CommandKey, (u64, usize)>,
    /// What the venues are called.
    pub venues: BTreeMap<String, VenueNo>,
}

/// One shard's log.
#[derive(Debug, Default)]
pub struct Shard {
    /// Its commands in order.
    pub steps: Vec<Step>,
    /// Index of the first and the last entry.
    pub range: (u64, u64),
    /// Log entries, those of consensus itself included.
    pub entries: u64,
    /// Two lines that give the same index to different entries.
    pub doubled: Vec<(u64, u64, u64)>,
    /// The first index that is missing; what comes after it is not among the steps.
    pub gap: Option<u64>,
    /// Why the log is not whole, where it is not.
    pub incomplete: Option<String>,
    /// What the product's rules make of the log.
    pub replayed: Replayed,
}

/// One command of a log.
#[derive(Debug)]
pub struct Step {
    /// Index of its entry.
    pub index: u64,
    /// Line of its entry.
    pub line: u64,
    /// Log time.
    pub now: Timestamp,
    /// What was to be done.
    pub command: Command,
    /// What came of it.
    pub reply: Reply,
    /// The holds that it expired.
    pub expired: Vec<BookingId>,
    /// The holds that were due when it looked, where it is an expiry.
    pub due: u32,
}

impl Step {
    /// What it changed, where it changed something: not for a replay, nor for a refusal.
    #[must_use]
    pub fn effect(&self) -> Option<&Outcome> {
        (!self.reply.replayed && !matches!(self.reply.outcome, Outcome::Refused(_))).then_some(&self.reply.outcome)
    }

    /// True where it was refused because its key stood for another request.
    #[must_use]
    pub fn is_key_reused(&self) -> bool {
        matches!(&self.reply.outcome, Outcome::Refused(refusal) if refusal.code == RefusalCode::IdempotencyKeyReused)
    }

    /// The booking that it is about: the one named, or the one made.
    #[must_use]
    pub fn booking(&self) -> Option<BookingId> {
        match (&self.command.operation, &self.reply.outcome) {
            (Operation::Hold(_), Outcome::Booking(view)) => Some(view.id),
            _ => self.named(),
        }
    }

    /// The booking that it names.
    #[must_use]
    pub fn named(&self) -> Option<BookingId> {
        match &self.command.operation {
            Operation::Extend { booking }
            | Operation::Confirm { booking, .. }
            | Operation::Release { booking }
            | Operation::Cancel { booking, .. }
            | Operation::Rebook { booking, .. } => Some(*booking),
            _ => None,
        }
    }

    /// The booking as it left it, where it changed one.
    #[must_use]
    pub fn left(&self) -> Option<&BookingView> {
        match self.effect()? {
            Outcome::Booking(view) | Outcome::Rebooked { booking: view, .. } => Some(view),
            _ => None,
        }
    }
}

impl<'a> Evidence<'a> {
    /// Decodes and replays the logs.
    ///
    /// # Errors
    /// Where an entry or its replies do not decode: the lines, and why.
    pub fn new(saved: &'a Saved) -> Result<Self, Unreadable> {
        let mut logs: BTreeMap<u64, Vec<&LogLine>> = BTreeMap::new();
        for line in &saved.entries {
            logs.entry(line.shard).or_default().push(line);
        }
        let mut evidence = Evidence {
            saved,
            shards: BTreeMap::new(),
            keys: FxHashMap::default(),
            venues: BTreeMap::new(),
        };
        let logs: Vec<(u64, Vec<&LogLine>)> = logs.into_iter().collect();
        let shards = cores::map(&logs, |(id, log)| read_shard(saved, *id, log.clone()));
        for ((id, _), shard) in logs.iter().zip(shards) {
            let (id, shard) = (*id, shard?);
            evidence.keys.reserve(shard.steps.len());
            for (position, step) in shard.steps.iter().enumerate() {
                if let Some(key) = step.command.key {
                    evidence.keys.entry(key).or_insert((id, position));
                }
                if let Operation::ImportVenue(definition) = &step.command.operation {
                    evidence.venues.insert(definition.slug.clone(), step.command.venue);
                }
            }
            evidence.shards.insert(id, shard);
        }
        Ok(evidence)
    }

    /// All steps, with the shard's id.
    pub fn steps(&self) -> impl Iterator<Item = (u64, &Step)> {
        self.shards
            .iter()
            .flat_map(|(id, shard)| shard.steps.iter().map(|step| (*id, step)))
    }

    /// The step at which the operation's key stands first.
    #[must_use]
    pub fn first_step(&self, op: &Op) -> Option<(u64, &Step)> {
        let (shard, position) = *self.keys.get(&op.command_key()?)?;
        Some((shard, self.shards.get(&shard)?.steps.get(position)?))
    }

    /// Why what the logs lack does not prove anything; none where they are whole.
    #[must_use]
    pub fn logs_incomplete(&self) -> Vec<String> {
        let mut reasons: Vec<String> = Vec::new();
        if self.shards.is_empty() {
            reasons.push("the history has no log entries".to_owned());
        }
        reasons.extend(self.shards.values().filter_map(|shard| shard.incomplete.clone()));
        reasons
    }

    /// True where a shard's log is here from its beginning to its end.
    #[must_use]
    pub fn is_whole(&self, shard: u64) -> bool {
        self.shards.get(&shard).is_some_and(|shard| shard.incomplete.is_none())
    }
}

fn read_shard(saved: &Saved, id: u64, mut log: Vec<&LogLine>) -> Result<Shard, Unreadable> {
    log.sort_by_key(|line| line.index);
    let mut shard = Shard::default();
    log.dedup_by(|later, first| {
        if later.index != first.index {
            return false;
        }
        if (later.term, &later.payload, &later.replies) != (first.term, &first.payload, &first.replies) {
            shard.doubled.push((first.index, first.line, later.line));
        }
        true
    });
    let (Some(first), Some(last)) = (log.first(), log.last()) else {
        return Ok(shard);
    };
    shard.range = (first.index, last.index);
    if first.index > 1 {
        shard.incomplete = Some(format!(
            "the log of shard {id} begins at index {}; what came before was purged",
            first.index
        ));
        return Ok(shard);
    }
    let wanted: BTreeSet<u64> = saved
        .hashes
        .iter()
        .filter(|hash| hash.shard == id)
        .map(|hash| hash.index)
        .collect();
    let mut replay = Replay::new(saved.header.key_window, wanted);
    let mut due = Due::default();
    let mut now = Timestamp(0);
    let begin = first.index;
    for (next, line) in (begin..).zip(log) {
        if line.index != next {
            shard.gap = Some(next);
            shard.incomplete = Some(format!("the log of shard {id} has no index {next}"));
            break;
        }
        shard.entries += 1;
        if line.payload.0.is_empty() {
            replay.skip(line.index);
            continue;
        }
        let decoded = codec::decode_entry(&line.payload.0)
            .map_err(|error| Unreadable::of(line.line, format!("the entry does not decode: {error}")))?;
        now = now.max(decoded.stamp);
        let seen = line
            .replies
            .as_ref()
            .map(|bytes| read_replies(line, &bytes.0))
            .transpose()?;
        let replies = match (replay.apply(line.index, &decoded, seen.as_deref()), seen) {
            (_, Some(seen)) => seen,
            (Some(worked_out), None) => worked_out,
            (None, None) => {
                shard.incomplete = Some(format!(
                    "the log of shard {id} cannot be replayed beyond index {}",
                    line.index
                ));
                break;
            }
        };
        if decoded.commands.len() != replies.len() {
            let (commands, replies) = (decoded.commands.len(), replies.len());
            return Err(Unreadable::of(
                line.line,
                format!("{commands} commands and {replies} replies"),
            ));
        }
        due.steps(line, now, decoded, replies, &mut shard.steps);
    }
    shard.replayed = replay.end();
    Ok(shard)
}

fn read_replies(line: &LogLine, bytes: &[u8]) -> Result<Vec<Reply>, Unreadable> {
    let bad = |error: String| Unreadable::of(line.line, format!("the replies do not decode: {error}"));
    let encoded = codec::split_replies(bytes::Bytes::copy_from_slice(bytes)).map_err(|error| bad(error.to_string()))?;
    let decode = |reply: &bytes::Bytes| codec::decode_reply(reply).map_err(|error| bad(error.to_string()));
    encoded.iter().map(decode).collect()
}

/// The holds of each venue in order of deadline: an expiry says how many it ended, these say which.
#[derive(Default)]
struct Due {
    held: BTreeMap<VenueNo, BTreeSet<(Timestamp, u64, BookingId)>>,
    deadlines: FxHashMap<BookingId, Timestamp>,
}

impl Due {
    fn steps(&mut self, line: &LogLine, now: Timestamp, entry: Entry, replies: Vec<Reply>, steps: &mut Vec<Step>) {
        for (command, reply) in entry.commands.into_iter().zip(replies) {
            let mut step = Step {
                index: line.index,
                line: line.line,
                now,
                command,
                reply,
                expired: Vec::new(),
                due: 0,
            };
            self.follow(&mut step);
            steps.push(step);
        }
    }

    fn follow(&mut self, step: &mut Step) {
        let venue = step.command.venue;
        match (&step.command.operation, step.effect()) {
            (Operation::Hold(_) | Operation::Extend { .. }, Some(Outcome::Booking(view))) => {
                self.forget(venue, view.id);
                let deadline = view.expires_at.unwrap_or(Timestamp(i64::MAX));
                self.deadlines.insert(view.id, deadline);
                self.held
                    .entry(venue)
                    .or_default()
                    .insert((deadline, view.id.seq, view.id));
            }
            (
                Operation::Confirm { booking, .. } | Operation::Release { booking } | Operation::Cancel { booking, .. },
                Some(_),
            ) => self.forget(venue, *booking),
            (Operation::Expire { .. }, Some(Outcome::Expired { count, .. })) => {
                let count = *count as usize;
                let held = self.held.entry(venue).or_default();
                let now = step.now;
                step.due = held.iter().take_while(|(deadline, ..)| *deadline <= now).count() as u32;
                step.expired = held.iter().take(count).map(|(.., id)| *id).collect();
                for id in step.expired.clone() {
                    self.forget(venue, id);
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, venue: VenueNo, id: BookingId) {
        if let (Some(deadline), Some(held)) = (self.deadlines.remove(&id), self.held.get_mut(&venue)) {
            held.remove(&(deadline, id.seq, id));
        }
    }
}
