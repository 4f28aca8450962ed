//! What goes into the meta group's log. Postcard: new variants are added at the end, old ones never change.

use rotunda_protocol::version::{BEFORE, CLUSTER_VERSION};
use serde::{Deserialize, Serialize};

/// A change of the shard map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetaCommand {
    /// Founds the cluster. Changes nothing where it is founded already.
    Bootstrap {
        /// Founding nodes: id and gRPC address.
        nodes: Vec<(u32, String)>,
        /// Nodes of each shard, in order of preference for leadership. The proposer decides; apply hands out the ids.
        shards: Vec<Vec<u32>>,
    },
    /// A node's addresses and version.
    RegisterNode(NodeRecord),
    /// Numbers and shards for venues that have none yet.
    AssignVenues {
        /// Venue ids.
        slugs: Vec<String>,
    },
    /// Issues a token.
    CreateToken(TokenGrant),
    /// Takes a token back; its name stays taken.
    RevokeToken {
        /// Of the token.
        name: String,
        /// Name of the token that asks.
        by: String,
        /// The proposer's time of day, in milliseconds since 1970.
        at: i64,
    },
    /// As `AssignVenues`, for the venues of one network. Where one of them belongs to another, nothing is assigned.
    AssignVenuesOf {
        /// Network id.
        network: String,
        /// Venue ids.
        slugs: Vec<String>,
    },
    /// As `CreateToken`, of a token that is good for one network only.
    CreateTokenOf {
        /// Network id.
        network: String,
        /// The token.
        grant: TokenGrant,
    },
    /// Quotas for all routers, in the place of those before.
    SetLimits {
        /// All of them.
        limits: Vec<LimitRecord>,
        /// Name of the token that asks.
        by: String,
        /// The proposer's time of day, in milliseconds since 1970.
        at: i64,
    },
    /// Raises the cluster's version. Only proposed once every node reads it, for older ones end at it. Where a node does not, by
    /// its record, nothing changes.
    RaiseVersion {
        /// The number.
        to: u32,
        /// Name of the token that asks; of nobody where the cluster is new.
        by: String,
        /// The proposer's time of day, in milliseconds since 1970.
        at: i64,
    },
    /// A backup is complete. One that was finished before the last one is passed over.
    RecordBackup(BackupRecord),
    /// All replicas leave a node, and the cluster forgets it. Changes nothing where it knows no such node.
    RemoveNode {
        /// Its id.
        node: u32,
    },
    /// A node without data joins, and gets a replica of each shard that has lost one. Changes nothing where it has joined.
    AddNode {
        /// Its id.
        node: u32,
        /// Its gRPC address.
        grpc: String,
    },
}

/// A backup that was complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Its name.
    pub id: String,
    /// By the clock of whoever made it, in milliseconds since 1970.
    pub finished_at: i64,
    /// Of all its chunks.
    pub bytes: u64,
}

/// A quota, in the text of the routers' settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitRecord {
    /// Whose; everybody's where it is empty.
    pub role: String,
    /// For what; for everything where it is empty.
    pub routes: String,
    /// Of which venue, for all callers together; of none where it is empty.
    pub venue: String,
    /// How much.
    pub quota: String,
}

/// A token as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenGrant {
    /// Never used before.
    pub name: String,
    /// Number of the role.
    pub role: u8,
    /// Ids of the venues that it is bound to; all venues where there is none.
    pub venues: Vec<String>,
    /// SHA-256 of its secret.
    pub digest: [u8; 32],
    /// Name of the token that asks for it.
    pub by: String,
    /// The proposer's time of day, in milliseconds since 1970.
    pub at: i64,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Id, from its configuration.
    pub id: u32,
    /// `http://host:port` for peers and routers.
    pub grpc: String,
    /// `http://host:port` for people and Prometheus.
    pub admin: String,
    /// Of the binary.
    pub version: String,
}

/// Layout byte before the command.
const LAYOUT: u8 = 1;

/// Why an entry is not a command.
#[derive(Debug, thiserror::Error)]
pub enum MetaDecodeError {
    /// Written by a version that this one does not know.
    #[error("meta entry of layout {0:?}; this binary knows layout {LAYOUT}: upgrade it")]
    Layout(Option<u8>),
    /// Damaged, or a command of a newer version.
    #[error("meta entry, damaged or of a newer binary than this one: {0}; start a newer one where the others run it")]
    Body(#[from] postcard::Error),
}

impl MetaCommand {
    /// As bytes for the log.
    ///
    /// # Errors
    /// Only by a defect of the types.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut bytes = vec![LAYOUT];
        bytes.extend(postcard::to_stdvec(self)?);
        Ok(bytes)
    }

    /// The cluster's version from which on this may stand in the log. One of its kind is proposed when that is reached, and
    /// refused before; a new one gets a line here.
    #[must_use]
    pub const fn needs(&self) -> u32 {
        match self {
            Self::Bootstrap { .. }
            | Self::RegisterNode(_)
            | Self::AssignVenues { .. }
            | Self::CreateToken(_)
            | Self::RevokeToken { .. }
            | Self::AssignVenuesOf { .. }
            | Self::CreateTokenOf { .. }
            | Self::SetLimits { .. } => BEFORE,
            Self::RecordBackup(_) | Self::RemoveNode { .. } | Self::AddNode { .. } => CLUSTER_VERSION,
            // What raises it cannot wait for it: whoever proposes it has asked every node.
            Self::RaiseVersion { .. } => BEFORE,
        }
    }

    /// From the log.
    ///
    /// # Errors
    /// Where the bytes are no command.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaDecodeError> {
        match bytes.split_first() {
            Some((&LAYOUT, rest)) => Ok(postcard::from_bytes(rest)?),
            other => Err(MetaDecodeError::Layout(other.map(|(layout, _)| *layout))),
        }
    }
}
