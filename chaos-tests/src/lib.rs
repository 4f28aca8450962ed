//! Breaks clusters of real processes and checks what they promised.
//!
//! - [`cluster`]: starts nodes and routers, kills, pauses and restarts them, cleans up; [`process`] is one of them.
//! - [`wait`]: conditions with a deadline. Nothing here waits for time.
//! - [`visitor`]: a visitor's HTTP, with retries under the same key; [`history`]: what came of each request, in memory
//!   and as lines of JSON.
//! - [`invariants`]: what a history must not show, one file each.
//! - [`model_cluster`]: sound histories from a seed, to try the invariants on.
//! - [`selling`]: many visitors at once, over all venues and one hot slot.
//! - [`faults`] and [`disk`]: failing syncs, clocks that jump, disks that are full, dealt to one node at a time.
//! - [`report`]: what a passing test still prints.
//! - [`audit`]: reads the logs of all replicas, joins them with the history of the visitors and asks the invariants.
//!
//! The end-to-end tests under `tests/` are its users. They drive the binaries that `cargo build --workspace` makes, so
//! what is tested is what runs. Left out for now: cut and slow networks, damaged files under load, and the simulator.

// A harness: where it cannot go on, the test that uses it has failed, and a panic with the reason is what a test wants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test harness fails by panicking with the reason"
)]

pub mod audit;
pub mod binaries;
pub mod cluster;
pub mod disk;
pub mod faults;
pub mod history;
pub mod invariants;
pub mod model_cluster;
pub mod ports;
pub mod process;
pub mod report;
pub mod selling;
pub mod visitor;
pub mod wait;
