//! What the cluster client makes of nodes that refuse, break, keep silent, freeze and die; each story a test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod fake;

use std::time::Duration;

use fake::{Cluster, Do, EPOCH, Latch, SHARD, VENUE, answered, command, rejected, venue_query};
use futures::future::join_all;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::{Answer, Query};
use rotunda_protocol::client::{ClientConfig, ClientError, ClusterClient};
use rotunda_protocol::rejection::Rejection;
use tokio::time::Instant;

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
    cluster.nodes.iter_mut().for_each(fake::FakeNode::kill);
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
    cluster.nodes.iter_mut().for_each(fake::FakeNode::kill);
    let client = ClusterClient::connect(ClientConfig {
        seeds,
        ..ClientConfig::default()
    });
    assert_eq!(client.ready(soon()).await, Err(ClientError::Unavailable));
    assert_eq!(client.submit(&command(1), soon()).await, Err(ClientError::Unavailable));
    assert_eq!(client.map().version(), 0);
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

#[tokio::test]
async fn the_map_goes_on_when_the_node_that_told_it_dies() {
    let mut cluster = Cluster::start();
    let client = client(&cluster, FOR_EVER).await;
    let followed = (0..3)
        .find(|&at| *cluster.nodes[at].mind.watchers.borrow() > 0)
        .unwrap();
    cluster.nodes[followed].kill();
    cluster.publish(12, EPOCH);
    let mut versions = client.map_versions();
    versions.wait_for(|version| *version == 12).await.unwrap();
    assert_eq!(client.map().version(), 12);
}

#[tokio::test]
async fn a_node_that_moved_is_asked_at_its_new_address() {
    let mut cluster = Cluster::start();
    let client = client_of_leader_1(&cluster, FOR_EVER).await;
    let moved = fake::FakeNode::start(1);
    moved.leads(21);
    cluster.nodes[0] = moved;
    cluster.publish(13, EPOCH);
    assert_eq!(client.submit(&command(1), patience()).await.unwrap().reply.index, 21);
}

#[tokio::test]
async fn assigning_venues_finds_the_meta_leader_and_waits_for_the_map() {
    let cluster = Cluster::start();
    let (leader, version) = (3, 20);
    for id in [1, 2] {
        cluster
            .node(id)
            .on_assign(move |_| rotunda_protocol::proto::admin::AssignVenuesReply {
                not_leader: true,
                leader_node: leader,
                version: 0,
            });
    }
    cluster.node(leader).on_assign(move |slugs| {
        assert_eq!(slugs, [fake::SLUG]);
        rotunda_protocol::proto::admin::AssignVenuesReply {
            version,
            ..Default::default()
        }
    });
    let client = client(&cluster, FOR_EVER).await;
    let slugs = [fake::SLUG.to_owned()];
    let assigning = client.assign_venues(&slugs, patience());
    let publishing = async {
        tokio::task::yield_now().await;
        cluster.publish(version, EPOCH);
    };
    let (map, ()) = tokio::join!(assigning, publishing);
    assert_eq!(map.unwrap().version(), version);
}

#[tokio::test]
async fn the_clusters_own_affairs_are_answered() {
    let mut cluster = Cluster::start();
    let client = client(&cluster, FOR_EVER).await;

    let filled = client.fill_calendar(VENUE, patience()).await.unwrap();
    assert_eq!((filled.added, filled.removed, filled.index), (90, 1, 7));
    assert_eq!(
        client.fill_calendar(VenueNo(99), patience()).await,
        Err(ClientError::UnknownVenue)
    );

    client.transfer_leader(SHARD, 3, patience()).await.unwrap();
    let refused = client.transfer_leader(SHARD, 9, patience()).await;
    assert_eq!(refused, Err(ClientError::Rejected("node 9 has no replica".to_owned())));

    cluster.nodes[0].kill();
    let status = client.node_status(patience()).await;
    assert_eq!(status.iter().map(|(node, _)| node.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        status[0].1,
        Err(ClientError::Unavailable),
        "the dead one is shown as such"
    );
    let alive = status[1].1.as_ref().unwrap();
    assert_eq!(
        (
            alive.node,
            alive.replicas[0].role.as_str(),
            alive.replicas[0].state_hash
        ),
        (2, "leader", [7; 16])
    );
}

#[tokio::test]
async fn a_log_is_read_in_pages() {
    use rotunda_protocol::proto::admin::LogEntry;
    let cluster = Cluster::start();
    let payload = bytes::Bytes::from(vec![1; 3 * 1024 * 1024]);
    *cluster.node(2).mind.log.lock().unwrap() = (1..=10)
        .map(|index| LogEntry {
            index,
            term: 1,
            payload: payload.clone(),
        })
        .collect();
    let client = client(&cluster, FOR_EVER).await;
    let (mut from, mut pages) = (1, Vec::new());
    loop {
        let page = client.read_log(2, SHARD, from).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        pages.push(page.len());
    }
    assert_eq!(pages.iter().sum::<usize>(), 10, "all of it, once");
    assert!(pages.len() > 1, "in pages: {pages:?}");
    assert!(matches!(client.read_log(2, 99, 1).await, Err(ClientError::Rejected(_))));
    assert_eq!(client.read_log(99, SHARD, 1).await, Err(ClientError::Unavailable));
}
