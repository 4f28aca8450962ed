//! I13: a request that was refused before any log could decide it (by the limiter, for overload, for its form) has had
//! no effect: its key is in no log, unless it was sent under that key another time.

use rotunda_booking::ids::CommandKey;
use rustc_hash::FxHashSet;

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::{Finding, Verdict};
use crate::history::lines::{Ended, Op};

pub(super) struct TurnedAway;

impl Invariant for TurnedAway {
    fn id(&self) -> &'static str {
        "I13"
    }

    fn promise(&self) -> &'static str {
        "who was turned away has had no effect"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        let turned_away = |op: &&Op| op.outcome == Ended::Fail && op.index.is_none() && !op.op.is_read();
        let operations = &evidence.saved.operations;
        let otherwise: FxHashSet<CommandKey> = operations
            .iter()
            .filter(|op| !turned_away(op))
            .filter_map(Op::command_key)
            .collect();
        for op in operations.iter().filter(turned_away) {
            let Some(key) = op.command_key() else { continue };
            verdict.count("turned away", 1);
            if otherwise.contains(&key) {
                continue;
            }
            if let Some((shard, step)) = evidence.first_step(op) {
                let by = op
                    .status
                    .map_or_else(|| op.code().to_owned(), |status| status.to_string());
                let name = op.key.clone().unwrap_or_else(|| key.to_string());
                let index = step.index;
                let text = format!("{name} was turned away with {by} and is in the log at {shard}:{index}");
                verdict.add(Finding::new(text).line(op.line).entry(shard, index).key(Some(key)));
            }
        }
        verdict
    }
}
