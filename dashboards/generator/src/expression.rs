//! PromQL from metrics. What would be nonsense of a metric of its kind (a counter by itself, a quantile of a gauge) cannot be
//! asked for: it panics, and so `make dashboards` does. What comes of it is read once by PromQL's grammar.

use rotunda_metrics::{Kind, Metric};

/// What the dashboard's variables leave of a metric, and of that what the filters do.
pub struct Of<'a> {
    metric: &'a Metric,
    filters: Vec<String>,
}

/// The samples of a metric of the chosen jobs and instances.
#[must_use]
pub fn of(metric: &Metric) -> Of<'_> {
    Of {
        metric,
        filters: vec![r#"job=~"$job""#.to_owned(), r#"instance=~"$instance""#.to_owned()],
    }
}

impl Of<'_> {
    /// Only those whose label matches the regular expression.
    ///
    /// # Panics
    /// Where the metric has no such label.
    #[must_use]
    pub fn having(mut self, label: &str, matches: &str) -> Self {
        let name = self.metric.name;
        assert!(self.metric.labels.contains(&label), "{name} has no label {label}");
        self.filters.push(format!(r#"{label}=~"{matches}""#));
        self
    }

    fn selector(&self, kind: Kind, ending: &str) -> String {
        let name = self.metric.name;
        assert_eq!(self.metric.kind, kind, "{name} is no {}", kind.as_str());
        format!("{name}{ending}{{{}}}", self.filters.join(","))
    }

    /// A gauge as it is.
    #[must_use]
    pub fn now(&self) -> String {
        self.selector(Kind::Gauge, "")
    }

    /// How often a gauge changed within the window.
    #[must_use]
    pub fn changes(&self, window: &str) -> String {
        format!("changes({}[{window}])", self.now())
    }

    /// A gauge that only grows, as a rate.
    #[must_use]
    pub fn growth(&self) -> String {
        format!("rate({}[$__rate_interval])", self.now())
    }

    /// A counter, per second.
    #[must_use]
    pub fn rate(&self) -> String {
        format!("rate({}[$__rate_interval])", self.selector(Kind::Counter, ""))
    }

    /// What a counter gained from one point of the panel to the next.
    #[must_use]
    pub fn increase(&self) -> String {
        format!("increase({}[$__rate_interval])", self.selector(Kind::Counter, ""))
    }

    /// A quantile of a histogram, for each of `by`.
    #[must_use]
    pub fn quantile(&self, quantile: f64, by: &[&str]) -> String {
        let by = [&["le"], by].concat();
        let rate = format!("rate({}[$__rate_interval])", self.selector(Kind::Histogram, "_bucket"));
        format!("histogram_quantile({quantile}, {})", sum(&by, &rate))
    }

    /// The mean of a histogram's samples, for each of `by`.
    #[must_use]
    pub fn mean(&self, by: &[&str]) -> String {
        let rate = |ending| {
            sum(
                by,
                &format!("rate({}[$__rate_interval])", self.selector(Kind::Histogram, ending)),
            )
        };
        format!("{} / {}", rate("_sum"), rate("_count"))
    }

    /// The sum of a histogram's samples, per second: of times, the share of the time that was spent.
    #[must_use]
    pub fn spent(&self) -> String {
        format!("rate({}[$__rate_interval])", self.selector(Kind::Histogram, "_sum"))
    }

    /// Samples of a histogram, per second.
    #[must_use]
    pub fn samples(&self) -> String {
        format!("rate({}[$__rate_interval])", self.selector(Kind::Histogram, "_count"))
    }
}

/// Panics where PromQL's grammar does not take the expression.
pub(crate) fn assert_reads(expression: &str) {
    let plain = expression.replace("$__rate_interval", "5m");
    if let Err(error) = promql_parser::parser::parse(&plain) {
        panic!("{expression}: {error}");
    }
}

fn aggregated(how: &str, by: &[&str], of: &str) -> String {
    if by.is_empty() {
        format!("{how}({of})")
    } else {
        format!("{how} by ({}) ({of})", by.join(", "))
    }
}

/// `sum by (..) (..)`.
#[must_use]
pub fn sum(by: &[&str], of: &str) -> String {
    aggregated("sum", by, of)
}

/// `max by (..) (..)`.
#[must_use]
pub fn max(by: &[&str], of: &str) -> String {
    aggregated("max", by, of)
}

/// `min by (..) (..)`.
#[must_use]
pub fn min(by: &[&str], of: &str) -> String {
    aggregated("min", by, of)
}

/// `count by (..) (..)`.
#[must_use]
pub fn count(by: &[&str], of: &str) -> String {
    aggregated("count", by, of)
}

#[cfg(test)]
mod tests {
    use rotunda_metrics::{node, router, storage};

    use super::{of, sum};

    #[test]
    fn a_rate_of_a_counter_is_promql() {
        assert_eq!(
            sum(
                &["outcome"],
                &of(&router::HTTP_REQUESTS).having("outcome", "error|shed").rate()
            ),
            "sum by (outcome) (rate(rotunda_http_requests_total\
             {job=~\"$job\",instance=~\"$instance\",outcome=~\"error|shed\"}[$__rate_interval]))"
        );
    }

    #[test]
    fn a_quantile_keeps_the_buckets_apart() {
        assert_eq!(
            of(&storage::FSYNC_SECONDS).quantile(0.99, &["instance"]),
            "histogram_quantile(0.99, sum by (le, instance) (rate(rotunda_raft_fsync_seconds_bucket\
             {job=~\"$job\",instance=~\"$instance\"}[$__rate_interval])))"
        );
    }

    #[test]
    #[should_panic(expected = "is no gauge")]
    fn a_counter_by_itself_is_refused() {
        let _ = of(&router::HTTP_REQUESTS).now();
    }

    #[test]
    #[should_panic(expected = "sum(")]
    fn what_is_no_promql_is_refused() {
        super::assert_reads("sum(up");
    }

    #[test]
    #[should_panic(expected = "has no label venue")]
    fn a_label_that_is_not_there_is_refused() {
        let _ = of(&node::RAFT_TERM).having("venue", "x");
    }
}
