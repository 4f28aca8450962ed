//! I6: a ticket is admitted at most once over all gates, or as often as its product lets people out and in again.
//!
//! Looked at twice. In the logs: each scan's verdict is the one that all of its ticket's scans come to by hand (`gates`),
//! so scans that gates made by themselves come to the same in any order and as often as they are sent. And among the
//! answers: of gates that asked, one was told to let a ticket's holder in. Each device and number of its own is one scan;
//! one that is sent again under the same number, and answered so again, is the same one. Scans whose fate nobody knows
//! count for nothing: who heard no answer let nobody in.
//!
//! A gate that could not ask may have let somebody in as well, which no cluster can prevent: when it hands its scans in, it
//! and the others are told which of them was the first, and at most one is.

use rotunda_booking::admission::{AdmissionView, Direction, Verdict as Told};
use rotunda_booking::command::Operation;
use rotunda_booking::ids::TicketId;
use rotunda_booking::outcome::Outcome;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Invariant;
use super::evidence::{Evidence, Step};
use super::gates::Gates;
use super::pools::Pools;
use super::verdict::{Finding, Verdict};
use crate::history::answers::{Admitted, Scan, ToldScan};
use crate::history::lines::{Act, Op};

pub(super) struct Admission;

/// A scan that was answered so.
type Accepted<'a> = (&'a Op, &'a Scan);

impl Invariant for Admission {
    fn id(&self) -> &'static str {
        "I6"
    }

    fn promise(&self) -> &'static str {
        "a ticket is admitted once"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut as_often = FxHashSet::default();
        for (id, shard) in &evidence.shards {
            let (mut pools, mut gates) = (Pools::default(), Gates::default());
            for step in &shard.steps {
                gates.follow(step, &pools);
                pools.follow(step);
                check_step(*id, step, &gates, &mut verdict);
                let of_tickets =
                    scanned(step).filter(|ticket| gates.may_come_back(*ticket) || gates.was_annulled(*ticket));
                as_often.extend(of_tickets);
            }
        }
        check_answers(evidence, &as_often, &mut verdict);
        if verdict.looked_at.iter().all(|(_, count)| *count == 0) {
            let reason = "not exercised: the history has no scans";
            verdict.not_covered.push(reason.to_owned());
        }
        verdict
    }
}

/// The tickets that a step scanned.
fn scanned(step: &Step) -> impl Iterator<Item = TicketId> {
    let views = match step.effect() {
        Some(Outcome::Admission(view)) => std::slice::from_ref(view),
        Some(Outcome::Merged { scans, .. }) => scans,
        _ => &[],
    };
    views.iter().map(|view| view.ticket)
}

/// Each verdict is what the ticket's scans come to, and at most one of them lets somebody in.
fn check_step(shard: u64, step: &Step, gates: &Gates, verdict: &mut Verdict) {
    let venue = step.command.venue;
    let mut wrong = Vec::new();
    let mut look = |view: &AdmissionView| {
        let expected = gates.verdict(venue, view.ticket, &view.device, view.device_seq);
        if expected != view.verdict {
            let (ticket, told) = (view.ticket, view.verdict.as_str());
            let (device, number, expected) = (&view.device, view.device_seq, expected.as_str());
            wrong.push(format!(
                "scan {number} by {device} of ticket {ticket} is {told}; by all of its scans it is {expected}"
            ));
        }
    };
    match (&step.command.operation, step.effect()) {
        (Operation::Admit(_) | Operation::Annul { .. }, Some(Outcome::Admission(view))) => {
            verdict.count("scans at gates that asked", 1);
            look(view);
        }
        (Operation::MergeScans { .. }, Some(Outcome::Merged { scans, conflicts })) => {
            verdict.count("scans at gates that did not", scans.len() as u64);
            scans.iter().chain(conflicts).for_each(&mut look);
            wrong.extend(let_in_together(scans, gates));
        }
        _ => {}
    }
    for text in wrong {
        let finding = Finding::new(format!("shard {shard} at index {}: {text}", step.index));
        verdict.add(finding.line(step.line).entry(shard, step.index));
    }
}

/// Tickets of which one answer lets several in. The same scan may stand in it twice.
fn let_in_together(scans: &[AdmissionView], gates: &Gates) -> Vec<String> {
    let mut let_in: FxHashMap<TicketId, FxHashSet<(&str, u64)>> = FxHashMap::default();
    let entries = scans
        .iter()
        .filter(|view| view.verdict == Told::Accepted && view.direction == Direction::Entry);
    for view in entries.filter(|view| !gates.may_come_back(view.ticket)) {
        let names = let_in.entry(view.ticket).or_default();
        names.insert((&view.device, view.device_seq));
    }
    let mut twice: Vec<String> = let_in
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(ticket, names)| format!("ticket {ticket} was admitted {} times in one answer", names.len()))
        .collect();
    twice.sort();
    twice
}

/// What gates were told: one of those that asked let a ticket's holder in; and what was merged is as the log has it.
fn check_answers(evidence: &Evidence<'_>, as_often: &FxHashSet<TicketId>, verdict: &mut Verdict) {
    let mut admissions: FxHashMap<TicketId, Vec<Accepted<'_>>> = FxHashMap::default();
    for op in &evidence.saved.operations {
        match op.op {
            Act::Admit => {
                let Some(scan) = op.request.scan.as_deref() else {
                    continue;
                };
                verdict.count("scans", 1);
                let accepted = op.response.as_ref().and_then(|told| told.admission) == Some(Admitted::Accepted);
                if accepted && !scan.exit && !as_often.contains(&scan.ticket) {
                    let of_ticket = admissions.entry(scan.ticket).or_default();
                    let same = |known: &Scan| (&known.device, known.device_seq) == (&scan.device, scan.device_seq);
                    if !of_ticket.iter().any(|(_, known)| same(known)) {
                        of_ticket.push((op, scan));
                    }
                }
            }
            Act::Merge => check_merged(evidence, op, verdict),
            _ => {}
        }
    }
    verdict.count("tickets admitted", admissions.len() as u64);
    let mut twice: Vec<Vec<Accepted<'_>>> = admissions.into_values().filter(|scans| scans.len() > 1).collect();
    twice.sort_by_key(|scans| scans.first().map(|(op, _)| op.line));
    for scans in twice {
        verdict.add(admitted_again(&scans));
    }
}

/// A merge has no key: its answer is found by where it says that it was decided.
fn check_merged(evidence: &Evidence<'_>, op: &Op, verdict: &mut Verdict) {
    let (Some(told), Some(shard), Some(index)) = (&op.response, op.shard, op.index) else {
        return;
    };
    if !evidence.is_whole(shard) || told.code.is_some() {
        return;
    }
    verdict.count("merges", 1);
    let steps = evidence.shards.get(&shard).map(|shard| shard.steps.as_slice());
    let steps = steps.unwrap_or_default();
    let first = steps.partition_point(|step| step.index < index);
    let here = steps.iter().skip(first).take_while(|step| step.index == index);
    let same =
        |shown: &[ToldScan], logged: &[AdmissionView]| shown.iter().cloned().eq(logged.iter().map(ToldScan::from));
    let mut logged = here.filter_map(|step| match (&step.command.operation, step.effect()) {
        (Operation::MergeScans { .. }, Some(Outcome::Merged { scans, conflicts })) => Some((scans, conflicts)),
        _ => None,
    });
    if !logged.any(|(scans, conflicts)| same(&told.scans, scans) && same(&told.conflicts, conflicts)) {
        let scans = op.request.scans.len();
        let text = format!(
            "{} merged {scans} scans and was told what {shard}:{index} does not say",
            op.client
        );
        verdict.add(Finding::new(text).line(op.line).entry(shard, index));
    }
}

fn admitted_again(scans: &[Accepted<'_>]) -> Finding {
    let places: Vec<String> = scans
        .iter()
        .map(|(_, scan)| format!("gate {} by {} as {}", scan.gate, scan.device, scan.device_seq))
        .collect();
    let ticket = scans.first().map(|(_, scan)| scan.ticket.to_string());
    let finding = Finding::new(format!(
        "ticket {} was admitted {} times: at {}",
        ticket.unwrap_or_default(),
        scans.len(),
        places.join(", ")
    ));
    scans.iter().fold(finding, |finding, (op, _)| finding.line(op.line))
}
