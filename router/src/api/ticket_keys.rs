//! The keys that a venue's tickets are signed with: public for whoever checks tickets, changed by an admin.

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::outcome::Outcome;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::ticket_key::TicketKeyView;
use rotunda_protocol::shard_map::VenueInfo;
use serde::Serialize;
use utoipa::ToSchema;

use super::body;
use super::bookings::Nothing;
use super::call::{COMMIT, Call, Segments, commit, hex, json, tagged, unknown_venue};
use super::error::{Code, Problem, ProblemBody};
use super::views::AsOf;
use crate::idempotency::{Fingerprint, Key};

/// The keys of a venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketKeys<'a> {
    /// Venue id.
    #[schema(example = "lisbon-tides")]
    venue: &'a str,
    /// Oldest first; the newest signs.
    keys: Vec<TicketKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<AsOf>,
}

/// A key's public half.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketKey {
    /// Counts from 1 within the venue; stands in each ticket's QR code.
    key: u16,
    #[schema(example = "ed25519")]
    algorithm: &'static str,
    /// 32 bytes in hexadecimal.
    public: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// From then on a gate without a network takes no ticket that this key signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    retired_at: Option<String>,
}

/// The keys that a venue's tickets are signed with.
///
/// A QR code's text is `RT1:` and Crockford base 32 of key (2 bytes), ticket id (20), first and last minute of the window
/// since 1970 (4 and 4), serial (6), signature (64), all big-endian. The signature (Ed25519) is over the text
/// `rotunda ticket 1`, a zero byte, and all that stands before it.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/ticket-keys", tag = "tickets",
    params(("venue" = String, Path, description = "Venue id")),
    responses(
        (status = 200, body = TicketKeys),
        (status = 304, description = "The caller has it"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let venue = call.venue(&slug, "{venue}")?;
    let query = Query::TicketKeys { venue: venue.number };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::TicketKeys(keys) = answered.answer else {
        return Err(unknown_venue(&slug, "{venue}"));
    };
    let mut tag = Fingerprint::of("ticket-keys");
    for key in &keys {
        let retired = key.retired_at.map_or(0, |at| at.0 as u64);
        tag.number(u64::from(key.key)).text(&hex(&key.public)).number(retired);
    }
    let (shard, index) = (answered.shard, answered.index);
    let as_of = AsOf {
        shard,
        index,
        time: None,
    };
    let mut response = tagged(
        &call,
        format!("\"{:016x}\"", tag.short()),
        &shown(&slug, &keys, Some(as_of)),
    );
    response.headers_mut().insert(COMMIT, commit(shard, index));
    Ok(response)
}

/// Give a venue a new key.
///
/// It is drawn from the operating system's generator and signs from now on; older ones stay valid until they are retired.
#[utoipa::path(
    post, path = "/v1/admin/venues/{venue}/ticket-keys", tag = "operator", request_body(content = Option<Nothing>),
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("Idempotency-Key" = String, Header, description = "A new UUID, the same one for retries"),
    ),
    responses(
        (status = 200, body = TicketKeys),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn rotate(call: Call, Segments(slug): Segments<String>, bytes: Bytes) -> Result<Response, Problem> {
    let key = Key::required(&call.headers, &call.caller)?;
    let Nothing {} = body::read_optional(&call.headers, &bytes)?;
    let venue = call.venue(&slug, "{venue}")?;
    let command = Command {
        key: Some(key.command(&call.caller, "rotate-ticket-key", venue.number)),
        // The request says nothing but the venue, which is part of the key. What is drawn is not part of it.
        fingerprint: Fingerprint::of("rotate-ticket-key").short(),
        venue: venue.number,
        actor: None,
        operation: added(&call, false)?,
    };
    change(&call, &venue, &command, &format!("/v1/admin/venues/{slug}/ticket-keys")).await
}

/// Retire a key.
///
/// Gates without a network no longer take the tickets that it signed, once they have fetched a new bundle. Online gates
/// ask the cluster, and tickets are shown with a signature of the newest key. The venue's only key cannot be retired.
#[utoipa::path(
    post, path = "/v1/admin/venues/{venue}/ticket-keys/{key}/retire", tag = "operator",
    request_body(content = Option<Nothing>),
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("key" = u16, Path, description = "Number of the key"),
    ),
    responses(
        (status = 200, body = TicketKeys),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn retire(
    call: Call,
    Segments((slug, key)): Segments<(String, String)>,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let Nothing {} = body::read_optional(&call.headers, &bytes)?;
    let venue = call.venue(&slug, "{venue}")?;
    let number: u16 = key.parse().map_err(|_| {
        Problem::new(Code::UnknownKey, "The venue has no such key: keys are numbers from 1.")
            .issue("{key}", "no such key")
    })?;
    let command = Command {
        // Idempotent by content: a key is retired once.
        key: None,
        fingerprint: 0,
        venue: venue.number,
        actor: None,
        operation: Operation::RetireTicketKey { key: number },
    };
    let instance = format!("/v1/admin/venues/{slug}/ticket-keys/{number}/retire");
    change(&call, &venue, &command, &instance).await
}

/// A new key, drawn now.
pub(super) fn added(call: &Call, first_only: bool) -> Result<Operation, Problem> {
    let seed = call.door.draw.seed().ok_or_else(|| {
        tracing::error!("the operating system gives no random bytes for a key");
        Problem::new(
            Code::Internal,
            "The router has no random numbers for a key. Nothing was done.",
        )
    })?;
    Ok(Operation::AddTicketKey { seed, first_only })
}

async fn change(call: &Call, venue: &VenueInfo, command: &Command, instance: &str) -> Result<Response, Problem> {
    let decided = call.decide(command, instance, |_, _| "{key}".to_owned()).await?;
    call.door.ticket_keys.forget(venue.number);
    let Outcome::TicketKeys(keys) = &decided.outcome else {
        return Err(decided.misfit());
    };
    Ok(decided.answer(json(StatusCode::OK, &shown(&venue.slug, keys, None))))
}

fn shown<'a>(venue: &'a str, keys: &[TicketKeyView], as_of: Option<AsOf>) -> TicketKeys<'a> {
    let keys = keys.iter().map(|key| TicketKey {
        key: key.key,
        algorithm: "ed25519",
        public: hex(&key.public),
        created_at: key.created_at.to_rfc3339(0),
        retired_at: key.retired_at.map(|at| at.to_rfc3339(0)),
    });
    TicketKeys {
        venue,
        keys: keys.collect(),
        as_of,
    }
}
