//! What can go wrong here. [`ClientError`] has one variant for each decision that a caller can take.

use crate::shard_map::MapError;

/// Why the cluster client gave no answer. A refusal by the rules of booking is not here: it is an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No replica took the call before the deadline. Nothing was done; the same call may be made again.
    #[error("no replica of the shard took the call in time; nothing was done")]
    Unavailable,
    /// The deadline passed while the command may have been proposed. Asking again under the same key tells its fate.
    #[error("the deadline passed while the command was under way; send it again under the same key to learn its fate")]
    Unknown,
    /// The shard map has no such venue. Nothing was done.
    #[error("no such venue in the shard map")]
    UnknownVenue,
    /// A queue here or at the node is full. Nothing was done; come back later.
    #[error("too much is under way; nothing was done")]
    Overloaded,
    /// It needs a cluster's version that this cluster does not have; the text says which nodes are behind. Nothing was done.
    #[error("{0}")]
    NotYet(String),
    /// The call can never succeed; the text says why. Nothing was done.
    #[error("{0}")]
    Rejected(String),
}

/// A message that does not mean anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The shard map contradicts itself.
    #[error("shard map: {0}")]
    Map(#[from] MapError),
    /// A rejection of a kind that this version does not know.
    #[error("rejection of unknown kind {0}")]
    RejectionKind(i32),
    /// A field does not hold what it should.
    #[error("field {field}: {detail}")]
    Field {
        /// Which field of which message.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}
