//! How records lie on disk: `[version u8][crc32c u32][body]`, the checksum over the record's kind and body. An entry also
//! carries its own log id and its predecessor's, so a log can be checked link by link. Fixed layouts, integers big-endian;
//! memberships, which are rare and evolve, are JSON inside.
//!
//! Decoding never panics, whatever the bytes.

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};

use crate::types::{Entry, LogId, Payload, StoredMembership, Vote};

/// The version of every record's layout. Another number means a newer program.
const VERSION: u8 = 1;
const HEADER: usize = 5;

/// What kind of record a checksum is for, so that a vote never passes for a log id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Entry = 1,
    Vote = 2,
    LogId = 3,
    Descriptor = 4,
    Applied = 5,
    Identity = 6,
    Mark = 7,
}

/// Why bytes are not the record they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record ends early")]
    Short,
    #[error("the checksum does not match")]
    Checksum,
    #[error("layout version {0} is not known")]
    Version(u8),
    #[error("{0}")]
    Content(String),
}

/// An entry as read back, with the log id of the entry before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEntry {
    pub(crate) previous: Option<LogId>,
    pub(crate) entry: Entry,
}

/// Which replica of a group lives here, and which generation of its rows is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaDescriptor {
    /// The replica's id, from the meta group, never used again.
    pub replica_id: u64,
    /// The epoch of the shard's descriptor in the map, as the node last saw it.
    pub epoch: u64,
    /// The generation of the replica's rows that is complete and current.
    pub generation: u32,
}

/// The row `[00]` of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) hash: [u8; 16],
}

/// Whose data this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredIdentity {
    pub(crate) format: u32,
    pub(crate) cluster: String,
    pub(crate) node: u32,
}

// Encoding ---------------------------------------------------------------------------------------------------------------

fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
}

fn seal(out: &mut [u8], kind: Kind) {
    let crc = checksum(kind, &out[HEADER..]);
    out[1..HEADER].copy_from_slice(&crc.to_be_bytes());
}

fn checksum(kind: Kind, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[kind as u8]), body)
}

fn put_log_id(out: &mut Vec<u8>, id: &LogId) {
    out.extend_from_slice(&id.leader_id.term.to_be_bytes());
    out.extend_from_slice(&id.leader_id.node_id.to_be_bytes());
    out.extend_from_slice(&id.index.to_be_bytes());
}

fn put_maybe_log_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    out.push(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(out, id);
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, RecordError> {
    serde_json::to_vec(value).map_err(|error| RecordError::Content(error.to_string()))
}

/// Writes an entry's record into `out`, which is cleared first.
pub(crate) fn encode_entry(out: &mut Vec<u8>, previous: Option<&LogId>, entry: &Entry) -> Result<(), RecordError> {
    begin(out);
    put_maybe_log_id(out, previous);
    put_log_id(out, &entry.log_id);
    match &entry.payload {
        EntryPayload::Blank => out.push(0),
        EntryPayload::Normal(payload) => {
            out.push(1);
            out.extend_from_slice(&payload.0);
        }
        EntryPayload::Membership(membership) => {
            out.push(2);
            out.extend_from_slice(&json(membership)?);
        }
    }
    seal(out, Kind::Entry);
    Ok(())
}

pub(crate) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + 17);
    begin(&mut out);
    out.extend_from_slice(&vote.leader_id.term.to_be_bytes());
    out.extend_from_slice(&vote.leader_id.node_id.to_be_bytes());
    out.push(u8::from(vote.committed));
    seal(&mut out, Kind::Vote);
    out
}

pub(crate) fn encode_log_id(id: Option<&LogId>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + 25);
    begin(&mut out);
    put_maybe_log_id(&mut out, id);
    seal(&mut out, Kind::LogId);
    out
}

pub(crate) fn encode_descriptor(descriptor: &ReplicaDescriptor) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + 20);
    begin(&mut out);
    out.extend_from_slice(&descriptor.replica_id.to_be_bytes());
    out.extend_from_slice(&descriptor.epoch.to_be_bytes());
    out.extend_from_slice(&descriptor.generation.to_be_bytes());
    seal(&mut out, Kind::Descriptor);
    out
}

pub(crate) fn encode_membership(membership: &StoredMembership) -> Result<Vec<u8>, RecordError> {
    json(membership)
}

/// Writes the row `[00]` into `out`. The membership comes encoded: it changes rarely, the row with every entry.
pub(crate) fn encode_applied(out: &mut Vec<u8>, last: Option<&LogId>, hash: &[u8; 16], membership: &[u8]) {
    begin(out);
    put_maybe_log_id(out, last);
    out.extend_from_slice(hash);
    out.extend_from_slice(membership);
    seal(out, Kind::Applied);
}

pub(crate) fn encode_identity(identity: &StoredIdentity) -> Vec<u8> {
    let mut out = Vec::new();
    begin(&mut out);
    out.extend_from_slice(&identity.format.to_be_bytes());
    out.extend_from_slice(&identity.node.to_be_bytes());
    out.extend_from_slice(identity.cluster.as_bytes());
    seal(&mut out, Kind::Identity);
    out
}

/// A high-water mark: its counter and the sequence number below which everything was synced. Always [`MARK_BYTES`] long.
pub(crate) fn encode_mark(counter: u64, sequence: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(MARK_BYTES);
    begin(&mut out);
    out.extend_from_slice(&counter.to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    seal(&mut out, Kind::Mark);
    out
}

/// The length of an encoded mark.
pub(crate) const MARK_BYTES: usize = HEADER + 16;

// Decoding ---------------------------------------------------------------------------------------------------------------

fn open(kind: Kind, record: &[u8]) -> Result<&[u8], RecordError> {
    let (header, body) = record.split_first_chunk::<HEADER>().ok_or(RecordError::Short)?;
    let [version, crc @ ..] = *header;
    if checksum(kind, body) != u32::from_be_bytes(crc) {
        return Err(RecordError::Checksum);
    }
    // After the checksum: damage is reported as damage, not as a program from the future.
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    Ok(body)
}

fn take<const N: usize>(body: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (head, rest) = body.split_first_chunk::<N>().ok_or(RecordError::Short)?;
    *body = rest;
    Ok(*head)
}

fn take_u64(body: &mut &[u8]) -> Result<u64, RecordError> {
    take(body).map(u64::from_be_bytes)
}

fn take_u32(body: &mut &[u8]) -> Result<u32, RecordError> {
    take(body).map(u32::from_be_bytes)
}

fn take_bool(body: &mut &[u8]) -> Result<bool, RecordError> {
    match take::<1>(body)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(RecordError::Content(format!("{other} is not a truth value"))),
    }
}

/// A leader's id, as it stands in the log ids of what it proposed.
pub(crate) fn leader(term: u64, replica: u64) -> LeaderId<u64, u64> {
    LeaderId::new(term, replica)
}

fn take_log_id(body: &mut &[u8]) -> Result<LogId, RecordError> {
    let leader = LeaderId::new(take_u64(body)?, take_u64(body)?);
    Ok(LogId {
        leader_id: leader,
        index: take_u64(body)?,
    })
}

fn take_maybe_log_id(body: &mut &[u8]) -> Result<Option<LogId>, RecordError> {
    if take_bool(body)? {
        take_log_id(body).map(Some)
    } else {
        Ok(None)
    }
}

fn end(body: &[u8]) -> Result<(), RecordError> {
    if body.is_empty() {
        Ok(())
    } else {
        Err(RecordError::Content(format!("{} bytes too many", body.len())))
    }
}

pub(crate) fn decode_entry(record: &[u8]) -> Result<StoredEntry, RecordError> {
    let mut body = open(Kind::Entry, record)?;
    let previous = take_maybe_log_id(&mut body)?;
    let log_id = take_log_id(&mut body)?;
    let payload = match take::<1>(&mut body)? {
        [0] => {
            end(body)?;
            EntryPayload::Blank
        }
        [1] => EntryPayload::Normal(Payload(Bytes::copy_from_slice(body))),
        [2] => EntryPayload::Membership(
            serde_json::from_slice(body).map_err(|error| RecordError::Content(error.to_string()))?,
        ),
        [other] => return Err(RecordError::Content(format!("payload kind {other} is not known"))),
    };
    Ok(StoredEntry {
        previous,
        entry: Entry { log_id, payload },
    })
}

pub(crate) fn decode_vote(record: &[u8]) -> Result<Vote, RecordError> {
    let mut body = open(Kind::Vote, record)?;
    let leader_id = LeaderId::new(take_u64(&mut body)?, take_u64(&mut body)?);
    let committed = take_bool(&mut body)?;
    end(body)?;
    Ok(Vote { leader_id, committed })
}

pub(crate) fn decode_log_id(record: &[u8]) -> Result<Option<LogId>, RecordError> {
    let mut body = open(Kind::LogId, record)?;
    let id = take_maybe_log_id(&mut body)?;
    end(body)?;
    Ok(id)
}

pub(crate) fn decode_descriptor(record: &[u8]) -> Result<ReplicaDescriptor, RecordError> {
    let mut body = open(Kind::Descriptor, record)?;
    let descriptor = ReplicaDescriptor {
        replica_id: take_u64(&mut body)?,
        epoch: take_u64(&mut body)?,
        generation: take_u32(&mut body)?,
    };
    end(body)?;
    Ok(descriptor)
}

pub(crate) fn decode_applied(record: &[u8]) -> Result<Applied, RecordError> {
    let mut body = open(Kind::Applied, record)?;
    let last = take_maybe_log_id(&mut body)?;
    let hash = take(&mut body)?;
    let membership = serde_json::from_slice(body).map_err(|error| RecordError::Content(error.to_string()))?;
    Ok(Applied { last, membership, hash })
}

pub(crate) fn decode_identity(record: &[u8]) -> Result<StoredIdentity, RecordError> {
    let mut body = open(Kind::Identity, record)?;
    let format = take_u32(&mut body)?;
    let node = take_u32(&mut body)?;
    let cluster = std::str::from_utf8(body)
        .map_err(|error| RecordError::Content(error.to_string()))?
        .to_owned();
    Ok(StoredIdentity { format, cluster, node })
}

/// The counter and the sequence number of a mark.
pub(crate) fn decode_mark(record: &[u8]) -> Result<(u64, u64), RecordError> {
    let mut body = open(Kind::Mark, record)?;
    let mark = (take_u64(&mut body)?, take_u64(&mut body)?);
    end(body)?;
    Ok(mark)
}
