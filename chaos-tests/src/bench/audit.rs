//! After a run: is what was acknowledged in the log, where it was said to be, and was nothing sold above what there was?
//!
//! Cheaper than the audits of chaos runs, which cannot look at millions of bookings: each acknowledgement is looked up in
//! its entry, and the slots' counts are held against the sums of what was acknowledged. All replicas have to agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rotunda_booking::codec;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::time::ServiceDay;
use serde::Serialize;
use tokio::time::Instant;

use super::market::Stall;
use super::samples::Deed;
use super::shopper::{Acknowledged, Shopper};
use crate::cluster::Cluster;
use crate::wait;

const ASK: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 86_400_000;
/// So many findings are told.
const SHOWN: usize = 10;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audit {
    /// Acknowledgements that were looked up in the log.
    pub in_the_log: u64,
    /// Acknowledgements whose entries are purged already: not looked up.
    pub purged: u64,
    /// Places that the slots say are taken.
    pub places_taken: u64,
    /// Places that were acknowledged as held and not given back.
    pub places_acknowledged: u64,
    /// Places of holds whose fate nobody was told.
    pub places_unknown: u64,
    /// Slots without a place left.
    pub slots_sold_out: u64,
    /// What is wrong; the first few.
    pub findings: Vec<String>,
    /// How much is wrong.
    pub found: u64,
}

impl Audit {
    /// True where nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.found == 0
    }

    fn tell(&mut self, finding: String) {
        self.found += 1;
        if self.findings.len() < SHOWN {
            self.findings.push(finding);
        }
    }
}

/// Audits a cluster that nobody buys from any more.
///
/// # Panics
/// Where the replicas never come to agree, or a log cannot be read.
pub async fn run(cluster: &mut Cluster, stalls: &[Stall], shoppers: &[Shopper]) -> Audit {
    cluster.until_settled().await;
    let mut audit = Audit::default();
    let mut by_shard: BTreeMap<u64, Vec<Acknowledged>> = BTreeMap::new();
    for ack in shoppers.iter().flat_map(|shopper| &shopper.acknowledged) {
        by_shard.entry(ack.shard).or_default().push(*ack);
    }
    for (shard, acks) in &mut by_shard {
        acks.sort_unstable_by_key(|ack| ack.index);
        look_up(cluster, *shard, acks, &mut audit).await;
    }
    count_places(cluster, stalls, shoppers, &mut audit).await;
    audit
}

/// Whether each acknowledged command is in the entry that its answer named.
async fn look_up(cluster: &Cluster, shard: u64, acks: &[Acknowledged], audit: &mut Audit) {
    let leader = cluster.leader_of(shard).await;
    let mut rest = acks;
    while let Some(first) = rest.first() {
        let from = first.index;
        let page = wait::until(&format!("the log of shard {shard} from {from}"), async || {
            let page = cluster.client().read_log(leader, shard, from).await;
            page.map_err(|error| error.to_string())
        })
        .await;
        let (Some(begin), Some(end)) = (page.first(), page.last()) else {
            for ack in rest {
                audit.tell(format!(
                    "shard {shard} has no entry {}: {:?} of {} is lost",
                    ack.index, ack.deed, ack.booking
                ));
            }
            return;
        };
        let (before, after) = (begin.index, end.index);
        let purged = rest.partition_point(|ack| ack.index < before);
        audit.purged += purged as u64;
        rest = &rest[purged..];
        for entry in &page {
            let count = rest.partition_point(|ack| ack.index <= entry.index);
            let (here, later) = rest.split_at(count);
            rest = later;
            if here.is_empty() {
                continue;
            }
            let commands = match codec::decode_entry(&entry.payload) {
                Ok(decoded) => decoded.commands,
                Err(error) => {
                    audit.tell(format!(
                        "entry {} of shard {shard} does not decode: {error}",
                        entry.index
                    ));
                    continue;
                }
            };
            let done: BTreeSet<(Deed, u64)> = commands.iter().filter_map(done).collect();
            for ack in here {
                audit.in_the_log += 1;
                if !done.contains(&(ack.deed, ack.booking.secret)) {
                    audit.tell(format!(
                        "entry {} of shard {shard} has no {:?} of {}, which was acknowledged",
                        entry.index, ack.deed, ack.booking
                    ));
                }
            }
        }
        if after < from {
            return audit.tell(format!("shard {shard} does not show its log beyond {after}"));
        }
    }
}

/// What a command does to which booking: a booking's secret is drawn for it alone.
fn done(command: &Command) -> Option<(Deed, u64)> {
    match &command.operation {
        Operation::Hold(hold) => Some((Deed::Hold, hold.secret)),
        Operation::Confirm { booking, .. } => Some((Deed::Confirm, booking.secret)),
        Operation::Release { booking } => Some((Deed::Release, booking.secret)),
        _ => None,
    }
}

/// Holds the slots' counts against what was acknowledged.
async fn count_places(cluster: &Cluster, stalls: &[Stall], shoppers: &[Shopper], audit: &mut Audit) {
    let mut promised = vec![0u64; stalls.len()];
    let mut unknown = vec![0u64; stalls.len()];
    let mut of_booking = BTreeMap::new();
    for shopper in shoppers {
        for ack in &shopper.acknowledged {
            match ack.deed {
                Deed::Hold => {
                    promised[ack.stall as usize] += u64::from(ack.places);
                    of_booking.insert(ack.booking, (ack.stall, ack.places));
                }
                Deed::Release => {
                    if let Some((stall, places)) = of_booking.get(&ack.booking) {
                        promised[*stall as usize] -= u64::from(*places);
                    }
                }
                Deed::Confirm | Deed::Look => {}
            }
        }
        for (stall, places) in &shopper.unknown {
            unknown[*stall as usize] += u64::from(*places);
        }
    }
    for (number, stall) in stalls.iter().enumerate() {
        let (taken, capacity) = places(cluster, stall).await;
        audit.places_taken += taken;
        audit.places_acknowledged += promised[number];
        audit.places_unknown += unknown[number];
        audit.slots_sold_out += u64::from(taken == capacity);
        if taken > capacity {
            audit.tell(format!("{} has {capacity} places, and {taken} are taken", stall.slot));
        }
        if taken < promised[number] {
            let text = format!(
                "{}: {} places were acknowledged, {taken} are taken",
                stall.slot, promised[number]
            );
            audit.tell(text);
        }
        // A release whose answer was lost may have given back too; holds are what can be too many.
        if taken > promised[number] + unknown[number] {
            audit.tell(format!(
                "{}: {taken} places are taken, {} were acknowledged and {} are unknown",
                stall.slot, promised[number], unknown[number]
            ));
        }
    }
}

/// Places taken, and places.
async fn places(cluster: &Cluster, stall: &Stall) -> (u64, u64) {
    let local_ms = stall.slot.start.0 + i64::from(stall.slot.offset_minutes) * 60_000;
    let day = ServiceDay(i32::try_from(local_ms.div_euclid(DAY_MS)).unwrap_or_default());
    let query = Query::Availability {
        venue: stall.number,
        product: Some(stall.slot.product.clone()),
        from: ServiceDay(day.0 - 1),
        to: day,
    };
    wait::until(&format!("the counts of {}", stall.slot), async || {
        let answered = cluster.client().query(&query, None, Instant::now() + ASK).await;
        let Answer::Availability { slots, .. } = answered.map_err(|error| error.to_string())?.answer else {
            return Err("it is not there".to_owned());
        };
        let found = slots.iter().find(|slot| slot.slot == stall.slot);
        let found = found.ok_or_else(|| "it is not there".to_owned())?;
        Ok((
            u64::from(found.held) + u64::from(found.confirmed),
            u64::from(found.capacity),
        ))
    })
    .await
}
