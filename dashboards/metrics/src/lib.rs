//! Every metric of every process, once: its name, kind, unit, help and labels. Processes register and describe them by these
//! constants, and the dashboards are made from them, so a panel cannot name a metric that is not there.
//!
//! A module for each part that counts. Depends on nothing: [`describe!`] uses the `metrics` crate of whoever calls it.
//! Left out: the values of labels, which are beside what is counted.

pub mod client;
pub mod node;
pub mod process;
pub mod router;
pub mod storage;
pub mod tls;

/// What the samples of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution: `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// As a metrics page says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What one of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things: requests, entries, tickets.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// `rotunda_` and the rest; a counter's ends in `_total`.
    pub name: &'static str,
    /// What its samples are.
    pub kind: Kind,
    /// What one of it is.
    pub unit: Unit,
    /// One sentence, for the metrics page.
    pub help: &'static str,
    /// Names of its labels; each has few values.
    pub labels: &'static [&'static str],
}

/// Every metric of ours and those that libraries and Prometheus itself make and panels use.
#[must_use]
pub fn all() -> Vec<Metric> {
    [
        process::METRICS,
        process::FOREIGN,
        node::METRICS,
        storage::METRICS,
        client::METRICS,
        router::METRICS,
        tls::METRICS,
    ]
    .concat()
}

/// A constant for each line, and the list of them.
macro_rules! metrics {
    ($(#[$of:meta])* $list:ident: $($constant:ident = $kind:ident $unit:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: $crate::Metric = $crate::Metric {
                name: $name,
                kind: $crate::Kind::$kind,
                unit: $crate::Unit::$unit,
                help: $help,
                labels: &[$($label),*],
            };
        )*
        $(#[$of])*
        pub const $list: &[$crate::Metric] = &[$($constant),*];
    };
}
pub(crate) use metrics;

/// Tells the installed recorder of each metric in a list, with the caller's `metrics` crate.
#[macro_export]
macro_rules! describe {
    ($metrics:expr) => {
        for metric in $metrics {
            let unit = match metric.unit {
                $crate::Unit::Count => ::metrics::Unit::Count,
                $crate::Unit::Bytes => ::metrics::Unit::Bytes,
                $crate::Unit::Seconds => ::metrics::Unit::Seconds,
            };
            match metric.kind {
                $crate::Kind::Counter => ::metrics::describe_counter!(metric.name, unit, metric.help),
                $crate::Kind::Gauge => ::metrics::describe_gauge!(metric.name, unit, metric.help),
                $crate::Kind::Histogram => ::metrics::describe_histogram!(metric.name, unit, metric.help),
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, Unit, all, process};

    #[test]
    fn no_two_metrics_share_a_name() {
        let names: BTreeSet<&str> = all().iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn a_name_says_what_it_counts() {
        for metric in all() {
            let name = metric.name;
            assert!(metric.help.ends_with('.'), "{name}: {}", metric.help);
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            if process::FOREIGN.iter().all(|foreign| foreign.name != name) {
                assert!(name.starts_with("rotunda_"), "{name}");
                let ending = match metric.unit {
                    Unit::Count => "",
                    Unit::Bytes => "_bytes",
                    Unit::Seconds => "_seconds",
                };
                assert!(name.ends_with(ending), "{name} is in {:?}", metric.unit);
            }
        }
    }
}
