//! Overlapping faults drawn from a seed: which, when, for how long and to whom, all of it before the run, so that the same
//! seed gives the same schedule on every machine that can deal the same faults.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::fault::Fault;
use super::stage::Stage;
use crate::lab::capabilities::Capabilities;
use crate::lab::network::Host;

/// Between the beginnings of two faults, in milliseconds.
const BETWEEN: std::ops::Range<u64> = 500..6_000;
/// How long a fault lasts, in milliseconds.
const LASTS: std::ops::Range<u64> = 500..12_000;
/// How often the schedule is looked at, and nodes that ended are started again.
const TICK: Duration = Duration::from_millis(50);
/// A node that ended by itself is started again after so long, as a supervisor would.
const SUPERVISED: Duration = Duration::from_secs(1);

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it begins, from the start of the schedule.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What.
    pub fault: Fault,
}

/// A disk stays full for at least so long: its node is started on it.
const UNTIL_STARTED: Duration = Duration::from_secs(4);

/// Draws a schedule over `span`. Every kind that is possible comes once before any comes again.
#[must_use]
pub fn draw(seed: u64, span: Duration, nodes: u32, able: &Capabilities) -> Vec<Planned> {
    let mut dice = Rng::with_seed(seed);
    let mut planned = Vec::new();
    let mut deck: Vec<Kind> = Vec::new();
    let mut at = Duration::from_millis(dice.u64(BETWEEN));
    while at < span {
        if deck.is_empty() {
            deck = KINDS.to_vec();
            dice.shuffle(&mut deck);
        }
        let Some(kind) = deck.pop() else { break };
        let fault = kind(&mut dice, nodes);
        // Drawn before it is known whether the machine can: the rest of the schedule stays the same.
        let mut lasts = Duration::from_millis(dice.u64(LASTS));
        if let Fault::DiskFull(_) = fault {
            lasts = lasts.max(UNTIL_STARTED);
        }
        let lasts = lasts.min(span.saturating_sub(at));
        let next = Duration::from_millis(dice.u64(BETWEEN));
        if fault.need().is_none_or(|need| able.missing(need).is_none()) {
            planned.push(Planned { at, lasts, fault });
            at += next;
        }
    }
    planned
}

type Kind = fn(&mut Rng, u32) -> Fault;

const KINDS: [Kind; 18] = [
    |dice, nodes| Fault::Kill(one(dice, nodes)),
    |_, _| Fault::KillAll,
    |dice, nodes| Fault::Restart(one(dice, nodes)),
    |dice, nodes| Fault::Pause(one(dice, nodes)),
    |_, _| Fault::KillRouter,
    |dice, nodes| {
        let (cut, mut rest) = halves(dice, nodes);
        if dice.bool() {
            rest.push(Host::Router);
        }
        Fault::Partition(cut, rest)
    },
    |dice, nodes| {
        let (one, other) = two(dice, nodes);
        Fault::Bridge(one, other)
    },
    |dice, nodes| Fault::Mute(one(dice, nodes)),
    |dice, nodes| Fault::Deaf(one(dice, nodes)),
    |dice, _| Fault::Lossy(dice.u32(2..25)),
    |dice, nodes| {
        let (from, to) = two(dice, nodes);
        Fault::Late(from, to, dice.u32(5..200))
    },
    |dice, nodes| {
        let (from, to) = two(dice, nodes);
        Fault::HalfOpen(from, to)
    },
    |dice, nodes| Fault::Narrow(one(dice, nodes), dice.u32(64..1_024)),
    |dice, nodes| Fault::PowerLoss(vec![one(dice, nodes)]),
    |_, nodes| Fault::PowerLoss((1..=nodes).collect()),
    |dice, nodes| Fault::DiskFull(one(dice, nodes)),
    |dice, nodes| Fault::FailedSync(one(dice, nodes), if dice.bool() { ".log" } else { "MARK" }),
    |dice, nodes| {
        if dice.bool() {
            Fault::SlowSync(one(dice, nodes), Duration::from_millis(dice.u64(20..400)))
        } else {
            let jump = i64::from(dice.i32(-10_800_000..10_800_000));
            Fault::ClockJump(one(dice, nodes), jump)
        }
    },
];

fn one(dice: &mut Rng, nodes: u32) -> u32 {
    dice.u32(1..=nodes)
}

fn two(dice: &mut Rng, nodes: u32) -> (u32, u32) {
    let one = dice.u32(1..=nodes);
    let other = dice.u32(1..nodes);
    (one, if other < one { other } else { other + 1 })
}

/// A minority of at least one, and the rest.
fn halves(dice: &mut Rng, nodes: u32) -> (Vec<Host>, Vec<Host>) {
    let mut hosts: Vec<Host> = (1..=nodes).map(Host::Node).collect();
    dice.shuffle(&mut hosts);
    let few = dice.usize(1..=usize::try_from((nodes - 1) / 2).unwrap_or(1).max(1));
    let rest = hosts.split_off(few);
    (hosts, rest)
}

/// Carries a schedule out.
pub(super) async fn run(stage: &mut Stage, planned: Vec<Planned>, span: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let mut coming = planned.into_iter().peekable();
    let mut going: Vec<(Duration, u64)> = Vec::new();
    // When a supervisor looks again.
    let mut looks: Vec<Duration> = Vec::new();
    while begun.elapsed() < span {
        let now = begun.elapsed();
        if !stage.nemesis.take_ended().is_empty() {
            looks.push(now + SUPERVISED);
        }
        if looks.iter().any(|at| *at <= now) {
            looks.retain(|at| *at > now);
            stage.nemesis.supervise();
        }
        for id in due(&mut going, now) {
            stage.end(id).await?;
        }
        while let Some(next) = coming.next_if(|next| next.at <= begun.elapsed()) {
            let full = match next.fault {
                Fault::DiskFull(node) => Some(node),
                _ => None,
            };
            let id = stage.begin(next.fault).await?;
            going.push((begun.elapsed() + next.lasts, id));
            // Logs write into room that they took beforehand, so a full disk can go unnoticed for long; a start cannot.
            if let Some(node) = full {
                stage.nemesis.crash(node);
            }
        }
        stage.last(TICK).await;
    }
    Ok(())
}

fn due(going: &mut Vec<(Duration, u64)>, now: Duration) -> Vec<u64> {
    let over = going.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
    going.retain(|(at, _)| *at > now);
    over
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lab::capabilities::Need;

    const SPAN: Duration = Duration::from_secs(600);

    #[test]
    fn the_same_seed_draws_the_same_faults_and_another_draws_others() {
        let able = Capabilities::probe();
        let one = draw(7, SPAN, 3, &able);
        assert_eq!(one, draw(7, SPAN, 3, &able));
        assert_ne!(one, draw(8, SPAN, 3, &able));
        assert!(one.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!(one.iter().all(|planned| planned.at + planned.lasts <= SPAN));
        let overlapping = one
            .windows(2)
            .filter(|pair| pair[1].at < pair[0].at + pair[0].lasts)
            .count();
        assert!(overlapping > one.len() / 4, "{overlapping} of {} overlap", one.len());
    }

    #[test]
    fn what_the_machine_cannot_do_is_not_drawn_and_all_else_is() {
        let needs = [Need::Network, Need::Volumes, Need::Preload];
        let poor = Capabilities::probe().without(&needs);
        let drawn = draw(3, SPAN, 3, &poor);
        assert!(drawn.iter().all(|planned| planned.fault.need().is_none()));
        let classes: BTreeSet<&str> = drawn.iter().map(|planned| planned.fault.class()).collect();
        assert_eq!(
            classes,
            BTreeSet::from(["kill", "kill-all", "kill-router", "pause", "restart"])
        );
    }

    #[test]
    fn a_minority_is_cut_off_and_two_nodes_are_two() {
        let mut dice = Rng::with_seed(1);
        for _ in 0..200 {
            let (one, other) = two(&mut dice, 3);
            assert!(one != other && (1..=3).contains(&one) && (1..=3).contains(&other));
            let (few, rest) = halves(&mut dice, 5);
            assert!(!few.is_empty() && few.len() < rest.len() && few.len() + rest.len() == 5);
        }
    }
}
