//! `rotunda status`: nodes, shards, leaders, terms and lag, once or every second.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::args::{Output, StatusArguments};
use crate::door::Door;
use crate::failure::Failure;
use crate::paint;

const WATCH_PERIOD: Duration = Duration::from_secs(1);
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

/// How a cluster stands, as the router tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct ClusterStatus {
    /// Missing where the router is of before there was one.
    pub(crate) cluster_version: Option<u32>,
    #[serde(default)]
    pub(crate) nodes: Vec<NodeStatus>,
    #[serde(default)]
    pub(crate) shards: Vec<ShardStatus>,
    #[serde(default)]
    routers: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) id: u32,
    grpc: String,
    admin: String,
    pub(crate) live: bool,
    pub(crate) version: Option<String>,
    /// The cluster's versions that its binary reads.
    pub(crate) reads: Option<Reads>,
    #[serde(default)]
    pub(crate) draining: bool,
}

/// Versions of the cluster, from one to the other.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Reads {
    pub(crate) oldest: u32,
    pub(crate) newest: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ShardStatus {
    pub(crate) id: u64,
    epoch: u64,
    /// Node that leads, where one does.
    pub(crate) leader: Option<u32>,
    term: Option<u64>,
    pub(crate) replicas: Vec<ReplicaStatus>,
    #[serde(default)]
    venues: Vec<String>,
}

impl ShardStatus {
    /// True where the node has a replica of it.
    pub(crate) fn has(&self, node: u32) -> bool {
        self.replicas.iter().any(|replica| replica.node == node)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReplicaStatus {
    pub(crate) node: u32,
    role: String,
    /// Missing where the node does not answer.
    applied: Option<u64>,
    pub(crate) lag: Option<u64>,
}

/// Runs the command.
pub(crate) async fn run(arguments: StatusArguments) -> Result<(), Failure> {
    let door = Door::from_arguments(&arguments.door)?;
    if !arguments.watch {
        println!("{}", draw(&door, arguments.output).await?);
        return Ok(());
    }
    tokio::select! {
        () = watch(&door, arguments.output) => {}
        // Beside all of it: a router that does not answer must not hold up the Ctrl-C.
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// Draws again and again, until whoever reads it has gone.
async fn watch(door: &Door, output: Output) {
    loop {
        let screen = match draw(door, output).await {
            Ok(screen) => screen,
            // A watcher keeps watching: the moment the router comes back is what they are waiting for.
            Err(failure) => {
                failure.report();
                String::new()
            }
        };
        let mut out = std::io::stdout().lock();
        let clear = if out.is_terminal() && output == Output::Table {
            CLEAR_SCREEN
        } else {
            ""
        };
        if writeln!(out, "{clear}{screen}").and_then(|()| out.flush()).is_err() {
            return; // Whoever read the pipe has gone.
        }
        drop(out);
        tokio::time::sleep(WATCH_PERIOD).await;
    }
}

async fn draw(door: &Door, output: Output) -> Result<String, Failure> {
    let status = door
        .cluster()
        .await
        .map_err(|error| error.into_failure(door, "asking how the cluster stands"))?;
    if output == Output::Json {
        return Ok(format!("{status:#}"));
    }
    let status: ClusterStatus = serde_json::from_value(status).map_err(|error| {
        Failure::failed(format!("the router's answer is not understood: {error}"))
            .next("rotunda status --output json, and compare `rotunda --version` with the nodes'")
    })?;
    Ok(text(&status))
}

fn text(status: &ClusterStatus) -> String {
    let mut nodes = paint::table(["node", "state", "grpc", "admin", "leads", "version"]);
    for node in &status.nodes {
        let leads = status
            .shards
            .iter()
            .filter(|shard| shard.leader == Some(node.id))
            .count();
        nodes.add_row(vec![
            node.id.to_string().into(),
            match (node.live, node.draining) {
                (true, false) => paint::good_or_bad("live", true),
                (true, true) => paint::good_or_bad("drained", false),
                (false, _) => paint::good_or_bad("no answer", false),
            },
            node.grpc.as_str().into(),
            node.admin.as_str().into(),
            leads.to_string().into(),
            node.version.as_deref().unwrap_or("-").into(),
        ]);
    }
    let mut shards = paint::table(["shard", "epoch", "leader", "term", "replicas (applied, lag)", "venues"]);
    for shard in &status.shards {
        let leader = shard
            .leader
            .map_or_else(|| "none".to_owned(), |node| format!("node {node}"));
        shards.add_row(vec![
            shard.id.to_string().into(),
            shard.epoch.to_string().into(),
            paint::good_or_bad(leader, shard.leader.is_some()),
            shard
                .term
                .map_or_else(|| "-".to_owned(), |term| term.to_string())
                .into(),
            shard.replicas.iter().map(replica).collect::<Vec<_>>().join("\n").into(),
            shard.venues.join("\n").into(),
        ]);
    }
    let mut routers = paint::table(["router", "admin", "version"]);
    for router in &status.routers {
        let field = |name: &str| router.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        routers.add_row([field("http"), field("admin"), field("version")]);
    }
    format!("{nodes}\n{shards}\n{routers}")
}

fn replica(replica: &ReplicaStatus) -> String {
    let role = if replica.role == "voter" { "" } else { " learner" };
    match (replica.applied, replica.lag) {
        (Some(applied), Some(lag)) => format!("node {}{role}: {applied}, {lag}", replica.node),
        (Some(applied), None) => format!("node {}{role}: {applied}, -", replica.node),
        _ => format!("node {}{role}: no answer", replica.node),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_dead_node_and_a_shard_without_leader_are_shown_as_such() {
        let status: ClusterStatus = serde_json::from_value(serde_json::json!({
            "nodes": [ { "id": 1, "grpc": "http://127.0.0.1:7001", "admin": "http://127.0.0.1:7002", "live": true, "version": "0.1.0" },
                       { "id": 2, "grpc": "http://127.0.0.1:7003", "admin": "http://127.0.0.1:7004", "live": false, "version": null } ],
            "shards": [ { "id": 7, "epoch": 1, "leader": null, "term": null,
                          "replicas": [ { "node": 1, "role": "voter", "applied": 48213, "lag": 2 }, { "node": 2, "role": "voter", "applied": null, "lag": null } ],
                          "venues": ["lisbon-tides"] } ],
            "routers": [ { "http": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:9090", "version": "0.1.0" } ]
        }))
        .unwrap();
        let text = text(&status);
        for wanted in [
            "no answer",
            "none",
            "node 1: 48213, 2",
            "node 2: no answer",
            "lisbon-tides",
            "http://127.0.0.1:8080",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }
}
