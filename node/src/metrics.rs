//! What a node tells Prometheus: descriptions of everything it registers, and the gauges that are read off at a scrape.

use std::sync::Arc;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rotunda_protocol::proto::admin::ReplicaStatus;
use rotunda_raft_storage::Store;

use crate::budget::Budget;
use crate::meta::controller::Meta;
use crate::shards::Shards;

/// Seconds. From a cached fsync to one that is an incident.
const LATENCY_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Commands in one entry.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// Bytes in one synced write.
const BYTES_BUCKETS: &[f64] = &[
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
];

/// Installs the recorder for the process.
///
/// # Errors
/// Where one is installed already.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), LATENCY_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("rotunda_raft_batch_commands".into()), BATCH_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_bytes".into()), BYTES_BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_gauge!(
        "rotunda_build_info",
        "Always 1; version and revision of the binary are its labels."
    );
    describe_gauge!(
        "rotunda_raft_is_leader",
        "1 where this node leads the shard, else 0. Shard 0 is the meta group."
    );
    describe_gauge!(
        "rotunda_raft_has_leader",
        "1 where this node knows a leader of the shard, else 0."
    );
    describe_gauge!("rotunda_raft_term", "Raft term of the shard as this node knows it.");
    describe_gauge!(
        "rotunda_raft_last_log_index",
        "Index of the last entry in this node's log of the shard."
    );
    describe_gauge!(
        "rotunda_raft_committed_index",
        "Index up to which this node knows the shard's log to be committed."
    );
    describe_gauge!(
        "rotunda_raft_applied_index",
        "Index up to which this node has applied the shard's log."
    );
    describe_gauge!(
        "rotunda_raft_purged_index",
        "Index up to which this node has dropped the shard's log."
    );
    describe_gauge!(
        "rotunda_raft_proposals_in_flight",
        "Entries that the shard's leader has proposed and not yet applied."
    );
    describe_histogram!("rotunda_raft_batch_commands", "Commands in one proposed entry.");
    describe_counter!(
        "rotunda_raft_proposals_failed_total",
        "Proposed entries whose fate this node could not tell its callers, by reason."
    );
    describe_counter!(
        "rotunda_holds_expired_total",
        "Holds that ended without being confirmed."
    );
    describe_counter!(
        "rotunda_queries_total",
        "Questions asked of this node, those included that it sent elsewhere."
    );
    describe_gauge!(
        "rotunda_watches",
        "Open change streams, each of one venue to one router."
    );
    describe_counter!(
        "rotunda_watches_dropped_total",
        "Change streams that this node ended, by reason."
    );
    describe_gauge!(
        "rotunda_clock_offset_seconds",
        Unit::Seconds,
        "This machine's wall clock minus the median of all nodes' clocks."
    );
    describe_gauge!(
        "rotunda_memory_budget_bytes",
        Unit::Bytes,
        "What all caches, queues and buffers of this node may take together (--memory)."
    );
    describe_gauge!(
        "rotunda_commands_pending_bytes",
        Unit::Bytes,
        "Share of the memory budget taken by commands that have no answer yet."
    );
    describe_gauge!(
        "rotunda_commands_pending_limit_bytes",
        Unit::Bytes,
        "Share of the memory budget for commands that have no answer yet; beyond it further ones are refused as overloaded."
    );
    describe_counter!(
        "rotunda_connections_refused_total",
        "Connections closed at once because as many as the memory budget allows were open."
    );
    rotunda_raft_storage::describe_metrics();
    metrics_process::Collector::default().describe();
}

/// Everything that a scrape shows.
#[derive(Clone)]
pub struct Page {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    meta: Arc<Meta>,
    shards: Shards,
    store: Store,
    budget: Arc<Budget>,
}

impl Page {
    /// Over the parts of a running node.
    #[must_use]
    pub fn new(handle: PrometheusHandle, meta: Arc<Meta>, shards: Shards, store: Store, budget: Arc<Budget>) -> Self {
        Self {
            handle,
            process: metrics_process::Collector::default(),
            meta,
            shards,
            store,
            budget,
        }
    }

    /// Prometheus' text.
    #[must_use]
    pub fn render(&self) -> String {
        gauge!("rotunda_build_info", "version" => env!("CARGO_PKG_VERSION"), "revision" => revision()).set(1.0);
        self.process.collect();
        self.store.publish();
        self.publish_budget();
        publish(&self.meta.group.status(1));
        for shard in self.shards.all() {
            publish(&shard.group.status(shard.epoch));
        }
        self.handle.run_upkeep();
        self.handle.render()
    }

    #[expect(clippy::cast_precision_loss, reason = "memory stays below 2^53 bytes")]
    fn publish_budget(&self) {
        gauge!("rotunda_memory_budget_bytes").set(self.budget.memory_bytes() as f64);
        gauge!("rotunda_commands_pending_bytes").set(self.budget.commands().taken() as f64);
        gauge!("rotunda_commands_pending_limit_bytes").set(self.budget.commands().limit() as f64);
    }
}

/// Of the sources, where the build was told.
fn revision() -> &'static str {
    option_env!("ROTUNDA_REVISION").unwrap_or("unknown")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "indexes stay below 2^53 for longer than any cluster lives"
)]
fn publish(status: &ReplicaStatus) {
    let labels = [("shard", status.shard.to_string())];
    gauge!("rotunda_raft_is_leader", &labels).set(f64::from(u8::from(status.role == "leader")));
    gauge!("rotunda_raft_has_leader", &labels).set(f64::from(u8::from(status.leader_replica != 0)));
    gauge!("rotunda_raft_term", &labels).set(status.term as f64);
    gauge!("rotunda_raft_last_log_index", &labels).set(status.last_log as f64);
    gauge!("rotunda_raft_committed_index", &labels).set(status.committed as f64);
    gauge!("rotunda_raft_applied_index", &labels).set(status.applied as f64);
    gauge!("rotunda_raft_purged_index", &labels).set(status.purged as f64);
}
