//! Lies in what the logs say: what a node with a bug in its rules, its storage or its consensus would have done.

use rotunda_booking::command::{Entry, Operation};
use rotunda_booking::ids::BookingId;
use rotunda_booking::outcome::{BookingStatus, BookingView, LineView, Outcome, Refusal, RefusalCode, Reply};

use super::{Dice, Evidence, Mutant, Saved, Step, edit, mutant, step};
use crate::history::text::Digest;

pub(super) const MUTANTS: &[Mutant] = &[
    mutant("overbooked: what was sold out is sold", "I1", sold_out_is_sold),
    mutant("sold out is sold, by the witness", "I9 by index", sold_out_is_sold),
    mutant("double effect: a replay takes places again", "I2", replay_takes_again),
    mutant("a key reused for another request is served", "I2", reused_key_is_served),
    mutant("a replay of other words", "I2", replay_of_other_words),
    mutant("lost acknowledgement: the log forgot it", "I3", log_forgot),
    mutant("expired and confirmed", "I4", expired_and_confirmed),
    mutant(
        "expired and confirmed, by the witness",
        "I9 by index",
        expired_and_confirmed,
    ),
    mutant("capacity returned twice: released again", "I4", released_twice),
    mutant("a booking id handed out twice", "I4", id_handed_out_twice),
    mutant("early expiry", "I5", early_expiry),
    mutant("an expiry that forgets who is due", "I5", forgotten_expiry),
    mutant("born expired", "I5", born_expired),
    mutant("a price that is not the catalogue's", "I7", wrong_price),
    mutant("lines that do not sum to the total", "I7", wrong_sum),
    mutant("too few tickets", "I7", too_few_tickets),
    mutant("a serial given twice", "I7", serial_given_twice),
    mutant("index reuse: two entries at one index", "I8", index_reuse),
    mutant("swapped order: two entries changed places", "I8", swapped_order),
    mutant("an entry is missing", "I8", missing_entry),
    mutant("the log ends before what was applied", "I8", end_missing),
    mutant("a term that goes back", "I8", term_goes_back),
    mutant("one replica has another log", "I8", other_log),
    mutant("sold out although there is room", "I9 by index", refused_with_room),
    mutant("hash divergence on one replica", "I11", one_hash),
    mutant("all replicas agree on a state that is not the log's", "I11", all_hashes),
];

fn is_hold(step: &Step, code: Option<RefusalCode>) -> bool {
    let Operation::Hold(_) = &step.command.operation else {
        return false;
    };
    match (&step.reply.outcome, code) {
        (Outcome::Refused(refusal), Some(code)) => !step.reply.replayed && refusal.code == code,
        (Outcome::Booking(_), None) => !step.reply.replayed,
        _ => false,
    }
}

/// The view that a hold would have been answered with.
fn view(evidence: &Evidence<'_>, step: &Step, seq: u64) -> Option<BookingView> {
    let Operation::Hold(request) = &step.command.operation else {
        return None;
    };
    let granted = |other: &&Step| is_hold(other, None) && other.command.venue == step.command.venue;
    let (_, like) = evidence.steps().find(|(_, step)| granted(step))?;
    let Outcome::Booking(like) = &like.reply.outcome else {
        return None;
    };
    let price = |unit: &str| if unit == "adult" { 1_400 } else { 3_100 };
    let lines: Vec<LineView> = request
        .lines
        .iter()
        .map(|line| {
            let total = price(&line.unit) * i64::from(line.quantity);
            LineView {
                slot: line.slot.clone(),
                unit: line.unit.clone(),
                quantity: line.quantity,
                unit_price: price(&line.unit),
                tax: rotunda_booking::money::contained_tax(total, 600),
                total,
                cancelled: false,
            }
        })
        .collect();
    Some(BookingView {
        id: BookingId {
            venue: step.command.venue,
            seq,
            secret: request.secret,
        },
        total: lines.iter().map(|line| line.total).sum(),
        lines,
        created_at: step.now,
        expires_at: Some(step.now.plus_minutes(1)),
        ..like.clone()
    })
}

/// Gives a step another reply.
fn reply(saved: &mut Saved, (shard, step, position): (u64, &Step, usize), outcome: Outcome) -> Option<()> {
    let index = step.index;
    edit(saved, shard, index, |_, replies| {
        replies[position] = Reply {
            index,
            replayed: false,
            outcome,
        };
    })
}

const UNUSED: u64 = 1 << 40;

fn sold_out_is_sold(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let found = step(evidence, dice, |step| is_hold(step, Some(RefusalCode::SoldOut)))?;
    reply(saved, found, Outcome::Booking(view(evidence, found.1, UNUSED)?))
}

fn replay_takes_again(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let again = |step: &Step| {
        step.reply.replayed
            && matches!(step.command.operation, Operation::Hold(_))
            && matches!(step.reply.outcome, Outcome::Booking(_))
    };
    let found = step(evidence, dice, again)?;
    reply(saved, found, Outcome::Booking(view(evidence, found.1, UNUSED)?))
}

fn reused_key_is_served(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let found = step(evidence, dice, |step| {
        is_hold(step, Some(RefusalCode::IdempotencyKeyReused))
    })?;
    reply(saved, found, Outcome::Booking(view(evidence, found.1, UNUSED)?))
}

fn replay_of_other_words(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let booked = |step: &Step| step.reply.replayed && matches!(step.reply.outcome, Outcome::Booking(_));
    let (shard, step, position) = step(evidence, dice, booked)?;
    edit(saved, shard, step.index, |_, replies| {
        if let Outcome::Booking(view) = &mut replies[position].outcome {
            view.reference.push('X');
        }
    })
}

fn log_forgot(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let acknowledged = |step: &Step| {
        let told = saved
            .operations
            .iter()
            .filter(|op| op.command_key() == step.command.key);
        is_hold(step, None) && told.filter(|op| op.index.is_some()).count() == 1
    };
    let (shard, step, position) = step(evidence, dice, acknowledged)?;
    edit(saved, shard, step.index, |entry, replies| {
        entry.commands.remove(position);
        replies.remove(position);
    })
}

fn expired_and_confirmed(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let late = |step: &Step| {
        let expired =
            matches!(&step.reply.outcome, Outcome::Refused(refusal) if refusal.code == RefusalCode::HoldExpired);
        expired && !step.reply.replayed && matches!(step.command.operation, Operation::Confirm { .. })
    };
    let found = step(evidence, dice, late)?;
    let outcome = booked_as(evidence, found.1.booking()?, BookingStatus::Confirmed)?;
    reply(saved, found, outcome)
}

fn released_twice(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let again = |step: &Step| {
        let ended = matches!(&step.reply.outcome, Outcome::Refused(refusal)
            if matches!(refusal.code, RefusalCode::AlreadyReleased | RefusalCode::HoldExpired));
        ended && !step.reply.replayed && matches!(step.command.operation, Operation::Release { .. })
    };
    let found = step(evidence, dice, again)?;
    let outcome = booked_as(evidence, found.1.booking()?, BookingStatus::Released)?;
    reply(saved, found, outcome)
}

/// A booking as its hold was answered, in another state.
fn booked_as(evidence: &Evidence<'_>, booking: BookingId, status: BookingStatus) -> Option<Outcome> {
    let held = |step: &Step| is_hold(step, None) && step.booking() == Some(booking);
    let (_, step) = evidence.steps().find(|(_, step)| held(step))?;
    match &step.reply.outcome {
        Outcome::Booking(view) => Some(Outcome::Booking(BookingView { status, ..view.clone() })),
        _ => None,
    }
}

fn id_handed_out_twice(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (shard, held, position) = step(evidence, dice, |step| is_hold(step, None))?;
    let other = |step: &Step| is_hold(step, None) && step.booking() != held.booking();
    let steps = &evidence.shards.get(&shard)?.steps;
    let other = steps.iter().find(|step| other(step))?.booking()?;
    edit(saved, shard, held.index, |_, replies| {
        if let Outcome::Booking(view) = &mut replies[position].outcome {
            view.id = other;
        }
    })
}

fn expiry(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice, change: fn(&mut u32)) -> Option<()> {
    let (shard, step, position) = step(evidence, dice, |step| !step.expired.is_empty())?;
    edit(saved, shard, step.index, |_, replies| {
        if let Outcome::Expired { count, .. } = &mut replies[position].outcome {
            change(count);
        }
    })
}

fn early_expiry(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    expiry(evidence, saved, dice, |count| *count += 2)
}

fn forgotten_expiry(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    expiry(evidence, saved, dice, |count| *count = 0)
}

/// Changes what a step was answered with.
fn shown(
    evidence: &Evidence<'_>,
    saved: &mut Saved,
    dice: &mut Dice,
    wanted: fn(&Step) -> bool,
    change: impl FnOnce(&mut BookingView),
) -> Option<()> {
    let (shard, step, position) = step(evidence, dice, wanted)?;
    edit(saved, shard, step.index, |_, replies| {
        if let Outcome::Booking(view) = &mut replies[position].outcome {
            change(view);
        }
    })
}

fn was_granted(step: &Step) -> bool {
    is_hold(step, None)
}

fn was_confirmed(step: &Step) -> bool {
    matches!(step.command.operation, Operation::Confirm { .. }) && step.effect().is_some()
}

fn born_expired(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, was_granted, |view| {
        view.expires_at = Some(view.created_at)
    })
}

fn wrong_price(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, was_granted, |view| view.lines[0].unit_price += 1)
}

fn wrong_sum(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, was_confirmed, |view| view.total += 100)
}

fn too_few_tickets(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, was_confirmed, |view| {
        view.tickets.pop();
    })
}

fn serial_given_twice(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, was_confirmed, |view| view.tickets[0].serial += 1)
}

fn index_reuse(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (shard, held, _) = step(evidence, dice, was_granted)?;
    let line = |index| move |line: &&crate::history::lines::LogLine| (line.shard, line.index) == (shard, index);
    let other = saved.entries.iter().find(line(held.index + 1))?.clone();
    let mut again = saved.entries.iter().find(line(held.index))?.clone();
    (again.payload, again.replies, again.line) = (other.payload, other.replies, saved.lines + 1);
    saved.entries.push(again);
    Some(())
}

/// Two entries of one command each change places, and the answers with them: the log agrees with all that was told, and
/// not with when.
fn swapped_order(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let alone = |step: &Step, steps: &[Step]| {
        let told = saved
            .operations
            .iter()
            .filter(|op| op.command_key() == step.command.key);
        is_hold(step, None)
            && steps.iter().filter(|other| other.index == step.index).count() == 1
            && told.filter(|op| !op.replayed && op.index.is_some()).count() == 1
    };
    let mut pairs = Vec::new();
    for (id, shard) in &evidence.shards {
        let alone: Vec<&Step> = shard.steps.iter().filter(|step| alone(step, &shard.steps)).collect();
        pairs.extend(alone.windows(2).map(|pair| (*id, pair[0], pair[1])));
    }
    let op = |step: &Step| {
        let mut told = (0..saved.operations.len()).filter(|n| saved.operations[*n].command_key() == step.command.key);
        told.next()
    };
    pairs.retain(|(_, first, second)| match (op(first), op(second)) {
        (Some(first), Some(second)) => saved.operations[first].returned_ns < saved.operations[second].invoked_ns,
        _ => false,
    });
    let (shard, first, second) = *dice.pick(&pairs)?;
    let (first_op, second_op) = (op(first)?, op(second)?);
    let position = |index| {
        saved
            .entries
            .iter()
            .position(|line| (line.shard, line.index) == (shard, index))
    };
    let (a, b) = (position(first.index)?, position(second.index)?);
    let payload = saved.entries[a].payload.clone();
    saved.entries[a].payload = saved.entries[b].payload.clone();
    saved.entries[b].payload = payload;
    let replies = saved.entries[a].replies.clone();
    saved.entries[a].replies = saved.entries[b].replies.clone();
    saved.entries[b].replies = replies;
    for index in [first.index, second.index] {
        edit(saved, shard, index, |_, replies| {
            replies.iter_mut().for_each(|reply| reply.index = index)
        })?;
    }
    saved.operations[first_op].index = Some(second.index);
    saved.operations[second_op].index = Some(first.index);
    Some(())
}

fn missing_entry(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (shard, step, _) = step(evidence, dice, was_granted)?;
    saved
        .entries
        .retain(|line| (line.shard, line.index) != (shard, step.index));
    Some(())
}

fn end_missing(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let hash = *dice.pick(&saved.hashes)?;
    saved
        .entries
        .retain(|line| line.shard != hash.shard || line.index < hash.index);
    Some(())
}

fn term_goes_back(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (shard, step, _) = step(evidence, dice, was_granted)?;
    let index = step.index;
    let mut lines = saved.entries.iter_mut();
    lines.find(|line| (line.shard, line.index) == (shard, index))?.term = 0;
    Some(())
}

fn other_log(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    saved.logs.last_mut()?.digest = Digest([7; 16]);
    Some(())
}

/// A hold at the end of a log, of places that nobody wanted, is refused.
fn refused_with_room(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (shard, like, _) = step(evidence, dice, was_granted)?;
    let last = evidence.shards.get(&shard)?.steps.last()?;
    let mut command = like.command.clone();
    command.key = None;
    let Operation::Hold(request) = &mut command.operation else {
        return None;
    };
    request.lines.truncate(1);
    let slot = saved
        .final_slots
        .iter()
        .filter(|slot| slot.shard == shard && slot.node == 1);
    let empty = slot.max_by_key(|slot| slot.capacity - slot.held - slot.confirmed)?;
    let general = empty.held + empty.confirmed < empty.capacity && empty.slot.product == "general";
    request.lines[0].slot = empty.slot.clone();
    request.lines[0].unit = "adult".to_owned();
    request.lines[0].quantity = 1;
    // A tight building refuses too.
    if !general || shard.is_multiple_of(2) {
        return None;
    }
    let index = last.index;
    edit(saved, shard, index, |entry: &mut Entry, replies| {
        entry.commands.push(command);
        replies.push(Reply {
            index,
            replayed: false,
            outcome: Outcome::Refused(Refusal::new(RefusalCode::SoldOut, "")),
        });
    })
}

fn one_hash(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = usize::try_from(dice.below(saved.hashes.len() as u64)).ok()?;
    saved.hashes.get_mut(number)?.hash = Digest([7; 16]);
    Some(())
}

fn all_hashes(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let line = *dice.pick(&saved.hashes)?;
    let same = saved
        .hashes
        .iter_mut()
        .filter(|other| (other.shard, other.index) == (line.shard, line.index));
    same.for_each(|other| other.hash = Digest([7; 16]));
    Some(())
}
