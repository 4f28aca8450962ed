//! I2: a key takes effect at most once. The same request under it is given the same answer; another is refused.
//!
//! Looked at twice: in the logs, where each key stands, and among the answers that callers were given.

use rotunda_booking::ids::CommandKey;
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::{Evidence, Step};
use super::verdict::{Finding, Verdict};
use crate::history::lines::{Ended, Op};

pub(super) struct Once;

impl Invariant for Once {
    fn id(&self) -> &'static str {
        "I2"
    }

    fn promise(&self) -> &'static str {
        "a key takes effect once; the same request gets the same answer"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut first: FxHashMap<CommandKey, (u64, &Step)> = FxHashMap::default();
        for (shard, step) in evidence.steps() {
            let Some(key) = step.command.key else { continue };
            verdict.count("keys in logs", 1);
            match first.get(&key) {
                None => {
                    first.insert(key, (shard, step));
                    check_first(shard, step, &mut verdict);
                }
                Some((of, known)) => check_again((*of, known), (shard, step), &mut verdict),
            }
        }
        check_answers(evidence, &mut verdict);
        verdict
    }
}

fn found(shard: u64, step: &Step, text: impl Into<String>) -> Finding {
    Finding::new(text)
        .line(step.line)
        .entry(shard, step.index)
        .key(step.command.key)
}

fn check_first(shard: u64, step: &Step, verdict: &mut Verdict) {
    if step.reply.replayed || step.reply.index != step.index {
        let text = format!(
            "shard {shard} at index {}: a key seen for the first time was answered as a replay of index {}",
            step.index, step.reply.index
        );
        verdict.add(found(shard, step, text));
    } else if step.is_key_reused() {
        let text = format!(
            "shard {shard} at index {}: a key seen for the first time was refused as reused",
            step.index
        );
        verdict.add(found(shard, step, text));
    }
}

fn check_again((of, first): (u64, &Step), (shard, step): (u64, &Step), verdict: &mut Verdict) {
    let at = format!("shard {shard} at index {}", step.index);
    if of != shard {
        let text = format!(
            "{at}: a key took effect that has taken effect in shard {of} at index {}",
            first.index
        );
        verdict.add(found(shard, step, text).line(first.line));
    } else if first.command.fingerprint != step.command.fingerprint {
        verdict.count("keys reused for another request", 1);
        if !step.is_key_reused() {
            let text = format!(
                "{at}: a key reused with another body was answered {:?}",
                step.reply.outcome
            );
            verdict.add(found(shard, step, text).line(first.line));
        }
    } else {
        verdict.count("replays in logs", 1);
        let same =
            step.reply.replayed && step.reply.index == first.reply.index && step.reply.outcome == first.reply.outcome;
        if !same {
            let twice = if step.effect().is_some() && first.effect().is_some() {
                "took effect twice: it "
            } else {
                ""
            };
            let text = format!(
                "{at}: the key of index {} {twice}came again and was answered otherwise: {:?}, not {:?}",
                first.index, step.reply, first.reply.outcome
            );
            verdict.add(found(shard, step, text).line(first.line));
        }
    }
}

fn check_answers(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let mut by_key: FxHashMap<CommandKey, Vec<&Op>> = FxHashMap::default();
    for op in &evidence.saved.operations {
        // Decided by a log; what was turned away before it is no answer to the key.
        if let (Some(key), true) = (op.command_key(), op.index.is_some()) {
            by_key.entry(key).or_default().push(op);
        }
    }
    let mut asked_again: Vec<_> = by_key.into_iter().filter(|(_, ops)| ops.len() > 1).collect();
    asked_again.sort_by_key(|(_, ops)| ops[0].line);
    for (key, ops) in asked_again {
        let (reused, ops): (Vec<&Op>, Vec<&Op>) = ops.into_iter().partition(|op| op.code() == "idempotency_key_reused");
        verdict.count("keys refused as reused", reused.len() as u64);
        let Some((first, rest)) = ops.split_first() else {
            continue;
        };
        for again in rest {
            verdict.count("answers compared", 1);
            let about = |text: String| Finding::new(text).line(first.line).line(again.line).key(Some(key));
            if first.request != again.request {
                verdict.add(about(format!(
                    "two requests under the key {} were both answered: {:?} and {:?}",
                    name(first),
                    first.request,
                    again.request
                )));
            } else if (first.outcome, first.index, first.digest, &first.response)
                != (again.outcome, again.index, again.digest, &again.response)
            {
                verdict.add(about(format!(
                    "the replay of {} differs: {}",
                    name(first),
                    difference(first, again)
                )));
            } else if !first.replayed && !again.replayed {
                verdict.add(about(format!(
                    "neither answer to {} says that it is a replay",
                    name(first)
                )));
            }
        }
    }
}

fn name(op: &Op) -> String {
    let key = op.key.clone();
    key.or_else(|| op.command.map(|command| command.to_string()))
        .unwrap_or_default()
}

fn difference(first: &Op, again: &Op) -> String {
    let ended = |ended: Ended, op: &Op| format!("{ended} {}", op.code());
    if first.outcome != again.outcome {
        let (first, again) = (ended(first.outcome, first), ended(again.outcome, again));
        return format!("{first} and {again}");
    }
    if first.index != again.index {
        return format!("at index {:?} and at {:?}", first.index, again.index);
    }
    if first.response == again.response {
        return "in bytes that are not looked at otherwise".to_owned();
    }
    format!("{:?} and {:?}", first.response, again.response)
}
