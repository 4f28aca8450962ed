//! Rounds of a prober against a shard that is well, and one that is not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rotunda_booking::command::{Probe, ProbeStep};
use rotunda_protocol::version::PROBES;
use rotunda_router::backend::Backend as _;
use rotunda_router::prober::{Ended, Pace, round, run};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, SHARD, Trouble};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(3)
}

#[tokio::test(start_paused = true)]
async fn a_round_says_what_it_met_and_the_next_is_good_again() {
    let fake = Fake::empty();
    let mut turn = 0;
    for (troubles, expected) in [
        (&[][..], Ended::Ok),
        (&[Trouble::Unavailable], Ended::Unavailable),
        (&[Trouble::Overloaded], Ended::Overloaded),
        (&[Trouble::Rejected], Ended::Refused),
        (&[Trouble::AnswerLost], Ended::Unknown),
        // Of the release.
        (&[Trouble::Calm, Trouble::AnswerLost], Ended::Unknown),
        (&[Trouble::Retried, Trouble::Retried], Ended::Ok),
    ] {
        for trouble in troubles {
            fake.meet(*trouble);
        }
        turn += 1;
        assert_eq!(round(&*fake, SHARD, 7, turn, soon()).await, expected, "{troubles:?}");
        turn += 1;
        assert_eq!(
            round(&*fake, SHARD, 7, turn, soon()).await,
            Ended::Ok,
            "after {troubles:?}"
        );
    }
    assert_eq!(round(&*fake, SHARD + 1, 7, turn + 1, soon()).await, Ended::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_is_full_refuses_and_a_place_that_was_taken_away_is_wrong() {
    let fake = Fake::empty();
    for prober in 1..=64 {
        let probe = Probe {
            prober,
            turn: 5,
            step: ProbeStep::Hold,
        };
        fake.probe(SHARD, probe, soon()).await.unwrap();
    }
    assert_eq!(round(&*fake, SHARD, 100, 1, soon()).await, Ended::Refused);
    // Its later round holds the place, so the release of this one leaves it held.
    assert_eq!(round(&*fake, SHARD, 64, 4, soon()).await, Ended::Wrong);
    assert_eq!(round(&*fake, SHARD, 64, 6, soon()).await, Ended::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_does_not_answer_is_given_up_at_the_deadline() {
    let fake = Fake::empty();
    fake.gate.forget_permits(1_000_000);
    let began = Instant::now();
    assert_eq!(round(&*fake, SHARD, 7, 1, soon()).await, Ended::Unavailable);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn rounds_follow_each_other_at_the_pace_until_told_to_stop() {
    let fake = Fake::empty();
    let stop = CancellationToken::new();
    let pace = Pace {
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(3),
    };
    let probing = tokio::spawn(run(fake.clone(), 7, pace, stop.clone()));
    // Nodes from before probes would end at one.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fake.calls.load(Ordering::Relaxed), 0);
    fake.raise_version(PROBES);
    tokio::time::sleep(Duration::from_secs(500)).await;
    let calls = fake.calls.load(Ordering::Relaxed);
    // Two a round, four to six seconds from one to the next.
    assert!((2 * 500 / 6 - 2..=2 * 500 / 4 + 2).contains(&calls), "{calls}");
    stop.cancel();
    probing.await.unwrap();
    assert_eq!(fake.calls.load(Ordering::Relaxed), calls);
}
