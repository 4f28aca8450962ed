//! Watches this machine's wall clock against the peers'. A node that is more than [`LIMIT`] off their median shows it in a
//! metric, gives leadership away and does not take it back until it is right (domain rule 3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rotunda_protocol::proto::raft::peer_frame::Kind;

use crate::clock::wall_ms;
use crate::raft::peer::Peers;

/// How far off the median is wrong.
pub const LIMIT: Duration = Duration::from_millis(500);

const INTERVAL: Duration = Duration::from_secs(2);

/// A round trip longer than this says too little about the other clock.
const USEFUL_ROUND_TRIP: Duration = Duration::from_millis(200);

/// Whether the wall clock can be trusted to take over leadership.
#[derive(Clone, Debug)]
pub struct ClockHealth(Arc<AtomicBool>);

impl Default for ClockHealth {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl ClockHealth {
    /// True until the peers prove otherwise.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Measures for ever. `changed` is called with the new state whenever it changes.
pub async fn run(peers: Peers, health: ClockHealth, changed: impl Fn(bool) + Send) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let offsets = measure(&peers).await;
        let Some(off) = off_by(&offsets) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "a metric in seconds")]
        metrics::gauge!("rotunda_clock_offset_seconds").set(off as f64 / 1_000.0);
        let right = off.unsigned_abs() <= u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX);
        if health.0.swap(right, Ordering::Relaxed) != right {
            if right {
                tracing::info!(offset_ms = off, "the wall clock is right again; this node may lead");
            } else {
                tracing::error!(
                    offset_ms = off,
                    "the wall clock is off the peers' median; this node gives leadership away: check its time service"
                );
            }
            changed(right);
        }
    }
}

/// Peers' clocks minus ours, in milliseconds.
async fn measure(peers: &Peers) -> Vec<i64> {
    let asked = peers.all().into_iter().map(|peer| async move {
        let (start, before) = (Instant::now(), wall_ms());
        let answer = tokio::time::timeout(USEFUL_ROUND_TRIP, peer.call(0, 0, Kind::Ping, Bytes::new())).await;
        let round_trip = start.elapsed();
        let body = answer.ok()?.ok()?.ok()?;
        let theirs = i64::from_be_bytes(body.as_ref().try_into().ok()?);
        let half = i64::try_from(round_trip.as_millis() / 2).ok()?;
        Some(theirs.saturating_sub(before.saturating_add(half)))
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// How far our clock is ahead of the median of all clocks (ours among them), in milliseconds. `None` below three clocks:
/// two that differ do not say which is wrong.
fn off_by(peers_minus_ours: &[i64]) -> Option<i64> {
    if peers_minus_ours.len() < 2 {
        return None;
    }
    let mut clocks: Vec<i64> = peers_minus_ours.iter().copied().chain([0]).collect();
    clocks.sort_unstable();
    let middle = clocks.len() / 2;
    let median = if clocks.len() % 2 == 1 {
        clocks[middle]
    } else {
        clocks[middle - 1].midpoint(clocks[middle])
    };
    Some(-median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_peer_does_not_make_us_wrong() {
        assert_eq!(off_by(&[10, 90_000]), Some(-10));
        assert_eq!(off_by(&[-90_000, 10]), Some(0));
    }

    #[test]
    fn we_are_wrong_where_the_others_agree() {
        assert_eq!(off_by(&[-60_000, -60_010]), Some(60_000));
    }

    #[test]
    fn two_clocks_prove_nothing() {
        assert_eq!(off_by(&[90_000]), None);
        assert_eq!(off_by(&[]), None);
    }
}
