//! What became of leaders and nodes from one look at the map to the next, in words.

use std::collections::{BTreeMap, VecDeque};

use crate::state::{Change, Map, Tone};

/// Changes that are kept.
const KEPT: usize = 20;

/// Remembers the map last seen.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// By shard: its leader, and the one before where it has none.
    leaders: BTreeMap<u64, (Option<u32>, Option<u32>)>,
    live: BTreeMap<u32, bool>,
    latest: VecDeque<Change>,
}

impl Changes {
    /// Takes note of how the map is now. The first look says nothing: nobody knows what was before.
    pub(crate) fn note(&mut self, map: &Map, time: u64) {
        for node in &map.nodes {
            let Some(live) = node.live else { continue };
            match self.live.insert(node.id, live) {
                Some(true) if !live => self.push(time, format!("node {} does not answer", node.id), Tone::Bad),
                Some(false) if live => self.push(time, format!("node {} answers again", node.id), Tone::Good),
                _ => {}
            }
        }
        for shard in &map.shards {
            let what = match shard.id {
                0 => "the meta group".to_owned(),
                id => format!("shard {id}"),
            };
            let known = self.leaders.get(&shard.id).copied();
            let before = known.and_then(|(leader, before)| leader.or(before));
            self.leaders.insert(shard.id, (shard.leader, before));
            match (known, shard.leader) {
                (Some((Some(was), _)), None) => {
                    self.push(time, format!("{what}: no leader, after node {was}"), Tone::Bad);
                }
                (Some((was, _)), Some(leader)) if was != Some(leader) && before != Some(leader) => {
                    let after = before.map(|node| format!(", after node {node}")).unwrap_or_default();
                    self.push(time, format!("{what}: node {leader} leads{after}"), Tone::Warn);
                }
                (Some((None, _)), Some(leader)) => {
                    self.push(time, format!("{what}: node {leader} leads again"), Tone::Warn);
                }
                _ => {}
            }
        }
    }

    /// The latest first.
    pub(crate) fn latest(&self) -> Vec<Change> {
        self.latest.iter().cloned().collect()
    }

    fn push(&mut self, time: u64, text: String, tone: Tone) {
        self.latest.truncate(KEPT - 1);
        self.latest.push_front(Change { time, text, tone });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Node, Shard};

    fn map(leader: Option<u32>, live: bool) -> Map {
        Map {
            nodes: vec![Node {
                id: 1,
                live: Some(live),
                ..Node::default()
            }],
            shards: vec![Shard {
                id: 3,
                leader,
                ..Shard::default()
            }],
        }
    }

    #[test]
    fn a_killed_leader_is_told_step_by_step() {
        let mut changes = Changes::default();
        for (time, (leader, live)) in [
            (Some(1), true),
            (Some(1), true),
            (Some(1), false),
            (None, false),
            (None, false),
            (Some(2), false),
            (Some(2), true),
            (None, true),
            (Some(2), true),
            (Some(1), true),
        ]
        .into_iter()
        .enumerate()
        {
            changes.note(&map(leader, live), time as u64);
        }
        let told: Vec<(u64, String)> = changes
            .latest()
            .into_iter()
            .map(|change| (change.time, change.text))
            .collect();
        let wanted = [
            (9, "shard 3: node 1 leads, after node 2"),
            (8, "shard 3: node 2 leads again"),
            (7, "shard 3: no leader, after node 2"),
            (6, "node 1 answers again"),
            (5, "shard 3: node 2 leads, after node 1"),
            (3, "shard 3: no leader, after node 1"),
            (2, "node 1 does not answer"),
        ];
        assert_eq!(told, wanted.map(|(time, text)| (time, text.to_owned())));
    }

    #[test]
    fn only_the_latest_are_kept() {
        let mut changes = Changes::default();
        for n in 0..100 {
            changes.note(&map(Some(n % 2 + 1), true), u64::from(n));
        }
        assert_eq!(changes.latest().len(), KEPT);
        assert_eq!(changes.latest()[0].time, 99);
    }
}
