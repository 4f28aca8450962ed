//! What this store promises beyond upstream's suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openraft::RaftLogReader;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};

use super::{GROUP, Place, REPLICA, Registers, append, apply, entry, entry_with, expected_rows, id, over_all, rows};
use crate::error::OpenError;
use crate::record::{self, StoredIdentity};
use crate::store::{Identity, Store, StoreConfig};
use crate::types::{GroupId, TypeConfig, Vote};

over_all! {
    a_log_is_the_same_after_a_restart,
    committed_is_never_beyond_the_log,
    entries_are_readable_as_soon_as_append_returns,
    a_log_larger_than_the_cache_is_read_in_bounded_pieces,
    a_hole_is_refused,
    a_purge_waits_until_the_state_is_durable,
    a_view_stays_as_it_was_while_applies_go_on,
    groups_do_not_see_each_other,
    an_epoch_is_kept,
    anothers_directory_is_refused_and_left_alone,
    a_directory_in_use_is_refused,
    a_newer_format_is_refused,
    a_raised_format_stays_and_does_not_go_back,
    an_older_format_is_refused,
    another_replica_id_is_refused,
    observers_hear_only_of_what_is_readable,
    an_entry_that_does_not_apply_stops_everything,
}

fn vote(term: u64) -> Vote {
    Vote {
        leader_id: LeaderId::new(term, REPLICA),
        committed: true,
    }
}

async fn a_log_is_the_same_after_a_restart(place: Place) {
    {
        let (_store, mut group) = place.open().await;
        append(&mut group, (0..100).map(|index| entry(1, index))).await;
        group.log.save_vote(&vote(2)).await.unwrap();
        group.log.truncate_after(Some(id(1, 79))).await.unwrap();
        append(&mut group, (80..90).map(|index| entry(2, index))).await;
        apply(&mut group, (0..50).map(|index| entry(1, index))).await.unwrap();
        group.log.purge(id(1, 29)).await.unwrap();
        group.log.save_committed(Some(id(2, 85))).await.unwrap();
        group.log.save_vote(&vote(3)).await.unwrap();
    }
    let (store, mut group) = place.open().await;
    let state = group.log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(id(1, 29)));
    assert_eq!(state.last_log_id, Some(id(2, 89)));
    let mut reader = group.log.get_log_reader().await;
    assert_eq!(reader.read_vote().await.unwrap(), Some(vote(3)));
    assert_eq!(group.log.read_committed().await.unwrap(), Some(id(2, 85)));
    let entries = reader.try_get_log_entries(..).await.unwrap();
    let expected: Vec<_> = (30..80)
        .map(|index| entry(1, index))
        .chain((80..90).map(|index| entry(2, index)))
        .collect();
    assert_eq!(entries, expected);
    assert_eq!(
        store.read_log(GROUP, 88, usize::MAX).await.unwrap(),
        [entry(2, 88), entry(2, 89)]
    );
    assert_eq!(group.machine.applied_state().await.unwrap().0, Some(id(1, 49)));
    assert_eq!(rows(&group.reader.view().unwrap()), expected_rows(49));
}

async fn committed_is_never_beyond_the_log(place: Place) {
    let (_store, mut group) = place.open().await;
    append(&mut group, [entry(1, 0), entry(1, 1)]).await;
    group.log.save_committed(Some(id(1, 5))).await.unwrap();
    assert_eq!(group.log.read_committed().await.unwrap(), Some(id(1, 1)));
}

async fn entries_are_readable_as_soon_as_append_returns(place: Place) {
    let (_store, mut group) = place.open().await;
    let mut reader = group.log.get_log_reader().await;
    for index in 0..200 {
        let (done, synced) = TypeConfig::oneshot();
        group
            .log
            .append([entry(1, index)], IOFlushed::signal(done))
            .await
            .unwrap();
        assert_eq!(
            reader.try_get_log_entries(index..=index).await.unwrap(),
            [entry(1, index)]
        );
        drop(synced);
    }
}

async fn a_log_larger_than_the_cache_is_read_in_bounded_pieces(place: Place) {
    let (_store, mut group) = place.open().await;
    let large = |index: u64| entry_with(1, index, format!("k={}", index.to_string().repeat(30_000)));
    let total = 200;
    for index in 0..total {
        append(&mut group, [large(index)]).await;
    }
    let mut reader = group.log.get_log_reader().await;
    let (mut next, mut pieces) = (0, 0);
    while next < total {
        let piece = reader.limited_get_log_entries(next, total).await.unwrap();
        assert!(!piece.is_empty());
        assert!(
            piece.len() <= 40,
            "{} entries of 30 kB and more in one piece",
            piece.len()
        );
        for entry in piece {
            assert_eq!(entry, large(next));
            next += 1;
        }
        pieces += 1;
    }
    assert!(pieces > 5);
    // One read over the border between database and cache, and the stream that apply uses.
    assert_eq!(reader.try_get_log_entries(0..total).await.unwrap().len(), 200);
    let streamed = futures::StreamExt::collect::<Vec<_>>(reader.entries_stream(10..total).await).await;
    assert_eq!(streamed.len(), 190);
    assert!(
        streamed
            .into_iter()
            .zip(10..)
            .all(|(entry, index)| entry.unwrap() == large(index))
    );
}

async fn a_hole_is_refused(place: Place) {
    let (_store, mut group) = place.open().await;
    append(&mut group, [entry(1, 0)]).await;
    let (done, _synced) = TypeConfig::oneshot();
    let refused = group
        .log
        .append([entry(1, 2)], IOFlushed::signal(done))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("hole"), "{refused}");
    append(&mut group, [entry(1, 1)]).await;
}

async fn a_purge_waits_until_the_state_is_durable(place: Place) {
    let (_store, mut group) = place.open().await;
    append(&mut group, (0..20).map(|index| entry(1, index))).await;
    apply(&mut group, (0..20).map(|index| entry(1, index))).await.unwrap();
    assert_eq!(group.checkpoint.progress.durable_next(), 0);
    group.log.purge(id(1, 9)).await.unwrap();
    assert_eq!(group.checkpoint.progress.durable_next(), 20);
}

async fn an_entry_that_does_not_apply_stops_everything(place: Place) {
    for payload in ["nonsense", "table 0"] {
        let place = place.another();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let store = Store::open(StoreConfig {
            fatal: Arc::new(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
            ..place.config()
        })
        .unwrap();
        let mut group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
        apply(&mut group, [entry(1, 0)]).await.unwrap();
        apply(&mut group, [entry_with(1, 1, payload)]).await.unwrap_err();
        assert_eq!(group.reader.applied_index(), Some(0));
        // Latched: nothing is written any more, and nobody is told that it was.
        group.log.save_vote(&vote(9)).await.unwrap_err();
        let (done, synced) = TypeConfig::oneshot();
        group.log.append([entry(1, 0)], IOFlushed::signal(done)).await.unwrap();
        synced.await.unwrap().unwrap_err();
        apply(&mut group, [entry(1, 1)]).await.unwrap_err();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(group.log.get_log_reader().await.read_vote().await.unwrap(), None);
    }
}

async fn a_view_stays_as_it_was_while_applies_go_on(place: Place) {
    let (_store, mut group) = place.open().await;
    apply(&mut group, (0..5).map(|index| entry(1, index))).await.unwrap();
    let view = group.reader.view().unwrap();
    let hash = view.state_hash();
    apply(&mut group, (5..40).map(|index| entry(1, index))).await.unwrap();
    assert_eq!((view.applied_index(), rows(&view)), (Some(4), expected_rows(4)));
    let later = group.reader.view().unwrap();
    assert_eq!((later.applied_index(), rows(&later)), (Some(39), expected_rows(39)));
    assert_ne!(later.state_hash(), hash);
    assert_eq!(
        view.get(&[1, b'r', b'0', b'3']).unwrap().as_deref(),
        Some(b"3".as_slice())
    );
    assert_eq!(view.get(&[1, b'x']).unwrap(), None);
}

async fn groups_do_not_see_each_other(place: Place) {
    let (store, mut three) = place.open().await;
    let mut four = store.open_group(GroupId(4), 8, Registers::default()).await.unwrap();
    append(&mut three, (0..10).map(|index| entry(1, index))).await;
    append(&mut four, (0..3).map(|index| entry(5, index))).await;
    apply(&mut three, (0..10).map(|index| entry(1, index))).await.unwrap();
    three.log.truncate_after(None).await.unwrap();
    assert_eq!(four.log.get_log_state().await.unwrap().last_log_id, Some(id(5, 2)));
    assert_eq!(rows(&four.reader.view().unwrap()), []);
    assert_eq!(
        store.descriptors().keys().copied().collect::<Vec<_>>(),
        [GROUP, GroupId(4)]
    );
}

async fn an_epoch_is_kept(place: Place) {
    {
        let (store, _group) = place.open().await;
        store.put_epoch(GROUP, 12).await.unwrap();
        store.put_epoch(GroupId(99), 12).await.unwrap_err();
    }
    let store = place.store().await;
    assert_eq!(store.descriptors()[&GROUP].epoch, 12);
    assert_eq!(store.descriptors()[&GROUP].replica_id, REPLICA);
}

fn with_identity(place: &Place, cluster: &str, node: u32) -> StoreConfig {
    StoreConfig {
        identity: Identity {
            cluster: cluster.to_owned(),
            node,
        },
        ..place.config()
    }
}

async fn anothers_directory_is_refused_and_left_alone(place: Place) {
    drop(place.store().await);
    let other_cluster = place
        .try_store(with_identity(&place, "elsewhere", 1))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&other_cluster, OpenError::OtherCluster { found, .. } if found == "test"),
        "{other_cluster}"
    );
    assert!(other_cluster.to_string().contains("nothing was changed"));
    let other_node = place.try_store(with_identity(&place, "test", 2)).await.err().unwrap();
    assert!(
        matches!(
            other_node,
            OpenError::OtherNode {
                found: 1,
                expected: 2,
                ..
            }
        ),
        "{other_node}"
    );
    drop(place.store().await);
}

async fn a_directory_in_use_is_refused(place: Place) {
    let store = place.store().await;
    let in_use = Store::open(place.config()).err().unwrap();
    assert!(matches!(in_use, OpenError::InUse { .. }), "{in_use}");
    drop(store);
    drop(place.store().await);
}

/// What opening a store says that was written in `format`.
async fn opened_in_format(place: &Place, format: u32) -> OpenError {
    drop(place.store().await);
    {
        let opened = place.databases().await;
        let other = StoredIdentity {
            format,
            cluster: "test".to_owned(),
            node: 1,
        };
        opened
            .log
            .put_synced(&crate::keys::IDENTITY, &record::encode_identity(&other))
            .unwrap();
    }
    Store::open(place.config()).err().unwrap()
}

async fn a_newer_format_is_refused(place: Place) {
    let refused = opened_in_format(&place, 5).await;
    assert!(
        matches!(
            refused,
            OpenError::NewerFormat {
                found: 5,
                supported: 4,
                ..
            }
        ),
        "{refused}"
    );
}

async fn a_raised_format_stays_and_does_not_go_back(place: Place) {
    {
        let store = place.store().await;
        assert_eq!(store.format(), 3, "a new directory can be read by the oldest");
        store.raise_format(4).await.unwrap();
        assert_eq!(store.format(), 4);
        store.raise_format(3).await.unwrap();
        assert!(
            store.raise_format(5).await.is_err(),
            "not one that it does not read itself"
        );
        assert_eq!(store.format(), 4);
    }
    let store = place.store().await;
    assert_eq!(store.format(), 4);
}

async fn an_older_format_is_refused(place: Place) {
    let refused = opened_in_format(&place, 2).await;
    assert!(
        matches!(
            refused,
            OpenError::OlderFormat {
                found: 2,
                oldest: 3,
                ..
            }
        ),
        "{refused}"
    );
}

async fn another_replica_id_is_refused(place: Place) {
    drop(place.open().await);
    let store = place.store().await;
    let refused = store.open_group(GROUP, 8, Registers::default()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::OtherReplica {
                found: REPLICA,
                expected: 8,
                ..
            }
        ),
        "{refused}"
    );
    let _open = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    let twice = store
        .open_group(GROUP, REPLICA, Registers::default())
        .await
        .err()
        .unwrap();
    assert!(matches!(twice, OpenError::AlreadyOpen { .. }), "{twice}");
}

async fn observers_hear_only_of_what_is_readable(place: Place) {
    let store = place.store().await;
    let machine = Registers::default();
    let observed = Arc::clone(&machine.observed);
    let mut group = store.open_group(GROUP, REPLICA, machine).await.unwrap();
    for index in 0..50 {
        apply(&mut group, [entry(1, index)]).await.unwrap();
        assert_eq!(*observed.lock(), Some(index));
        assert_eq!(group.reader.view().unwrap().applied_index(), Some(index));
    }
}
