//! Whether the work is spread: leaders, entries, commands and holds, by shard and by node.

use rotunda_metrics::{node, storage};

use crate::board::{Board, Panel};
use crate::expression::{count, max, of, sum};

pub(super) fn board() -> Board {
    let leaders = sum(&["instance"], &of(&node::RAFT_IS_LEADER).now());
    let spread = format!("max({leaders}) - min({leaders})");
    let applied = max(&["shard"], &of(&node::RAFT_APPLIED_INDEX).growth());
    Board::new("balance", "Rotunda: shard balance", "One hot shard or one busy node limits a cluster whose others are idle.")
        .row(
            "Leaders",
            [
                Panel::bars("Leaders by node", "short", "Groups that each node leads now, the meta group among them.")
                    .show(&leaders, "{{instance}}"),
                Panel::lines("Leaders over time", "short", "After a restart they come back slowly or not at all; unevenness costs throughput, not safety.")
                    .show(&leaders, "{{instance}}"),
                Panel::lines("Spread of leaders", "short", "Between the node that leads most and the one that leads least.")
                    .show(spread, "groups"),
                Panel::bars("Replicas by node", "short", "Groups that each node hosts.")
                    .show(count(&["instance"], &of(&node::RAFT_IS_LEADER).now()), "{{instance}}"),
            ],
        )
        .row(
            "Shards",
            [
                Panel::bars("Entries per second, by shard", "ops", "Applied entries; a shard counts once.").show(&applied, "shard {{shard}}"),
                Panel::lines("Entries per second", "ops", "Applied entries; a shard counts once.").show(&applied, "shard {{shard}}"),
                Panel::lines(
                    "Proposed entries by node",
                    "ops",
                    "Entries that the leaders on a node made, per second.",
                )
                .show(sum(&["instance"], &of(&node::RAFT_BATCH_COMMANDS).samples()), "{{instance}}"),
                Panel::lines("Commands in an entry", "short", "Mean over the interval. Near 1,024 the shard is hot.")
                    .show(of(&node::RAFT_BATCH_COMMANDS).mean(&["shard"]), "shard {{shard}}"),
                Panel::lines("Time spent applying", "percentunit", "Share of the time that a shard's replicas spend applying entries, busiest node. At 1 the shard is as fast as it gets.")
                    .show(max(&["shard"], &of(&storage::APPLY_SECONDS).spent()), "shard {{shard}}"),
                Panel::lines(
                    "Invariants violated",
                    "short",
                    "Rows that do not add up, found by the audit of a replica, by what does not hold. Anything but zero is an incident (InventoryInvariantViolated).",
                )
                .show(sum(&["instance", "shard", "kind"], &of(&node::INVARIANT_VIOLATIONS).increase()), "{{instance}}, shard {{shard}}: {{kind}}"),
                Panel::lines(
                    "Replicas compared",
                    "short",
                    "State hashes of other replicas held against the leader's. `different` is an incident (ReplicaDiverged); `not_at_one_index` says nothing, as while much is sold.",
                )
                .show(sum(&["outcome"], &of(&node::REPLICAS_COMPARED).increase()), "{{outcome}}"),
                Panel::lines("Holds expired", "ops", "By shard, per second.")
                    .show(sum(&["shard"], &of(&node::HOLDS_EXPIRED).rate()), "shard {{shard}}"),
            ],
        )
}
