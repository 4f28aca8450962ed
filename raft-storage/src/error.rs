//! What can go wrong, by what the caller should do about it. An [`OpenError`] is for the operator: each variant says what
//! is wrong and how to mend it. A [`ReadError`] or [`MachineError`] stops the group. A failed write has no variant at all:
//! it is reported to the [`FatalHook`], which ends the process, because after a failed fsync nobody knows what is on disk.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::EngineError;
use crate::types::GroupId;

/// Why a data directory cannot be served from.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error(
        "the data directory {} is in use by another process. Stop that process (`fuser {}/raftdb/LOCK` names it), or give \
         this node a directory of its own", .dir.display(), .dir.display()
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory belongs to a node of another cluster.
    #[error(
        "the data directory {} belongs to cluster \"{found}\", but this node is configured for cluster \"{expected}\". \
         Correct the cluster's name, or point the node at an empty directory; nothing was changed", .dir.display()
    )]
    OtherCluster {
        /// The data directory.
        dir: PathBuf,
        /// The cluster in the store's identity.
        found: String,
        /// The cluster in the configuration.
        expected: String,
    },
    /// The directory belongs to another node of this cluster.
    #[error(
        "the data directory {} belongs to node {found}, but this node is configured as node {expected}. Correct the node's \
         number, or point the node at its own directory; nothing was changed", .dir.display()
    )]
    OtherNode {
        /// The data directory.
        dir: PathBuf,
        /// The node in the store's identity.
        found: u32,
        /// The node in the configuration.
        expected: u32,
    },
    /// Written by an earlier version, whose rows this one does not read.
    #[error(
        "the data directory {} was written in format {found} by an earlier version, and this one reads formats from {oldest} \
         on. Start the version that wrote it, or give this one an empty directory; nothing was changed", .dir.display()
    )]
    OlderFormat {
        /// The data directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The oldest format that this version reads.
        oldest: u32,
    },
    /// A newer version has written the directory.
    #[error(
        "the data directory {} was written in format {found}, and this version reads formats up to {supported}: its \
         cluster's version was raised. Start the version that wrote it, or a newer one; nothing was changed", .dir.display()
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// The files are encrypted with a key that was not given.
    #[error(
        "{} cannot be read: {detail}. Give this node its keys (--encryption-keys); nothing was changed", .file.display()
    )]
    Locked {
        /// One of the files.
        file: PathBuf,
        /// Which key it needs.
        detail: String,
    },
    /// Keys are given, and the directory was written without any.
    #[error(
        "{} is not encrypted, and this node has encryption keys. A directory is encrypted from the beginning or not at all: \
         start the node without keys, or give the cluster this node anew with an empty directory; nothing was changed",
        .file.display()
    )]
    NotEncrypted {
        /// One of the files.
        file: PathBuf,
    },
    /// The group's replica here has another id. Taking its log over under a new id could split the brain.
    #[error(
        "group {group} has replica {found} here, and replica {expected} was asked for. Replica ids are never used again: \
         remove replica {found} from the group first, then destroy it"
    )]
    OtherReplica {
        /// The group.
        group: GroupId,
        /// The replica that is on disk.
        found: u64,
        /// The replica that was asked for.
        expected: u64,
    },
    /// What was synced is no longer there, or no longer what was written.
    #[error("the data directory is damaged{}: {detail}. {remedy}", place(*.group, *.index))]
    Damaged {
        /// The group, where the damage can be told to one.
        group: Option<GroupId>,
        /// The log index, where the damage can be told to one.
        index: Option<u64>,
        /// What was found.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The group's machine cannot load its state.
    #[error("the state of group {group} does not load: {source}. {DAMAGE_REMEDY}")]
    Machine {
        /// The group.
        group: GroupId,
        /// What the machine said.
        source: MachineError,
    },
    /// The group is already open.
    #[error("group {group} is already open in this process")]
    AlreadyOpen {
        /// The group.
        group: GroupId,
    },
    /// The file system or RocksDB failed.
    #[error("cannot open {}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What an operator does with a damaged replica.
pub(crate) const DAMAGE_REMEDY: &str = "This node must not vote from it: copy the directory before another start, which would \
     rewrite some of it, and keep the copy for whoever looks into the damage; then move the directory away, remove the node's \
     replicas from their groups, and let them be rebuilt from their peers under new replica ids";

fn place(group: Option<GroupId>, index: Option<u64>) -> String {
    match (group, index) {
        (Some(group), Some(index)) => format!(" (group {group}, entry {index})"),
        (Some(group), None) => format!(" (group {group})"),
        _ => String::new(),
    }
}

/// A row or record cannot be read. The group cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database failed.
    #[error("the store failed: {0}")]
    Store(#[from] EngineError),
    /// A record does not decode, or is not the one that belongs there.
    #[error("damaged record at {place}: {detail}")]
    Damaged {
        /// Which record.
        place: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Store(_) => io::ErrorKind::Other,
            ReadError::Damaged { .. } => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// A machine could not load or apply. Fatal for the group: going on would make replicas differ.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct MachineError {
    message: String,
}

impl MachineError {
    /// With what went wrong, for the log.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl From<ReadError> for MachineError {
    fn from(error: ReadError) -> Self {
        Self::new(error.to_string())
    }
}

/// Called once with the first write that failed. It should not return: every later write fails as well, and nothing that
/// was in flight may be answered. A simulator's hook notes that the node died and of what, takes its disk away, and returns;
/// no lock of the disk is held when it is called, and what the node's tasks still try gets errors.
pub type FatalHook = Arc<dyn Fn(&str) + Send + Sync>;

/// The hook of a server: says what broke, then ends the process at once, so that peers notice and elect.
#[must_use]
pub fn abort_on_fatal() -> FatalHook {
    Arc::new(|what| {
        tracing::error!(what, "a write to the data directory failed; this node stops");
        eprintln!(
            "rotunda: {what}. What is on disk is unknown after a failed write, so this node stops. Check the disk \
             (space, `dmesg`), then start the node again."
        );
        std::process::abort();
    })
}
