//! A history over time: how much was done, how long it took, what failed, and what was broken meanwhile.

use std::collections::BTreeMap;

use crate::history::lines::{Ended, Healing, Phase};
use crate::history::reader::Saved;

/// So many columns: one is then a few pixels wide on a screen, and still one on a phone.
const COLUMNS: u64 = 120;

/// A history over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// When it ended; it begins at 0 of the run's clock.
    pub end_ns: u64,
    /// Length of a column.
    pub column_ns: u64,
    /// In order of time.
    pub columns: Vec<Column>,
    /// What was broken, by class.
    pub lanes: Vec<Lane>,
    /// When the heal phase was reached, and when it ended.
    pub heals: Vec<(Healing, u64)>,
    /// All that was answered, as in one column.
    pub whole: Column,
}

/// Operations that returned within a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Done.
    pub ok: u64,
    /// Refused by the log, as sold out: an answer like any other.
    pub refused: u64,
    /// Turned away before any log.
    pub turned_away: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Half of the answers took no longer; none where there was none.
    pub p50_ns: Option<u64>,
    /// All but one of a hundred took no longer.
    pub p99_ns: Option<u64>,
}

/// One class of faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// `kill`, `partition`, ...
    pub fault: String,
    /// From, until, and what it was done to.
    pub spans: Vec<(u64, u64, String)>,
}

impl Timeline {
    /// Counts.
    #[must_use]
    pub fn of(saved: &Saved) -> Self {
        let end_ns = saved.ended_ns().max(1);
        let column_ns = end_ns.div_ceil(COLUMNS).max(1);
        let count = usize::try_from(end_ns.div_ceil(column_ns)).unwrap_or(0);
        let mut columns = vec![Column::default(); count];
        let mut latencies: Vec<Vec<u64>> = vec![Vec::new(); count];
        for op in &saved.operations {
            let number = usize::try_from(op.returned_ns.saturating_sub(1) / column_ns).unwrap_or(usize::MAX);
            let (Some(column), Some(latencies)) = (columns.get_mut(number), latencies.get_mut(number)) else {
                continue;
            };
            match (op.outcome, op.index) {
                (Ended::Ok, _) => column.ok += 1,
                (Ended::Fail, Some(_)) => column.refused += 1,
                (Ended::Fail, None) => column.turned_away += 1,
                (Ended::Unknown, _) => column.unknown += 1,
            }
            if op.outcome != Ended::Unknown {
                latencies.push(op.returned_ns - op.invoked_ns);
            }
        }
        let mut whole = Column::default();
        for (column, latencies) in columns.iter_mut().zip(&mut latencies) {
            latencies.sort_unstable();
            (column.p50_ns, column.p99_ns) = (percentile(latencies, 50), percentile(latencies, 99));
            whole.ok += column.ok;
            whole.refused += column.refused;
            whole.turned_away += column.turned_away;
            whole.unknown += column.unknown;
        }
        let mut all: Vec<u64> = latencies.into_iter().flatten().collect();
        all.sort_unstable();
        (whole.p50_ns, whole.p99_ns) = (percentile(&all, 50), percentile(&all, 99));
        Timeline {
            end_ns,
            column_ns,
            columns,
            lanes: lanes(saved, end_ns),
            heals: saved.heals.iter().map(|heal| (heal.phase, heal.at_ns)).collect(),
            whole,
        }
    }
}

fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(last * percent / 100).copied()
}

/// A fault with a beginning only is drawn as a moment.
fn lanes(saved: &Saved, end_ns: u64) -> Vec<Lane> {
    let mut lanes: BTreeMap<&str, Lane> = BTreeMap::new();
    for begin in saved.faults.iter().filter(|fault| fault.phase == Phase::Begin) {
        let mut ends = saved
            .faults
            .iter()
            .filter(|fault| fault.phase == Phase::End && fault.id == begin.id);
        let until = ends.next().map_or(begin.at_ns, |end| end.at_ns);
        let lane = lanes.entry(&begin.fault).or_insert_with(|| Lane {
            fault: begin.fault.clone(),
            spans: Vec::new(),
        });
        let from = begin.at_ns.min(end_ns);
        lane.spans.push((from, until.clamp(from, end_ns), begin.target.clone()));
    }
    lanes.into_values().collect()
}
