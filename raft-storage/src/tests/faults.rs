//! What a simulated disk can do wrong, and that the store notices: the first failed write is final and is told to the hook,
//! damage is told by name, a failing read is not taken for damage.

use std::sync::Arc;
use std::time::Duration;

use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};
use openraft::{RaftLogReader, RaftSnapshotBuilder};
use parking_lot::Mutex;

use super::{GROUP, Place, REPLICA, Registers, append, apply, entry, expected_rows, id, rows};
use crate::engine::sim::{Access, Damage, SimDisk};
use crate::error::OpenError;
use crate::snapshot::SnapshotData;
use crate::store::{Group, Store, StoreConfig};
use crate::types::{SnapshotMeta, TypeConfig, Vote};

/// A place on a disk, with what the fatal hook was told.
fn hooked(disk: &SimDisk) -> (StoreConfig, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&said);
    let config = StoreConfig {
        fatal: Arc::new(move |what| hears.lock().push(what.to_owned())),
        ..Place::Disk(disk.clone()).config()
    };
    (config, said)
}

async fn append_unwaited(group: &mut Group<Registers>, index: u64) -> std::io::Result<()> {
    let (done, synced) = TypeConfig::oneshot();
    group.log.append([entry(1, index)], IOFlushed::signal(done)).await?;
    synced.await.unwrap()
}

/// Sixty entries, of which fifty are applied and flushed and twenty purged; a vote; then ten entries that lie in the log
/// file alone.
async fn lived_in(disk: &SimDisk) {
    let place = Place::Disk(disk.clone());
    {
        let (store, mut group) = place.open().await;
        append(&mut group, (0..60).map(|index| entry(1, index))).await;
        apply(&mut group, (0..50).map(|index| entry(1, index))).await.unwrap();
        store.flush().await.unwrap();
        group.log.purge(id(1, 19)).await.unwrap();
        let vote = Vote {
            leader_id: LeaderId::new(4, REPLICA),
            committed: true,
        };
        group.log.save_vote(&vote).await.unwrap();
    }
    {
        let (_store, mut group) = place.open().await;
        for index in 60..70 {
            append(&mut group, [entry(4, index)]).await;
        }
    }
    // The writer ends when it is next polled, and then nobody has the disk.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn opened(place: &Place) -> Result<(Store, Group<Registers>), OpenError> {
    let store = place.try_store(place.config()).await?;
    let group = store.open_group(GROUP, REPLICA, Registers::default()).await?;
    Ok((store, group))
}

async fn is_whole(group: &mut Group<Registers>) {
    let mut reader = group.log.get_log_reader().await;
    let terms = |index| if index < 60 { 1 } else { 4 };
    let expected: Vec<_> = (20..70).map(|index| entry(terms(index), index)).collect();
    assert_eq!(reader.try_get_log_entries(..).await.unwrap(), expected);
    assert_eq!(rows(&group.reader.view().unwrap()), expected_rows(49));
}

#[tokio::test(start_paused = true)]
async fn the_first_failed_write_or_sync_is_final() {
    for fault in [Some(Access::Write), Some(Access::Sync), None] {
        let disk = SimDisk::new();
        let (config, said) = hooked(&disk);
        let place = Place::Disk(disk.clone());
        let store = place.try_store(config).await.unwrap();
        let mut group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
        append(&mut group, (0..10).map(|index| entry(1, index))).await;
        match fault {
            Some(access) => disk.fail_after(access, 0),
            None => disk.set_bytes_left(Some(20)),
        }
        append_unwaited(&mut group, 10).await.unwrap_err();
        // The disk would work again; nobody may believe it.
        disk.heal();
        append_unwaited(&mut group, 11).await.unwrap_err();
        apply(&mut group, [entry(1, 0)]).await.unwrap_err();
        store.flush().await.unwrap_err();
        let said = said.lock().clone();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("writing to raftdb failed"), "{said:?}");

        disk.lose_power(7);
        let (_store, mut group) = place.open().await;
        let last = group.log.get_log_state().await.unwrap().last_log_id.unwrap().index;
        // What failed was not acknowledged: it may be there, whole, or not.
        assert!(last == 9 || last == 10, "{last}");
        let exercised = disk.exercised();
        assert_eq!(
            exercised.failed_writes + exercised.failed_syncs + exercised.out_of_space,
            1
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_before_a_slow_sync_is_done() {
    let disk = SimDisk::new();
    let (_store, mut group) = Place::Disk(disk.clone()).open().await;
    let takes = Duration::from_millis(200);
    disk.set_sync_takes(takes);
    let begun = tokio::time::Instant::now();
    append_unwaited(&mut group, 0).await.unwrap();
    assert!(begun.elapsed() >= takes);
    // And what was asked for meanwhile shares one sync.
    let before = disk.exercised();
    let waiting: Vec<_> = (1..50)
        .map(|index| {
            let (done, synced) = TypeConfig::oneshot();
            (index, IOFlushed::signal(done), synced)
        })
        .collect();
    let mut answers = Vec::new();
    for (index, flushed, synced) in waiting {
        group.log.append([entry(1, index)], flushed).await.unwrap();
        answers.push(synced);
    }
    for synced in answers {
        synced.await.unwrap().unwrap();
    }
    let after = disk.exercised();
    assert!(after.slow_syncs - before.slow_syncs < 10, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn damage_is_noticed_wherever_it_is() {
    for damage in [
        Damage::LogBit,
        Damage::LogBlock,
        Damage::StateBlock,
        Damage::LogTail,
        Damage::Mark,
    ] {
        let (mut refused, mut started) = (0, 0);
        for choice in 0..60 {
            let disk = SimDisk::new();
            lived_in(&disk).await;
            let what = disk.damage(damage, choice).expect("there is something to damage");
            match opened(&Place::Disk(disk.clone())).await {
                Err(error) => {
                    assert!(
                        matches!(error, OpenError::Damaged { .. } | OpenError::Machine { .. }),
                        "{what}: {error}"
                    );
                    assert!(error.to_string().contains("must not vote"), "{what}: {error}");
                    refused += 1;
                }
                // One of the mark's two places is enough.
                Ok((_store, mut group)) => {
                    assert_eq!(damage, Damage::Mark, "{what} was not noticed");
                    is_whole(&mut group).await;
                    started += 1;
                }
            }
            assert_eq!(disk.exercised().damages, 1);
        }
        assert!(refused > 0, "{damage:?}");
        assert_eq!(started > 0, damage == Damage::Mark, "{damage:?}");
    }
}

/// Behind a loss of power, a log that ends early passes for one that was torn where the mark does not say more. That must not
/// be more than the last batch.
#[tokio::test(start_paused = true)]
async fn all_but_the_last_batch_are_missed_when_the_logs_tail_is_gone_after_a_loss_of_power() {
    let (mut refused, mut started) = (0, 0);
    for choice in 0..100 {
        let disk = SimDisk::new();
        let place = Place::Disk(disk.clone());
        let (_store, mut group) = place.open().await;
        // The mark's sync takes its time too: after the last answer it is under way. One takes longer than some batches do.
        for index in 0..20 {
            disk.set_sync_takes(Duration::from_millis(if index == 15 { 100 } else { 3 }));
            append(&mut group, [entry(1, index)]).await;
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        disk.lose_power(choice);
        let what = disk.damage(Damage::LogTail, choice).expect("a tail to lose");
        match opened(&place).await {
            Err(OpenError::Damaged { .. }) => refused += 1,
            Ok((_store, mut group)) => {
                let last = group.log.get_log_state().await.unwrap().last_log_id;
                assert_eq!(last, Some(id(1, 18)), "choice {choice}: {what}");
                started += 1;
            }
            Err(other) => panic!("choice {choice}: {what}, and the start gave {other:?}"),
        }
    }
    assert!(refused > 80 && started > 0, "{refused} {started}");
}

/// Not even that, with a vote: it could be cast twice.
#[tokio::test(start_paused = true)]
async fn a_vote_that_was_synced_is_missed_when_the_logs_tail_is_gone_after_a_loss_of_power() {
    for choice in 0..100 {
        let disk = SimDisk::new();
        let place = Place::Disk(disk.clone());
        let (_store, mut group) = place.open().await;
        disk.set_sync_takes(Duration::from_millis(3));
        for index in 0..20 {
            append(&mut group, [entry(1, index)]).await;
        }
        let vote = Vote {
            leader_id: LeaderId::new(2, REPLICA),
            committed: false,
        };
        group.log.save_vote(&vote).await.unwrap();
        disk.lose_power(choice);
        let what = disk.damage(Damage::LogTail, choice).expect("a tail to lose");
        match opened(&place).await.map(drop) {
            Err(OpenError::Damaged { .. }) => {}
            other => panic!("choice {choice}: {what}, and the start gave {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_applied_entry_is_told_before_it_is_purged_and_when_it_is_replayed() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let disk = SimDisk::new();
    let place = Place::Disk(disk.clone());
    let config = StoreConfig {
        applied: Some(Arc::new(move |group, entry| {
            assert_eq!(group, GROUP);
            hears.lock().push(entry.clone());
        })),
        ..place.config()
    };
    let store = place.try_store(config.clone()).await.unwrap();
    let mut group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    append(&mut group, (0..20).map(|index| entry(1, index))).await;
    apply(&mut group, (0..20).map(|index| entry(1, index))).await.unwrap();
    group.log.purge(id(1, 9)).await.unwrap();
    let all: Vec<_> = (0..20).map(|index| entry(1, index)).collect();
    assert_eq!(*told.lock(), all);

    append(&mut group, [entry(1, 20)]).await;
    apply(&mut group, [entry(1, 20)]).await.unwrap();
    // With a kill goes what was not flushed since the purge, all of it for this choice.
    disk.kill(1);
    let store = place.try_store(config).await.unwrap();
    let mut group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    assert_eq!(group.reader.applied_index(), Some(19));
    apply(&mut group, [entry(1, 20)]).await.unwrap();
    assert_eq!(told.lock()[20..], [entry(1, 20), entry(1, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_rots_under_a_running_replica_is_not_served() {
    let disk = SimDisk::new();
    let (_store, mut group) = Place::Disk(disk.clone()).open().await;
    apply(&mut group, (0..40).map(|index| entry(1, index))).await.unwrap();
    disk.damage(Damage::StateBlock, 3).unwrap();
    let failures = (0..16)
        .filter(|register| {
            let key = [&[1][..], format!("r{register:02}").as_bytes()].concat();
            let view = group.reader.view();
            view.and_then(|view| view.get(&key)).is_err()
        })
        .count();
    assert!(failures > 0);
    assert!(disk.exercised().corruptions_reported > 0);
}

#[tokio::test(start_paused = true)]
async fn a_failing_read_is_not_taken_for_damage() {
    let (mut failed, mut opened_all_the_same) = (0, 0);
    for reads in 0..40 {
        let disk = SimDisk::new();
        lived_in(&disk).await;
        disk.fail_after(Access::Read, reads);
        let place = Place::Disk(disk.clone());
        match opened(&place).await {
            Ok(_) => opened_all_the_same += 1,
            Err(OpenError::Io { .. } | OpenError::Machine { .. }) => failed += 1,
            Err(error) => panic!("read {reads}: {error}"),
        }
        disk.heal();
        let (_store, mut group) = opened(&place)
            .await
            .unwrap_or_else(|error| panic!("read {reads}: {error}"));
        is_whole(&mut group).await;
    }
    assert!(failed > 5 && opened_all_the_same > 5, "{failed} {opened_all_the_same}");
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_is_cut_short_can_be_repeated() {
    for access in [Access::Write, Access::Sync] {
        for successes in 0..8 {
            for choice in 0..8 {
                let disk = SimDisk::new();
                disk.fail_after(access, successes);
                let place = Place::Disk(disk.clone());
                let cut = opened(&place).await.map(drop);
                disk.lose_power(choice);
                disk.heal();
                let again = opened(&place).await.map(drop);
                assert!(again.is_ok(), "{access:?} {successes} {choice} {cut:?} {again:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_mark_that_nobody_wrote_is_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(crate::mark::FILE), b"").unwrap();
    drop(super::open(dir.path()).await);
    drop(super::open(dir.path()).await);
}

/// The state after entry 99, as a peer would send it.
async fn peers_snapshot() -> (SnapshotMeta, SnapshotData) {
    let (_store, mut peer) = Place::disk().open().await;
    apply(&mut peer, (0..100).map(|index| entry(4, index))).await.unwrap();
    let mut builder = peer.machine.get_snapshot_builder().await;
    let snapshot = builder.build_snapshot().await.unwrap();
    (snapshot.meta, snapshot.snapshot)
}

#[tokio::test(start_paused = true)]
async fn an_epoch_noted_during_an_install_takes_nothing_back() {
    let disk = SimDisk::new();
    let place = Place::Disk(disk.clone());
    {
        let (store, mut group) = place.open().await;
        disk.set_sync_takes(Duration::from_millis(5));
        let (meta, data) = peers_snapshot().await;
        let install = group.machine.install_snapshot(&meta, data);
        let (installed, noted) = futures::join!(install, store.put_epoch(GROUP, 9));
        installed.unwrap();
        noted.unwrap();
    }
    disk.lose_power(1);
    let (store, group) = place.open().await;
    assert_eq!(store.descriptors()[&GROUP].epoch, 9);
    assert_eq!(group.reader.applied_index(), Some(99));
}

#[tokio::test(start_paused = true)]
async fn an_install_that_is_dropped_midway_leaves_a_store_that_starts() {
    for patience in 0..12 {
        let disk = SimDisk::new();
        let place = Place::Disk(disk.clone());
        {
            let (_store, mut group) = place.open().await;
            disk.set_sync_takes(Duration::from_millis(8));
            let (meta, data) = peers_snapshot().await;
            let install = group.machine.install_snapshot(&meta, data);
            let patience = Duration::from_millis(patience);
            drop(tokio::time::timeout(patience, install).await);
        }
        let (_store, group) = place.open().await;
        let applied = group.reader.applied_index();
        assert!(applied.is_none() || applied == Some(99), "{applied:?}");
    }
}
