//! What a node tells Prometheus: descriptions of everything it registers, and the gauges that are read off at a scrape. The
//! names are in `dashboards/metrics`.

use std::sync::Arc;

use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rotunda_metrics::{node as names, process, tls};
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
        .set_buckets_for_metric(Matcher::Full(names::RAFT_BATCH_COMMANDS.name.into()), BATCH_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_bytes".into()), BYTES_BUCKETS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

/// Spans were sent to the collector, or lost.
pub fn spans_sent(spans: Result<usize, usize>) {
    let (outcome, spans) = match spans {
        Ok(spans) => ("sent", spans),
        Err(spans) => ("lost", spans),
    };
    counter!(process::TRACE_SPANS.name, "outcome" => outcome).increment(spans as u64);
}

fn describe() {
    spans_sent(Ok(0));
    spans_sent(Err(0));
    rotunda_metrics::describe!(process::METRICS);
    rotunda_metrics::describe!(names::METRICS);
    rotunda_metrics::describe!(tls::METRICS);
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
        gauge!(process::BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION"), "revision" => revision()).set(1.0);
        self.process.collect();
        self.store.publish();
        self.publish_budget();
        self.publish_backup();
        publish(&self.meta.group.status(1), self.meta.group.voters());
        for shard in self.shards.all() {
            publish(&shard.group.status(shard.epoch), shard.group.voters());
        }
        self.handle.run_upkeep();
        self.handle.render()
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53")]
    fn publish_backup(&self) {
        let finished_at = self.meta.watch().borrow().backup.finished_at;
        gauge!(names::BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS.name).set(finished_at as f64 / 1_000.0);
    }

    /// What was counted, with the memory taken just now: all that the overview shows, at a fraction of a scrape's cost.
    #[must_use]
    pub(crate) fn counted(&self) -> String {
        self.publish_budget();
        self.handle.render()
    }

    #[expect(clippy::cast_precision_loss, reason = "memory stays below 2^53 bytes")]
    fn publish_budget(&self) {
        gauge!(names::MEMORY_BUDGET_BYTES.name).set(self.budget.memory_bytes() as f64);
        gauge!(names::COMMANDS_PENDING_BYTES.name).set(self.budget.commands().taken() as f64);
        gauge!(names::COMMANDS_PENDING_LIMIT_BYTES.name).set(self.budget.commands().limit() as f64);
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
fn publish(status: &ReplicaStatus, voters: usize) {
    let labels = [("shard", status.shard.to_string())];
    gauge!(names::RAFT_IS_LEADER.name, &labels).set(f64::from(u8::from(status.role == "leader")));
    gauge!(names::RAFT_HAS_LEADER.name, &labels).set(f64::from(u8::from(status.leader_replica != 0)));
    gauge!(names::RAFT_VOTERS.name, &labels).set(voters as f64);
    gauge!(names::RAFT_TERM.name, &labels).set(status.term as f64);
    gauge!(names::RAFT_LAST_LOG_INDEX.name, &labels).set(status.last_log as f64);
    gauge!(names::RAFT_COMMITTED_INDEX.name, &labels).set(status.committed as f64);
    gauge!(names::RAFT_APPLIED_INDEX.name, &labels).set(status.applied as f64);
    gauge!(names::RAFT_PURGED_INDEX.name, &labels).set(status.purged as f64);
}
