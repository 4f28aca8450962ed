//! The door: what comes in, how long it takes, what is refused, and what the routers meet at the nodes.

use rotunda_metrics::{client, router};

use crate::board::{Board, Panel};
use crate::expression::{max, of, sum};

pub(super) fn board() -> Board {
    let frames = format!(
        "{} / {}",
        sum(&["instance"], &of(&client::CLIENT_FRAME_COMMANDS).rate()),
        sum(&["instance"], &of(&client::CLIENT_FRAMES).rate())
    );
    Board::new("router", "Rotunda: router", "The HTTP door, by route and by router.")
        .row(
            "Requests",
            [
                Panel::stacked(
                    "Requests by outcome",
                    "reqps",
                    "`error` is ours, `shed` is our overload. `sold_out`, `conflict`, `client_error` and `quota` are answers.",
                )
                .show(sum(&["outcome"], &of(&router::HTTP_REQUESTS).rate()), "{{outcome}}"),
                Panel::lines("Requests by route", "reqps", "All outcomes.")
                    .show(sum(&["route", "method"], &of(&router::HTTP_REQUESTS).rate()), "{{method}} {{route}}"),
                Panel::stacked("Requests by router", "reqps", "Whether whatever stands before the routers spreads what comes.")
                    .show(sum(&["instance"], &of(&router::HTTP_REQUESTS).rate()), "{{instance}}"),
                Panel::lines("Latency", "s", "From a request's head to its answer, all routes.")
                    .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.5, &[]), "p50")
                    .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.99, &[]), "p99")
                    .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.999, &[]), "p99.9"),
                Panel::lines(
                    "Latency by route, p99",
                    "s",
                    "The slowest hundredth of each route. Imports wait for all of their slots and are slow by nature.",
                )
                .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.99, &["route", "method"]), "{{method}} {{route}}"),
                Panel::lines("Latency by router, p99", "s", "One that stands out has a machine or a network of its own trouble.")
                    .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.99, &["instance"]), "{{instance}}"),
            ],
        )
        .row(
            "Limits",
            [
                Panel::lines("In flight", "short", "Requests being worked on, and those that may be.")
                    .show(max(&["instance"], &of(&router::INFLIGHT_REQUESTS).now()), "{{instance}}")
                    .show(max(&["instance"], &of(&router::CONCURRENCY_LIMIT).now()), "limit of {{instance}}"),
                Panel::stacked(
                    "Shed",
                    "reqps",
                    "Refused with 503 because too much goes on. `in_flight`, `connections`: here. `cluster`: a shard's queue, or a node's memory for pending commands.",
                )
                .show(sum(&["reason"], &of(&router::SHED).rate()), "{{reason}}"),
                Panel::stacked(
                    "Quotas used up",
                    "reqps",
                    "Refused with 429, by whose quota it was, the caller's role and the class of routes. Each router counts for itself.",
                )
                .show(sum(&["quota", "role", "routes"], &of(&router::RATE_LIMITED).rate()), "{{quota}}, {{role}}, {{routes}}"),
            ],
        )
        .row(
            "The nodes, as the routers meet them",
            [
                Panel::stacked(
                    "Attempts at nodes, by how they ended",
                    "ops",
                    "What the routers met before they answered. Retries are safe; many of them say that a leader is moving or a node is slow.",
                )
                .show(sum(&["reason"], &of(&client::CLIENT_ATTEMPTS).rate()), "{{reason}}"),
                Panel::lines("Commands on their way", "short", "Sent to nodes and not answered yet.")
                    .show(sum(&["instance"], &of(&client::CLIENT_IN_FLIGHT_COMMANDS).now()), "{{instance}}"),
                Panel::lines(
                    "Commands in a frame",
                    "short",
                    "Mean over the interval: how well commands share what it costs to send them.",
                )
                .show(frames, "{{instance}}"),
                Panel::lines(
                    "Command streams opened",
                    "ops",
                    "A stream to a node is opened when one broke. All the time: a node that restarts, or a network that cuts connections.",
                )
                .show(sum(&["instance"], &of(&client::CLIENT_STREAMS_OPENED).rate()), "{{instance}}"),
                Panel::lines(
                    "Version of the shard map",
                    "short",
                    "The map that each router goes by. One that stays behind does not hear from its node.",
                )
                .show(max(&["instance"], &of(&client::CLIENT_MAP_VERSION).now()), "{{instance}}"),
            ],
        )
}
