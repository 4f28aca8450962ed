//! I9 as a black box: is there any order of the operations on a slot that explains what callers were told, and that
//! agrees with real time? Indexes and the order of the logs are not looked at; the catalogue is, for what a slot has.
//!
//! The search is that of Wing and Gong with Lowe's memory: take any operation that may come next, follow the plain rules,
//! go back where it leads nowhere, and never look twice at the same set of operations done with the same state. A slot's
//! operations are searched apart from all others: what is linearizable as a whole is so slot by slot.
//!
//! What may have happened unseen (an operation whose fate nobody knows, the end of a hold) is taken only where something
//! else could not come next without it; later is always as good. The bound is of steps, and a slot beyond it is
//! `undecided`.

mod history;
mod order;

use self::history::{Slots, partition};
use self::order::{Answer, Order};
use crate::invariants::Invariant;
use crate::invariants::evidence::Evidence;
use crate::invariants::verdict::{Finding, Verdict};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Steps after which a slot is given up.
    pub steps_per_slot: u64,
    /// Steps after which all that is left is.
    pub steps: u64,
}

impl Default for Search {
    fn default() -> Self {
        Search {
            steps_per_slot: 2_000_000,
            steps: 20_000_000,
        }
    }
}

impl Invariant for Search {
    fn id(&self) -> &'static str {
        "I9 black box"
    }

    fn promise(&self) -> &'static str {
        "every slot is linearizable, indexes ignored"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        let Slots { slots, left_out } = partition(evidence);
        verdict.count("slots left out", left_out);
        let mut left = self.steps;
        let (mut given_up, mut of) = (0, 0);
        for slot in slots {
            of += 1;
            let steps = self.steps_per_slot.min(left);
            let operations = slot.operations.len() as u64;
            let order = Order::new(&slot);
            let (answer, taken) = order.find(steps);
            left -= taken;
            match answer {
                Answer::Found => {
                    verdict.count("slots", 1);
                    verdict.count("operations", operations);
                }
                Answer::GaveUp => given_up += 1,
                Answer::None { stuck } => {
                    verdict.count("slots", 1);
                    let text = format!(
                        "no order explains what callers were told about slot {} of venue {}, which has {} places: after \
                         all that fits, none of these can come next",
                        slot.name, slot.venue, slot.capacity
                    );
                    let mut finding = Finding::new(text);
                    finding.lines = stuck;
                    verdict.add(finding);
                }
            }
            verdict.count("steps", taken);
        }
        if given_up > 0 {
            verdict
                .undecided
                .push(format!("{given_up} of {of} slots were given up"));
        }
        verdict
    }
}

#[cfg(test)]
#[path = "search/tests.rs"]
mod tests;
