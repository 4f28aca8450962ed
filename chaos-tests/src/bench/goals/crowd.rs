//! S8: what groups cost that nobody asks for anything, and what it costs to divide the same work over more of them.

use std::time::{Duration, Instant};

use super::super::cpu::Meter;
use super::super::market::{Kind, NotOnOffer};
use super::super::run::{self, Plan, Way};
use super::super::samples::Deed;
use super::super::shopper::Workload;
use super::{Goal, Options, Report, folder};
use crate::cluster::Cluster;

/// Shards of an idle node; the meta group is the 64th.
const IDLE_SHARDS: u64 = 63;
/// Until elections and calendars are over.
const QUIET: Duration = Duration::from_secs(5);
const BUSY: u64 = 16;
const FEW: u64 = 4;

pub(super) async fn measure(options: &Options, report: &mut Report) -> Result<(), NotOnOffer> {
    idle(options, report).await?;
    let mut rates = Vec::new();
    for shards in [FEW, BUSY] {
        let plan = Plan {
            shards,
            market: Kind::Halls { venues: BUSY as u32 },
            ..options.plan(Workload::Spread, Way::Grpc)
        };
        let outcome = run::run(&plan).await?;
        report.audited(Goal::S8, &outcome);
        rates.push(outcome.rate(Deed::Hold));
    }
    let what = "16 venues in 16 busy groups, held against 4 groups, gRPC";
    report.times(Goal::S8, what, 0.85, rates[1], rates[0]);
    Ok(())
}

async fn idle(options: &Options, report: &mut Report) -> Result<(), NotOnOffer> {
    let place = folder(&options.place, "idle")?;
    let mut builder = Cluster::builder().default_timing().shards(IDLE_SHARDS).place(&place);
    if let Some(programs) = &options.programs {
        builder = builder.programs(programs);
    }
    let mut cluster = builder.start().await;
    tokio::time::sleep(QUIET).await;
    let nodes = cluster.nodes().into_iter();
    let meter = Meter::of(
        nodes
            .map(|node| (format!("node {node}"), cluster.process(node).pid()))
            .collect(),
    );
    let begun = Instant::now();
    tokio::time::sleep(options.span).await;
    let took = begun.elapsed().as_micros() as f64;
    let most = meter.read().into_iter().map(|(_, micros)| micros).max().unwrap_or(0);
    let share = 100.0 * most as f64 / took;
    let what = "64 idle groups on a node, the busiest of three";
    report.add(
        Goal::S8,
        what,
        "<= 3 % of a core",
        format!("{share:.1} %"),
        share <= 3.0,
    );
    cluster.check_processes();
    Ok(())
}
