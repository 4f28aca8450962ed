//! What gates fetch: what they need to work without a network, and how many people are in the building.

use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use rotunda_booking::admission::FootfallView;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::{ServiceDay, Timestamp};
use rotunda_protocol::shard_map::VenueInfo;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, Segments, current, hex, json, uncached, unknown_venue};
use super::error::{Code, Problem, ProblemBody};
use super::service_days;
use super::venues::known;
use super::views::AsOf;
use crate::venue_clock::VenueClock;

/// Most days of one bundle: a gate's device keeps it in memory.
const MAX_BUNDLE_DAYS: i32 = 31;

/// What a gate needs to work by itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GateBundle {
    /// Lines: `rotunda-gate-bundle 1`, `venue <id> <number>`, `as-of <time>`, `days <first> <last>`, `key <number> <public
    /// key in hexadecimal>` for each key that is not retired, `void <booking> <ticket>...` for each booking with void
    /// tickets.
    text: String,
    /// Which of the venue's keys signed.
    key: u16,
    /// Ed25519, in hexadecimal: over `rotunda gate bundle 1`, a zero byte, and the text.
    signature: String,
}

/// How many people are in the building.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Occupancy<'a> {
    /// Venue id.
    venue: &'a str,
    /// Today at the venue, by log time: until an opening past midnight ends it is the day before's.
    #[schema(format = Date)]
    day: String,
    /// Entries of tickets of that day, those of people who came back included.
    entered: u64,
    /// Exits.
    left: u64,
    /// Entered and not left. Venues that scan nobody on the way out see all who came.
    inside: u64,
    /// People that the building may hold.
    building_capacity: u32,
    as_of: AsOf,
}

/// Keys and void tickets of some days, signed.
///
/// `from` and `to` are service days at the venue, both included, at most 31. A gate fetches it while it has a network, and
/// without one checks a code's signature, venue and window, this list, and what it scanned itself.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/gate-bundle", tag = "gates",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("from" = String, Query, description = "First service day, as `2027-01-15`"),
        ("to" = Option<String>, Query, description = "Last service day, included; `from` where left out"),
    ),
    responses(
        (status = 200, body = GateBundle),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn bundle(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    let [from, to] = call.parameters(["from", "to"])?;
    let (from, to) = service_days::read(from, to, MAX_BUNDLE_DAYS)?;
    let venue = call.venue(&slug, "{venue}")?;
    let query = Query::GateBundle {
        venue: venue.number,
        from,
        to,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::GateBundle { text, key, signature } = answered.answer else {
        return Err(Problem::new(
            Code::NoTicketKey,
            "The venue has no key that its bundle could be signed with.",
        ));
    };
    let bundle = GateBundle {
        text,
        key,
        signature: hex(&signature),
    };
    Ok(current(answered.shard, answered.index, &bundle))
}

/// How many people are in the building.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/occupancy", tag = "gates",
    params(("venue" = String, Path, description = "Venue id")),
    responses(
        (status = 200, body = Occupancy),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn occupancy(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    let venue = call.venue(&slug, "{venue}")?;
    let known = known(&call, &slug).await?;
    let clock = VenueClock::of(&known.definition).ok_or_else(|| unknown_zone(&slug))?;
    // Today is the log's, and what day that is can only be asked. A day that ended in between would be asked for again;
    // the answer then is as of a moment before midnight.
    let now = time(&call, &slug, &venue).await?;
    let day = clock.service_day(now).ok_or_else(|| unknown_zone(&slug))?;
    let footfall = footfall(&call, &slug, &venue, day).await?;
    let entered: u64 = footfall.rows.iter().map(|row| u64::from(row.entered)).sum();
    let left: u64 = footfall.rows.iter().map(|row| u64::from(row.left)).sum();
    let (shard, index) = (footfall.shard, footfall.index);
    let body = Occupancy {
        venue: &slug,
        day: day.to_string(),
        entered,
        left,
        inside: entered.saturating_sub(left),
        building_capacity: footfall.building_capacity,
        as_of: AsOf {
            shard,
            index,
            time: Some(footfall.time.to_rfc3339(0)),
        },
    };
    Ok(uncached(shard, index, json(StatusCode::OK, &body)))
}

/// The answer to a question about one day.
struct Passed {
    shard: u64,
    index: u64,
    time: Timestamp,
    building_capacity: u32,
    rows: Vec<FootfallView>,
}

/// Log time, from the answer to a question about a day on which nobody came.
async fn time(call: &Call, slug: &str, venue: &VenueInfo) -> Result<Timestamp, Problem> {
    Ok(footfall(call, slug, venue, ServiceDay(0)).await?.time)
}

async fn footfall(call: &Call, slug: &str, venue: &VenueInfo, day: ServiceDay) -> Result<Passed, Problem> {
    let number: VenueNo = venue.number;
    let query = Query::Footfall {
        venue: number,
        from: day,
        to: day,
    };
    let answered = call.query(&query, venue.shard).await?;
    match answered.answer {
        Answer::Footfall {
            time,
            building_capacity,
            rows,
        } => Ok(Passed {
            shard: answered.shard,
            index: answered.index,
            time,
            building_capacity,
            rows,
        }),
        _ => Err(unknown_venue(slug, "{venue}")),
    }
}

/// This binary's tables do not know the venue's zone: a newer router imported the venue.
pub(super) fn unknown_zone(slug: &str) -> Problem {
    tracing::error!(
        venue = slug,
        "this router's tables do not know the venue's zone; it is older than the importer's"
    );
    Problem::new(
        Code::Unavailable,
        "This router is too old to know the venue's time zone. Ask another one, and the operator to update this one.",
    )
    .header(RETRY_AFTER, "60")
}
