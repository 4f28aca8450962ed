//! What a node counts: its Raft groups, the holds and questions in its care, its clock, memory and connections. What lies
//! below, on disk, is in [`storage`](crate::storage).

use crate::metrics;

metrics! {
    /// All of them.
    METRICS:

    RAFT_IS_LEADER = Gauge Count "rotunda_raft_is_leader" ["shard"]
        "1 where this node leads the shard, else 0. Shard 0 is the meta group.";
    RAFT_HAS_LEADER = Gauge Count "rotunda_raft_has_leader" ["shard"]
        "1 where this node knows a leader of the shard, else 0.";
    RAFT_VOTERS = Gauge Count "rotunda_raft_voters" ["shard"]
        "Replicas of the shard that vote, as this node knows it.";
    RAFT_TERM = Gauge Count "rotunda_raft_term" ["shard"]
        "Raft term of the shard as this node knows it.";
    RAFT_LAST_LOG_INDEX = Gauge Count "rotunda_raft_last_log_index" ["shard"]
        "Index of the last entry in this node's log of the shard.";
    RAFT_COMMITTED_INDEX = Gauge Count "rotunda_raft_committed_index" ["shard"]
        "Index up to which this node knows the shard's log to be committed.";
    RAFT_APPLIED_INDEX = Gauge Count "rotunda_raft_applied_index" ["shard"]
        "Index up to which this node has applied the shard's log.";
    RAFT_PURGED_INDEX = Gauge Count "rotunda_raft_purged_index" ["shard"]
        "Index up to which this node has dropped the shard's log.";
    RAFT_PROPOSALS_IN_FLIGHT = Gauge Count "rotunda_raft_proposals_in_flight" ["shard"]
        "Entries that the shard's leader has proposed and not yet applied.";
    RAFT_BATCH_COMMANDS = Histogram Count "rotunda_raft_batch_commands" ["shard"]
        "Commands in one proposed entry.";
    RAFT_PROPOSALS_FAILED = Counter Count "rotunda_raft_proposals_failed_total" ["shard" "reason"]
        "Proposed entries whose fate this node could not tell its callers, by reason.";
    PEER_ROUND_TRIP_SECONDS = Histogram Seconds "rotunda_peer_round_trip_seconds" ["node"]
        "Time until another node answered a small question, which is asked every two seconds, by node; unanswered ones are not in it.";
    HOLDS_EXPIRED = Counter Count "rotunda_holds_expired_total" ["shard"]
        "Holds that ended without being confirmed.";
    HOLDS_OVERDUE_SECONDS = Gauge Seconds "rotunda_holds_overdue_seconds" ["shard"]
        "For how long the earliest deadline of the shard has been waiting for the entry that ends it; 0 where none has passed and where another node leads.";
    INVARIANT_VIOLATIONS = Counter Count "rotunda_invariant_violations_total" ["shard" "kind"]
        "Rows found on this replica that do not add up, by what does not hold; a row counts again each time that it is looked at.";
    REPLICAS_COMPARED = Counter Count "rotunda_replicas_compared_total" ["shard" "outcome"]
        "Comparisons of another replica's state hash with that of the leader, by outcome; made by the shard's leader.";
    RAFT_LOG_REVERSIONS = Counter Count "rotunda_raft_log_reversions_total" ["node"]
        "Times that another node had lost entries of its log which it had acknowledged to this one, by node.";
    QUERIES = Counter Count "rotunda_queries_total" []
        "Questions asked of this node, those included that it sent elsewhere.";
    WATCHES = Gauge Count "rotunda_watches" []
        "Open change streams, each of one venue to one router.";
    WATCHES_DROPPED = Counter Count "rotunda_watches_dropped_total" ["reason"]
        "Change streams that this node ended, by reason.";
    CLOCK_OFFSET_SECONDS = Gauge Seconds "rotunda_clock_offset_seconds" []
        "This machine's wall clock minus the median of all nodes' clocks.";
    MEMORY_BUDGET_BYTES = Gauge Bytes "rotunda_memory_budget_bytes" []
        "What all caches, queues and buffers of this node may take together (--memory).";
    COMMANDS_PENDING_BYTES = Gauge Bytes "rotunda_commands_pending_bytes" []
        "Share of the memory budget taken by commands that have no answer yet.";
    COMMANDS_PENDING_LIMIT_BYTES = Gauge Bytes "rotunda_commands_pending_limit_bytes" []
        "Share of the memory budget for commands that have no answer yet; beyond it further ones are refused as overloaded.";
    BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS = Gauge Seconds "rotunda_backup_last_success_timestamp_seconds" []
        "When the last backup of the cluster was complete, in seconds since 1970, as the meta group keeps it; 0 where none ever was.";
    CONNECTIONS_REFUSED = Counter Count "rotunda_connections_refused_total" []
        "Connections closed at once because as many as the memory budget allows were open.";
}
