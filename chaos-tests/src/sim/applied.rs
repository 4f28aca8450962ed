//! The logs of a simulated cluster, noted entry by entry as the replicas apply them. A replica purges what is old, loses its
//! disk or is lost itself, so who reads logs now and then misses entries, and what is missing looks like what was lost. What
//! was acknowledged was applied by some replica first, and so stands here.
//!
//! Replicas that apply different entries at one index are noted with all of them: I8 is asked about that.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rotunda_node::grpc::admin::audited;
use rotunda_node::meta::META_GROUP;
use rotunda_protocol::client::LogEntry;
use rotunda_raft_storage::AppliedHook;

use crate::history::lines::{Line, LogLine};

/// By index: what the first replica applied, then what others applied instead, and which.
type Log = BTreeMap<u64, (LogEntry, Vec<(u32, LogEntry)>)>;

/// What was applied so far, by shard. Clones share it.
#[derive(Clone, Default)]
pub struct AppliedLogs(Arc<Mutex<BTreeMap<u64, Log>>>);

impl AppliedLogs {
    /// For a node's store, each time that it is opened.
    #[must_use]
    pub fn hook(&self, node: u32) -> AppliedHook {
        let logs = self.clone();
        Arc::new(move |group, entry| {
            if group != META_GROUP {
                logs.note(node, group.0, audited(entry));
            }
        })
    }

    fn note(&self, node: u32, shard: u64, entry: LogEntry) {
        let mut logs = self.0.lock();
        let log = logs.entry(shard).or_default();
        let (first, others) = log.entry(entry.index).or_insert_with(|| (entry.clone(), Vec::new()));
        if *first != entry && others.iter().all(|(_, other)| *other != entry) {
            others.push((node, entry));
        }
    }

    /// As lines of a history.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (shard, log) in &*self.0.lock() {
            for (first, others) in log.values() {
                lines.push(Line::Entry(LogLine::of_log(*shard, first)));
                lines.extend(others.iter().map(|(node, entry)| {
                    Line::Entry(LogLine {
                        node: Some(*node),
                        ..LogLine::of_log(*shard, entry)
                    })
                }));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_entry_is_noted_once_and_another_one_in_its_place_with_its_node() {
        let logs = AppliedLogs::default();
        let entry = |index, term| LogEntry {
            index,
            term,
            payload: bytes::Bytes::from_static(b"entry"),
        };
        for node in 1..=3 {
            logs.note(node, 1, entry(1, 1));
        }
        for (node, term) in [(1, 1), (2, 2), (3, 2)] {
            logs.note(node, 1, entry(2, term));
        }
        let noted: Vec<_> = logs
            .lines()
            .into_iter()
            .map(|line| match line {
                Line::Entry(line) => (line.index, line.term, line.node),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(noted, [(1, 1, None), (2, 1, None), (2, 2, Some(2))]);
    }
}
