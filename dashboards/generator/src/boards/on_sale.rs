//! What to look at while a sale opens: does it sell, does it refuse for good reasons, where is it tight.

use rotunda_metrics::{client, node, router};

use crate::board::{Board, Panel};
use crate::expression::{max, of, sum};

pub(super) fn board() -> Board {
    let holds = || {
        of(&router::HTTP_REQUESTS)
            .having("route", "/v1/bookings")
            .having("method", "POST")
    };
    let hold_seconds = || {
        of(&router::HTTP_REQUEST_SECONDS)
            .having("route", "/v1/bookings")
            .having("method", "POST")
    };
    let fullness = format!(
        "{} / {}",
        of(&router::INFLIGHT_REQUESTS).now(),
        of(&router::CONCURRENCY_LIMIT).now()
    );
    let pending = format!(
        "{} / {}",
        of(&node::COMMANDS_PENDING_BYTES).now(),
        of(&node::COMMANDS_PENDING_LIMIT_BYTES).now()
    );

    Board::new("on-sale", "Rotunda: on-sale, live", "The minutes around the opening of a sale.")
        .row(
            "Selling",
            [
                Panel::stacked("Tickets by venue", "ops", "Tickets of confirmed bookings, per second.")
                    .show(sum(&["venue"], &of(&router::TICKETS_ISSUED).rate()), "{{venue}}"),
                Panel::stacked("Tickets by channel", "ops", "Tickets of confirmed bookings, per second, by who sold them.")
                    .show(sum(&["channel"], &of(&router::TICKETS_ISSUED).rate()), "{{channel}}"),
                Panel::stacked(
                    "Holds by outcome",
                    "reqps",
                    "Requests to hold places. `sold_out` is an answer: rising while tickets stop is the end of a sale.",
                )
                .show(sum(&["outcome"], &holds().rate()), "{{outcome}}"),
                Panel::lines("Latency of a hold", "s", "From a request's head to its answer.")
                    .show(hold_seconds().quantile(0.5, &[]), "p50")
                    .show(hold_seconds().quantile(0.99, &[]), "p99")
                    .show(hold_seconds().quantile(0.999, &[]), "p99.9"),
                Panel::lines(
                    "Holds expired",
                    "ops",
                    "Holds that ended without being confirmed, per second. They gave their places back.",
                )
                .show(sum(&["shard"], &of(&node::HOLDS_EXPIRED).rate()), "shard {{shard}}"),
                Panel::lines(
                    "Holds overdue",
                    "s",
                    "For how long the earliest deadline of a shard has been waiting for the entry that ends it. More than a second or two: a crowd's places come back late.",
                )
                .show(max(&["shard"], &of(&node::HOLDS_OVERDUE_SECONDS).now()), "shard {{shard}}"),
            ],
        )
        .row(
            "Looking",
            [
                Panel::lines("Requests by route", "reqps", "What visitors do: looking, holding, paying, scanning.")
                    .show(sum(&["route", "method"], &of(&router::HTTP_REQUESTS).rate()), "{{method}} {{route}}"),
                Panel::lines(
                    "Answers about availability",
                    "reqps",
                    "`stream`: out of a change stream, which costs the cluster nothing. `asked`: a node had to be asked.",
                )
                .show(sum(&["source"], &of(&router::AVAILABILITY_ANSWERS).rate()), "{{source}}"),
                Panel::lines("Age of change streams", "s", "How old the oldest picture of a watched venue is, by router. Beyond a second the cluster is asked instead (OutboxLag).")
                    .show(max(&["instance"], &of(&router::CHANGES_AGE_SECONDS).now()), "{{instance}}"),
                Panel::lines("Event streams", "short", "Open event streams of availability, by router.")
                    .show(sum(&["instance"], &of(&router::EVENT_STREAMS).now()), "{{instance}}"),
            ],
        )
        .row(
            "Where it is tight",
            [
                Panel::lines(
                    "In flight, of the limit",
                    "percentunit",
                    "Requests being worked on, as a share of those that may be, by router. At 1 the next one is refused with 503.",
                )
                .show(max(&["instance"], &fullness), "{{instance}}")
                .up_to(1.0),
                Panel::stacked(
                    "Refused at the door",
                    "reqps",
                    "`in_flight` and `connections`: this router is full. `cluster`: a shard's queue is, or a node's share of memory for pending commands. Quota: a caller asks for more than its share.",
                )
                .show(sum(&["reason"], &of(&router::SHED).rate()), "shed: {{reason}}")
                .show(sum(&["quota", "role"], &of(&router::RATE_LIMITED).rate()), "quota: {{quota}}, {{role}}"),
                Panel::lines(
                    "Commands in an entry",
                    "short",
                    "Mean over the interval. It grows with load; that is what makes a hot slot fast. Near 1,024 the shard is as fast as it gets.",
                )
                .show(of(&node::RAFT_BATCH_COMMANDS).mean(&["shard"]), "shard {{shard}}"),
                Panel::lines(
                    "Commands pending, of the limit",
                    "percentunit",
                    "Memory taken by commands without an answer, as a share of what they may take, by node. At 1 further ones are refused as overloaded.",
                )
                .show(max(&["instance"], &pending), "{{instance}}")
                .up_to(1.0),
                Panel::lines(
                    "Commands on their way",
                    "short",
                    "Commands that the routers have sent to nodes and that have no answer yet.",
                )
                .show(sum(&["instance"], &of(&client::CLIENT_IN_FLIGHT_COMMANDS).now()), "{{instance}}"),
                Panel::lines(
                    "Attempts at nodes that were not answered",
                    "ops",
                    "Retries are safe; many of them say that a leader is moving or a node is slow.",
                )
                .show(
                    sum(
                        &["reason"],
                        &of(&client::CLIENT_ATTEMPTS)
                            .having("reason", "not_leader|stale_epoch|not_here|overloaded|unknown|malformed|broken|unreachable|silent")
                            .rate(),
                    ),
                    "{{reason}}",
                ),
            ],
        )
}
