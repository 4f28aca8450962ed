//! Bookings: hold, look, extend, confirm, release, cancel. Each POST is one command under the caller's key.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use rotunda_booking::command::{Channel, Command, HoldRequest, LineRequest, Operation};
use rotunda_booking::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use rotunda_booking::outcome::{BookingView, Outcome, RefusalCode};
use rotunda_booking::query::{Answer, Query};
use serde::Deserialize;
use utoipa::ToSchema;

use super::call::{COMMIT, Call, Segments, commit, json};
use super::error::{Code, Issue, Problem, ProblemBody};
use super::views::{Booking, ChannelName, channel_label};
use super::{body, call};
use crate::idempotency::{Fingerprint, Key};

/// What to take.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    /// Venue id.
    #[schema(example = "lisbon-tides")]
    venue: String,
    /// At least one.
    #[schema(min_items = 1)]
    lines: Vec<HoldLine>,
    /// Who sells.
    #[serde(default)]
    channel: ChannelName,
}

/// So many of one unit in one slot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldLine {
    /// A slot's id, from availability.
    #[schema(example = "general@2027-01-15T10:00+00:00")]
    slot: String,
    /// A unit's id, from the venue's products.
    #[schema(example = "adult")]
    unit: String,
    /// How many.
    #[schema(minimum = 1)]
    quantity: u32,
}

/// Nothing: the operation is in the path.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Take places for a while.
///
/// Takes from every pool of every slot, or from none. The answer says until when the places are yours; confirm before
/// then. `errors` of a refusal say which lines and what is left.
#[utoipa::path(
    post, path = "/v1/bookings", tag = "bookings", request_body = Hold,
    params(("Idempotency-Key" = String, Header, description = "A new UUID for each hold, the same one for its retries")),
    responses(
        (status = 201, body = Booking, description = "Held until `expires_at`", headers(
            ("Location" = String, description = "Path of the booking"),
            ("Rotunda-Commit" = String, description = "`<shard>:<index>`; send it with a read that must see this"),
            ("Idempotency-Replayed" = String, description = "`true` where this is the stored answer to the same request"),
        )),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn hold(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let hold: Hold = body::read(&call.headers, &bytes)?;
    let venue = call.venue(&hold.venue, "/venue")?;
    let lines = lines(hold.lines)?;
    let channel: Channel = hold.channel.into();
    may_sell(&call, channel)?;

    let mut fingerprint = Fingerprint::of("hold");
    fingerprint.number(channel as u64).number(lines.len() as u64);
    for line in &lines {
        fingerprint
            .text(&line.slot.product)
            .number(line.slot.start.0 as u64)
            .number(line.slot.offset_minutes as u64)
            .text(&line.unit)
            .number(u64::from(line.quantity));
    }
    let command = Command {
        key: Some(key.command(&call.caller, "hold", venue.number)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        operation: Operation::Hold(HoldRequest {
            secret: call.door.draw.draw(),
            channel,
            lines,
        }),
    };
    let mut response = submit(&call, &command, StatusCode::CREATED, "/v1/bookings".to_owned()).await?;
    // The id is in the answer; only a booking that came to be has one.
    if let Some(Created(id)) = response.extensions_mut().remove::<Created>()
        && let Ok(location) = HeaderValue::try_from(format!("/v1/bookings/{id}"))
    {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// See a booking.
#[utoipa::path(
    get, path = "/v1/bookings/{booking}", tag = "bookings",
    params(
        ("booking" = String, Path, description = "Id that the hold was answered with"),
        ("Rotunda-Commit" = Option<String>, Header, description = "The answer shows at least this"),
    ),
    responses(
        (status = 200, body = Booking),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn one(call: Call, Segments(booking): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let (id, venue) = call.booking(&booking)?;
    let answered = call.query(&Query::Booking { booking: id }, venue.shard).await?;
    match answered.answer {
        Answer::Booking(view) => {
            let mut response = json(StatusCode::OK, &Booking::from(&view));
            let headers = response.headers_mut();
            headers.insert(COMMIT, commit(answered.shard, answered.index));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        _ => Err(Problem::new(Code::UnknownBooking, "There is no booking with this id.")
            .issue("{booking}", "no such booking")),
    }
}

/// Start the hold's time again.
#[utoipa::path(
    post, path = "/v1/bookings/{booking}/extend", tag = "bookings", request_body(content = Option<Nothing>),
    params(
        ("booking" = String, Path, description = "Id that the hold was answered with"),
        ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
    ),
    responses(
        (status = 200, body = Booking),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn extend(call: Call, Segments(booking): Segments<String>, bytes: Bytes) -> Result<Response, Problem> {
    change(call, booking, bytes, "extend", |booking, _| Operation::Extend {
        booking,
    })
    .await
}

/// Sell what is held.
///
/// The answer has a ticket for each person. A hold can be confirmed until its expiry is in the log.
#[utoipa::path(
    post, path = "/v1/bookings/{booking}/confirm", tag = "bookings", request_body(content = Option<Nothing>),
    params(
        ("booking" = String, Path, description = "Id that the hold was answered with"),
        ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
    ),
    responses(
        (status = 200, body = Booking),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn confirm(
    call: Call,
    Segments(booking): Segments<String>,
    bytes: Bytes,
) -> Result<Response, Problem> {
    change(call, booking, bytes, "confirm", |booking, nonce| Operation::Confirm {
        booking,
        nonce,
    })
    .await
}

/// Give a hold back.
#[utoipa::path(
    post, path = "/v1/bookings/{booking}/release", tag = "bookings", request_body(content = Option<Nothing>),
    params(
        ("booking" = String, Path, description = "Id that the hold was answered with"),
        ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
    ),
    responses(
        (status = 200, body = Booking),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn release(
    call: Call,
    Segments(booking): Segments<String>,
    bytes: Bytes,
) -> Result<Response, Problem> {
    change(call, booking, bytes, "release", |booking, _| Operation::Release {
        booking,
    })
    .await
}

/// Cancel a confirmed booking.
#[utoipa::path(
    post, path = "/v1/bookings/{booking}/cancel", tag = "bookings", request_body(content = Option<Nothing>),
    params(
        ("booking" = String, Path, description = "Id that the hold was answered with"),
        ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
    ),
    responses(
        (status = 200, body = Booking),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn cancel(call: Call, Segments(booking): Segments<String>, bytes: Bytes) -> Result<Response, Problem> {
    change(call, booking, bytes, "cancel", |booking, _| Operation::Cancel {
        booking,
    })
    .await
}

/// One operation on one booking.
async fn change(
    call: Call,
    booking: String,
    bytes: Bytes,
    operation: &'static str,
    make: impl FnOnce(BookingId, u64) -> Operation,
) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let Nothing {} = body::read_optional(&call.headers, &bytes)?;
    let (id, venue) = call.booking(&booking)?;
    let canonical = id.to_string();
    let mut fingerprint = Fingerprint::of(operation);
    fingerprint.text(&canonical);
    let command = Command {
        key: Some(key.command(&call.caller, operation, venue.number)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        operation: make(id, call.door.draw.draw()),
    };
    submit(
        &call,
        &command,
        StatusCode::OK,
        format!("/v1/bookings/{canonical}/{operation}"),
    )
    .await
}

/// A booking came to be.
#[derive(Clone, Copy)]
struct Created(BookingId);

/// Has the command applied and renders what came of it. `instance` is the path in its one spelling: what is rendered
/// here must come out the same for every replay, so nothing of this very request may get into it.
async fn submit(call: &Call, command: &Command, success: StatusCode, instance: String) -> Result<Response, Problem> {
    let submitted = call.submit(command).await?;
    let reply = submitted.reply;
    let confirmed = matches!(command.operation, Operation::Confirm { .. });
    let mut response = match reply.outcome {
        Outcome::Booking(view) => {
            if confirmed && !reply.replayed {
                call.door
                    .metrics
                    .tickets_issued(&view.venue, channel_label(view.channel), tickets(&view));
            }
            let mut response = json(success, &Booking::from(&view));
            response
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response.extensions_mut().insert(Created(view.id));
            response
        }
        Outcome::Refused(refusal) => {
            let stored = refusal.code != RefusalCode::IdempotencyKeyReused;
            let part = pointer_within(refusal.code);
            let problem = Problem::refused(refusal, |line| format!("/lines/{line}{part}"));
            let problem = if stored {
                problem.of_command(name(command.key, command.venue), instance)
            } else {
                problem
            };
            problem.into_response()
        }
        other => {
            tracing::error!(?other, "a booking command came back with an outcome of another kind");
            return Err(Problem::new(
                Code::Internal,
                "The cluster answered with something else.",
            ));
        }
    };
    let headers = response.headers_mut();
    headers.insert(COMMIT, commit(submitted.shard, reply.index));
    if reply.replayed {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn tickets(view: &BookingView) -> u64 {
    view.tickets.len() as u64
}

/// The trace id of a stored refusal: the command's own name.
fn name(key: Option<CommandKey>, venue: VenueNo) -> String {
    key.map_or_else(|| format!("{:032x}", venue.0), |key| key.to_string())
}

/// Which part of a line a refusal is about.
fn pointer_within(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::SoldOut | RefusalCode::QuantityOutOfRange => "/quantity",
        RefusalCode::UnknownUnit | RefusalCode::NotAccompanied => "/unit",
        RefusalCode::UnknownSlot
        | RefusalCode::UnknownProduct
        | RefusalCode::SlotInPast
        | RefusalCode::SlotClosed
        | RefusalCode::NotOnSale => "/slot",
        _ => "",
    }
}

fn lines(lines: Vec<HoldLine>) -> Result<Vec<LineRequest>, Problem> {
    if lines.is_empty() {
        return Err(
            Problem::new(Code::InvalidBody, "A booking needs at least one line.").issue("/lines", "at least one line")
        );
    }
    let mut issues = Vec::new();
    let mut requests = Vec::with_capacity(lines.len());
    for (n, line) in lines.into_iter().enumerate() {
        match line.slot.parse::<SlotRef>() {
            Ok(slot) => requests.push(LineRequest {
                slot,
                unit: line.unit,
                quantity: line.quantity,
            }),
            Err(error) => issues.push(Issue::new(format!("/lines/{n}/slot"), error.to_string())),
        }
    }
    if issues.is_empty() {
        Ok(requests)
    } else {
        Err(Problem::new(
            Code::InvalidBody,
            "A slot's id looks like `general@2027-01-15T10:00+00:00`.",
        )
        .issues(issues))
    }
}

/// Counter, reseller and telephone sell under rules of their own (the counter may sell a slot that has begun), so whoever
/// sells there must say who it is.
fn may_sell(call: &call::Call, channel: Channel) -> Result<(), Problem> {
    match channel {
        Channel::Web | Channel::Kiosk => Ok(()),
        Channel::Counter | Channel::Reseller | Channel::Phone if call.caller.has_token() => Ok(()),
        Channel::Counter | Channel::Reseller | Channel::Phone => Err(Problem::new(
            Code::ChannelNeedsToken,
            format!("Only the holder of a token sells through `{}`.", channel_label(channel)),
        )
        .issue("/channel", "needs a token")),
    }
}
