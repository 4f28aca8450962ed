//! I3: what was acknowledged is in the log where the acknowledgement said, and the booking is as the acknowledged
//! requests left it, on every replica that was read at the end.
//!
//! A history without final reads is judged by its logs alone. That state hashes agree with them (I11) shows that every
//! replica applied all of it, not that it still has it: the hash is a sum that moves with each write, and a row that a disk
//! lost afterwards does not move it. So the audit of a real cluster reads every booking from every replica.

use std::collections::BTreeMap;

use rotunda_booking::command::Operation;
use rotunda_booking::ids::BookingId;
use rotunda_booking::outcome::BookingStatus;
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::{Evidence, Shard};
use super::verdict::{Finding, Verdict};
use crate::history::lines::{Act, Ended, FinalBooking, Op};

pub(super) struct Durable;

impl Invariant for Durable {
    fn id(&self) -> &'static str {
        "I3"
    }

    fn promise(&self) -> &'static str {
        "what was acknowledged is there, on every replica"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        let mut expected: FxHashMap<BookingId, Expected<'_>> = FxHashMap::default();
        for op in &evidence.saved.operations {
            if op.op.is_read() || op.index.is_none() {
                continue;
            }
            check_in_log(evidence, op, &mut verdict);
            expect(op, &mut expected);
        }
        // A request about a booking whose fate nobody knows leaves open what the booking came to.
        for op in &evidence.saved.operations {
            if let (Ended::Unknown, false, Some(booking)) = (op.outcome, op.op.is_read(), op.request.booking)
                && let Some(expected) = expected.get_mut(&booking)
            {
                expected.open = true;
            }
        }
        verdict.count("acknowledged bookings", expected.len() as u64);
        let mut expected: Vec<_> = expected.into_iter().collect();
        expected.sort_by_key(|(_, expected)| expected.by.line);
        check_logs(evidence, &expected, &mut verdict);
        check_replicas(evidence, &expected, &mut verdict);
        verdict
    }
}

/// What a booking has to be, by the request about it with the highest index.
struct Expected<'a> {
    status: BookingStatus,
    index: u64,
    shard: u64,
    by: &'a Op,
    open: bool,
}

impl Expected<'_> {
    fn allows(&self, found: BookingStatus) -> bool {
        let came_true = match self.status {
            BookingStatus::Held => found == BookingStatus::Expired,
            // Its visitors have come: that is no state of the booking, and shown as one.
            BookingStatus::Confirmed => found == BookingStatus::Redeemed,
            _ => false,
        };
        found == self.status || self.open || came_true
    }
}

fn check_in_log(evidence: &Evidence<'_>, op: &Op, verdict: &mut Verdict) {
    let (Some(shard), Some(index), Some(key)) = (op.shard, op.index, op.command_key()) else {
        return;
    };
    // A key refused as reused stands in the log for another request, at another index.
    if !evidence.is_whole(shard) || op.code() == "idempotency_key_reused" {
        return;
    }
    verdict.count("answers", 1);
    let answered = match op.outcome {
        Ended::Ok => "ok".to_owned(),
        _ => op.code().to_owned(),
    };
    let name = op.key.clone().unwrap_or_else(|| key.to_string());
    let found = |text: String| Finding::new(text).line(op.line).key(Some(key));
    match evidence.first_step(op) {
        None => {
            let what = format!("{} {name} of {}", op.op, op.client);
            let mut finding = found(format!(
                "LOST: {what} was answered {answered} at {shard}:{index} and is not in the log"
            ));
            if let Some(booking) = op.booking() {
                finding = finding.booking(booking);
            }
            verdict.add(finding.entry(shard, index));
        }
        Some((at, step)) if (at, step.index) != (shard, index) => {
            verdict.add(found(format!(
                "{} {name} was answered with commit {shard}:{index}, in the log at {at}:{}",
                op.op, step.index
            )));
        }
        Some(_) => {}
    }
}

fn expect<'a>(op: &'a Op, expected: &mut FxHashMap<BookingId, Expected<'a>>) {
    let status = match (op.op, op.outcome) {
        (Act::Hold | Act::Extend, Ended::Ok) => BookingStatus::Held,
        (Act::Confirm | Act::Rebook, Ended::Ok) => BookingStatus::Confirmed,
        (Act::Release, Ended::Ok) => BookingStatus::Released,
        // Some of its lines, or the last ones: the answer says which.
        (Act::Cancel, Ended::Ok) if !op.request.cancel.is_empty() => {
            let told = op.response.as_ref().and_then(|told| told.status);
            told.unwrap_or(BookingStatus::Cancelled)
        }
        (Act::Cancel, Ended::Ok) => BookingStatus::Cancelled,
        _ => return,
    };
    let told = op.response.as_ref().and_then(|told| told.id);
    let (Some(booking), Some(shard), Some(index)) = (told.or(op.request.booking), op.shard, op.index) else {
        return;
    };
    let new = Expected {
        status,
        index,
        shard,
        by: op,
        open: false,
    };
    match expected.get(&booking) {
        Some(known) if (known.index, known.by.line) > (index, op.line) => {}
        _ => {
            expected.insert(booking, new);
        }
    }
}

fn lost(booking: BookingId, expected: &Expected<'_>, found: Option<BookingStatus>, place: &str) -> Finding {
    let found = found.map_or("not there".to_owned(), |status| format!("{status:?}"));
    let by = &expected.by;
    Finding::new(format!(
        "LOST: booking {booking} was acknowledged as {:?} ({} of {} at {}:{}) and is {found} {place}",
        expected.status, by.op, by.client, expected.shard, expected.index
    ))
    .line(by.line)
    .booking(booking)
}

/// What each booking came to by the log.
fn statuses(shard: &Shard) -> FxHashMap<BookingId, BookingStatus> {
    let mut statuses = FxHashMap::default();
    for step in &shard.steps {
        if let (Operation::Expire { .. }, Some(_)) = (&step.command.operation, step.effect()) {
            statuses.extend(step.expired.iter().map(|id| (*id, BookingStatus::Expired)));
        }
        statuses.extend(step.left().map(|view| (view.id, view.status)));
    }
    statuses
}

fn check_logs(evidence: &Evidence<'_>, expected: &[(BookingId, Expected<'_>)], verdict: &mut Verdict) {
    let statuses: BTreeMap<u64, _> = evidence
        .shards
        .iter()
        .map(|(id, shard)| (*id, statuses(shard)))
        .collect();
    for (booking, expected) in expected {
        if !evidence.is_whole(expected.shard) {
            continue;
        }
        let found = statuses
            .get(&expected.shard)
            .and_then(|shard| shard.get(booking))
            .copied();
        if !found.is_some_and(|found| expected.allows(found)) {
            verdict.add(lost(*booking, expected, found, "by the log"));
        }
    }
}

fn check_replicas(evidence: &Evidence<'_>, expected: &[(BookingId, Expected<'_>)], verdict: &mut Verdict) {
    let mut replicas: BTreeMap<(u64, u32), FxHashMap<BookingId, &FinalBooking>> = BTreeMap::new();
    let mut read_at: BTreeMap<(u64, u32), u64> = BTreeMap::new();
    for slot in &evidence.saved.final_slots {
        // A replica that has slots and no booking has lost them all.
        replicas.entry((slot.shard, slot.node)).or_default();
        read_at.insert((slot.shard, slot.node), slot.index);
    }
    for line in &evidence.saved.final_bookings {
        replicas
            .entry((line.shard, line.node))
            .or_default()
            .insert(line.booking, line);
        read_at.insert((line.shard, line.node), line.index);
    }
    verdict.count("replicas read", replicas.len() as u64);
    for ((shard, node), bookings) in &replicas {
        let at = read_at.get(&(*shard, *node)).copied().unwrap_or(0);
        for (booking, expected) in expected.iter().filter(|(_, expected)| expected.shard == *shard) {
            if expected.index > at {
                let text = format!("node {node} was read at {shard}:{at}, before the last acknowledgement");
                if !verdict.undecided.contains(&text) {
                    verdict.undecided.push(text);
                }
                continue;
            }
            verdict.count("final reads", 1);
            let line = bookings.get(booking);
            let found = line.and_then(|line| line.status);
            if !found.is_some_and(|found| expected.allows(found)) {
                let mut finding = lost(*booking, expected, found, &format!("on node {node} at {shard}:{at}"));
                finding.lines.extend(line.map(|line| line.line));
                verdict.add(finding);
            }
        }
    }
}
