//! What stands on disks and travels between nodes, byte by byte as format 3 has it. Whoever has to change one of these has
//! changed a format: the old bytes must still be read, the new ones be written only where the cluster's version allows it, and
//! [`crate::FORMATS`] gets another end.

use bytes::Bytes;
use futures::StreamExt as _;
use openraft::storage::RaftStateMachine as _;
use openraft::vote::{RaftLeaderId as _, leader_id_adv::LeaderId};
use openraft::{EntryPayload, Membership, RaftSnapshotBuilder as _};

use super::{Place, apply, entry_with, over_all};
use crate::record::{self, RecordError, ReplicaDescriptor, StoredIdentity};
use crate::types::{Entry, LogId, Payload, ReplicaNode, StoredMembership, Vote};

over_all! {
    a_snapshot_is_of_these_bytes,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(term: u64, index: u64) -> LogId {
    LogId {
        leader_id: LeaderId::new(term, 2),
        index,
    }
}

fn membership() -> Membership<u64, ReplicaNode> {
    let nodes = std::collections::BTreeMap::from([(1001, ReplicaNode { node: 1 }), (1002, ReplicaNode { node: 2 })]);
    Membership::new(vec![[1001, 1002].into()], nodes).unwrap()
}

fn entry(payload: EntryPayload<Payload, u64, ReplicaNode>) -> String {
    let mut record = Vec::new();
    let entry = Entry {
        log_id: id(7, 9),
        payload,
    };
    record::encode_entry(&mut record, Some(&id(6, 8)), &entry).unwrap();
    assert_eq!(record::decode_entry(&record).unwrap().entry, entry);
    hex(&record)
}

#[test]
fn entries_are_of_these_bytes() {
    assert_eq!(
        entry(EntryPayload::Blank),
        "018d7a488a0100000000000000060000000000000002000000000000000800000000000000070000000000000002000000000000000900"
    );
    assert_eq!(
        entry(EntryPayload::Normal(Payload(Bytes::from_static(b"held")))),
        "01ce30a569010000000000000006000000000000000200000000000000080000000000000007000000000000000200000000000000090168656c64"
    );
    assert_eq!(
        entry(EntryPayload::Membership(membership())),
        "01ab9e6ffa01000000000000000600000000000000020000000000000008000000000000000700000000000000020000000000000009027b22636f6e66696773223a5b5b313030312c313030325d5d2c226e6f646573223a7b2231303031223a7b226e6f6465223a317d2c2231303032223a7b226e6f6465223a327d7d7d"
    );
}

#[test]
fn small_records_are_of_these_bytes() {
    let vote = Vote {
        leader_id: LeaderId::new(7, 2),
        committed: true,
    };
    assert_eq!(
        hex(&record::encode_vote(&vote)),
        "0179a2f5060000000000000007000000000000000201"
    );
    assert_eq!(
        hex(&record::encode_log_id(Some(&id(7, 9)))),
        "018720fcdb01000000000000000700000000000000020000000000000009"
    );
    assert_eq!(hex(&record::encode_log_id(None)), "01c586df4b00");
    let descriptor = ReplicaDescriptor {
        replica_id: 1002,
        epoch: 1,
        generation: 3,
    };
    assert_eq!(
        hex(&record::encode_descriptor(&descriptor)),
        "01dd28943600000000000003ea000000000000000100000003"
    );
    let stored = record::encode_membership(&StoredMembership::new(Some(id(1, 0)), membership())).unwrap();
    let mut applied = Vec::new();
    record::encode_applied(&mut applied, Some(&id(7, 9)), &[5; 16], &stored);
    assert_eq!(
        hex(&applied),
        "01091b724b01000000000000000700000000000000020000000000000009050505050505050505050505050505057b226c6f675f6964223a7b226c65616465725f6964223a7b227465726d223a312c226e6f64655f6964223a327d2c22696e646578223a307d2c226d656d62657273686970223a7b22636f6e66696773223a5b5b313030312c313030325d5d2c226e6f646573223a7b2231303031223a7b226e6f6465223a317d2c2231303032223a7b226e6f6465223a327d7d7d7d"
    );
    let identity = StoredIdentity {
        format: 3,
        cluster: "meridian".to_owned(),
        node: 2,
    };
    assert_eq!(
        hex(&record::encode_identity(&identity)),
        "01b746ec7300000003000000026d6572696469616e"
    );
    assert_eq!(
        hex(&record::encode_mark(4, 77)),
        "01602353d90000000000000004000000000000004d"
    );
}

/// A record of another layout is not misread: its checksum is right, so it is nobody's damage.
#[test]
fn a_record_of_another_layout_is_told_as_one() {
    let mut record = record::encode_vote(&Vote {
        leader_id: LeaderId::new(7, 2),
        committed: true,
    });
    record[0] = 2;
    assert_eq!(record::decode_vote(&record), Err(RecordError::Version(2)));
}

async fn a_snapshot_is_of_these_bytes(place: Place) {
    let (_store, mut group) = place.open().await;
    let entries = [entry_with(1, 0, "old=row"), entry_with(1, 1, "key=value")];
    apply(&mut group, entries).await.unwrap();
    let snapshot = group
        .machine
        .get_snapshot_builder()
        .await
        .build_snapshot()
        .await
        .unwrap();
    let chunks: Vec<Bytes> = snapshot.snapshot.chunks().map(Result::unwrap).collect().await;
    let [rows, end] = &chunks[..] else {
        panic!("{} chunks", chunks.len());
    };
    // [kind][checksum], then [key length][value length][key][value] for each row.
    assert_eq!(rows[0], 1);
    let mut count = 0_u64;
    let mut body = &rows[5..];
    while !body.is_empty() {
        let length = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap()) as usize;
        body = &body[8 + length(0) + length(4)..];
        count += 1;
    }
    assert!(count >= 2, "{count} rows");
    // [kind][checksum], then [format][rows][digest of all rows][state hash].
    assert_eq!((end[0], end.len()), (2, 5 + 1 + 8 + 8 + 16));
    assert_eq!(end[5], 1);
    assert_eq!(end[6..14], count.to_be_bytes());
    assert_eq!(end[22..], group.reader.view().unwrap().state_hash());
}
