//! What clients of the model cluster do: one journey after another, as visitors of a museum do them, a few mistakes
//! included.

use std::collections::BTreeMap;

use rotunda_booking::command::{Channel, Command, HoldRequest, LineRequest, Operation};
use rotunda_booking::ids::{BookingId, VenueNo};
use rotunda_booking::outcome::BookingStatus;
use rotunda_booking::query::Query;

use super::catalogue::{self, UNITS};
use super::shard::Shard;
use super::{Dice, Question, command};
use crate::history::lines::{Act, Ended, Op};

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    /// The booking that it is about to do something with, and the state in which it believes it to be.
    booking: Option<(u64, BookingId, BookingStatus)>,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Client {
            name: format!("visitor-{number}"),
            booking: None,
        }
    }

    /// What it asks for next: of which shard, and which venue.
    pub(super) fn decide(&mut self, dice: &mut Dice, shards: &BTreeMap<u64, Shard>) -> (u64, Question, String) {
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
                (BookingStatus::Confirmed, 0..50) => ask(
                    dice,
                    Operation::Cancel {
                        booking,
                        lines: Vec::new(),
                    },
                ),
                (BookingStatus::Confirmed, 50..60) => ask(
                    dice,
                    Operation::Confirm {
                        booking,
                        nonce,
                        payment: None,
                    },
                ),
                (BookingStatus::Held, _) => Question::Read(Query::Booking { booking }),
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
        // Some slots are wanted more than others.
        let hot = (slots.len() / 4).max(1);
        let wanted = if dice.percent(50) {
            slots.get(..hot).unwrap_or_default()
        } else {
            slots
        };
        let lines = 1 + u64::from(dice.percent(10));
        let lines: Vec<LineRequest> = (0..lines)
            .filter_map(|_| {
                Some(LineRequest {
                    slot: dice.pick(wanted)?.clone(),
                    unit: (*dice.pick(&UNITS)?).to_owned(),
                    quantity: 1 + u32::try_from(dice.below(2)).unwrap_or(0),
                    claim: None,
                })
            })
            .collect();
        let hold = Operation::Hold(HoldRequest {
            secret: dice.any(),
            channel: Channel::Web,
            lines,
        });
        (shard, Question::Command(command(dice, venue, hold)), slug)
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
