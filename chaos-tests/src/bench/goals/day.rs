//! S9: a museum's day of twelve hours, compressed: more come at noon than at night, most of them look. What grows must stop
//! growing, and the afternoon must be as quick as the morning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use super::super::market::NotOnOffer;
use super::super::run::{self, Plan, Way};
use super::super::samples::{Samples, Second};
use super::super::shopper::Workload;
use super::super::{audit, cpu, load};
use super::{Goal, Options, Report};

/// Visitors in each hour, as a share of the busiest.
const HOURS: [f64; 12] = [0.3, 0.6, 1.0, 1.0, 0.8, 0.7, 0.8, 1.0, 1.0, 0.7, 0.5, 0.2];
/// Two hours before noon and two after it with as many visitors.
const MORNING: std::ops::Range<usize> = 2..4;
const AFTERNOON: std::ops::Range<usize> = 7..9;
/// A machine that is shared differs by so much from one part of a day to the next.
const FLAT: f64 = 1.5;
/// By so much memory may grow from midday to the evening.
const GROWTH: f64 = 1.1;
/// A node of S9 gets as little memory as it takes, so that its caches are full long before midday: what grows then would grow for ever.
const MEMORY: &str = "64MiB";

pub(super) async fn measure(options: &Options, report: &mut Report) -> Result<(), NotOnOffer> {
    let hour = (options.day / 12).as_secs().max(1);
    let arrivals: Vec<u64> = HOURS
        .iter()
        .flat_map(|share| std::iter::repeat_n((share * options.peak).round() as u64, hour as usize))
        .collect();
    let plan = Plan {
        span: Duration::from_secs(arrivals.len() as u64),
        node_flags: format!("--memory {MEMORY}"),
        ..options.plan(Workload::Mixed, Way::Http)
    };
    let mut ground = run::found(&plan).await?;
    let (cluster, stalls) = (&mut ground.cluster, &ground.stalls);
    let shoppers = run::shoppers(&plan, cluster, stalls);
    let mut processes: BTreeMap<String, u32> = cluster
        .nodes()
        .into_iter()
        .map(|node| (format!("node {node}"), cluster.process(node).pid()))
        .collect();
    processes.insert("router".to_owned(), cluster.router().pid());

    let memory: Arc<Mutex<Vec<BTreeMap<String, u64>>>> = Arc::default();
    let watch = {
        let memory = Arc::clone(&memory);
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(Duration::from_secs(hour));
            loop {
                interval.tick().await;
                let now = processes
                    .iter()
                    .map(|(name, pid)| (name.clone(), cpu::resident(*pid).unwrap_or(0)));
                memory.lock().push(now.collect());
            }
        })
    };
    let shape = load::Shape {
        warm_up: Duration::ZERO,
        span: plan.span,
        pace: load::Pace::by_the_second(&arrivals, &mut fastrand::Rng::with_seed(plan.seed)),
    };
    let (shoppers, samples) = load::run(shoppers, &shape).await;
    watch.abort();
    tell_latency(report, &samples, hour as usize);
    tell_memory(report, &memory.lock());
    let audited = audit::run(cluster, stalls, &shoppers).await;
    for finding in &audited.findings {
        report.unsound.push(format!("S9: {finding}"));
    }
    cluster.check_processes();
    Ok(())
}

/// All but one of a hundred of these seconds' answers took no longer, in microseconds.
fn p99(seconds: &[Second]) -> u64 {
    let mut all: Option<Histogram<u64>> = None;
    for second in seconds {
        match &mut all {
            // The bounds are the same, so nothing is refused.
            Some(all) => drop(all.add(&second.latencies)),
            None => all = Some(second.latencies.clone()),
        }
    }
    all.map_or(0, |all| all.value_at_quantile(0.99))
}

fn tell_latency(report: &mut Report, samples: &Samples, hour: usize) {
    let seconds = samples.seconds();
    let part = |hours: std::ops::Range<usize>| {
        let end = (hours.end * hour).min(seconds.len());
        p99(&seconds[(hours.start * hour).min(end)..end])
    };
    let (morning, afternoon) = (part(MORNING), part(AFTERNOON));
    let failed: u64 = seconds.iter().map(|second| second.counts.failed).sum();
    let wanted = format!("<= {FLAT} times the morning's, no errors");
    let reached = format!(
        "{:.1} ms after {:.1} ms, {failed} errors",
        afternoon as f64 / 1_000.0,
        morning as f64 / 1_000.0
    );
    let met = afternoon as f64 <= FLAT * morning as f64 && failed == 0;
    report.add(
        Goal::S9,
        "p99 in the afternoon of a day of `mixed`",
        wanted,
        reached,
        met,
    );
}

fn tell_memory(report: &mut Report, memory: &[BTreeMap<String, u64>]) {
    let (Some(noon), Some(evening)) = (memory.get(memory.len() / 2), memory.last()) else {
        return;
    };
    for (name, after) in evening {
        let before = noon.get(name).copied().unwrap_or(0);
        let wanted = format!("<= {GROWTH} times midday's, nodes with --memory {MEMORY}");
        let reached = format!("{} MiB after {} MiB", after >> 20, before >> 20);
        let met = *after as f64 <= GROWTH * before as f64;
        report.add(
            Goal::S9,
            &format!("memory of {name} in the evening"),
            wanted,
            reached,
            met,
        );
    }
}
