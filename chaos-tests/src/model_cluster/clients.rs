//! What clients of the model cluster do: one journey after another, as visitors of a museum do them, a few mistakes
//! included. Now and then each stands at a gate: it asks about a ticket, or hands in what it scanned by itself, some of it
//! again and in no order.

use std::collections::BTreeMap;

use rotunda_booking::admission::{Admit, Direction, Scan};
use rotunda_booking::command::{Channel, Command, HoldRequest, LineRequest, Operation};
use rotunda_booking::ids::{BookingId, SlotRef, TicketId, VenueNo};
use rotunda_booking::outcome::BookingStatus;
use rotunda_booking::query::Query;
use rotunda_booking::time::Timestamp;

use super::catalogue::{self, BEGIN, UNITS};
use super::shard::Shard;
use super::{Dice, Question, command};
use crate::history::lines::{Act, Ended, Op};

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    /// The booking that it is about to do something with, and the state in which it believes it to be.
    booking: Option<(u64, BookingId, BookingStatus)>,
    /// Its scans so far: none has the number of another.
    scans: u64,
    /// What it scanned by itself, by shard.
    kept: Vec<(u64, Scan)>,
}

/// What a gate scanned by itself is of some minutes, by a clock of its own.
const SPAN_MS: u64 = 5 * 60_000;
/// So many of its scans a gate still hands in.
const KEPT: usize = 8;

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Client {
            name: format!("visitor-{number}"),
            booking: None,
            scans: 0,
            kept: Vec::new(),
        }
    }

    /// What it asks for next: of which shard, and which venue.
    pub(super) fn decide(&mut self, dice: &mut Dice, shards: &BTreeMap<u64, Shard>) -> (u64, Question, String) {
        if dice.percent(12)
            && let Some(asked) = self.at_the_gate(dice, shards)
        {
            return asked;
        }
        if let Some((shard, booking, status)) = self.booking {
            let venue = catalogue::slug(booking.venue);
            let ask = |dice: &mut Dice, operation| Question::Command(command(dice, booking.venue, operation));
            let nonce = dice.any();
            let question = match (status, dice.below(100)) {
                (BookingStatus::Held, 0..30) => ask(
                    dice,
                    Operation::Confirm {
                        booking,
                        nonce,
                        payment: None,
                    },
                ),
                (BookingStatus::Held, 30..45) => ask(dice, Operation::Release { booking }),
                (BookingStatus::Held, 45..55) => ask(dice, Operation::Extend { booking }),
                (BookingStatus::Held, 55..60) => ask(
                    dice,
                    Operation::Cancel {
                        booking,
                        lines: Vec::new(),
                    },
                ),
                (_, 60..75) => Question::Read(Query::Booking { booking }),
                // Twice, by mistake: refused, as it has been done.
                (_, 75..80) => ask(dice, Operation::Release { booking }),
                (BookingStatus::Confirmed, 0..15) => ask(
                    dice,
                    Operation::Cancel {
                        booking,
                        lines: Vec::new(),
                    },
                ),
                (BookingStatus::Confirmed, 15..30) => {
                    let lines = vec![u16::try_from(dice.below(2)).unwrap_or(0)];
                    ask(dice, Operation::Cancel { booking, lines })
                }
                (BookingStatus::Confirmed, 30..50) => {
                    let slots = shards.get(&shard).map(|shard| shard.slots.as_slice());
                    let lines = wanted(dice, slots.unwrap_or_default());
                    ask(dice, Operation::Rebook { booking, nonce, lines })
                }
                (BookingStatus::Confirmed, 50..60) => ask(
                    dice,
                    Operation::Confirm {
                        booking,
                        nonce,
                        payment: None,
                    },
                ),
                (BookingStatus::Held, _) => Question::Read(Query::Booking { booking }),
                // Too late for that.
                (BookingStatus::Cancelled, 80..95) => {
                    let slots = shards.get(&shard).map(|shard| shard.slots.as_slice());
                    let lines = wanted(dice, slots.unwrap_or_default());
                    ask(dice, Operation::Rebook { booking, nonce, lines })
                }
                // Enough of it.
                _ => {
                    self.booking = None;
                    return self.decide(dice, shards);
                }
            };
            // Some walk away and let the hold run out.
            if status == BookingStatus::Held && dice.percent(15) {
                self.booking = None;
            }
            return (shard, question, venue);
        }
        let shard = 1 + dice.below(shards.len() as u64);
        let venue = VenueNo(u32::try_from(shard).unwrap_or(1));
        let slug = catalogue::slug(venue);
        let slots = shards
            .get(&shard)
            .map(|shard| shard.slots.as_slice())
            .unwrap_or_default();
        if dice.percent(8) {
            let (from, to) = shards
                .get(&shard)
                .map_or(catalogue::days(1), |shard| catalogue::days(shard.days));
            let day = from.plus_days(i32::try_from(dice.below((to.0 - from.0 + 1) as u64)).unwrap_or(0));
            let query = Query::Availability {
                venue,
                product: None,
                from: day,
                to: day,
            };
            return (shard, Question::Read(query), slug);
        }
        let lines = wanted(dice, slots);
        let hold = Operation::Hold(HoldRequest {
            secret: dice.any(),
            channel: Channel::Web,
            lines,
        });
        (shard, Question::Command(command(dice, venue, hold)), slug)
    }

    /// Asks about a ticket, or hands in what it scanned by itself.
    fn at_the_gate(&mut self, dice: &mut Dice, shards: &BTreeMap<u64, Shard>) -> Option<(u64, Question, String)> {
        let id = 1 + dice.below(shards.len() as u64);
        let venue = VenueNo(u32::try_from(id).unwrap_or(1));
        let tickets: Vec<TicketId> = shards.get(&id)?.tickets.iter().copied().collect();
        let operation = if dice.percent(50) {
            let ticket = *dice.pick(&tickets)?;
            Operation::Admit(self.scan(dice, ticket))
        } else {
            for _ in 0..=dice.below(3) {
                let ticket = *dice.pick(&tickets)?;
                let admit = self.scan(dice, ticket);
                let at = Timestamp(BEGIN + i64::try_from(dice.below(SPAN_MS)).unwrap_or(0));
                self.kept.push((id, Scan { admit, at }));
            }
            let old = self.kept.len().saturating_sub(KEPT);
            self.kept.drain(..old);
            let mut scans: Vec<Scan> = self
                .kept
                .iter()
                .filter(|(of, _)| *of == id)
                .map(|(_, scan)| scan.clone())
                .collect();
            // In any order.
            for end in (1..scans.len()).rev() {
                scans.swap(end, usize::try_from(dice.below(end as u64 + 1)).unwrap_or(0));
            }
            Operation::MergeScans { scans }
        };
        let mut command = command(dice, venue, operation);
        if matches!(command.operation, Operation::MergeScans { .. }) {
            // As the router sends it: idempotent by content.
            (command.key, command.fingerprint) = (None, 0);
        }
        Some((id, Question::Command(command), catalogue::slug(venue)))
    }

    fn scan(&mut self, dice: &mut Dice, ticket: TicketId) -> Admit {
        self.scans += 1;
        Admit {
            ticket,
            gate: "main".to_owned(),
            device: self.name.clone(),
            device_seq: self.scans,
            direction: if dice.percent(10) {
                Direction::Exit
            } else {
                Direction::Entry
            },
        }
    }

    /// The key of a hold once more, for another request: a client's mistake.
    pub(super) fn reuse(&mut self, dice: &mut Dice, question: &Question) -> Option<Command> {
        let Question::Command(command) = question else {
            return None;
        };
        let Operation::Hold(request) = &command.operation else {
            return None;
        };
        if !dice.percent(4) {
            return None;
        }
        let mut request = request.clone();
        request.lines.iter_mut().for_each(|line| line.quantity += 1);
        Some(Command {
            fingerprint: command.fingerprint ^ 1,
            operation: Operation::Hold(request),
            ..command.clone()
        })
    }

    /// Learns what came of what it asked for.
    pub(super) fn learn(&mut self, op: &Op, question: &Question) {
        let status = op.response.as_ref().and_then(|told| told.status);
        match (op.outcome, op.op, status, op.booking()) {
            (Ended::Ok, Act::Hold, Some(status), Some(booking)) => {
                self.booking = op.shard.map(|shard| (shard, booking, status));
            }
            (Ended::Ok, _, Some(status), Some(booking)) if self.booking.is_some_and(|known| known.1 == booking) => {
                self.booking = op.shard.map(|shard| (shard, booking, status));
            }
            (Ended::Fail, ..) if matches!(question, Question::Command(_)) && op.op != Act::Release => {
                self.booking = None;
            }
            _ => {}
        }
    }
}

/// Places that somebody wants. Some slots are wanted more than others.
fn wanted(dice: &mut Dice, slots: &[SlotRef]) -> Vec<LineRequest> {
    let hot = (slots.len() / 4).max(1);
    let wanted = if dice.percent(50) {
        slots.get(..hot).unwrap_or_default()
    } else {
        slots
    };
    let lines = 1 + u64::from(dice.percent(25));
    let line = |_| {
        Some(LineRequest {
            slot: dice.pick(wanted)?.clone(),
            unit: (*dice.pick(&UNITS)?).to_owned(),
            quantity: 1 + u32::try_from(dice.below(2)).unwrap_or(0),
            claim: None,
        })
    };
    (0..lines).filter_map(line).collect()
}
