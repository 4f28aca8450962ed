//! The operator's hand on one slot: its capacity, or whether it is closed.

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use rotunda_booking::command::{Command, Operation, SlotChange};
use rotunda_booking::ids::{CommandKey, SlotRef};
use rotunda_booking::outcome::{Outcome, SlotView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::call::{Call, Segments, json};
use super::error::{Code, Problem, ProblemBody};
use super::views::Slot;
use crate::idempotency::{Fingerprint, Key};

/// What to change: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// New number of places. Below what is sold it stops sales and cancels nobody.
    capacity: Option<u32>,
    /// Close or reopen for sale.
    closed: Option<bool>,
}

/// The slot as it is now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedSlot<'a> {
    #[serde(flatten)]
    slot: Slot<'a>,
    /// Places held.
    held: u32,
    /// Places sold.
    confirmed: u32,
}

/// Change one slot.
#[utoipa::path(
    put, path = "/v1/admin/venues/{venue}/slots/{slot}", tag = "operator", request_body = Change,
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("slot" = String, Path, description = "Slot id; `+` and `:` may stand as they are"),
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed; makes a retry answer as the first time"),
    ),
    responses(
        (status = 200, body = ChangedSlot),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn change(
    call: Call,
    Segments((slug, slot)): Segments<(String, String)>,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let key = Key::of(&call.headers, &call.caller)?;
    let Change { capacity, closed } = body::read(&call.headers, &bytes)?;
    let (change, what, value) = match (capacity, closed) {
        (Some(capacity), None) => (SlotChange::Capacity(capacity), "capacity", u64::from(capacity)),
        (None, Some(closed)) => (SlotChange::Closed(closed), "closed", u64::from(closed)),
        _ => {
            return Err(Problem::new(Code::InvalidBody, "Send either `capacity` or `closed`.")
                .issue("", "exactly one of `capacity` and `closed`"));
        }
    };
    let venue = call.venue(&slug, "{venue}")?;
    let slot: SlotRef = slot.parse().map_err(|error| {
        Problem::new(Code::UnknownSlot, format!("There is no such slot: {error}.")).issue("{slot}", "no such slot")
    })?;
    let canonical = slot.to_string();
    let mut fingerprint = Fingerprint::of("change-slot");
    fingerprint.text(&canonical).text(what).number(value);
    // Without a key of the caller's the router draws one, so that its own retries do not undo a change made meanwhile.
    let key = key.map_or_else(
        || drawn(&call),
        |key| key.command(&call.caller, "change-slot", venue.number),
    );
    let command = Command {
        key: Some(key),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        actor: None,
        operation: Operation::ChangeSlot { slot, change },
    };
    let instance = format!("/v1/admin/venues/{slug}/slots/{canonical}");
    let decided = call.decide(&command, &instance, |_, _| "{slot}".to_owned()).await?;
    let Outcome::SlotChanged(view) = &decided.outcome else {
        return Err(decided.misfit());
    };
    Ok(decided.answer(json(StatusCode::OK, &changed(view))))
}

fn changed(view: &SlotView) -> ChangedSlot<'_> {
    ChangedSlot {
        slot: Slot::new(view, None),
        held: view.held,
        confirmed: view.confirmed,
    }
}

fn drawn(call: &Call) -> CommandKey {
    let number = u128::from(call.door.draw.draw()) << 64 | u128::from(call.door.draw.draw());
    CommandKey(number.to_be_bytes())
}
