//! The node's gRPC doors: visitors' commands and queries, the peers' Raft messages, the cluster's own affairs. Here
//! protobuf becomes domain types; nothing behind these files sees a generated type.

pub mod admin;
pub mod booking;
pub mod raft;
