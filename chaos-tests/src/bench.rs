//! How fast places are sold, and how long one waits: what `rotunda-bench` stands on.
//!
//! | module | what |
//! |---|---|
//! | [`market`] | what is sold: one slot that everybody wants, the whole network, a family of slots that sells out |
//! | [`door`] | how it is bought: HTTP through the router, or commands straight to the nodes |
//! | [`shopper`] | what one client does, step after step: the workloads |
//! | [`onsale`] | how visitors arrive when a sale begins |
//! | [`load`] | how many at once or at which times; from when on it counts |
//! | [`samples`] | what was measured: latencies and counts, over the whole and by the second |
//! | [`cpu`] | processor time of each process |
//! | [`look`] | visitors who only look, at the router and at nginx |
//! | [`streams`] | onlookers with event streams, thousands on one router while places are sold |
//! | [`peers`] | PostgreSQL, Redis and etcd, in the same run on the same machine |
//! | [`audit`] | whether what was acknowledged is there, and nothing was sold twice |
//! | [`run`] | one run from beginning to end |
//! | [`goals`] | the goals for speed, S1 to S9, and whether they are met |
//! | [`report`], [`page`] | all of it as a table, as JSON and as a page |
//!
//! A client that waits for its answer before it asks again (closed loop) hides the waits of those who would have come
//! meanwhile. So closed loops are reported with the correction for coordinated omission beside what was measured, and
//! open loops (`--rate`, `onsale`) measure from the moment that a request was due.

pub mod audit;
pub mod cpu;
pub mod door;
pub mod goals;
pub mod load;
pub mod look;
pub mod market;
pub mod onsale;
pub mod page;
pub mod peers;
pub mod report;
pub mod run;
pub mod samples;
pub mod shopper;
pub mod strangers;
pub mod streams;
