//! The cluster's own affairs: the map, venues, status, logs.

use rotunda_booking::command::Role;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::time::Timestamp;
use rotunda_protocol::client::ClientError;
use rotunda_protocol::limits::{ClusterLimit, ClusterLimits};
use rotunda_protocol::proto::admin::{AssignVenuesReply, LogEntry, SetLimitsReply, TokenReply};
use rotunda_protocol::shard_map::ShardMap;
use rotunda_protocol::token::{Holder, Mark, NewToken, TokenInfo, TokenOutcome};

use crate::fake::{Cluster, EPOCH, SHARD, SLUG, VENUE};
use crate::{FOR_EVER, client, patience};

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
async fn a_node_that_tells_the_map_of_another_cluster_is_left() {
    let cluster = Cluster::start();
    let client = client(&cluster, FOR_EVER).await;
    let followed = (0..3)
        .find(|&at| *cluster.nodes[at].mind.watchers.borrow() > 0)
        .unwrap();
    // Its machine now serves somebody else.
    let stranger = ShardMap::new(50, "elsewhere".to_owned(), vec![], vec![], vec![]).unwrap();
    cluster.nodes[followed].publish(&stranger);
    let others: Vec<usize> = (0..3).filter(|at| *at != followed).collect();
    let newer = cluster.map(12, EPOCH);
    others.iter().for_each(|&at| cluster.nodes[at].publish(&newer));
    let mut versions = client.map_versions();
    let learnt = tokio::time::timeout_at(patience(), versions.wait_for(|version| *version == 12));
    learnt.await.expect("another node is followed").unwrap();
}

#[tokio::test]
async fn assigning_venues_finds_the_meta_leader_and_waits_for_the_map() {
    let cluster = Cluster::start();
    let (leader, version) = (3, 20);
    for id in [1, 2] {
        cluster.node(id).on_assign(move |_| AssignVenuesReply {
            not_leader: true,
            leader_node: leader,
            version: 0,
        });
    }
    cluster.node(leader).on_assign(move |slugs| {
        assert_eq!(slugs, [SLUG]);
        AssignVenuesReply {
            version,
            ..Default::default()
        }
    });
    let client = client(&cluster, FOR_EVER).await;
    let slugs = [SLUG.to_owned()];
    let assigning = client.assign_venues("museums", &slugs, patience());
    let publishing = async {
        tokio::task::yield_now().await;
        cluster.publish(version, EPOCH);
    };
    let (map, ()) = tokio::join!(assigning, publishing);
    assert_eq!(map.unwrap().version(), version);
}

#[tokio::test]
async fn assigned_venues_are_learnt_from_another_node_where_the_one_followed_lags() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).on_assign(|_| AssignVenuesReply {
            version: 20,
            ..Default::default()
        });
    }
    let client = client(&cluster, FOR_EVER).await;
    let followed = (1..=3)
        .find(|&id| *cluster.node(id).mind.watchers.borrow() > 0)
        .unwrap();
    let newer = cluster.map(20, EPOCH);
    (1..=3)
        .filter(|&id| id != followed)
        .for_each(|id| cluster.node(id).publish(&newer));
    let map = client
        .assign_venues("museums", &[SLUG.to_owned()], patience())
        .await
        .unwrap();
    assert_eq!(map.version(), 20);
}

#[tokio::test]
async fn a_version_is_raised_by_the_leader_or_refused_with_who_is_behind() {
    let cluster = Cluster::start();
    let client = client(&cluster, FOR_EVER).await;
    // What this client shows is what its map says, and that says none yet.
    assert_eq!(client.raise_version(None, "admin", patience()).await, Ok(3));
    let behind = "node 2 runs 0.1.0, which reads 3 to 4".to_owned();
    assert_eq!(
        client.raise_version(Some(5), "admin", patience()).await,
        Err(ClientError::NotYet(behind))
    );

    let drained = client.drain(2, false, patience()).await.unwrap();
    assert!(drained.draining && drained.leads == 0, "{drained:?}");
    assert!(!client.drain(3, true, patience()).await.unwrap().draining);
    let old = client.drain(1, false, patience()).await;
    assert!(
        matches!(&old, Err(ClientError::NotYet(why)) if why.contains("SIGTERM")),
        "{old:?}"
    );
    assert!(matches!(
        client.drain(9, false, patience()).await,
        Err(ClientError::Rejected(_))
    ));
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

const DIGEST: [u8; 32] = [7; 32];

/// The map of this version with one token, good or revoked.
fn map_with_token(cluster: &Cluster, version: u64, is_good: bool) -> ShardMap {
    let mark = Mark {
        by: "admin".to_owned(),
        from: None,
        at: Timestamp(1_000),
    };
    let token = TokenInfo {
        holder: std::sync::Arc::new(Holder {
            name: "gate-1".into(),
            role: Role::Gate,
            network: None,
            venues: Vec::new(),
        }),
        digest: is_good.then_some(DIGEST),
        created: mark.clone(),
        revoked: (!is_good).then_some(mark),
    };
    cluster.map(version, EPOCH).with_tokens(vec![token])
}

fn publish(cluster: &Cluster, map: &ShardMap) {
    cluster.nodes.iter().for_each(|node| node.publish(map));
}

#[tokio::test]
async fn issuing_a_token_finds_the_meta_leader_and_waits_for_the_map() {
    let cluster = Cluster::start();
    let (leader, version) = (3, 20);
    for id in [1, 2] {
        cluster.node(id).on_token(move |_| TokenReply {
            not_leader: true,
            leader_node: leader,
            ..Default::default()
        });
    }
    cluster.node(leader).on_token(move |name| {
        assert_eq!(name, "gate-1");
        TokenReply {
            version,
            ..Default::default()
        }
    });
    let client = client(&cluster, FOR_EVER).await;
    let token = NewToken {
        name: "gate-1".to_owned(),
        role: Role::Gate,
        network: None,
        venues: Vec::new(),
        digest: DIGEST,
        by: "admin".to_owned(),
    };
    let issuing = client.create_token(token, patience());
    let publishing = async {
        tokio::task::yield_now().await;
        publish(&cluster, &map_with_token(&cluster, version, true));
    };
    let (outcome, ()) = tokio::join!(issuing, publishing);
    assert_eq!(outcome, Ok(TokenOutcome::Done));
    assert!(client.map().holder(&DIGEST).is_some(), "this router knows it already");
}

#[tokio::test]
async fn a_token_that_one_router_revokes_is_unknown_to_the_next_map_of_another() {
    let cluster = Cluster::start();
    publish(&cluster, &map_with_token(&cluster, 20, true));
    let (revoker, other) = (client(&cluster, FOR_EVER).await, client(&cluster, FOR_EVER).await);
    let mut versions = other.map_versions();
    versions.wait_for(|version| *version == 20).await.unwrap();
    assert!(other.map().holder(&DIGEST).is_some());
    for id in 1..=3 {
        cluster.node(id).on_token(|_| TokenReply {
            version: 21,
            ..Default::default()
        });
    }
    let revoking = revoker.revoke_token("gate-1", "admin", patience());
    let publishing = async {
        tokio::task::yield_now().await;
        publish(&cluster, &map_with_token(&cluster, 21, false));
    };
    let (outcome, ()) = tokio::join!(revoking, publishing);
    assert_eq!(outcome, Ok(TokenOutcome::Done));
    assert!(revoker.map().holder(&DIGEST).is_none());
    versions.wait_for(|version| *version == 21).await.unwrap();
    assert!(other.map().holder(&DIGEST).is_none());
}

#[tokio::test]
async fn a_refused_token_is_answered_as_such() {
    let cluster = Cluster::start();
    for id in 1..=3 {
        cluster.node(id).on_token(|_| TokenReply {
            outcome: TokenOutcome::Unknown as u32,
            ..Default::default()
        });
    }
    let client = client(&cluster, FOR_EVER).await;
    let outcome = client.revoke_token("nobody", "admin", patience()).await;
    assert_eq!(outcome, Ok(TokenOutcome::Unknown));
}

#[tokio::test]
async fn setting_quotas_finds_the_meta_leader_and_waits_for_the_map() {
    let cluster = Cluster::start();
    let (leader, version) = (2, 20);
    for id in [1, 3] {
        cluster.node(id).on_limits(move |_| SetLimitsReply {
            not_leader: true,
            leader_node: leader,
            ..Default::default()
        });
    }
    let limit = ClusterLimit {
        role: "visitor".to_owned(),
        quota: "5/1s".to_owned(),
        ..ClusterLimit::default()
    };
    cluster.node(leader).on_limits(move |request| {
        assert_eq!((request.by.as_str(), request.limits.len()), ("admin", 1));
        SetLimitsReply {
            version,
            ..Default::default()
        }
    });
    let client = client(&cluster, FOR_EVER).await;
    let limits = [limit];
    let setting = client.set_limits(&limits, "admin", patience());
    let publishing = async {
        tokio::task::yield_now().await;
        let set = Some(Mark {
            by: "admin".to_owned(),
            from: None,
            at: Timestamp(1_000),
        });
        let limits = ClusterLimits {
            limits: limits.to_vec(),
            set,
        };
        publish(&cluster, &cluster.map(version, EPOCH).with_limits(limits));
    };
    let (set, ()) = tokio::join!(setting, publishing);
    assert_eq!(set, Ok(()));
    assert_eq!(client.map().limits().limits, limits);
}
