//! Lies in what callers were told and in what replicas showed: what stale reads, lost effects and a limiter that lets
//! through would look like.

use rotunda_booking::outcome::BookingStatus;

use super::{Dice, Evidence, Mutant, Saved, is_only_one, mutant, op};
use crate::history::answers::{Money, Told};
use crate::history::lines::{Act, Ended, Healing, Op};

pub(super) const MUTANTS: &[Mutant] = &[
    mutant("a replay of other bytes", "I2", replay_of_other_bytes),
    mutant("neither answer says that it is a replay", "I2", nobody_is_a_replay),
    mutant("acknowledged and never proposed", "I3", never_proposed),
    mutant("acknowledged at another index", "I3", other_index),
    mutant("one replica lacks a booking", "I3", replica_lacks_booking),
    mutant("resurrected booking: released, and held at the end", "I3", resurrected),
    mutant(
        "capacity returned twice: a slot has too few held",
        "I4",
        slot_has_too_few,
    ),
    mutant(
        "capacity never returned: a slot has too many sold",
        "I4",
        slot_has_too_many,
    ),
    mutant("money that does not add up: told of another price", "I7", other_price),
    mutant(
        "money that does not add up: a replica sold for more",
        "I7",
        replica_sold_for_more,
    ),
    mutant("places sold that the ledger has not", "I7", slot_has_too_many),
    mutant("an answer that is not the log's", "I9 by index", not_the_logs),
    mutant("an effect that nobody asked for", "I9 by index", nobody_asked),
    mutant(
        "stale read: an old index, after a newer answer",
        "I9 by index",
        stale_read,
    ),
    mutant(
        "a read that shows what was not at its index",
        "I9 by index",
        read_of_nothing,
    ),
    mutant("vacancies that are not there", "I9 by index", wrong_vacancies),
    mutant(
        "stale read that lies about its index",
        "I9 black box",
        stale_read_that_lies,
    ),
    mutant(
        "sold above capacity, by what was told alone",
        "I9 black box",
        told_of_too_many,
    ),
    mutant(
        "sold out although there is room, by what was told alone",
        "I9 black box",
        told_of_too_few,
    ),
    mutant("confirmed and released", "I9 black box", confirmed_and_released),
    mutant("non-monotonic read", "I10", non_monotonic_read),
    mutant("own write not read", "I10", own_write_not_read),
    mutant("resurrected booking in a session", "I10", came_back),
    mutant("healed too late", "I12", healed_late),
    mutant("never healed", "I12", never_healed),
    mutant("refused with effect", "I13", refused_with_effect),
];

fn is_write(op: &Op) -> bool {
    // What has no key is found in the log by its index, and is not looked for by what follows.
    !op.op.is_read() && op.outcome == Ended::Ok && op.index.is_some() && op.command.is_some()
}

/// The first of two answers under one key, and the other one.
fn pair(saved: &Saved, dice: &mut Dice) -> Option<(usize, usize)> {
    let second = op(saved, dice, |op| {
        let same = |other: &&Op| other.command == op.command && other.line != op.line;
        op.replayed && is_write(op) && saved.operations.iter().filter(same).any(is_write)
    })?;
    let again = &saved.operations[second];
    let first = saved
        .operations
        .iter()
        .position(|op| op.command == again.command && is_write(op) && op.line != again.line)?;
    Some((first, second))
}

fn replay_of_other_bytes(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (_, second) = pair(saved, dice)?;
    saved.operations[second].digest = None;
    Some(())
}

fn nobody_is_a_replay(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let (first, second) = pair(saved, dice)?;
    saved.operations[first].replayed = false;
    saved.operations[second].replayed = false;
    Some(())
}

fn never_proposed(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| is_write(op) && is_only_one(saved, op))?;
    saved.operations[number].command.as_mut()?.0[0] ^= 1;
    Some(())
}

fn other_index(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, is_write)?;
    *saved.operations[number].index.as_mut()? += 1;
    Some(())
}

/// A booking whose last word is known: acknowledged, and nothing about it is unknown.
fn settled(saved: &Saved, dice: &mut Dice, act: Act) -> Option<usize> {
    op(saved, dice, |op| {
        let about = |other: &&Op| other.request.booking == op.booking();
        let mut others = saved.operations.iter().filter(about);
        op.op == act && is_write(op) && others.all(|other| other.outcome != Ended::Unknown)
    })
}

fn replica_lacks_booking(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = settled(saved, dice, Act::Hold)?;
    let booking = saved.operations[number].booking()?;
    saved
        .final_bookings
        .retain(|line| line.node != 2 || line.booking != booking);
    Some(())
}

fn resurrected(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = settled(saved, dice, Act::Release)?;
    let booking = saved.operations[number].booking()?;
    let mut lines = saved.final_bookings.iter_mut();
    lines.find(|line| line.node == 3 && line.booking == booking)?.status = Some(BookingStatus::Held);
    Some(())
}

fn slot_has_too_few(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    let mut slots = saved.final_slots.iter_mut();
    slots.find(|slot| slot.confirmed > 0)?.confirmed -= 1;
    Some(())
}

fn slot_has_too_many(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    let mut slots = saved.final_slots.iter_mut();
    slots.find(|slot| slot.confirmed > 0)?.confirmed += 1;
    Some(())
}

fn other_price(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| op.op == Act::Confirm && is_write(op))?;
    dearer(saved.operations[number].response.as_mut()?)
}

fn dearer(told: &mut Told) -> Option<()> {
    let Money { amount, .. } = told.total.as_mut()?;
    *amount += 1;
    Some(())
}

fn replica_sold_for_more(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    let mut lines = saved.final_bookings.iter_mut();
    lines.find(|line| line.status == Some(BookingStatus::Confirmed))?.total += 1;
    Some(())
}

fn not_the_logs(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| op.op == Act::Hold && is_write(op))?;
    dearer(saved.operations[number].response.as_mut()?)
}

fn nobody_asked(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| op.op == Act::Hold && is_write(op))?;
    let command = saved.operations[number].command;
    saved.operations.retain(|op| op.command != command);
    Some(())
}

/// A read of a booking that was held before, confirmed or released in between, and the hold: their positions.
fn read_after_change(saved: &Saved, dice: &mut Dice, own: bool) -> Option<(usize, usize)> {
    let mut found = Vec::new();
    for (number, read) in saved.operations.iter().enumerate().filter(|(_, op)| op.op == Act::Read) {
        let Some(booking) = read.booking().filter(|_| read.outcome == Ended::Ok) else {
            continue;
        };
        let changed = saved.operations.iter().any(|op| {
            matches!(op.op, Act::Confirm | Act::Release)
                && is_write(op)
                && op.request.booking == Some(booking)
                && op.returned_ns < read.invoked_ns
                && !op.replayed
                && (!own || op.client == read.client)
        });
        let held = |op: &Op| op.op == Act::Hold && is_write(op) && op.booking() == Some(booking) && !op.replayed;
        let held = saved.operations.iter().position(held);
        found.extend(held.filter(|_| changed).map(|held| (number, held)));
    }
    dice.pick(&found).copied()
}

/// Has a read show the booking as its hold left it; gives the read and the hold.
fn shows_what_was_held(saved: &mut Saved, dice: &mut Dice, own: bool) -> Option<(usize, usize)> {
    let (read, held) = read_after_change(saved, dice, own)?;
    saved.operations[read].response = saved.operations[held].response.clone();
    Some((read, held))
}

/// The same, at the hold's index.
fn shows_when_it_was_held(saved: &mut Saved, dice: &mut Dice, own: bool) -> Option<()> {
    let (read, held) = shows_what_was_held(saved, dice, own)?;
    saved.operations[read].index = saved.operations[held].index;
    Some(())
}

fn stale_read(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shows_when_it_was_held(saved, dice, false)
}

fn own_write_not_read(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shows_when_it_was_held(saved, dice, true)
}

/// It says that it is as new as can be.
fn stale_read_that_lies(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shows_what_was_held(saved, dice, false).map(drop)
}

fn came_back(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    shows_what_was_held(saved, dice, true).map(drop)
}

fn read_of_nothing(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| op.op == Act::Read && op.outcome == Ended::Ok)?;
    saved.operations[number].response.as_mut()?.status = Some(BookingStatus::Cancelled);
    Some(())
}

fn wrong_vacancies(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| op.op == Act::Availability && op.outcome == Ended::Ok)?;
    saved.operations[number].response.as_mut()?.slots.first_mut()?.vacancies += 1;
    Some(())
}

/// What was refused for want of places is told as granted.
fn told_of_too_many(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| {
        op.code() == "sold_out" && op.shard == Some(1) && op.request.lines.len() == 1
    })?;
    let command = saved.operations[number].command;
    let granted = op(saved, dice, |op| {
        op.op == Act::Hold && is_write(op) && op.shard == Some(1)
    })?;
    let mut told = saved.operations[granted].response.clone()?;
    told.id.as_mut()?.seq = 1 << 40;
    // As many as no slot ever has: whatever ran out unseen, this does not fit.
    for op in saved
        .operations
        .iter_mut()
        .filter(|op| op.command == command && op.code() == "sold_out")
    {
        op.request.lines[0].quantity = 15;
        (op.outcome, op.response) = (Ended::Ok, Some(told.clone()));
    }
    Some(())
}

/// The first hold of all is told to be sold out.
fn told_of_too_few(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    let first = saved
        .operations
        .iter()
        .filter(|op| op.op == Act::Hold && op.shard == Some(1) && op.request.lines.len() == 1)
        .min_by_key(|op| op.returned_ns)?;
    let (command, booking) = (first.command, first.booking());
    saved
        .operations
        .retain(|op| op.request.booking.is_none() || op.request.booking != booking);
    let same = |op: &&mut Op| op.command == command && op.code() != "idempotency_key_reused";
    for op in saved.operations.iter_mut().filter(same) {
        op.outcome = Ended::Fail;
        op.response = Some(Told {
            code: Some("sold_out".to_owned()),
            ..Told::default()
        });
    }
    Some(())
}

fn confirmed_and_released(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| {
        op.op == Act::Release && op.code() == "already_confirmed"
    })?;
    let command = saved.operations[number].command;
    for op in saved.operations.iter_mut().filter(|op| op.command == command) {
        op.outcome = Ended::Ok;
        op.response = Some(Told {
            id: op.request.booking,
            status: Some(BookingStatus::Released),
            ..Told::default()
        });
    }
    Some(())
}

/// Two reads of one client change indexes.
fn non_monotonic_read(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let second = op(saved, dice, |op| {
        let before = |other: &&Op| {
            (&other.client, other.shard) == (&op.client, op.shard)
                && other.returned_ns < op.invoked_ns
                && other.index < op.index
                && other.index.is_some()
        };
        op.op.is_read() && op.outcome == Ended::Ok && saved.operations.iter().any(|other| before(&other))
    })?;
    saved.operations[second].index = Some(1);
    Some(())
}

fn healed_late(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    let mut heals = saved.heals.iter_mut();
    heals.find(|heal| heal.phase == Healing::Served)?.at_ns += 16_000_000_000;
    Some(())
}

fn never_healed(_: &Evidence<'_>, saved: &mut Saved, _: &mut Dice) -> Option<()> {
    saved.heals.retain(|heal| heal.phase == Healing::Begin);
    Some(())
}

fn refused_with_effect(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    let number = op(saved, dice, |op| is_write(op) && is_only_one(saved, op))?;
    let op = &mut saved.operations[number];
    (op.shard, op.index, op.status) = (None, None, Some(429));
    (op.outcome, op.response) = (Ended::Fail, None);
    Some(())
}
