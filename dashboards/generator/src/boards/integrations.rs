//! What other systems hang on: the change feed, event streams, the change streams between routers and nodes, callers'
//! quotas. Payment is a contract of requests (hold, extend, confirm under one key), so it is seen by route. Readers of the
//! change feed keep their own place in it, so how far behind one is, only it can tell.

use rotunda_metrics::{node, router};

use crate::board::{Board, Panel};
use crate::expression::{max, of, sum};

/// Where a payment provider's answers arrive.
const PAYMENT: &str = "/v1/bookings/.+/(confirm|extend|release|cancel)";

pub(super) fn board() -> Board {
    let feed = || of(&router::HTTP_REQUESTS).having("route", "/v1/events");
    let feed_seconds = of(&router::HTTP_REQUEST_SECONDS).having("route", "/v1/events");
    let payment = of(&router::HTTP_REQUESTS).having("route", PAYMENT);
    let payment_seconds = of(&router::HTTP_REQUEST_SECONDS).having("route", PAYMENT);
    Board::new("integrations", "Rotunda: integrations", "What systems of others see of the cluster.")
        .row(
            "The change feed",
            [
                Panel::stacked("Pages of the feed", "reqps", "Requests for `/v1/events`, by outcome. Readers keep their own cursors: none for long means that a reader has stopped.")
                    .show(sum(&["outcome"], &feed().rate()), "{{outcome}}"),
                Panel::lines("Latency of a page", "s", "Every venue that is asked for is one question to its shard.")
                    .show(feed_seconds.quantile(0.5, &[]), "p50")
                    .show(feed_seconds.quantile(0.99, &[]), "p99"),
            ],
        )
        .row(
            "Event streams of availability",
            [
                Panel::lines("Open", "short", "Event streams, by router.")
                    .show(max(&["instance"], &of(&router::EVENT_STREAMS).now()), "{{instance}}"),
                Panel::stacked(
                    "Ended or refused",
                    "ops",
                    "`full`, `callers_share`: as many are open as may be. `slow_reader`: its reader took nothing for too long. `draining`: the router is about to stop.",
                )
                .show(sum(&["reason"], &of(&router::EVENT_STREAMS_DROPPED).rate()), "{{reason}}"),
                Panel::lines("Answers about availability", "reqps", "`stream`: out of a change stream. `asked`: a node had to be asked.")
                    .show(sum(&["source"], &of(&router::AVAILABILITY_ANSWERS).rate()), "{{source}}"),
            ],
        )
        .row(
            "Change streams from nodes to routers",
            [
                Panel::lines("Venues watched", "short", "Whose change streams a router follows.")
                    .show(max(&["instance"], &of(&router::WATCHED_VENUES).now()), "{{instance}}"),
                Panel::lines("Open at nodes", "short", "Each of one venue to one router; 1,024 at most at a node.")
                    .show(max(&["instance"], &of(&node::WATCHES).now()), "{{instance}}"),
                Panel::stacked("Ended by nodes", "ops", "By reason. The router opens the next at another replica.")
                    .show(sum(&["reason"], &of(&node::WATCHES_DROPPED).rate()), "{{reason}}"),
                Panel::lines("Questions to nodes", "ops", "Those included that a node sent elsewhere.")
                    .show(sum(&["instance"], &of(&node::QUERIES).rate()), "{{instance}}"),
            ],
        )
        .row(
            "Payment, tills and resellers",
            [
                Panel::stacked("Confirm, extend, release, cancel", "reqps", "By outcome. A confirm that is repeated under its key is answered again from the record.")
                    .show(sum(&["outcome"], &payment.rate()), "{{outcome}}"),
                Panel::lines("Their latency, p99", "s", "What a payment provider waits for.")
                    .show(payment_seconds.quantile(0.99, &["route"]), "{{route}}"),
                Panel::stacked("Tickets by channel", "ops", "Of confirmed bookings, per second, by who sold them.")
                    .show(sum(&["channel"], &of(&router::TICKETS_ISSUED).rate()), "{{channel}}"),
                Panel::stacked("Quotas used up", "reqps", "Refused with 429, by role: a reseller that asks for more than its share, or a loop in somebody's program.")
                    .show(sum(&["role", "routes"], &of(&router::RATE_LIMITED).rate()), "{{role}}, {{routes}}"),
            ],
        )
}
