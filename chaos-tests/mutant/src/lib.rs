//! Bugs that are seeded on purpose, to see that the simulator finds them: which there are, and the switch that turns on one
//! of them for the whole process.
//!
//! The crates that have such bugs depend on this one by their feature `mutants`, which nothing turns on by default: in a
//! build without it `mutant!(Name)` is `false` and this crate is not there. What each bug breaks, who had it and which
//! faults bring it out stands in `chaos-tests/src/mutants.rs`; `rotunda-chaos mutants` hunts them.

use std::sync::atomic::{AtomicUsize, Ordering};

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A seeded bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// All of them, in the order in which they are hunted.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in code and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

mutants! {
    /// A vote is acknowledged and never written.
    VoteNotSaved,
    /// Entries are acknowledged without an fsync.
    AppendNotSynced,
    /// Entries are acknowledged while the fsync is under way.
    AppendToldBeforeSync,
    /// The log is purged up to what is applied, durable or not.
    PurgeBeyondDurable,
    /// The applied id is written before the rows, in a batch of its own.
    AppliedIdApart,
    /// One row in so many is left out of a snapshot.
    SnapshotLacksRows,
    /// A snapshot says that it reaches one entry further than it does.
    SnapshotClaimsMore,
    /// A follower acknowledges entries when they arrive.
    AckedOnArrival,
    /// A restarted leader goes on in its old term.
    LeaderRestored,
    /// A leader answers reads without asking whether it still leads.
    ReadWithoutQuorum,
    /// Whoever is asked answers reads, a follower too.
    FollowerRead,
    /// Apply takes the replica's clock in place of the entry's stamp.
    LocalClockInApply,
    /// A read shows a hold as expired by the replica's clock.
    ReadExpiresByOwnClock,
    /// A command whose fate is unknown is told to have had none.
    UnknownToldAsRefused,
    /// The client's retry draws a new key.
    RetryUnderNewKey,
    /// The keys that were seen are not read again at a start or from a snapshot.
    KeysForgottenAtLoad,
    /// A key is good for any body.
    OtherBodySameKey,
    /// A refusal is not kept under its key.
    RefusalForgotten,
    /// A replay shows the booking as it is now.
    ReplayShowsNow,
    /// An expired hold can be confirmed.
    ConfirmAfterExpiry,
    /// An expired hold can be released, which gives its places back once more.
    ReleaseAfterExpiry,
    /// An expiry gives no places back.
    ExpiryKeepsPlaces,
    /// A unit for several persons takes one place.
    FamilyCountsAsOne,
    /// A slot takes one more than it has places.
    OneTooMany,
}

impl Mutant {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| mutant.name() == name)
    }
}

/// The position in [`Mutant::ALL`] of the one that is on, from 1; 0 for none.
static ON: AtomicUsize = AtomicUsize::new(0);

/// Turns a bug on, for the whole process and for good. False where another one is on already.
#[must_use]
pub fn switch_on(mutant: Mutant) -> bool {
    let number = mutant as usize + 1;
    match ON.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => true,
        Err(other) => other == number,
    }
}

/// True where this bug is on.
#[must_use]
pub fn is_on(mutant: Mutant) -> bool {
    ON.load(Ordering::Relaxed) == mutant as usize + 1
}

/// True where the bug of this name is on. Each crate that has bugs has its own `mutant!`, which is this one with the feature
/// `mutants` and `false` without.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::is_on($crate::Mutant::$name)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only test of this process: the switch is for good.
    #[test]
    fn one_is_on_and_stays_on_alone() {
        assert!(!Mutant::ALL.iter().any(|mutant| is_on(*mutant)));
        assert!(switch_on(Mutant::OneTooMany));
        assert!(switch_on(Mutant::OneTooMany));
        assert!(!switch_on(Mutant::VoteNotSaved));
        let on: Vec<&Mutant> = Mutant::ALL.iter().filter(|mutant| is_on(**mutant)).collect();
        assert_eq!(on, [&Mutant::OneTooMany]);
        assert!(mutant!(OneTooMany) && !mutant!(VoteNotSaved));
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::named(mutant.name()), Some(*mutant));
        }
    }
}
