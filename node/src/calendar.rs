//! Keeps each venue's rolling window of slots filled. The leader works the slots out with its zone tables and proposes
//! them as instants; apply opens no table, so replicas of two versions agree.

use std::sync::Arc;
use std::time::Duration;

use rotunda_booking::calendar as rules;
use rotunda_booking::command::Operation;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::outcome::Outcome;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::{ServiceDay, Timestamp};
use rotunda_protocol::rejection::Rejection;
use tokio::sync::watch;

use crate::meta::map::MetaState;
use crate::shards::Shard;
use crate::shards::shard::ShardError;

/// How often every led venue's window is looked at. A day has many of these, so the window is never a day short.
const INTERVAL: Duration = Duration::from_secs(60);

/// Plans proposed before the first outcome is waited for.
const PLANS_IN_FLIGHT: usize = 128;

/// What filling came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// New slots.
    pub added: u64,
    /// Unsold slots that the catalogue no longer has.
    pub removed: u64,
    /// Index of the last entry that changed something; 0 where nothing had to be done.
    pub index: u64,
}

/// Runs for ever beside a shard; does something only while the shard's leader is here.
pub async fn run(shard: Arc<Shard>, map: watch::Receiver<MetaState>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let venues: Vec<VenueNo> = {
            let map = map.borrow();
            map.venues
                .values()
                .filter(|venue| venue.shard == shard.group.id)
                .map(|venue| VenueNo(venue.number))
                .collect()
        };
        for venue in venues {
            if !shard.group.leadership.leads() {
                break;
            }
            match fill(&shard, venue).await {
                Ok(filled) if filled.added + filled.removed > 0 => {
                    tracing::info!(
                        shard = shard.group.id,
                        venue = venue.0,
                        added = filled.added,
                        removed = filled.removed,
                        "the window of slots moved on"
                    );
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(shard = shard.group.id, venue = venue.0, %error, "filling the calendar waits for the next round")
                }
            }
        }
    }
}

/// Proposes every day of the window whose slots are not in place.
///
/// # Errors
/// Where this node does not lead the shard (any more), or the state cannot be read. What was proposed stays; a later call goes on.
pub async fn fill(shard: &Shard, venue: VenueNo) -> Result<Filled, ShardError> {
    // Leadership confirmed first: a plan from an old catalogue would only be refused as stale, but cost entries.
    shard.group.reads.linearizable().await.map_err(ShardError::Rejected)?;
    let (_, answer) = shard.answer(&Query::Venue { venue })?;
    let Answer::Venue {
        planned_through,
        definition,
        ..
    } = answer
    else {
        return Ok(Filled::default());
    };
    // The log's time, not this machine's: a wall clock that jumped a year ahead would plan the days behind that year, and
    // once it was mended nobody would ever plan those before. The catalogue came by an entry, so there is a log time.
    let now = Timestamp(shard.pulse.now());
    let broken = |error: rules::CalendarError| ShardError::Broken(error.to_string());
    let (first, last) = rules::window(&definition, now, rules::DEFAULT_WINDOW_DAYS).map_err(broken)?;
    let mut plans = Vec::new();
    for (product, planned) in definition.products.iter().zip(planned_through) {
        let from = planned.map_or(first.0, |day| first.0.max(day.0 + 1));
        for day in from..=last.0 {
            plans.push(rules::plan(&definition, product, ServiceDay(day)).map_err(broken)?);
        }
    }
    let mut filled = Filled::default();
    let mut plans = plans.into_iter().peekable();
    while plans.peek().is_some() {
        // Together, so that they share entries; the batcher keeps their order, which `planned_through` relies on.
        let round = plans
            .by_ref()
            .take(PLANS_IN_FLIGHT)
            .map(|plan| shard.propose(venue, Operation::SetSlots(plan)));
        for outcome in futures::future::join_all(round).await {
            match outcome? {
                (index, Outcome::SlotsSet { added, removed, .. }) => {
                    filled.added += u64::from(added);
                    filled.removed += u64::from(removed);
                    filled.index = filled.index.max(index);
                }
                (_, Outcome::Refused(refusal)) => {
                    return Err(ShardError::Rejected(Rejection::unknown(refusal.detail)));
                }
                (index, outcome) => {
                    return Err(ShardError::Broken(format!("entry {index} gave {outcome:?} for a plan")));
                }
            }
        }
    }
    Ok(filled)
}
