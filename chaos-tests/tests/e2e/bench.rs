//! That a benchmark measures what it says, and that its audit would notice: short runs, for no time is asserted here.

use std::sync::Arc;
use std::time::Duration;

use rotunda_chaos::bench::audit;
use rotunda_chaos::bench::door::{Door, Grpc, Http};
use rotunda_chaos::bench::goals::{self, Goal};
use rotunda_chaos::bench::load::{self, Pace, Shape};
use rotunda_chaos::bench::market::{self, Kind, Stall};
use rotunda_chaos::bench::page;
use rotunda_chaos::bench::report;
use rotunda_chaos::bench::run::{self, Plan, Way};
use rotunda_chaos::bench::samples::Deed;
use rotunda_chaos::bench::shopper::{Shopper, Workload};
use rotunda_chaos::cluster::Cluster;
use rotunda_chaos::report::tell;

fn short(workload: Workload, way: Way) -> Plan {
    let plan = Plan::new(workload, way, Duration::from_secs(1), None);
    Plan {
        clients: 16,
        warm_up: plan.warm_up.min(Duration::from_millis(200)),
        ..plan
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_workload_does_what_it_is_called_for_and_is_audited() {
    for workload in Workload::ALL {
        for way in [Way::Http, Way::Grpc] {
            let mut plan = short(workload, way);
            match workload {
                Workload::Onsale => plan.arrivals = Some(Arc::from([20, 60, 10])),
                // Small enough that it sells out.
                Workload::Sellout => {
                    plan.market = Kind::Family { slots: 2, places: 150 };
                    plan.span = Duration::from_secs(60);
                }
                _ => {}
            }
            let outcome = run::run(&plan)
                .await
                .unwrap_or_else(|error| panic!("{workload}: {error}"));
            assert!(outcome.audit.is_sound(), "{workload}: {:?}", outcome.audit);
            let done = outcome
                .deeds
                .get(&workload.headline())
                .map_or(0, |deed| deed.counts.done);
            assert!(
                done > 0 && outcome.audit.in_the_log > 0,
                "{workload}, {way:?}: {outcome:?}"
            );
            if workload == Workload::Sellout {
                assert_eq!(
                    (outcome.audit.slots_sold_out, outcome.audit.places_taken),
                    (2, 300),
                    "{:?}",
                    outcome.audit
                );
            }
            let failed: u64 = outcome.deeds.values().map(|deed| deed.counts.failed).sum();
            assert_eq!(failed, 0, "{workload}, {way:?}");
            let page = page::page(&plan, std::slice::from_ref(&outcome), "rotunda-bench");
            assert!(page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
            tell(report::text(&plan, &[outcome]));
        }
    }
}

/// What is reached in so short a time says nothing; that all of it is measured, and that the audits are sound, does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goals_are_measured_and_audited() {
    let place = tempfile::tempdir().expect("a folder");
    let options = goals::Options {
        only: [Goal::S3, Goal::S5, Goal::S7, Goal::S9].into(),
        span: Duration::from_secs(1),
        bookings: 1_000,
        day: Duration::from_secs(12),
        peak: 20.0,
        scale: 0.001,
        place: place.path().to_owned(),
        programs: None,
    };
    let report = goals::measure(&options, |what| tell(what.to_owned()))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    tell(report.text());
    assert!(report.unsound.is_empty(), "{:?}", report.unsound);
    let lines = |goal| report.lines.iter().filter(|line| line.goal == goal).count();
    // Of both doors; of both doors; rate, memory and restart; latency, and memory of three nodes and a router.
    let told = [Goal::S3, Goal::S5, Goal::S7, Goal::S9].map(lines);
    assert_eq!(told, [2, 2, 3, 5], "{}", report.text());
    let left = std::fs::read_dir(place.path()).expect("the folder").count();
    assert_eq!(left, 1, "only the file that was synced stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_finds_what_was_acknowledged_and_is_not_there() {
    let mut cluster = Cluster::builder().shards(1).start().await;
    let stalls: Arc<[Stall]> = market::set_up(&mut cluster, Kind::HotSlot)
        .await
        .expect("a slot")
        .into();
    let random = fastrand::Rng::with_seed(7);
    let http = Door::Http(Box::new(Http::new(cluster.http_address(), 1, random.clone())));
    let grpc = Door::Grpc(Grpc::new(cluster.client().clone(), fastrand::Rng::with_seed(8)));
    let shoppers = [http, grpc]
        .into_iter()
        .map(|door| Shopper::new(Workload::Hot, door, Arc::clone(&stalls), random.clone()))
        .collect();
    let shape = Shape {
        warm_up: Duration::ZERO,
        span: Duration::from_secs(60),
        pace: Pace::Open((0..40).map(Duration::from_millis).collect()),
    };
    let (mut shoppers, samples) = load::run(shoppers, &shape).await;
    assert_eq!(samples.of(Deed::Hold).counts.done, 40);
    let sound = audit::run(&mut cluster, &stalls, &shoppers).await;
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!(
        (sound.in_the_log, sound.places_taken, sound.places_acknowledged),
        (40, 40, 40)
    );

    // An answer for something that no entry holds; one of another entry; places that nobody acknowledged.
    let real = shoppers[0].acknowledged[0];
    let mut forged = real;
    forged.booking.secret ^= 1;
    shoppers[0].acknowledged.push(forged);
    let found = audit::run(&mut cluster, &stalls, &shoppers).await;
    assert_eq!(
        found.found, 2,
        "it is in no entry, and its place is not taken: {found:?}"
    );

    shoppers[0].acknowledged.pop();
    shoppers[0].acknowledged[0].index += 1_000_000;
    let found = audit::run(&mut cluster, &stalls, &shoppers).await;
    assert_eq!(found.found, 1, "there is no such entry: {found:?}");

    shoppers[0].acknowledged.remove(0);
    let found = audit::run(&mut cluster, &stalls, &shoppers).await;
    assert_eq!(found.found, 1, "a place is taken that nobody was promised: {found:?}");
}
