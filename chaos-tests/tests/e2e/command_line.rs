//! `rotunda import`, `rotunda status` and `rotunda ledger verify` against a running cluster: tables, JSON, exit codes,
//! remedies.

use std::process::{Command, Output};

use rotunda_chaos::cluster::{Cluster, MERIDIAN, http};
use rotunda_chaos::visitor::{Request, Visitor};
use rotunda_chaos::{binaries, ports, selling, wait};
use serde_json::Value;

use crate::day;

fn rotunda(cluster: &Cluster, arguments: &[&str]) -> Output {
    command(&cluster.door(), cluster.token(), arguments)
}

fn command(router: &str, token: &str, arguments: &[&str]) -> Output {
    Command::new(binaries::path("rotunda"))
        .args(arguments)
        .env("ROTUNDA_ROUTER", router)
        .env("ROTUNDA_TOKEN", token)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_shown_by_venue_and_a_second_one_changes_nothing() {
    let cluster = Cluster::builder().start().await;
    let file = cluster.folder().join("meridian.yaml");
    std::fs::write(&file, MERIDIAN).unwrap();
    let file = file.to_str().unwrap();

    let first = rotunda(&cluster, &["import", file]);
    assert!(first.status.success(), "{}", err(&first));
    let venues = cluster.client().map().venues().len();
    assert_eq!(venues, 10, "{}", out(&first));
    for venue in cluster.client().map().venues() {
        assert!(
            out(&first).contains(&venue.slug),
            "{} is missing in\n{}",
            venue.slug,
            out(&first)
        );
    }

    let before = slots(&cluster).await;
    let second = rotunda(&cluster, &["import", file, "--output", "json"]);
    assert!(second.status.success(), "{}", err(&second));
    let report: Value = serde_json::from_str(&out(&second)).unwrap();
    let changed = report["venues"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|venue| venue["changed"] != false)
        .count();
    assert_eq!(changed, 0, "{report:#}");
    for ((venue, before), (_, after)) in before.iter().zip(slots(&cluster).await) {
        assert_eq!(*before, after, "the slots of {venue} are not as they were");
    }
}

/// The slots of every venue as visitors see them.
async fn slots(cluster: &Cluster) -> Vec<(String, Value)> {
    let mut slots = Vec::new();
    for venue in cluster.client().map().venues() {
        let days = format!("from={}&to={}", crate::day(1), crate::day(20));
        let url = format!("{}/v1/venues/{}/availability?{days}", cluster.door(), venue.slug);
        let body: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        assert!(
            body["slots"].as_array().is_some_and(|slots| !slots.is_empty()),
            "{}: {body}",
            venue.slug
        );
        slots.push((venue.slug.clone(), body["slots"].clone()));
    }
    slots
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_catalogue_shows_every_problem_with_its_place_and_changes_nothing() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await;
    let broken = MERIDIAN
        .replacen("time_zone: Europe/Lisbon", "time_zone: Europe/Lisboa", 1)
        .replacen("price: 1400", "price: -1400", 1);
    assert_ne!(broken, MERIDIAN);
    let file = cluster.folder().join("broken.yaml");
    std::fs::write(&file, broken).unwrap();
    let output = rotunda(&cluster, &["import", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let said = err(&output);
    for wanted in [
        "Europe/Lisboa",
        "/venues/0/time_zone",
        "/venues/0/products/0/units/0/price",
        "next:",
    ] {
        assert!(said.contains(wanted), "{wanted} is missing in\n{said}");
    }
    assert_eq!(cluster.client().map().venues().len(), 0, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_leaders_and_a_dead_node() {
    let mut cluster = Cluster::builder().start().await;
    cluster.import(MERIDIAN).await;
    cluster.until_settled().await;
    let status = json_status(&cluster);
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3, "{status:#}");
    assert_eq!(status["shards"].as_array().unwrap().len(), 8, "{status:#}");
    for shard in status["shards"].as_array().unwrap() {
        assert!(
            shard["leader"].is_u64() && shard["term"].is_u64() && shard["epoch"].is_u64(),
            "{shard:#}"
        );
        let replicas = shard["replicas"].as_array().unwrap();
        assert_eq!(replicas.len(), 3, "{shard:#}");
        assert!(
            replicas
                .iter()
                .all(|replica| replica["role"] == "voter" && replica["lag"].is_u64()),
            "{shard:#}"
        );
    }
    let venues: usize = status["shards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shard| shard["venues"].as_array().unwrap().len())
        .sum();
    assert_eq!(venues, 10);
    let table = rotunda(&cluster, &["status"]);
    assert!(table.status.success(), "{}", err(&table));
    assert!(out(&table).contains("lisbon-tides"), "{}", out(&table));

    cluster.kill(2);
    wait::until("status to show the dead node, and leaders elsewhere", async || {
        let status = json_status(&cluster);
        let dead = status["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|node| node["id"] == 2 && node["live"] == false);
        let led = status["shards"]
            .as_array()
            .unwrap()
            .iter()
            .all(|shard| shard["leader"].as_u64().is_some_and(|id| id != 2));
        if dead && led {
            Ok(())
        } else {
            Err(format!("{status:#}"))
        }
    })
    .await;
}

fn json_status(cluster: &Cluster) -> Value {
    let output = rotunda(cluster, &["status", "--output", "json"]);
    assert!(output.status.success(), "{}", err(&output));
    serde_json::from_str(&out(&output)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_tell_unreachable_refused_and_misused_apart() {
    let cluster = Cluster::builder().nodes(1).shards(1).start().await;
    let nobody = format!("http://{}", ports::free());
    let unreachable = command(&nobody, "token", &["status"]);
    assert_eq!(unreachable.status.code(), Some(3), "{}", err(&unreachable));
    assert!(
        err(&unreachable).contains(&nobody) && err(&unreachable).contains("next:"),
        "{}",
        err(&unreachable)
    );

    let wrong_token = command(&cluster.door(), "not-the-token", &["status"]);
    assert_eq!(wrong_token.status.code(), Some(1), "{}", err(&wrong_token));
    assert!(err(&wrong_token).contains("ROTUNDA_TOKEN"), "{}", err(&wrong_token));

    let misused = rotunda(&cluster, &["statsu"]);
    assert_eq!(misused.status.code(), Some(2), "{}", err(&misused));
    let missing = rotunda(&cluster, &["import", "/nowhere/catalogue.yaml"]);
    assert_eq!(missing.status.code(), Some(1), "{}", err(&missing));
    assert!(err(&missing).contains("/nowhere/catalogue.yaml"), "{}", err(&missing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledgers_of_a_running_cluster_fit_their_chains() {
    let cluster = Cluster::builder().start().await;
    cluster.import(MERIDIAN).await;
    let visitor = Visitor::new(&cluster.door());
    let offers = selling::offers(&visitor, &day(2), &day(8)).await;
    let mut sold = 0;
    for offer in offers.iter().take(4) {
        let held = visitor.settle(&offer.hold(offer.least)).await;
        let Some(id) = held
            .answer()
            .and_then(|answer| answer.json()["id"].as_str().map(str::to_owned))
        else {
            continue;
        };
        for what in ["confirm", "cancel"] {
            let done = visitor
                .settle(&Request::post(format!("/v1/bookings/{id}/{what}"), None))
                .await;
            assert!(
                done.answer().is_some_and(|answer| answer.is_success()),
                "{what}: {done:?}"
            );
            sold += 1;
        }
    }
    assert!(sold > 0, "nothing was sold: {offers:?}");

    let verified = rotunda(&cluster, &["ledger", "verify", "--output", "json"]);
    assert!(verified.status.success(), "{}", err(&verified));
    let report: Value = serde_json::from_str(&out(&verified)).unwrap();
    let venues = report["venues"].as_array().unwrap();
    assert_eq!(venues.len(), 10, "{report:#}");
    assert!(venues.iter().all(|venue| venue["fits"] == true), "{report:#}");
    let lines: u64 = venues.iter().filter_map(|venue| venue["lines"].as_u64()).sum();
    assert_eq!(lines, sold, "each confirm and each cancel is a line: {report:#}");

    let one = rotunda(&cluster, &["ledger", "verify", "lisbon-tides"]);
    assert!(
        one.status.success() && out(&one).contains("lisbon-tides"),
        "{}",
        err(&one)
    );
    let nowhere = rotunda(&cluster, &["ledger", "verify", "atlantis"]);
    assert_eq!(nowhere.status.code(), Some(1), "{}", err(&nowhere));
    assert!(
        err(&nowhere).contains("name a venue of the catalogue"),
        "{}",
        err(&nowhere)
    );
}
