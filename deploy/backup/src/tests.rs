//! Backups made by hand, in memory: what verifying finds, what restoring refuses, and a restored directory opened again. That
//! running clusters are copied and sell on from a restore is tried end to end (chaos-tests/tests/e2e/backup.rs).

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use rotunda_node::meta::command::MetaCommand;
use rotunda_node::meta::machine::{MetaMachine, hash_of, rows_of};
use rotunda_node::meta::map::{MetaState, spread};
use rotunda_raft_storage::{GroupId, Identity, ROW_FORMAT, Store, StoreConfig, chunks_of_rows};

use crate::chunk::{Filling, digest, hex};
use crate::error::BackupError;
use crate::manifest::{ChunkRecord, FORMAT, GroupRecord, MANIFEST, Manifest};
use crate::place::Place;
use crate::restore::{NewCluster, restore};
use crate::{list, newest, verify};

const ID: &str = "old-20261128T010000000Z";

/// What is told of progress, to nobody.
fn silent(_: crate::Progress) {}

fn place() -> Place {
    Place::of("memory", Arc::new(InMemory::new()), Path::from("some/prefix"))
}

type OwnedRows = Vec<(Vec<u8>, Vec<u8>)>;

/// The objects of a group, two snapshot chunks each at most.
async fn put_group(place: &Place, group: u64, rows: &[(Vec<u8>, Vec<u8>)], state_hash: [u8; 16]) -> GroupRecord {
    let chunks = chunks_of_rows(rows.iter().map(|(key, value)| (&key[..], &value[..])), state_hash);
    let mut records = Vec::new();
    for (number, pair) in chunks.chunks(2).enumerate() {
        let mut filling = Filling::new(group, u32::try_from(number).unwrap());
        for chunk in pair {
            filling.push(chunk).unwrap();
        }
        let object = filling.finish();
        let name = format!("group-{group}/{number:06}");
        records.push(ChunkRecord {
            name: name.clone(),
            bytes: object.len() as u64,
            sha256: digest(&object),
        });
        place.put(&format!("{ID}/{name}"), object).await.unwrap();
    }
    GroupRecord {
        group,
        index: 40 + group,
        term: 7,
        leader_replica: 2,
        state_hash: hex(&state_hash),
        rows: rows.len() as u64,
        bytes: records.iter().map(|record| record.bytes).sum(),
        node: 2,
        chunks: records,
    }
}

fn founded() -> MetaState {
    let mut state = MetaState::default();
    let nodes = (1..=3).map(|id| (id, format!("http://old-{id}"))).collect();
    let shards = spread(&[1, 2, 3], 2, 3);
    state.apply(1, MetaCommand::Bootstrap { nodes, shards });
    let slugs = vec!["lisbon".to_owned()];
    state.apply(2, MetaCommand::AssignVenues { slugs });
    state
}

/// A cluster of two shards: the first has rows where `rows` says so.
async fn backup(place: &Place, rows: OwnedRows) -> Manifest {
    let mut hash = rotunda_booking::inventory::RowsHash::default();
    for (key, value) in &rows {
        hash.add(key, value);
    }
    let state = founded();
    let meta: OwnedRows = rows_of(&state)
        .unwrap()
        .into_iter()
        .map(|(key, row)| (key.to_vec(), row))
        .collect();
    let groups = vec![
        put_group(place, 1, &rows, hash.finish()).await,
        put_group(place, 2, &[], [0; 16]).await,
        put_group(place, 0, &meta, hash_of(&state).unwrap()).await,
    ];
    let manifest = Manifest {
        format: FORMAT,
        id: ID.to_owned(),
        cluster: "old".to_owned(),
        networks: Vec::new(),
        began: "2026-11-28T01:00:00Z".parse().unwrap(),
        finished: "2026-11-28T01:00:01Z".parse().unwrap(),
        made_by: "0.1.0".to_owned(),
        node_version: "0.1.0".to_owned(),
        row_format: ROW_FORMAT,
        groups,
        sha256: String::new(),
    };
    write(place, manifest).await
}

async fn write(place: &Place, manifest: Manifest) -> Manifest {
    let (manifest, text) = manifest.encode().unwrap();
    place.put(&format!("{ID}/{MANIFEST}"), text.into()).await.unwrap();
    manifest
}

/// Some chunks' worth.
fn some_rows() -> OwnedRows {
    let row = |n: u32| {
        (
            [&[0x30][..], &n.to_be_bytes()].concat(),
            vec![u8::try_from(n % 251).unwrap(); 9_000],
        )
    };
    (0..150).map(row).collect()
}

fn new_cluster(into: &std::path::Path) -> NewCluster {
    NewCluster {
        keys: None,
        cluster: "new".to_owned(),
        nodes: (1..=3).map(|id| (id, format!("http://new-{id}"))).collect(),
        replication: 3,
        into: into.to_owned(),
        only: None,
    }
}

#[tokio::test]
async fn what_is_whole_verifies_and_every_flipped_byte_is_found_in_its_chunk() {
    let place = place();
    let manifest = backup(&place, some_rows()).await;
    assert!(manifest.groups[0].chunks.len() > 2);
    let verified = verify(&place, ID, &silent).await.unwrap();
    assert!(verified.damage.is_empty(), "{:?}", verified.damage);
    assert_eq!(newest(&place).await.unwrap(), manifest);
    for group in &manifest.groups {
        for chunk in &group.chunks {
            let name = format!("{ID}/{}", chunk.name);
            let whole = place.get(&name).await.unwrap().unwrap();
            let at = whole.len() / 2;
            let flipped: Bytes = whole
                .iter()
                .enumerate()
                .map(|(n, byte)| byte ^ u8::from(n == at))
                .collect();
            place.put(&name, flipped).await.unwrap();
            let damage = verify(&place, ID, &silent).await.unwrap().damage;
            assert!(
                matches!(&damage[..], [BackupError::Chunk { chunk: named, .. }] if *named == chunk.name),
                "{damage:?}"
            );
            place.put(&name, whole).await.unwrap();
        }
    }
}

#[tokio::test]
async fn rows_that_are_not_those_of_the_recorded_state_are_found_though_every_checksum_fits() {
    let place = place();
    let mut manifest = backup(&place, some_rows()).await;
    let mut rows = some_rows();
    rows[3].1[0] ^= 1;
    // Whoever wrote it computed all checksums anew, but the end of the rows names the old hash.
    let recorded = manifest.groups[0].state_hash.clone();
    let mut hash = [0; 16];
    for (byte, pair) in hash.iter_mut().zip(recorded.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    manifest.groups[0] = put_group(&place, 1, &rows, hash).await;
    write(&place, manifest).await;
    let damage = verify(&place, ID, &silent).await.unwrap().damage;
    assert!(damage[0].to_string().contains("state hash"), "{damage:?}");
}

#[tokio::test]
async fn what_was_broken_off_is_listed_and_nothing_else() {
    let place = place();
    put_group(&place, 1, &some_rows(), [0; 16]).await;
    let listed = list(&place).await.unwrap();
    assert!(listed.len() == 1 && listed[0].manifest.is_none());
    assert!(matches!(newest(&place).await, Err(BackupError::Nothing { .. })));
    assert!(matches!(
        verify(&place, ID, &silent).await,
        Err(BackupError::NoManifest { .. })
    ));
    assert!(matches!(
        verify(&place, "../x", &silent).await,
        Err(BackupError::NoManifest { .. })
    ));
}

#[tokio::test]
async fn a_restore_is_refused_before_anything_is_written() {
    let place = place();
    let manifest = backup(&place, Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    let told = async |change: &dyn Fn(&mut NewCluster)| {
        let mut new = new_cluster(&into);
        change(&mut new);
        let error = restore(&place, ID, &new, &silent).await.unwrap_err();
        assert!(!into.exists());
        error.to_string()
    };
    assert!(
        told(&|new| new.cluster = "old".to_owned())
            .await
            .contains("another name")
    );
    assert!(told(&|new| new.cluster.clear()).await.contains("name"));
    assert!(told(&|new| new.nodes.clear()).await.contains("nodes"));
    assert!(told(&|new| new.replication = 0).await.contains("replica"));
    assert!(told(&|new| new.only = Some(9)).await.contains("none of"));
    std::fs::create_dir(&into).unwrap();
    std::fs::write(into.join("x"), "somebody's").unwrap();
    let error = restore(&place, ID, &new_cluster(&into), &silent).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty(_)), "{error}");
    let rows = Manifest {
        row_format: ROW_FORMAT + 1,
        ..manifest
    };
    write(&place, rows).await;
    let error = restore(&place, ID, &new_cluster(&folder.path().join("x")), &silent)
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::Rows { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_directory_opens_with_the_venues_and_the_new_nodes() {
    let place = place();
    backup(&place, Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("into");
    let restored = restore(&place, ID, &new_cluster(&into), &silent).await.unwrap();
    assert_eq!(restored.directories.len(), 3);
    // One more machine writes its own beside what is there, and it is the same.
    let alone = NewCluster {
        only: Some(2),
        ..new_cluster(&folder.path().join("alone"))
    };
    let again = restore(&place, ID, &alone, &silent).await.unwrap();
    assert_eq!(again.meta_hash, restored.meta_hash);
    for (node, directory) in restored.directories.iter().chain(&again.directories) {
        let identity = Identity {
            cluster: "new".to_owned(),
            node: *node,
        };
        let store = Store::open(StoreConfig::new(directory, identity)).unwrap();
        let (published, map) = tokio::sync::watch::channel(MetaState::default());
        let group = store
            .open_group(GroupId(0), u64::from(*node), MetaMachine::new(published))
            .await
            .unwrap();
        let view = group.reader.view().unwrap();
        assert_eq!(view.applied_index(), Some(40));
        assert_eq!(hex(&view.state_hash()), restored.meta_hash);
        let map = map.borrow().clone();
        assert_eq!(map.venues, founded().venues);
        let addresses: BTreeMap<u32, String> = map.nodes.values().map(|node| (node.id, node.grpc.clone())).collect();
        assert_eq!(addresses, new_cluster(&into).nodes);
        assert_eq!(store.descriptors().len(), 3, "the meta group and both shards");
    }
}
