//! The rules of booking: pure and deterministic. No clock, no I/O, no async, no randomness.
//!
//! [`inventory::Inventory::apply`] takes rows and an entry and gives outcomes and row changes.

pub mod catalogue;
pub mod codec;
pub mod command;
pub mod ids;
pub mod inventory;
pub mod money;
pub mod outcome;
pub mod queries;
pub mod query;
pub mod rows;
pub mod time;
