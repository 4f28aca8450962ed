//! Lies about what happens to a booking after it was sold: exchanges, cancellations by line, and visitors who come.

use rotunda_booking::admission::{AdmissionView, Direction, Verdict};
use rotunda_booking::command::{LineRequest, Operation};
use rotunda_booking::ids::BookingId;
use rotunda_booking::money::contained_tax;
use rotunda_booking::outcome::{BookingStatus, BookingView, LineView, Outcome, RefusalCode, Reply};

use super::{Dice, Evidence, Mutant, Saved, Step, edit, mutant, op, step};
use crate::history::answers::Admitted;
use crate::history::lines::{Act, Ended, Op};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant("overbooked: an exchange into a full slot", "I1", exchanged_into_full),
    mutant(
        "an exchange into a full slot, by the witness",
        "I9 by index",
        exchanged_into_full,
    ),
    mutant(
        "lost acknowledgement: the log forgot an exchange",
        "I3",
        exchange_forgotten,
    ),
    mutant("what was cancelled is exchanged", "I4", cancelled_is_exchanged),
    mutant(
        "capacity returned twice: a line cancelled again",
        "I4",
        line_cancelled_again,
    ),
    mutant("a cancelled line is shown as there", "I4", line_stays),
    mutant("an exchange for another difference", "I7", other_difference),
    mutant("an exchange without tickets", "I7", exchange_without_tickets),
    mutant("a cancelled line is not taken off the total", "I7", total_stays),
    mutant("two admissions: a duplicate is accepted", "I6", duplicate_accepted),
    mutant(
        "two admissions: a merged duplicate is accepted",
        "I6",
        merged_duplicate_accepted,
    ),
    mutant("a merge told otherwise than it was decided", "I6", merged_otherwise),
    mutant("two admissions, by what was told alone", "I6", told_twice),
    mutant("the first is turned away", "I6", first_turned_away),
    mutant(
        "cancelled although a visitor is in",
        "I9 by index",
        cancelled_although_inside,
    ),
    mutant(
        "sold above capacity by an exchange, by what was told alone",
        "I9 black box",
        told_of_too_large_an_exchange,
    ),
];

fn refused(step: &Step, code: RefusalCode) -> bool {
    !step.reply.replayed && matches!(&step.reply.outcome, Outcome::Refused(refusal) if refusal.code == code)
}

/// The booking as the log had it before a step.
fn before<'e>(evidence: &'e Evidence<'_>, shard: u64, step: &Step, booking: BookingId) -> Option<&'e BookingView> {
    let steps = evidence.shards.get(&shard)?.steps.iter();
    let before = steps.take_while(|other| !std::ptr::eq(*other, step));
    before.filter_map(Step::left).filter(|view| view.id == booking).last()
}

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

fn priced(lines: &[LineRequest]) -> Vec<LineView> {
    let priced = lines.iter().map(|line| {
        let unit_price = if line.unit == "adult" { 1_400 } else { 3_100 };
        let total = unit_price * i64::from(line.quantity);
        LineView {
            slot: line.slot.clone(),
            unit: line.unit.clone(),
            quantity: line.quantity,
            unit_price,
            tax: contained_tax(total, 600),
            total,
            cancelled: false,
        }
    });
    priced.collect()
}

/// A refused exchange is answered as done.
fn exchange_anyway(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice, code: RefusalCode) -> Option<()> {
    let wanted = |step: &Step| matches!(step.command.operation, Operation::Rebook { .. }) && refused(step, code);
    let found = step(evidence, dice, wanted)?;
    let Operation::Rebook { booking, lines, .. } = &found.1.command.operation else {
        return None;
    };
    let had = before(evidence, found.0, found.1, *booking)?;
    let lines = priced(lines);
    let total = lines.iter().map(|line| line.total).sum();
    let outcome = Outcome::Rebooked {
        difference: total - had.total,
        booking: BookingView {
            status: BookingStatus::Confirmed,
            lines,
            total,
            ..had.clone()
        },
    };
    reply(saved, found, outcome)
}

fn exchanged_into_full(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    exchange_anyway(evidence, saved, dice, RefusalCode::SoldOut)
}

fn cancelled_is_exchanged(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    exchange_anyway(evidence, saved, dice, RefusalCode::AlreadyCancelled)
}

fn exchange_forgotten(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let acknowledged = |step: &Step| {
        let told = saved
            .operations
            .iter()
            .filter(|op| op.command_key() == step.command.key);
        is_exchange(step) && told.filter(|op| op.index.is_some()).count() == 1
    };
    let (shard, step, position) = step(evidence, dice, acknowledged)?;
    edit(saved, shard, step.index, |entry, replies| {
        entry.commands.remove(position);
        replies.remove(position);
    })
}

fn is_exchange(step: &Step) -> bool {
    matches!(step.effect(), Some(Outcome::Rebooked { .. }))
}

/// Some lines were cancelled and others stay.
fn is_part(step: &Step) -> bool {
    let some = matches!(&step.command.operation, Operation::Cancel { lines, .. } if !lines.is_empty());
    some && step.left().is_some_and(|view| view.status == BookingStatus::Confirmed)
}

/// Changes what a step left of a booking, and the difference of an exchange.
fn shown(
    evidence: &Evidence<'_>,
    saved: &mut Saved,
    dice: &mut Dice,
    wanted: fn(&Step) -> bool,
    change: impl FnOnce(&mut BookingView, &mut i64),
) -> Option<()> {
    let (shard, step, position) = step(evidence, dice, wanted)?;
    edit(saved, shard, step.index, |_, replies| {
        match &mut replies[position].outcome {
            Outcome::Rebooked { booking, difference } => change(booking, difference),
            Outcome::Booking(view) => change(view, &mut 0),
            _ => {}
        }
    })
}

fn line_cancelled_again(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let again = |step: &Step| {
        matches!(step.command.operation, Operation::Cancel { .. }) && refused(step, RefusalCode::UnknownLine)
    };
    let found = step(evidence, dice, again)?;
    let view = before(evidence, found.0, found.1, found.1.named()?)?.clone();
    reply(saved, found, Outcome::Booking(view))
}

fn line_stays(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, is_part, |view, _| {
        view.lines.iter_mut().for_each(|line| line.cancelled = false)
    })
}

fn total_stays(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, is_part, |view, _| {
        view.total = view.lines.iter().map(|line| line.total).sum()
    })
}

fn other_difference(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, is_exchange, |_, difference| *difference += 100)
}

fn exchange_without_tickets(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shown(evidence, saved, dice, is_exchange, |view, _| view.tickets.clear())
}

fn is_entry(view: &AdmissionView, verdict: Verdict) -> bool {
    view.verdict == verdict && view.direction == Direction::Entry
}

/// A scan at a gate that asked is answered otherwise.
fn decided_as(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice, from: Verdict, to: Verdict) -> Option<()> {
    let wanted = |step: &Step| {
        let asked = matches!(step.command.operation, Operation::Admit(_));
        asked && matches!(step.effect(), Some(Outcome::Admission(view)) if is_entry(view, from))
    };
    let (shard, step, position) = step(evidence, dice, wanted)?;
    edit(saved, shard, step.index, |_, replies| {
        if let Outcome::Admission(view) = &mut replies[position].outcome {
            view.verdict = to;
        }
    })
}

fn duplicate_accepted(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    decided_as(evidence, saved, dice, Verdict::Duplicate, Verdict::Accepted)
}

fn first_turned_away(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    decided_as(evidence, saved, dice, Verdict::Accepted, Verdict::Duplicate)
}

fn merged_duplicate_accepted(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let wanted = |step: &Step| {
        let duplicate = |view: &AdmissionView| is_entry(view, Verdict::Duplicate);
        matches!(step.effect(), Some(Outcome::Merged { scans, .. }) if scans.iter().any(duplicate))
    };
    let (shard, step, position) = step(evidence, dice, wanted)?;
    edit(saved, shard, step.index, |_, replies| {
        if let Outcome::Merged { scans, .. } = &mut replies[position].outcome {
            let duplicates = scans.iter_mut().filter(|view| is_entry(view, Verdict::Duplicate));
            duplicates.for_each(|view| view.verdict = Verdict::Accepted);
        }
    })
}

fn merged_otherwise(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let wanted = |op: &Op| op.op == Act::Merge && op.response.as_ref().is_some_and(|told| !told.scans.is_empty());
    let number = op(saved, dice, wanted)?;
    let scan = saved.operations[number].response.as_mut()?.scans.first_mut()?;
    scan.result = match scan.result {
        Admitted::Accepted => Admitted::Duplicate,
        _ => Admitted::Accepted,
    };
    Some(())
}

/// Two gates that asked were told to let the holder of one ticket in.
fn told_twice(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let told = |op: &Op, admitted| {
        let asked = op
            .request
            .scan
            .as_ref()
            .filter(|scan| op.op == Act::Admit && !scan.exit);
        let answered = op.response.as_ref().and_then(|told| told.admission) == Some(admitted);
        asked.filter(|_| answered).map(|scan| scan.ticket)
    };
    let number = op(saved, dice, |op| {
        let ticket = told(op, Admitted::Duplicate);
        let first = |other: &&Op| told(other, Admitted::Accepted) == ticket;
        ticket.is_some() && saved.operations.iter().any(|other| first(&other))
    })?;
    let _ = evidence;
    saved.operations[number].response.as_mut()?.admission = Some(Admitted::Accepted);
    Some(())
}

fn cancelled_although_inside(evidence: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let wanted = |step: &Step| {
        matches!(step.command.operation, Operation::Cancel { .. }) && refused(step, RefusalCode::AlreadyAdmitted)
    };
    let found = step(evidence, dice, wanted)?;
    let view = before(evidence, found.0, found.1, found.1.named()?)?;
    let outcome = Outcome::Booking(BookingView {
        status: BookingStatus::Cancelled,
        ..view.clone()
    });
    reply(saved, found, outcome)
}

fn told_of_too_large_an_exchange(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let wanted = |op: &Op| op.op == Act::Rebook && op.outcome == Ended::Ok && !op.replayed;
    let number = op(saved, dice, wanted)?;
    let told = saved.operations[number].response.as_mut()?;
    told.lines.first_mut()?.quantity += 14;
    Some(())
}
