//! What a node takes while nothing happens, and how much more when a lot does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::{BookingId, CommandKey, VenueNo};
use rotunda_booking::outcome::Outcome;
use rotunda_chaos::cluster::{Cluster, MERIDIAN};
use rotunda_chaos::report::tell;
use rotunda_protocol::error::ClientError;
use tokio::task::JoinSet;
use tokio::time::Instant;

const MOST: u64 = 150 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_stays_under_150_mebibytes() {
    let mut cluster = Cluster::builder().start().await;
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    for node in cluster.nodes() {
        let bytes = cluster.process(node).resident_bytes();
        tell(format!(
            "node {node}, idle, {} venues of 90 days: {} MiB resident",
            cluster.client().map().venues().len(),
            bytes >> 20
        ));
        assert!(bytes < MOST, "node {node} has {} MiB resident", bytes >> 20);
    }
}

/// Commands that leave a record, a key, an entry and an answer each: kept whole they would take several times the budget.
const COMMANDS: u64 = 200_000;
const BUDGET: u64 = 64 << 20;
const IN_FLIGHT: u64 = 256;

/// Refused, and remembered under its key.
fn release(number: u64, venue: VenueNo) -> Command {
    Command {
        key: Some(CommandKey(uuid::Uuid::new_v4().into_bytes())),
        fingerprint: number,
        venue,
        actor: None,
        operation: Operation::Release {
            booking: BookingId {
                venue,
                seq: u64::MAX - number,
                secret: number,
            },
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_node_grows_by_no_more_than_its_budget() {
    let mut cluster = Cluster::builder().node_flags("--memory 64MiB").start().await;
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    let resident = |cluster: &Cluster| -> Vec<u64> {
        let nodes = cluster.nodes();
        nodes
            .iter()
            .map(|node| cluster.process(*node).resident_bytes())
            .collect()
    };
    let idle = resident(&cluster);
    let venues: Vec<VenueNo> = cluster
        .client()
        .map()
        .venues()
        .iter()
        .map(|venue| venue.number)
        .collect();
    let overloaded = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..IN_FLIGHT {
        let (client, venues, overloaded) = (cluster.client().clone(), venues.clone(), Arc::clone(&overloaded));
        callers.spawn(async move {
            for number in (caller..COMMANDS).step_by(IN_FLIGHT as usize) {
                let command = release(number, venues[number as usize % venues.len()]);
                match client.submit(&command, Instant::now() + Duration::from_secs(60)).await {
                    Ok(submitted) => assert!(matches!(submitted.reply.outcome, Outcome::Refused(_))),
                    Err(ClientError::Overloaded) => {
                        overloaded.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    callers.join_all().await;
    let busy = resident(&cluster);
    tell(format!(
        "{COMMANDS} commands ({} refused as too many) with --memory 64MiB: {:?} MiB resident, idle {:?}",
        overloaded.load(Ordering::Relaxed),
        busy.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>(),
        idle.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>(),
    ));
    for (busy, idle) in busy.iter().zip(&idle) {
        assert!(*busy < idle + BUDGET, "a node grew by {} MiB", (busy - idle) >> 20);
    }
}
