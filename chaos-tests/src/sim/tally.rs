//! What the nodes themselves count while they are simulated: their own metrics, summed over nodes and labels. Gauges and
//! histograms are left alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SetRecorderError, SharedString, Unit,
};
use parking_lot::Mutex;

/// Sums by the name of a metric.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<String, Arc<Sum>>>>);

#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl CounterFn for Sum {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

impl Tally {
    /// That counts for this process from now on.
    ///
    /// # Errors
    /// Where something else counts already.
    pub fn install() -> Result<Self, SetRecorderError<Self>> {
        let tally = Self::default();
        metrics::set_global_recorder(tally.clone())?;
        Ok(tally)
    }

    /// The sum of a metric; 0 where nobody counted it.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        let sums = self.0.lock();
        sums.get(name).map_or(0, |sum| sum.0.load(Ordering::Relaxed))
    }
}

impl Recorder for Tally {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut sums = self.0.lock();
        let sum = match sums.get(key.name()) {
            Some(sum) => Arc::clone(sum),
            None => Arc::clone(sums.entry(key.name().to_owned()).or_default()),
        };
        Counter::from_arc(sum)
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_summed() {
        let tally = Tally::default();
        metrics::with_local_recorder(&tally, || {
            metrics::counter!("seen", "shard" => "1").increment(2);
            metrics::counter!("seen", "shard" => "2").increment(3);
        });
        assert_eq!(tally.of("seen"), 5);
        assert_eq!(tally.of("never"), 0);
    }
}
