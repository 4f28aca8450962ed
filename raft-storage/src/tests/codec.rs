//! Records: what is written is read back, what is damaged is noticed, and no bytes make the decoder panic.

use bytes::Bytes;
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};
use openraft::{EntryPayload, Membership};
use proptest::prelude::*;

use crate::record::{self, Applied, ReplicaDescriptor, StoredEntry, StoredIdentity};
use crate::types::{Entry, LogId, Payload, ReplicaNode, StoredMembership, Vote};

fn log_ids() -> impl Strategy<Value = LogId> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(term, node, index)| LogId {
        leader_id: LeaderId::new(term, node),
        index,
    })
}

fn memberships() -> impl Strategy<Value = Membership<u64, ReplicaNode>> {
    let nodes = proptest::collection::btree_map(any::<u64>(), any::<u32>(), 1..5);
    nodes.prop_map(|nodes| {
        let voters = nodes.keys().copied().collect::<std::collections::BTreeSet<_>>();
        let nodes: std::collections::BTreeMap<_, _> = nodes
            .into_iter()
            .map(|(replica, node)| (replica, ReplicaNode { node }))
            .collect();
        Membership::new(vec![voters], nodes).unwrap()
    })
}

fn payloads() -> impl Strategy<Value = EntryPayload<Payload, u64, ReplicaNode>> {
    prop_oneof![
        Just(EntryPayload::Blank),
        proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|bytes| EntryPayload::Normal(Payload(Bytes::from(bytes)))),
        memberships().prop_map(EntryPayload::Membership),
    ]
}

fn stored_entries() -> impl Strategy<Value = StoredEntry> {
    (proptest::option::of(log_ids()), log_ids(), payloads()).prop_map(|(previous, log_id, payload)| StoredEntry {
        previous,
        entry: Entry { log_id, payload },
    })
}

fn encoded(stored: &StoredEntry) -> Vec<u8> {
    let mut record = Vec::new();
    record::encode_entry(&mut record, stored.previous.as_ref(), &stored.entry).unwrap();
    record
}

proptest! {
    #[test]
    fn an_entry_is_read_back_as_it_was_written(stored in stored_entries()) {
        prop_assert_eq!(record::decode_entry(&encoded(&stored)).unwrap(), stored);
    }

    #[test]
    fn one_flipped_bit_is_noticed(stored in stored_entries(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut record = encoded(&stored);
        let at = at.index(record.len());
        record[at] ^= 1 << bit;
        prop_assert!(record::decode_entry(&record).is_err());
    }

    #[test]
    fn a_cut_record_is_noticed(stored in stored_entries(), at in any::<prop::sample::Index>()) {
        let record = encoded(&stored);
        let at = at.index(record.len());
        prop_assert!(record::decode_entry(&record[..at]).is_err());
    }

    #[test]
    fn small_records_are_read_back(
        term in any::<u64>(), node in any::<u64>(), committed in any::<bool>(), id in proptest::option::of(log_ids()),
        replica_id in any::<u64>(), epoch in any::<u64>(), generation in any::<u32>(), hash in any::<[u8; 16]>(),
        membership in memberships(), cluster in ".*", number in any::<u32>(), sequence in any::<u64>(),
    ) {
        let vote = Vote { leader_id: LeaderId::new(term, node), committed };
        prop_assert_eq!(record::decode_vote(&record::encode_vote(&vote)).unwrap(), vote);
        prop_assert_eq!(record::decode_log_id(&record::encode_log_id(id.as_ref())).unwrap(), id);
        let descriptor = ReplicaDescriptor { replica_id, epoch, generation };
        prop_assert_eq!(record::decode_descriptor(&record::encode_descriptor(&descriptor)).unwrap(), descriptor);
        let applied = Applied { last: id, membership: StoredMembership::new(id, membership), hash };
        let mut row = Vec::new();
        let membership = record::encode_membership(&applied.membership).unwrap();
        record::encode_applied(&mut row, applied.last.as_ref(), &applied.hash, &membership);
        prop_assert_eq!(record::decode_applied(&row).unwrap(), applied);
        let identity = StoredIdentity { format: generation, cluster, node: number };
        prop_assert_eq!(record::decode_identity(&record::encode_identity(&identity)).unwrap(), identity);
        prop_assert_eq!(record::decode_mark(&record::encode_mark(epoch, sequence)).unwrap(), (epoch, sequence));
        // A record of one kind never passes for another.
        prop_assert!(record::decode_log_id(&record::encode_vote(&vote)).is_err());
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = record::decode_entry(&bytes);
        let _ = record::decode_vote(&bytes);
        let _ = record::decode_log_id(&bytes);
        let _ = record::decode_descriptor(&bytes);
        let _ = record::decode_applied(&bytes);
        let _ = record::decode_identity(&bytes);
        let _ = record::decode_mark(&bytes);
    }
}
