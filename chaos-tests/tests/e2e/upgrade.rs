//! From the programs of an older commit to ours and back, one process at a time, while everybody buys through two routers
//! without a second try; and what is final once the cluster's version is raised.
//!
//! The old programs are built from the repository's history by `.ci/setup old` (`make test` calls it). Where the history is
//! not there (a shallow clone without its origin), the tests say so and pass; in the gate, which sets `CI` where it could build
//! them, they fail.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rotunda_chaos::audit::Audit;
use rotunda_chaos::balancer::Balancer;
use rotunda_chaos::binaries;
use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::history::Recorder;
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::visitor::Visitor;
use rotunda_chaos::wait;
use serde_json::Value;

use crate::failover::until_sold;
use crate::{Hot, selling_cluster_of};

/// So many at a time: the cluster is busy, and two cores are not drowned.
const BUYERS: usize = 12;
/// Holds between two steps.
const GOING_ON: usize = 25;
/// Longer than a balancer takes to see that a router is not ready any more.
const DRAIN_DELAY: &str = "--drain-delay 1s";
/// What a binary says of data that are too new for it.
const TOO_NEW: &str = "was written in format";

/// The old programs; `None`, aloud, where they cannot be had.
fn old_programs() -> Option<PathBuf> {
    match binaries::old_folder() {
        Ok(folder) => Some(folder),
        Err(missing) if std::env::var_os("CI").is_some() => panic!("{missing}"),
        Err(missing) => {
            eprintln!("NOT TESTED: {missing}");
            None
        }
    }
}

/// Runs our `rotunda` against a router.
fn rotunda(cluster: &Cluster, door: &str, arguments: &[&str]) -> Output {
    Command::new(binaries::path("rotunda"))
        .args(arguments)
        .env("ROTUNDA_ROUTER", door)
        .env("ROTUNDA_TOKEN", cluster.token())
        .output()
        .unwrap()
}

/// What it printed, where all was well.
fn told(cluster: &Cluster, door: &str, arguments: &[&str]) -> String {
    let output = tokio::task::block_in_place(|| rotunda(cluster, door, arguments));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "rotunda {arguments:?}:\n{out}\n{err}");
    out
}

/// Where the run is, for a failure's sake.
fn note(balancer: &Balancer, what: &str) {
    let (failed, _) = balancer.failures();
    tell(format!(
        "{:>8.3} s  {what}; {failed} requests failed so far",
        balancer.elapsed().as_secs_f64()
    ));
}

/// Versions of the nodes' binaries, as the nodes say themselves.
async fn versions(cluster: &Cluster) -> Vec<String> {
    let statuses = cluster.statuses().await;
    statuses.into_iter().map(|(_, status)| status.version).collect()
}

/// One process at a time from these programs: the nodes, then the routers.
async fn roll(cluster: &mut Cluster, programs: &Path, recorder: &Recorder, balancer: &Balancer, by_command: bool) {
    for node in cluster.nodes() {
        let (id, door) = (node.to_string(), cluster.door());
        if by_command {
            told(cluster, &door, &["node", "drain", &id]);
            let statuses = cluster.statuses().await;
            let (_, drained) = statuses
                .iter()
                .find(|(id, _)| *id == node)
                .expect("a node that answers");
            assert!(
                drained.replicas.iter().all(|replica| replica.role != "leader"),
                "a drained node leads: {drained:?}"
            );
            note(balancer, &format!("node {node} is drained"));
        }
        cluster.restart_node_from(node, programs);
        note(balancer, &format!("node {node} runs the other binary"));
        cluster.until_caught_up(node).await;
        if by_command {
            told(cluster, &door, &["node", "ready", &id]);
        }
        until_sold(cluster, recorder, None, GOING_ON).await;
        note(balancer, &format!("node {node} has caught up"));
    }
    for door in cluster.doors() {
        cluster.restart_router_from(&door, programs).await;
        wait::until("the balancer to see the router", async || {
            balancer
                .is_ready(&door)
                .then_some(())
                .ok_or_else(|| "not ready".to_owned())
        })
        .await;
        until_sold(cluster, recorder, None, GOING_ON).await;
        note(balancer, &format!("the router at {door} runs the other binary"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_and_down_one_at_a_time_and_no_request_fails() {
    let Some(old) = old_programs() else { return };
    // The timing of production: with shorter elections a busy machine changes leaders by itself.
    let builder = Cluster::builder()
        .plain_inside()
        .programs(&old)
        .default_timing()
        .router_flags(DRAIN_DELAY);
    let (mut cluster, Hot { offer, .. }, offers) = selling_cluster_of(builder).await;
    cluster.add_router().await;
    let balancer = Balancer::over(cluster.doors());
    let selling = Selling::start_as(
        Recorder::default(),
        || Visitor::behind(&balancer),
        None,
        BUYERS,
        Manner::Living,
        &offer,
        &offers,
    );
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, GOING_ON).await;
    note(&balancer, "all of it is old");

    let ours = binaries::folder();
    // The old nodes know no drain by command: SIGTERM is theirs.
    roll(&mut cluster, &ours, &recorder, &balancer, false).await;
    assert!(
        versions(&cluster)
            .await
            .iter()
            .all(|version| version.contains("+formats.")),
        "every node is new"
    );
    let door = cluster.door();
    let stands: Value =
        serde_json::from_str(&told(&cluster, &door, &["cluster", "version", "--output", "json"])).unwrap();
    assert_eq!(stands["cluster_version"], 3, "nobody has raised it: {stands}");
    assert!(
        stands["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["newest"] == 4),
        "{stands}"
    );
    note(&balancer, "all of it is new");

    roll(&mut cluster, &old, &recorder, &balancer, true).await;
    assert!(
        !versions(&cluster)
            .await
            .iter()
            .any(|version| version.contains("+formats.")),
        "every node is old"
    );
    note(&balancer, "all of it is old again");

    until_sold(&mut cluster, &recorder, None, GOING_ON).await;
    let history = selling.stop().await;
    cluster.until_settled().await;
    let audit = Audit::run(&mut cluster, &history).await;
    let (failed, shown) = balancer.failures();
    tell(format!(
        "three nodes and two routers upgraded and downgraded in turn, {} requests, {failed} failed\n{audit}",
        history.records.len() + history.reads.len()
    ));
    audit.assert_sound();
    assert_eq!(failed, 0, "requests failed:\n{}", shown.join("\n"));
    assert_eq!(history.unknown().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_version_is_refused_while_a_node_is_behind_and_is_final() {
    let Some(old) = old_programs() else { return };
    let mut cluster = Cluster::builder().plain_inside().programs(&old).shards(2).start().await;
    cluster.import(rotunda_chaos::cluster::MERIDIAN).await;
    let (ours, door) = (binaries::folder(), cluster.door());
    cluster.restart_router_from(&door, &ours).await;
    for node in [1, 2] {
        cluster.restart_node_from(node, &ours);
        cluster.until_caught_up(node).await;
    }

    // Whichever node leads the meta group, and be it the old one, which does not know the call.
    wait::until("a refusal that names node 3 alone", async || {
        let output = tokio::task::block_in_place(|| rotunda(&cluster, &door, &["cluster", "version", "finalize"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it was raised under an old node: {said}");
        // The others have made themselves known as new by then.
        let names_it = said.contains("nodes_behind") && said.contains("node 3 runs 0.1.0");
        let alone = !said.contains("node 1 runs") && !said.contains("node 2 runs");
        (names_it && alone).then_some(()).ok_or(said)
    })
    .await;

    cluster.restart_node_from(3, &ours);
    cluster.until_caught_up(3).await;
    wait::until("every node to be known by what it reads", async || {
        let output = tokio::task::block_in_place(|| rotunda(&cluster, &door, &["cluster", "version", "finalize"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    })
    .await;
    let stands = told(&cluster, &door, &["cluster", "version"]);
    assert!(stands.contains("the cluster is at version 4"), "{stands}");
    // The directories say so a moment later, before anything of the new version is written.
    cluster.until_settled().await;

    let node = 2;
    cluster.terminate(node);
    let before = cluster.process(node).tail();
    cluster.start_node_from(node, &old);
    let ended = cluster.until_ended(node);
    let said = cluster.process(node).tail();
    assert!(!ended.success(), "an old binary serves data that it cannot read");
    assert!(
        said.contains(TOO_NEW) && said.contains("nothing was changed") && said != before,
        "{said}"
    );
    // And so it is: the new one goes on.
    cluster.start_node_from(node, &ours);
    cluster.until_caught_up(node).await;
    cluster.until_settled().await;
    let answer = http().get(format!("{door}/v1/venues")).send().await.unwrap();
    assert!(answer.status().is_success());
}
