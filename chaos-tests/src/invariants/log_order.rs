//! I8: an index is given once, without gaps, in order of real time: what was asked after an answer had come stands behind
//! it in the log. All replicas have the same log.

use rotunda_booking::ids::CommandKey;
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::{Entity, Finding, Verdict};
use crate::history::lines::{LogDigest, Op};

pub(super) struct LogOrder;

impl Invariant for LogOrder {
    fn id(&self) -> &'static str {
        "I8"
    }

    fn promise(&self) -> &'static str {
        "log indexes are unique and in real-time order"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for (id, shard) in &evidence.shards {
            verdict.count("log entries", shard.entries);
            for (index, first, second) in &shard.doubled {
                let text = format!("shard {id}: index {index} was given to two entries");
                verdict.add(
                    Finding::new(text)
                        .line(*first)
                        .line(*second)
                        .about(Entity::Log(*id, *index)),
                );
            }
            if let Some(gap) = shard.gap {
                verdict.add(Finding::new(format!("shard {id}: index {gap} is missing in the log")).entry(*id, gap));
            }
        }
        check_terms(evidence, &mut verdict);
        check_ends(evidence, &mut verdict);
        check_digests(evidence, &mut verdict);
        check_real_time(evidence, &mut verdict);
        verdict
    }
}

fn check_terms(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let mut lines: Vec<_> = evidence.saved.entries.iter().collect();
    lines.sort_by_key(|line| (line.shard, line.index));
    for pair in lines.windows(2) {
        if pair[0].shard == pair[1].shard && pair[1].index > pair[0].index && pair[1].term < pair[0].term {
            let (shard, index) = (pair[1].shard, pair[1].index);
            let text = format!(
                "shard {shard}: the entry at index {index} is of term {}, the one before of term {}",
                pair[1].term, pair[0].term
            );
            verdict.add(
                Finding::new(text)
                    .line(pair[0].line)
                    .line(pair[1].line)
                    .entry(shard, index),
            );
        }
    }
}

/// What a replica has applied stands in the log. A history whose log ends before that was gathered badly, or worse.
fn check_ends(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    for hash in &evidence.saved.hashes {
        let Some(shard) = evidence.shards.get(&hash.shard) else {
            continue;
        };
        let last = shard.range.1;
        if hash.index > last {
            let text = format!(
                "shard {}: node {} has applied index {}, and the log ends at {last}",
                hash.shard, hash.node, hash.index
            );
            verdict.add(Finding::new(text).line(hash.line).about(Entity::Log(hash.shard, last)));
        }
    }
}

/// The digests of replicas' logs against the entries of the history.
fn check_digests(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let mut entries: Vec<_> = evidence.saved.entries.iter().collect();
    entries.sort_by_key(|line| (line.shard, line.index));
    entries.dedup_by_key(|line| (line.shard, line.index));
    // Replicas have the same log, so it is digested once for all of them.
    let mut digests = FxHashMap::default();
    for log in &evidence.saved.logs {
        let from = entries.partition_point(|line| (line.shard, line.index) < (log.shard, log.first));
        let to = entries.partition_point(|line| (line.shard, line.index) <= (log.shard, log.last));
        let range = entries.get(from..to).unwrap_or_default();
        if range.len() as u64 != (log.last + 1).saturating_sub(log.first) {
            let (shard, first, last) = (log.shard, log.first, log.last);
            let text = format!("the history lacks entries of shard {shard} from {first} to {last}");
            if !verdict.undecided.contains(&text) {
                verdict.undecided.push(text);
            }
            continue;
        }
        verdict.count("replicas' logs", 1);
        let digest = digests.entry((log.shard, log.first, log.last)).or_insert_with(|| {
            let shown = range
                .iter()
                .map(|line| (line.index, line.term, line.payload.0.as_slice()));
            LogDigest::over(log.node, log.shard, shown).digest
        });
        if *digest != log.digest {
            let text = format!(
                "node {} has another log of shard {} between {} and {}",
                log.node, log.shard, log.first, log.last
            );
            verdict.add(Finding::new(text).line(log.line));
        }
    }
}

/// For each operation that shows an index, in order of when it was first asked: the highest index of its shard that had
/// been told to anybody by then, with who was told.
pub(super) fn in_real_time<'a>(operations: &'a [Op], mut look: impl FnMut(&'a Op, Option<(u64, &'a Op)>)) {
    // A request sent again belongs to the time of the first sending; a key reused for another request does not.
    let mut first_asked: FxHashMap<CommandKey, u64> = FxHashMap::default();
    let asked_under = |op: &Op| op.command_key().filter(|_| op.code() != "idempotency_key_reused");
    for op in operations {
        if let Some(key) = asked_under(op) {
            let first = first_asked.entry(key).or_insert(op.invoked_ns);
            *first = op.invoked_ns.min(*first);
        }
    }
    let asked_at = |op: &Op| {
        let first = asked_under(op).and_then(|key| first_asked.get(&key).copied());
        first.unwrap_or(op.invoked_ns)
    };
    let mut asked: Vec<(u64, &Op)> = Vec::with_capacity(operations.len());
    asked.extend(
        operations
            .iter()
            .filter(|op| op.index.is_some())
            .map(|op| (asked_at(op), op)),
    );
    let mut answered: Vec<&Op> = asked.iter().map(|(_, op)| *op).collect();
    asked.sort_by_key(|(at, op)| (*at, op.line));
    answered.sort_by_key(|op| (op.returned_ns, op.line));
    let mut told: FxHashMap<u64, (u64, &Op)> = FxHashMap::default();
    let mut next = 0;
    for (at, op) in asked {
        while let Some(earlier) = answered.get(next).filter(|earlier| earlier.returned_ns < at) {
            if let (Some(shard), Some(index)) = (earlier.shard, earlier.index) {
                let highest = told.entry(shard).or_insert((index, earlier));
                if index > highest.0 {
                    *highest = (index, earlier);
                }
            }
            next += 1;
        }
        look(op, op.shard.and_then(|shard| told.get(&shard).copied()));
    }
}

fn check_real_time(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    in_real_time(&evidence.saved.operations, |op, told| {
        if op.op.is_read() {
            return;
        }
        verdict.count("answers in order", 1);
        let (Some((highest, earlier)), Some(shard), Some(index)) = (told, op.shard, op.index) else {
            return;
        };
        if index <= highest {
            let text = format!(
                "{} of {} stands at {shard}:{index} and was asked after {} of {} had been told of {shard}:{highest}",
                op.op, op.client, earlier.op, earlier.client
            );
            verdict.add(
                Finding::new(text)
                    .line(earlier.line)
                    .line(op.line)
                    .entry(shard, index)
                    .key(op.command_key()),
            );
        }
    });
}
