//! What each command does, one file each. Here is only the way to them, and the way of answers into records and back.

pub(crate) mod admit;
mod cancel;
mod change_slot;
mod confirm;
pub(crate) mod drawers;
mod expire;
mod extend;
mod hold;
mod import_venue;
mod probe;
mod rebook;
mod release;
mod set_slots;
pub(crate) mod ticket_keys;
pub(crate) mod tickets;
mod tours;

use self::hold::MAX_PERSONS;
use crate::audit_log;
use crate::codec::{self, OUTCOME_BOOKING, RepliesBuilder};
use crate::command::{Command, Operation};
use crate::ids::{BookingId, CommandKey, VenueNo};
use crate::inventory::{Halt, Transaction};
use crate::keys::Key;
use crate::mutant::mutant;
use crate::outcome::{BookingStatus, Outcome, Refusal, RefusalCode, Reply};
use crate::rows::RowsError;
use crate::state::{Booking, Operated, Record, RecordId, damaged};
use crate::views;

/// What a command came to.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, on the stack")]
pub(crate) enum Done {
    /// It made this booking. Its record is what it is answered from, now and whenever it is asked for again.
    Held(RecordId),
    /// Anything else, with its answer.
    Answered(Reply),
}

/// Applies a command and answers it.
pub(crate) fn answer(transaction: &mut Transaction<'_>, command: &Command) -> Result<Reply, RowsError> {
    match execute(transaction, command)? {
        Done::Held(id) => Ok(Reply {
            replayed: false,
            ..as_first_answered(transaction, id)?
        }),
        Done::Answered(reply) => Ok(reply),
    }
}

/// Applies a command and writes its answer, as [`answer`] gives it, for whom it is sent to.
pub(crate) fn answer_encoded(
    transaction: &mut Transaction<'_>,
    command: &Command,
    replies: &mut RepliesBuilder,
) -> Result<(), RowsError> {
    match execute(transaction, command)? {
        Done::Held(id) => {
            let catalogue = transaction.catalogue(id.venue)?.ok_or_else(|| without_catalogue(id))?;
            let index = transaction.index;
            match transaction.record_at_hand(id) {
                Some(Record::Booking(booking)) => replies.add(|writer| {
                    writer.put(&index);
                    writer.put(&false);
                    writer.put(&OUTCOME_BOOKING);
                    views::write(writer, &catalogue.row, id, booking);
                    Ok(())
                }),
                _ => Err(lost(id)),
            }
        }
        Done::Answered(reply) => replies.add(|writer| {
            writer.put(&reply);
            Ok(())
        }),
    }
}

/// Applies a command, unless its record says that it was applied before, and keeps its answer.
pub(crate) fn execute(transaction: &mut Transaction<'_>, command: &Command) -> Result<Done, RowsError> {
    if let Some(key) = command.key
        && let Some(reply) = replay(transaction, command, key)?
    {
        return Ok(Done::Answered(reply));
    }
    let outcome = match dispatch(transaction, command) {
        // Its record is there, and its key is noted.
        Ok(Step::Held(id)) => {
            audit_log::held(transaction, command, id)?;
            return Ok(Done::Held(id));
        }
        Ok(Step::Outcome(outcome)) => outcome,
        Err(Halt::Refused(refusal)) => Outcome::Refused(refusal),
        Err(Halt::Broken(error)) => return Err(error),
    };
    audit_log::decided(transaction, command, &outcome)?;
    let reply = Reply {
        index: transaction.index,
        replayed: false,
        outcome,
    };
    remember(transaction, command, &reply);
    Ok(Done::Answered(reply))
}

/// What the rules of a command came to.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, on the stack")]
enum Step {
    Held(RecordId),
    Outcome(Outcome),
}

fn dispatch(transaction: &mut Transaction<'_>, command: &Command) -> Result<Step, Halt> {
    let venue = command.venue;
    let outcome = match &command.operation {
        Operation::ImportVenue(definition) => import_venue::import_venue(transaction, venue, definition),
        Operation::SetSlots(plan) => set_slots::set_slots(transaction, venue, plan),
        Operation::ChangeSlot { slot, change } => change_slot::change_slot(transaction, venue, slot, *change),
        Operation::Hold(request) => return hold::hold(transaction, command, request).map(Step::Held),
        Operation::Extend { booking } => extend::extend(transaction, venue, *booking),
        Operation::Confirm {
            booking,
            nonce,
            payment,
        } => confirm::confirm(transaction, venue, *booking, *nonce, payment.as_ref()),
        Operation::Release { booking } => release::release(transaction, venue, *booking),
        Operation::Cancel { booking, lines } => cancel::cancel(transaction, venue, *booking, lines),
        Operation::Expire { limit } => expire::expire(transaction, venue, *limit),
        Operation::Rebook { booking, nonce, lines } => rebook::rebook(transaction, venue, *booking, *nonce, lines),
        Operation::Admit(admit) => admit::admit(transaction, venue, admit),
        Operation::MergeScans { scans } => admit::merge(transaction, venue, scans),
        Operation::Annul { device, device_seq } => admit::annul(transaction, venue, device, *device_seq),
        Operation::AddTicketKey { seed, first_only } => ticket_keys::add(transaction, venue, seed, *first_only),
        Operation::RetireTicketKey { key } => ticket_keys::retire(transaction, venue, *key),
        Operation::OpenDrawer { drawer, float } => drawers::open(transaction, venue, drawer, *float),
        Operation::CloseDrawer { drawer, counted } => drawers::close(transaction, venue, drawer, *counted),
        Operation::Probe(probe) => probe::probe(transaction, *probe),
    };
    outcome.map(Step::Outcome)
}

/// The answer to a command whose key was seen before: the stored one, or a refusal where the body is another.
fn replay(transaction: &mut Transaction<'_>, command: &Command, key: CommandKey) -> Result<Option<Reply>, RowsError> {
    let venue = command.venue;
    let found = transaction.keys().find(transaction.rows(), venue, key)?;
    let Some(seq) = found else { return Ok(None) };
    let id = RecordId { venue, seq };
    let index = transaction.index;
    let record = transaction.record(id)?.ok_or_else(|| lost(id))?;
    let fingerprint = match record {
        Record::Booking(booking) => booking.fingerprint,
        Record::Operated(operated) => operated.fingerprint,
    };
    if fingerprint != command.fingerprint && !mutant!(OtherBodySameKey) {
        let refusal = Refusal::new(
            RefusalCode::IdempotencyKeyReused,
            "this idempotency key was used with another request; draw a new key for a new request",
        );
        return Ok(Some(Reply {
            index,
            replayed: false,
            outcome: Outcome::Refused(refusal),
        }));
    }
    as_first_answered(transaction, id).map(Some)
}

/// The answer that a record keeps, as a replay.
fn as_first_answered(transaction: &mut Transaction<'_>, id: RecordId) -> Result<Reply, RowsError> {
    let catalogue = transaction.catalogue(id.venue)?;
    match transaction.record(id)?.ok_or_else(|| lost(id))? {
        Record::Booking(booking) => {
            let catalogue = catalogue.ok_or_else(|| without_catalogue(id))?;
            let index = booking.index;
            let view = if mutant!(ReplayShowsNow) || booking.is_as_first_held() {
                views::booking(&catalogue.row, id, booking)
            } else {
                views::booking(&catalogue.row, id, &booking.as_first_held())
            };
            Ok(Reply {
                index,
                replayed: true,
                outcome: Outcome::Booking(view),
            })
        }
        Record::Operated(operated) => {
            let reply = codec::decode_reply(&operated.reply);
            let reply = reply.map_err(|error| damaged(&Key::record(id), error.to_string()))?;
            Ok(Reply {
                replayed: true,
                ..reply
            })
        }
    }
}

fn without_catalogue(id: RecordId) -> RowsError {
    damaged(&Key::record(id), "a booking at a venue without a catalogue".to_owned())
}

fn lost(id: RecordId) -> RowsError {
    damaged(
        &Key::record(id),
        "a key points to a record that is not there".to_owned(),
    )
}

/// Keeps the answer to a command with a key.
fn remember(transaction: &mut Transaction<'_>, command: &Command, reply: &Reply) {
    let Some(key) = command.key else { return };
    if mutant!(RefusalForgotten) && matches!(reply.outcome, Outcome::Refused(_)) {
        return;
    }
    let id = transaction.next_record(command.venue);
    let reply = codec::encode_reply(reply).into();
    transaction.insert_record(
        id,
        Record::Operated(Operated {
            key,
            fingerprint: command.fingerprint,
            reply,
        }),
    );
    note_key(transaction, id, key);
}

/// Makes `key` stand for the record.
fn note_key(transaction: &mut Transaction<'_>, id: RecordId, key: CommandKey) {
    transaction.keys_mut().remember(id.venue, key, id.seq);
    transaction.counters_mut(id.venue).window_keys += 1;
}

/// The booking that `id` names. A wrong secret is as good as a wrong number.
fn find_booking(transaction: &mut Transaction<'_>, venue: VenueNo, id: BookingId) -> Result<(RecordId, Booking), Halt> {
    let unknown = || Refusal::new(RefusalCode::UnknownBooking, "there is no such booking; check its id");
    if id.venue != venue {
        return Err(unknown().into());
    }
    let record_id = RecordId { venue, seq: id.seq };
    match transaction.record(record_id)? {
        Some(Record::Booking(booking)) if booking.secret == id.secret => Ok((record_id, booking.clone())),
        _ => Err(unknown().into()),
    }
}

/// The refusal of something that only a held booking allows.
fn must_be_held(status: BookingStatus) -> Result<(), Refusal> {
    let (code, detail) = match status {
        BookingStatus::Held => return Ok(()),
        BookingStatus::Confirmed => (
            RefusalCode::AlreadyConfirmed,
            "the booking is confirmed already; cancel it to give the places back",
        ),
        BookingStatus::Expired => (
            RefusalCode::HoldExpired,
            "the hold has run out and its places are free; hold anew",
        ),
        BookingStatus::Released => (RefusalCode::AlreadyReleased, "the hold was released; hold anew"),
        BookingStatus::Cancelled => (RefusalCode::AlreadyCancelled, "the booking was cancelled; hold anew"),
        BookingStatus::Redeemed => (RefusalCode::AlreadyAdmitted, "the visitors have been there"),
    };
    Err(Refusal::new(code, detail))
}

/// Stores a changed booking and shows it.
fn store_booking(transaction: &mut Transaction<'_>, id: RecordId, booking: Booking) -> Result<Outcome, Halt> {
    let catalogue = transaction.known_catalogue(id.venue)?;
    let view = views::booking(&catalogue.row, id, &booking);
    transaction.set_booking(id, booking)?;
    Ok(Outcome::Booking(view))
}
