//! What can be broken. A [`Fault`] says what and where; [`super::nemesis`] does it and mends it.

use std::fmt;
use std::time::Duration;

use super::damage::Part;
use crate::lab::capabilities::Need;
use crate::lab::network::Host;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node's process is killed, and started again at the end.
    Kill(u32),
    /// Every node's.
    KillAll,
    /// A node is asked to end, and started again.
    Restart(u32),
    /// A node's process is stopped, and goes on at the end.
    Pause(u32),
    /// The router's process is killed, and started again.
    KillRouter,
    /// Two groups of hosts do not hear each other.
    Partition(Vec<Host>, Vec<Host>),
    /// Two nodes do not hear each other; the others hear both.
    Bridge(u32, u32),
    /// What one node sends does not reach the others.
    Mute(u32),
    /// What the others send does not reach one node.
    Deaf(u32),
    /// So many in a hundred packets between nodes are lost.
    Lossy(u32),
    /// What one node sends another is late by so many milliseconds, and up to twice as many.
    Late(u32, u32, u32),
    /// Connections of one node to another open and carry nothing.
    HalfOpen(u32, u32),
    /// A node sends no more than so many kilobits a second.
    Narrow(u32, u32),
    /// Nodes lose power at the same moment: what was not synced is gone.
    PowerLoss(Vec<u32>),
    /// A node's disk has no room.
    DiskFull(u32),
    /// The next sync of a file of a node whose name ends so fails, and what it was for is gone.
    FailedSync(u32, &'static str),
    /// Every sync of a node takes longer.
    SlowSync(u32, Duration),
    /// A node's wall clock is off by so many milliseconds.
    ClockJump(u32, i64),
    /// A byte of a node's data is another, found at its next start.
    Damage(u32, Part),
    /// Many send the same request at once, and somebody asks far too often.
    Storm,
}

impl Fault {
    /// Its class, as it stands in histories.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill",
            Fault::KillAll => "kill-all",
            Fault::Restart(_) => "restart",
            Fault::Pause(_) => "pause",
            Fault::KillRouter => "kill-router",
            Fault::Partition(..) => "partition",
            Fault::Bridge(..) => "bridge",
            Fault::Mute(_) => "one-way-out",
            Fault::Deaf(_) => "one-way-in",
            Fault::Lossy(_) => "lossy",
            Fault::Late(..) => "late",
            Fault::HalfOpen(..) => "half-open",
            Fault::Narrow(..) => "narrow",
            Fault::PowerLoss(nodes) if nodes.len() == 1 => "power-loss",
            Fault::PowerLoss(_) => "power-loss-all",
            Fault::DiskFull(_) => "disk-full",
            Fault::FailedSync(..) => "failed-sync",
            Fault::SlowSync(..) => "slow-sync",
            Fault::ClockJump(..) => "clock-jump",
            Fault::Damage(_, part) => part.class(),
            Fault::Storm => "retry-storm",
        }
    }

    /// What the machine must permit for it.
    #[must_use]
    pub fn need(&self) -> Option<Need> {
        match self {
            Fault::Partition(..)
            | Fault::Bridge(..)
            | Fault::Mute(_)
            | Fault::Deaf(_)
            | Fault::Lossy(_)
            | Fault::Late(..)
            | Fault::HalfOpen(..)
            | Fault::Narrow(..) => Some(Need::Network),
            Fault::PowerLoss(_) | Fault::DiskFull(_) => Some(Need::Volumes),
            Fault::FailedSync(..) | Fault::SlowSync(..) | Fault::ClockJump(..) => Some(Need::Preload),
            _ => None,
        }
    }

    /// What it is done to.
    #[must_use]
    pub fn target(&self) -> String {
        let list = |hosts: &[Host]| hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Fault::KillAll => "all nodes".to_owned(),
            Fault::KillRouter => "router".to_owned(),
            Fault::Storm => "visitors".to_owned(),
            Fault::Lossy(percent) => format!("all links, {percent} %"),
            Fault::Partition(one, other) => format!("{} | {}", list(one), list(other)),
            Fault::Bridge(one, other) => format!("node {one} | node {other}"),
            Fault::Late(from, to, ms) => format!("node {from} to node {to}, {ms} ms"),
            Fault::HalfOpen(from, to) => format!("node {from} to node {to}"),
            Fault::Narrow(node, kilobits) => format!("node {node}, {kilobits} kbit/s"),
            Fault::PowerLoss(nodes) => {
                let hosts: Vec<Host> = nodes.iter().copied().map(Host::Node).collect();
                list(&hosts)
            }
            Fault::FailedSync(node, file) => format!("node {node}, {file}"),
            Fault::SlowSync(node, by) => format!("node {node}, {} ms", by.as_millis()),
            Fault::ClockJump(node, ms) => format!("node {node}, {} s", ms / 1_000),
            Fault::Kill(node)
            | Fault::Restart(node)
            | Fault::Pause(node)
            | Fault::Mute(node)
            | Fault::Deaf(node)
            | Fault::DiskFull(node)
            | Fault::Damage(node, _) => format!("node {node}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.class(), self.target())
    }
}
