//! Snapshots from one store into another.

use bytes::Bytes;
use futures::StreamExt;
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;

use super::{GROUP, Place, REPLICA, Registers, apply, entry_with, id, over_all, rows};
use crate::recovery;
use crate::snapshot::CHUNK_BYTES;
use crate::store::Group;
use crate::types::SnapshotMeta;

over_all! {
    an_abandoned_generation_is_deleted_at_the_next_start,
    a_snapshot_arrives_in_chunks_and_replaces_the_state,
    a_damaged_or_incomplete_snapshot_is_refused_and_leaves_nothing,
    an_empty_state_is_a_snapshot_too,
}

/// A state of about `rows` kilobytes.
async fn fill(group: &mut Group<Registers>, rows: u64) {
    let entries = (0..rows).map(|index| entry_with(1, index, format!("key {index:05}={}", "v".repeat(1000))));
    apply(group, entries).await.unwrap();
}

async fn snapshot(group: &mut Group<Registers>) -> (SnapshotMeta, Vec<Bytes>) {
    let snapshot = group
        .machine
        .get_snapshot_builder()
        .await
        .build_snapshot()
        .await
        .unwrap();
    let chunks = snapshot.snapshot.chunks().map(Result::unwrap).collect().await;
    (snapshot.meta, chunks)
}

async fn generations(place: &Place) -> Vec<u32> {
    recovery::generations(&place.databases().await.state, GROUP.0).unwrap()
}

async fn a_snapshot_arrives_in_chunks_and_replaces_the_state(place: Place) {
    let (from, to) = (place.another(), place);
    let (_sender, mut sender) = from.open().await;
    fill(&mut sender, 2000).await;
    let (meta, chunks) = snapshot(&mut sender).await;
    assert!(chunks.len() > 5, "{} chunks", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 2048));
    {
        let (_receiver, mut receiver) = to.open().await;
        apply(&mut receiver, [entry_with(1, 0, "old=row")]).await.unwrap();
        let before = receiver.reader.view().unwrap();
        let mut writer = receiver.snapshots.begin(meta.clone()).await.unwrap();
        for chunk in chunks {
            writer.push(chunk).await.unwrap();
        }
        let data = writer.finish().await.unwrap();
        assert_eq!(
            rows(&receiver.reader.view().unwrap()).len(),
            1,
            "not current before it is installed"
        );
        receiver.machine.install_snapshot(&meta, data).await.unwrap();

        let (expected, found) = (sender.reader.view().unwrap(), receiver.reader.view().unwrap());
        assert_eq!(rows(&found), rows(&expected));
        assert_eq!(found.state_hash(), expected.state_hash());
        assert_eq!(found.applied(), meta.last_log_id.as_ref());
        assert_eq!(
            receiver.machine.applied_state().await.unwrap(),
            (meta.last_log_id, meta.last_membership.clone())
        );
        assert_eq!(
            rows(&before),
            [("old".to_owned(), "row".to_owned())],
            "an old view keeps its rows"
        );
        let current = receiver.machine.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta, meta);
        // And the group goes on from there.
        apply(&mut receiver, [entry_with(1, 2000, "next=row")]).await.unwrap();
    }
    let (store, receiver) = to.open().await;
    assert_eq!(receiver.reader.applied_index(), Some(2000));
    assert_eq!(rows(&receiver.reader.view().unwrap()).len(), 2001);
    drop((store, receiver));
    assert_eq!(generations(&to).await, [1]);
}

async fn a_damaged_or_incomplete_snapshot_is_refused_and_leaves_nothing(place: Place) {
    let (from, to) = (place.another(), place);
    let (_sender, mut sender) = from.open().await;
    fill(&mut sender, 1000).await;
    let (meta, chunks) = snapshot(&mut sender).await;
    let last = chunks.len() - 1;
    {
        let (_receiver, receiver) = to.open().await;
        // A flipped byte.
        let mut writer = receiver.snapshots.begin(meta.clone()).await.unwrap();
        let mut flipped = chunks[0].to_vec();
        flipped[5000] ^= 1;
        writer.push(Bytes::from(flipped)).await.unwrap_err();
        drop(writer);
        // A chunk that got lost; two that changed places.
        for order in [
            (1..=last).collect::<Vec<_>>(),
            [1, 0].into_iter().chain(2..=last).collect(),
        ] {
            let mut writer = receiver.snapshots.begin(meta.clone()).await.unwrap();
            let mut refused = false;
            for chunk in order {
                refused |= writer.push(chunks[chunk].clone()).await.is_err();
            }
            assert!(refused);
            writer.finish().await.unwrap_err();
        }
        // The end is missing.
        let mut writer = receiver.snapshots.begin(meta.clone()).await.unwrap();
        for chunk in &chunks[..last] {
            writer.push(chunk.clone()).await.unwrap();
        }
        writer.finish().await.unwrap_err();
        // Complete, but never installed; and one whose header says something else.
        for wrong_meta in [
            None,
            Some(SnapshotMeta {
                last_log_id: Some(id(1, 5)),
                ..meta.clone()
            }),
        ] {
            let mut receiver_machine = receiver.snapshots.begin(meta.clone()).await.unwrap();
            for chunk in &chunks {
                receiver_machine.push(chunk.clone()).await.unwrap();
            }
            let data = receiver_machine.finish().await.unwrap();
            if let Some(wrong_meta) = wrong_meta {
                receiver.snapshots.receive(&wrong_meta, data).await.err().unwrap();
            }
        }
        assert_eq!(receiver.reader.view().unwrap().applied_index(), None);
    }
    assert_eq!(generations(&to).await, Vec::<u32>::new());
}

async fn an_abandoned_generation_is_deleted_at_the_next_start(place: Place) {
    {
        let (_store, mut group) = place.open().await;
        apply(&mut group, [entry_with(1, 0, "a=b")]).await.unwrap();
    }
    {
        let state = place.databases().await.state;
        let mut key = Vec::new();
        crate::keys::row(&mut key, &crate::keys::state_prefix(GROUP.0, 5), b"\x01orphan");
        let mut batch = state.batch(64);
        batch.put(key, b"row");
        state.write_unlogged(batch).unwrap();
        state.flush().unwrap();
    }
    assert_eq!(generations(&place).await, [0, 5]);
    let (store, group) = place.open().await;
    assert_eq!(rows(&group.reader.view().unwrap()).len(), 1);
    // A new snapshot does not come to lie where tombstones still are on their way.
    assert_eq!(group.checkpoint.progress.take_generation(), 6);
    drop((store, group));
    assert_eq!(generations(&place).await, [0]);
}

async fn an_empty_state_is_a_snapshot_too(place: Place) {
    let (from, to) = (place.another(), place);
    let (_sender, mut sender) = from.open().await;
    let (meta, chunks) = snapshot(&mut sender).await;
    assert_eq!(chunks.len(), 1);
    let store = to.store().await;
    let group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    let mut writer = group.snapshots.begin(meta).await.unwrap();
    writer.push(chunks[0].clone()).await.unwrap();
    writer.finish().await.unwrap();
}
