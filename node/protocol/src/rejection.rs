//! Why a node did not take a call. The kind says what the caller does next.
//!
//! Made by the node's doors, carried in reply records ([`crate::frame`]) and in query replies, read by the client's
//! retry loop. What the rules of booking refuse is not a rejection but an outcome, and travels as a reply.

use std::fmt;

/// What a node answers where it cannot answer the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What to do.
    pub kind: RejectionKind,
    /// For [`RejectionKind::NotLeader`], and where leadership was lost on the way: where the leader was last seen.
    pub leader_node: Option<u32>,
    /// For [`RejectionKind::StaleEpoch`]: the epoch that the node knows. Else 0.
    pub epoch: u64,
    /// For people; may be empty.
    pub detail: String,
}

/// Kinds of rejection. The numbers are those of `Rejection.Kind` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RejectionKind {
    /// Nothing was done. Ask `leader_node`; where it is not known, ask another replica.
    NotLeader = 1,
    /// Nothing was done. The caller's shard map is older than the shard's epoch: refresh.
    StaleEpoch = 2,
    /// Nothing was done. The node hosts no replica of the shard: refresh.
    NotHere = 3,
    /// Nothing was done. The node's queue is full: come back later.
    Overloaded = 4,
    /// Proposed, and its fate is not known: ask again under the same key.
    Unknown = 5,
    /// Never going to work.
    Malformed = 6,
    /// Nothing was done. It needs a newer version of the cluster than this one has.
    NotYet = 7,
}

impl RejectionKind {
    /// Every kind.
    pub const ALL: [RejectionKind; 7] = [
        RejectionKind::NotLeader,
        RejectionKind::StaleEpoch,
        RejectionKind::NotHere,
        RejectionKind::Overloaded,
        RejectionKind::Unknown,
        RejectionKind::Malformed,
        RejectionKind::NotYet,
    ];

    /// The kind behind a number on the wire; `None` for 0 and for numbers of newer versions.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::NotLeader),
            2 => Some(Self::StaleEpoch),
            3 => Some(Self::NotHere),
            4 => Some(Self::Overloaded),
            5 => Some(Self::Unknown),
            6 => Some(Self::Malformed),
            7 => Some(Self::NotYet),
            _ => None,
        }
    }

    /// As it stands in logs and metrics: `not_leader`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotLeader => "not_leader",
            Self::StaleEpoch => "stale_epoch",
            Self::NotHere => "not_here",
            Self::Overloaded => "overloaded",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::NotYet => "not_yet",
        }
    }
}

impl Rejection {
    fn plain(kind: RejectionKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            leader_node: None,
            epoch: 0,
            detail: detail.into(),
        }
    }

    /// This node does not lead the shard; `leader_node` is where it believes the leader to be.
    #[must_use]
    pub fn not_leader(leader_node: Option<u32>) -> Self {
        Self {
            leader_node,
            ..Self::plain(RejectionKind::NotLeader, "")
        }
    }

    /// The call was routed by a map older than `epoch`.
    #[must_use]
    pub fn stale_epoch(epoch: u64) -> Self {
        Self {
            epoch,
            ..Self::plain(RejectionKind::StaleEpoch, "")
        }
    }

    /// No replica of the shard is on this node.
    #[must_use]
    pub fn not_here() -> Self {
        Self::plain(RejectionKind::NotHere, "")
    }

    /// A queue is full; `detail` says which.
    #[must_use]
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::plain(RejectionKind::Overloaded, detail)
    }

    /// Proposed, then lost sight of.
    #[must_use]
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self::plain(RejectionKind::Unknown, detail)
    }

    /// The cluster's version does not allow it; `detail` says which nodes are behind.
    #[must_use]
    pub fn not_yet(detail: impl Into<String>) -> Self {
        Self::plain(RejectionKind::NotYet, detail)
    }

    /// The call can never succeed; `detail` says what is wrong with it.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::plain(RejectionKind::Malformed, detail)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        match (self.kind, self.leader_node) {
            (RejectionKind::NotLeader, Some(node)) => write!(f, " (ask node {node})")?,
            (RejectionKind::StaleEpoch, _) => write!(f, " (epoch {})", self.epoch)?,
            _ => {}
        }
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.detail)
        }
    }
}
