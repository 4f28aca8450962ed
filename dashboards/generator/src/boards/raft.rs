//! Consensus: who leads, how far each log is, what an entry costs.

use rotunda_metrics::{node, storage};

use crate::board::{Board, Panel};
use crate::expression::{count, max, min, of, sum};

pub(super) fn board() -> Board {
    let applied = of(&node::RAFT_APPLIED_INDEX).now();
    let lag = format!("{} - {}", max(&["shard"], &applied), min(&["shard"], &applied));
    let leaderless = count(
        &[],
        &format!("{} == 0", max(&["shard"], &of(&node::RAFT_IS_LEADER).now())),
    );
    let unapplied = format!(
        "{} - {}",
        of(&node::RAFT_COMMITTED_INDEX).now(),
        of(&node::RAFT_APPLIED_INDEX).now()
    );
    let kept = format!(
        "{} - {}",
        of(&node::RAFT_LAST_LOG_INDEX).now(),
        of(&node::RAFT_PURGED_INDEX).now()
    );
    let missing = format!(
        "{} - {}",
        max(&["shard"], &of(&node::RAFT_VOTERS).now()),
        sum(&["shard"], &of(&node::RAFT_HAS_LEADER).now())
    );
    Board::new("raft", "Rotunda: Raft", "Leaders, logs and what an entry costs, by shard. Shard 0 is the meta group.")
        .row(
            "Leaders",
            [
                Panel::stat("Shards without a leader", "short", "Shards that sell nothing just now. During a failover it is not zero for a moment.")
                    .show(format!("{leaderless} or vector(0)"), "shards")
                    .wide(8)
                    .worse_from(1.0, 1.0),
                Panel::lines(
                    "Replicas missing",
                    "short",
                    "Voting replicas of a shard that are not there or know no leader. One of three: the next failure stops the shard.",
                )
                .show(missing, "shard {{shard}}"),
                Panel::lines(
                    "Changes of term",
                    "short",
                    "Elections in the last five minutes, by shard. More than a few without a restart: heartbeats come too late, from a busy machine, a slow disk or a bad link.",
                )
                .show(max(&["shard"], &of(&node::RAFT_TERM).changes("5m")), "shard {{shard}}"),
            ],
        )
        .row(
            "Entries",
            [
                Panel::lines("Entries per second", "ops", "Applied entries, by shard; a shard counts once, however many replicas it has.")
                    .show(max(&["shard"], &of(&node::RAFT_APPLIED_INDEX).growth()), "shard {{shard}}"),
                Panel::lines("Commands in an entry", "short", "Mean over the interval. It grows with load; that is what makes a hot slot fast.")
                    .show(of(&node::RAFT_BATCH_COMMANDS).mean(&["shard"]), "shard {{shard}}"),
                Panel::lines("Entries in flight", "short", "Proposed by the leader and not yet applied.")
                    .show(max(&["shard"], &of(&node::RAFT_PROPOSALS_IN_FLIGHT).now()), "shard {{shard}}"),
                Panel::lines(
                    "Proposals whose fate was not known",
                    "ops",
                    "`lost_leadership`: expected for a moment in a failover. `timeout`: no quorum. The router repeats them under the same key.",
                )
                .show(sum(&["shard", "reason"], &of(&node::RAFT_PROPOSALS_FAILED).rate()), "shard {{shard}}: {{reason}}"),
                Panel::lines("Lag", "short", "Entries between the replica that has applied most and the one that has applied least, by shard.")
                    .show(lag, "shard {{shard}}"),
                Panel::lines("Committed, not applied", "short", "Entries that a replica knows to be committed and has not applied, by node.")
                    .show(max(&["instance"], &unapplied), "{{instance}}"),
            ],
        )
        .row(
            "What an entry costs",
            [
                Panel::lines("Fsync", "s", "Time to write and sync one batch of the log, over all groups of a node. Nothing is acknowledged sooner.")
                    .show(of(&storage::FSYNC_SECONDS).quantile(0.5, &["instance"]), "p50 {{instance}}")
                    .show(of(&storage::FSYNC_SECONDS).quantile(0.99, &["instance"]), "p99 {{instance}}"),
                Panel::lines("Synced batches", "ops", "Fsyncs of the log, by node.")
                    .show(sum(&["instance"], &of(&storage::FSYNC_SECONDS).samples()), "{{instance}}"),
                Panel::lines("Bytes in a synced batch", "bytes", "Mean over the interval, by node.")
                    .show(of(&storage::APPEND_BATCH_BYTES).mean(&["instance"]), "{{instance}}"),
                Panel::lines("Apply, p99", "s", "Time to apply one entry and write its rows, by shard, slowest node.")
                    .show(max(&["shard"], &of(&storage::APPLY_SECONDS).quantile(0.99, &["shard", "instance"])), "shard {{shard}}"),
                Panel::lines(
                    "Round trip between nodes, p99",
                    "s",
                    "Time until a node answered a small question of another, which is asked every two seconds. Unanswered ones are not in it.",
                )
                .show(of(&node::PEER_ROUND_TRIP_SECONDS).quantile(0.99, &["instance", "node"]), "{{instance}} to node {{node}}"),
                Panel::lines("Entries kept", "short", "Entries in a log, for followers that come back; the longest of each node.")
                    .show(max(&["instance"], &kept), "{{instance}}"),
            ],
        )
        .row(
            "After an outage",
            [
                Panel::lines(
                    "Snapshots installed",
                    "short",
                    "How often a replica was so far behind that it took a whole snapshot. Normal after an outage; all the time it is not.",
                )
                .show(sum(&["instance"], &of(&storage::SNAPSHOTS_INSTALLED).increase()), "{{instance}}"),
                Panel::lines(
                    "Log ends cut",
                    "short",
                    "How often entries that were never committed were cut off a log after a change of leader. Normal after an outage; all the time it is not.",
                )
                .show(sum(&["instance"], &of(&storage::LOG_TRUNCATIONS).increase()), "{{instance}}"),
                Panel::lines(
                    "Logs that went back",
                    "short",
                    "How often a node had lost entries that it had acknowledged, by node. Its leader fills it again; its disk does not sync (LogWentBack).",
                )
                .show(sum(&["node"], &of(&node::RAFT_LOG_REVERSIONS).increase()), "node {{node}}"),
                Panel::lines("Clock offset", "s", "Wall clock minus the median of all nodes' clocks. Beyond half a second the node gives leadership away.")
                    .show(of(&node::CLOCK_OFFSET_SECONDS).now(), "{{instance}}")
                .signed(),
            ],
        )
}
