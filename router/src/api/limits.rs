//! Quotas of the cluster: for all routers alike, in the terms of their settings. They come to the routers with the shard map, as
//! tokens do. What each router puts together of them and of its settings is in [`crate::rate_limit::in_force`].

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use rotunda_protocol::error::ClientError;
use rotunda_protocol::limits::{ClusterLimit, MAX_LIMITS};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body;
use super::call::{Call, author, json, unstored};
use super::error::{Code, Issue, Problem, ProblemBody};
use crate::rate_limit::in_force::Shown;
use crate::rate_limit::{Read, read};

/// All quotas of the cluster.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitList {
    /// At most 256, of which no two are of the same.
    limits: Vec<LimitBody>,
}

/// A quota: of a role, of a class of routes, of both, or of a venue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Limit)]
pub(crate) struct LimitBody {
    /// Whose: `visitor`, or what a token may be. Everybody's where it is left out.
    #[serde(default)]
    #[schema(example = "visitor")]
    role: Option<String>,
    /// For what: `look`, `hold`, `change`, `admit`, `report` or `admin`. For everything where it is left out.
    #[serde(default)]
    #[schema(example = "hold")]
    routes: Option<String>,
    /// Of which venue, for all callers together; without the two above.
    #[serde(default)]
    #[schema(example = "lisbon-tides")]
    venue: Option<String>,
    /// So many requests in so long, or `off`.
    #[schema(example = "5/1s")]
    quota: String,
}

impl From<LimitBody> for ClusterLimit {
    fn from(body: LimitBody) -> Self {
        Self {
            role: body.role.unwrap_or_default(),
            routes: body.routes.unwrap_or_default(),
            venue: body.venue.unwrap_or_default(),
            quota: body.quota,
        }
    }
}

/// See the quotas in force.
///
/// Those of this router's settings, and over them the cluster's.
#[utoipa::path(
    get, path = "/v1/admin/limits", tag = "operator",
    responses(
        (status = 200, body = Shown),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn show(call: Call) -> Result<Response, Problem> {
    call.parameters([])?;
    Ok(in_force(&call))
}

/// Set the cluster's quotas.
///
/// All of them, in the place of those before. They count at this router at once, and within a second at the others; over what
/// their settings say of the same. Of a quota that is another than before every caller has a whole one; of the others what he
/// had. To set the same again changes nothing.
#[utoipa::path(
    put, path = "/v1/admin/limits", tag = "operator", request_body = LimitList,
    responses(
        (status = 200, body = Shown),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn set(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    call.parameters([])?;
    let LimitList { limits } = body::read(&call.headers, &bytes)?;
    let limits: Vec<ClusterLimit> = limits.into_iter().map(ClusterLimit::from).collect();
    check(&call, &limits)?;
    keep(&call, &limits).await
}

/// Go back to the quotas of the routers' settings.
///
/// The cluster has none of its own then.
#[utoipa::path(
    delete, path = "/v1/admin/limits", tag = "operator",
    responses(
        (status = 200, body = Shown),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn reset(call: Call) -> Result<Response, Problem> {
    call.parameters([])?;
    keep(&call, &[]).await
}

async fn keep(call: &Call, limits: &[ClusterLimit]) -> Result<Response, Problem> {
    let by = author(call);
    match call.door.backend.set_limits(limits, &by, call.deadline).await {
        Ok(()) => {}
        Err(ClientError::Unavailable | ClientError::Unknown) => {
            return Err(Problem::new(
                Code::OutcomeUnknown,
                "The cluster did not answer in time; they may be set. Send them again: the same again changes nothing.",
            )
            .header(RETRY_AFTER, http::HeaderValue::from_static("1")));
        }
        Err(other) => return Err(call.problem(other)),
    }
    tracing::info!(count = limits.len(), by, "set the cluster's quotas");
    call.door.take_limits();
    Ok(in_force(call))
}

fn in_force(call: &Call) -> Response {
    unstored(json(StatusCode::OK, &call.door.limits.load().in_force().shown()))
}

fn check(call: &Call, limits: &[ClusterLimit]) -> Result<(), Problem> {
    let map = call.map()?;
    let mut issues = Vec::new();
    if limits.len() > MAX_LIMITS {
        issues.push(Issue::new("/limits", format!("at most {MAX_LIMITS}")));
    }
    for (n, limit) in limits.iter().enumerate().take(MAX_LIMITS) {
        match read(limit) {
            Err((member, error)) => issues.push(Issue::new(format!("/limits/{n}/{member}"), error)),
            Ok(Read::Venue(setting)) if map.venue(&setting.venue).is_none() => issues.push(Issue::new(
                format!("/limits/{n}/venue"),
                "no such venue; GET /v1/venues lists them",
            )),
            Ok(_) => {}
        }
        let is_twice = |other: &ClusterLimit| {
            (&other.role, &other.routes, &other.venue) == (&limit.role, &limit.routes, &limit.venue)
        };
        if let Some(first) = limits[..n].iter().position(is_twice) {
            issues.push(Issue::new(
                format!("/limits/{n}"),
                format!("is of the same as /limits/{first}"),
            ));
        }
    }
    if issues.is_empty() {
        Ok(())
    } else {
        Err(Problem::new(Code::InvalidBody, "These cannot be quotas; nothing was changed.").issues(issues))
    }
}
