//! What a router counts at its door. `route` is the template of a route, never a path, and `venue` comes from the catalogue.

use crate::metrics;

metrics! {
    /// All of them.
    METRICS:

    HTTP_REQUESTS = Counter Count "rotunda_http_requests_total" ["route" "method" "outcome"]
        "Requests answered, by route, method and outcome.";
    HTTP_REQUEST_SECONDS = Histogram Seconds "rotunda_http_request_seconds" ["route" "method"]
        "Time from a request's head to its answer, by route and method.";
    INFLIGHT_REQUESTS = Gauge Count "rotunda_router_inflight_requests" []
        "Requests being worked on.";
    CONCURRENCY_LIMIT = Gauge Count "rotunda_router_concurrency_limit" []
        "Requests that may be worked on at once.";
    SHED = Counter Count "rotunda_router_shed_total" ["reason"]
        "Requests refused because too much is going on, by reason.";
    RATE_LIMITED = Counter Count "rotunda_router_rate_limited_total" ["quota" "role" "routes"]
        "Requests refused because a quota is used up, by whose it is (caller, venue), the caller's role and the class of routes.";
    TICKETS_ISSUED = Counter Count "rotunda_tickets_issued_total" ["venue" "channel"]
        "Tickets issued by confirmed bookings, by venue and channel.";
    WATCHED_VENUES = Gauge Count "rotunda_router_watched_venues" []
        "Venues whose change streams this router follows.";
    CHANGES_AGE_SECONDS = Gauge Seconds "rotunda_router_changes_age_seconds" []
        "How old the oldest picture of a watched venue is: how far its change stream is behind the outbox that it is read from.";
    AVAILABILITY_ANSWERS = Counter Count "rotunda_router_availability_total" ["source"]
        "Answers about availability: out of a change stream, or asked of the cluster.";
    EVENT_STREAMS = Gauge Count "rotunda_router_event_streams" []
        "Open event streams of availability.";
    PROBE_SUCCESS = Gauge Count "rotunda_probe_success" ["shard"]
        "1 where this router's last probe of the shard booked and released a place of its reserve, 0 where it did not.";
    PROBE_SECONDS = Histogram Seconds "rotunda_probe_duration_seconds" ["shard"]
        "Time that a probe of a shard took, its booking and its release together.";
    PROBE_ATTEMPTS = Counter Count "rotunda_probe_attempts_total" ["shard" "outcome"]
        "Probes of a shard, by outcome: ok, or why not.";
    PROBE_LAST_SUCCESS = Gauge Seconds "rotunda_probe_last_success_timestamp_seconds" ["shard"]
        "When this router's last good probe of the shard ended, in seconds since 1970.";
    EVENT_STREAMS_DROPPED = Counter Count "rotunda_router_event_streams_dropped_total" ["reason"]
        "Event streams that this router ended or refused, by reason.";
}
