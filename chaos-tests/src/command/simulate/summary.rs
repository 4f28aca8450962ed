//! What one simulation came to, as its process tells the one that waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use rotunda_chaos::invariants::Ruling;
use rotunda_chaos::sim::run::Outcome;
use serde::{Deserialize, Serialize};

/// What one seed came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) trace: String,
    pub(crate) wall_ms: u64,
    /// Time of a processor, which other processes on the machine do not lengthen.
    pub(crate) cpu_ms: u64,
    pub(crate) simulated_ms: u64,
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) counts: BTreeMap<String, u64>,
    /// The most that a visitor took.
    pub(crate) steps: u64,
    /// Invariant and findings, each with what led there.
    pub(crate) violations: Vec<(String, Vec<String>)>,
    /// What kept the run from its end.
    pub(crate) stuck: Option<String>,
}

impl Summary {
    pub(super) fn of(seed: u64, outcome: &Outcome, wall: Duration) -> Self {
        let violations = outcome
            .verdicts
            .iter()
            .filter(|verdict| verdict.ruling() == Ruling::Violated);
        let violations = violations.map(|verdict| {
            let findings = verdict.findings.iter().map(|finding| {
                let trail: String = finding
                    .last_events
                    .iter()
                    .map(|event| format!("\n      {event}"))
                    .collect();
                let step = finding
                    .lines
                    .first()
                    .map(|line| format!("step {line}: "))
                    .unwrap_or_default();
                format!("{step}{}{trail}", finding.text)
            });
            (format!("{}: {}", verdict.id, verdict.promise), findings.collect())
        });
        let net = [
            ("frames carried", outcome.net.frames),
            ("frames lost", outcome.net.lost),
            ("calls that arrived twice", outcome.net.twice),
            ("connections broken", outcome.net.broken),
            ("snapshots sent", outcome.net.snapshots),
            ("nodes that ended themselves", outcome.deaths.len() as u64),
        ];
        let counts = outcome.counts.iter().map(|(name, count)| (*name, *count)).chain(net);
        Self {
            seed,
            trace: format!("{:016x}", outcome.trace),
            wall_ms: milliseconds(wall),
            cpu_ms: milliseconds(cpu_time()),
            simulated_ms: outcome.history.ended_ns() / 1_000_000,
            faults: outcome
                .faults
                .iter()
                .map(|(class, count)| (class.name().to_owned(), *count))
                .collect(),
            counts: counts.map(|(name, count)| (name.to_owned(), count)).collect(),
            steps: outcome.steps,
            violations: violations.collect(),
            stuck: outcome.stuck.clone(),
        }
    }

    /// True where nothing was violated and the cluster healed.
    pub(crate) fn is_sound(&self) -> bool {
        self.violations.is_empty() && self.stuck.is_none()
    }

    /// The invariants that were violated: `I3`; `stuck` where the cluster did not heal.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let ids = self.violations.iter().map(|(invariant, _)| invariant);
        let ids = ids.map(|invariant| invariant.split(':').next().unwrap_or(invariant).to_owned());
        ids.chain(self.stuck.iter().map(|_| "stuck".to_owned())).collect()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What this process has used of a processor so far.
fn cpu_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
