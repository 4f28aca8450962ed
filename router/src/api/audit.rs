//! The audit log of a venue: what its staff did.

use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use rotunda_booking::audit_log::{AuditLine, MAX_AUDIT_LINES};
use rotunda_booking::query::{Answer, Query};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{COMMIT, Call, Segments, commit, json, parameter, unknown_venue};
use super::error::{Problem, ProblemBody};
use super::views::AsOf;

/// Lines of an answer where the caller names no number.
const LINES: u32 = 100;

/// A page of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog<'a> {
    venue: &'a str,
    as_of: AsOf,
    /// In order of number.
    data: Vec<Line<'a>>,
    /// Number of the newest line that there is; 0 where there is none.
    last: u64,
    /// True where there are lines behind these: ask again with `after` the number of the last one.
    has_more: bool,
}

/// What one of the staff did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditLine)]
pub(crate) struct Line<'a> {
    /// Counts from 1 within the venue, without gaps.
    number: u64,
    /// Log time of the decision, in UTC.
    #[schema(example = "2027-01-15T10:00:00+00:00")]
    at: String,
    /// Index of the decision in the log of the venue's shard.
    index: u64,
    actor: Who<'a>,
    /// What.
    #[schema(example = "change_slot")]
    operation: &'a str,
    /// To what: a booking's reference, a slot and its change, a key, a drawer.
    #[schema(example = "general@2027-01-15T10:00+00:00 closed")]
    about: &'a str,
    /// The code of the refusal; null where it was done.
    refused: Option<&'static str>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub(crate) struct Who<'a> {
    /// Name of the token.
    name: &'a str,
    #[schema(example = "counter")]
    role: &'static str,
    /// From where, seen through trusted proxies.
    #[schema(example = "10.0.0.7")]
    address: &'a str,
}

/// What the staff did.
///
/// Every command of a counter, a manager or an operator, refused ones too. Not a command that was repeated under its key.
#[utoipa::path(
    get, path = "/v1/venues/{venue}/audit", tag = "operator",
    params(
        ("venue" = String, Path, description = "Venue id"),
        ("after" = Option<u64>, Query, description = "Number of the last line that you have; 0 for the first"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Lines at most, 1 to 1000; 100 where left out"),
        ("Rotunda-Commit" = Option<String>, Header, description = "The answer shows at least this"),
    ),
    responses(
        (status = 200, body = AuditLog),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn lines(call: Call, Segments(slug): Segments<String>) -> Result<Response, Problem> {
    let [after, limit] = call.parameters(["after", "limit"])?;
    let after = after.map_or(Ok(0), |text| {
        let number = text.parse::<u64>();
        number.map_err(|_| parameter("after", "it is not the number of a line"))
    })?;
    let limit = limit.map_or(Ok(LINES), |text| {
        let number = text.parse::<u32>().ok();
        let within = number.filter(|limit| (1..=MAX_AUDIT_LINES).contains(limit));
        within.ok_or_else(|| parameter("limit", format!("it is not a number from 1 to {MAX_AUDIT_LINES}")))
    })?;
    let venue = call.venue(&slug, "{venue}")?;
    let query = Query::Audit {
        venue: venue.number,
        after,
        limit,
    };
    let answered = call.query(&query, venue.shard).await?;
    let Answer::Audit { lines, last, time } = &answered.answer else {
        return Err(unknown_venue(&slug, "{venue}"));
    };
    let body = AuditLog {
        venue: &slug,
        as_of: AsOf {
            shard: answered.shard,
            index: answered.index,
            time: Some(time.to_rfc3339(0)),
        },
        data: lines.iter().map(shown).collect(),
        last: *last,
        has_more: lines.last().map_or(after, |line| line.number) < *last,
    };
    let mut response = json(StatusCode::OK, &body);
    let headers = response.headers_mut();
    headers.insert(COMMIT, commit(answered.shard, answered.index));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn shown(line: &AuditLine) -> Line<'_> {
    Line {
        number: line.number,
        at: line.at.to_rfc3339(0),
        index: line.index,
        actor: Who {
            name: &line.actor.name,
            role: line.actor.role.as_str(),
            address: &line.actor.address,
        },
        operation: &line.operation,
        about: &line.about,
        refused: line.refused.map(|code| code.as_str()),
    }
}
