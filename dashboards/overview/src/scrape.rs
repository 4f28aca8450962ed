//! Reads a process's own metrics page, and works out what happened between two readings.
//!
//! Lenient, since it is the same process that wrote it: a line that is not understood is passed over. Only the metrics that
//! are asked for are kept, since a page may have thousands of lines.

use std::collections::BTreeMap;

use rotunda_metrics::{Kind, Metric};

/// The samples of the metrics that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape {
    samples: BTreeMap<&'static str, Vec<(String, f64)>>,
    /// Counts of each histogram at or below each bound, over all labels; bounds in order.
    buckets: BTreeMap<&'static str, Vec<(f64, f64)>>,
    sums: BTreeMap<&'static str, (f64, f64)>,
}

impl Scrape {
    /// Reads the metrics out of a page.
    pub(crate) fn read(page: &str, wanted: &[&'static Metric]) -> Self {
        let mut scrape = Self::default();
        for (name, labels, value) in page.lines().filter_map(sample) {
            for metric in wanted {
                let Some(rest) = name.strip_prefix(metric.name) else {
                    continue;
                };
                match (metric.kind, rest) {
                    (Kind::Histogram, "_bucket") => scrape.bucket(metric.name, labels, value),
                    (Kind::Histogram, "_sum") => scrape.sums.entry(metric.name).or_default().0 += value,
                    (Kind::Histogram, "_count") => scrape.sums.entry(metric.name).or_default().1 += value,
                    (Kind::Counter | Kind::Gauge, "") => {
                        let samples = scrape.samples.entry(metric.name).or_default();
                        samples.push((labels.to_owned(), value));
                    }
                    _ => {}
                }
            }
        }
        for buckets in scrape.buckets.values_mut() {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        }
        scrape
    }

    fn bucket(&mut self, name: &'static str, labels: &str, value: f64) {
        let Some(bound) = label(labels, "le").and_then(|le| match le {
            "+Inf" => Some(f64::INFINITY),
            le => le.parse().ok(),
        }) else {
            return;
        };
        let buckets = self.buckets.entry(name).or_default();
        match buckets.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += value,
            None => buckets.push((bound, value)),
        }
    }

    /// Over all labels.
    pub(crate) fn total(&self, metric: &Metric) -> f64 {
        self.of(metric, |_| true)
    }

    /// Over all samples whose `label` is one of these.
    pub(crate) fn total_of(&self, metric: &Metric, name: &str, among: &[&str]) -> f64 {
        self.of(metric, |labels| {
            label(labels, name).is_some_and(|value| among.contains(&value))
        })
    }

    fn of(&self, metric: &Metric, fits: impl Fn(&str) -> bool) -> f64 {
        let samples = self.samples.get(metric.name).map(Vec::as_slice).unwrap_or_default();
        samples
            .iter()
            .filter(|(labels, _)| fits(labels))
            .map(|(_, value)| value)
            .sum()
    }

    /// Whether the page has it at all.
    pub(crate) fn has(&self, metric: &Metric) -> bool {
        self.samples.contains_key(metric.name)
    }

    /// Sum of all that a histogram recorded, and how many.
    pub(crate) fn sum_and_count(&self, metric: &Metric) -> (f64, f64) {
        self.sums.get(metric.name).copied().unwrap_or_default()
    }
}

/// What lies between two readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between<'a> {
    pub(crate) before: &'a Scrape,
    pub(crate) now: &'a Scrape,
    pub(crate) seconds: f64,
}

impl Between<'_> {
    /// How much more `of` gives now than before; a process's counters never fall.
    pub(crate) fn more(&self, of: impl Fn(&Scrape) -> f64) -> f64 {
        (of(self.now) - of(self.before)).max(0.0)
    }

    /// The same, a second.
    pub(crate) fn rate(&self, of: impl Fn(&Scrape) -> f64) -> f64 {
        self.more(of) / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// What so large a share of a histogram's new values are at most, within the bucket by proportion. None where there
    /// are no new values.
    pub(crate) fn quantile(&self, metric: &Metric, share: f64) -> Option<f64> {
        let now = self.now.buckets.get(metric.name)?;
        let before = self
            .before
            .buckets
            .get(metric.name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let grown = |bound: f64, count: f64| {
            let known = before
                .iter()
                .find(|(known, _)| *known == bound)
                .map_or(0.0, |(_, count)| *count);
            (count - known).max(0.0)
        };
        let all = now.last().map(|(bound, count)| grown(*bound, *count))?;
        if all <= 0.0 {
            return None;
        }
        let wanted = share * all;
        let (mut below, mut counted) = (0.0, 0.0);
        for (bound, count) in now {
            let here = grown(*bound, *count);
            if here >= wanted {
                if bound.is_infinite() {
                    return Some(below);
                }
                return Some(below + (bound - below) * (wanted - counted) / (here - counted).max(f64::MIN_POSITIVE));
            }
            (below, counted) = (*bound, here);
        }
        Some(below)
    }
}

/// Name, labels as they stand, value.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (left, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    Some(match left.split_once('{') {
        Some((name, labels)) => (name, labels.trim_end_matches('}'), value),
        None => (left, "", value),
    })
}

/// The value of a label. Values of ours have no quotation marks in them.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split("\",").find_map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        (key == name).then(|| value.trim_end_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use rotunda_metrics::router;

    use super::*;

    const WANTED: &[&Metric] = &[
        &router::HTTP_REQUESTS,
        &router::HTTP_REQUEST_SECONDS,
        &router::INFLIGHT_REQUESTS,
    ];

    fn page(ok: u32, quick: u32, slow: u32) -> Scrape {
        let all = quick + slow;
        let page = format!(
            "# HELP rotunda_http_requests_total Requests.\n# TYPE rotunda_http_requests_total counter\n\
             rotunda_http_requests_total{{route=\"/v1/bookings/{{booking}}\",method=\"POST\",outcome=\"ok\"}} {ok}\n\
             rotunda_http_requests_total{{route=\"/v1/a\",method=\"GET\",outcome=\"error\"}} 2\n\
             rotunda_router_inflight_requests 17\n\
             rotunda_http_request_seconds_bucket{{route=\"a\",le=\"0.01\"}} {quick}\n\
             rotunda_http_request_seconds_bucket{{route=\"a\",le=\"0.1\"}} {all}\n\
             rotunda_http_request_seconds_bucket{{route=\"a\",le=\"+Inf\"}} {all}\n\
             rotunda_http_request_seconds_bucket{{route=\"b\",le=\"0.01\"}} 0\n\
             rotunda_http_request_seconds_bucket{{route=\"b\",le=\"+Inf\"}} 0\n\
             rotunda_http_request_seconds_sum{{route=\"a\"}} 1.5\n\
             rotunda_http_request_seconds_count{{route=\"a\"}} {all}\n\
             not a sample at all\n"
        );
        Scrape::read(&page, WANTED)
    }

    #[test]
    fn samples_are_summed_over_the_labels_that_were_not_asked_for() {
        let scrape = page(5, 0, 0);
        assert_eq!(scrape.total(&router::HTTP_REQUESTS), 7.0);
        assert_eq!(scrape.total_of(&router::HTTP_REQUESTS, "outcome", &["ok", "shed"]), 5.0);
        assert_eq!(scrape.total_of(&router::HTTP_REQUESTS, "come", &["ok"]), 0.0);
        assert_eq!(scrape.total(&router::INFLIGHT_REQUESTS), 17.0);
        assert_eq!(scrape.sum_and_count(&router::HTTP_REQUEST_SECONDS), (1.5, 0.0));
        assert!(!scrape.has(&router::CONCURRENCY_LIMIT));
    }

    #[test]
    fn quantiles_are_those_of_what_is_new() {
        let (before, now) = (page(0, 1_000, 0), page(10, 1_090, 10));
        let between = Between {
            before: &before,
            now: &now,
            seconds: 2.0,
        };
        assert_eq!(between.rate(|page| page.total(&router::HTTP_REQUESTS)), 5.0);
        let half = between
            .quantile(&router::HTTP_REQUEST_SECONDS, 0.5)
            .expect("there are new ones");
        assert!((half - 0.01 * 50.0 / 90.0).abs() < 1e-9, "{half}");
        let most = between
            .quantile(&router::HTTP_REQUEST_SECONDS, 0.99)
            .expect("there are new ones");
        assert!((most - (0.01 + 0.09 * 0.9)).abs() < 1e-9, "{most}");
        let nothing = Between {
            before: &now,
            now: &now,
            seconds: 1.0,
        };
        assert_eq!(nothing.quantile(&router::HTTP_REQUEST_SECONDS, 0.5), None);
    }
}
