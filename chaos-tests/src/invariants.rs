//! What a history must not show. One file an invariant; the numbers are those of the README.
//!
//! A checker reads a saved history ([`Saved`]), has it made ready once ([`Evidence`]: logs decoded and replayed, keys
//! indexed) and asks every [`Invariant`] of the [`registry`] for its [`Verdict`]. [`check`] does all of it.
//!
//! No invariant leans on another, nor on the rules of `rotunda_booking::inventory`: each counts by hand what it needs from
//! commands and replies, so that a mistake in the product does not hide itself here. Only `state_hash` replays the logs by
//! the product's own rules, which is its point.

mod admission;
mod capacity;
mod deadline;
mod durable;
pub mod evidence;
mod gates;
mod given_back;
mod healing;
mod ledger;
pub mod linearizable;
mod log_order;
mod once;
mod pools;
mod replay;
mod sessions;
mod state_hash;
mod trail;
mod turned_away;
pub mod verdict;

pub use self::evidence::Evidence;
pub use self::verdict::{Finding, Ruling, Verdict};
use crate::cores;
use crate::history::reader::{Saved, Unreadable};

/// One thing that must hold.
pub trait Invariant: Sync {
    /// Its number: `I1`.
    fn id(&self) -> &'static str;

    /// What holds, in a few words.
    fn promise(&self) -> &'static str;

    /// Looks at everything that it needs to, and says so.
    fn check(&self, evidence: &Evidence<'_>) -> Verdict;
}

/// Every invariant, in order of number. I9 has two checkers that share no code.
#[must_use]
pub fn registry() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(capacity::Capacity),
        Box::new(once::Once),
        Box::new(durable::Durable),
        Box::new(given_back::GivenBack),
        Box::new(deadline::Deadline),
        Box::new(admission::Admission),
        Box::new(ledger::Ledger),
        Box::new(log_order::LogOrder),
        Box::new(linearizable::witness::Witness),
        Box::new(linearizable::search::Search::default()),
        Box::new(sessions::Sessions),
        Box::new(state_hash::StateHash),
        Box::new(healing::Healing),
        Box::new(turned_away::TurnedAway),
    ]
}

/// Audits a history.
///
/// # Errors
/// Where a log entry of it does not decode.
pub fn check(saved: &Saved) -> Result<Vec<Verdict>, Unreadable> {
    let evidence = Evidence::new(saved)?;
    Ok(check_all(&evidence, &registry()))
}

/// Audits a history with some of the invariants. Findings are shown with the last events of what they are about.
#[must_use]
pub fn check_all(evidence: &Evidence<'_>, invariants: &[Box<dyn Invariant>]) -> Vec<Verdict> {
    let judge = |invariant: &dyn Invariant| {
        let mut verdict = invariant.check(evidence);
        (verdict.id, verdict.promise) = (invariant.id(), invariant.promise());
        trail::attach(evidence, &mut verdict.findings);
        verdict
    };
    cores::map(invariants, |invariant| judge(&**invariant))
}

/// True where nothing was violated. What could not be decided, or is not covered, is not.
#[must_use]
pub fn is_sound(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(|verdict| verdict.ruling() != Ruling::Violated)
}

#[cfg(test)]
mod mutants;
#[cfg(test)]
mod stories;
