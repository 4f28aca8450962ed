//! Rebook: a confirmed booking gets other places of its venue, old for new in one entry.

use axum::body::Bytes;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use rotunda_booking::command::{Command, LineRequest, Operation};
use rotunda_booking::ids::{BookingId, SlotRef};
use rotunda_booking::outcome::{Outcome, RefusalCode, TicketStatus};
use rotunda_booking::query::{Answer, Query};
use rotunda_protocol::shard_map::VenueInfo;
use serde::Deserialize;
use utoipa::ToSchema;

use super::bookings::{HoldLine, lines, note_line, part_of_line};
use super::call::{Call, Segments, written};
use super::error::{Code, Problem, ProblemBody};
use super::views::{Rebooked, channel_label};
use super::{body, booking_json};
use crate::idempotency::{Fingerprint, Key};

/// Where to: exactly one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rebook {
    /// All that the booking has to this slot, the same units. Units that require a claim need `lines`.
    #[schema(example = "general@2027-01-15T11:00+00:00")]
    slot: Option<String>,
    /// These places, whatever the booking has.
    #[schema(min_items = 1)]
    lines: Option<Vec<HoldLine>>,
}

/// Exchange a confirmed booking's places for others of the venue.
///
/// Old places are given back and new ones taken together, or nothing changes. The old tickets are void, the answer has the
/// new ones. Not once a slot of the booking has begun or one of its visitors was admitted.
#[utoipa::path(
    post, path = "/v1/bookings/{booking}/rebook", tag = "bookings", request_body = Rebook,
    params(
        ("booking" = String, Path, description = "Id that the hold was answered with"),
        ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
    ),
    responses(
        (status = 200, body = Rebooked),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn rebook(call: Call, Segments(booking): Segments<String>, bytes: Bytes) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let request: Rebook = body::read(&call.headers, &bytes)?;
    let (id, venue) = call.booking(&booking)?;
    let canonical = id.to_string();
    let mut fingerprint = Fingerprint::of("rebook");
    fingerprint.text(&canonical);
    let (lines, by_slot) = match (request.slot, request.lines) {
        (Some(slot), None) => {
            let slot: SlotRef = slot.parse().map_err(|error| {
                Problem::new(Code::InvalidBody, format!("In `/slot`: {error}.")).issue("/slot", format!("{error}"))
            })?;
            // Of the request and not of the lines that follow from it: a retry finds the booking exchanged already, and
            // is the same request all the same.
            fingerprint.text("slot").text(&slot.to_text());
            (moved(&call, id, &venue, &slot).await?, true)
        }
        (None, Some(wanted)) => {
            let lines = lines(&call, wanted)?;
            fingerprint.text("lines").number(lines.len() as u64);
            lines.iter().for_each(|line| note_line(&mut fingerprint, line));
            (lines, false)
        }
        _ => {
            return Err(Problem::new(Code::InvalidBody, "Send either `slot` or `lines`.")
                .issue("", "exactly one of `slot` and `lines`"));
        }
    };
    let command = Command {
        key: Some(key.command(&call.caller, "rebook", venue.number)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        actor: None,
        operation: Operation::Rebook {
            booking: id,
            nonce: call.door.draw.draw(),
            lines,
        },
    };
    let place = |code, line| match code {
        RefusalCode::AlreadyAdmitted => "{booking}".to_owned(),
        _ if by_slot => "/slot".to_owned(),
        code => format!("/lines/{line}{}", part_of_line(code)),
    };
    let instance = format!("/v1/bookings/{canonical}/rebook");
    let decided = call.decide(&command, &instance, place).await?;
    let Outcome::Rebooked { booking, difference } = &decided.outcome else {
        return Err(decided.misfit());
    };
    if !decided.replayed {
        let tickets = booking.tickets.iter();
        let issued = tickets.filter(|ticket| ticket.status == TicketStatus::Valid).count() as u64;
        let channel = channel_label(booking.channel);
        call.door.metrics.tickets_issued(&booking.venue, channel, issued);
    }
    let mut response = decided.answer(written(
        StatusCode::OK,
        booking_json::write_rebooked(booking, *difference),
    ));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the booking has now, all of it in `slot`.
async fn moved(call: &Call, id: BookingId, venue: &VenueInfo, slot: &SlotRef) -> Result<Vec<LineRequest>, Problem> {
    let answered = call.query(&Query::Booking { booking: id }, venue.shard).await?;
    let Answer::Booking(view) = answered.answer else {
        return Err(Problem::new(Code::UnknownBooking, "There is no booking with this id.")
            .issue("{booking}", "no such booking"));
    };
    let mut moved: Vec<LineRequest> = Vec::with_capacity(view.lines.len());
    for line in view.lines.into_iter().filter(|line| !line.cancelled) {
        match moved.iter_mut().find(|known| known.unit == line.unit) {
            Some(known) => known.quantity = known.quantity.saturating_add(line.quantity),
            None => moved.push(LineRequest {
                slot: slot.clone(),
                unit: line.unit,
                quantity: line.quantity,
                claim: None,
            }),
        }
    }
    Ok(moved)
}
