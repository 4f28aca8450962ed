//! The rate-limiting HTTP door of a Rotunda cluster.
//!
//! A request passes the layers of [`stack`], becomes one `booking::Command` or `Query` in [`api`], and goes through a
//! [`backend::Backend`] (the cluster client in production, an inventory in the same process in tests) to the node that
//! leads its venue's shard. Routers keep no state that matters: any number of them may stand side by side, and a client
//! may send its retry to another one.
//!
//! Only [`api`] knows JSON; nothing here knows Raft, and the rules of booking are `rotunda-booking`'s alone.

mod accept;
pub mod access;
pub mod admin_http;
pub mod api;
pub mod auth;
pub mod backend;
pub mod catalogue_cache;
pub mod claim_keys;
pub mod config;
mod folded_text;
mod header_timer;
pub mod http2;
pub mod idempotency;
pub mod live;
pub mod metrics;
mod overview;
mod places;
pub mod prober;
pub mod rate_limit;
pub mod request_body;
pub mod server;
pub mod stack;
pub mod ticket_key_cache;
pub mod trace;
mod venue_clock;
mod write_deadline;
