//! Visitors who only look: real nodes' change streams feed a real router, and the leader hears nothing of who looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Method;
use rotunda_chaos::cluster::{self, Cluster};
use rotunda_chaos::report::tell;
use rotunda_chaos::visitor::{Request, Visitor};

use crate::{HOT_VENUE, day, selling_cluster_of};

/// Who looks: each from an address of its own.
const LOOKERS: usize = 10_000;

/// Of them at the same time.
const AT_ONCE: usize = 64;

/// Longer than a replica, a router and a busy machine take for a change.
const PATIENCE: Duration = Duration::from_secs(30);

fn month() -> String {
    format!("/v1/venues/{HOT_VENUE}/availability?from={}&to={}", day(1), day(31))
}

/// Looks once; says whether it came out of a change stream, and the body.
async fn look(cluster: &Cluster, path: &str, from: usize) -> Option<(bool, serde_json::Value)> {
    let [.., a, b, c] = from.to_be_bytes();
    let answer = cluster::http()
        .get(format!("{}{path}", cluster.door()))
        .header("x-forwarded-for", format!("10.{a}.{b}.{c}"))
        .send()
        .await
        .ok()?;
    let live = answer.headers().get("etag")?.as_bytes().starts_with(b"W/");
    let success = answer.status().is_success();
    let body = answer.json().await.ok()?;
    success.then_some((live, body))
}

async fn until_live(cluster: &Cluster, path: &str) -> serde_json::Value {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some((true, body)) = look(cluster, path, 1).await {
            return body;
        }
        assert!(begun.elapsed() < PATIENCE, "no answer out of a change stream");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What each node says of a counter.
async fn counters(cluster: &Cluster, name: &str) -> BTreeMap<u32, u64> {
    let mut counters = BTreeMap::new();
    for node in cluster.nodes() {
        let url = format!("http://{}/metrics", cluster.admin(node));
        let page = cluster::http().get(url).send().await.unwrap().text().await.unwrap();
        let count = page
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        counters.insert(node, count.unwrap_or(0));
    }
    counters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_lookers_cost_the_leader_nothing() {
    let (mut cluster, hot, _) = selling_cluster_of(Cluster::builder()).await;
    let path = month();
    let first = until_live(&cluster, &path).await;
    let leader = cluster.leader_of(hot.shard).await;
    let watches = counters(&cluster, "rotunda_watches ").await;
    let before = counters(&cluster, "rotunda_queries_total ").await;
    let client = cluster::http();
    let url = format!("{}{path}", cluster.door());
    let lookers: Vec<_> = (0..AT_ONCE)
        .map(|lane| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move {
                let mut live = 0_usize;
                for from in (lane..LOOKERS).step_by(AT_ONCE) {
                    let [.., a, b, c] = from.to_be_bytes();
                    let answer = client
                        .get(&url)
                        .header("x-forwarded-for", format!("10.{a}.{b}.{c}"))
                        .send()
                        .await
                        .unwrap();
                    assert!(answer.status().is_success(), "{}", answer.status());
                    live += usize::from(answer.headers()["etag"].as_bytes().starts_with(b"W/"));
                    answer.bytes().await.unwrap();
                }
                live
            })
        })
        .collect();
    let mut live = 0;
    for looker in lookers {
        live += looker.await.unwrap();
    }
    let after = counters(&cluster, "rotunda_queries_total ").await;
    let asked: BTreeMap<u32, u64> = after
        .iter()
        .map(|(node, count)| (*node, count - before[node]))
        .collect();
    tell(format!(
        "{LOOKERS} looked at a month of {} slots, {live} out of change streams; questions that reached each node meanwhile: \
         {asked:?}, node {leader} leads; change streams: {watches:?}",
        first["slots"].as_array().unwrap().len()
    ));
    // Where the machine stood still for a second the router has asked, once for all who waited; else nobody has.
    let fell_back = LOOKERS - live;
    assert!(
        fell_back < LOOKERS / 100,
        "{fell_back} answers were not out of a change stream"
    );
    assert!(
        asked[&leader] <= 2 * fell_back as u64,
        "{asked:?} with {fell_back} that were asked for"
    );

    // A sale shows, wherever the stream comes from, also when that node is gone.
    for round in 0..2 {
        let visitor = Visitor::new(&cluster.door());
        let held = visitor.settle(&hot.offer.hold(hot.offer.least)).await;
        let index = held.answer().unwrap().commit.unwrap().1;
        let begun = tokio::time::Instant::now();
        loop {
            let looked = look(&cluster, &path, 2).await;
            if let Some((true, body)) = &looked
                && body["as_of"]["index"].as_u64().unwrap() >= index
            {
                let slots = body["slots"].as_array().unwrap();
                let slot = slots.iter().find(|slot| slot["id"] == hot.offer.slot).unwrap();
                assert!(slot["vacancies"].as_u64().unwrap() < u64::from(hot.offer.vacancies) - round);
                tell(format!("seen {:?} after the hold was answered", begun.elapsed()));
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the sale does not show: {looked:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if round == 0 {
            let watches = counters(&cluster, "rotunda_watches ").await;
            let node = watches
                .iter()
                .find(|(_, open)| **open > 0)
                .map(|(node, _)| *node)
                .unwrap();
            cluster.kill(node);
            cluster.start_node(node);
            cluster.until_settled().await;
            until_live(&cluster, &path).await;
        }
    }
    cluster.check_processes();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_feed_is_read_on_over_a_failover() {
    let (mut cluster, hot, _) = selling_cluster_of(Cluster::builder()).await;
    let visitor = Visitor::new(&cluster.door());
    let read = async |cluster: &Cluster, after: &str| {
        let after = if after.is_empty() {
            String::new()
        } else {
            format!("&after={after}")
        };
        let url = format!("{}/v1/events?limit=3&venue={HOT_VENUE}{after}", cluster.door());
        let answer = cluster::http()
            .request(Method::GET, url)
            .bearer_auth(cluster.token())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json::<serde_json::Value>().await.unwrap()
    };
    let mut told = Vec::new();
    let mut cursor = String::new();
    for round in 0..2 {
        for _ in 0..4 {
            let held = visitor.settle(&hot.offer.hold(hot.offer.least)).await;
            let id = held.answer().unwrap().json()["id"].as_str().unwrap().to_owned();
            let released = visitor
                .settle(&Request::post(format!("/v1/bookings/{id}/release"), None))
                .await;
            assert!(released.answer().unwrap().is_success());
        }
        if round == 1 {
            let leader = cluster.leader_of(hot.shard).await;
            cluster.kill(leader);
        }
        loop {
            let page = read(&cluster, &cursor).await;
            let events = page["data"].as_array().unwrap();
            told.extend(events.iter().map(|event| {
                let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                (text("id"), text("type"), text("booking"))
            }));
            cursor = page["next_cursor"].as_str().unwrap().to_owned();
            if page["has_more"] == false {
                break;
            }
        }
    }
    let held: Vec<&str> = told
        .iter()
        .filter(|(_, kind, _)| kind == "booking.held")
        .map(|(.., booking)| booking.as_str())
        .collect();
    assert_eq!(held.len(), 8, "{told:?}");
    for booking in held {
        let of: Vec<&str> = told
            .iter()
            .filter(|(.., of)| of == booking)
            .map(|(_, kind, _)| kind.as_str())
            .collect();
        assert_eq!(of, ["booking.held", "booking.released"]);
    }
    let ids: BTreeSet<&String> = told.iter().map(|(id, ..)| id).collect();
    assert_eq!(
        ids.len(),
        told.len(),
        "nothing is told twice to whoever goes on with the cursor"
    );
}
