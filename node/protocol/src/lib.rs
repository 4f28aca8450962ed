//! What router and nodes agree on: the wire format, the shard map, and the client that finds a shard's leader.
//!
//! - [`proto`]: what prost and tonic make of `proto/*.proto`. Of other crates only `node` looks at it.
//! - [`frame`]: the fixed-layout records inside `CommandFrame` and `ReplyFrame`; many commands travel in one message.
//! - [`shard_map`]: which venue is in which shard, which shard has replicas where; as a domain type.
//! - [`rejection`]: why a node did not take a call, and with it what the caller should do.
//! - [`client`]: the cluster client: venue -> shard -> leader, retries under the same command, a deadline.
//! - [`ledger`]: the lines of a venue's ledger and their chain, for whoever checks them from outside.
//! - [`version`]: which formats a binary reads, and which the cluster writes.
//! - [`trace_context`]: which trace a call belongs to.
//! - [`alarm`]: timers that outlive the call that they were set for.
//!
//! What a command means is `rotunda-booking`'s; its bytes pass through here unread. HTTP is the router's.

pub mod alarm;
pub mod client;
pub mod convert;
pub mod dial;
pub mod error;
pub mod frame;
pub mod ledger;
pub mod limits;
pub mod proto;
pub mod rejection;
pub mod shard_map;
pub mod token;
pub mod trace_context;
pub mod version;

/// Largest gRPC message that either side takes, in bytes. tonic's own limit of 4 MiB is too low for a frame of
/// commands behind a large import; both sides set this one for decoding and for encoding.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// How often an HTTP/2 ping asks whether the other side still lives: a paused process keeps its sockets open,
/// so only silence tells.
pub const KEEP_ALIVE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a ping may go unanswered before the connection counts as dead.
pub const KEEP_ALIVE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
