//! Watches this machine's wall clock against the peers'. A node that is more than [`LIMIT`] off their median shows it in a
//! metric, gives leadership away and does not take it back until it is right (domain rule 3). What was measured is told to
//! the [`WallClock`], which stands in for the machine's.

use std::time::Duration;

use bytes::Bytes;
use rotunda_metrics::node as names;
use rotunda_protocol::proto::raft::peer_frame::Kind;
use tokio::time::Instant;

use crate::clock::wall::WallClock;
use crate::raft::peer::Peers;

/// How far off the median is wrong.
pub const LIMIT: Duration = Duration::from_millis(500);

const INTERVAL: Duration = Duration::from_secs(2);

/// Until the first measurement: a node that has just started may be elected any moment.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);

/// A round trip longer than this says too little about the other clock.
const USEFUL_ROUND_TRIP: Duration = Duration::from_millis(200);

/// Measures for ever. `judged` is called with every verdict: groups that were started since the last one hear of it too.
pub async fn run(peers: Peers, wall: WallClock, judged: impl Fn(bool) + Send) {
    let mut interval = FIRST_INTERVAL;
    loop {
        let offsets = measure(&peers, &wall).await;
        if let Some(off) = off_by(&offsets, peers.all().len()) {
            interval = INTERVAL;
            #[expect(clippy::cast_precision_loss, reason = "a metric in seconds")]
            metrics::gauge!(names::CLOCK_OFFSET_SECONDS.name).set(off as f64 / 1_000.0);
            if wall.agree(off) {
                if wall.is_right() {
                    tracing::info!(offset_ms = off, "the wall clock is right again; this node may lead");
                } else {
                    tracing::error!(
                        offset_ms = off,
                        "the wall clock is off the peers' median; this node gives leadership away: check its time service"
                    );
                }
            }
            judged(wall.is_right());
        }
        tokio::time::sleep(interval).await;
    }
}

/// Whether a clock that is so far off the median, in milliseconds, still counts as right.
pub(super) fn is_within_limit(off_ms: i64) -> bool {
    u128::from(off_ms.unsigned_abs()) <= LIMIT.as_millis()
}

/// Peers' clocks minus ours, in milliseconds.
async fn measure(peers: &Peers, wall: &WallClock) -> Vec<i64> {
    let asked = peers.all().into_iter().map(|peer| async move {
        let (start, before) = (Instant::now(), wall.machine_ms());
        let answer = tokio::time::timeout(USEFUL_ROUND_TRIP, peer.call(0, 0, Kind::Ping, Bytes::new())).await;
        let round_trip = start.elapsed();
        let body = answer.ok()?.ok()?.ok()?;
        metrics::histogram!(names::PEER_ROUND_TRIP_SECONDS.name, "node" => peer.node().to_string())
            .record(round_trip.as_secs_f64());
        let theirs = i64::from_be_bytes(body.as_ref().try_into().ok()?);
        let half = i64::try_from(round_trip.as_millis() / 2).ok()?;
        Some(theirs.saturating_sub(before.saturating_add(half)))
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// How far our clock is ahead of the median of all clocks (ours among them), in milliseconds. `None` where nobody can tell:
/// two clocks that differ do not say which is wrong, though two that agree are right, and so is the only one there is.
fn off_by(peers_minus_ours: &[i64], peers: usize) -> Option<i64> {
    match peers_minus_ours {
        [] => return (peers == 0).then_some(0),
        [one] if !is_within_limit(*one) => return None,
        _ => {}
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
        assert_eq!(off_by(&[10, 90_000], 2), Some(-10));
        assert_eq!(off_by(&[-90_000, 10], 2), Some(0));
    }

    #[test]
    fn we_are_wrong_where_the_others_agree() {
        assert_eq!(off_by(&[-60_000, -60_010], 2), Some(60_000));
    }

    #[test]
    fn two_clocks_that_differ_prove_nothing() {
        assert_eq!(off_by(&[90_000], 2), None);
        assert_eq!(off_by(&[90_000], 1), None);
        assert_eq!(off_by(&[20], 2), Some(-10));
        assert_eq!(off_by(&[], 2), None);
    }

    #[test]
    fn a_lone_clock_is_right() {
        assert_eq!(off_by(&[], 0), Some(0));
    }
}
