//! One server of a Rotunda cluster: hosts replicas of shards and of the meta group, and serves routers and peers.
//!
//! Read [`node`] for how a node is put together, [`group`] for one running Raft group, [`shards`] for the way of a
//! command from its stream into the log, [`meta`] for how the cluster knows itself. The rules of booking are not here but
//! in `rotunda-booking`; the log and the state are `rotunda-raft-storage`'s.

pub mod admin_http;
pub mod audit;
pub mod budget;
pub mod calendar;
pub mod clock;
pub mod config;
pub mod expiry;
pub mod group;
pub mod grpc;
pub mod joining;
pub mod leaderships;
pub mod meta;
pub mod metrics;
mod mutant;
pub mod node;
mod overview;
pub mod raft;
pub mod server;
pub mod shards;
pub mod vital;
