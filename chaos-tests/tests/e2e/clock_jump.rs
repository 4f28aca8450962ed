//! The wall clock of one node jumps by hours, forward and back, while everybody buys. Time is the log's: no hold ends
//! early, log time neither jumps nor goes back, and the node gives its leadership away until its clock is right again.

use jiff::Timestamp;
use rotunda_booking::codec;
use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::faults::{library, not_covered};
use rotunda_chaos::history::{Deed, Record, Recorder};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Offer, Selling};
use rotunda_chaos::visitor::{Answer, Request, Visitor};
use rotunda_chaos::wait;

use crate::failover::until_sold;
use crate::{HOT_VENUE, selling_cluster_of};

const JUMP_MS: i64 = 3 * 3_600_000;
/// A jump that was believed shows as hours; what else differs between two clocks of one machine is far below this.
const CLEARLY_MS: i64 = JUMP_MS / 2;

const VISITORS: usize = 32;
const WARM: usize = 100;
const GOING_ON: usize = 10;
/// Elections until the node whose clock is wrong wins one; each is near to an even chance for each of several shards.
const ELECTIONS: usize = 12;

/// Holds that nobody touches again: they last for minutes, and a jump of hours must not end them.
async fn patient_holds(cluster: &Cluster, offers: &[Offer], recorder: &Recorder) -> Vec<String> {
    let visitor = Visitor::new(&cluster.door());
    let mut bookings = Vec::new();
    let mut venues = std::collections::BTreeSet::new();
    for offer in offers.iter().filter(|offer| venues.insert(offer.venue.clone())) {
        let request = offer.hold(offer.least);
        let settled = visitor.settle(&request).await;
        let Some(answer) = settled.answer().filter(|answer| answer.is_success()) else {
            panic!("no hold at {}: {settled:?}", offer.venue);
        };
        bookings.push(answer.json()["id"].as_str().expect("an id").to_owned());
        recorder.write(|history| {
            history.records.push(Record {
                client: "visitor".to_owned(),
                deed: Deed::Hold,
                key: request.key.clone().expect("a hold has a key"),
                venue: offer.venue.clone(),
                booking: None,
                request: request.body.clone(),
                settled,
            });
        });
    }
    bookings
}

async fn assert_held(cluster: &Cluster, bookings: &[String]) {
    let visitor = Visitor::new(&cluster.door());
    for booking in bookings {
        let settled = visitor.settle(&Request::get(format!("/v1/bookings/{booking}"))).await;
        let status = settled.answer().map(Answer::json).map(|body| body["status"].clone());
        assert_eq!(
            status.as_ref().and_then(|status| status.as_str()),
            Some("held"),
            "{settled:?}"
        );
    }
}

/// What the node's metric says of its clock, in milliseconds ahead of the others.
async fn clock_offset(cluster: &Cluster, node: u32) -> Result<i64, String> {
    let url = format!("http://{}/metrics", cluster.admin(node));
    let page = http().get(url).send().await.map_err(|error| error.to_string())?;
    let page = page.text().await.map_err(|error| error.to_string())?;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("rotunda_clock_offset_seconds "));
    let seconds: f64 = line
        .ok_or("not measured")?
        .parse()
        .map_err(|_| "no number".to_owned())?;
    #[expect(clippy::cast_possible_truncation, reason = "some hours in milliseconds")]
    Ok((seconds * 1_000.0) as i64)
}

/// Waits until the node knows that its clock is off by about `off`.
async fn until_measured(cluster: &Cluster, node: u32, off: i64) {
    wait::until(
        &format!("node {node} to know that its clock is off by {off} ms"),
        async || {
            let measured = clock_offset(cluster, node).await?;
            if (measured - off).abs() < CLEARLY_MS {
                Ok(())
            } else {
                Err(format!("{measured} ms"))
            }
        },
    )
    .await;
}

/// Shards that the node leads, by what it says itself.
async fn led_by(cluster: &Cluster, node: u32) -> Vec<u64> {
    let statuses = cluster.statuses().await;
    let own = statuses.iter().filter(|(id, _)| *id == node);
    let leading = own
        .flat_map(|(_, status)| &status.replicas)
        .filter(|replica| replica.role == "leader");
    leading.map(|replica| replica.shard).collect()
}

/// Waits until the node leads nothing, the meta group included.
async fn until_it_leads_nothing(cluster: &Cluster, node: u32) {
    wait::until(&format!("node {node} to lead nothing"), async || {
        let led = led_by(cluster, node).await;
        if led.is_empty() {
            Ok(())
        } else {
            Err(format!("it leads {led:?}"))
        }
    })
    .await;
}

/// Every stamp of every log: none before the one before it, none clearly ahead of this machine's clock.
async fn assert_log_time_is_sane(cluster: &Cluster) {
    for shard in cluster.shards() {
        let leader = cluster.leader_of(shard).await;
        let log = wait::until(&format!("the log of shard {shard}"), async || {
            let log = cluster.client().read_log(leader, shard, 1).await;
            log.map_err(|error| error.to_string())
        })
        .await;
        let now = Timestamp::now().as_millisecond();
        let mut last = i64::MIN;
        for entry in log.iter().filter(|entry| !entry.payload.is_empty()) {
            let stamp = codec::decode_entry(&entry.payload).expect("an entry").stamp.0;
            assert!(
                stamp >= last,
                "shard {shard}, entry {}: time went back by {} ms",
                entry.index,
                last - stamp
            );
            assert!(
                stamp - now < CLEARLY_MS,
                "shard {shard}, entry {} of term {}: log time is {} ms ahead",
                entry.index,
                entry.term,
                stamp - now
            );
            last = stamp;
        }
        assert!(
            now - last < CLEARLY_MS,
            "shard {shard}: log time is {} ms behind",
            now - last
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_ends_no_hold_and_leads_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = match library(folder.path()) {
        Ok(library) => library,
        Err(reason) => return not_covered("a jump of the clock", reason, true),
    };
    let (mut cluster, hot, offers) = selling_cluster_of(Cluster::builder().faults(&library)).await;
    if !cluster.orders(1).are_heard() {
        return not_covered("a jump of the clock", "the node did not load the library", false);
    }
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Looking, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, WARM).await;
    let held = patient_holds(&cluster, &offers, &recorder).await;

    // A leader's clock, forward and back.
    for jump in [JUMP_MS, -JUMP_MS] {
        let leader = cluster.leader_of(hot.shard).await;
        cluster.orders(leader).put_clock_off(jump);
        until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;
        until_measured(&cluster, leader, jump).await;
        until_it_leads_nothing(&cluster, leader).await;
        until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;
        assert_held(&cluster, &held).await;
        cluster.orders(leader).put_clock_off(0);
        until_measured(&cluster, leader, 0).await;
        assert!(cluster.orders(leader).clock_reads() > 0, "nobody looked at the clock");
    }
    assert_log_time_is_sane(&cluster).await;

    // A clock that jumps right before its node takes over: it must not become the log's.
    let mut taken_over = 0;
    for _ in 0..ELECTIONS {
        let leader = cluster.leader_of(hot.shard).await;
        let heir = cluster
            .nodes()
            .into_iter()
            .find(|node| *node != leader)
            .expect("a follower");
        let before = led_by(&cluster, heir).await;
        cluster.orders(heir).put_clock_off(JUMP_MS);
        cluster.kill(leader);
        until_sold(&mut cluster, &recorder, Some(HOT_VENUE), GOING_ON).await;
        taken_over += led_by(&cluster, heir)
            .await
            .iter()
            .filter(|shard| !before.contains(*shard))
            .count();
        cluster.orders(heir).put_clock_off(0);
        cluster.start_node(leader);
        cluster.until_caught_up(leader).await;
        if taken_over > 0 {
            break;
        }
    }
    assert!(
        taken_over > 0,
        "the node whose clock was off never took over, in {ELECTIONS} elections"
    );
    assert_held(&cluster, &held).await;
    assert_log_time_is_sane(&cluster).await;

    // A node that is started with a wrong clock leads nothing, also where another one dies.
    let [wrong, dies] = [cluster.nodes()[0], cluster.nodes()[1]];
    cluster.kill(wrong);
    cluster.orders(wrong).put_clock_off(JUMP_MS);
    cluster.start_node(wrong);
    cluster.until_caught_up(wrong).await;
    until_measured(&cluster, wrong, JUMP_MS).await;
    until_it_leads_nothing(&cluster, wrong).await;
    // Who took over above had a clock that was off. With one of two peers wrong and the other dead nobody could tell that it
    // is right again, and it would not stand for election.
    for node in cluster.nodes() {
        if node != wrong {
            until_measured(&cluster, node, 0).await;
        }
    }
    cluster.kill(dies);
    until_sold(&mut cluster, &recorder, None, WARM).await;
    assert_eq!(led_by(&cluster, wrong).await, Vec::<u64>::new(), "its clock is wrong");
    cluster.start_node(dies);
    cluster.until_caught_up(dies).await;
    cluster.orders(wrong).put_clock_off(0);
    until_measured(&cluster, wrong, 0).await;

    let history = selling.stop().await;
    let audit = Audit::run(&mut cluster, &history).await;
    tell(format!(
        "one clock three hours off, forward, back, while taking over ({taken_over} shards) and at a start\n{audit}"
    ));
    audit.assert_sound();
    assert_held(&cluster, &held).await;
    assert_log_time_is_sane(&cluster).await;
    assert_eq!(
        history.unknown().count(),
        0,
        "every visitor learnt what became of every request"
    );
}
