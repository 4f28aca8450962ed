//! End-to-end tests with real processes. They need the binaries: `cargo build --workspace` first.
//!
//! One test at a time has the machine (see `cluster::machine`), so they can be run with any number of threads. Each waits
//! for conditions; the times that are printed are measured, never asserted, but for bounds that only a fault meets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod alerting;
mod at_rest;
mod backup;
mod bench;
mod broken_disk;
mod browser;
mod certificates;
mod clock_jump;
mod clocks;
mod command_line;
mod demo;
mod failover;
mod failpoints;
mod forgery;
mod looking;
mod memory;
mod metrics;
mod operator_input;
mod overview;
mod probes;
mod replaced_node;
mod settings;
mod supervised;
mod telemetry;
mod tokens;
mod upgrade;
mod visitor_input;

use jiff::{Timestamp, ToSpan as _};
use rotunda_chaos::cluster::{Builder, Cluster, MERIDIAN};
use rotunda_chaos::selling::{self, Offer};
use rotunda_chaos::visitor::Visitor;

/// Everybody who asks.
const VISITORS: usize = 64;

/// The venue with the hot slot.
const HOT_VENUE: &str = "lisbon-tides";

/// A service day so many days from now.
fn day(days: i64) -> String {
    (Timestamp::now() + (days * 24).hours())
        .strftime("%Y-%m-%d")
        .to_string()
}

/// A cluster that sells the museum network, with what is on offer, and the one slot that too many want.
async fn selling_cluster() -> (Cluster, Hot, Vec<Offer>) {
    selling_cluster_of(Cluster::builder()).await
}

/// As [`selling_cluster`], of other parts.
async fn selling_cluster_of(builder: Builder) -> (Cluster, Hot, Vec<Offer>) {
    // The visitors' addresses are made up: the router believes them, so each visitor has a quota of their own.
    let mut cluster = builder
        .router_flags("--trusted-proxy 127.0.0.0/8 --rate-limit 60/60s")
        .start()
        .await;
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    // A week and a day: one of the houses opens at weekends only.
    let offers = selling::offers(&Visitor::new(&cluster.door()), &day(2), &day(9)).await;
    let venues: std::collections::BTreeSet<&str> = offers.iter().map(|offer| offer.venue.as_str()).collect();
    assert_eq!(venues.len(), 10, "every venue has something open: {venues:?}");
    let offer = offers
        .iter()
        .find(|offer| offer.venue == HOT_VENUE)
        .expect("an offer of the hot venue")
        .clone();
    let shard = cluster.shard_of(HOT_VENUE).await;
    (cluster, Hot { offer, shard }, offers)
}

/// See [`selling_cluster`].
struct Hot {
    offer: Offer,
    shard: u64,
}
