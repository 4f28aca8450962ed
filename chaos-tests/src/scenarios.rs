//! What is broken, in which order, and what came of it: the runs on real processes behind `rotunda-chaos run`.
//!
//! A [`Scenario`] has a name and a cycle, a short schedule of faults in [`cycles`]; `--times` repeats the cycle within one
//! run. [`random`] draws overlapping faults from a seed instead. All stand on a [`stage`]: a cluster that sells, with
//! visitors who note what they are told. A run ([`run`]) goes so: found the cluster, sell, break, mend everything, see that
//! every shard serves ([`heal`], I12), let the replicas come to agree, read what each of them holds, ask the invariants.
//!
//! - [`fault`]: what can be broken; [`nemesis`] breaks and mends it and sees whether it was felt; [`damage`] and [`storm`]
//!   are two of its arms.
//! - [`notes`]: the history, written while it happens.
//! - [`failover`]: how long it took, in words and as a picture.
//! - [`attach`]: visitors and checks for a cluster that somebody else runs and breaks.

pub mod attach;
mod cycles;
pub mod damage;
pub mod failover;
pub mod fault;
mod heal;
pub mod nemesis;
pub mod notes;
pub mod random;
pub mod run;
mod stage;
mod storm;

use std::fmt;

use crate::lab::capabilities::Need;

/// A run by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`about` says what each does")]
pub enum Scenario {
    LeaderKilled,
    AllKilled,
    RollingRestart,
    MinorityPartitioned,
    BridgePartition,
    OneWayPartition,
    FlakyLinks,
    SlowFollower,
    PausedLeader,
    PowerLoss,
    DiskFull,
    FsyncError,
    DamagedWal,
    DamagedSst,
    DamagedSnapshot,
    ClockJump,
    RouterKilled,
    RetryStorm,
    Random,
}

/// All of them.
pub const ALL: [Scenario; 19] = [
    Scenario::LeaderKilled,
    Scenario::AllKilled,
    Scenario::RollingRestart,
    Scenario::MinorityPartitioned,
    Scenario::BridgePartition,
    Scenario::OneWayPartition,
    Scenario::FlakyLinks,
    Scenario::SlowFollower,
    Scenario::PausedLeader,
    Scenario::PowerLoss,
    Scenario::DiskFull,
    Scenario::FsyncError,
    Scenario::DamagedWal,
    Scenario::DamagedSst,
    Scenario::DamagedSnapshot,
    Scenario::ClockJump,
    Scenario::RouterKilled,
    Scenario::RetryStorm,
    Scenario::Random,
];

impl Scenario {
    /// As it is asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scenario::LeaderKilled => "leader-killed",
            Scenario::AllKilled => "all-killed",
            Scenario::RollingRestart => "rolling-restart",
            Scenario::MinorityPartitioned => "minority-partitioned",
            Scenario::BridgePartition => "bridge-partition",
            Scenario::OneWayPartition => "one-way-partition",
            Scenario::FlakyLinks => "flaky-links",
            Scenario::SlowFollower => "slow-follower",
            Scenario::PausedLeader => "paused-leader",
            Scenario::PowerLoss => "power-loss",
            Scenario::DiskFull => "disk-full",
            Scenario::FsyncError => "fsync-error",
            Scenario::DamagedWal => "damaged-wal",
            Scenario::DamagedSst => "damaged-sst",
            Scenario::DamagedSnapshot => "damaged-snapshot",
            Scenario::ClockJump => "clock-jump",
            Scenario::RouterKilled => "router-killed",
            Scenario::RetryStorm => "retry-storm",
            Scenario::Random => "random",
        }
    }

    /// What one cycle of it does, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Scenario::LeaderKilled => {
                "the leader of the busiest shard is killed; times to the next booking are measured"
            }
            Scenario::AllKilled => "every node is killed at once",
            Scenario::RollingRestart => "each node in turn is asked to end, and started again",
            Scenario::MinorityPartitioned => {
                "a leader, then a follower, is cut off from the majority; every other time from the router too"
            }
            Scenario::BridgePartition => "two nodes do not hear each other, the others hear both",
            Scenario::OneWayPartition => "what a leader sends is lost; the next time, what is sent to it",
            Scenario::FlakyLinks => {
                "packets between all nodes are lost, one link is late, one carries nothing, one is narrow"
            }
            Scenario::SlowFollower => {
                "a follower's syncs take 200 ms longer, then it is paused; the writes' p99 is measured"
            }
            Scenario::PausedLeader => "the leader is stopped for seconds and wakes up believing that it leads",
            Scenario::PowerLoss => "every node loses power at once; what was not synced is gone",
            Scenario::DiskFull => "the leader's disk has no room; it ends, and ends again when started so",
            Scenario::FsyncError => "a sync of the leader's log fails, then one of a follower's mark; each node ends",
            Scenario::DamagedWal => "a bit of a stopped node's log is flipped: it must refuse to start or mend itself",
            Scenario::DamagedSst => "the same in a table of its rows",
            Scenario::DamagedSnapshot => {
                "the same in the rows that a snapshot from a peer brought (takes a minute: logs are purged first)"
            }
            Scenario::ClockJump => "the leader's wall clock jumps three hours ahead, then back",
            Scenario::RouterKilled => "the router is killed under load",
            Scenario::RetryStorm => {
                "requests are sent twelvefold at once, and one caller far above the limit, while the leader is killed"
            }
            Scenario::Random => "overlapping faults of every kind but damage, drawn from the seed, for --for minutes",
        }
    }

    /// The scenario of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// What the machine must permit for it. Without, it is not run.
    #[must_use]
    pub fn needs(self) -> &'static [Need] {
        match self {
            Scenario::MinorityPartitioned
            | Scenario::BridgePartition
            | Scenario::OneWayPartition
            | Scenario::FlakyLinks => &[Need::Network],
            Scenario::PowerLoss | Scenario::DiskFull => &[Need::Volumes],
            Scenario::SlowFollower | Scenario::FsyncError | Scenario::ClockJump => &[Need::Preload],
            _ => &[],
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
