//! Where the leader is: hints, elections, maps that are too old, nodes that moved.

use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::{Answer, Query};
use rotunda_protocol::client::ClientError;
use rotunda_protocol::rejection::Rejection;

use crate::fake::{Cluster, Do, EPOCH, FakeNode, SHARD, answered, command, rejected, venue_query};
use crate::{FOR_EVER, client, client_of_leader_1, patience, soon, until};

#[tokio::test]
async fn a_hint_is_followed_to_the_leader_and_remembered() {
    let cluster = Cluster::start();
    cluster.node(1).rejects(Rejection::not_leader(Some(3)));
    cluster.node(2).rejects(Rejection::not_leader(Some(3)));
    cluster.node(3).leads(48213);
    let client = client(&cluster, FOR_EVER).await;

    let submitted = client.submit(&command(1), patience()).await.unwrap();
    assert_eq!((submitted.shard, submitted.reply.index), (SHARD, 48213));
    assert!(cluster.commands_seen() <= 2, "one wrong node at most");

    let before = cluster.commands_seen();
    for number in 2..12 {
        client.submit(&command(number), patience()).await.unwrap();
    }
    assert_eq!(
        cluster.commands_seen(),
        before + 10,
        "straight to the leader from then on"
    );
}

#[tokio::test]
async fn hints_that_lead_in_circles_do_not_spin_and_do_nothing() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).rejects(Rejection::not_leader(Some(id % 3 + 1)));
    }
    let client = client(&cluster, FOR_EVER).await;
    let result = client.submit(&command(1), soon()).await;
    assert_eq!(result, Err(ClientError::Unavailable));
    let asked = cluster.commands_seen();
    assert!((2..40).contains(&asked), "asked {asked} times");
}

#[tokio::test]
async fn a_call_waits_out_an_election() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).rejects(Rejection::not_leader(None));
    }
    let client = client(&cluster, FOR_EVER).await;
    let submitting = tokio::spawn(async move { client.submit(&command(1), patience()).await });
    until("several refusals", || cluster.commands_seen() > 4).await;
    cluster.node(2).leads(7);
    assert_eq!(submitting.await.unwrap().unwrap().reply.index, 7);
}

#[tokio::test]
async fn a_stale_epoch_is_tried_again_with_the_newer_map() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).on_command(|record| match record.epoch {
            EPOCH => Do::Reject(Rejection::stale_epoch(EPOCH + 1)),
            _ => Do::Reply(9),
        });
    }
    let client = client(&cluster, FOR_EVER).await;
    let submitting = tokio::spawn(async move { client.submit(&command(1), patience()).await });
    until("a refusal", || cluster.commands_seen() > 0).await;
    cluster.publish(11, EPOCH + 1);
    assert_eq!(submitting.await.unwrap().unwrap().reply.index, 9);
}

#[tokio::test]
async fn a_node_whose_map_lags_is_left_for_one_that_has_the_newer() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).on_command(|record| match record.epoch {
            EPOCH => Do::Reject(Rejection::not_here()),
            _ => Do::Reply(9),
        });
    }
    let client = client(&cluster, FOR_EVER).await;
    // Every node but the one that the client follows has the newer map.
    let followed = (1..=3)
        .find(|&id| *cluster.node(id).mind.watchers.borrow() > 0)
        .unwrap();
    let newer = cluster.map(11, EPOCH + 1);
    cluster
        .nodes
        .iter()
        .enumerate()
        .filter(|(at, _)| *at as u32 + 1 != followed)
        .for_each(|(_, n)| n.publish(&newer));
    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 9);
    assert_eq!(client.map().version(), 11);
}

#[tokio::test]
async fn a_venue_that_is_not_in_the_directory_goes_nowhere() {
    let cluster = Cluster::start();
    let client = client(&cluster, FOR_EVER).await;
    let mut stray = command(1);
    stray.venue = VenueNo(99);
    assert_eq!(client.submit(&stray, patience()).await, Err(ClientError::UnknownVenue));
    let query = Query::Venue { venue: VenueNo(99) };
    assert_eq!(
        client.query(&query, None, patience()).await,
        Err(ClientError::UnknownVenue)
    );
    assert_eq!(cluster.commands_seen(), 0);
}

#[tokio::test]
async fn a_node_that_moved_is_asked_at_its_new_address() {
    let mut cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    let moved = FakeNode::start(1);
    moved.leads(21);
    cluster.nodes[0] = moved;
    cluster.publish(13, EPOCH);
    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 21);
}

#[tokio::test]
async fn a_question_finds_the_leader_and_carries_the_commit_token() {
    let cluster = Cluster::start();
    for id in [1, 3] {
        cluster
            .node(id)
            .on_query(|_| Ok(rejected(&Rejection::not_leader(Some(2)))));
    }
    cluster.node(2).on_query(|request| Ok(answered(request.at_least + 1)));
    let client = client(&cluster, FOR_EVER).await;
    let answer = client.query(&venue_query(), Some(48213), patience()).await.unwrap();
    assert_eq!(
        (answer.shard, answer.index, answer.answer),
        (SHARD, 48214, Answer::NotFound)
    );
    let asked = cluster.node(2).mind.queries.lock().unwrap()[0].clone();
    assert_eq!((asked.shard, asked.epoch), (SHARD, EPOCH));
}

#[tokio::test]
async fn what_can_never_work_is_said_once() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).rejects(Rejection::malformed("not a command"));
    }
    let client = client(&cluster, FOR_EVER).await;
    let result = client.submit(&command(1), patience()).await;
    assert_eq!(result, Err(ClientError::Rejected("not a command".to_owned())));
    assert_eq!(cluster.commands_seen(), 1);
}
