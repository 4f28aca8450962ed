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
//! - [`lab`]: hosts, links and disks of a run's own, where the machine permits them.
//! - [`scenarios`]: what is broken, in which order, and what came of it: `rotunda-chaos run`.
//! - [`mod@bench`]: how fast it all is: `rotunda-bench`.
//! - [`report`]: what a passing test still prints.
//! - `mutants` (with the feature of that name): bugs seeded in the product, for `rotunda-chaos mutants` to find.
//! - [`audit`]: reads the logs of all replicas, joins them with the history of the visitors and asks the invariants.
//!
//! The end-to-end tests under `tests/` are its users. They drive the binaries that `cargo build --workspace` makes, so
//! what is tested is what runs.

// A harness: where it cannot go on, the test that uses it has failed, and a panic with the reason is what a test wants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test harness fails by panicking with the reason"
)]

pub mod audit;
pub mod balancer;
pub mod bench;
pub mod binaries;
pub mod cluster;
mod cores;
pub mod disk;
pub mod faults;
pub mod history;
pub mod invariants;
pub mod lab;
pub mod model_cluster;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod ports;
pub mod process;
pub mod report;
pub mod scenarios;
pub mod selling;
pub mod sim;
pub mod visitor;
pub mod wait;
