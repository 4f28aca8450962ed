//! A node loses its disk while everybody buys. It comes back blank and takes part in nothing; removed and added again it is
//! filled from the others, votes, and holds what they hold. Nothing that was acknowledged is lost.

use std::process::{Command, Output};

use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::{binaries, wait};
use serde_json::Value;

use crate::failover::until_sold;
use crate::{VISITORS, selling_cluster};

const SOLD: usize = 200;

/// `rotunda node`, beside the runtime: the harness goes on.
async fn node(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut words: Vec<String> = vec!["node".to_owned()];
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    let seeds: Vec<String> = cluster
        .nodes()
        .into_iter()
        .map(|id| cluster.inside().url(cluster.grpc(id)))
        .collect();
    words.extend(cluster.inside().tool_flags());
    words.extend([
        "--seed".to_owned(),
        seeds.join(","),
        "--output".to_owned(),
        "json".to_owned(),
    ]);
    let run =
        tokio::task::spawn_blocking(move || Command::new(binaries::path("rotunda")).args(words).output().unwrap());
    run.await.unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {}{out}", output.status, err(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// It lives, is not ready, and says what it waits for.
async fn until_it_waits(cluster: &Cluster, lost: u32) {
    wait::until("the blank node to wait", async || {
        let page = |page: &str| http().get(format!("http://{}/{page}", cluster.admin(lost))).send();
        let live = page("livez").await.map_err(|error| error.to_string())?;
        let ready = page("readyz").await.map_err(|error| error.to_string())?;
        let tail = cluster.process(lost).tail();
        match live.status().is_success()
            && ready.status() == 503
            && tail.contains(&format!("rotunda node remove {lost}"))
        {
            true => Ok(()),
            false => Err(tail),
        }
    })
    .await;
    let answers = cluster.statuses().await;
    assert!(answers.iter().all(|(id, _)| *id != lost), "it hosts nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_lost_is_filled_again() {
    let (mut cluster, hot, offers) = selling_cluster().await;
    let selling = Selling::start(&cluster.door(), VISITORS, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, SOLD).await;

    let lost = cluster.leader_of(hot.shard).await;
    let others: Vec<u32> = cluster.nodes().into_iter().filter(|id| *id != lost).collect();
    let running = node(&cluster, &["remove", &lost.to_string()]).await;
    assert_eq!(running.status.code(), Some(1));
    assert!(err(&running).contains("stop it first"), "{}", err(&running));

    cluster.kill(lost);
    std::fs::remove_dir_all(cluster.data(lost)).unwrap();
    cluster.start_node(lost);
    until_it_waits(&cluster, lost).await;
    until_sold(&mut cluster, &recorder, None, SOLD).await;

    // With one of the others dead as well, nobody could decide that it leaves.
    cluster.kill(others[0]);
    let alone = node(&cluster, &["remove", &lost.to_string()]).await;
    assert!(!alone.status.success(), "a quorum is needed");
    cluster.start_node(others[0]);
    cluster.until_caught_up(others[0]).await;

    let removed = json(&node(&cluster, &["remove", &lost.to_string()]).await);
    assert_eq!(removed["groups"].as_array().unwrap().len(), 9, "{removed}");
    let again = json(&node(&cluster, &["remove", &lost.to_string()]).await);
    assert_eq!(again["done"], "removed");
    until_sold(&mut cluster, &recorder, None, SOLD).await;

    let addr = cluster.inside().url(cluster.grpc(lost));
    let id = lost.to_string();
    let add = ["add", &id, "--addr", &addr];
    let broken_off = node(&cluster, &[&add[..], &["--wait", "0"]].concat()).await;
    assert!(
        broken_off.status.success() || err(&broken_off).contains("goes on where it stood"),
        "{}",
        err(&broken_off)
    );
    let added = json(&node(&cluster, &add).await);
    let states: Vec<&str> = added["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["votes"; 9], "{added}");
    cluster.until_caught_up(lost).await;
    until_sold(&mut cluster, &recorder, None, SOLD).await;

    // What it holds now carries the cluster: one of the others dies, and selling goes on with its vote.
    cluster.kill(others[0]);
    until_sold(&mut cluster, &recorder, None, SOLD).await;
    cluster.start_node(others[0]);
    cluster.until_caught_up(others[0]).await;
    // And a restart finds what it has.
    cluster.terminate(lost);
    cluster.start_node(lost);
    cluster.until_caught_up(lost).await;

    let history = selling.stop().await;
    cluster.until_settled().await;
    let audit = Audit::run(&mut cluster, &history).await;
    tell(format!(
        "node {lost} lost its disk and was filled again, {VISITORS} visitors\n{audit}"
    ));
    audit.assert_sound();
}
