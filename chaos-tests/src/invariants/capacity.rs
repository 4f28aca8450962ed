//! I1: held and confirmed together never exceed a pool, at any index of any log.
//!
//! Looked at after every hold and every rebooking that took places. Capacity lowered below what is sold is no violation by itself: it sells
//! nothing and cancels nobody; the next hold would be one.

use rotunda_booking::command::Operation;

use super::Invariant;
use super::evidence::Evidence;
use super::pools::Pools;
use super::verdict::{Entity, Finding, Verdict};

pub(super) struct Capacity;

impl Invariant for Capacity {
    fn id(&self) -> &'static str {
        "I1"
    }

    fn promise(&self) -> &'static str {
        "no pool is sold above its capacity"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        for (id, shard) in &evidence.shards {
            let mut pools = Pools::default();
            for step in &shard.steps {
                pools.follow(step);
                let what = match &step.command.operation {
                    Operation::Hold(_) => "holds",
                    Operation::Rebook { .. } => "rebookings",
                    _ => continue,
                };
                let Some(view) = step.left() else { continue };
                verdict.count(what, 1);
                for text in pools.above_capacity(view.id) {
                    let mut finding = Finding::new(format!("shard {id} at index {}: {text}", step.index))
                        .line(step.line)
                        .entry(*id, step.index);
                    for line in &view.lines {
                        finding = finding.about(Entity::Slot(view.id.venue, line.slot.clone()));
                    }
                    verdict.add(finding);
                }
            }
            verdict.count("log entries", shard.entries);
            verdict.count("slots full", pools.fullest().1);
        }
        verdict
    }
}
