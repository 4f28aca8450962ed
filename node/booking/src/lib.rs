//! The rules of booking: pure and deterministic. No clock, no I/O, no async, no randomness.
//!
//! A node hands log entries to [`inventory::Inventory::apply`], over the rows of one shard, and gets replies and row
//! changes. A router reads the catalogue's file with [`catalogue`], makes [`command::Command`]s and [`query::Query`]s,
//! and speaks [`codec`] with the node. What is stored, where and why: `keys`, `state`.
//!
//! Three kinds of modules:
//! - the language: [`command`], [`outcome`], [`query`], [`catalogue`], [`ids`], [`time`], [`money`], [`claim`], and [`codec`];
//! - the rules: [`inventory`], `commands`, `pools`, [`idempotency`], `ledger`, `outbox`, [`queries`], [`live`], over [`rows`];
//! - what proposers and importers work out before anything enters the log: validation, slot plans.
//!
//! Apply opens no table that comes with a library (time zones, currencies, Unicode): replicas may run different ones.

pub mod admission;
pub mod audit_log;
pub mod calendar;
pub mod catalogue;
pub mod claim;
pub mod codec;
pub mod command;
mod commands;
pub mod idempotency;
pub mod ids;
pub mod invariants;
pub mod inventory;
mod keys;
pub mod ledger;
pub mod live;
pub mod money;
mod mutant;
mod outbox;
pub mod outcome;
mod pools;
pub mod queries;
pub mod query;
mod reference;
pub mod rows;
mod state;
pub mod ticket_key;
pub mod time;
mod views;

#[cfg(test)]
mod tests;
