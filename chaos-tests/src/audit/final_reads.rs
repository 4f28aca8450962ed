//! What each replica has of every booking, read out of the replica itself.
//!
//! A node answers questions about a shard only while it leads it, so every replica is made to lead in turn and is asked
//! then. Its state hash would not do instead: that is a sum which it moves as it writes, and it reports the same one
//! when its disk has lost a row since.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use rotunda_booking::ids::BookingId;
use rotunda_booking::query::{Answer, Query};
use rotunda_protocol::client::{ClusterClient, LogEntry};
use tokio::time::Instant;

use crate::history::lines::{FinalBooking, LogLine, Op};
use crate::history::reader::Saved;
use crate::invariants::Evidence;
use crate::wait;

/// A question, or handing a shard over, takes no longer.
const ASK: Duration = Duration::from_secs(10);
/// Questions under way at a time.
const AT_ONCE: usize = 64;

/// The bookings of a shard: those that callers were told of, and those that its log made.
///
/// # Panics
/// Where the log does not decode.
pub(super) fn bookings(shard: u64, operations: &[Op], log: &[LogEntry]) -> BTreeSet<BookingId> {
    let saved = Saved {
        entries: log.iter().map(|entry| LogLine::of_log(shard, entry)).collect(),
        ..Saved::default()
    };
    let evidence = Evidence::new(&saved).unwrap_or_else(|error| panic!("the log does not decode: {error}"));
    let made = evidence
        .steps()
        .filter(|(_, step)| step.effect().is_some())
        .filter_map(|(_, step)| step.booking());
    let told = operations
        .iter()
        .filter(|op| op.shard == Some(shard))
        .filter_map(|op| op.response.as_ref().and_then(|told| told.id));
    made.chain(told).collect()
}

/// Has a node lead a shard and asks it for every booking of it.
///
/// # Panics
/// Where it never gets to lead, or does not answer.
pub(super) async fn read(
    client: &ClusterClient,
    node: u32,
    shard: u64,
    bookings: &BTreeSet<BookingId>,
) -> Vec<FinalBooking> {
    wait::until(&format!("what node {node} has of shard {shard}"), async || {
        let term = lead(client, node, shard).await?;
        let answers = futures::stream::iter(bookings).map(|booking| ask(client, node, *booking));
        let lines = answers.buffered(AT_ONCE).try_collect().await?;
        // Led by it in one term before and after: nobody else can have answered in between.
        match leader(client, shard).await {
            Some(led) if led == (node, term) => Ok(lines),
            _ => Err("another one took over meanwhile".to_owned()),
        }
    })
    .await
}

/// Hands the shard to the node, where it does not lead it yet; gives the term in which it does.
async fn lead(client: &ClusterClient, node: u32, shard: u64) -> Result<u64, String> {
    match leader(client, shard).await {
        Some((leading, term)) if leading == node => Ok(term),
        _ => {
            let handed = client.transfer_leader(shard, node, Instant::now() + ASK).await;
            Err(handed.map_or_else(|error| error.to_string(), |()| "just handed over".to_owned()))
        }
    }
}

/// Who leads a shard, and in which term. A deposed leader that has not noticed yet says so too: the highest term counts.
async fn leader(client: &ClusterClient, shard: u64) -> Option<(u32, u64)> {
    let statuses = client.node_status(Instant::now() + ASK).await;
    let replicas = statuses.iter().flat_map(|(node, status)| {
        let replicas = status.iter().flat_map(|status| &status.replicas);
        replicas.map(|replica| (node.id, replica))
    });
    replicas
        .filter(|(_, replica)| replica.shard == shard && replica.role == "leader")
        .map(|(node, replica)| (node, replica.term))
        .max_by_key(|(_, term)| *term)
}

async fn ask(client: &ClusterClient, node: u32, booking: BookingId) -> Result<FinalBooking, String> {
    let query = Query::Booking { booking };
    let answered = client.query(&query, None, Instant::now() + ASK).await;
    let answered = answered.map_err(|error| error.to_string())?;
    let view = match answered.answer {
        Answer::Booking(view) => Some(view),
        _ => None,
    };
    Ok(FinalBooking {
        line: 0,
        node,
        shard: answered.shard,
        index: answered.index,
        booking,
        status: view.as_ref().map(|view| view.status),
        total: view.map_or(0, |view| view.total),
    })
}
