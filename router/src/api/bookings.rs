//! Bookings: hold, look, extend, confirm, release, cancel. Each POST is one command under the caller's key.

use axum::body::Bytes;
use axum::response::Response;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use rotunda_booking::command::{Channel, Command, HoldRequest, LineRequest, Operation, Role};
use rotunda_booking::ids::{BookingId, SlotRef};
use rotunda_booking::outcome::{Outcome, RefusalCode};
use rotunda_booking::query::{Answer, Query};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body;
use super::booking_json;
use super::call::{COMMIT, Call, Segments, commit, written};
use super::error::{Code, Issue, Problem, ProblemBody};
use super::views::{Booking, ChannelName, channel_label};
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
        actor: None,
        operation: Operation::Hold(HoldRequest {
            secret: call.door.draw.draw(),
            channel,
            lines,
        }),
    };
    let (mut response, id) = submit(&call, &command, StatusCode::CREATED, "/v1/bookings").await?;
    let mut location = String::with_capacity("/v1/bookings/0000040000002R8J6HB6F25E4VT9Y".len());
    location.push_str("/v1/bookings/");
    id.push_text(&mut location);
    if let Ok(location) = HeaderValue::try_from(location) {
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
            let mut response = written(StatusCode::OK, booking_json::write(&view));
            let headers = response.headers_mut();
            headers.insert(COMMIT, commit(answered.shard, answered.index));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        }
        _ => Err(Problem::new(Code::UnknownBooking, "There is no booking with this id.")
            .issue("{booking}", "no such booking")),
    }
}

/// A route that does one thing to one booking.
macro_rules! change {
    ($(#[$doc:meta])* $name:ident $path:literal $make:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = "bookings", request_body(content = Option<Nothing>),
            params(
                ("booking" = String, Path, description = "Id that the hold was answered with"),
                ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
            ),
            responses(
                (status = 200, body = Booking),
                (status = "default", body = ProblemBody, content_type = "application/problem+json"),
            ),
        )]
        pub(crate) async fn $name(
            call: Call,
            Segments(booking): Segments<String>,
            bytes: Bytes,
        ) -> Result<Response, Problem> {
            change(&call, &booking, &bytes, stringify!($name), $make).await
        }
    };
}

change! {
    /// Start the hold's time again.
    extend "/v1/bookings/{booking}/extend" |booking, _| Operation::Extend { booking }
}

change! {
    /// Sell what is held.
    ///
    /// The answer has a ticket for each person. A hold can be confirmed until its expiry is in the log.
    confirm "/v1/bookings/{booking}/confirm" |booking, nonce| Operation::Confirm { booking, nonce, payment: None }
}

change! {
    /// Give a hold back.
    release "/v1/bookings/{booking}/release" |booking, _| Operation::Release { booking }
}

change! {
    /// Cancel a confirmed booking.
    cancel "/v1/bookings/{booking}/cancel" |booking, _| Operation::Cancel { booking, lines: Vec::new() }
}

/// One operation on one booking.
async fn change(
    call: &Call,
    booking: &str,
    bytes: &[u8],
    operation: &'static str,
    make: impl FnOnce(BookingId, u64) -> Operation,
) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let Nothing {} = body::read_optional(&call.headers, bytes)?;
    let (id, venue) = call.booking(booking)?;
    let canonical = id.to_string();
    let mut fingerprint = Fingerprint::of(operation);
    fingerprint.text(&canonical);
    let command = Command {
        key: Some(key.command(&call.caller, operation, venue.number)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        actor: None,
        operation: make(id, call.door.draw.draw()),
    };
    let instance = format!("/v1/bookings/{canonical}/{operation}");
    submit(call, &command, StatusCode::OK, &instance)
        .await
        .map(|(response, _)| response)
}

/// Has the command applied and renders the booking that came of it.
async fn submit(
    call: &Call,
    command: &Command,
    success: StatusCode,
    instance: &str,
) -> Result<(Response, BookingId), Problem> {
    let place = |code, line| format!("/lines/{line}{}", part_of_line(code));
    let decided = call.decide(command, instance, place).await?;
    let Outcome::Booking(view) = &decided.outcome else {
        return Err(decided.misfit());
    };
    if matches!(command.operation, Operation::Confirm { .. }) && !decided.replayed {
        let tickets = view.tickets.len() as u64;
        call.door
            .metrics
            .tickets_issued(&view.venue, channel_label(view.channel), tickets);
    }
    let mut response = decided.answer(written(success, booking_json::write(view)));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((response, view.id))
}

/// Which part of a line a refusal is about.
fn part_of_line(code: RefusalCode) -> &'static str {
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
                claim: None,
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
fn may_sell(call: &Call, channel: Channel) -> Result<(), Problem> {
    let role = call.caller.role();
    let is_staff = matches!(role, Role::Counter | Role::Manager | Role::Operator);
    let may = match channel {
        Channel::Web | Channel::Kiosk => true,
        Channel::Counter | Channel::Phone => is_staff,
        Channel::Reseller => is_staff || role == Role::Reseller,
    };
    if may {
        return Ok(());
    }
    let channel = channel_label(channel);
    if call.caller.has_token() {
        let detail = format!(
            "A token of the role {} does not sell through `{channel}`.",
            role.as_str()
        );
        return Err(Problem::new(Code::ChannelNotForRole, detail).issue("/channel", "not for this role"));
    }
    Err(Problem::new(
        Code::ChannelNeedsToken,
        format!("Only the holder of a token sells through `{channel}`."),
    )
    .issue("/channel", "needs a token"))
}
