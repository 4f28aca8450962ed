//! A venue's audit log: what the staff did, who, when, from where, and whether it was refused.
//!
//! `commands` writes a line in the entry that decides about the command, where the command names its actor; the door says
//! who is named. A command that was decided before is answered from its record and leaves no second line. A command
//! without a key leaves one where it is an import that changed something, or takes back a scan or a key.
//!
//! A booking stands here by its reference, never by its id: whoever reads the log must not be able to change bookings.

use crate::codec::wire::wire_struct;
use crate::command::{Actor, Command, Operation, SlotChange};
use crate::ids::{BookingId, TicketId};
use crate::inventory::Transaction;
use crate::keys::Key;
use crate::outcome::{Outcome, RefusalCode};
use crate::reference::Reference;
use crate::rows::RowsError;
use crate::state::RecordId;
use crate::time::Timestamp;

/// Bytes of [`AuditLine::about`] at most; the rest is cut off. Slots, drawers and devices are named by callers.
pub const MAX_ABOUT: usize = 160;

/// Lines in one answer at most.
pub const MAX_AUDIT_LINES: u32 = 1_000;

/// What one of the staff did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Counts from 1 within the venue, without gaps.
    pub number: u64,
    /// Index of the entry that decided.
    pub index: u64,
    /// Its log time.
    pub at: Timestamp,
    /// Who, and from where.
    pub actor: Actor,
    /// What: `change_slot`.
    pub operation: String,
    /// To what: a booking's reference, a slot and its change, a key, a drawer.
    pub about: String,
    /// Why it was refused, if it was.
    pub refused: Option<RefusalCode>,
}

wire_struct!(AuditLine {
    number,
    index,
    at,
    actor,
    operation,
    about,
    refused
});

/// Notes a command that made a booking.
pub(crate) fn held(transaction: &mut Transaction<'_>, command: &Command, id: RecordId) -> Result<(), RowsError> {
    let Some(actor) = &command.actor else { return Ok(()) };
    let about = reference(&slug(transaction, command)?, id.seq);
    append(transaction, command, actor, about, None);
    Ok(())
}

/// Notes a command and what came of it.
pub(crate) fn decided(
    transaction: &mut Transaction<'_>,
    command: &Command,
    outcome: &Outcome,
) -> Result<(), RowsError> {
    let Some(actor) = &command.actor else { return Ok(()) };
    // What the staff do to a scan or a key has no key of its own either, and must not go unrecorded: repeated, it is told again.
    let is_recorded = command.key.is_some()
        || matches!(outcome, Outcome::Imported { changed: true, .. })
        || matches!(
            command.operation,
            Operation::Annul { .. } | Operation::RetireTicketKey { .. }
        );
    if !is_recorded {
        return Ok(());
    }
    let about = about(&slug(transaction, command)?, &command.operation, outcome);
    let refused = match outcome {
        Outcome::Refused(refusal) => Some(refusal.code),
        _ => None,
    };
    append(transaction, command, actor, about, refused);
    Ok(())
}

fn append(
    transaction: &mut Transaction<'_>,
    command: &Command,
    actor: &Actor,
    mut about: String,
    refused: Option<RefusalCode>,
) {
    let end = (0..=MAX_ABOUT.min(about.len()))
        .rev()
        .find(|end| about.is_char_boundary(*end));
    about.truncate(end.unwrap_or(0));
    let counters = transaction.counters_mut(command.venue);
    let number = counters.next_audit;
    counters.next_audit += 1;
    let line = AuditLine {
        number,
        index: transaction.index,
        at: transaction.now,
        actor: actor.clone(),
        operation: command.operation.name().to_owned(),
        about,
        refused,
    };
    transaction.append(Key::audit(command.venue, number), &line);
}

fn slug(transaction: &mut Transaction<'_>, command: &Command) -> Result<String, RowsError> {
    let catalogue = transaction.catalogue(command.venue)?;
    Ok(catalogue.map_or_else(String::new, |catalogue| catalogue.row.slug.clone()))
}

fn reference(slug: &str, seq: u64) -> String {
    Reference::new(slug, seq).to_owned()
}

fn about(slug: &str, operation: &Operation, outcome: &Outcome) -> String {
    let booking = |id: &BookingId| reference(slug, id.seq);
    let ticket = |id: &TicketId| format!("{}#{}", reference(slug, id.seq), id.number);
    match operation {
        Operation::ImportVenue(definition) => definition.slug.clone(),
        Operation::SetSlots(plan) => format!("{} {}", plan.product, plan.day),
        Operation::ChangeSlot { slot, change } => match change {
            SlotChange::Capacity(capacity) => format!("{slot} capacity {capacity}"),
            SlotChange::Closed(true) => format!("{slot} closed"),
            SlotChange::Closed(false) => format!("{slot} open"),
        },
        Operation::Hold(request) => match request.lines.as_slice() {
            [] => String::new(),
            [line] => line.slot.to_text(),
            [line, more @ ..] => format!("{} and {} more", line.slot, more.len()),
        },
        Operation::Extend { booking: id }
        | Operation::Confirm { booking: id, .. }
        | Operation::Release { booking: id }
        | Operation::Rebook { booking: id, .. } => booking(id),
        Operation::Cancel { booking: id, lines } if lines.is_empty() => booking(id),
        Operation::Cancel { booking: id, lines } => format!("{} lines {lines:?}", booking(id)),
        Operation::Expire { .. } | Operation::Probe(_) => String::new(),
        Operation::Admit(admit) => ticket(&admit.ticket),
        Operation::MergeScans { scans } => format!("{} scans", scans.len()),
        Operation::Annul { device, device_seq } => format!("{device}/{device_seq}"),
        Operation::AddTicketKey { .. } => match outcome {
            Outcome::TicketKeys(keys) => keys.last().map_or_else(String::new, |key| format!("key {}", key.key)),
            _ => String::new(),
        },
        Operation::RetireTicketKey { key } => format!("key {key}"),
        Operation::OpenDrawer { drawer, float } => format!("{drawer} float {float}"),
        Operation::CloseDrawer { drawer, counted } => format!("{drawer} counted {counted}"),
    }
}
