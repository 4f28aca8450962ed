//! Backups of a whole cluster, made while it sells: every group's rows at a recorded log index, in chunks with checksums, in a
//! directory or in a store that speaks S3.
//!
//! ```text
//! <place>/<backup>/group-3/000000     rows of shard 3, some MiB an object      (`chunk`)
//! <place>/<backup>/group-0/000000     the meta group's
//! <place>/<backup>/manifest.json      last: without it there is no backup      (`manifest`)
//! ```
//!
//! [`create`] copies from followers, [`verify`] reads everything back and works the state hashes out anew, [`restore`] writes
//! the data directories of a new cluster. [`list`] says what there is, [`Place`] where.
//!
//! What is consistent: a group's rows are one state, that of its index, and hold every write that was acknowledged before the
//! backup began. Between shards there is no common moment, and none is needed: a venue lives in one shard, and no command
//! touches two. The meta group is copied last, so that every venue which a shard knows has its number in the directory: numbers
//! are never given twice, by a restored cluster neither. A venue that was first imported while the backup ran may have a number
//! and no catalogue yet: the import is sent again.
//!
//! A backup holds what the cluster does: bookings with the names that visitors gave, digests of tokens, and the secret halves
//! of the keys that tickets are signed with. It is not encrypted here; whoever can read the place can forge tickets.

mod chunk;
mod copy;
mod error;
mod list;
mod manifest;
mod place;
mod progress;
mod read;
mod restore;
#[cfg(test)]
mod tests;
mod verify;

pub use copy::{Created, create};
pub use error::BackupError;
pub use list::{Listed, list, newest};
pub use manifest::{ChunkRecord, GroupRecord, Manifest};
pub use place::Place;
pub use progress::Progress;
pub use restore::{NewCluster, Restored, restore};
pub use rotunda_raft_storage::at_rest::{Keys, KeysError};
pub use verify::{Verified, verify};
