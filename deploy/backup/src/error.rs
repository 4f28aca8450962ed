//! Why there is no backup, or none that can be used; each with what to do about it.

use rotunda_protocol::client::ClientError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The text names no place.
    #[error("{place:?} is no place for backups: {why}. Expected a directory, or s3://BUCKET/PREFIX")]
    NoPlace {
        /// As it was given.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The place does not do what it is asked to.
    #[error("{doing} in {place}: {source}")]
    Place {
        /// Which one.
        place: String,
        /// What was tried.
        doing: String,
        /// What it said.
        source: Box<object_store::Error>,
    },
    /// There is none at all.
    #[error("{place} holds no complete backup")]
    Nothing {
        /// Where.
        place: String,
    },
    /// There is none of this name.
    #[error(
        "{place} holds no backup {id:?}: it was never made there, or was broken off before its manifest was written"
    )]
    NoManifest {
        /// Where.
        place: String,
        /// Which one.
        id: String,
    },
    /// The manifest is not what was written.
    #[error("the manifest of {id} is damaged: {why}")]
    Manifest {
        /// Of which backup.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// Made by a version that knows more.
    #[error(
        "the backup {id} has format {found}, and this program reads up to {known}: use the version that made it, {version}"
    )]
    Newer {
        /// Which one.
        id: String,
        /// What it has.
        found: u32,
        /// What is known here.
        known: u32,
        /// The program that made it.
        version: String,
    },
    /// Rows of another format than a node of this version reads.
    #[error(
        "the rows of {id} have format {found}, and nodes of this version read {known}: restore with version {version}"
    )]
    Rows {
        /// Of which backup.
        id: String,
        /// What they have.
        found: u32,
        /// What is known here.
        known: u32,
        /// The node that gave them.
        version: String,
    },
    /// A chunk is not what was written.
    #[error("chunk {chunk} is damaged: {why}")]
    Chunk {
        /// Its name within the backup.
        chunk: String,
        /// What is wrong with it.
        why: String,
    },
    /// All chunks are whole, and the rows are not those of the state that was recorded.
    #[error("the rows of group {group} at index {index} have state hash {found}, and {recorded} was recorded")]
    StateHash {
        /// Which group.
        group: u64,
        /// Where.
        index: u64,
        /// Worked out.
        found: String,
        /// Told by the replica.
        recorded: String,
    },
    /// The cluster does not answer as it must.
    #[error("{doing}: {source}")]
    Cluster {
        /// What was tried.
        doing: String,
        /// What came of it.
        source: ClientError,
    },
    /// No replica gave all rows.
    #[error("no replica of group {group} gave its rows; the last one, on node {node}, said: {why}")]
    Group {
        /// Which group.
        group: u64,
        /// The last that was asked.
        node: u32,
        /// What it said.
        why: String,
    },
    /// Two clusters of one name would take each other's nodes for their own.
    #[error(
        "the backup is of cluster {0:?}: a restored cluster needs another name, so that no node takes it for the old one"
    )]
    SameCluster(String),
    /// What the new cluster is to be makes no sense.
    #[error("{0}")]
    Plan(String),
    /// Somebody's data may be there.
    #[error("{} is not empty: restore into a new directory, or remove what is there if nobody needs it", .0.display())]
    NotEmpty(std::path::PathBuf),
    /// A data directory cannot be written.
    #[error("{}: {why}", .dir.display())]
    Directory {
        /// Which one.
        dir: std::path::PathBuf,
        /// What is wrong.
        why: String,
    },
}
