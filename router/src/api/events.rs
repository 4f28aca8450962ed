//! The change feed: what happened to bookings and slots, for systems that must hear of everything.
//!
//! Each venue numbers its events, and a cursor holds how far its reader has come at each venue, so it is good at every
//! router and after any failover: the events are rows of the shard. A reader that sends the same cursor again gets the
//! same events again, so it hears of each at least once; those of one booking are one venue's, and come in their order.

use std::collections::BTreeMap;

use axum::response::Response;
use futures::future::join_all;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::{Answer, EventKind, EventPosition, EventView, MAX_EVENTS, Query};
use rotunda_protocol::shard_map::VenueInfo;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, json, parameter};
use super::error::{Problem, ProblemBody};

const DEFAULT_LIMIT: u32 = 100;

/// Venues that are asked for one page. A larger network is read venue by venue, with a cursor for each.
const MAX_VENUES: usize = 64;

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    data: Vec<FeedEvent>,
    /// For `?after=`: goes on behind the last of these. There always is one.
    next_cursor: String,
    has_more: bool,
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedEvent {
    /// The same whenever it is read: whoever hears of it twice can tell.
    #[schema(example = "lisbon-tides:17")]
    id: String,
    #[serde(rename = "type")]
    kind: FeedEventType,
    #[schema(example = "lisbon-tides")]
    venue: String,
    /// Log time.
    #[schema(format = DateTime)]
    at: String,
    /// Log index of the entry that did it.
    index: u64,
    /// Reference of the booking. Its id is not told: it would open the booking.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "TIDES-7QK2-M9")]
    booking: Option<String>,
    /// Which of the booking's tickets, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<u16>,
    /// The slot, where one was changed; in UTC where it is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "general@2027-01-15T10:00+00:00")]
    slot: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) enum FeedEventType {
    /// Places were taken for a while.
    #[serde(rename = "booking.held")]
    Held,
    /// The hold was made longer.
    #[serde(rename = "booking.extended")]
    Extended,
    /// It was sold.
    #[serde(rename = "booking.confirmed")]
    Confirmed,
    /// The hold was given back.
    #[serde(rename = "booking.released")]
    Released,
    /// The hold ran out.
    #[serde(rename = "booking.expired")]
    Expired,
    /// It was cancelled.
    #[serde(rename = "booking.cancelled")]
    Cancelled,
    /// It got other places.
    #[serde(rename = "booking.rebooked")]
    Rebooked,
    /// Some of its lines were cancelled.
    #[serde(rename = "booking.part_cancelled")]
    PartCancelled,
    /// A visitor was let in, or came back.
    #[serde(rename = "ticket.admitted")]
    Admitted,
    /// A visitor left.
    #[serde(rename = "ticket.left")]
    Left,
    /// What a ticket's scans had come to is no longer so.
    #[serde(rename = "ticket.admission_changed")]
    AdmissionChanged,
    /// Capacity or closing of a slot.
    #[serde(rename = "slot.changed")]
    SlotChanged,
}

impl From<EventKind> for FeedEventType {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Held => Self::Held,
            EventKind::Extended => Self::Extended,
            EventKind::Confirmed => Self::Confirmed,
            EventKind::Released => Self::Released,
            EventKind::Expired => Self::Expired,
            EventKind::Cancelled => Self::Cancelled,
            EventKind::Rebooked => Self::Rebooked,
            EventKind::PartCancelled => Self::PartCancelled,
            EventKind::Admitted => Self::Admitted,
            EventKind::Left => Self::Left,
            EventKind::AdmissionChanged => Self::AdmissionChanged,
            EventKind::SlotChanged => Self::SlotChanged,
        }
    }
}

/// What happened, in order.
///
/// At least once and, for each booking, in order. Read until `has_more` is false, then ask again with `next_cursor` now and
/// then; it is good at every router and for ever. Without `venue` the events of all venues that the token is good for are merged by time; more
/// than 64 venues are read venue by venue. For managers and operators.
#[utoipa::path(
    get, path = "/v1/events", tag = "operator",
    params(
        ("after" = Option<String>, Query, description = "`next_cursor` of the page before; from the beginning where left out"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most so many, up to 1000; 100 where left out"),
        ("venue" = Option<String>, Query, description = "Only of this venue"),
    ),
    responses(
        (status = 200, body = EventPage),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let [after, limit, venue] = call.parameters(["after", "limit", "venue"])?;
    let limit = match limit.as_deref().map(str::parse) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit @ 1..=MAX_EVENTS)) => limit,
        Some(_) => {
            return Err(parameter(
                "limit",
                format!("it must be a number from 1 to {MAX_EVENTS}"),
            ));
        }
    };
    let mut cursor = match after {
        None => Cursor::default(),
        Some(text) => Cursor::unseal(&text).ok_or_else(|| parameter("after", "send back `next_cursor` as it came"))?,
    };
    let venues: Vec<VenueInfo> = match venue {
        Some(slug) => vec![call.venue(&slug, "?venue")?],
        None => {
            let map = call.map()?;
            // Those that the caller may see.
            let holder = call.caller.holder();
            let is_seen = |venue: &&VenueInfo| holder.is_none_or(|holder| holder.is_of(venue.network.as_deref()));
            let venues: Vec<VenueInfo> = map.venues().iter().filter(is_seen).cloned().collect();
            if venues.len() > MAX_VENUES {
                let detail =
                    format!("it is needed where there are more than {MAX_VENUES} venues; read them one by one");
                return Err(parameter("venue", detail));
            }
            venues
        }
    };
    // Positions elsewhere would make the cursor longer and longer.
    cursor
        .0
        .retain(|number, _| venues.iter().any(|venue| venue.number == *number));
    let asked = venues.iter().map(|venue| {
        let query = Query::Events {
            venue: venue.number,
            after: cursor.position(venue.number),
            limit,
        };
        let call = &call;
        async move { call.query(&query, venue.shard).await }
    });
    let mut found: Vec<(&VenueInfo, EventView)> = Vec::new();
    let mut has_more = false;
    for (answered, venue) in join_all(asked).await.into_iter().zip(&venues) {
        // A venue that was not imported yet has no events.
        if let Answer::Events { events, more, .. } = answered?.answer {
            has_more |= more;
            found.extend(events.into_iter().map(|event| (venue, event)));
        }
    }
    // Log time never goes back at a venue, so its events stay in order and what is cut off is the end of each.
    found.sort_by_key(|(venue, event)| (event.at, venue.number, event.number));
    has_more |= found.len() > limit as usize;
    found.truncate(limit as usize);
    for (venue, event) in &found {
        cursor.0.insert(venue.number, event.end);
    }
    let page = EventPage {
        data: found.into_iter().map(|(venue, event)| shown(venue, event)).collect(),
        next_cursor: cursor.seal(),
        has_more,
    };
    let mut response = json(StatusCode::OK, &page);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    Ok(response)
}

fn shown(venue: &VenueInfo, event: EventView) -> FeedEvent {
    FeedEvent {
        id: format!("{}:{}", venue.slug, event.number),
        kind: event.kind.into(),
        venue: venue.slug.clone(),
        at: event.at.to_rfc3339(0),
        index: event.index,
        booking: event.booking,
        ticket: event.ticket,
        slot: event.slot.map(|slot| slot.to_text()),
    }
}

/// How far a reader has come, venue by venue. In hexadecimal, so that nobody is tempted to write one by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cursor(BTreeMap<VenueNo, EventPosition>);

impl Cursor {
    /// A cursor that is longer was not made here.
    const MAX_TEXT: usize = 2 + 2 * MAX_VENUES * (5 + 10 + 10);

    fn position(&self, venue: VenueNo) -> EventPosition {
        self.0.get(&venue).copied().unwrap_or_default()
    }

    fn seal(&self) -> String {
        use std::fmt::Write as _;
        let mut bytes = Vec::new();
        for (venue, position) in &self.0 {
            for number in [u64::from(venue.0), position.row, position.next] {
                put_number(&mut bytes, number);
            }
        }
        bytes.iter().fold(String::from("e1"), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn unseal(text: &str) -> Option<Self> {
        let hex = text
            .strip_prefix("e1")
            .filter(|hex| hex.is_ascii() && hex.len() % 2 == 0)?;
        if text.len() > Self::MAX_TEXT {
            return None;
        }
        let bytes: Result<Vec<u8>, _> = (0..hex.len())
            .step_by(2)
            .map(|n| u8::from_str_radix(&hex[n..n + 2], 16))
            .collect();
        let bytes = bytes.ok()?;
        let (mut rest, mut cursor) = (bytes.as_slice(), Self::default());
        while !rest.is_empty() {
            let venue = VenueNo(u32::try_from(take_number(&mut rest)?).ok()?);
            let (row, next) = (take_number(&mut rest)?, take_number(&mut rest)?);
            cursor.0.insert(venue, EventPosition { row, next });
        }
        Some(cursor)
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more come.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let mut cursor = Cursor::default();
        assert_eq!(Cursor::unseal(&cursor.seal()), Some(cursor.clone()));
        for (venue, row, next) in [(1, 0, 0), (7, 127, 128), (u32::MAX, u64::MAX, u64::MAX)] {
            cursor.0.insert(VenueNo(venue), EventPosition { row, next });
        }
        assert_eq!(Cursor::unseal(&cursor.seal()), Some(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for wrong in [
            "",
            "e",
            "e2",
            "e1f",
            "e1zz",
            "e101",
            "e10102",
            "e1ffffffffffffffffffffff",
            "e1ä",
        ] {
            assert_eq!(Cursor::unseal(wrong), None, "{wrong}");
        }
        assert_eq!(Cursor::unseal(&format!("e1{}", "01".repeat(10_000))), None);
    }
}
