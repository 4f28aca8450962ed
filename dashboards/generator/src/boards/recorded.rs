//! Series that Prometheus makes by `deploy/prometheus/rules/recording.yml`. They are named here once; a house test holds that
//! the rules make them.

/// Share of requests answered with our error or refused for our overload, over an hour.
pub(super) const ERRORS_1H: &str = "job:rotunda_http_errors:ratio_rate1h";
/// The same over six hours.
pub(super) const ERRORS_6H: &str = "job:rotunda_http_errors:ratio_rate6h";
/// The same over three days.
pub(super) const ERRORS_3D: &str = "job:rotunda_http_errors:ratio_rate3d";

/// A recorded series of the chosen jobs.
pub(super) fn of(series: &str) -> String {
    format!(r#"{series}{{job=~"$job"}}"#)
}
