//! Maps only move forward, and stay with their cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::shard_map::NodeInfo;

fn map(version: u64, cluster: &str, nodes: &[u32]) -> ShardMap {
    let nodes = nodes.iter().map(|&id| NodeInfo {
        id,
        grpc: format!("http://10.0.0.{id}:7001"),
        admin: String::new(),
        version: String::new(),
    });
    ShardMap::new(version, cluster.to_owned(), nodes.collect(), vec![], vec![]).unwrap()
}

fn watch() -> MapWatch {
    MapWatch::new(Arc::new(Metrics::new()))
}

#[test]
fn maps_only_move_forward() {
    let watch = watch();
    watch.publish(map(5, "meridian", &[1])).unwrap();
    watch.publish(map(4, "meridian", &[1, 2])).unwrap();
    watch.publish(map(5, "meridian", &[1, 2])).unwrap();
    assert_eq!(watch.current().nodes().len(), 1);
    watch.publish(map(6, "meridian", &[1, 2])).unwrap();
    assert_eq!(watch.current().version(), 6);
}

#[test]
fn the_map_of_another_cluster_is_not_taken() {
    let watch = watch();
    watch.publish(map(5, "meridian", &[1])).unwrap();
    assert!(watch.publish(map(9, "elsewhere", &[1])).is_err());
    assert_eq!(watch.current().cluster(), "meridian");
}

#[tokio::test]
async fn whoever_waits_for_a_newer_map_is_told_of_one_that_came_before_it_asked() {
    let watch = watch();
    watch.publish(map(5, "meridian", &[1])).unwrap();
    watch.newer_than(4).arrives().await;

    let mut newer = watch.newer_than(5);
    assert!(futures::poll!(std::pin::pin!(newer.arrives())).is_pending());
    watch.publish(map(6, "meridian", &[1])).unwrap();
    newer.arrives().await;
    assert!(
        futures::poll!(std::pin::pin!(newer.arrives())).is_pending(),
        "once only"
    );
}

#[test]
fn seeds_stay_in_the_round_beside_the_nodes_of_the_map() {
    let seeds = ["http://10.0.0.2:7001".to_owned(), "http://seed:7001".to_owned()];
    let addresses = addresses(&map(1, "meridian", &[1, 2]), &seeds);
    let expected = [
        (Some(1), "http://10.0.0.1:7001"),
        (Some(2), "http://10.0.0.2:7001"),
        (None, "http://seed:7001"),
    ];
    assert_eq!(addresses, expected.map(|(node, address)| (node, address.to_owned())));
}
