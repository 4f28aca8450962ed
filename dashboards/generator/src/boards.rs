//! What is on the eight dashboards, a file each. `recorded` has the series that recording rules make, which they share.

mod balance;
mod integrations;
mod kpis;
mod on_sale;
mod processes;
mod raft;
mod recorded;
mod router;
mod storage;

use crate::board::Board;

/// All of them.
#[must_use]
pub fn all() -> Vec<Board> {
    vec![
        kpis::board(),
        on_sale::board(),
        router::board(),
        raft::board(),
        storage::board(),
        balance::board(),
        processes::board(),
        integrations::board(),
    ]
}
