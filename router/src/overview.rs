//! This router as its admin port shows it to a person: its own figures, and the cluster as the nodes tell it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rotunda_booking::ids::VenueNo;
use rotunda_overview::state::{HotSlot, Map, Node, Process, Replica, Shard};
use rotunda_overview::{Overview, Plan, Subject};
use rotunda_protocol::shard_map::ShardMap;
use tokio::time::Instant;

use crate::api::cluster::{Answer, Said};
use crate::metrics::Page;
use crate::server::Door;

/// How long the nodes have to answer; a dead one must not make the others late.
const PATIENCE: Duration = Duration::from_millis(700);

/// Venues that are named of a shard.
const VENUES: usize = 8;

/// The Raft group that keeps the map.
const META: u64 = 0;

/// Begins to look at this router.
pub(crate) fn begin(door: Arc<Door>, page: Option<Page>) -> Arc<Overview> {
    Overview::start(Arc::new(ThisRouter { door, page }))
}

struct ThisRouter {
    door: Arc<Door>,
    page: Option<Page>,
}

impl Subject for ThisRouter {
    fn process(&self) -> Process {
        Process {
            kind: "router".to_owned(),
            name: self.door.addresses.http.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn plan(&self) -> Plan {
        Plan::router()
    }

    fn metrics(&self) -> String {
        self.page.as_ref().map(Page::counted).unwrap_or_default()
    }

    fn hot(&self, most: usize) -> Vec<HotSlot> {
        let map = self.door.backend.map();
        let named = |venue| {
            map.venue_no(VenueNo(venue))
                .map_or_else(|| format!("#{venue}"), |venue| venue.slug.clone())
        };
        let hottest = self.door.hot_slots.hottest(most);
        hottest.into_iter().map(|hot| hot.named(named)).collect()
    }

    fn map(&self) -> BoxFuture<'_, Option<Map>> {
        async move {
            let map = self.door.backend.map();
            if map.version() == 0 {
                return None;
            }
            let answers = self.door.backend.node_status(Instant::now() + PATIENCE).await;
            let answers: Vec<Answer> = answers.into_iter().map(|(node, status)| (node, status.ok())).collect();
            Some(seen(&map, &answers))
        }
        .boxed()
    }
}

fn seen(map: &ShardMap, answers: &[Answer]) -> Map {
    let nodes = answers.iter().map(|(node, status)| Node {
        id: node.id,
        admin: status.as_ref().map_or(&node.admin, |status| &status.admin).clone(),
        version: status.as_ref().map_or(&node.version, |status| &status.version).clone(),
        live: Some(status.is_some()),
    });
    let everywhere: Vec<u32> = answers.iter().map(|(node, _)| node.id).collect();
    let shards = map.shards().iter().map(|info| {
        let on: Vec<u32> = info.replicas.iter().map(|replica| replica.node).collect();
        shard(map, info.id, &on, answers)
    });
    Map {
        nodes: nodes.collect(),
        shards: std::iter::once(shard(map, META, &everywhere, answers))
            .chain(shards)
            .collect(),
    }
}

fn shard(map: &ShardMap, id: u64, on: &[u32], answers: &[Answer]) -> Shard {
    let said = Said::of(id, answers);
    let replica = |node: &u32| Replica {
        node: *node,
        applied: said.on(*node).map(|status| status.applied),
        lag: said.lag(*node),
    };
    Shard {
        id,
        leader: said.leader(),
        term: said.term().unwrap_or(0),
        replicas: on.iter().map(replica).collect(),
        venues: map.venues_of(id).take(VENUES).map(|venue| venue.slug.clone()).collect(),
        venue_count: map.venues_of(id).count(),
    }
}

#[cfg(test)]
mod tests {
    use rotunda_protocol::client::{NodeStatus, ReplicaStatus};
    use rotunda_protocol::shard_map::{NodeInfo, ReplicaInfo, ShardInfo};

    use super::*;

    fn answer(node: u32, role: Option<(&str, u64)>) -> Answer {
        let info = NodeInfo {
            id: node,
            grpc: format!("http://127.0.0.1:700{node}"),
            admin: format!("http://127.0.0.1:710{node}"),
            version: "1.0.0".to_owned(),
        };
        let status = role.map(|(role, term)| NodeStatus {
            node,
            cluster: "c".to_owned(),
            version: "1.0.1".to_owned(),
            grpc: info.grpc.clone(),
            admin: info.admin.clone(),
            draining: false,
            replicas: [META, 1]
                .map(|shard| ReplicaStatus {
                    shard,
                    replica: 1_000 + u64::from(node),
                    role: role.to_owned(),
                    leader_replica: None,
                    leader_node: None,
                    term,
                    last_log: 90,
                    committed: 80,
                    applied: 70 + u64::from(node),
                    purged: 0,
                    state_hash: [0; 16],
                    epoch: 1,
                    voters: Vec::new(),
                })
                .into(),
        });
        (info, status)
    }

    #[test]
    fn a_dead_node_and_a_deposed_leader_are_seen_as_such() {
        let answers = [
            answer(1, None),
            answer(2, Some(("leader", 4))),
            answer(3, Some(("leader", 5))),
        ];
        let nodes = answers.iter().map(|(node, _)| node.clone()).collect();
        let replicas = [1, 2, 3].map(|node| ReplicaInfo {
            id: 1_000 + u64::from(node),
            node,
        });
        let shards = vec![ShardInfo {
            id: 1,
            epoch: 1,
            replicas: replicas.into(),
        }];
        let map = ShardMap::new(7, "c".to_owned(), nodes, shards, Vec::new()).expect("a map");
        let seen = seen(&map, &answers);
        let live: Vec<_> = seen
            .nodes
            .iter()
            .map(|node| (node.live, node.version.as_str()))
            .collect();
        assert_eq!(
            live,
            [(Some(false), "1.0.0"), (Some(true), "1.0.1"), (Some(true), "1.0.1")]
        );
        assert_eq!(seen.shards.len(), 2);
        for shard in &seen.shards {
            assert_eq!((shard.leader, shard.term), (Some(3), 5));
            let lags: Vec<_> = shard.replicas.iter().map(|replica| replica.lag).collect();
            assert_eq!(lags, [None, Some(8), Some(7)]);
        }
    }
}
