//! Where a call goes after each kind of setback, told as stories of three replicas.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;

const SHARD: u64 = 3;
const NODES: [u32; 3] = [1, 2, 3];

struct Story {
    way: Itinerary,
    leaders: LeaderCache,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        Self {
            way: Itinerary::default(),
            leaders: LeaderCache::default(),
            now: Instant::now(),
        }
    }

    fn choose(&mut self) -> u32 {
        self.choose_unless(|_| false).unwrap()
    }

    fn choose_unless(&mut self, busy: impl Fn(u32) -> bool) -> Option<u32> {
        self.way.choose(NODES.into_iter(), &self.leaders, SHARD, self.now, busy)
    }

    fn after(&mut self, node: u32, setback: Setback) -> Advice {
        self.way
            .after(&setback, node, NODES.len(), &self.leaders, SHARD, self.now)
    }

    fn not_leader(&mut self, node: u32, hint: Option<u32>) -> Advice {
        self.after(node, Setback::Rejected(Rejection::not_leader(hint)))
    }
}

fn pause(advice: &Advice) -> Duration {
    match advice {
        Advice::Pause(pause) | Advice::Refresh(pause) => *pause,
        other => panic!("expected a pause, got {other:?}"),
    }
}

#[test]
fn a_known_leader_is_asked_first() {
    let mut story = Story::new();
    story.leaders.confirmed(SHARD, 2);
    assert_eq!(story.choose(), 2);
}

#[test]
fn a_hint_is_followed_at_once_and_hints_in_circles_cost_growing_pauses() {
    let mut story = Story::new();
    let first = story.choose();
    let hinted = if first == 1 { 2 } else { 1 };
    assert_eq!(story.not_leader(first, Some(hinted)), Advice::Pause(Duration::ZERO));
    assert_eq!(story.choose(), hinted);

    // In circles: each names the other.
    let (mut at, mut other) = (hinted, first);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        pauses.push(pause(&story.not_leader(at, Some(other))));
        std::mem::swap(&mut at, &mut other);
        assert_eq!(story.choose(), at);
    }
    assert!(pauses[0].is_zero(), "the other name was news as well");
    assert!(pauses[1..].iter().all(|pause| !pause.is_zero() && *pause <= PAUSE_MAX));
    assert!(pauses[8] >= PAUSE_MAX / 2, "the last pauses are long: {pauses:?}");
}

#[test]
fn a_leader_just_elected_is_gone_to_at_once_after_any_number_of_old_hints() {
    let mut story = Story::new();
    story.leaders.confirmed(SHARD, 1);
    assert_eq!(story.choose(), 1);
    story.after(1, Setback::Broken);
    for _ in 0..5 {
        let node = story.choose();
        assert!(!pause(&story.not_leader(node, Some(1))).is_zero());
    }
    let node = story.choose();
    let elected = if node == 2 { 3 } else { 2 };
    assert_eq!(story.not_leader(node, Some(elected)), Advice::Pause(Duration::ZERO));
    assert_eq!(story.choose(), elected);
}

#[test]
fn without_a_hint_the_replicas_are_asked_in_turn() {
    let mut story = Story::new();
    let mut asked = Vec::new();
    for _ in 0..NODES.len() {
        let node = story.choose();
        asked.push(node);
        assert!(!pause(&story.not_leader(node, None)).is_zero());
    }
    asked.sort_unstable();
    assert_eq!(asked, NODES);
}

#[test]
fn a_dead_leader_is_gone_round_even_while_the_others_still_name_it() {
    let mut story = Story::new();
    story.leaders.confirmed(SHARD, 1);
    assert_eq!(story.choose(), 1);
    assert_eq!(
        story.after(1, Setback::Broken),
        Advice::Pause(Duration::ZERO),
        "the others may know already"
    );
    for _ in 0..6 {
        let node = story.choose();
        assert_ne!(node, 1);
        assert!(
            !pause(&story.not_leader(node, Some(1))).is_zero(),
            "they do not know yet: give them time"
        );
    }
    story.now += SHUN_BROKEN;
    assert_eq!(story.choose(), 1, "once it may be back, it is asked again");
}

#[test]
fn a_round_of_dead_ends_costs_one_pause() {
    let mut story = Story::new();
    let mut pauses = Vec::new();
    for _ in 0..2 * NODES.len() {
        let node = story.choose();
        pauses.push(!pause(&story.after(node, Setback::Unreachable)).is_zero());
    }
    assert_eq!(pauses, [false, false, true, false, false, true]);
}

#[test]
fn where_all_are_shunned_one_is_asked_all_the_same() {
    let mut story = Story::new();
    for node in NODES {
        story.leaders.shun(SHARD, node, story.now + SHUN_SILENT);
    }
    assert!(NODES.contains(&story.choose()));
}

#[test]
fn a_replica_with_an_attempt_under_way_is_not_asked_again() {
    let mut story = Story::new();
    story.leaders.confirmed(SHARD, 1);
    assert_ne!(story.choose_unless(|node| node == 1), Some(1));
    assert_eq!(story.choose_unless(|_| true), None, "nothing to do but wait");
}

#[test]
fn a_stale_epoch_stays_with_the_node_and_waits_for_the_map() {
    let mut story = Story::new();
    let node = story.choose();
    let advice = story.after(node, Setback::Rejected(Rejection::stale_epoch(9)));
    assert!(matches!(advice, Advice::Refresh(_)));
    assert_eq!(story.choose(), node);
}

#[test]
fn overload_is_ridden_out_for_a_while_and_then_passed_on() {
    let mut story = Story::new();
    let node = story.choose();
    story.leaders.confirmed(SHARD, node);
    let overloaded = || Setback::Rejected(Rejection::overloaded("queue"));
    assert!(!pause(&story.after(node, overloaded())).is_zero());
    assert_eq!(story.choose(), node, "the leader is the leader, busy or not");
    story.now += OVERLOAD_PATIENCE;
    assert_eq!(story.after(node, overloaded()), Advice::Overloaded);
}

#[test]
fn an_overloaded_leader_without_quorum_is_not_taken_at_its_word_for_ever() {
    let mut story = Story::new();
    let node = story.choose();
    story.leaders.confirmed(SHARD, node);
    let mut asked = Vec::new();
    for _ in 0..4 {
        story.after(node, Setback::Rejected(Rejection::overloaded("no quorum")));
        asked.push(story.choose() == node);
    }
    assert_eq!(asked, [true, false, true, false], "the others are asked in between");
    assert_eq!(
        story.leaders.leader(SHARD),
        Some(node),
        "but nobody else is sent away from it"
    );
}

#[test]
fn a_leader_that_lost_its_place_names_the_next() {
    let mut story = Story::new();
    let node = story.choose();
    let next = NODES.into_iter().find(|n| *n != node).unwrap();
    let lost = Rejection {
        leader_node: Some(next),
        ..Rejection::unknown("leadership was lost")
    };
    story.after(node, Setback::Rejected(lost));
    assert_eq!(story.choose(), next);
}

#[test]
fn a_node_gone_from_the_shard_is_not_asked_though_cached_or_hinted() {
    let mut story = Story::new();
    story.leaders.confirmed(SHARD, 9);
    let node = story.choose();
    assert!(NODES.contains(&node));
    story.not_leader(node, Some(9));
    assert!(NODES.contains(&story.choose()));
}

#[test]
fn pauses_double_up_to_the_longest_and_are_jittered() {
    let mut backoff = Backoff::default();
    let pauses: Vec<_> = (0..20).map(|_| backoff.next()).collect();
    for (step, pause) in pauses.iter().enumerate() {
        let full = (PAUSE_MIN * 2u32.pow(u32::try_from(step).unwrap())).min(PAUSE_MAX);
        assert!(
            *pause >= full / 2 && *pause <= full,
            "step {step}: {pause:?} of {full:?}"
        );
    }
    assert!(pauses[10..].windows(2).any(|pair| pair[0] != pair[1]), "jittered");
    backoff.reset();
    assert!(backoff.next() <= PAUSE_MIN);
}
