//! Raft messages as bytes: openraft's own types through postcard. Both ends run the pinned openraft version, or one
//! that the upgrade notes call compatible; the first byte names the layout so that a stranger is refused, not misread.

use bytes::{BufMut, Bytes, BytesMut};
use openraft::type_config::alias::{SnapshotMetaOf, VoteOf};
use rotunda_raft_storage::TypeConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Layout of the bodies.
const LAYOUT: u8 = 1;

/// Why a body does not decode.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Another layout, or no byte at all.
    #[error("message layout {0:?} where {LAYOUT} was expected: do all nodes run compatible versions?")]
    Layout(Option<u8>),
    /// Not what was expected.
    #[error("message body: {0}")]
    Body(#[from] postcard::Error),
}

/// What precedes a snapshot's chunks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotHeader {
    /// The sending leader's vote.
    pub vote: VoteOf<TypeConfig>,
    /// What the snapshot covers.
    pub meta: SnapshotMetaOf<TypeConfig>,
}

/// A message as bytes.
///
/// # Errors
/// Only where a type cannot be written, which would be a defect.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, WireError> {
    let mut writer = BytesMut::with_capacity(256).writer();
    writer.get_mut().put_u8(LAYOUT);
    postcard::to_io(message, &mut writer)?;
    Ok(writer.into_inner().freeze())
}

/// A message from bytes.
///
/// # Errors
/// Where the bytes are not such a message.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireError> {
    match body.split_first() {
        Some((&LAYOUT, rest)) => Ok(postcard::from_bytes(rest)?),
        other => Err(WireError::Layout(other.map(|(first, _)| *first))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use openraft::raft::{VoteRequest, VoteResponse};
    use openraft::vote::RaftVote as _;

    #[test]
    fn a_message_comes_back_as_it_went() {
        let vote = VoteOf::<TypeConfig>::from_leader_id(
            openraft::impls::leader_id_adv::LeaderId { term: 7, node_id: 3 },
            false,
        );
        let request = VoteRequest::<TypeConfig>::new(vote, None);
        let back: VoteRequest<TypeConfig> = decode(&encode(&request).unwrap()).unwrap();
        assert_eq!(back, request);
    }

    #[test]
    fn another_layout_is_refused() {
        assert!(matches!(
            decode::<VoteResponse<TypeConfig>>(&[9, 1, 2]),
            Err(WireError::Layout(Some(9)))
        ));
        assert!(matches!(
            decode::<VoteResponse<TypeConfig>>(&[]),
            Err(WireError::Layout(None))
        ));
    }

    #[test]
    fn garbage_is_an_error() {
        for length in 0..64_usize {
            let bytes: Vec<u8> = std::iter::once(LAYOUT)
                .chain((0..length).map(|i| (i * 37 + length) as u8 | 0x80))
                .collect();
            let _: Result<VoteRequest<TypeConfig>, _> = decode(&bytes);
        }
    }
}
