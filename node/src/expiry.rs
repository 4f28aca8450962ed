//! Holds end by an entry, and the leader proposes it when one is due. Every replica applies the same expiry at the same
//! index; nobody's clock decides.

use std::sync::Arc;
use std::time::Duration;

use rotunda_booking::command::Operation;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::outcome::Outcome;
use rotunda_booking::queries;
use rotunda_booking::time::Timestamp;
use rotunda_metrics::node as names;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::meta::map::MetaState;
use crate::raft::machine::ViewRows;
use crate::shards::Shard;

/// How late a hold may end. Its place is free for others that much later, never earlier.
const INTERVAL: Duration = Duration::from_millis(250);

/// Holds that one command expires; more are done by the next, so that a crowd's expiry does not stall the crowd after it.
const HOLDS_PER_COMMAND: u32 = 256;

/// Log time moves with entries only. In a shard where nothing happens the leader moves it so often, or availability would
/// go on offering slots that have begun.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Runs for ever beside a shard; does something only while the shard's leader is here. Looks at moments that are counted from
/// `origin`: where all shards of a node have the same, the node is woken once for all of them.
pub async fn run(shard: Arc<Shard>, map: watch::Receiver<MetaState>, origin: Instant) {
    let (mut seen, mut since) = (shard.pulse.now(), Instant::now());
    let mut deadlines = Deadlines::default();
    let overdue = metrics::gauge!(names::HOLDS_OVERDUE_SECONDS.name, "shard" => shard.group.id.to_string());
    let mut ticks = tokio::time::interval_at(next_tick(origin, Instant::now()), INTERVAL);
    // Late ones are left out, and the next is where it would have been.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        // Asked first: a look at the deadlines costs more than all else that an idle follower does.
        while shard.group.leadership.leads()
            && let Some(venue) = deadlines.due(&shard)
        {
            if !expire(&shard, venue).await {
                break;
            }
        }
        overdue.set(if shard.group.leadership.leads() {
            deadlines.overdue_seconds(&shard)
        } else {
            0.0
        });
        if shard.pulse.now() != seen {
            (seen, since) = (shard.pulse.now(), Instant::now());
        } else if since.elapsed() >= STANDSTILL && shard.group.leadership.leads() {
            let venue = map
                .borrow()
                .venues
                .values()
                .find(|venue| venue.shard == shard.group.id)
                .map(|venue| venue.number);
            if let Some(venue) = venue {
                // Nothing is due, so this expires nobody; its stamp is what is wanted.
                expire(&shard, VenueNo(venue)).await;
            }
            since = Instant::now();
        }
    }
}

/// The first moment after `now` that is whole intervals away from `origin`.
fn next_tick(origin: Instant, now: Instant) -> Instant {
    let into = now.saturating_duration_since(origin).as_nanos() % INTERVAL.as_nanos();
    now + INTERVAL - Duration::from_nanos(u64::try_from(into).unwrap_or(0))
}

/// The earliest deadline, as it was read last: it moves with entries only, so a quiet shard's is not read again.
#[derive(Default)]
struct Deadlines {
    /// The applied index at which it was read.
    at: Option<u64>,
    next: Option<(VenueNo, Timestamp)>,
}

impl Deadlines {
    /// The venue whose earliest deadline has passed. The proposal's stamp decides; this only saves empty entries.
    fn due(&mut self, shard: &Shard) -> Option<VenueNo> {
        let reader = &shard.group.reader;
        if self.at.is_none() || self.at != reader.applied_index() {
            let view = reader.view().ok()?;
            match queries::next_deadline(&ViewRows(&view)) {
                Ok(next) => (self.at, self.next) = (view.applied_index(), next),
                Err(error) => {
                    tracing::error!(shard = shard.group.id, %error, "reading the holds' deadlines failed");
                    return None;
                }
            }
        }
        self.next
            .filter(|(_, deadline)| deadline.0 <= shard.now_ms())
            .map(|(venue, _)| venue)
    }

    /// For how long the earliest deadline has been past, as it was read last.
    #[expect(clippy::cast_precision_loss, reason = "a metric in seconds")]
    fn overdue_seconds(&self, shard: &Shard) -> f64 {
        self.next.map_or(0.0, |(_, deadline)| {
            (shard.now_ms() - deadline.0).max(0) as f64 / 1_000.0
        })
    }
}

/// True where something was expired, so that the next venue is worth a look at once.
async fn expire(shard: &Shard, venue: VenueNo) -> bool {
    match shard
        .propose(
            venue,
            Operation::Expire {
                limit: HOLDS_PER_COMMAND,
            },
        )
        .await
    {
        Ok((_, Outcome::Expired { count, more })) => {
            metrics::counter!(names::HOLDS_EXPIRED.name, "shard" => shard.group.id.to_string())
                .increment(u64::from(count));
            // None, and no more: all were confirmed, or the stamps are behind this machine's wall clock; wait for them.
            count > 0 || more
        }
        Ok((index, outcome)) => {
            tracing::error!(
                shard = shard.group.id,
                index,
                ?outcome,
                "an expiry gave an outcome of another kind"
            );
            false
        }
        Err(error) => {
            tracing::debug!(shard = shard.group.id, venue = venue.0, %error, "expiry waits for the next round");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_started_apart_look_at_the_same_moments() {
        let origin = Instant::now();
        for started in [0, 1, 249, 250, 1_001] {
            let now = origin + Duration::from_millis(started);
            let first = next_tick(origin, now);
            assert!(first > now && first - now <= INTERVAL);
            assert_eq!((first - origin).as_millis() % INTERVAL.as_millis(), 0);
        }
    }
}
