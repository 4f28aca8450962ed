//! Real nodes die in the middle of what they do, under load: at each step around append, vote, apply, flush, purge,
//! truncate, snapshot and install. After each the node is started again on what it left; at the end the audit finds nothing
//! lost and nothing twice.
//!
//! Needs nodes that were built with failpoints, which no other build has: `make failpoints` makes them and runs this. The
//! same steps without a cluster around them, and with every read compared: `raft-storage/src/tests/crash.rs`.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::Cluster;
use rotunda_chaos::history::Recorder;
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::wait;
use rotunda_protocol::client::ReplicaStatus;

use crate::failover::until_sold;
use crate::{VISITORS, selling_cluster_of};

const SIGABRT: i32 = 6;
const WARM: usize = 300;
const GOING_ON: usize = 10;

/// Checkpoints come every 30 s, and not before there is enough to purge.
const CHECKPOINT: Duration = Duration::from_secs(150);

/// Dies at every step, and keeps few entries, so that it purges.
const VICTIM: u32 = 2;
/// Keeps few entries too: who is behind it needs a snapshot.
const FORGETFUL: u32 = 1;
/// Keeps all, for the audit, and is never down for long.
const WITNESS: u32 = 3;
const FEW: u64 = 64;

/// One shard for each node: few, so that each has many entries.
const SHARDS: u64 = 2;

struct Scene {
    cluster: Cluster,
    recorder: Recorder,
    hot: u64,
    died_at: Vec<String>,
}

impl Scene {
    /// Starts a node that dies at the step.
    fn start_armed(&mut self, node: u32, step: &str, after: u64) {
        let actions = format!("{step}={after}*off->return");
        self.cluster.start_node_with(node, &[("FAILPOINTS", &actions)]);
    }

    /// Starts it again to die at the step, once it is well.
    async fn arm(&mut self, node: u32, step: &str, after: u64) {
        self.cluster.kill(node);
        self.start_armed(node, step, after);
    }

    /// The node ends at the step, and nowhere else.
    async fn until_dead(&mut self, node: u32, step: &str) {
        let what = format!("node {node} to die at {step}");
        wait::until_within(&what, CHECKPOINT, async || {
            self.cluster
                .has_ended(node)
                .then_some(())
                .ok_or_else(|| "it runs".to_owned())
        })
        .await;
        let end = self.cluster.until_ended(node);
        let log = &self.cluster.process(node).recipe().log;
        let said = String::from_utf8_lossy(&std::fs::read(log).expect("a log")).into_owned();
        let last = said.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
        assert_eq!(end.signal(), Some(SIGABRT), "{end}: {last}");
        assert!(
            said.lines()
                .rev()
                .take(20)
                .any(|line| line == format!("failpoint {step} reached: abort")),
            "{what}: it said {last}"
        );
        self.died_at.push(step.to_owned());
    }

    /// The others sell meanwhile, and it comes back.
    async fn recover(&mut self, node: u32) {
        until_sold(&mut self.cluster, &self.recorder, None, GOING_ON).await;
        self.cluster.start_node(node);
        self.cluster.until_caught_up(node).await;
    }

    /// A step that comes by itself where everybody buys.
    async fn dies_while_selling(&mut self, step: &str, after: u64) {
        self.arm(VICTIM, step, after).await;
        self.until_dead(VICTIM, step).await;
        self.recover(VICTIM).await;
    }

    async fn replica(&self, node: u32) -> Result<ReplicaStatus, String> {
        let replicas = self.cluster.replicas_of(self.hot).await;
        let found = replicas.into_iter().find(|(id, _)| *id == node);
        found
            .map(|(_, replica)| replica)
            .ok_or_else(|| format!("node {node} does not say"))
    }

    /// Hands the hot shard to a node, as often as it takes; one that is armed may die of it.
    async fn give_leadership_to(&mut self, node: u32) {
        let hot = self.hot;
        let what = format!("node {node} to lead shard {hot}");
        wait::until(&what, async || {
            // Once it has died there may be nobody to lead: whoever leads is not waited for.
            let leads = self.replica(node).await.is_ok_and(|replica| replica.role == "leader");
            if leads || self.cluster.has_ended(node) {
                return Ok(());
            }
            let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
            let asked = self.cluster.client().transfer_leader(hot, node, deadline).await;
            Err(format!("{asked:?}"))
        })
        .await;
    }

    /// A vote is what a node gives itself when it is asked to take over.
    async fn dies_while_voting(&mut self, step: &str) {
        self.arm(VICTIM, step, 0).await;
        self.give_leadership_to(VICTIM).await;
        self.until_dead(VICTIM, step).await;
        self.recover(VICTIM).await;
    }

    /// A leader whose followers are dead has entries that nobody else has; when the others have gone on without it, it
    /// has to drop them.
    async fn dies_while_truncating(&mut self, step: &str) {
        self.arm(VICTIM, step, 0).await;
        self.cluster.until_caught_up(VICTIM).await;
        self.give_leadership_to(VICTIM).await;
        for other in [FORGETFUL, WITNESS] {
            self.cluster.kill(other);
        }
        wait::until("entries that only one node has", async || {
            let replica = self.replica(VICTIM).await?;
            if replica.last_log > replica.committed {
                Ok(())
            } else {
                Err(format!("{} of {}", replica.committed, replica.last_log))
            }
        })
        .await;
        self.cluster.pause(VICTIM);
        for other in [FORGETFUL, WITNESS] {
            self.cluster.start_node(other);
        }
        until_sold(&mut self.cluster, &self.recorder, None, GOING_ON).await;
        self.cluster.resume(VICTIM);
        self.until_dead(VICTIM, step).await;
        self.recover(VICTIM).await;
    }

    /// Stops the victim until the forgetful node leads and has purged what the victim lacks.
    async fn fall_behind(&mut self) {
        if !self.cluster.has_ended(VICTIM) {
            self.cluster.kill(VICTIM);
        }
        let last = self.replica(WITNESS).await.map_or(0, |replica| replica.last_log);
        let what = format!("node {FORGETFUL} to purge shard {} beyond {last}", self.hot);
        wait::until_within(&what, CHECKPOINT, async || {
            let replica = self.replica(FORGETFUL).await?;
            if replica.purged > last {
                Ok(())
            } else {
                Err(format!("purged {} of {}", replica.purged, replica.applied))
            }
        })
        .await;
        self.give_leadership_to(FORGETFUL).await;
    }

    async fn dies_while_installing(&mut self, step: &str) {
        self.fall_behind().await;
        self.start_armed(VICTIM, step, 0);
        self.until_dead(VICTIM, step).await;
        self.recover(VICTIM).await;
    }

    /// A leader builds the snapshot as soon as it sees that it has purged what another one needs, be that one there or not;
    /// so it is armed when that has come about.
    async fn dies_while_sending(&mut self, step: &str) {
        self.fall_behind().await;
        self.arm(FORGETFUL, step, 0).await;
        self.give_leadership_to(FORGETFUL).await;
        self.cluster.start_node(VICTIM);
        self.until_dead(FORGETFUL, step).await;
        self.recover(FORGETFUL).await;
        self.cluster.until_caught_up(VICTIM).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nodes built with failpoints: make failpoints"]
async fn nodes_die_in_the_middle_of_everything_and_lose_nothing() {
    let builder = Cluster::builder()
        .shards(SHARDS)
        .keep_log_entries_of(FORGETFUL, FEW)
        .keep_log_entries_of(VICTIM, FEW);
    let (cluster, hot, offers) = selling_cluster_of(builder).await;
    // They give back what they hold: this takes minutes, and there has to be something left to sell.
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Looking, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    let mut scene = Scene {
        cluster,
        recorder,
        hot: hot.shard,
        died_at: Vec::new(),
    };
    until_sold(&mut scene.cluster, &scene.recorder, None, WARM).await;

    for (step, after) in [
        ("append.queued", 20),
        ("append.before_sync", 20),
        ("append.synced", 20),
        ("append.marked", 20),
        ("apply.before_write", 20),
        ("apply.written", 20),
        ("apply.answered", 20),
        ("flush.before", 0),
        ("flush.done", 0),
        ("purge.before_sync", 0),
        ("purge.synced", 0),
    ] {
        scene.dies_while_selling(step, after).await;
    }
    for step in ["vote.queued", "vote.before_sync", "vote.synced"] {
        scene.dies_while_voting(step).await;
    }
    for step in ["truncate.before_sync", "truncate.synced"] {
        scene.dies_while_truncating(step).await;
    }
    for step in [
        "snapshot.begun",
        "snapshot.rows_written",
        "snapshot.flushed",
        "descriptor.before_sync",
        "descriptor.synced",
        "install.loaded",
        "install.deleted",
    ] {
        scene.dies_while_installing(step).await;
    }
    for step in ["snapshot.built", "snapshot.chunk_read"] {
        scene.dies_while_sending(step).await;
    }

    until_sold(&mut scene.cluster, &scene.recorder, None, WARM).await;
    let history = selling.stop().await;
    let audit = Audit::run(&mut scene.cluster, &history).await;
    let steps: BTreeSet<&String> = scene.died_at.iter().collect();
    tell(format!(
        "nodes died at {} steps, {VISITORS} visitors: {}\n{audit}",
        steps.len(),
        scene.died_at.join(", ")
    ));
    audit.assert_sound();
    assert_eq!(steps.len(), 25, "a node died at every step there is");
}
