//! I9: every slot is linearizable. Two checkers that share no code:
//!
//! - [`witness`] takes the log's order as the witness and proves that it is one: each answer is what the plain rules give
//!   at its index, and the order agrees with real time. Linear; a million operations take seconds.
//! - [`search`] ignores indexes and logs' order and looks for any order that explains what callers saw, slot by slot. It
//!   finds what a log that lies about itself would hide, and says `undecided` where it gives up.

pub mod search;
pub mod witness;
