//! The meta group: which nodes there are, which venue belongs to which shard, which replicas make a shard, who holds a token,
//! which quotas hold for all routers, which formats may be written.
//!
//! A Raft group like any other (group 0), with [`machine::MetaMachine`] in place of bookings. Its state is the shard map;
//! routers and nodes keep copies by `WatchMap`. Who proposes: the node that leads the group, in [`controller`].

pub mod command;
pub mod controller;
pub mod limits;
pub mod machine;
pub mod map;
pub mod members;
pub mod moved;
pub mod networks;
pub mod survey;
pub mod tokens;
pub mod version;

use rotunda_raft_storage::GroupId;

/// The meta group's id. Shards count from 1.
pub const META_GROUP: GroupId = GroupId(0);
