//! The ledger of a venue, for whoever checks it from outside: its lines, and the digest that chains them. The rules are
//! `rotunda-booking`'s; the operator's command, which depends on this crate alone, recomputes the chain with the same code.

pub use rotunda_booking::command::Channel;
pub use rotunda_booking::ledger::{Account, LedgerItem, LedgerLine, Posting, Reason, chain};
pub use rotunda_booking::time::Timestamp;
