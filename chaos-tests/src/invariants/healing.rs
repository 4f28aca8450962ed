//! I12: after the last fault the cluster heals by itself, and serves on every shard within 15 seconds.
//!
//! Judged from the lines of the heal phase: who runs the faults writes when all of them were off, and when every shard
//! had served again.

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::{Finding, Verdict};
use crate::history::lines::{Healing as Reached, Phase};

/// Where the header does not say another.
const WITHIN_MS: u64 = 15_000;

pub(super) struct Healing;

impl Invariant for Healing {
    fn id(&self) -> &'static str {
        "I12"
    }

    fn promise(&self) -> &'static str {
        "after the last fault the cluster heals by itself"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let saved = evidence.saved;
        let within = saved.header.heal_within_ms.unwrap_or(WITHIN_MS);
        let mut heals: Vec<_> = saved.heals.iter().collect();
        heals.sort_by_key(|heal| (heal.at_ns, heal.line));
        if heals.is_empty() {
            verdict.not_covered.push("the run had no heal phase".to_owned());
        }
        for (position, begin) in heals.iter().enumerate() {
            if begin.phase != Reached::Begin {
                continue;
            }
            verdict.count("heal phases", 1);
            for fault in still_on(evidence, begin.at_ns) {
                let text = format!("{fault} was still on when the heal phase began; nothing about healing is shown");
                verdict.undecided.push(text);
            }
            let served = heals[position..].iter().find(|heal| heal.phase == Reached::Served);
            match served {
                None => {
                    verdict.add(Finding::new("the cluster never served again after its last fault").line(begin.line))
                }
                Some(served) => {
                    let took = (served.at_ns - begin.at_ns) / 1_000_000;
                    verdict.count("milliseconds to serve", took);
                    if took > within {
                        let text = format!("the cluster served {took} ms after its last fault, not within {within} ms");
                        verdict.add(Finding::new(text).line(begin.line).line(served.line));
                    }
                }
            }
        }
        verdict
    }
}

/// Faults with an end that had not ended.
fn still_on(evidence: &Evidence<'_>, at_ns: u64) -> Vec<String> {
    let faults = &evidence.saved.faults;
    let ends = |id| {
        let mut ends = faults
            .iter()
            .filter(|fault| fault.id == id && fault.phase == Phase::End);
        ends.next().map(|end| end.at_ns)
    };
    let begun = faults
        .iter()
        .filter(|fault| fault.phase == Phase::Begin && fault.at_ns <= at_ns);
    let on = begun.filter(|fault| ends(fault.id).is_some_and(|end| end > at_ns));
    on.map(|fault| format!("{} of {}", fault.fault, fault.target)).collect()
}
