//! The seeded bugs: what each breaks, who had such a one, where it is, and which simulation brings it out. The bugs themselves
//! stand in the product, each behind a `mutant!(Name)` at its place; `rotunda-chaos mutants` hunts them one by one.
//!
//! Only in builds with the feature `mutants`.

pub use rotunda_mutant::{Mutant, is_on, switch_on};

use crate::sim::faults::Class;

/// A bug and how it is hunted.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    /// Which.
    pub mutant: Mutant,
    /// What it does, in a few words.
    pub breaks: &'static str,
    /// Who had such a bug, or who warns of it.
    pub source: &'static str,
    /// The file that it is in.
    pub place: &'static str,
    /// The faults under which it shows.
    pub faults: &'static [Class],
    /// Simulated minutes in which they come.
    pub minutes: u64,
}

const CRASHES: &[Class] = &[Class::Kill, Class::KillAll, Class::PowerLoss, Class::PowerLossAll];
const POWER: &[Class] = &[Class::PowerLoss, Class::PowerLossAll];
const SLOW_POWER: &[Class] = &[Class::SlowSync, Class::PowerLossAll, Class::PowerLoss];
const CUTS: &[Class] = &[Class::Partition, Class::OneWay, Class::Bridge, Class::Pause];
const AWAY: &[Class] = &[Class::Kill, Class::Partition, Class::PowerLoss, Class::Pause];
const CLOCKS: &[Class] = &[Class::ClockJump, Class::Kill];
const RETRIES: &[Class] = &[Class::Kill, Class::Reset, Class::Flaky, Class::Pause];

const ETCD_CONSUL: &str = "etcd and Consul answered reads from a leader that had been deposed (Jepsen, 2014)";
const DISSERTATION: &str = "the Raft dissertation warns of it";

/// All of them, in the order of [`Mutant::ALL`].
pub const SEEDED: &[Seeded] = &[
    Seeded {
        mutant: Mutant::VoteNotSaved,
        breaks: "a vote is acknowledged from memory, and cast again after a restart",
        source: "Raft, figure 2: `votedFor` is on stable storage before the reply",
        place: "raft-storage/src/log_writer.rs",
        faults: CRASHES,
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::AppendNotSynced,
        breaks: "entries are acknowledged without an fsync",
        source: "Elasticsearch before 2.0: the translog was synced every 5 s",
        place: "raft-storage/src/log_writer.rs",
        faults: POWER,
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::AppendToldBeforeSync,
        breaks: "the append's callback runs before its fsync is done",
        source: "storage traits with a completion callback, openraft's among them, warn of it",
        place: "raft-storage/src/log_writer.rs",
        faults: SLOW_POWER,
        minutes: 3,
    },
    Seeded {
        mutant: Mutant::PurgeBeyondDurable,
        breaks: "the log is purged up to what is applied, though the rows are in memory",
        source: "the contract of every state machine without a WAL",
        place: "raft-storage/src/log_store.rs",
        faults: CRASHES,
        minutes: 4,
    },
    Seeded {
        mutant: Mutant::AppliedIdApart,
        breaks: "the applied id is written apart from its rows",
        source: "etcd 3.5.0 to 3.5.2: the consistent index ran ahead of the data (2022)",
        place: "raft-storage/src/state_machine.rs",
        faults: CRASHES,
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::SnapshotLacksRows,
        breaks: "a snapshot leaves rows out, and counts and sums what is left",
        source: DISSERTATION,
        place: "raft-storage/src/snapshot.rs",
        faults: AWAY,
        minutes: 6,
    },
    Seeded {
        mutant: Mutant::SnapshotClaimsMore,
        breaks: "a snapshot names the index after its last",
        source: DISSERTATION,
        place: "raft-storage/src/state_machine.rs",
        faults: AWAY,
        minutes: 4,
    },
    Seeded {
        mutant: Mutant::AckedOnArrival,
        breaks: "a follower acknowledges entries when they arrive, before it has looked at them",
        source: "Raft, figure 2: the reply follows the consistency check and the append",
        place: "node/src/raft.rs",
        faults: &[Class::Partition, Class::OneWay, Class::Kill, Class::Pause],
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::LeaderRestored,
        breaks: "a restarted leader goes on in its term though its log is shorter now",
        source: "openraft's `enable_leader_restore`, unsafe where entries are sent before they are synced",
        place: "node/src/raft.rs",
        faults: SLOW_POWER,
        minutes: 5,
    },
    Seeded {
        mutant: Mutant::ReadWithoutQuorum,
        breaks: "a leader answers reads without asking whether it still leads",
        source: ETCD_CONSUL,
        place: "node/src/shards/reads.rs",
        faults: CUTS,
        minutes: 3,
    },
    Seeded {
        mutant: Mutant::FollowerRead,
        breaks: "a follower answers reads from what it has applied",
        source: "RedisRaft's stale reads (Jepsen, 2020); ZooKeeper's by design",
        place: "node/src/shards/reads.rs",
        faults: CUTS,
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::LocalClockInApply,
        breaks: "each replica applies an entry at its own time",
        source: "MySQL's SYSDATE() in statement-based replication",
        place: "node/src/raft/machine.rs",
        faults: CLOCKS,
        minutes: 1,
    },
    Seeded {
        mutant: Mutant::ReadExpiresByOwnClock,
        breaks: "a read shows a hold as expired by the machine's clock",
        source: "Redis before 3.2: a replica went on showing what had expired on its master",
        place: "node/src/shards/shard.rs",
        faults: &[Class::ClockJump],
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::UnknownToldAsRefused,
        breaks: "\"leadership was lost\" is told as \"nothing was done\"",
        source: "time-outs reported as failures, a recurring finding of Jepsen",
        place: "node/src/shards/batcher.rs",
        faults: &[Class::Kill, Class::Partition, Class::Pause],
        minutes: 5,
    },
    Seeded {
        mutant: Mutant::RetryUnderNewKey,
        breaks: "the client library repeats a command under another key",
        source: "TiDB 2.1: the automatic retry of transactions (Jepsen, 2019)",
        place: "node/protocol/src/client/submit.rs",
        faults: RETRIES,
        minutes: 1,
    },
    Seeded {
        mutant: Mutant::KeysForgottenAtLoad,
        breaks: "the idempotency table is not part of what a start or a snapshot restores",
        source: "the Raft dissertation, 6.3: sessions belong into the snapshot",
        place: "node/booking/src/inventory.rs",
        faults: CRASHES,
        minutes: 2,
    },
    Seeded {
        mutant: Mutant::OtherBodySameKey,
        breaks: "another request under a used key is answered with the first one's reply",
        source: "the IETF draft on Idempotency-Key asks for a refusal",
        place: "node/booking/src/commands.rs",
        faults: RETRIES,
        minutes: 1,
    },
    Seeded {
        mutant: Mutant::RefusalForgotten,
        breaks: "a refusal is decided anew when it is asked for again",
        source: "an idempotency table of successes only",
        place: "node/booking/src/commands.rs",
        faults: RETRIES,
        minutes: 1,
    },
    Seeded {
        mutant: Mutant::ReplayShowsNow,
        breaks: "a replayed hold is answered with what has become of it",
        source: "an idempotency table without answers",
        place: "node/booking/src/commands.rs",
        faults: RETRIES,
        minutes: 1,
    },
    Seeded {
        mutant: Mutant::ConfirmAfterExpiry,
        breaks: "an expired hold is confirmed, its places sold to others already",
        source: "a check of the state left out",
        place: "node/booking/src/commands/confirm.rs",
        faults: RETRIES,
        minutes: 3,
    },
    Seeded {
        mutant: Mutant::ReleaseAfterExpiry,
        breaks: "an expired hold is released: its capacity comes back twice",
        source: "a check of the state left out",
        place: "node/booking/src/commands/release.rs",
        faults: RETRIES,
        minutes: 3,
    },
    Seeded {
        mutant: Mutant::ExpiryKeepsPlaces,
        breaks: "an expiry gives no capacity back",
        source: "a leak",
        place: "node/booking/src/commands/expire.rs",
        faults: RETRIES,
        minutes: 3,
    },
    Seeded {
        mutant: Mutant::FamilyCountsAsOne,
        breaks: "a ticket for a family of four takes one place",
        source: "counting lines for persons",
        place: "node/booking/src/commands/hold.rs",
        faults: RETRIES,
        minutes: 1,
    },
    Seeded {
        mutant: Mutant::OneTooMany,
        breaks: "a slot is sold one place above its capacity",
        source: "off by one",
        place: "node/booking/src/state/slot.rs",
        faults: RETRIES,
        minutes: 2,
    },
];

/// Nodes of every hunt.
pub const NODES: u32 = 3;

/// Shards of every hunt.
pub const SHARDS: u64 = 3;
