//! Damage: what was synced and is gone, or is no longer what was written, refuses to start; what was never synced does not
//! keep anybody from starting.

use std::fs;
use std::path::{Path, PathBuf};

use openraft::storage::RaftLogStorage;
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};

use super::{GROUP, REPLICA, Registers, append, apply, config, entry, id, open};
use crate::engine::{Db, Engine};
use crate::error::OpenError;
use crate::keys;
use crate::mark;
use crate::memory::Budget;
use crate::record;
use crate::store::Store;
use crate::types::{GroupId, Vote};

/// Fifty synced entries and a vote, all in the WAL.
async fn written(dir: &Path) {
    let (_store, mut group) = open(dir).await;
    for index in 0..50 {
        append(&mut group, [entry(1, index)]).await;
    }
    group
        .log
        .save_vote(&Vote {
            leader_id: LeaderId::new(4, REPLICA),
            committed: true,
        })
        .await
        .unwrap();
}

fn largest(dir: &Path, extension: &str) -> PathBuf {
    fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap_or_else(|| panic!("no .{extension} file in {}", dir.display()))
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The bytes of a WAL up to its last record, should RocksDB have allocated ahead, in zeros. The records written here do not
/// end with a zero.
fn used(path: &Path) -> usize {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1
}

async fn refused(dir: &Path) -> (OpenError, String) {
    let error = match Store::open(config(dir)) {
        Err(error) => error,
        Ok(store) => store
            .open_group(GROUP, REPLICA, Registers::default())
            .await
            .err()
            .expect("the damage is not noticed"),
    };
    let text = error.to_string();
    assert!(text.contains("must not vote"), "says what to do: {text}");
    (error, text)
}

#[tokio::test]
async fn a_flipped_byte_below_the_mark_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let wal = largest(&dir.path().join("raftdb"), "log");
    let used = used(&wal);
    flip(&wal, |_| used / 2);
    let (error, text) = refused(dir.path()).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{text}");
    assert!(text.contains("high-water mark"), "{text}");
    // And again: a refusal does not wear off.
    refused(dir.path()).await;
}

#[tokio::test]
async fn a_lost_tail_below_the_mark_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    // The last record is the vote: a node that forgot it could vote twice.
    let wal = largest(&dir.path().join("raftdb"), "log");
    let used = used(&wal) as u64;
    fs::OpenOptions::new()
        .write(true)
        .open(&wal)
        .unwrap()
        .set_len(used - 1)
        .unwrap();
    let (_, text) = refused(dir.path()).await;
    assert!(text.contains("1 synced writes"), "{text}");
}

#[tokio::test]
async fn a_torn_tail_above_the_mark_starts() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let mark = fs::read(dir.path().join(mark::FILE)).unwrap();
    {
        let (_store, mut group) = open(dir.path()).await;
        append(&mut group, [entry(4, 50)]).await;
    }
    // As after a loss of power in the middle of the write: the mark was not moved, and the record is half there.
    fs::write(dir.path().join(mark::FILE), mark).unwrap();
    let wal = largest(&dir.path().join("raftdb"), "log");
    let used = used(&wal) as u64;
    fs::OpenOptions::new()
        .write(true)
        .open(&wal)
        .unwrap()
        .set_len(used - 9)
        .unwrap();
    let (_store, mut group) = open(dir.path()).await;
    assert_eq!(group.log.get_log_state().await.unwrap().last_log_id, Some(id(1, 49)));
    append(&mut group, [entry(5, 50)]).await;
}

#[tokio::test]
async fn rubbish_after_the_tail_starts() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let wal = largest(&dir.path().join("raftdb"), "log");
    let mut bytes = fs::read(&wal).unwrap();
    bytes.extend((0..300_u32).map(|byte| (byte * 7 + 13) as u8));
    fs::write(&wal, bytes).unwrap();
    let (_store, mut group) = open(dir.path()).await;
    assert_eq!(group.log.get_log_state().await.unwrap().last_log_id, Some(id(1, 49)));
}

#[tokio::test]
async fn a_lost_or_unreadable_mark_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let path = dir.path().join(mark::FILE);
    let mark = fs::read(&path).unwrap();
    fs::write(&path, vec![0x55; mark.len()]).unwrap();
    assert!(refused(dir.path()).await.1.contains("unreadable"));
    fs::remove_file(&path).unwrap();
    // Refused for another reason the second time would be as good; a start would not.
    refused(dir.path()).await;
}

/// Changes raftdb behind the store's back, without breaking RocksDB's own checksums.
fn tamper(dir: &Path, change: impl FnOnce(&Db)) {
    let opened = Engine::RocksDb.open(dir, Budget::of(0), None);
    change(&opened.unwrap_or_else(|error| panic!("{error}")).log);
}

fn delete(db: &Db, index: u64) {
    let mut batch = db.batch(64);
    batch.delete(keys::entry(GROUP.0, index));
    futures::executor::block_on(db.write_synced(batch)).unwrap();
}

async fn assert_damaged_at(dir: &Path, at: u64) {
    let (error, text) = refused(dir).await;
    let OpenError::Damaged { group, index, .. } = error else {
        panic!("{text}")
    };
    assert_eq!((group, index), (Some(GROUP), Some(at)), "{text}");
}

#[tokio::test]
async fn a_damaged_entry_is_named() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    tamper(dir.path(), |db| {
        let key = keys::entry(GROUP.0, 20);
        let mut record = db.get(&key).unwrap().unwrap().to_vec();
        record[30] ^= 1;
        db.put_synced(&key, &record).unwrap();
    });
    assert_damaged_at(dir.path(), 20).await;
}

#[tokio::test]
async fn a_missing_entry_is_named() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    tamper(dir.path(), |db| delete(db, 31));
    assert_damaged_at(dir.path(), 31).await;
}

#[tokio::test]
async fn a_missing_end_is_named() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    tamper(dir.path(), |db| delete(db, 49));
    assert_damaged_at(dir.path(), 49).await;
}

#[tokio::test]
async fn an_entry_of_another_history_is_named() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    tamper(dir.path(), |db| {
        let mut other = Vec::new();
        record::encode_entry(&mut other, Some(&id(1, 10)), &entry(3, 11)).unwrap();
        db.put_synced(&keys::entry(GROUP.0, 11), &other).unwrap();
    });
    // Entry 11 is in itself whole; entry 12 follows another one.
    assert_damaged_at(dir.path(), 12).await;
}

#[tokio::test]
async fn a_damaged_vote_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    tamper(dir.path(), |db| {
        db.put_synced(&keys::slot(GROUP.0, keys::Slot::Vote), b"rubbish")
            .unwrap();
    });
    assert!(refused(dir.path()).await.1.contains("Vote"));
}

#[tokio::test]
async fn a_log_without_its_state_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (_store, mut group) = open(dir.path()).await;
        append(&mut group, (0..30).map(|index| entry(1, index))).await;
        apply(&mut group, (0..30).map(|index| entry(1, index))).await.unwrap();
        group.log.purge(id(1, 19)).await.unwrap();
    }
    fs::remove_dir_all(dir.path().join("statedb")).unwrap();
    assert!(refused(dir.path()).await.1.contains("state's database is empty"));
}

#[tokio::test]
async fn a_state_without_its_log_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    fs::remove_dir_all(dir.path().join("raftdb")).unwrap();
    assert!(refused(dir.path()).await.1.contains("log's database is empty"));
}

#[tokio::test]
async fn a_flipped_byte_in_the_state_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (store, mut group) = open(dir.path()).await;
        append(&mut group, (0..500).map(|index| entry(1, index))).await;
        apply(&mut group, (0..500).map(|index| entry(1, index))).await.unwrap();
        store.flush().await.unwrap();
    }
    // Near the front, where the rows are.
    flip(&largest(&dir.path().join("statedb"), "sst"), |_| 40);
    let error = match Store::open(config(dir.path())) {
        Err(error) => error,
        Ok(store) => store
            .open_group(GROUP, REPLICA, Registers::default())
            .await
            .err()
            .expect("the damage is not noticed"),
    };
    assert!(
        matches!(error, OpenError::Damaged { .. } | OpenError::Machine { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("must not vote"), "{error}");
}

#[tokio::test]
async fn damage_in_one_group_is_told_as_that_groups() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    {
        let store = Store::open(config(dir.path())).unwrap();
        let mut other = store.open_group(GroupId(9), 70, Registers::default()).await.unwrap();
        append(&mut other, [entry(1, 0), entry(1, 1)]).await;
    }
    tamper(dir.path(), |db| db.put_synced(&keys::entry(9, 1), b"rubbish").unwrap());
    let (error, text) = refused(dir.path()).await;
    assert!(
        matches!(
            error,
            OpenError::Damaged {
                group: Some(GroupId(9)),
                index: Some(1),
                ..
            }
        ),
        "{text}"
    );
}
