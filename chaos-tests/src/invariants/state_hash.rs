//! I11: the same applied index means the same state hash on every replica, and it is the hash that the log gives when it
//! is applied to nothing by the rules of this binary. Where the history has the replies of a node, they are the replies
//! of the rules.

use std::collections::BTreeMap;

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::{Entity, Finding, Verdict};
use crate::history::lines::StateHash as Line;

pub(super) struct StateHash;

impl Invariant for StateHash {
    fn id(&self) -> &'static str {
        "I11"
    }

    fn promise(&self) -> &'static str {
        "the same index is the same state on every replica"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        let mut places: BTreeMap<(u64, u64), Vec<&Line>> = BTreeMap::new();
        for line in &evidence.saved.hashes {
            places.entry((line.shard, line.index)).or_default().push(line);
        }
        for ((shard, index), lines) in &places {
            let Some((first, others)) = lines.split_first() else {
                continue;
            };
            verdict.count("hashes", lines.len() as u64);
            for other in others.iter().filter(|other| other.hash != first.hash) {
                let text = format!(
                    "shard {shard} at index {index}: node {} has state {}, node {} has {}",
                    first.node, first.hash, other.node, other.hash
                );
                verdict.add(
                    Finding::new(text)
                        .line(first.line)
                        .line(other.line)
                        .about(Entity::Log(*shard, *index)),
                );
            }
            let replayed = evidence.shards.get(shard).map(|shard| &shard.replayed);
            let Some(hash) = replayed.and_then(|replayed| replayed.hashes.get(index)) else {
                continue;
            };
            verdict.count("compared with a replay", 1);
            for line in lines.iter().filter(|line| line.hash.0 != *hash) {
                let text = format!(
                    "shard {shard}: node {} reports state {} at index {index}, the log gives {}",
                    line.node,
                    line.hash,
                    crate::history::text::Digest(*hash)
                );
                verdict.add(Finding::new(text).line(line.line).about(Entity::Log(*shard, *index)));
            }
        }
        for (id, shard) in &evidence.shards {
            for (index, text) in &shard.replayed.otherwise {
                let text = format!("shard {id} at index {index}: a node replied {text}");
                let about = Entity::Log(*id, *index);
                verdict.add(Finding::new(text).entry(*id, *index).about(about));
            }
            if let Some(broken) = &shard.replayed.broken {
                verdict.add(Finding::new(format!("shard {id}: the log cannot be applied {broken}")));
            }
        }
        verdict
    }
}
