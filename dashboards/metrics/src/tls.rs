//! What a process that speaks TLS tells of its certificates and of callers that it did not let in.

use crate::metrics;

metrics! {
    /// Of nodes and routers that are given certificates.
    METRICS:

    CERTIFICATE_NOT_AFTER = Gauge Seconds "rotunda_tls_certificate_not_after_timestamp_seconds" ["certificate"]
        "When a certificate in use is over, since 1970: the process's own, its authority's or the door's.";
    HANDSHAKES_FAILED = Counter Count "rotunda_tls_handshakes_failed_total" ["side"]
        "Connections that were not made because a certificate or version was refused, by us or by them; called or calling.";
    RENEWALS = Counter Count "rotunda_tls_renewals_total" ["outcome"]
        "New certificates that were found in the files: taken up, or refused, and then the old ones stay.";
}
