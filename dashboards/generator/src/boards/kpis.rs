//! The four KPIs, and how fast the error budget of 99.99 % goes. The first page that anybody looks at.

use rotunda_metrics::{node, router};

use super::recorded;
use crate::board::{Board, Panel};
use crate::expression::{count, max, of, sum};

/// Share of requests that may fail.
const BUDGET: &str = "0.0001";

pub(super) fn board() -> Board {
    let errors = of(&router::HTTP_REQUESTS).having("outcome", "error|shed").rate();
    let requests = of(&router::HTTP_REQUESTS).rate();
    let bad_share = format!("(sum({errors}) or vector(0)) / sum({requests})");
    let probes = of(&router::PROBE_ATTEMPTS).rate();
    let failed_probes = of(&router::PROBE_ATTEMPTS)
        .having("outcome", "unavailable|unknown|overloaded|refused|wrong")
        .rate();
    let bad_probes = format!("(sum({failed_probes}) or vector(0)) / sum({probes})");
    // Of both, the worse: what nobody asks for fails no request. Without probers it is the requests alone.
    let uptime = format!("1 - (({bad_share} > {bad_probes}) or {bad_probes} or {bad_share})");
    let fullness = format!(
        "{} / {}",
        of(&router::INFLIGHT_REQUESTS).now(),
        of(&router::CONCURRENCY_LIMIT).now()
    );
    let leaderless = count(
        &[],
        &format!("{} == 0", max(&["shard"], &of(&node::RAFT_IS_LEADER).now())),
    );
    let burn = |series| format!("{} / {BUDGET}", recorded::of(series));

    Board::new("kpis", "Rotunda: KPIs and SLO", "Is the cluster selling, and how much of the error budget is left.")
        .row(
            "The four KPIs",
            [
                Panel::stat(
                    "Uptime",
                    "percentunit",
                    "Share of requests that were not answered with our error or refused for our overload, or share of probes that booked and released a place in every shard's reserve, whichever is less. Sold out, conflicts, mistakes and quotas of callers count as answered.",
                )
                .show(uptime, "answered")
                .up_to(1.0)
                .better_from(0.999, 0.9999),
                Panel::stat(
                    "In flight, of the limit",
                    "percentunit",
                    "Requests being worked on, as a share of those that may be; the fullest router. At 1 the next request is refused with 503.",
                )
                .show(max(&[], &fullness), "fullest router")
                .up_to(1.0)
                .worse_from(0.5, 0.8),
                Panel::stat(
                    "Tickets issued",
                    "ops",
                    "Tickets of confirmed bookings, per second. The throughput that counts: not requests, not holds.",
                )
                .show(format!("{} or vector(0)", sum(&[], &of(&router::TICKETS_ISSUED).rate())), "tickets"),
                Panel::stat(
                    "Errors and overload",
                    "percentunit",
                    "Share of requests answered with our error or refused for our overload.",
                )
                .show(&bad_share, "errors")
                .worse_from(0.000_1, 0.001),
            ],
        )
        .row(
            "The error budget of 99.99 %",
            [
                Panel::lines(
                    "Burn rate",
                    "short",
                    "How many times faster than evenly over 30 days the budget goes, over the windows that alerts look at. At 1 it lasts exactly; 14.4 over an hour and 6 over six hours page somebody (ErrorBudgetBurn). Made by recording rules, by job alone.",
                )
                .show(burn(recorded::ERRORS_1H), "1 h, {{job}}")
                .show(burn(recorded::ERRORS_6H), "6 h, {{job}}")
                .show(burn(recorded::ERRORS_3D), "3 d, {{job}}")
                .wide(12)
                .worse_from(1.0, 14.4),
                Panel::lines(
                    "Errors by route",
                    "reqps",
                    "Requests answered with our error or refused for our overload, by route: what visitors miss.",
                )
                .show(sum(&["route", "outcome"], &errors), "{{route}}: {{outcome}}")
                .wide(12),
            ],
        )
        .row(
            "What the probers see",
            [
                Panel::stat(
                    "Shards that cannot be booked",
                    "short",
                    "Shards in whose reserve no router could book and release a place when it last tried. Each router tries every few seconds (ProbeFailing).",
                )
                .show(
                    format!("{} or vector(0)", count(&[], &format!("{} == 0", max(&["shard"], &of(&router::PROBE_SUCCESS).now())))),
                    "shards",
                )
                .wide(6)
                .worse_from(1.0, 1.0),
                Panel::lines(
                    "Last good probe",
                    "s",
                    "How long ago a place of the shard's reserve was last booked and released, by the router that did so last. It stays below the interval of the probes.",
                )
                .show(format!("time() - {}", max(&["shard"], &of(&router::PROBE_LAST_SUCCESS).now())), "shard {{shard}}")
                .wide(6),
                Panel::lines(
                    "Probes that failed",
                    "ops",
                    "By shard and why. `unavailable`: nobody answered; `unknown`: it was proposed and found no majority; `overloaded`: a queue is full; `refused`: the reserve is full or the node is older; `wrong`: an answer that cannot be.",
                )
                .show(sum(&["shard", "outcome"], &failed_probes), "shard {{shard}}: {{outcome}}")
                .wide(6),
                Panel::lines("Time of a probe", "s", "A booking and its release together, all shards.")
                    .show(of(&router::PROBE_SECONDS).quantile(0.5, &[]), "p50")
                    .show(of(&router::PROBE_SECONDS).quantile(0.99, &[]), "p99")
                    .wide(6),
            ],
        )
        .row(
            "What goes with them",
            [
                Panel::stat(
                    "Shards without a leader",
                    "short",
                    "Shards that sell nothing just now, the meta group (0) among them. During a failover it is not zero for a moment.",
                )
                .show(format!("{leaderless} or vector(0)"), "shards")
                .wide(8)
                .worse_from(1.0, 1.0),
                Panel::lines(
                    "Requests by outcome",
                    "reqps",
                    "`error` is ours, `shed` is our overload. `sold_out`, `conflict`, `client_error` and `quota` are answers.",
                )
                .show(sum(&["outcome"], &requests), "{{outcome}}"),
                Panel::lines(
                    "Latency",
                    "s",
                    "From a request's head to its answer, all routes. A failover shows as a peak here, not as errors.",
                )
                .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.5, &[]), "p50")
                .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.99, &[]), "p99")
                .show(of(&router::HTTP_REQUEST_SECONDS).quantile(0.999, &[]), "p99.9"),
            ],
        )
}
