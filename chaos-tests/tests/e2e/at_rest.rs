//! A cluster whose disks are encrypted: it sells, dies and comes back as any other, changes its keys while it sells, and its
//! disks tell nothing.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::selling::{Manner, Selling};
use rotunda_chaos::wait;

use crate::failover::until_sold;
use crate::{HOT_VENUE, selling_cluster_of};

const SOLD: usize = 200;

fn write_keys(path: &Path, lines: &[(&str, &str)]) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    for (name, byte) in lines {
        writeln!(file, "{name} {}", byte.repeat(32)).unwrap();
    }
}

/// Files below `dir` in which `text` can be read.
fn telling(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(telling(&path, text));
        } else if fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// A gauge of a node.
async fn gauge(cluster: &Cluster, node: u32, name: &str) -> Option<f64> {
    let page = http()
        .get(format!("http://{}/metrics", cluster.admin(node)))
        .send()
        .await
        .ok()?;
    let page = page.text().await.ok()?;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_disks_sell_change_their_keys_and_tell_nothing() {
    let place = tempfile::tempdir().unwrap();
    let keys = place.path().join("keys");
    write_keys(&keys, &[("old", "01")]);
    let builder = Cluster::builder().node_flags(&format!("--encryption-keys {}", keys.display()));
    let (mut cluster, hot, offers) = selling_cluster_of(builder).await;
    let selling = Selling::start(&cluster.door(), 16, Manner::Buying, &hot.offer, &offers);
    let recorder = selling.recorder().clone();
    until_sold(&mut cluster, &recorder, None, SOLD).await;

    // A new key, one node after the other, each killed at work; then the old one is forgotten.
    for lines in [&[("new", "02"), ("old", "01")][..], &[("new", "02")]] {
        write_keys(&keys, lines);
        for node in cluster.nodes() {
            cluster.kill(node);
            until_sold(&mut cluster, &recorder, None, 10).await;
            cluster.start_node(node);
            cluster.until_caught_up(node).await;
            wait::until("nothing is left that the old key opens", async || {
                match gauge(&cluster, node, "rotunda_storage_files_of_older_keys").await {
                    Some(0.0) => Ok(()),
                    other => Err(format!("{other:?} files")),
                }
            })
            .await;
            assert_eq!(gauge(&cluster, node, "rotunda_storage_encrypted").await, Some(1.0));
        }
    }
    until_sold(&mut cluster, &recorder, None, SOLD).await;
    let history = selling.stop().await;
    let audit = Audit::run(&mut cluster, &history).await;
    audit.assert_sound();
    for node in cluster.nodes() {
        cluster.kill(node);
        // The catalogue has it, and so have rows of bookings.
        assert_eq!(telling(&cluster.data(node), HOT_VENUE), [] as [&str; 0], "node {node}");
    }
}
