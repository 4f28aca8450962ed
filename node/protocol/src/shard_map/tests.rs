//! What a map answers, and which maps are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::error::WireError;
use crate::proto::admin;
use crate::token::Mark;
use rotunda_booking::command::Role;
use rotunda_booking::time::Timestamp;

fn node(id: u32) -> NodeInfo {
    NodeInfo {
        id,
        grpc: format!("http://10.0.0.{id}:7001"),
        admin: format!("http://10.0.0.{id}:9101"),
        version: "0.1.0".into(),
    }
}

fn shard(id: u64, nodes: &[u32]) -> ShardInfo {
    let replicas = nodes
        .iter()
        .map(|&node| ReplicaInfo {
            id: id * 10 + u64::from(node),
            node,
        })
        .collect();
    ShardInfo { id, epoch: 1, replicas }
}

fn venue(number: u32, slug: &str, shard: u64) -> VenueInfo {
    VenueInfo {
        number: VenueNo(number),
        slug: slug.to_owned(),
        shard,
        network: None,
    }
}

fn map(nodes: Vec<NodeInfo>, shards: Vec<ShardInfo>, venues: Vec<VenueInfo>) -> Result<ShardMap, MapError> {
    ShardMap::new(7, "meridian".to_owned(), nodes, shards, venues)
}

#[test]
fn a_venue_is_found_by_slug_and_by_number() {
    let map = map(
        vec![node(2), node(1)],
        vec![shard(2, &[1, 2]), shard(1, &[1])],
        vec![venue(9, "oslo-light", 1), venue(4, "lisbon-tides", 2)],
    )
    .unwrap();
    assert_eq!(map.venue("lisbon-tides").unwrap().number, VenueNo(4));
    assert_eq!(map.shard_of(VenueNo(4)).unwrap().id, 2);
    assert_eq!(map.shard_of(VenueNo(9)).unwrap().id, 1);
    assert_eq!(map.venue("lisbon"), None);
    assert_eq!(map.shard_of(VenueNo(5)), None);
    assert_eq!(map.node(2).unwrap().grpc, "http://10.0.0.2:7001");
    assert_eq!(
        map.venues_of(2).map(|venue| venue.slug.as_str()).collect::<Vec<_>>(),
        ["lisbon-tides"]
    );
    let ids: Vec<_> = map.shards().iter().map(|shard| shard.id).collect();
    assert_eq!(ids, [1, 2], "in order, whatever the order of arrival");
}

#[test]
fn a_map_that_contradicts_itself_is_refused() {
    let nodes = || vec![node(1), node(2)];
    let shards = || vec![shard(1, &[1, 2])];
    let cases = [
        (map(vec![node(1), node(1)], vec![], vec![]), MapError::Node(1)),
        (map(vec![node(0)], vec![], vec![]), MapError::Node(0)),
        (
            map(nodes(), vec![shard(1, &[1]), shard(1, &[2])], vec![]),
            MapError::Shard(1),
        ),
        (map(nodes(), vec![shard(0, &[1])], vec![]), MapError::Shard(0)),
        (
            map(nodes(), vec![shard(1, &[])], vec![]),
            MapError::Replicas { shard: 1 },
        ),
        (
            map(nodes(), vec![shard(1, &[1, 3])], vec![]),
            MapError::Replicas { shard: 1 },
        ),
        (
            map(nodes(), vec![shard(1, &[1, 1])], vec![]),
            MapError::Replicas { shard: 1 },
        ),
        (
            map(nodes(), shards(), vec![venue(1, "a", 1), venue(1, "b", 1)]),
            MapError::VenueNumber(1),
        ),
        (
            map(nodes(), shards(), vec![venue(1, "a", 1), venue(2, "a", 1)]),
            MapError::VenueSlug("a".into()),
        ),
        (
            map(nodes(), shards(), vec![venue(1, "", 1)]),
            MapError::VenueSlug(String::new()),
        ),
        (
            map(nodes(), shards(), vec![venue(1, "a", 2)]),
            MapError::VenueShard {
                slug: "a".into(),
                shard: 2,
            },
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, Err(expected));
    }
}

#[test]
fn a_wire_map_that_contradicts_itself_is_refused() {
    let wire = admin::ShardMap {
        version: 1,
        venues: vec![admin::Venue {
            number: 1,
            slug: "a".into(),
            shard: 3,
            network: "museums".into(),
        }],
        ..admin::ShardMap::default()
    };
    let expected = MapError::VenueShard {
        slug: "a".into(),
        shard: 3,
    };
    assert_eq!(ShardMap::try_from(wire), Err(WireError::Map(expected)));
}

fn any_map() -> impl Strategy<Value = ShardMap> {
    let shards = btree_map(
        1..200u64,
        (any::<u64>(), proptest::sample::subsequence(vec![1, 2, 3, 4, 5], 1..=5)),
        1..20,
    );
    let venues = btree_map(any::<u32>(), any::<proptest::sample::Index>(), 0..30);
    (any::<u64>(), "[a-z]{0,8}", shards, venues).prop_map(|(version, cluster, shards, venues)| {
        let ids: Vec<u64> = shards.keys().copied().collect();
        let shards = shards
            .into_iter()
            .map(|(id, (epoch, nodes))| ShardInfo {
                epoch,
                ..shard(id, &nodes)
            })
            .collect();
        let venues = venues
            .into_iter()
            .map(|(number, shard)| venue(number, &format!("museum-{number}"), *shard.get(&ids)))
            .collect();
        let map = ShardMap::new(version, cluster, (1..=5).map(node).collect(), shards, venues).unwrap();
        map.with_tokens(vec![token("gate-1", Some([7; 32])), token("anna", None)])
    })
}

/// Without a digest it is revoked.
fn token(name: &str, digest: Option<[u8; 32]>) -> TokenInfo {
    let mark = |at| Mark {
        by: "admin".to_owned(),
        from: Some("192.0.2.7".to_owned()),
        at: Timestamp(at),
    };
    TokenInfo {
        holder: Arc::new(Holder {
            name: name.into(),
            role: Role::Gate,
            network: None,
            venues: vec!["lisbon-tides".to_owned()],
        }),
        digest,
        created: mark(1_000),
        revoked: digest.is_none().then(|| mark(2_000)),
    }
}

#[test]
fn a_token_is_found_by_its_digest_until_it_is_revoked() {
    let tokens = vec![token("gate-1", Some([7; 32])), token("anna", None)];
    let map = map(vec![], vec![], vec![]).unwrap().with_tokens(tokens);
    assert_eq!(map.holder(&[7; 32]).map(|holder| &*holder.name), Some("gate-1"));
    assert_eq!(map.holder(&[0; 32]), None);
    let names: Vec<&str> = map.tokens().iter().map(|token| &*token.holder.name).collect();
    assert_eq!(names, ["anna", "gate-1"]);
}

#[test]
fn a_role_that_only_newer_nodes_know_costs_nobody_the_map() {
    let mut wire = admin::ShardMap::from(&map(vec![], vec![], vec![]).unwrap());
    wire.tokens = vec![
        admin::Token {
            role: 99,
            ..admin::Token::from(&token("curator", Some([1; 32])))
        },
        admin::Token::from(&token("gate-1", Some([7; 32]))),
    ];
    let map = ShardMap::try_from(wire).unwrap();
    assert_eq!((map.tokens().len(), map.holder(&[1; 32])), (1, None));
    // One of its own that makes no sense is a mistake.
    let mut wire = admin::ShardMap::from(&map);
    wire.tokens[0].digest = bytes::Bytes::from_static(b"short");
    assert!(ShardMap::try_from(wire).is_err());
}

proptest! {
    #[test]
    fn a_map_comes_over_the_wire_unchanged(map in any_map()) {
        let wire = admin::ShardMap::from(&map);
        prop_assert_eq!(ShardMap::try_from(wire), Ok(map));
    }

    #[test]
    fn any_wire_map_is_taken_or_refused(
        nodes in vec(0..4u32, 0..5),
        shards in vec((0..4u64, vec(0..4u32, 0..4)), 0..4),
        venues in vec((0..4u32, "[ab]{0,2}", 0..4u64), 0..4),
    ) {
        let wire = admin::ShardMap {
            version: 1,
            cluster: String::new(),
            nodes: nodes.into_iter().map(|id| admin::Node { id, ..admin::Node::default() }).collect(),
            shards: shards
                .into_iter()
                .map(|(id, on)| admin::Shard {
                    id,
                    epoch: 1,
                    replicas: on.into_iter().map(|node| admin::Replica { id: 1, node }).collect(),
                })
                .collect(),
            venues: venues.into_iter().map(|(number, slug, shard)| admin::Venue { number, slug, shard, network: String::new() }).collect(),
            tokens: Vec::new(),
            limits: None,
            cluster_version: 0,
        };
        // Whoever holds a map relies on these.
        if let Ok(map) = ShardMap::try_from(wire) {
            for venue in map.venues() {
                let shard = map.shard_of(venue.number).unwrap();
                prop_assert_eq!(shard.id, venue.shard);
                prop_assert!(shard.replicas.iter().all(|replica| map.node(replica.node).is_some()));
                prop_assert_eq!(map.venue(&venue.slug), Some(venue));
            }
        }
    }
}
