//! What an upgrade of one node at a time asks of the cluster: that a node gives its leaderships away before it is stopped, and
//! at the end that the cluster's version is raised. How far everything is, `GET /v1/admin/cluster` says.

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use http::header::RETRY_AFTER;
use rotunda_protocol::error::ClientError;
use rotunda_protocol::shard_map::{NodeInfo, ShardMap};
use rotunda_protocol::version::{Behind, Formats, release};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body;
use super::call::{Call, Segments, author, json, unstored};
use super::error::{Code, Problem, ProblemBody};

/// Which version.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VersionRequest)]
pub(crate) struct VersionBody {
    /// The newest that any node reads, where it is left out.
    #[serde(default)]
    #[schema(example = 4)]
    version: Option<u32>,
}

/// The version of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterVersion {
    /// What log entries, rows and snapshots may be like.
    #[schema(example = 4)]
    cluster_version: u32,
}

/// How far a node is with giving its leaderships away.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Drain {
    node: u32,
    /// It takes none.
    draining: bool,
    /// Raft groups that it leads, the meta group among them; none when it may be stopped.
    leads: u32,
}

/// Raise the cluster's version.
///
/// For ever: from then on nodes may write what binaries of before cannot read, so none of them can be started on this cluster's
/// data again. Refused with `nodes_behind` while a node does not read the version or does not answer. To raise it to what it is
/// changes nothing.
#[utoipa::path(
    post, path = "/v1/admin/cluster/version", tag = "operator", request_body = Option<VersionBody>,
    responses(
        (status = 200, body = ClusterVersion),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn finalize(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    call.parameters([])?;
    let VersionBody { version } = body::read_optional(&call.headers, &bytes)?;
    let map = call.map()?;
    let now = map.cluster_version();
    if let Some(older) = version.filter(|version| *version < now) {
        return Err(Problem::new(
            Code::InvalidBody,
            format!("The cluster is at version {now}, and never goes back."),
        )
        .issue("/version", format!("{older} is below {now}")));
    }
    // As far as they have said: the meta group's leader asks them again. But it may be one of these itself, and know of no versions.
    let behind = behind(&map, version);
    if !behind.is_empty() {
        return Err(call.problem(ClientError::NotYet(behind.join("; "))));
    }
    let by = author(&call);
    match call.door.backend.raise_version(version, &by, call.deadline).await {
        Ok(cluster_version) => {
            tracing::info!(cluster_version, by, "the cluster's version");
            Ok(unstored(json(StatusCode::OK, &ClusterVersion { cluster_version })))
        }
        Err(ClientError::Unavailable | ClientError::Unknown) => Err(unheard(
            "The cluster did not answer in time; its version may be raised. Ask again: the same again changes nothing.",
        )),
        Err(other) => Err(call.problem(other)),
    }
}

/// Have a node give its leaderships away.
///
/// Its replicas go on, and others lead; it takes no leadership until that is taken back, or it is started again. Answers when it
/// leads nothing, or after some seconds; ask again until `leads` is 0, then stop it.
#[utoipa::path(
    post, path = "/v1/admin/nodes/{node}/drain", tag = "operator",
    params(("node" = String, Path, description = "Id of the node")),
    responses(
        (status = 200, body = Drain),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn drain(call: Call, Segments(node): Segments<String>) -> Result<Response, Problem> {
    set(&call, &node, false).await
}

/// Let a node lead again.
///
/// Whether it does is for the next election to say. Of a node that is not drained nothing changes.
#[utoipa::path(
    delete, path = "/v1/admin/nodes/{node}/drain", tag = "operator",
    params(("node" = String, Path, description = "Id of the node")),
    responses(
        (status = 200, body = Drain),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn resume(call: Call, Segments(node): Segments<String>) -> Result<Response, Problem> {
    set(&call, &node, true).await
}

/// The nodes that do not read a version, the newest that any of them reads where none is named; in words.
fn behind(map: &ShardMap, version: Option<u32>) -> Vec<String> {
    let reads = |node: &NodeInfo| Formats::of(&node.version);
    let newest = map.nodes().iter().map(|node| reads(node).newest).max();
    let Some(to) = version.or(newest) else {
        return Vec::new();
    };
    let unable = map.nodes().iter().filter(|node| !reads(node).reads(to));
    let told = unable.map(|node| {
        let runs = (!node.version.is_empty()).then(|| (release(&node.version).to_owned(), reads(node)));
        Behind { node: node.id, runs }.to_string()
    });
    told.collect()
}

async fn set(call: &Call, node: &str, stop: bool) -> Result<Response, Problem> {
    call.parameters([])?;
    let map = call.map()?;
    let known = node.parse().ok();
    let known = known.filter(|node| map.nodes().iter().any(|known| known.id == *node));
    let Some(id) = known else {
        return Err(Problem::new(
            Code::UnknownNode,
            format!("`{node}` is not the id of a node; GET /v1/admin/cluster lists them."),
        )
        .issue("{node}", "no such node"));
    };
    match call.door.backend.drain(id, stop, call.deadline).await {
        Ok(drained) => {
            tracing::info!(
                node = id,
                drained.draining,
                drained.leads,
                by = author(call),
                "drained a node"
            );
            let body = Drain {
                node: id,
                draining: drained.draining,
                leads: drained.leads,
            };
            Ok(unstored(json(StatusCode::OK, &body)))
        }
        Err(ClientError::Unavailable | ClientError::Unknown) => Err(unheard(
            "The node did not answer in time; it may be drained. Ask again: the same again changes nothing.",
        )),
        Err(other) => Err(call.problem(other)),
    }
}

fn unheard(detail: &'static str) -> Problem {
    Problem::new(Code::OutcomeUnknown, detail).header(RETRY_AFTER, http::HeaderValue::from_static("1"))
}
