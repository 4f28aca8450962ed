//! One stream, many calls: what breaks with it, who gets which reply, how many there may be.

use futures::future::join_all;
use rotunda_protocol::client::ClientError;
use rotunda_protocol::rejection::Rejection;

use crate::fake::{Cluster, Do, command};
use crate::{FOR_EVER, client_of_leader_1, patience, until};

#[tokio::test]
async fn a_stream_that_breaks_after_the_command_sends_the_same_command_elsewhere() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster.node(1).on_command(|_| Do::Break);
    cluster.node(2).leads(8);
    cluster.node(3).rejects(Rejection::not_leader(Some(2)));

    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 8);
    let first = cluster.node(1).mind.commands.lock().unwrap()[0].command.clone();
    let second = cluster.node(2).mind.commands.lock().unwrap()[0].command.clone();
    assert_eq!(first, second, "the same key, or it would take effect twice");
}

#[tokio::test]
async fn all_calls_on_a_broken_stream_are_tried_again() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    let mut seen = 0;
    cluster.node(1).on_command(move |_| {
        seen += 1;
        if seen < 50 { Do::Nothing } else { Do::Break }
    });
    cluster.node(2).on_command(|_| Do::Reply(8));
    cluster.node(3).rejects(Rejection::not_leader(Some(2)));
    let commands: Vec<_> = (1..=50).map(command).collect();
    let results = join_all(commands.iter().map(|command| client.submit(command, patience()))).await;
    assert!(results.iter().all(|result| result.as_ref().unwrap().reply.index == 8));
}

#[tokio::test]
async fn a_node_that_babbles_is_treated_as_broken() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster.node(1).on_command(|_| Do::Babble);
    cluster.node(2).leads(8);
    cluster.node(3).leads(8);
    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 8);
}

#[tokio::test]
async fn replies_in_the_opposite_order_find_their_calls() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster.node(1).on_command(|_| Do::ReplyReversedAt(100));
    let commands: Vec<_> = (1..=100).map(command).collect();
    let results = join_all(commands.iter().map(|command| client.submit(command, patience()))).await;
    let indices: Vec<_> = results.into_iter().map(|result| result.unwrap().reply.index).collect();
    assert_eq!(indices, (1..=100).collect::<Vec<_>>(), "each has its own");
}

#[tokio::test]
async fn calls_made_together_travel_together() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    let before = *cluster.node(1).mind.frames.borrow();
    let commands: Vec<_> = (1..=400).map(command).collect();
    let results = join_all(commands.iter().map(|command| client.submit(command, patience()))).await;
    assert!(results.iter().all(Result::is_ok));
    let frames = *cluster.node(1).mind.frames.borrow() - before;
    assert!(frames <= 40, "400 commands took {frames} frames");
    assert_eq!(*cluster.node(1).mind.streams.borrow(), 1, "one stream for them all");
}

#[tokio::test]
async fn a_moment_of_overload_is_ridden_out() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    let mut refusals = 3;
    cluster.node(1).on_command(move |_| match refusals {
        0 => Do::Reply(5),
        _ => {
            refusals -= 1;
            Do::Reject(Rejection::overloaded("the shard's queue is full"))
        }
    });
    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 5);
    assert_eq!(cluster.node(1).commands_seen(), 4);
}

#[tokio::test]
async fn lasting_overload_is_passed_on_before_the_deadline() {
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster
        .node(1)
        .rejects(Rejection::overloaded("the shard's queue is full"));
    assert_eq!(
        client.submit(&command(1), patience()).await,
        Err(ClientError::Overloaded)
    );
}

#[tokio::test]
async fn beyond_the_bound_of_calls_under_way_the_next_is_refused_at_once() {
    const BOUND: usize = 8 * 1024;
    let cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    cluster.node(1).on_command(|_| Do::Nothing);
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..BOUND as u64 {
        let client = client.clone();
        calls.spawn(async move { client.submit(&command(number), patience()).await });
    }
    until("all are under way", || cluster.node(1).commands_seen() == BOUND).await;
    assert_eq!(
        client.submit(&command(99_999), patience()).await,
        Err(ClientError::Overloaded)
    );
    // And callers that give up make room again.
    calls.shutdown().await;
    cluster.node(1).leads(3);
    assert_eq!(
        client.submit(&command(99_999), patience()).await.unwrap().reply.index,
        3
    );
}
