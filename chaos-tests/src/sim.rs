//! A whole cluster in one process, on one thread, in simulated time: the nodes' own code and the real client over a
//! network, clocks and disks that are simulated and can fail. Every choice comes from the seed, so what happened once
//! happens again.

pub mod applied;
pub mod chance;
pub mod faults;
pub mod museums;
pub mod net;
pub mod plan;
pub mod run;
pub mod shrink;
pub mod tally;
pub mod visitors;
pub mod world;
