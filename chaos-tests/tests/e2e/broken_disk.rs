//! A disk that fails or is full. What a failed write left behind is unknown, so the node ends at the first one and says
//! why; the others sell on; and the node comes back without having lost what it acknowledged.

use std::os::unix::process::ExitStatusExt as _;

use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::Cluster;
use rotunda_chaos::disk::SmallDisk;
use rotunda_chaos::faults::{library, not_covered};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::wait;

use crate::failover::until_sold;
use crate::{HOT_VENUE, VISITORS, selling_cluster_of};

const SIGABRT: i32 = 6;
const WARM: usize = 200;
const GOING_ON: usize = 10;

/// Of a node's data while everything is well: two databases with room to write ahead.
const DISK: u64 = 160 << 20;
/// What is left when it gets tight: some seconds of selling.
const LEFT: u64 = 256 << 10;

/// What a node said in all its runs.
fn said(cluster: &Cluster, node: u32) -> String {
    std::fs::read_to_string(&cluster.process(node).recipe().log).expect("a log")
}

/// The node ends by itself, at once and not in order, and says what broke.
#[track_caller]
fn assert_broke(cluster: &mut Cluster, node: u32, causes: &[&str]) {
    let before = cluster.process(node).recipe().log.clone();
    let end = cluster.until_ended(node);
    let said = std::fs::read_to_string(before).expect("a log");
    assert_eq!(end.signal(), Some(SIGABRT), "{end}\n{said}");
    let last = said
        .lines()
        .rev()
        .find(|line| line.starts_with("rotunda: "))
        .unwrap_or_default();
    for cause in causes.iter().chain(&["this node stops"]) {
        assert!(last.contains(cause), "{cause:?} is not in {last:?}\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_node_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = match library(folder.path()) {
        Ok(library) => library,
        Err(reason) => return not_covered("a failing sync", reason, true),
    };
    let (mut cluster, hot, offers) = selling_cluster_of(Cluster::builder().faults(&library)).await;
    if !cluster.orders(1).are_heard() {
        return not_covered("a failing sync", "the node did not load the library", false);
    }
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, WARM).await;

    // A leader's log; a follower's mark; the rows, at the flush of an orderly end.
    let leader = cluster.leader_of(hot.shard).await;
    cluster.orders(leader).fail_next_sync(".log");
    assert_broke(&mut cluster, leader, &["raftdb", ".log", "Input/output error"]);
    until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;
    cluster.start_node(leader);
    cluster.until_caught_up(leader).await;

    let follower = cluster.follower_of(hot.shard).await;
    cluster.orders(follower).fail_next_sync("MARK");
    assert_broke(&mut cluster, follower, &["MARK", "Input/output error"]);
    until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;
    cluster.start_node(follower);
    cluster.until_caught_up(follower).await;

    cluster.orders(follower).fail_next_sync(".sst");
    cluster.process(follower).signal_to_end();
    assert_broke(&mut cluster, follower, &["statedb", ".sst", "Input/output error"]);
    cluster.start_node(follower);
    cluster.until_caught_up(follower).await;

    // Every disk at once: what was not synced is nowhere, and what was acknowledged must be.
    for node in cluster.nodes() {
        cluster.orders(node).fail_next_sync(".log");
    }
    wait::until("the quorum to end", async || {
        let ended = cluster
            .nodes()
            .into_iter()
            .filter(|node| cluster.has_ended(*node))
            .count();
        if ended >= 2 {
            Ok(())
        } else {
            Err(format!("{ended} ended"))
        }
    })
    .await;
    for node in cluster.nodes() {
        // A last one, alone, has nothing to write any more.
        cluster.kill(node);
    }
    let failed: u32 = cluster
        .nodes()
        .iter()
        .map(|node| cluster.orders(*node).failed_syncs())
        .sum();
    assert!(failed >= 5, "{failed} syncs failed");
    for node in cluster.nodes() {
        cluster.orders(node).fail_no_sync();
        cluster.start_node(node);
    }
    cluster.until_led().await;
    until_sold(&mut cluster, &recorder, None, WARM).await;

    let history = selling.stop().await;
    let audit = Audit::run(&mut cluster, &history).await;
    tell(format!(
        "{failed} syncs failed: log, mark, rows, and all logs at once; {VISITORS} visitors\n{audit}"
    ));
    audit.assert_sound();
    assert_eq!(
        history.unknown().count(),
        0,
        "every visitor learnt what became of every request"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_node_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    if let Err(missing) = SmallDisk::mount(folder.path(), 1 << 20) {
        return not_covered("a full disk", missing.reason, missing.could_be);
    }
    let mut builder = Cluster::builder().node_flags("--memory 64MiB");
    for node in 1..=3 {
        builder = builder.small_disk(node, DISK);
    }
    let (mut cluster, hot, offers) = selling_cluster_of(builder).await;
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, WARM).await;

    let leader = cluster.leader_of(hot.shard).await;
    cluster.disk(leader).fill(LEFT);
    assert_broke(&mut cluster, leader, &["No space left on device"]);
    until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;

    // Still full: it may start and meet the end again, or refuse; it does not hang, and it does not stay in silence.
    cluster.disk(leader).fill(0);
    let ends = said(&cluster, leader).matches("No space left on device").count();
    cluster.start_node(leader);
    let end = cluster.until_ended(leader);
    let said = said(&cluster, leader);
    assert!(!end.success(), "{end}\n{said}");
    assert!(said.matches("No space left on device").count() > ends, "{end}\n{said}");
    until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;

    cluster.disk(leader).free();
    cluster.start_node(leader);
    cluster.until_caught_up(leader).await;
    until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;

    let history = selling.stop().await;
    let audit = Audit::run(&mut cluster, &history).await;
    tell(format!(
        "the leader's disk full, and full again at its start; {VISITORS} visitors\n{audit}"
    ));
    audit.assert_sound();
    assert_eq!(
        history.unknown().count(),
        0,
        "every visitor learnt what became of every request"
    );
}
