//! The plain model beside a replica: what is known to be there, what a step makes of it, and what a replica shows of itself.

use std::collections::BTreeMap;

use super::Step;
use crate::tests::expected_rows;

/// What a replica shows of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Shown {
    pub(super) vote: u64,
    pub(super) epoch: u64,
    /// Terms by index.
    pub(super) log: BTreeMap<u64, u64>,
    pub(super) purged: Option<u64>,
    pub(super) last: Option<u64>,
    pub(super) applied: Option<u64>,
    pub(super) rows: Vec<(String, String)>,
}

/// What is known to be there.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) vote: u64,
    pub(super) epoch: u64,
    pub(super) log: BTreeMap<u64, u64>,
    pub(super) purged: Option<u64>,
    pub(super) applied: Option<u64>,
    /// The last applied index that a crash cannot take.
    pub(super) durable: Option<u64>,
}

pub(super) fn next(index: Option<u64>) -> u64 {
    index.map_or(0, |index| index + 1)
}

impl Model {
    pub(super) fn last(&self) -> Option<u64> {
        self.log.keys().next_back().copied().or(self.purged)
    }

    pub(super) fn term_at(&self, index: u64) -> u64 {
        self.log.get(&index).copied().unwrap_or(self.vote)
    }

    pub(super) fn shown(&self) -> Shown {
        Shown {
            vote: self.vote,
            epoch: self.epoch,
            log: self.log.clone(),
            purged: self.purged,
            last: self.last(),
            applied: self.applied,
            rows: self.applied.map(expected_rows).unwrap_or_default(),
        }
    }

    pub(super) fn purge(&mut self, upto: u64) {
        self.log = self.log.split_off(&(upto + 1));
        self.purged = self.purged.max(Some(upto));
    }

    /// The step as it can be taken now; `None` if there is nothing to do.
    pub(super) fn resolve(&self, step: &Step) -> Option<Act> {
        let (applied_next, last_next) = (next(self.applied), next(self.last()));
        Some(match step {
            Step::Vote => Act::Vote(self.vote + 1),
            Step::Append(count) => Act::Append(last_next..last_next + count),
            Step::Truncate(count) => {
                let from = last_next.saturating_sub(*count).max(applied_next);
                (from < last_next).then_some(Act::Truncate(from))?
            }
            Step::Apply(count) => {
                let to = (applied_next + count).min(last_next);
                (applied_next < to).then_some(Act::Apply(applied_next..to))?
            }
            Step::Purge(count) => {
                let to = (next(self.purged) + count).min(applied_next);
                (next(self.purged) < to).then(|| Act::Purge(to - 1))?
            }
            Step::Flush => Act::Flush,
            Step::Build => Act::Build,
            Step::Install(ahead) => Act::Install(last_next.max(applied_next) + ahead),
            Step::Epoch => Act::Epoch(self.epoch + 1),
            Step::Reopen | Step::Crash(_) => return None,
        })
    }

    /// How it is after each part of an act; the last is after the whole of it.
    pub(super) fn after(&self, act: &Act) -> Vec<Self> {
        let mut after = self.clone();
        match act {
            Act::Vote(term) => after.vote = *term,
            Act::Append(range) => after.log.extend(range.clone().map(|index| (index, self.vote))),
            Act::Truncate(from) => drop(after.log.split_off(from)),
            Act::Apply(range) => after.applied = range.end.checked_sub(1),
            Act::Purge(upto) => {
                if self.durable < Some(*upto) {
                    after.durable = after.applied;
                }
                after.purge(*upto);
            }
            Act::Flush => after.durable = after.applied,
            Act::Build => {}
            Act::Install(index) => {
                after.applied = Some(*index);
                after.durable = Some(*index);
                let installed = after.clone();
                after.purge(*index);
                return vec![installed, after];
            }
            Act::Epoch(epoch) => after.epoch = *epoch,
        }
        vec![after]
    }
}

/// A step with its indexes.
#[derive(Debug)]
pub(super) enum Act {
    Vote(u64),
    Append(std::ops::Range<u64>),
    Truncate(u64),
    Apply(std::ops::Range<u64>),
    Purge(u64),
    Flush,
    Build,
    Install(u64),
    Epoch(u64),
}
