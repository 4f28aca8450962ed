//! S7: the same slot when nobody has bought yet and after millions have; what a node takes in memory then, and how long it
//! takes to come back from a kill.

use std::time::{Duration, Instant};

use super::super::market::NotOnOffer;
use super::super::report::thousands;
use super::super::run::{self, Way};
use super::super::samples::{Deed, Samples};
use super::super::shopper::{Shopper, Workload};
use super::super::{audit, cpu, load};
use super::{Goal, Options, Report};

/// How long it is filled between two looks.
const STRETCH: Duration = Duration::from_secs(10);

/// Memory that a node was given, `--memory`, and what a process is beside it: code, stacks, sockets, the allocator's slack.
const MEMORY_MIB: u64 = 512;
const BESIDE_MIB: u64 = 256;

const RESTART: Duration = Duration::from_secs(10);

pub(super) async fn measure(options: &Options, report: &mut Report, progress: impl Fn(&str)) -> Result<(), NotOnOffer> {
    let mut plan = options.plan(Workload::Hot, Way::Grpc);
    plan.node_flags = format!("--memory {MEMORY_MIB}MiB");
    let mut ground = run::found(&plan).await?;
    let (cluster, stalls) = (&mut ground.cluster, &ground.stalls);
    let mut shoppers = run::shoppers(&plan, cluster, stalls);
    let held = |shoppers: &[Shopper]| -> u64 { shoppers.iter().map(|shopper| shopper.acknowledged.len() as u64).sum() };

    progress("S7: the first bookings");
    let (back, first) = stretch(shoppers, Duration::from_millis(500), options.span).await;
    shoppers = back;
    let few = held(&shoppers);
    while held(&shoppers) < options.bookings {
        let done = held(&shoppers);
        progress(&format!("S7: {} bookings", thousands(done as f64)));
        (shoppers, _) = stretch(shoppers, Duration::ZERO, STRETCH).await;
        if held(&shoppers) == done {
            return Err(NotOnOffer::new("nothing is sold any more".to_owned()));
        }
    }
    let many = held(&shoppers);
    progress(&format!("S7: after {} bookings", thousands(many as f64)));
    let (shoppers, last) = stretch(shoppers, Duration::from_millis(500), options.span).await;
    let what = format!(
        "rate after {} bookings, held against the first {}",
        thousands(many as f64),
        thousands(few as f64)
    );
    report.times(Goal::S7, &what, 0.8, last.rate(Deed::Hold), first.rate(Deed::Hold));

    let most = cluster
        .nodes()
        .into_iter()
        .filter_map(|node| cpu::resident(cluster.process(node).pid()))
        .max();
    let mib = most.unwrap_or(0) >> 20;
    let wanted = format!(
        "<= {} MiB (--memory {MEMORY_MIB}MiB and the process)",
        MEMORY_MIB + BESIDE_MIB
    );
    let met = mib <= MEMORY_MIB + BESIDE_MIB;
    report.add(
        Goal::S7,
        "memory of the largest node",
        wanted,
        format!("{mib} MiB"),
        met,
    );

    let leader = cluster.leader_of(stalls[0].shard).await;
    cluster.kill(leader);
    let begun = Instant::now();
    cluster.start_node(leader);
    cluster.until_caught_up(leader).await;
    let took = begun.elapsed();
    let reached = format!("{:.1} s", took.as_secs_f64());
    let what = "from a leader's start after a kill until it is ready and level";
    report.add(Goal::S7, what, "<= 10 s", reached, took <= RESTART);

    let audited = audit::run(cluster, stalls, &shoppers).await;
    for finding in &audited.findings {
        report.unsound.push(format!("S7: {finding}"));
    }
    cluster.check_processes();
    Ok(())
}

async fn stretch(shoppers: Vec<Shopper>, warm_up: Duration, span: Duration) -> (Vec<Shopper>, Samples) {
    let shape = load::Shape {
        warm_up,
        span,
        pace: load::Pace::Closed,
    };
    load::run(shoppers, &shape).await
}
