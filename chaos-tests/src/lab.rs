//! What a run on real processes stands on: what this machine can do, and the hosts, links and disks made of it.
//!
//! - [`capabilities`]: probed at the start; what is missing is said, with what to install.
//! - [`network`]: a namespace a host, a switch between them, rules that cut, lose and narrow.
//! - [`proxy`]: a link that is late, or takes everything and gives nothing. There need be no netem for it.
//! - [`volume`]: a disk of a node's own that loses power and fills up.
//! - [`tag`]: the name under which all of it is made; [`leftovers`] finds by it what a killed run left behind.
//! - [`tools`]: other programs, asked to do something once.
//!
//! All of it is taken away when it is dropped: at the end, by a panic, by ctrl-C. Processes are [`crate::process`]'s,
//! faults inside a process [`crate::faults`]'; [`crate::cluster`] puts nodes and router on top.

pub mod capabilities;
pub mod leftovers;
pub mod network;
pub mod proxy;
pub mod tag;
pub mod tools;
pub mod volume;
