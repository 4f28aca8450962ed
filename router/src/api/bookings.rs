//! Bookings: hold, look, extend, confirm, release, cancel. Each POST is one command under the caller's key.

use axum::body::Bytes;
use axum::response::Response;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, StatusCode};
use rotunda_booking::command::{self, Channel, Command, HoldRequest, LineRequest, Operation, Role};
use rotunda_booking::ids::{BookingId, SlotRef, is_slug};
use rotunda_booking::outcome::{Outcome, RefusalCode};
use rotunda_booking::query::{Answer, Query};
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
    /// For a unit that `requires` something of the visitor: a signed claim of it, `RC1:` and so on, as whoever keeps the
    /// members issues it. The router believes the keys of its configuration; a registry of members comes later.
    claim: Option<String>,
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
    let lines = lines(&call, hold.lines)?;
    let channel: Channel = hold.channel.into();
    may_sell(&call, channel)?;
    if let Some(line) = lines.first() {
        let hot_slots = &call.door.hot_slots;
        hot_slots.asked(venue.number.0, &line.slot, 1, || line.slot.to_text());
    }

    let mut fingerprint = Fingerprint::of("hold");
    fingerprint.number(channel as u64).number(lines.len() as u64);
    for line in &lines {
        note_line(&mut fingerprint, line);
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

/// What to cancel: all of the booking where this is left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancel {
    /// Only these lines; they count from 0. What stays must be a booking that could have been made.
    #[schema(example = json!([0, 2]), min_items = 1)]
    lines: Option<Vec<u16>>,
}

/// How it was paid, where that was at a counter.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    /// Needs a token.
    payment: Option<Payment>,
}

/// A payment at a counter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    method: PaymentMethod,
    /// For cash: an open drawer of the venue.
    #[schema(example = "till-1")]
    drawer: Option<String>,
}

/// What a visitor pays with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PaymentMethod {
    /// Into a drawer.
    Cash,
    /// At the counter's terminal.
    Card,
}

/// A route that does one thing to one booking.
macro_rules! change {
    ($(#[$doc:meta])* $name:ident $path:literal $body:ty, $prepare:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = "bookings", request_body(content = Option<$body>),
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
            change(&call, &booking, &bytes, stringify!($name), $prepare).await
        }
    };
}

change! {
    /// Start the hold's time again.
    extend "/v1/bookings/{booking}/extend" Nothing, |_: &Call, Nothing {}, booking, _: &mut Fingerprint| {
        Ok(Operation::Extend { booking })
    }
}

change! {
    /// Sell what is held.
    ///
    /// The answer has a ticket for each person. A hold can be confirmed until its expiry is in the log. A counter says how
    /// it was paid: in cash into an open drawer, or by card.
    confirm "/v1/bookings/{booking}/confirm" Confirm, |call: &Call, confirm: Confirm, booking, fingerprint| {
        let payment = confirm.payment.map(|payment| paid(call, payment, fingerprint)).transpose()?;
        Ok(Operation::Confirm { booking, nonce: call.door.draw.draw(), payment })
    }
}

change! {
    /// Give a hold back.
    release "/v1/bookings/{booking}/release" Nothing, |_: &Call, Nothing {}, booking, _: &mut Fingerprint| {
        Ok(Operation::Release { booking })
    }
}

change! {
    /// Cancel a confirmed booking, or some of its lines.
    ///
    /// Places are given back, tickets void and the sale reversed together. A cancelled line stays in the booking, as
    /// `cancelled`, so lines keep their numbers.
    cancel "/v1/bookings/{booking}/cancel" Cancel, |_: &Call, cancel: Cancel, booking, fingerprint| {
        let lines = cancel.lines.map(|lines| named(lines, fingerprint)).transpose()?;
        Ok(Operation::Cancel { booking, lines: lines.unwrap_or_default() })
    }
}

/// One operation on one booking.
async fn change<B: DeserializeOwned + Default>(
    call: &Call,
    booking: &str,
    bytes: &[u8],
    operation: &'static str,
    prepare: impl FnOnce(&Call, B, BookingId, &mut Fingerprint) -> Result<Operation, Problem>,
) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let body = body::read_optional(&call.headers, bytes)?;
    let (id, venue) = call.booking(booking)?;
    let canonical = id.to_string();
    let mut fingerprint = Fingerprint::of(operation);
    fingerprint.text(&canonical);
    let prepared = prepare(call, body, id, &mut fingerprint)?;
    let command = Command {
        key: Some(key.command(&call.caller, operation, venue.number)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        actor: None,
        operation: prepared,
    };
    let instance = format!("/v1/bookings/{canonical}/{operation}");
    submit(call, &command, StatusCode::OK, &instance)
        .await
        .map(|(response, _)| response)
}

/// A payment as the rules know it.
fn paid(call: &Call, payment: Payment, fingerprint: &mut Fingerprint) -> Result<command::Payment, Problem> {
    let wrong = |detail: &'static str| {
        Problem::new(Code::InvalidBody, format!("In `/payment/drawer`: {detail}.")).issue("/payment/drawer", detail)
    };
    let payment = match (payment.method, payment.drawer) {
        (PaymentMethod::Card, None) => command::Payment::Card,
        (PaymentMethod::Card, Some(_)) => return Err(wrong("no drawer takes a card; leave it out")),
        (PaymentMethod::Cash, Some(drawer)) if is_slug(&drawer) => command::Payment::Cash { drawer },
        (PaymentMethod::Cash, Some(_)) => return Err(wrong("a drawer's id has 1 to 40 of a-z, 0-9 and -")),
        (PaymentMethod::Cash, None) => return Err(wrong("name the drawer that the cash goes into")),
    };
    if !is_staff(call.caller.role()) {
        let code = if call.caller.has_token() {
            Code::ChannelNotForRole
        } else {
            Code::ChannelNeedsToken
        };
        return Err(
            Problem::new(code, "Only a counter, a manager or an operator takes money.")
                .issue("/payment", "needs a token of such a role"),
        );
    }
    match &payment {
        command::Payment::Card => fingerprint.text("card"),
        command::Payment::Cash { drawer } => fingerprint.text("cash").text(drawer),
    };
    Ok(payment)
}

/// Most lines that a cancellation names; no booking has as many.
const MAX_NAMED_LINES: usize = 1_000;

fn named(lines: Vec<u16>, fingerprint: &mut Fingerprint) -> Result<Vec<u16>, Problem> {
    let wrong = |detail: &'static str| {
        Problem::new(Code::InvalidBody, format!("In `/lines`: {detail}.")).issue("/lines", detail)
    };
    if lines.is_empty() {
        return Err(wrong(
            "name at least one line, or leave `lines` out to cancel all of them",
        ));
    }
    if lines.len() > MAX_NAMED_LINES {
        return Err(wrong("more lines than any booking has"));
    }
    for (n, line) in lines.iter().enumerate() {
        if lines[..n].contains(line) {
            let detail = "the line is named twice";
            return Err(Problem::new(Code::InvalidBody, format!("In `/lines/{n}`: {detail}."))
                .issue(format!("/lines/{n}"), detail));
        }
        fingerprint.number(u64::from(*line));
    }
    Ok(lines)
}

/// Has the command applied and renders the booking that came of it.
async fn submit(
    call: &Call,
    command: &Command,
    success: StatusCode,
    instance: &str,
) -> Result<(Response, BookingId), Problem> {
    let place = |code, line| match &command.operation {
        // Refused are lines of the booking; the request may name them.
        Operation::Cancel { lines, .. } => match lines.iter().position(|named| *named == line) {
            Some(at) => format!("/lines/{at}"),
            None => "{booking}".to_owned(),
        },
        _ => format!("/lines/{line}{}", part_of_line(code)),
    };
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
pub(super) fn part_of_line(code: RefusalCode) -> &'static str {
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

/// Takes a line into the fingerprint; what a claim says, for the claim itself may be renewed between two attempts.
pub(super) fn note_line(fingerprint: &mut Fingerprint, line: &LineRequest) {
    fingerprint
        .text(&line.slot.product)
        .number(line.slot.start.0 as u64)
        .number(line.slot.offset_minutes as u64)
        .text(&line.unit)
        .number(u64::from(line.quantity));
    if let Some(claim) = &line.claim {
        fingerprint.text("claim").text(claim);
    }
}

/// The lines of a request as the rules know them, their claims verified.
pub(super) fn lines(call: &Call, lines: Vec<HoldLine>) -> Result<Vec<LineRequest>, Problem> {
    if lines.is_empty() {
        return Err(
            Problem::new(Code::InvalidBody, "A booking needs at least one line.").issue("/lines", "at least one line")
        );
    }
    let mut issues = Vec::new();
    let mut unproven = Vec::new();
    let mut requests = Vec::with_capacity(lines.len());
    for (n, line) in lines.into_iter().enumerate() {
        let claim = line
            .claim
            .map(|claim| call.door.claim_keys.verified(&claim))
            .transpose();
        match (line.slot.parse::<SlotRef>(), claim) {
            (Ok(slot), Ok(claim)) => requests.push(LineRequest {
                slot,
                unit: line.unit,
                quantity: line.quantity,
                claim,
            }),
            (Err(error), _) => issues.push(Issue::new(format!("/lines/{n}/slot"), error.to_string())),
            (Ok(_), Err(error)) => unproven.push(Issue::new(format!("/lines/{n}/claim"), error.to_string())),
        }
    }
    if issues.is_empty() && !unproven.is_empty() {
        return Err(Problem::new(Code::InvalidClaim, "A claim of the booking proves nothing.").issues(unproven));
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
    let may = match channel {
        Channel::Web | Channel::Kiosk => true,
        Channel::Counter | Channel::Phone => is_staff(role),
        Channel::Reseller => is_staff(role) || role == Role::Reseller,
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

/// Those who sit at a counter, and those who run it.
fn is_staff(role: Role) -> bool {
    matches!(role, Role::Counter | Role::Manager | Role::Operator)
}
