//! This node as its admin port shows it to a person: its own figures, and who leads as far as this node knows. It asks no other
//! node: what it does not know of them (how far they are, whether they live) is left open, and a router's page has it.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use rotunda_overview::state::{HotSlot, Map, Node, Process, Replica, Shard};
use rotunda_overview::{Overview, Plan, Subject};
use rotunda_raft_storage::Machine;

use crate::admin_http::AdminState;
use crate::group::Group;
use crate::meta::map::MetaState;

/// Venues that are named of a shard.
const VENUES: usize = 8;

/// Begins to look at this node.
pub(crate) fn begin(state: AdminState) -> Arc<Overview> {
    Overview::start(Arc::new(ThisNode(state)))
}

struct ThisNode(AdminState);

impl Subject for ThisNode {
    fn process(&self) -> Process {
        Process {
            kind: "node".to_owned(),
            name: self.0.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn plan(&self) -> Plan {
        Plan::node()
    }

    fn metrics(&self) -> String {
        self.0.page.counted()
    }

    fn hot(&self, most: usize) -> Vec<HotSlot> {
        let hottest = self.0.hot_slots.hottest(most);
        let watch = self.0.meta.watch();
        let map = watch.borrow();
        let named = |number| {
            let venue = map.venues.iter().find(|(_, venue)| venue.number == number);
            venue.map_or_else(|| format!("#{number}"), |(slug, _)| slug.clone())
        };
        hottest.into_iter().map(|hot| hot.named(named)).collect()
    }

    fn map(&self) -> BoxFuture<'_, Option<Map>> {
        let watch = self.0.meta.watch();
        let map = watch.borrow();
        let seen = (!map.shards.is_empty()).then(|| self.seen(&map));
        drop(map);
        std::future::ready(seen).boxed()
    }
}

impl ThisNode {
    fn seen(&self, map: &MetaState) -> Map {
        let nodes = map.nodes.values().map(|record| Node {
            id: record.id,
            admin: record.admin.clone(),
            version: record.version.clone(),
            live: (record.id == self.0.node).then_some(true),
        });
        let mut meta = self.shard(0, map.nodes.keys().copied());
        fill(&mut meta, &self.0.meta.group, self.0.node);
        let shards = map.shards.iter().map(|(id, record)| {
            let mut shard = self.shard(*id, record.replicas.iter().map(|(_, node)| *node));
            if let Some(here) = self.0.shards.get(*id) {
                fill(&mut shard, &here.group, self.0.node);
            }
            shard
        });
        let mut shards: Vec<Shard> = std::iter::once(meta).chain(shards).collect();
        for (slug, venue) in &map.venues {
            if let Ok(at) = shards.binary_search_by_key(&venue.shard, |shard| shard.id) {
                let shard = &mut shards[at];
                shard.venue_count += 1;
                if shard.venues.len() < VENUES {
                    shard.venues.push(slug.clone());
                }
            }
        }
        Map {
            nodes: nodes.collect(),
            shards,
        }
    }

    fn shard(&self, id: u64, on: impl Iterator<Item = u32>) -> Shard {
        let replica = |node| Replica {
            node,
            ..Replica::default()
        };
        Shard {
            id,
            replicas: on.map(replica).collect(),
            ..Shard::default()
        }
    }
}

/// What this node's own replica knows.
fn fill<M: Machine>(shard: &mut Shard, group: &Group<M>, node: u32) {
    let status = group.status(0);
    shard.leader = group.leadership.leader_node();
    shard.term = status.term;
    let own = shard.replicas.iter_mut().find(|replica| replica.node == node);
    if let Some(own) = own {
        own.applied = Some(status.applied);
        own.lag = Some(status.committed.saturating_sub(status.applied));
    }
}
