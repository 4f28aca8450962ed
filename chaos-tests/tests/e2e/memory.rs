//! What a node takes while nothing happens.

use rotunda_chaos::cluster::{Cluster, MERIDIAN};
use rotunda_chaos::report::tell;

const MOST: u64 = 150 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_stays_under_150_mebibytes() {
    let mut cluster = Cluster::builder().start().await;
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    for node in cluster.nodes() {
        let bytes = cluster.process(node).resident_bytes();
        tell(format!(
            "node {node}, idle, {} venues of 90 days: {} MiB resident",
            cluster.client().map().venues().len(),
            bytes >> 20
        ));
        assert!(bytes < MOST, "node {node} has {} MiB resident", bytes >> 20);
    }
}
