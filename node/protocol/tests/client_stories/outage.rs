//! Nodes that are silent, frozen, killed: how a call goes round them, and what is known when it cannot.

use std::time::Duration;

use rotunda_protocol::client::{ClientConfig, ClientError, ClusterClient};
use rotunda_protocol::rejection::Rejection;
use tokio::time::Instant;

use crate::fake::{Cluster, Do, FakeNode, Latch, answered, command, venue_query};
use crate::{FOR_EVER, client, client_of_leader_1, patience, soon, until};

#[tokio::test]
async fn a_silent_leader_does_not_eat_the_deadline() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, Duration::from_millis(100)).await;
    cluster.node(1).on_command(|_| Do::Nothing);
    cluster.node(2).leads(8);
    cluster.node(3).rejects(Rejection::not_leader(Some(2)));
    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 8);
    assert_eq!(cluster.node(1).commands_seen(), 1);

    client.submit(&command(2), patience()).await.unwrap();
    assert_eq!(
        cluster.node(1).commands_seen(),
        1,
        "and the next call goes to the new leader at once"
    );
}

#[tokio::test]
async fn the_late_reply_of_a_slow_leader_counts_and_it_is_not_asked_twice() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, Duration::from_secs(1)).await;
    let latch = Latch::default();
    let held = latch.clone();
    cluster.node(1).on_command(move |_| Do::ReplyAfter(held.clone(), 77));
    let submitting = tokio::spawn(async move { client.submit(&command(1), patience()).await });
    // The others still name node 1: it is slow, not gone.
    until("the others are asked", || {
        cluster.node(2).commands_seen() + cluster.node(3).commands_seen() > 2
    })
    .await;
    let asked = cluster.node(1).commands_seen();
    latch.open();
    assert_eq!(submitting.await.unwrap().unwrap().reply.index, 77);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_frozen_leader_is_found_out_by_keep_alive() {
    let cluster = Cluster::start();
    // The attempt's own time never runs out here: what moves the call on is the unanswered ping.
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    let latch = Latch::default();
    let held = latch.clone();
    cluster.node(1).on_command(move |_| Do::Freeze(held.clone()));
    cluster.node(2).leads(8);
    cluster.node(3).rejects(Rejection::not_leader(Some(2)));
    let result = client.submit(&command(1), patience()).await;
    latch.open();
    assert_eq!(result.unwrap().reply.index, 8);
}

#[tokio::test]
async fn a_killed_leader_is_gone_round() {
    let mut cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster.nodes[0].kill();
    let submitting = tokio::spawn(async move { client.submit(&command(1), patience()).await });
    until("the others are asked", || {
        cluster.node(2).commands_seen() + cluster.node(3).commands_seen() > 2
    })
    .await;
    cluster.node(3).leads(8);
    assert_eq!(submitting.await.unwrap().unwrap().reply.index, 8);
}

#[tokio::test]
async fn a_deadline_behind_a_silent_leader_leaves_the_fate_unknown() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, Duration::from_millis(50)).await;
    cluster.node(1).on_command(|_| Do::Nothing);
    assert_eq!(client.submit(&command(1), soon()).await, Err(ClientError::Unknown));
}

#[tokio::test]
async fn a_node_that_proposed_and_lost_sight_leaves_the_fate_unknown() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).rejects(Rejection::unknown("lost the quorum"));
    }
    let client = client(&cluster, FOR_EVER).await;
    assert_eq!(client.submit(&command(1), soon()).await, Err(ClientError::Unknown));
}

#[tokio::test]
async fn where_no_replica_takes_the_call_nothing_was_done() {
    let mut cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster.nodes.iter_mut().for_each(FakeNode::kill);
    // While the nodes are dying a command may still get onto a stream; from then on nothing is sent at all.
    let give_up = patience();
    while client.submit(&command(1), soon()).await == Err(ClientError::Unknown) {
        assert!(Instant::now() < give_up, "never certain that nothing was done");
    }
    assert_eq!(client.submit(&command(2), soon()).await, Err(ClientError::Unavailable));
    assert_eq!(
        client.query(&venue_query(), None, soon()).await,
        Err(ClientError::Unavailable)
    );
}

#[tokio::test]
async fn without_any_node_a_client_is_made_all_the_same_and_says_unavailable() {
    let mut cluster = Cluster::start();
    let seeds = cluster.seeds();
    cluster.nodes.iter_mut().for_each(FakeNode::kill);
    let client = ClusterClient::connect(ClientConfig {
        seeds,
        ..ClientConfig::default()
    });
    assert_eq!(client.ready(soon()).await, Err(ClientError::Unavailable));
    assert_eq!(client.submit(&command(1), soon()).await, Err(ClientError::Unavailable));
    assert_eq!(client.map().version(), 0);
}

#[tokio::test]
async fn a_question_goes_round_a_dead_and_a_failing_node() {
    let mut cluster = Cluster::start();
    cluster.nodes[0].kill();
    cluster
        .node(2)
        .on_query(|_| Err(tonic::Status::unavailable("shutting down")));
    cluster.node(3).on_query(|_| Ok(answered(1)));
    let client = client(&cluster, FOR_EVER).await;
    for _ in 0..5 {
        client.query(&venue_query(), None, patience()).await.unwrap();
    }
}
