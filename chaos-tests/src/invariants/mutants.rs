//! Proof that the invariants find things: sound histories of the model cluster pass, and each with one lie in it does not.
//!
//! A mutant takes a sound history and breaks it in one place, as a bug would. The invariant named beside it must say so;
//! others may too. A mutant that finds nothing to break in a history is tried on the next one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod admitted;
mod changed;
mod log;
mod told;

use rotunda_booking::codec;
use rotunda_booking::command::Entry;
use rotunda_booking::outcome::{BookingStatus, Reply};

use super::evidence::{Evidence, Step};
use super::{Invariant, Ruling, Verdict, check_all, registry};
use crate::history::answers::{Admitted, Told};
use crate::history::lines::{Act, Ended, Op};
use crate::history::reader::Saved;
use crate::history::text::Bytes;
use crate::model_cluster::{Dice, Plan, history};

/// Breaks a history in one place; none where there is no such place.
type Break = fn(&Evidence<'_>, &mut Saved, &mut Dice) -> Option<()>;

/// What is broken, and who must find it.
struct Mutant {
    name: &'static str,
    caught_by: &'static str,
    breaks: Break,
}

const fn mutant(name: &'static str, caught_by: &'static str, breaks: Break) -> Mutant {
    Mutant {
        name,
        caught_by,
        breaks,
    }
}

const SEEDS: std::ops::Range<u64> = 1..5;

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        ..Plan::default()
    }
}

fn mutants() -> impl Iterator<Item = &'static Mutant> {
    admitted::MUTANTS
        .iter()
        .chain(changed::MUTANTS)
        .chain(log::MUTANTS)
        .chain(told::MUTANTS)
}

fn verdicts(saved: &Saved) -> Vec<Verdict> {
    check_all(&Evidence::new(saved).expect("it decodes"), &registry())
}

#[test]
fn sound_histories_pass() {
    for seed in SEEDS {
        let saved = history(plan(seed));
        for verdict in verdicts(&saved) {
            assert_eq!(verdict.ruling(), Ruling::Sound, "seed {seed}: {verdict:#?}");
        }
    }
}

/// A history in which nothing happens proves nothing.
#[test]
fn sound_histories_are_not_dull() {
    let saved = history(plan(1));
    let evidence = Evidence::new(&saved).unwrap();
    let code = |code: &str| saved.operations.iter().filter(|op| op.code() == code).count();
    let done = |act: Act| {
        let ops = saved
            .operations
            .iter()
            .filter(|op| op.op == act && op.outcome == Ended::Ok);
        ops.filter_map(|op| op.response.as_ref()).collect::<Vec<_>>()
    };
    let stays = |told: &&&Told| told.status == Some(BookingStatus::Confirmed);
    let admitted = |wanted: Admitted| {
        let told = done(Act::Admit)
            .into_iter()
            .filter(|told| told.admission == Some(wanted))
            .count();
        let merged = done(Act::Merge).into_iter().flat_map(|told| &told.scans);
        (told, merged.filter(|scan| scan.result == wanted).count())
    };
    let unknown = |op: &&Op| op.outcome == Ended::Unknown;
    let counts = [
        ("sold out", code("sold_out")),
        ("confirmed too late", code("hold_expired")),
        ("done already", code("already_confirmed") + code("already_released")),
        ("exchanged", done(Act::Rebook).len()),
        ("cancelled by line", done(Act::Cancel).iter().filter(stays).count()),
        ("line that was not there", code("unknown_line")),
        ("cancelled after somebody came", code("already_admitted")),
        ("accepted by asking", admitted(Admitted::Accepted).0),
        ("accepted by itself", admitted(Admitted::Accepted).1),
        ("duplicate by asking", admitted(Admitted::Duplicate).0),
        ("duplicate by itself", admitted(Admitted::Duplicate).1),
        ("void ticket", admitted(Admitted::Rejected).0),
        ("key reused", code("idempotency_key_reused")),
        ("turned away", code("rate_limited")),
        ("unknown", saved.operations.iter().filter(unknown).count()),
        ("replayed", saved.operations.iter().filter(|op| op.replayed).count()),
        (
            "sent again",
            saved.operations.iter().filter(|op| op.attempts > 1).count(),
        ),
        ("reads", saved.operations.iter().filter(|op| op.op.is_read()).count()),
        ("expired", evidence.steps().map(|(_, step)| step.expired.len()).sum()),
        ("faults", saved.faults.len()),
    ];
    for (what, count) in counts {
        assert!(count > 0, "no {what} in {counts:?}");
    }
}

#[test]
fn every_mutant_is_caught() {
    let sound: Vec<Saved> = SEEDS.map(|seed| history(plan(seed))).collect();
    let mut missed = Vec::new();
    for mutant in mutants() {
        let mut broken = 0;
        for (seed, sound) in SEEDS.zip(&sound) {
            let evidence = Evidence::new(sound).unwrap();
            let mut saved = sound.clone();
            if (mutant.breaks)(&evidence, &mut saved, &mut Dice::new(seed)).is_none() {
                continue;
            }
            broken += 1;
            let mut invariants = registry().into_iter();
            let named = invariants.find(|one| one.id() == mutant.caught_by).unwrap();
            if named.check(&Evidence::new(&saved).unwrap()).found == 0 {
                let verdicts = verdicts(&saved);
                let violated = verdicts.iter().filter(|verdict| verdict.found > 0);
                let found: Vec<&str> = violated.map(|verdict| verdict.id).collect();
                missed.push(format!("{} with seed {seed}, caught by {found:?} only", mutant.name));
            }
        }
        if broken == 0 {
            missed.push(format!("{} found nothing to break", mutant.name));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(mutants().count() >= 15);
}

/// A finding names the place: some line, entry or event.
#[test]
fn every_finding_leads_somewhere() {
    let sound = history(plan(1));
    let evidence = Evidence::new(&sound).unwrap();
    for mutant in mutants() {
        let mut saved = sound.clone();
        if (mutant.breaks)(&evidence, &mut saved, &mut Dice::new(1)).is_none() {
            continue;
        }
        for verdict in verdicts(&saved) {
            for finding in &verdict.findings {
                let leads = !finding.lines.is_empty() || !finding.entries.is_empty();
                assert!(leads, "{} {}: {finding:?}", mutant.name, verdict.id);
            }
        }
    }
}

/// A step of the log that is as wanted, somewhere in the middle.
fn step<'e>(
    evidence: &'e Evidence<'_>,
    dice: &mut Dice,
    wanted: impl Fn(&Step) -> bool,
) -> Option<(u64, &'e Step, usize)> {
    let found: Vec<(u64, &Step)> = evidence.steps().filter(|(_, step)| wanted(step)).collect();
    let (shard, step) = *dice.pick(&found)?;
    let steps = &evidence.shards[&shard].steps;
    let of_entry = steps.iter().filter(|other| other.index == step.index);
    let position = of_entry.into_iter().position(|other| std::ptr::eq(other, step))?;
    Some((shard, step, position))
}

/// A request that is as wanted, by position.
fn op(saved: &Saved, dice: &mut Dice, wanted: impl Fn(&Op) -> bool) -> Option<usize> {
    let found: Vec<usize> = (0..saved.operations.len())
        .filter(|number| wanted(&saved.operations[*number]))
        .collect();
    dice.pick(&found).copied()
}

/// True where the key of a request is in no other one.
fn is_only_one(saved: &Saved, op: &Op) -> bool {
    saved
        .operations
        .iter()
        .filter(|other| other.command == op.command)
        .count()
        == 1
}

/// Changes an entry of a log, and the replies to it.
fn edit(saved: &mut Saved, shard: u64, index: u64, change: impl FnOnce(&mut Entry, &mut Vec<Reply>)) -> Option<()> {
    let line = saved
        .entries
        .iter_mut()
        .find(|line| (line.shard, line.index) == (shard, index))?;
    let mut entry = codec::decode_entry(&line.payload.0).ok()?;
    let replies = codec::split_replies(line.replies.clone()?.0.into()).ok()?;
    let mut replies: Vec<Reply> = replies
        .iter()
        .map(|reply| codec::decode_reply(reply).unwrap())
        .collect();
    change(&mut entry, &mut replies);
    line.payload = Bytes(codec::encode_entry(&entry).to_vec());
    line.replies = Some(Bytes(codec::encode_replies(&replies).to_vec()));
    Some(())
}
