//! The probers of a real router: every shard can be booked, one that loses its quorum cannot, and then can again; nothing that
//! a visitor, a report or a ledger shows has anything of it.

use std::collections::BTreeMap;

use rotunda_chaos::cluster::{Cluster, MERIDIAN, http};
use rotunda_chaos::visitor::{Request, Visitor};
use rotunda_chaos::{selling, wait};
use rotunda_metrics::router;

use crate::day;

/// Samples of a metric of the router, by the value of a label.
async fn samples(cluster: &Cluster, metric: &str, label: &str) -> Result<BTreeMap<String, f64>, String> {
    let page = http().get(format!("{}/metrics", cluster.router_admin()));
    let page = page.send().await.map_err(|error| error.to_string())?;
    let page = page.text().await.map_err(|error| error.to_string())?;
    let samples = page.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} ")?;
        let (_, rest) = labels.split_once(&format!("{label}=\""))?;
        let (name, _) = rest.split_once('"')?;
        Some((name.to_owned(), value.parse::<f64>().ok()?))
    });
    let mut summed = BTreeMap::new();
    for (name, value) in samples {
        *summed.entry(name).or_default() += value;
    }
    Ok(summed)
}

async fn until_success(cluster: &Cluster, wanted: &[(&str, f64)]) {
    wait::until(&format!("probes come to {wanted:?}"), async || {
        let success = samples(cluster, router::PROBE_SUCCESS.name, "shard").await?;
        let as_wanted = wanted.iter().all(|(shard, value)| success.get(*shard) == Some(value));
        if as_wanted { Ok(()) } else { Err(format!("{success:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_without_a_quorum_cannot_be_booked_and_the_others_can() {
    // Shard 1 is on nodes 1, 2 and 3, shard 2 on 2, 3 and 4; the meta group is on all five.
    let mut cluster = Cluster::builder()
        .nodes(5)
        .shards(2)
        .router_flags("--probe-interval 300ms --probe-timeout 1s")
        .start()
        .await;
    until_success(&cluster, &[("1", 1.0), ("2", 1.0)]).await;
    cluster.kill(1);
    cluster.kill(2);
    until_success(&cluster, &[("1", 0.0), ("2", 1.0)]).await;
    let outcomes = samples(&cluster, router::PROBE_ATTEMPTS.name, "outcome").await.unwrap();
    assert!(outcomes["unavailable"] + outcomes["unknown"] > 0.0, "{outcomes:?}");
    assert_eq!(outcomes["wrong"] + outcomes["refused"], 0.0, "{outcomes:?}");
    cluster.start_node(1);
    cluster.start_node(2);
    until_success(&cluster, &[("1", 1.0), ("2", 1.0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_leave_nothing_that_anybody_is_shown() {
    let mut cluster = Cluster::builder().router_flags("--probe-interval 100ms").start().await;
    cluster.import(MERIDIAN).await;
    let visitor = Visitor::new(&cluster.door());
    let before = selling::offers(&visitor, &day(2), &day(2)).await.len();
    let rounds = async || {
        let outcomes = samples(&cluster, router::PROBE_ATTEMPTS.name, "outcome")
            .await
            .unwrap_or_default();
        outcomes.get("ok").copied().unwrap_or_default()
    };
    let first = rounds().await;
    wait::until("a hundred more rounds", async || {
        let now = rounds().await;
        if now >= first + 100.0 {
            Ok(())
        } else {
            Err(format!("{now}"))
        }
    })
    .await;
    assert_eq!(selling::offers(&visitor, &day(2), &day(2)).await.len(), before);
    let venues: Vec<String> = cluster
        .client()
        .map()
        .venues()
        .iter()
        .map(|venue| venue.slug.clone())
        .collect();
    let operator = visitor.with_token(cluster.token());
    for venue in &venues {
        let events = operator
            .send(&Request::get(format!("/v1/events?venue={venue}&limit=100")))
            .await
            .unwrap();
        assert!(events.is_success(), "{events:?}");
        let ledger = operator
            .send(&Request::get(format!("/v1/venues/{venue}/ledger?limit=100")))
            .await
            .unwrap();
        assert!(ledger.is_success(), "{ledger:?}");
        for (what, answer) in [("event", &events), ("ledger", &ledger)] {
            let lists = answer.json();
            let lists = lists.as_object().unwrap().values().filter_map(|value| value.as_array());
            assert_eq!(lists.map(Vec::len).sum::<usize>(), 0, "{what}s of {venue}: {answer:?}");
        }
    }
    let sold = samples(&cluster, router::TICKETS_ISSUED.name, "venue").await.unwrap();
    assert!(sold.is_empty(), "{sold:?}");
    cluster.until_settled().await;
}
