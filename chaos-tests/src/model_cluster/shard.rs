//! One shard of the model cluster: a log that cannot fail, applied by the product's rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rotunda_booking::codec;
use rotunda_booking::command::{Command, Entry, Operation};
use rotunda_booking::ids::{BookingId, SlotRef, TicketId, VenueNo};
use rotunda_booking::inventory::{Inventory, Limits};
use rotunda_booking::outcome::{Outcome, Reply};
use rotunda_booking::queries::{self, MAX_AVAILABILITY_DAYS};
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::rows::MapRows;
use rotunda_booking::time::{ServiceDay, Timestamp};

use super::catalogue::{self, BEGIN};
use crate::history::answers::Told;
use crate::history::lines::{FinalBooking, FinalSlot, LogDigest, LogLine, StateHash};
use crate::history::reader::Saved;
use crate::history::text::{Bytes, Digest};

const NODES: [u32; 3] = [1, 2, 3];
/// Replicas are asked for their state every so many entries.
const HASH_EVERY: u64 = 100;
const MOST_EXPIRED: u32 = 8;
/// So many tickets come to the gates at a time: few, so that several ask about the same one.
const TICKETS: usize = 12;

#[derive(Debug)]
pub(super) struct Shard {
    id: u64,
    venue: VenueNo,
    pub(super) days: i32,
    pub(super) slots: Vec<SlotRef>,
    inventory: Inventory,
    rows: MapRows,
    index: u64,
    term: u64,
    led: bool,
    waiting: Vec<(usize, Command)>,
    deadlines: BTreeSet<(Timestamp, BookingId)>,
    bookings: BTreeMap<BookingId, u64>,
    /// The latest that were issued: what gates scan.
    pub(super) tickets: VecDeque<TicketId>,
    log: Vec<LogLine>,
    hashes: Vec<(u64, [u8; 16])>,
}

impl Shard {
    pub(super) fn new(id: u64, days: i32) -> Self {
        let venue = VenueNo(u32::try_from(id).unwrap_or(1));
        let definition = catalogue::definition(venue);
        let plans = catalogue::plans(&definition, days);
        let mut shard = Shard {
            id,
            venue,
            days,
            slots: plans.iter().flat_map(catalogue::names).collect(),
            inventory: Inventory::new(Limits::default()),
            rows: MapRows::new(),
            index: 0,
            term: 0,
            led: false,
            waiting: Vec::new(),
            deadlines: BTreeSet::new(),
            bookings: BTreeMap::new(),
            tickets: VecDeque::new(),
            log: Vec::new(),
            hashes: Vec::new(),
        };
        shard.elect();
        let import = Operation::ImportVenue(Box::new(definition));
        for operation in std::iter::once(import).chain(plans.into_iter().map(Operation::SetSlots)) {
            shard.append(0, vec![shard.own(operation)]);
        }
        shard
    }

    /// A command of the proposer.
    fn own(&self, operation: Operation) -> Command {
        Command {
            key: None,
            fingerprint: 0,
            venue: self.venue,
            actor: None,
            operation,
        }
    }

    pub(super) fn is_led(&self) -> bool {
        self.led
    }

    pub(super) fn stop(&mut self) {
        self.led = false;
        self.waiting.clear();
    }

    /// A new leader writes an entry of its own first.
    pub(super) fn elect(&mut self) {
        self.led = true;
        self.term += 1;
        self.index += 1;
        self.write(Bytes::default(), None);
    }

    /// Writes the entry of the last index to the log.
    fn write(&mut self, payload: Bytes, replies: Option<Bytes>) {
        self.log.push(LogLine {
            line: 0,
            shard: self.id,
            index: self.index,
            term: self.term,
            node: None,
            payload,
            replies,
        });
    }

    /// Takes a command in; true where it is the first that waits.
    pub(super) fn propose(&mut self, request: usize, command: Command) -> bool {
        self.waiting.push((request, command));
        self.waiting.len() == 1
    }

    /// Makes an entry of what waits; gives who asked, with the replies.
    pub(super) fn flush(&mut self, now: u64) -> Vec<(usize, Reply)> {
        let (asked, commands): (Vec<usize>, Vec<Command>) = std::mem::take(&mut self.waiting).into_iter().unzip();
        if commands.is_empty() || !self.led {
            return Vec::new();
        }
        asked.into_iter().zip(self.append(now, commands)).collect()
    }

    /// Expires what is due.
    pub(super) fn expire(&mut self, now: u64) {
        let due = |shard: &Shard| {
            let first = shard.deadlines.first();
            first.is_some_and(|(deadline, _)| *deadline <= stamp(now))
        };
        if self.led && due(self) {
            self.append(now, vec![self.own(Operation::Expire { limit: MOST_EXPIRED })]);
            let passed = stamp(now);
            let later = self.deadlines.split_off(&(Timestamp(passed.0 + 1), NO_BOOKING));
            let left = std::mem::replace(&mut self.deadlines, later);
            // What the limit left is looked at again.
            self.deadlines.extend(left.into_iter().skip(MOST_EXPIRED as usize));
        }
    }

    fn append(&mut self, now: u64, commands: Vec<Command>) -> Vec<Reply> {
        self.index += 1;
        let entry = Entry {
            stamp: stamp(now),
            commands,
        };
        let Ok(replies) = self.inventory.apply(&mut self.rows, self.index, &entry) else {
            unreachable!("rows in a map do not fail");
        };
        self.rows.commit();
        for (command, reply) in entry.commands.iter().zip(&replies) {
            let changes = matches!(command.operation, Operation::Hold(_) | Operation::Extend { .. });
            if let (true, Outcome::Booking(view)) = (changes, &reply.outcome) {
                self.bookings.insert(view.id, self.index);
                self.deadlines.extend(view.expires_at.map(|at| (at, view.id)));
            }
            self.note_tickets(command, reply);
        }
        self.write(
            Bytes(codec::encode_entry(&entry).to_vec()),
            Some(Bytes(codec::encode_replies(&replies).to_vec())),
        );
        if self.index.is_multiple_of(HASH_EVERY) {
            self.hashes.push((self.index, self.inventory.state_hash()));
        }
        replies
    }

    fn note_tickets(&mut self, command: &Command, reply: &Reply) {
        let view = match (&command.operation, &reply.outcome) {
            (Operation::Confirm { .. }, Outcome::Booking(view)) => view,
            (_, Outcome::Rebooked { booking, .. }) => booking,
            _ => return,
        };
        self.tickets.extend(view.tickets.iter().map(|ticket| ticket.id));
        let old = self.tickets.len().saturating_sub(TICKETS);
        self.tickets.drain(..old);
    }

    pub(super) fn read(&self, query: &Query) -> Option<(u64, Told)> {
        let told = match queries::answer(&self.rows, query).ok()? {
            Answer::Booking(view) => Told::of_booking(&view),
            Answer::Availability { slots, .. } => Told::of_slots(&slots),
            _ => return None,
        };
        Some((self.index, told))
    }

    /// Writes what the replicas hold, which is the same on all of them.
    pub(super) fn end(mut self, saved: &mut Saved) {
        self.hashes.push((self.index, self.inventory.state_hash()));
        let (shard, index) = (self.id, self.index);
        let (from, to) = catalogue::days(self.days);
        for node in NODES {
            let entries = self
                .log
                .iter()
                .map(|line| (line.index, line.term, line.payload.0.as_slice()));
            saved.logs.push(LogDigest::over(node, shard, entries));
            saved.hashes.extend(self.hashes.iter().map(|(index, hash)| StateHash {
                line: 0,
                node,
                shard,
                index: *index,
                hash: Digest(*hash),
            }));
            for booking in self.bookings.keys().copied() {
                let Ok(Answer::Booking(view)) = queries::answer(&self.rows, &Query::Booking { booking }) else {
                    unreachable!("{booking} was acknowledged and is not there");
                };
                saved.final_bookings.push(FinalBooking {
                    line: 0,
                    node,
                    shard,
                    index,
                    booking,
                    status: Some(view.status),
                    total: view.total,
                });
            }
            // An answer has so many days at most, and a long run has more.
            for first in (from.0..=to.0).step_by(MAX_AVAILABILITY_DAYS as usize) {
                let query = Query::Availability {
                    venue: self.venue,
                    product: None,
                    from: ServiceDay(first),
                    to: to.min(ServiceDay(first + MAX_AVAILABILITY_DAYS - 1)),
                };
                let Ok(Answer::Availability { slots, .. }) = queries::answer(&self.rows, &query) else {
                    unreachable!("the venue is there, and no more days are asked for than one answer has");
                };
                saved.final_slots.extend(slots.into_iter().map(|view| FinalSlot {
                    line: 0,
                    node,
                    shard,
                    index,
                    venue: self.venue.0,
                    slot: view.slot,
                    capacity: view.capacity,
                    held: view.held,
                    confirmed: view.confirmed,
                }));
            }
        }
        saved.entries.append(&mut self.log);
    }
}

/// Before every booking.
const NO_BOOKING: BookingId = BookingId {
    venue: VenueNo(0),
    seq: 0,
    secret: 0,
};

fn stamp(now: u64) -> Timestamp {
    Timestamp(BEGIN + i64::try_from(now / 1_000_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One answer has 366 days at most: a history of 719 once ended with the slots of half of them, and was unsound.
    #[test]
    fn a_history_of_more_than_a_year_ends_with_all_its_slots() {
        let shard = Shard::new(1, 2 * MAX_AVAILABILITY_DAYS + 1);
        let planned: BTreeSet<SlotRef> = shard.slots.iter().cloned().collect();
        let mut saved = Saved::default();
        shard.end(&mut saved);
        for node in NODES {
            let ended = saved.final_slots.iter().filter(|slot| slot.node == node);
            let ended: Vec<SlotRef> = ended.map(|slot| slot.slot.clone()).collect();
            assert_eq!(ended.len(), planned.len(), "node {node}");
            assert_eq!(ended.into_iter().collect::<BTreeSet<_>>(), planned, "node {node}");
        }
    }
}
