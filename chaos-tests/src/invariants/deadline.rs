//! I5: nothing expires before its deadline in log time, and an expiry ends what is due.
//!
//! An entry says how many holds it expired. Which ones follows from their deadlines, earliest first.

use rotunda_booking::command::Operation;
use rotunda_booking::ids::BookingId;
use rotunda_booking::outcome::Outcome;
use rotunda_booking::time::Timestamp;
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::{Evidence, Step};
use super::verdict::{Finding, Verdict};

pub(super) struct Deadline;

impl Invariant for Deadline {
    fn id(&self) -> &'static str {
        "I5"
    }

    fn promise(&self) -> &'static str {
        "nothing expires before its deadline"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        for (id, shard) in &evidence.shards {
            let mut deadlines: FxHashMap<BookingId, Timestamp> = FxHashMap::default();
            for step in &shard.steps {
                look(*id, step, &mut deadlines, &mut verdict);
            }
        }
        verdict
    }
}

fn look(shard: u64, step: &Step, deadlines: &mut FxHashMap<BookingId, Timestamp>, verdict: &mut Verdict) {
    let found = |text: String| {
        Finding::new(format!("shard {shard} at index {}: {text}", step.index))
            .line(step.line)
            .entry(shard, step.index)
    };
    match (&step.command.operation, step.effect()) {
        (Operation::Hold(_) | Operation::Extend { .. }, Some(Outcome::Booking(view))) => {
            verdict.count("deadlines", 1);
            let deadline = view.expires_at.unwrap_or(Timestamp(i64::MAX));
            if deadline <= step.now {
                let text = format!("the hold {} was born expired: {deadline:?} at {:?}", view.id, step.now);
                verdict.add(found(text).booking(view.id));
            }
            deadlines.insert(view.id, deadline);
        }
        (Operation::Expire { limit }, Some(Outcome::Expired { count, more })) => {
            verdict.count("expiries", step.expired.len() as u64);
            for id in &step.expired {
                let deadline = deadlines.get(id).copied().unwrap_or(Timestamp(i64::MAX));
                if deadline > step.now {
                    let early = deadline.0 - step.now.0;
                    verdict.add(found(format!("booking {id} expired {early} ms before its deadline")).booking(*id));
                }
            }
            let due = step.due;
            // An expiry that stopped below its limit looked for long enough, and more may be due or not.
            let as_many = match more {
                true if count >= limit => due > *count,
                true => due >= *count,
                false => due == *count,
            };
            if !as_many {
                let mut finding = found(format!("{count} holds expired (more: {more}) where {due} were due"));
                for id in &step.expired {
                    finding = finding.booking(*id);
                }
                verdict.add(finding);
            }
        }
        _ => {}
    }
}
