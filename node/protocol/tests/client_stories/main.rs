//! What the cluster client makes of nodes that refuse, break, keep silent, freeze and die; each story a test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod affairs;
mod fake;
mod leader;
mod outage;
mod stream;

use std::time::Duration;

use rotunda_protocol::client::{ClientConfig, ClusterClient};
use rotunda_protocol::rejection::Rejection;
use tokio::time::Instant;

use fake::{Cluster, command};

/// Longer than any story takes on a busy machine: only a story that hangs reaches it.
fn patience() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// For stories whose end is the deadline.
fn soon() -> Instant {
    Instant::now() + Duration::from_millis(600)
}

/// An attempt waits so long that only what the story does can move the call on.
const FOR_EVER: Duration = Duration::from_secs(3600);

async fn client(cluster: &Cluster, attempt_timeout: Duration) -> ClusterClient {
    let client = ClusterClient::connect(ClientConfig {
        seeds: cluster.seeds(),
        attempt_timeout,
        ..ClientConfig::default()
    });
    client.ready(patience()).await.unwrap();
    client
}

/// The client knows that node 1 leads.
async fn client_of_leader_1(cluster: &Cluster, attempt_timeout: Duration) -> ClusterClient {
    cluster.node(1).leads(1);
    cluster.node(2).rejects(Rejection::not_leader(Some(1)));
    cluster.node(3).rejects(Rejection::not_leader(Some(1)));
    let client = client(cluster, attempt_timeout).await;
    client.submit(&command(0), patience()).await.unwrap();
    cluster
        .nodes
        .iter()
        .for_each(|node| node.mind.commands.lock().unwrap().clear());
    client
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let give_up = patience();
    while !condition() {
        assert!(Instant::now() < give_up, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
