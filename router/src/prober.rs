//! Books and releases a place of every shard's reserve, each few seconds: whether a visitor could, by the way that a
//! visitor's booking goes (this router's client, the leader, the log, the rows), but with nobody's quota and nobody's places.
//!
//! Each router probes for itself, under an id that it draws at its start, for what it can reach is its own. Rounds are
//! jittered, so that routers that start together do not probe together. What a probe leaves in a shard is one row of bounded
//! length (`node/booking/src/state/reserve.rs`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use metrics::{counter, gauge, histogram};
use rotunda_booking::command::{Probe, ProbeStep};
use rotunda_booking::outcome::Outcome;
use rotunda_metrics::router as names;
use rotunda_protocol::version::PROBES;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, ClientError};

/// When and how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the beginning of a round to that of the next, on average.
    pub interval: Duration,
    /// How long a round may take at a shard, its booking and its release together.
    pub timeout: Duration,
}

/// What a round came to at a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Booked and released.
    Ok,
    /// No answer in time, or nobody to ask.
    Unavailable,
    /// No answer in time to something that may have been done.
    Unknown,
    /// A node has too much to do.
    Overloaded,
    /// The shard said no: its reserve is full, or its nodes do not know probes.
    Refused,
    /// The shard answered what cannot be: a place that was booked is not held.
    Wrong,
}

impl Ended {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Unavailable,
        Self::Unknown,
        Self::Overloaded,
        Self::Refused,
        Self::Wrong,
    ];

    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Overloaded => "overloaded",
            Self::Refused => "refused",
            Self::Wrong => "wrong",
        }
    }
}

/// Probes until `stop`. `prober` is this router's own number.
pub async fn run(backend: Arc<dyn Backend>, prober: u64, pace: Pace, stop: CancellationToken) {
    // Before the first round: a router that starts with others shall not probe with them.
    let mut pause = pace.interval.mul_f64(fastrand::f64());
    for turn in 1.. {
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        let began = Instant::now();
        let map = backend.map();
        if map.cluster_version() < PROBES {
            // While the cluster is upgraded: nodes from before probes end at them.
            pause = pace.interval;
            continue;
        }
        let rounds = map.shards().iter().map(|shard| {
            let backend = &*backend;
            async move {
                let began = Instant::now();
                let ended = round(backend, shard.id, prober, turn, began + pace.timeout).await;
                note(shard.id, ended, began.elapsed());
            }
        });
        join_all(rounds).await;
        pause = pace
            .interval
            .mul_f64(0.8 + 0.4 * fastrand::f64())
            .saturating_sub(began.elapsed());
    }
}

/// One round at one shard.
pub async fn round(backend: &dyn Backend, shard: u64, prober: u64, turn: u64, deadline: Instant) -> Ended {
    for (step, held) in [(ProbeStep::Hold, true), (ProbeStep::Release, false)] {
        let probe = Probe { prober, turn, step };
        let ended = match backend.probe(shard, probe, deadline).await {
            Ok(submitted) => match submitted.reply.outcome {
                Outcome::Probed { held: is_held } if is_held == held => continue,
                Outcome::Refused(refusal) => {
                    tracing::warn!(
                        shard,
                        code = refusal.code.as_str(),
                        "a probe was refused: {}",
                        refusal.detail
                    );
                    Ended::Refused
                }
                outcome => {
                    tracing::error!(shard, ?step, ?outcome, "a probe was answered what cannot be");
                    Ended::Wrong
                }
            },
            Err(error) => {
                let ended = match &error {
                    ClientError::Unavailable | ClientError::UnknownVenue => Ended::Unavailable,
                    ClientError::Unknown => Ended::Unknown,
                    ClientError::Overloaded => Ended::Overloaded,
                    ClientError::NotYet(_) | ClientError::Rejected(_) => Ended::Refused,
                };
                // One line each few seconds and shard, for as long as it lasts.
                tracing::warn!(shard, ?step, %error, "a probe failed");
                ended
            }
        };
        return ended;
    }
    Ended::Ok
}

fn note(shard: u64, ended: Ended, took: Duration) {
    let shard = shard.to_string();
    for outcome in Ended::ALL {
        // All of them from the first round on, so that a first failure is an increase.
        let attempts = counter!(names::PROBE_ATTEMPTS.name, "shard" => shard.clone(), "outcome" => outcome.as_str());
        attempts.increment(u64::from(outcome == ended));
    }
    histogram!(names::PROBE_SECONDS.name, "shard" => shard.clone()).record(took.as_secs_f64());
    let success = if ended == Ended::Ok { 1.0 } else { 0.0 };
    gauge!(names::PROBE_SUCCESS.name, "shard" => shard.clone()).set(success);
    if ended == Ended::Ok
        && let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)
    {
        gauge!(names::PROBE_LAST_SUCCESS.name, "shard" => shard).set(now.as_secs_f64());
    }
}
