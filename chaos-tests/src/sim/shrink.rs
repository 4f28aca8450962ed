//! Makes a plan that fails smaller, as long as it still fails: fewer faults, fewer visitors, fewer steps, less time. What
//! is left is what matters, and quick to run again.
//!
//! Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002) over the faults and
//! the steps in turn. Plans can be cut anywhere: what one fault or step draws does not depend on the others.

use super::faults::Planned;
use super::plan::{Plan, Visits};

/// Steps are not cut into pieces below this: each candidate is a whole simulation.
const SMALLEST_PIECE: u64 = 4;

/// Tries plans.
pub trait Trial {
    /// The first of `candidates` that fails as the original does, as far as there is time to try them.
    fn first_that_fails(&mut self, candidates: &[Plan]) -> Option<usize>;

    /// The number of steps that a visitor takes in `plan`, at most: there is no use in cutting behind them.
    fn steps_taken(&mut self, plan: &Plan) -> u64;
}

/// The smallest plan that was found to fail.
pub fn shrink(plan: Plan, trial: &mut impl Trial) -> Plan {
    let mut plan = plan;
    loop {
        let before = size(&plan);
        plan = shorten(plan, trial);
        plan = cut_faults(plan, trial);
        plan = cut_visitors(plan, trial);
        plan = cut_steps(plan, trial);
        if size(&plan) >= before {
            return plan;
        }
    }
}

/// What is made smaller: faults, visitors, steps, time.
fn size(plan: &Plan) -> (usize, usize, u64, u64) {
    let steps = plan.visits.iter().flat_map(|visits| &visits.steps);
    let steps = steps.fold(0_u64, |sum, (from, to)| sum.saturating_add(to - from));
    (plan.faults.len(), plan.visits.len(), steps, plan.span_ms)
}

/// Ends earlier: after half of the time, or three quarters, and so on.
fn shorten(mut plan: Plan, trial: &mut impl Trial) -> Plan {
    loop {
        let ends = [plan.span_ms / 2, plan.span_ms / 4 * 3, plan.span_ms / 10 * 9];
        let candidates: Vec<Plan> = ends
            .into_iter()
            .filter(|end| *end < plan.span_ms && *end >= 1_000)
            .map(|end| Plan {
                span_ms: end,
                faults: plan.faults.iter().filter(|fault| fault.at_ms < end).copied().collect(),
                ..plan.clone()
            })
            .collect();
        let Some(found) = trial.first_that_fails(&candidates) else {
            return plan;
        };
        plan = candidates.into_iter().nth(found).unwrap_or(plan);
    }
}

/// Leaves out faults, many at once first.
fn cut_faults(mut plan: Plan, trial: &mut impl Trial) -> Plan {
    let mut piece = plan.faults.len();
    while piece > 0 {
        let without = |from: usize| -> Vec<Planned> {
            let faults = plan.faults.iter().enumerate();
            let faults = faults.filter(|(number, _)| !(from..from + piece).contains(number));
            faults.map(|(_, fault)| *fault).collect()
        };
        let candidates: Vec<Plan> = (0..plan.faults.len())
            .step_by(piece)
            .map(|from| Plan {
                faults: without(from),
                ..plan.clone()
            })
            .collect();
        match trial.first_that_fails(&candidates) {
            Some(found) => {
                plan = candidates.into_iter().nth(found).unwrap_or(plan);
                piece = piece.min(plan.faults.len());
            }
            None => piece /= 2,
        }
    }
    plan
}

/// Leaves out visitors, one at a time.
fn cut_visitors(mut plan: Plan, trial: &mut impl Trial) -> Plan {
    loop {
        let candidates: Vec<Plan> = (0..plan.visits.len())
            .map(|gone| {
                let mut candidate = plan.clone();
                candidate.visits.remove(gone);
                candidate
            })
            .collect();
        let Some(found) = trial.first_that_fails(&candidates) else {
            return plan;
        };
        plan = candidates.into_iter().nth(found).unwrap_or(plan);
    }
}

/// Leaves out steps of each visitor, half of them at first.
fn cut_steps(mut plan: Plan, trial: &mut impl Trial) -> Plan {
    let end = trial.steps_taken(&plan);
    for visits in &mut plan.visits {
        // Steps that were never reached: without them it is the same run.
        visits.steps = clipped(&visits.steps, 0, end);
    }
    for number in 0..plan.visits.len() {
        let mut piece = end / 2;
        while piece >= SMALLEST_PIECE {
            let pieces = (0..end.div_ceil(piece)).map(|at| (at * piece, (at + 1) * piece));
            let candidates: Vec<Plan> = pieces
                .filter_map(|(from, to)| {
                    let visits = plan.visits.get(number)?;
                    let mut steps = clipped(&visits.steps, 0, from);
                    steps.extend(clipped(&visits.steps, to, end));
                    let mut candidate = plan.clone();
                    *candidate.visits.get_mut(number)? = Visits {
                        visitor: visits.visitor,
                        steps: joined(steps),
                    };
                    (candidate != plan).then_some(candidate)
                })
                .collect();
            match trial.first_that_fails(&candidates) {
                Some(found) => plan = candidates.into_iter().nth(found).unwrap_or(plan),
                None => piece /= 2,
            }
        }
    }
    plan
}

/// The part of `steps` from `from` to below `to`.
fn clipped(steps: &[(u64, u64)], from: u64, to: u64) -> Vec<(u64, u64)> {
    let clipped = steps.iter().map(|(start, end)| ((*start).max(from), (*end).min(to)));
    clipped.filter(|(start, end)| start < end).collect()
}

/// Neighbours made one.
fn joined(steps: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in steps {
        match joined.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;
    use crate::sim::faults::{CLASSES, Class};

    /// Fails where visitor 2 takes step 77 while a `PowerLoss` and the `Pause` after it are there.
    struct Known {
        pause_ms: u64,
        tried: usize,
    }

    impl Known {
        fn fails(&self, plan: &Plan) -> bool {
            let steps = |visits: &Visits| visits.steps.iter().any(|(from, to)| (*from..*to).contains(&77));
            plan.visits.iter().any(|visits| visits.visitor == 2 && steps(visits))
                && plan.faults.iter().any(|fault| fault.class == Class::PowerLoss)
                && plan.faults.iter().any(|fault| fault.at_ms == self.pause_ms)
        }
    }

    impl Trial for Known {
        fn first_that_fails(&mut self, candidates: &[Plan]) -> Option<usize> {
            self.tried += candidates.len();
            candidates.iter().position(|plan| self.fails(plan))
        }

        fn steps_taken(&mut self, _: &Plan) -> u64 {
            1_000
        }
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let plan = Plan::of_seed(3, Duration::from_secs(600), 3, 3, &CLASSES);
        let mut pauses = plan.faults.iter().filter(|fault| fault.class == Class::Pause);
        let pause_ms = pauses.next_back().unwrap().at_ms;
        let mut trial = Known { pause_ms, tried: 0 };
        assert!(trial.fails(&plan), "the test's own plan");
        let small = shrink(plan, &mut trial);
        assert!(trial.fails(&small));
        assert_eq!(small.faults.len(), 2, "{:?}", small.faults);
        assert_eq!(small.visits.len(), 1);
        let steps: u64 = small.visits[0].steps.iter().map(|(from, to)| to - from).sum();
        assert!(steps <= 2 * SMALLEST_PIECE, "{:?}", small.visits);
        assert!(
            small.span_ms > pause_ms && small.span_ms < pause_ms * 3 / 2,
            "{}",
            small.span_ms
        );
        assert!(trial.tried < 500, "{} simulations", trial.tried);
    }
}
