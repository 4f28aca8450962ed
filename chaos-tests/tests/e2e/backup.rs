//! A cluster is backed up while everybody buys; a flipped byte is found; a new cluster is made of the backup, has every booking
//! that was acknowledged before the backup began, and sells on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Instant;

use rotunda_chaos::cluster::{Builder, Cluster, MERIDIAN, http};
use rotunda_chaos::history::{Deed, History};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::visitor::{Request, Visitor};
use rotunda_chaos::{binaries, ports, wait};
use rotunda_node::budget::Budget;
use rotunda_node::raft::machine::{BookingMachine, Pulse};
use rotunda_raft_storage::{GroupId, Identity, Store, StoreConfig};
use serde_json::Value;

use crate::failover::until_sold;
use crate::{VISITORS, selling_cluster};

/// Holds before the backup, and after it.
const SOLD: usize = 400;

/// Name of the new cluster.
const RESTORED: &str = "restored";

fn rotunda(arguments: &[&str]) -> Output {
    Command::new(binaries::path("rotunda"))
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `rotunda backup create`, beside the runtime: the harness goes on.
async fn back_up(cluster: &Cluster, to: &Path) -> Value {
    let (to, seed) = (to.display().to_string(), cluster.inside().url(cluster.grpc(1)));
    let flags = cluster.inside().tool_flags();
    let made = tokio::task::spawn_blocking(move || {
        let mut words = vec!["backup", "create", "--to", &to, "--seed", &seed, "--output", "json"];
        words.extend(flags.iter().map(String::as_str));
        rotunda(&words)
    });
    json(&made.await.unwrap())
}

/// Bookings whose hold was acknowledged before a moment.
fn acknowledged_before(history: &History, moment: Instant) -> Vec<String> {
    let holds = history.acknowledged(Deed::Hold);
    let before = holds.filter(|(record, _)| record.settled.returned < moment);
    before
        .map(|(_, answer)| answer.json()["id"].as_str().expect("a booking's id").to_owned())
        .collect()
}

/// Index and state hash of a shard in a data directory that no node has open.
async fn applied_in(directory: &Path, node: u32, shard: u64) -> Option<(u64, String)> {
    let identity = Identity {
        cluster: RESTORED.to_owned(),
        node,
    };
    let store = Store::open(StoreConfig::new(directory, identity)).unwrap();
    let replica = store.descriptors().get(&GroupId(shard))?.replica_id;
    let machine = BookingMachine::new(Budget::new(256 << 20, 0), Arc::new(Pulse::default()));
    let group = store.open_group(GroupId(shard), replica, machine).await.unwrap();
    let view = group.reader.view().unwrap();
    let hash = view.state_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    Some((view.applied_index()?, hash))
}

fn nodes_of(doors: &BTreeMap<u32, SocketAddr>) -> Vec<String> {
    let flags = doors
        .iter()
        .map(|(id, door)| ["--node".to_owned(), format!("{id}=https://{door}")]);
    flags.flatten().collect()
}

fn restore(from: &Path, cluster: &str, into: &Path, doors: &BTreeMap<u32, SocketAddr>) -> Output {
    let (from, into) = (from.display().to_string(), into.display().to_string());
    let mut arguments = vec![
        "backup",
        "restore",
        "--from",
        &from,
        "--cluster",
        cluster,
        "--into",
        &into,
        "--output",
        "json",
    ];
    let nodes = nodes_of(doors);
    arguments.extend(nodes.iter().map(String::as_str));
    rotunda(&arguments)
}

/// The largest chunk of a backup.
fn some_chunk(backup: &Value) -> String {
    let groups = backup["groups"].as_array().unwrap();
    let chunks = groups.iter().flat_map(|group| group["chunks"].as_array().unwrap());
    let largest = chunks.max_by_key(|chunk| chunk["bytes"].as_u64()).unwrap();
    largest["name"].as_str().unwrap().to_owned()
}

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

async fn check_damage(place: &Path, backup: &Value) {
    let from = place.display().to_string();
    let whole = json(&rotunda(&["backup", "verify", "--from", &from, "--output", "json"]));
    assert_eq!(whole["whole"], true, "{whole}");
    let chunk = some_chunk(backup);
    let file: PathBuf = place.join(backup["id"].as_str().unwrap()).join(&chunk);
    flip(&file);
    let damaged = rotunda(&["backup", "verify", "--from", &from]);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(err(&damaged).contains(&chunk), "{chunk} is named in {}", err(&damaged));
    let into = place.with_extension("never");
    let refused = restore(place, RESTORED, &into, &BTreeMap::from([(1, ports::free())]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains(&chunk), "{}", err(&refused));
    assert!(!into.join("node-1").exists(), "nothing is restored of what is damaged");
    flip(&file);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_cluster_is_made_of_a_backup_that_was_made_while_selling() {
    let folder = tempfile::tempdir().unwrap();
    let (place, into) = (folder.path().join("backups"), folder.path().join("restored"));
    let (mut cluster, hot, offers) = selling_cluster().await;
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, SOLD).await;

    let began = Instant::now();
    let made = back_up(&cluster, &place).await;
    let backup = made["backup"].clone();
    assert_eq!(made["recorded"], true, "the cluster knows of it: {made}");
    let sold_meanwhile = recorder.read(|history| {
        let holds = history.acknowledged(Deed::Hold);
        holds.filter(|(record, _)| record.settled.returned > began).count()
    });
    until_sold(&mut cluster, &recorder, None, 50).await;
    check_metric(&cluster, &backup).await;
    let history = selling.stop().await;
    cluster.check_processes();
    let leaders: Vec<u32> = {
        let mut leaders = Vec::new();
        for shard in cluster.shards() {
            leaders.push(cluster.leader_of(shard).await);
        }
        leaders
    };
    drop(cluster);

    check_damage(&place, &backup).await;
    let doors: BTreeMap<u32, SocketAddr> = (1..=3).map(|id| (id, ports::free())).collect();
    let same = restore(&place, "chaos", &into, &doors);
    assert!(err(&same).contains("another name"), "{}", err(&same));
    let restored = json(&restore(&place, RESTORED, &into, &doors));
    assert_eq!(restored["directories"].as_object().unwrap().len(), 3, "{restored}");
    let again = restore(&place, RESTORED, &into, &doors);
    assert!(err(&again).contains("not empty"), "{}", err(&again));

    let mut compared = 0;
    for group in backup["groups"].as_array().unwrap() {
        let shard = group["group"].as_u64().unwrap();
        for node in (1..=3).filter(|_| shard > 0) {
            let found = applied_in(&into.join(format!("node-{node}")), node, shard).await;
            let recorded = (
                group["index"].as_u64().unwrap(),
                group["state_hash"].as_str().unwrap().to_owned(),
            );
            assert_eq!(found, Some(recorded), "shard {shard} on node {node}");
            compared += 1;
        }
    }
    assert_eq!(compared, 24);

    let mut cluster = Builder::default()
        .restored(RESTORED, &doors)
        .place(&into)
        .router_flags("--trusted-proxy 127.0.0.0/8 --rate-limit 100000/60s")
        .start()
        .await;
    cluster.until_settled().await;
    let visitor = Visitor::new(&cluster.door());
    let bookings = acknowledged_before(&history, began);
    assert!(bookings.len() >= SOLD, "{}", bookings.len());
    for booking in &bookings {
        let answer = visitor
            .send(&Request::get(format!("/v1/bookings/{booking}")))
            .await
            .unwrap();
        assert!(
            answer.is_success(),
            "booking {booking} of before the backup: {answer:?}"
        );
    }
    // The same catalogue again changes nothing, and the new cluster sells.
    cluster.import(MERIDIAN).await;
    let selling = Selling::start(&cluster.door(), 16, Manner::Looking, &offers[0], &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, 20).await;
    drop(selling.stop().await);
    cluster.until_settled().await;
    tell(format!(
        "backed up while {sold_meanwhile} holds were acknowledged, of nodes {:?} (leaders {leaders:?}): {} rows, {} bytes; \
         {} bookings of before are in the restored cluster",
        backup["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| &group["node"])
            .collect::<Vec<_>>(),
        backup["groups"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|group| group["rows"].as_u64())
            .sum::<u64>(),
        backup["groups"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|group| group["bytes"].as_u64())
            .sum::<u64>(),
        bookings.len()
    ));
}

/// Every node shows when the last backup was.
async fn check_metric(cluster: &Cluster, backup: &Value) {
    let finished: jiff::Timestamp = backup["finished"].as_str().unwrap().parse().unwrap();
    for node in cluster.nodes() {
        wait::until("the time of the last backup on each node's page", async || {
            let page = http()
                .get(format!("http://{}/metrics", cluster.admin(node)))
                .send()
                .await;
            let page = page
                .map_err(|error| error.to_string())?
                .text()
                .await
                .map_err(|error| error.to_string())?;
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix("rotunda_backup_last_success_timestamp_seconds "));
            let shown: f64 = line.and_then(|value| value.parse().ok()).ok_or("no such line")?;
            match (shown - finished.as_second() as f64).abs() < 1.5 {
                true => Ok(()),
                false => Err(format!("{shown}")),
            }
        })
        .await;
    }
}
