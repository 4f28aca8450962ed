//! Tickets: how one stands, and its QR code. Whoever knows a ticket's id may see it.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use rotunda_booking::admission::TicketScans;
use rotunda_booking::outcome::TicketStatus;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::ticket_key;
use serde::Serialize;
use utoipa::ToSchema;

use super::admissions::Admission;
use super::call::{Call, Segments, current, uncached};
use super::error::{Code, Problem, ProblemBody};
use super::qr::{self, PictureError};
use super::views::{AsOf, TicketStatusName, ticket_status};

/// A ticket with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketDetails<'a> {
    /// Whoever knows it may see the ticket, and shows it at a gate.
    id: String,
    /// Venue id.
    #[schema(example = "lisbon-tides")]
    venue: &'a str,
    /// Counts from 1 within the venue.
    serial: u64,
    #[schema(example = "adult")]
    unit: &'a str,
    #[schema(example = "general@2027-01-15T10:00+00:00")]
    slot: String,
    status: TicketStatusName,
    window: Window,
    /// Its visitor may leave and come back.
    re_entry: bool,
    /// In the order in which they count.
    scans: Vec<Admission>,
    /// Text of the QR code, signed with the venue's newest key. Not of a void ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<String>,
    as_of: AsOf,
}

/// When a ticket admits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Window {
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    until: String,
}

/// See a ticket.
#[utoipa::path(
    get, path = "/v1/tickets/{ticket}", tag = "tickets",
    params(
        ("ticket" = String, Path, description = "Id of a confirmed booking's ticket"),
        ("Rotunda-Commit" = Option<String>, Header, description = "The answer shows at least this"),
    ),
    responses(
        (status = 200, body = TicketDetails),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn one(call: Call, Segments(ticket): Segments<String>) -> Result<Response, Problem> {
    let Asked { scans, shard, index } = ask(&call, &ticket).await?;
    let offset = scans.ticket.slot.offset_minutes;
    let body = TicketDetails {
        id: scans.ticket.id.to_string(),
        venue: &scans.venue,
        serial: scans.ticket.serial,
        unit: &scans.ticket.unit,
        slot: scans.ticket.slot.to_text(),
        status: ticket_status(scans.ticket.status),
        window: Window {
            from: scans.from.to_rfc3339(offset),
            until: scans.until.to_rfc3339(offset),
        },
        re_entry: scans.re_entry,
        scans: scans
            .scans
            .iter()
            .map(|scan| Admission::of(scan).without_admits())
            .collect(),
        qr: scans.payload.as_deref().map(ticket_key::to_text),
        as_of: AsOf {
            shard,
            index,
            time: Some(scans.time.to_rfc3339(0)),
        },
    };
    Ok(current(shard, index, &body))
}

/// A ticket's QR code, as SVG.
///
/// Error correction M, a quiet zone of four modules. A void ticket has none: 410.
#[utoipa::path(
    get, path = "/v1/tickets/{ticket}/qr.svg", tag = "tickets",
    params(("ticket" = String, Path, description = "Id of a confirmed booking's ticket")),
    responses(
        (status = 200, body = String, content_type = "image/svg+xml"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn svg(call: Call, Segments(ticket): Segments<String>) -> Result<Response, Problem> {
    picture(&call, &ticket, "image/svg+xml", |text| {
        qr::svg(text).map(String::into_bytes)
    })
    .await
}

/// A ticket's QR code, as PNG.
///
/// As the SVG, eight pixels a module.
#[utoipa::path(
    get, path = "/v1/tickets/{ticket}/qr.png", tag = "tickets",
    params(("ticket" = String, Path, description = "Id of a confirmed booking's ticket")),
    responses(
        (status = 200, body = [u8], content_type = "image/png"),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn png(call: Call, Segments(ticket): Segments<String>) -> Result<Response, Problem> {
    picture(&call, &ticket, "image/png", qr::png).await
}

async fn picture(
    call: &Call,
    ticket: &str,
    content_type: &'static str,
    draw: impl FnOnce(&str) -> Result<Vec<u8>, PictureError>,
) -> Result<Response, Problem> {
    let Asked { scans, shard, index } = ask(call, ticket).await?;
    if scans.ticket.status == TicketStatus::Void {
        return Err(Problem::new(
            Code::TicketVoid,
            "The ticket was cancelled or exchanged, and admits nobody.",
        )
        .issue("{ticket}", "void"));
    }
    let Some(payload) = &scans.payload else {
        return Err(Problem::new(
            Code::NoTicketKey,
            "The venue has no key that its tickets could be signed with.",
        ));
    };
    let picture = draw(&ticket_key::to_text(payload)).map_err(|error| {
        tracing::error!(%error, "a ticket's QR code cannot be drawn");
        Problem::new(Code::Internal, "The ticket's QR code cannot be drawn.")
    })?;
    let mut response = Response::new(Body::from(picture));
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(uncached(shard, index, response))
}

/// A ticket as the cluster has it.
struct Asked {
    scans: Box<TicketScans>,
    shard: u64,
    index: u64,
}

async fn ask(call: &Call, ticket: &str) -> Result<Asked, Problem> {
    call.parameters([])?;
    let (id, venue) = call.ticket(ticket)?;
    let answered = call.query(&Query::Ticket { ticket: id }, venue.shard).await?;
    match answered.answer {
        Answer::Ticket(scans) => Ok(Asked {
            scans,
            shard: answered.shard,
            index: answered.index,
        }),
        _ => {
            Err(Problem::new(Code::UnknownTicket, "There is no ticket with this id.")
                .issue("{ticket}", "no such ticket"))
        }
    }
}
