//! The types with which openraft is filled in: what a log entry carries, what applying it answers, and how a replica is
//! named. Everything else in the crate, and the node above it, speaks these aliases instead of openraft's generic names.

use std::fmt;

use bytes::Bytes;
use openraft::type_config::alias;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

openraft::declare_raft_types!(
    /// The configuration of every Raft group of a node.
    pub TypeConfig:
        D = Payload,
        R = ReplyBytes,
        NodeId = u64,
        Node = ReplicaNode,
        AsyncRuntime = Runtime,
);

#[cfg(not(any(test, feature = "sim")))]
type Runtime = openraft::impls::TokioRuntime;

/// tokio, with random numbers that a simulator can seed.
#[cfg(any(test, feature = "sim"))]
type Runtime = crate::runtime::SeededRuntime;

/// Term, leader and index of an entry.
pub type LogId = alias::LogIdOf<TypeConfig>;
/// A vote: term, candidate, and whether a quorum has granted it.
pub type Vote = alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = alias::EntryOf<TypeConfig>;
/// A membership with the log id at which it was proposed.
pub type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot covers: the last applied log id and the membership there.
pub type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;

/// What an entry carries, opaque to the log. Clones share the bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

/// What applying an entry answered, opaque to the log. Clones share the bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ReplyBytes(pub Bytes);

/// Where a replica lives. The replica's own id is openraft's `NodeId`, given out by the meta group and never used again;
/// several replicas of one node differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ReplicaNode {
    /// The number of the server that hosts the replica.
    pub node: u32,
}

/// A Raft group: the meta group or a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Debug for ReplyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyBytes({} bytes)", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor).map(Payload)
    }
}

impl Serialize for ReplyBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for ReplyBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor).map(ReplyBytes)
    }
}

/// Binary formats hand over bytes in one piece, JSON as a list of numbers.
struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element::<u16>()? {
            bytes.push(u8::try_from(byte).map_err(|_| A::Error::custom("a byte above 255"))?);
        }
        Ok(Bytes::from(bytes))
    }
}
