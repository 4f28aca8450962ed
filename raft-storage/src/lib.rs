//! The logs and the states of many Raft groups, in two RocksDB databases per node. This crate knows openraft and RocksDB and
//! nothing of bookings: what a group decides about is a [`Machine`] that the node hands in.
//!
//! - **raftdb** holds the logs, votes and descriptors of all groups. One thread writes it: everything that is queued over all
//!   groups becomes one synced write (`log_writer`). What was acknowledged survives a loss of power.
//! - **statedb** holds the rows. Each applied entry is one write without a WAL (`state_machine`); after a crash the log is
//!   replayed from the applied id that is found. [`Checkpoint`] flushes it and then lets the log shrink, in that order.
//!
//! A start verifies every log against its checksums and the high-water mark (`recovery`, `mark`), and refuses what is damaged.
//! The node calls [`Store::open`], then [`Store::open_group`] for each replica, and hands the parts to `openraft::Raft::new`.
//!
//! Left out: when to checkpoint, whom to send a snapshot, and what a replica's death means. Those are the node's.

pub mod at_rest;
mod blocking;
mod checkpoint;
mod db;
mod descriptor;
mod engine;
mod entry_cache;
mod error;
mod failpoint;
mod fatal;
mod format;
mod keys;
mod log_store;
mod log_writer;
mod machine;
mod mark;
pub mod memory;
mod metrics;
mod mutant;
mod record;
mod recovery;
#[cfg(any(test, feature = "sim"))]
mod runtime;
pub mod scope;
mod seed;
mod snapshot;
mod state;
mod state_machine;
mod store;
#[cfg(test)]
mod tests;
mod types;

pub use blocking::Blocking;
pub use checkpoint::{Checkpoint, Checkpointed, KEEP_LOG_UNTIL_CHECKPOINT};
#[cfg(any(test, feature = "sim"))]
pub use engine::sim;
pub use engine::{Engine, EngineError};
pub use error::{FatalHook, MachineError, OpenError, ReadError, abort_on_fatal};
pub use format::{FORMATS, ROW_FORMAT};
pub use log_store::{LogReader, LogStore};
pub use machine::Machine;
pub use metrics::describe_metrics;
pub use record::ReplicaDescriptor;
#[cfg(any(test, feature = "sim"))]
pub use runtime::{Random, SeededRuntime, seed_this_thread};
pub use seed::Seed;
pub use snapshot::{CHUNK_BYTES, SnapshotCheck, SnapshotData, SnapshotReceiver, SnapshotWriter, chunks_of_rows};
pub use state::{RowVisitor, StateReader, StateTxn, StateView};
pub use state_machine::{AppliedHook, SnapshotBuilder, StateMachine};
pub use store::{Group, Identity, Store, StoreConfig};
pub use types::{
    Entry, GroupId, LogId, Payload, ReplicaNode, ReplyBytes, SnapshotMeta, StoredMembership, TypeConfig, Vote,
};
