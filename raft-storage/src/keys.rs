//! Every key in both databases, in one place. All integers big-endian, so that keys sort as the numbers do.
//!
//! ```text
//! raftdb   [00][00]                                    identity: format, cluster, node
//!          [01][group u64][01][index u64]              entry
//!          [01][group u64][02]                         vote
//!          [01][group u64][03]                         purged: the last log id that was purged
//!          [01][group u64][04]                         committed: a hint, see save_committed
//!          [01][group u64][05]                         replica descriptor
//!          [01][group u64][06]                         tail: the last log id, written with every append and truncation
//! statedb  [shard u64][generation u32][00]             applied log id, membership, state hash
//!          [shard u64][generation u32][table u8 > 0].. rows
//!          [ff x 8][ff x 4][00]                        identity, the same as in raftdb
//! ```
//!
//! `shard` is the group's id. A generation is one complete copy of a shard's rows; the descriptor names the current one.

/// The store's identity in raftdb.
pub(crate) const IDENTITY: [u8; 2] = [0, 0];

/// The store's identity in statedb, above every real shard.
pub(crate) const STATE_IDENTITY: [u8; 13] = [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0];

/// Groups are below this number, which is what the identity's key looks like.
pub(crate) const MAX_GROUP: u64 = u64::MAX - 1;

const GROUP: u8 = 1;

/// A group's single records in raftdb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Slot {
    Vote = 2,
    Purged = 3,
    Committed = 4,
    Descriptor = 5,
    Tail = 6,
}

/// The key of an entry.
pub(crate) fn entry(group: u64, index: u64) -> [u8; 18] {
    let mut key = [0; 18];
    key[0] = GROUP;
    key[1..9].copy_from_slice(&group.to_be_bytes());
    key[9] = 1;
    key[10..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The key above all of a group's entries.
pub(crate) fn entries_end(group: u64) -> [u8; 10] {
    slot_key(group, 2)
}

/// The key of a group's single record.
pub(crate) fn slot(group: u64, slot: Slot) -> [u8; 10] {
    slot_key(group, slot as u8)
}

fn slot_key(group: u64, slot: u8) -> [u8; 10] {
    let mut key = [0; 10];
    key[0] = GROUP;
    key[1..9].copy_from_slice(&group.to_be_bytes());
    key[9] = slot;
    key
}

/// The lowest key of a group.
pub(crate) fn group_start(group: u64) -> [u8; 9] {
    let mut key = [0; 9];
    key[0] = GROUP;
    key[1..].copy_from_slice(&group.to_be_bytes());
    key
}

/// The group of a raftdb key, if it belongs to one.
pub(crate) fn group_of(key: &[u8]) -> Option<u64> {
    match key {
        [GROUP, rest @ ..] => rest.first_chunk::<8>().map(|group| u64::from_be_bytes(*group)),
        _ => None,
    }
}

/// The index of an entry's key, if it is one.
pub(crate) fn index_of(key: &[u8]) -> Option<u64> {
    let key: &[u8; 18] = key.try_into().ok()?;
    let (head, index) = key.split_last_chunk::<8>()?;
    (head[0] == GROUP && head[9] == 1).then(|| u64::from_be_bytes(*index))
}

/// What every key of one generation of one shard begins with.
pub(crate) type StatePrefix = [u8; 12];

/// The prefix of a generation's rows.
pub(crate) fn state_prefix(shard: u64, generation: u32) -> StatePrefix {
    let mut prefix = [0; 12];
    prefix[..8].copy_from_slice(&shard.to_be_bytes());
    prefix[8..].copy_from_slice(&generation.to_be_bytes());
    prefix
}

/// The row of a generation that holds what was applied.
pub(crate) fn applied(prefix: &StatePrefix) -> [u8; 13] {
    let mut key = [0; 13];
    key[..12].copy_from_slice(prefix);
    key
}

/// A row's full key, appended to `into`.
pub(crate) fn row(into: &mut Vec<u8>, prefix: &StatePrefix, key: &[u8]) {
    into.clear();
    into.reserve(prefix.len() + key.len());
    into.extend_from_slice(prefix);
    into.extend_from_slice(key);
}

/// The lowest key above a generation's rows.
pub(crate) fn state_end(prefix: &StatePrefix) -> Vec<u8> {
    let mut end = prefix.to_vec();
    // Add one to the prefix as a big-endian number; groups stay below MAX_GROUP, so it does not wrap.
    for byte in end.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    end
}

/// Shard and generation of a statedb key.
pub(crate) fn shard_and_generation(key: &[u8]) -> Option<(u64, u32)> {
    let (shard, rest) = key.split_first_chunk::<8>()?;
    let generation = rest.first_chunk::<4>()?;
    Some((u64::from_be_bytes(*shard), u32::from_be_bytes(*generation)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn entries_sort_by_index_and_end_before_the_vote() {
        assert!(entry(7, 9) < entry(7, 256));
        assert!(entry(7, u64::MAX).as_slice() < entries_end(7).as_slice());
        assert_eq!(entries_end(7), slot(7, Slot::Vote));
        assert!(slot(7, Slot::Tail).as_slice() < group_start(8).as_slice());
        assert_eq!(index_of(&entry(7, 300)), Some(300));
        assert_eq!(index_of(&slot(7, Slot::Tail)), None);
        assert_eq!(group_of(&slot(7, Slot::Tail)), Some(7));
    }

    #[test]
    fn a_generation_ends_where_the_next_begins() {
        assert_eq!(state_end(&state_prefix(3, 1)), state_prefix(3, 2).to_vec());
        assert_eq!(state_end(&state_prefix(3, u32::MAX)), state_prefix(4, 0).to_vec());
        assert_eq!(shard_and_generation(&applied(&state_prefix(3, 5))), Some((3, 5)));
        assert!(state_prefix(MAX_GROUP, u32::MAX).as_slice() < STATE_IDENTITY.as_slice());
    }
}
