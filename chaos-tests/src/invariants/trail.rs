//! The last events of what a finding is about: steps of logs and requests, in order, each with its line.

use std::fmt::Write as _;

use rotunda_booking::command::Operation;
use rotunda_booking::outcome::Outcome;

use super::evidence::{Evidence, Step};
use super::verdict::{Entity, Finding};
use crate::history::answers::status_name;
use crate::history::lines::Op;

/// So many events are shown of the log, and so many requests.
const SHOWN: usize = 6;

/// Gives each finding its trail.
pub(super) fn attach(evidence: &Evidence<'_>, findings: &mut [Finding]) {
    for finding in findings {
        let steps: Vec<(u64, &Step)> = evidence
            .steps()
            .filter(|(shard, step)| finding.about.iter().any(|entity| step_is_about(*shard, step, entity)))
            .collect();
        // What happened at the place itself, and what led there; the rest of the log is of no help.
        let until = finding
            .entries
            .iter()
            .map(|(_, index)| *index)
            .max()
            .unwrap_or(u64::MAX);
        let before = steps.iter().filter(|(_, step)| step.index <= until).count();
        let skipped = before.saturating_sub(SHOWN);
        let shown = steps.iter().skip(skipped).take(SHOWN.min(before) + 1);
        finding.last_events = shown.map(|(shard, step)| describe_step(*shard, step)).collect();
        let ops: Vec<&Op> = evidence
            .saved
            .operations
            .iter()
            .filter(|op| finding.lines.contains(&op.line) || finding.about.iter().any(|entity| op_is_about(op, entity)))
            .collect();
        let skipped = ops.len().saturating_sub(SHOWN);
        finding
            .last_events
            .extend(ops.iter().skip(skipped).map(|op| describe_op(op)));
    }
}

fn step_is_about(shard: u64, step: &Step, entity: &Entity) -> bool {
    match entity {
        Entity::Booking(id) => step.booking() == Some(*id) || step.expired.contains(id),
        Entity::Key(key) => step.command.key == Some(*key),
        Entity::Slot(venue, slot) => {
            step.command.venue == *venue
                && match (&step.command.operation, &step.reply.outcome) {
                    (_, Outcome::Booking(view)) => view.lines.iter().any(|line| line.slot == *slot),
                    (Operation::Hold(request), _) => request.lines.iter().any(|line| line.slot == *slot),
                    (Operation::ChangeSlot { slot: changed, .. }, _) => changed == slot,
                    _ => !step.expired.is_empty(),
                }
        }
        Entity::Log(of, index) => shard == *of && step.index == *index,
    }
}

fn op_is_about(op: &Op, entity: &Entity) -> bool {
    match entity {
        Entity::Booking(id) => op.booking() == Some(*id),
        Entity::Key(key) => op.command_key() == Some(*key),
        Entity::Slot(..) | Entity::Log(..) => false,
    }
}

/// A step in one line.
fn describe_step(shard: u64, step: &Step) -> String {
    let mut text = format!("log {shard}:{} (line {}): ", step.index, step.line);
    let name = match &step.command.operation {
        Operation::ImportVenue(_) => "import",
        Operation::SetSlots(_) => "plan of slots",
        Operation::ChangeSlot { .. } => "change of a slot",
        Operation::Hold(_) => "hold",
        Operation::Extend { .. } => "extend",
        Operation::Confirm { .. } => "confirm",
        Operation::Release { .. } => "release",
        Operation::Cancel { .. } => "cancel",
        Operation::Expire { .. } => "expire",
        Operation::Rebook { .. } => "rebook",
        Operation::Admit(_) => "admit",
        Operation::MergeScans { .. } => "merge of scans",
        Operation::Annul { .. } => "annul",
        Operation::AddTicketKey { .. } | Operation::RetireTicketKey { .. } => "change of ticket keys",
        Operation::OpenDrawer { .. } | Operation::CloseDrawer { .. } => "cash drawer",
        Operation::Probe(_) => "probe",
    };
    text.push_str(name);
    if let Some(id) = step.booking() {
        let _ = write!(text, " {id}");
    }
    let _ = match &step.reply.outcome {
        Outcome::Booking(view) => {
            let lines = view
                .lines
                .iter()
                .map(|line| format!("{} {} in {}", line.quantity, line.unit, line.slot));
            let lines: Vec<String> = lines.collect();
            write!(text, " -> {}, {}", status_name(view.status), lines.join(", "))
        }
        Outcome::Refused(refusal) => write!(text, " -> refused, {}", refusal.code.as_str()),
        Outcome::Expired { count, .. } => write!(text, " -> {count} expired"),
        other => write!(text, " -> {other:?}"),
    };
    if step.reply.replayed {
        let _ = write!(text, ", replay of {}", step.reply.index);
    }
    text
}

/// A request in one line.
pub(crate) fn describe_op(op: &Op) -> String {
    let mut text = format!("{} (line {}): {}", op.client, op.line, op.op);
    if let Some(id) = op.booking() {
        let _ = write!(text, " {id}");
    }
    let millis = |ns: u64| ns / 1_000_000;
    let _ = write!(
        text,
        " from {} to {} ms -> {}",
        millis(op.invoked_ns),
        millis(op.returned_ns),
        op.outcome
    );
    if !op.code().is_empty() {
        let _ = write!(text, ", {}", op.code());
    }
    if let Some(status) = op.response.as_ref().and_then(|told| told.status) {
        let _ = write!(text, ", {}", status_name(status));
    }
    if let (Some(shard), Some(index)) = (op.shard, op.index) {
        let _ = write!(text, ", at {shard}:{index}");
    }
    if op.replayed {
        text.push_str(", a replay");
    }
    text
}
