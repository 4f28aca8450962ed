//! What a disk gives away that nobody has the keys for, what a node says that has not got them, and how keys are changed.
//! That an encrypted store is as good as another: see `over_all`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::RaftLogStorage;

use super::{GROUP, Place, REPLICA, Registers, append, apply, config, entry_with, id, keys, rows};
use crate::at_rest::{Keys, to_encrypt_anew};
use crate::error::OpenError;
use crate::mark;
use crate::store::{Group, Store, StoreConfig};

const SECRET: &str = "ada@example.org";

fn with(dir: &Path, keys: Option<Arc<Keys>>) -> StoreConfig {
    StoreConfig { keys, ..config(dir) }
}

/// Logs and rows with the secret in them, the rows flushed to a table.
async fn write(dir: &Path, keys: Option<Arc<Keys>>) {
    let store = Store::open(with(dir, keys)).unwrap();
    let mut group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    let entries = || (0..200).map(|index| entry_with(1, index, format!("who{index}={SECRET}")));
    append(&mut group, entries()).await;
    apply(&mut group, entries().take(150)).await.unwrap();
    group.checkpoint.state.flush().unwrap();
    // And some that stand in no table.
    append(
        &mut group,
        (200..220).map(|index| entry_with(1, index, format!("who{index}={SECRET}"))),
    )
    .await;
}

async fn reopen(dir: &Path, keys: Option<Arc<Keys>>) -> (Store, Group<Registers>) {
    let store = Store::open(with(dir, keys)).unwrap_or_else(|error| panic!("{error}"));
    let group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    (store, group)
}

fn refused(dir: &Path, keys: Option<Arc<Keys>>) -> OpenError {
    match Store::open(with(dir, keys)) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

/// Every file of a directory, with its content.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

/// Files in which the secret can be read.
fn telling(dir: &Path) -> Vec<PathBuf> {
    let tells = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    files(dir)
        .into_iter()
        .filter(|(_, bytes)| tells(bytes))
        .map(|(path, _)| path)
        .collect()
}

#[tokio::test]
async fn a_disk_without_its_keys_tells_nothing() {
    let plain = tempfile::tempdir().unwrap();
    write(plain.path(), None).await;
    assert!(
        telling(plain.path()).len() >= 2,
        "log and table: else this test sees nothing"
    );
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Some(keys(&["a"]))).await;
    assert_eq!(telling(dir.path()), [] as [PathBuf; 0]);
    let (_store, mut group) = reopen(dir.path(), Some(keys(&["a"]))).await;
    assert_eq!(group.log.get_log_state().await.unwrap().last_log_id, Some(id(1, 219)));
    assert!(rows(&group.reader.view().unwrap()).contains(&("who7".to_owned(), SECRET.to_owned())));
}

#[tokio::test]
async fn without_the_right_keys_nothing_starts_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Some(keys(&["a"]))).await;
    let before = files(dir.path());
    let none = refused(dir.path(), None);
    assert!(matches!(none, OpenError::Locked { .. }), "{none}");
    assert!(none.to_string().contains("the key \"a\""), "{none}");
    assert!(none.to_string().contains("--encryption-keys"), "{none}");
    let other = refused(dir.path(), Some(keys(&["b"])));
    assert!(other.to_string().contains("the key \"a\""), "{other}");
    // Another key of the same name.
    let same = Keys::from_text(&format!("a {}", "77".repeat(32)), "a test").unwrap();
    let same = refused(dir.path(), Some(Arc::new(same)));
    assert!(same.to_string().contains("is not the one"), "{same}");
    assert!(files(dir.path()) == before, "a file was changed");
}

#[tokio::test]
async fn a_plain_directory_is_not_taken_for_an_encrypted_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), None).await;
    let before = files(dir.path());
    let error = refused(dir.path(), Some(keys(&["a"])));
    assert!(matches!(error, OpenError::NotEncrypted { .. }), "{error}");
    assert!(files(dir.path()) == before, "a file was changed");
}

#[tokio::test]
async fn a_key_can_go_once_all_is_encrypted_anew() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Some(keys(&["old"]))).await;
    let both = keys(&["new", "old"]);
    {
        let (_store, mut group) = reopen(dir.path(), Some(Arc::clone(&both))).await;
        append(&mut group, [entry_with(1, 220, "late")]).await;
        let left = || ["raftdb", "statedb"].map(|name| to_encrypt_anew(&dir.path().join(name), &both).unwrap());
        while left() != [0, 0] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let (_store, mut group) = reopen(dir.path(), Some(keys(&["new"]))).await;
    assert_eq!(group.log.get_log_state().await.unwrap().last_log_id, Some(id(1, 220)));
    assert!(rows(&group.reader.view().unwrap()).contains(&("who149".to_owned(), SECRET.to_owned())));
}

/// A store may be closed while it encrypts anew, and the next start goes on.
#[tokio::test]
async fn encrypting_anew_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), Some(keys(&["old"]))).await;
    let both = keys(&["new", "old"]);
    for _ in 0..3 {
        drop(reopen(dir.path(), Some(Arc::clone(&both))).await);
    }
    let (_store, mut group) = reopen(dir.path(), Some(both)).await;
    assert_eq!(group.log.get_log_state().await.unwrap().last_log_id, Some(id(1, 219)));
}

fn newest_log(dir: &Path) -> PathBuf {
    let logs = files(&dir.join("raftdb")).into_iter().map(|(path, _)| path);
    logs.filter(|path| path.extension().is_some_and(|end| end == "log"))
        .max()
        .unwrap()
}

/// As in `damage`, of plain files: what was torn below the mark is refused, what was torn above it is cut.
#[tokio::test]
async fn a_torn_tail_is_told_apart_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = Some(keys(&["a"]));
    write(dir.path(), sealed.clone()).await;
    let log = newest_log(dir.path());
    let whole = fs::read(&log).unwrap();
    // Rubbish behind what was synced, as a loss of power may leave it: of the next write, and of its length only.
    for rubbish in [vec![0x5a; 333], vec![0; 5000]] {
        fs::write(&log, [whole.clone(), rubbish].concat()).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_into(dir.path(), copy.path());
        let (_store, mut group) = reopen(copy.path(), sealed.clone()).await;
        assert_eq!(group.log.get_log_state().await.unwrap().last_log_id, Some(id(1, 219)));
    }
    // What was synced is gone.
    fs::write(&log, &whole[..whole.len() - 200]).unwrap();
    let error = refused(dir.path(), sealed);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

/// A log that RocksDB had just begun when the power went: none of its header is there, or only its length.
#[tokio::test]
async fn a_log_that_was_only_begun_is_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let sealed = Some(keys(&["a"]));
    write(dir.path(), sealed.clone()).await;
    for length in [0, 100, 4096, 8192] {
        let copy = tempfile::tempdir().unwrap();
        copy_into(dir.path(), copy.path());
        let next = newest_log(copy.path()).with_file_name("999999.log");
        fs::write(next, vec![0; length]).unwrap();
        let (_store, mut group) = reopen(copy.path(), sealed.clone()).await;
        assert_eq!(
            group.log.get_log_state().await.unwrap().last_log_id,
            Some(id(1, 219)),
            "{length}"
        );
    }
}

fn copy_into(from: &Path, to: &Path) {
    for name in ["raftdb", "statedb"] {
        fs::create_dir(to.join(name)).unwrap();
        for (path, bytes) in files(&from.join(name)) {
            fs::write(to.join(name).join(path.file_name().unwrap()), bytes).unwrap();
        }
    }
    fs::copy(from.join(mark::FILE), to.join(mark::FILE)).unwrap();
}

#[tokio::test]
async fn the_stories_run_on_encrypted_files_indeed() {
    let place = Place::encrypted();
    drop(place.open().await);
    let Place::Encrypted(dir) = &place else { panic!() };
    assert!(matches!(refused(dir.path(), None), OpenError::Locked { .. }));
}
