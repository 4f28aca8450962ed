//! The catalogue of a whole network, as YAML or JSON. All of it is validated before anything changes; then venue by venue,
//! each idempotent by its content, so that a broken-off import is simply sent again.

mod file;
mod yaml;

use axum::body::Bytes;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use rotunda_booking::catalogue::{self, NetworkDefinition, VenueDefinition};
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::outcome::{Outcome, Refusal};
use rotunda_protocol::shard_map::{ShardMap, VenueInfo};
use serde::Serialize;
use utoipa::ToSchema;

use super::body;
use super::call::{COMMIT, Call, json, misfit};
use super::error::{Code, Issue, Problem, ProblemBody};
use super::ticket_keys;
use crate::auth;

/// What became of an import.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Imported {
    /// Network id.
    #[schema(example = "meridian")]
    network: String,
    /// True where anything was not there before.
    changed: bool,
    /// In order of the file.
    venues: Vec<ImportedVenue>,
}

/// What became of one venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedVenue {
    /// Venue id.
    #[schema(example = "lisbon-tides")]
    id: String,
    /// Where it lives.
    shard: u64,
    /// Log index of the import.
    index: u64,
    /// Digest of the catalogue now in force.
    #[schema(example = "9d2c5680f1a7b3e4")]
    revision: String,
    /// False where this very catalogue was in force already.
    changed: bool,
    /// New slots.
    slots_added: u64,
    /// Unsold slots that the catalogue no longer has.
    slots_removed: u64,
}

/// Import the catalogue of a network.
///
/// The body is the file, as `application/yaml` or `application/json`, at most 1 MiB. Problems are listed all at once,
/// each with its place; then nothing was changed. Importing the same file twice changes nothing. A venue belongs to the network
/// that it was first imported with, for ever. A venue that has no key
/// to sign tickets with is given its first.
#[utoipa::path(
    put, path = "/v1/admin/network", tag = "operator",
    request_body(content((String = "application/yaml"), (file::NetworkFile = "application/json"))),
    responses(
        (status = 200, body = Imported, headers(
            ("Rotunda-Commit" = String, description = "`<shard>:<index>` of every shard that was written, with commas")
        )),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn import(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    let network = read(&call, &bytes)?;
    auth::admit_to(&call.caller, Some(&network.id))?;
    let slugs: Vec<String> = network.venues.iter().map(|venue| venue.slug.clone()).collect();
    let map = call
        .door
        .backend
        .assign_venues(&network.id, &slugs, call.deadline)
        .await
        .map_err(|error| call.problem(error))?;
    check_networks(&network, &map)?;
    let mut imported = Vec::with_capacity(network.venues.len());
    let mut refused = Vec::new();
    for (n, definition) in network.venues.into_iter().enumerate() {
        match import_venue(&call, &map, definition).await {
            Ok(Ok(venue)) => imported.push(venue),
            Ok(Err(refusal)) => refused.push(Issue::new(format!("/venues/{n}"), refusal.detail)),
            Err(problem) => return Err(interrupted(&problem, &imported)),
        }
    }
    if !refused.is_empty() {
        let detail = format!(
            "{} of the venues contradict what is stored and were left as they are; {} are in place.",
            refused.len(),
            imported.len()
        );
        return Err(Problem::new(Code::CatalogueConflict, detail)
            .issues(refused)
            .member("venues", value(&imported)));
    }
    let commits = commits(&imported);
    let body = Imported {
        network: network.id,
        changed: imported
            .iter()
            .any(|venue| venue.changed || venue.slots_added + venue.slots_removed > 0),
        venues: imported,
    };
    let mut response = json(StatusCode::OK, &body);
    if let Ok(commits) = HeaderValue::try_from(commits) {
        response.headers_mut().insert(COMMIT, commits);
    }
    Ok(response)
}

/// Reads and validates all of the file.
fn read(call: &Call, bytes: &[u8]) -> Result<NetworkDefinition, Problem> {
    let media_type = body::media_type(&call.headers);
    let description = match media_type.as_str() {
        json if body::is_json(json) => body::parse::<file::NetworkFile>(bytes)?,
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => yaml::parse(bytes)?,
        // What curl sends where nobody tells it otherwise: look at the body itself. JSON begins with a brace.
        "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded" => {
            if bytes.trim_ascii_start().starts_with(b"{") {
                body::parse(bytes)?
            } else {
                yaml::parse(bytes)?
            }
        }
        other => {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                format!("Send `Content-Type: application/yaml` or `application/json`; this is `{other}`."),
            )
            .issue("Content-Type:", "must be application/yaml or application/json"));
        }
    };
    catalogue::validate(&description.into()).map_err(|problems| {
        let issues: Vec<Issue> = problems
            .into_iter()
            .map(|problem| Issue::new(problem.pointer, problem.detail))
            .collect();
        let plural = if issues.len() == 1 { "problem" } else { "problems" };
        Problem::new(
            Code::InvalidCatalogue,
            format!("{} {plural}; nothing was changed.", issues.len()),
        )
        .issues(issues)
    })
}

/// Where a venue belongs to another network, the cluster has assigned none.
fn check_networks(network: &NetworkDefinition, map: &ShardMap) -> Result<(), Problem> {
    let others = network.venues.iter().enumerate().filter_map(|(n, definition)| {
        let other = map.venue(&definition.slug)?.network.as_deref()?;
        (other != network.id).then(|| {
            let detail = format!("`{}` belongs to the network `{other}`", definition.slug);
            Issue::new(format!("/venues/{n}/id"), detail)
        })
    });
    let issues: Vec<Issue> = others.collect();
    if issues.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "{} of the venues belong to another network than `{}`; nothing was changed.",
        issues.len(),
        network.id
    );
    Err(Problem::new(Code::VenueOfAnotherNetwork, detail).issues(issues))
}

async fn import_venue(
    call: &Call,
    map: &ShardMap,
    definition: VenueDefinition,
) -> Result<Result<ImportedVenue, Refusal>, Problem> {
    let Some(VenueInfo { number, slug, .. }) = map.venue(&definition.slug).cloned() else {
        return Err(Problem::new(Code::Internal, "The cluster gave no number to a venue."));
    };
    let command = Command {
        // Idempotent by content: the same definition again changes nothing, whoever sends it.
        key: None,
        fingerprint: 0,
        venue: number,
        actor: None,
        operation: Operation::ImportVenue(Box::new(definition)),
    };
    let submitted = call.submit(&command).await?;
    call.door.catalogue.forget(number);
    let (revision, changed) = match submitted.reply.outcome {
        Outcome::Imported { revision, changed } => (revision, changed),
        Outcome::Refused(refusal) => return Ok(Err(refusal)),
        other => return Err(misfit(&other)),
    };
    let filled = call
        .door
        .backend
        .fill_calendar(number, call.deadline)
        .await
        .map_err(|error| call.problem(error))?;
    // Only now: a venue whose import broke off is sent again, and one with a key is in place.
    if let Err(refusal) = first_key(call, number).await? {
        return Ok(Err(refusal));
    }
    tracing::info!(
        venue = slug,
        shard = submitted.shard,
        changed,
        slots_added = filled.added,
        "imported"
    );
    Ok(Ok(ImportedVenue {
        id: slug,
        shard: submitted.shard,
        index: submitted.reply.index,
        revision: format!("{revision:016x}"),
        changed,
        slots_added: filled.added,
        slots_removed: filled.removed,
    }))
}

/// Gives a venue the key that its tickets are signed with, where it has none yet.
async fn first_key(call: &Call, venue: VenueNo) -> Result<Result<(), Refusal>, Problem> {
    let command = Command {
        // Idempotent: where there is a key, nothing changes.
        key: None,
        fingerprint: 0,
        venue,
        actor: None,
        operation: ticket_keys::added(call, true)?,
    };
    match call.submit(&command).await?.reply.outcome {
        Outcome::TicketKeys(_) => Ok(Ok(())),
        Outcome::Refused(refusal) => Ok(Err(refusal)),
        other => Err(misfit(&other)),
    }
}

/// The import broke off. Where the reason may pass, the remedy is to send the file again, whatever the reason was.
fn interrupted(reason: &Problem, imported: &[ImportedVenue]) -> Problem {
    let detail = format!("{} venues are in place, then: {}", imported.len(), reason.detail());
    let problem = if reason.code().retryable() {
        Problem::new(Code::ImportInterrupted, format!("{detail} Send the file again."))
            .header(RETRY_AFTER, HeaderValue::from_static("1"))
    } else {
        Problem::new(reason.code(), detail)
    };
    problem.member("venues", value(imported))
}

fn value(imported: &[ImportedVenue]) -> serde_json::Value {
    serde_json::to_value(imported).unwrap_or_default()
}

/// The highest index of each shard.
fn commits(imported: &[ImportedVenue]) -> String {
    let mut highest = std::collections::BTreeMap::new();
    for venue in imported {
        let index = highest.entry(venue.shard).or_insert(venue.index);
        *index = venue.index.max(*index);
    }
    let tokens: Vec<String> = highest
        .into_iter()
        .map(|(shard, index)| format!("{shard}:{index}"))
        .collect();
    tokens.join(", ")
}
