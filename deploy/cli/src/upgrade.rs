//! `rotunda node drain`, `rotunda node ready` and `rotunda cluster version`: the steps of an upgrade of one node at a time,
//! each of which answers when it is done and refuses where the next one would cost somebody an answer.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::args::{
    ClusterArguments, ClusterCommand, FinalizeArguments, NodeDrainArguments, NodeReadyArguments, Output,
    VersionArguments, VersionCommand,
};
use crate::door::Door;
use crate::failure::Failure;
use crate::paint;
use crate::status::ClusterStatus;

/// Between two looks at the cluster.
const PERIOD: Duration = Duration::from_millis(250);

/// Runs `rotunda cluster`.
pub(crate) async fn cluster(arguments: ClusterArguments) -> Result<(), Failure> {
    let ClusterCommand::Version(VersionArguments { command, door, output }) = arguments.command;
    match command {
        None => show(&Door::from_arguments(&door)?, output).await,
        Some(VersionCommand::Finalize(finalize)) => raise(finalize).await,
    }
}

/// How far a node is with giving its leaderships away.
#[derive(Debug, Deserialize)]
struct Drain {
    leads: u32,
}

/// Runs `rotunda node drain`.
pub(crate) async fn drain_node(arguments: NodeDrainArguments) -> Result<(), Failure> {
    let NodeDrainArguments {
        node,
        force,
        patience,
        door,
    } = arguments;
    let door = Door::from_arguments(&door)?;
    let deadline = Instant::now() + Duration::from_secs(patience.timeout);
    if !force {
        loop {
            let status = look(&door).await?;
            let Some(reason) = others_are_not_ready(&status, node, patience.lag) else {
                break;
            };
            if Instant::now() >= deadline {
                return Err(
                    Failure::failed(format!("node {node} is not drained: {reason}")).next(format!(
                        "rotunda status, and rotunda node ready ID of the node that lags; --force drains node {node} all the same"
                    )),
                );
            }
            sleep(PERIOD).await;
        }
    }
    loop {
        let drained = door.drain_node(node).await;
        let drained = drained.map_err(|error| error.into_failure(&door, &format!("draining node {node}")))?;
        let Drain { leads } = read(drained)?;
        if leads == 0 {
            println!(
                "node {node} leads nothing and takes nothing: stop it, start it again, then `rotunda node ready {node}`"
            );
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::failed(format!("node {node} still leads {leads} groups"))
                .detail("its peers did not take them in time; it stays drained and goes on trying")
                .next(format!(
                    "rotunda status, then rotunda node drain {node} again; or rotunda node ready {node} to let it lead"
                )));
        }
        sleep(PERIOD).await;
    }
}

/// Runs `rotunda node ready`.
pub(crate) async fn await_node(arguments: NodeReadyArguments) -> Result<(), Failure> {
    let NodeReadyArguments { node, patience, door } = arguments;
    let door = Door::from_arguments(&door)?;
    let deadline = Instant::now() + Duration::from_secs(patience.timeout);
    let mut resumed = false;
    loop {
        let status = look(&door).await?;
        let Some(found) = status.nodes.iter().find(|found| found.id == node) else {
            return Err(Failure::failed(format!("there is no node {node}")).next("rotunda status"));
        };
        // One that was started again is not drained any more.
        if found.live && found.draining && !resumed {
            let taken_back = door.resume_node(node).await;
            taken_back.map_err(|error| error.into_failure(&door, &format!("letting node {node} lead again")))?;
            resumed = true;
        }
        match is_late(&status, node, patience.lag) {
            None => {
                let version = found.version.as_deref().unwrap_or("an unknown version");
                println!("node {node} runs {version}, every replica of it has a leader and nothing to catch up");
                return Ok(());
            }
            Some(reason) if Instant::now() >= deadline => {
                return Err(Failure::failed(format!("node {node} is not ready: {reason}"))
                    .next("look into its log, and at rotunda status --watch; do not go on to the next node"));
            }
            Some(_) => sleep(PERIOD).await,
        }
    }
}

/// What speaks against taking `node` away: some shard of it would be left with replicas that are not level.
fn others_are_not_ready(status: &ClusterStatus, node: u32, lag: u64) -> Option<String> {
    if !status.nodes.iter().any(|known| known.id == node) {
        return Some(format!("there is no node {node}"));
    }
    let other = status.nodes.iter().find(|known| known.id != node && known.draining);
    if let Some(other) = other {
        return Some(format!("node {} is drained already", other.id));
    }
    let hosted = status.shards.iter().filter(|shard| shard.has(node));
    for shard in hosted {
        let others = shard.replicas.iter().filter(|replica| replica.node != node);
        for replica in others {
            match replica.lag {
                None => {
                    return Some(format!(
                        "node {} does not answer, and has shard {} too",
                        replica.node, shard.id
                    ));
                }
                Some(late) if late > lag => {
                    return Some(format!(
                        "node {} lags by {late} entries in shard {}",
                        replica.node, shard.id
                    ));
                }
                Some(_) => {}
            }
        }
    }
    None
}

/// What keeps a node from being as good a replica as the others.
fn is_late(status: &ClusterStatus, node: u32, lag: u64) -> Option<String> {
    if status.nodes.iter().any(|known| known.id == node && !known.live) {
        return Some("it does not answer".to_owned());
    }
    for shard in status.shards.iter().filter(|shard| shard.has(node)) {
        let own = shard.replicas.iter().find(|replica| replica.node == node);
        match own.and_then(|own| own.lag) {
            None => return Some(format!("its replica of shard {} does not run yet", shard.id)),
            Some(late) if late > lag => return Some(format!("it lags by {late} entries in shard {}", shard.id)),
            Some(_) if shard.leader.is_none() => return Some(format!("shard {} has no leader", shard.id)),
            Some(_) => {}
        }
    }
    None
}

async fn raise(arguments: FinalizeArguments) -> Result<(), Failure> {
    let FinalizeArguments { to, door, output } = arguments;
    let door = Door::from_arguments(&door)?;
    let body = to.map_or_else(|| json!({}), |to| json!({ "version": to }));
    let raised = door.finalize_version(body.to_string()).await;
    let raised = raised.map_err(|error| error.into_failure(&door, "raising the cluster's version"))?;
    match output {
        Output::Json => println!("{raised:#}"),
        Output::Table => println!(
            "the cluster is at version {}; no binary that does not read it can be started on its data any more",
            raised.get("cluster_version").unwrap_or(&Value::Null)
        ),
    }
    Ok(())
}

async fn show(door: &Door, output: Output) -> Result<(), Failure> {
    let status = look(door).await?;
    match output {
        Output::Json => println!("{:#}", as_json(&status)),
        Output::Table => println!("{}", as_text(&status)),
    }
    Ok(())
}

fn as_json(status: &ClusterStatus) -> Value {
    let nodes = status.nodes.iter().map(|node| {
        json!({
            "id": node.id, "live": node.live, "version": node.version,
            "oldest": node.reads.map(|reads| reads.oldest), "newest": node.reads.map(|reads| reads.newest),
        })
    });
    json!({ "cluster_version": status.cluster_version, "nodes": nodes.collect::<Vec<_>>() })
}

fn as_text(status: &ClusterStatus) -> String {
    let Some(now) = status.cluster_version else {
        return "the router is of before there were versions of a cluster: upgrade it".to_owned();
    };
    let mut nodes = paint::table(["node", "state", "binary", "reads"]);
    for node in &status.nodes {
        let reads = node.reads.map_or_else(
            || "-".to_owned(),
            |reads| match reads.oldest == reads.newest {
                true => reads.newest.to_string(),
                false => format!("{} to {}", reads.oldest, reads.newest),
            },
        );
        nodes.add_row(vec![
            node.id.to_string().into(),
            paint::good_or_bad(if node.live { "live" } else { "no answer" }, node.live),
            node.version.as_deref().unwrap_or("-").into(),
            reads.into(),
        ]);
    }
    format!("{nodes}\n{}", verdict(status, now))
}

/// What can be done about the version now.
fn verdict(status: &ClusterStatus, now: u32) -> String {
    let newest = |node: &crate::status::NodeStatus| node.reads.map(|reads| reads.newest);
    let best = status.nodes.iter().filter_map(newest).max().unwrap_or(now);
    if best <= now {
        return format!("the cluster is at version {now}, the newest that its nodes read");
    }
    let behind: Vec<String> = status
        .nodes
        .iter()
        .filter(|node| !node.live || newest(node).is_none_or(|newest| newest < best))
        .map(|node| node.id.to_string())
        .collect();
    if behind.is_empty() {
        return format!(
            "the cluster is at version {now}, and every node reads {best}: `rotunda cluster version finalize` raises it, for ever; \
             until then nodes can go back to a binary that reads {now}"
        );
    }
    format!(
        "the cluster is at version {now}; {best} has to wait for: node {}",
        behind.join(", node ")
    )
}

async fn look(door: &Door) -> Result<ClusterStatus, Failure> {
    let status = door.cluster().await;
    read(status.map_err(|error| error.into_failure(door, "asking how the cluster stands"))?)
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::failed(format!("the router's answer is not understood: {error}"))
            .next("compare `rotunda --version` with the router's")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn status(versions: [(bool, u32); 3], lags: [Option<u64>; 3]) -> ClusterStatus {
        let nodes = (1..).zip(versions).map(|(id, (live, newest))| {
            json!({ "id": id, "grpc": "", "admin": "", "live": live, "version": "0.1.0", "reads": { "oldest": 3, "newest": newest } })
        });
        let replicas = (1..)
            .zip(lags)
            .map(|(node, lag)| json!({ "node": node, "role": "voter", "applied": lag.map(|_| 9), "lag": lag }));
        read(json!({
            "cluster_version": 3, "nodes": nodes.collect::<Vec<_>>(),
            "shards": [{ "id": 1, "epoch": 1, "leader": 1, "term": 1, "replicas": replicas.collect::<Vec<_>>() }]
        }))
        .unwrap()
    }

    #[test]
    fn a_node_is_drained_only_where_the_others_are_level() {
        let all = [(true, 4); 3];
        let level = status(all, [Some(500), Some(0), Some(100)]);
        assert_eq!(others_are_not_ready(&level, 1, 100), None);
        let told = others_are_not_ready(&level, 2, 100).unwrap();
        assert!(told.contains("node 1 lags by 500"), "{told}");
        let told = others_are_not_ready(&status(all, [Some(0), None, Some(0)]), 3, 100).unwrap();
        assert!(told.contains("node 2 does not answer"), "{told}");
        assert!(others_are_not_ready(&level, 9, 100).is_some());
        assert_eq!(is_late(&level, 3, 100), None);
        assert!(is_late(&level, 1, 100).is_some());
    }

    #[test]
    fn the_table_says_what_can_be_done() {
        let text = as_text(&status([(true, 4), (true, 3), (true, 4)], [Some(0); 3]));
        assert!(text.contains("has to wait for: node 2"), "{text}");
        let text = as_text(&status([(true, 4); 3], [Some(0); 3]));
        assert!(text.contains("finalize"), "{text}");
        let text = as_text(&status([(true, 3); 3], [Some(0); 3]));
        assert!(text.contains("the newest that its nodes read"), "{text}");
        let text = as_text(&status([(true, 4), (false, 4), (true, 4)], [Some(0); 3]));
        assert!(
            text.contains("node 2"),
            "a node that does not answer is waited for\n{text}"
        );
    }
}
