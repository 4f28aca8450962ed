//! Where a call goes next, and how long it waits before. No I/O here: [`Itinerary`] is told how an attempt ended and
//! answers with a pause; asked for a node, it chooses among the replicas.
//!
//! The rules: a hint to a node not named before is followed at once, while hints that lead in circles cost a growing
//! pause each; a dead or silent replica sends the call to the next one at once, and costs a pause only when all have been
//! tried; an overloaded node is given time. Pauses are jittered, or the calls that failed together would come back
//! together.

use std::time::Duration;

use tokio::time::Instant;

use super::leader_cache::LeaderCache;
use super::metrics::Ending;
use crate::rejection::{Rejection, RejectionKind};

/// First pause, and the longest: about the time in which a shard elects a leader.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// How long a replica is left alone after it gave no answer: until keep-alive has had its say about the connection.
const SHUN_SILENT: Duration = Duration::from_secs(2);

/// How long a replica is left alone after its connection broke. Shorter than an election, so that a node that comes
/// back is noticed as soon as it can lead.
const SHUN_BROKEN: Duration = Duration::from_millis(200);

/// How long a call puts up with a node that says it is overloaded before it passes that on.
const OVERLOAD_PATIENCE: Duration = Duration::from_secs(1);

/// Why an attempt gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// The node said so itself.
    Rejected(Rejection),
    /// The connection broke while the call was under way.
    Broken,
    /// No connection came about: nothing was sent.
    Unreachable,
    /// No answer within the attempt's time. It may still come.
    Silent,
}

impl Setback {
    pub(crate) fn ending(&self) -> Ending {
        match self {
            Setback::Rejected(rejection) => match rejection.kind {
                RejectionKind::NotLeader => Ending::NotLeader,
                RejectionKind::StaleEpoch => Ending::StaleEpoch,
                RejectionKind::NotHere => Ending::NotHere,
                RejectionKind::Overloaded => Ending::Overloaded,
                RejectionKind::Unknown => Ending::Unknown,
                RejectionKind::Malformed => Ending::Malformed,
                RejectionKind::NotYet => Ending::NotYet,
            },
            Setback::Broken => Ending::Broken,
            Setback::Unreachable => Ending::Unreachable,
            Setback::Silent => Ending::Silent,
        }
    }
}

/// What to do after a setback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Choose a node after this pause; zero means at once.
    Pause(Duration),
    /// The same, but a newer shard map ends the pause.
    Refresh(Duration),
    /// It will never work.
    GiveUp(String),
    /// Not in a cluster of this version.
    NotYet(String),
    /// The cluster has more to do than it can; pass it on.
    Overloaded,
}

/// One call's way through the replicas of a shard.
#[derive(Debug, Default)]
pub(crate) struct Itinerary {
    backoff: Backoff,
    directed: Option<u32>,
    /// The next choice passes over the cached leader.
    detour: bool,
    last: Option<u32>,
    /// Nodes to which a hint has been followed at once.
    followed: Vec<u32>,
    dead_ends: usize,
    overloads: u32,
    overloaded_since: Option<Instant>,
}

impl Itinerary {
    /// The node to try next among `candidates`; `busy` ones have an attempt of this call under way that may still be
    /// answered. `None` where all are busy: wait.
    pub(crate) fn choose(
        &mut self,
        candidates: impl Iterator<Item = u32> + Clone,
        leaders: &LeaderCache,
        shard: u64,
        now: Instant,
        busy: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let count = candidates.clone().count();
        if count == 0 {
            return None;
        }
        let fit = |node: &u32| {
            candidates.clone().any(|c| c == *node) && !busy(*node) && !leaders.is_shunned(shard, *node, now)
        };
        let start = match self.last.and_then(|last| candidates.clone().position(|c| c == last)) {
            Some(position) => position + 1,
            None => fastrand::usize(..count),
        };
        let in_turn = || candidates.clone().cycle_from(start, count);
        let chosen = self
            .directed
            .filter(fit)
            .or_else(|| leaders.leader(shard).filter(|_| !self.detour).filter(fit))
            .or_else(|| in_turn().find(fit))
            // Shunned, all of them: better one of those than nobody.
            .or_else(|| in_turn().find(|node| !busy(*node)));
        self.directed = None;
        self.detour = false;
        if chosen.is_some() {
            self.last = chosen;
        }
        chosen
    }

    /// `node`, one of `candidates` replicas, did not answer. Tells the cache, and the caller what to do.
    pub(crate) fn after(
        &mut self,
        setback: &Setback,
        node: u32,
        candidates: usize,
        leaders: &LeaderCache,
        shard: u64,
        now: Instant,
    ) -> Advice {
        match setback {
            Setback::Rejected(rejection) => self.after_rejection(rejection, node, leaders, shard, now),
            Setback::Broken | Setback::Unreachable => {
                leaders.shun(shard, node, now + SHUN_BROKEN);
                Advice::Pause(self.dead_end(candidates))
            }
            Setback::Silent => {
                leaders.shun(shard, node, now + SHUN_SILENT);
                // It has waited long enough already.
                Advice::Pause(Duration::ZERO)
            }
        }
    }

    fn after_rejection(
        &mut self,
        rejection: &Rejection,
        node: u32,
        leaders: &LeaderCache,
        shard: u64,
        now: Instant,
    ) -> Advice {
        // Only a node that takes commands ends the overload; that another is not the leader does not.
        if !matches!(rejection.kind, RejectionKind::Overloaded | RejectionKind::NotLeader) {
            self.overloaded_since = None;
        }
        match rejection.kind {
            RejectionKind::NotLeader => {
                leaders.refuted(shard, node, rejection.leader_node);
                let known = rejection
                    .leader_node
                    .filter(|&n| n != node && !leaders.is_shunned(shard, n, now));
                self.directed = known;
                match known {
                    // A name that this call has not heard yet is news, be it the first hint or a leader just elected.
                    // The same name again means that the nodes do not agree: give them time.
                    Some(leader) if !self.followed.contains(&leader) => {
                        self.followed.push(leader);
                        Advice::Pause(Duration::ZERO)
                    }
                    _ => Advice::Pause(self.backoff.next()),
                }
            }
            RejectionKind::StaleEpoch => {
                // Right node, old map: stay, once there is a newer one.
                self.directed = Some(node);
                Advice::Refresh(self.backoff.next())
            }
            RejectionKind::NotHere => {
                leaders.refuted(shard, node, None);
                Advice::Refresh(self.backoff.next())
            }
            RejectionKind::Overloaded => {
                let since = *self.overloaded_since.get_or_insert(now);
                if now.duration_since(since) >= OVERLOAD_PATIENCE {
                    return Advice::Overloaded;
                }
                // Mostly the node has too much to do. But it may also be a leader that has lost its quorum and does not
                // know yet that there is another, so every second time somebody else is asked.
                self.overloads += 1;
                self.detour = self.overloads.is_multiple_of(2);
                self.directed = (!self.detour).then_some(node);
                Advice::Pause(self.backoff.next())
            }
            RejectionKind::Unknown => {
                leaders.refuted(shard, node, rejection.leader_node);
                self.directed = rejection
                    .leader_node
                    .filter(|&n| n != node && !leaders.is_shunned(shard, n, now));
                Advice::Pause(self.backoff.next())
            }
            RejectionKind::Malformed => Advice::GiveUp(rejection.detail.clone()),
            RejectionKind::NotYet => Advice::NotYet(rejection.detail.clone()),
        }
    }

    fn dead_end(&mut self, candidates: usize) -> Duration {
        self.dead_ends += 1;
        if self.dead_ends.is_multiple_of(candidates.max(1)) {
            self.backoff.next()
        } else {
            Duration::ZERO
        }
    }

    /// A pause as after any other disappointment.
    pub(crate) fn pause(&mut self) -> Duration {
        self.backoff.next()
    }
}

/// `count` items of a cycle, from `start` on.
trait CycleFrom: Iterator<Item = u32> + Clone {
    fn cycle_from(self, start: usize, count: usize) -> impl Iterator<Item = u32> {
        self.cycle().skip(start % count).take(count)
    }
}

impl<I: Iterator<Item = u32> + Clone> CycleFrom for I {}

/// Doubles from the least pause to the most; each is drawn from its upper half.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    min: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::between(PAUSE_MIN, PAUSE_MAX)
    }
}

impl Backoff {
    pub(crate) fn between(min: Duration, max: Duration) -> Self {
        Self { next: min, max, min }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests;
