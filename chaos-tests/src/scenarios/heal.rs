//! After the last fault: does every shard serve again, by itself, and how soon (I12)?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rotunda_booking::ids::{BookingId, VenueNo};

use super::nemesis::Nemesis;
use super::notes::Notes;
use crate::history::lines::Healing;
use crate::visitor::{Request, Visitor};

/// I12.
pub(super) const WITHIN: Duration = Duration::from_secs(15);
/// How long the harness goes on asking, to tell late from never.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPT: Duration = Duration::from_secs(1);

/// Mends everything, and asks each shard for something until it has answered. Gives the time that it took; none where one
/// never did.
///
/// # Errors
/// Where a fault cannot be mended: then nothing about healing is shown.
pub(super) async fn run(nemesis: &mut Nemesis, notes: &Notes) -> Result<Option<Duration>, String> {
    nemesis.heal().await?;
    notes.heal(Healing::Begin);
    let begun = Instant::now();
    let venues = a_venue_of_each_shard(nemesis);
    let door = nemesis.cluster.door();
    let mut waiting: Vec<VenueNo> = venues.into_values().collect();
    while !waiting.is_empty() {
        if begun.elapsed() > PATIENCE {
            return Ok(None);
        }
        // Who ended of a fault just before it was mended is started again, as a supervisor would.
        nemesis.supervise();
        let answers = join_all(waiting.iter().map(|venue| serves(&door, *venue))).await;
        let mut answers = answers.into_iter();
        waiting.retain(|_| !answers.next().unwrap_or(false));
        tokio::time::sleep(PAUSE).await;
    }
    notes.heal(Healing::Served);
    Ok(Some(begun.elapsed()))
}

fn a_venue_of_each_shard(nemesis: &Nemesis) -> BTreeMap<u64, VenueNo> {
    let map = nemesis.cluster.client().map();
    map.venues().iter().map(|venue| (venue.shard, venue.number)).collect()
}

/// Whether the log of the venue's shard decides: here, that a booking that never was cannot be given back.
async fn serves(door: &str, venue: VenueNo) -> bool {
    let booking = BookingId {
        venue,
        // The last that an id has room for: no venue gets there.
        seq: (1 << 48) - 1,
        secret: rand::random(),
    };
    let release = Request::post(format!("/v1/bookings/{booking}/release"), None);
    let asked = tokio::time::timeout(ATTEMPT, async { Visitor::new(door).send(&release).await });
    matches!(asked.await, Ok(Ok(answer)) if answer.commit.is_some())
}
