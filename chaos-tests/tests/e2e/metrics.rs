//! `promtool check metrics` accepts the page of every process, after there was something to measure.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rotunda_chaos::cluster::{self, Cluster, MERIDIAN};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling;
use rotunda_chaos::visitor::{Request, Visitor};

use crate::day;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_accepts_every_page() {
    let there = Command::new("promtool")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "promtool is missing: apt-get install prometheus"
        );
        tell("NOT COVERED: promtool is missing, so nobody checked the metrics pages (apt-get install prometheus)");
        return;
    }
    let mut cluster = Cluster::builder().start().await;
    cluster.import(MERIDIAN).await;
    let visitor = Visitor::new(&cluster.door());
    let offers = selling::offers(&visitor, &day(2), &day(2)).await;
    let held = visitor.settle(&offers[0].hold(offers[0].least)).await;
    let id = held.answer().unwrap().json()["id"].as_str().unwrap().to_owned();
    let confirmed = visitor
        .settle(&Request::post(format!("/v1/bookings/{id}/confirm"), None))
        .await;
    assert!(confirmed.answer().unwrap().is_success(), "{confirmed:?}");
    cluster.until_settled().await;

    let mut pages = vec![("router".to_owned(), format!("{}/metrics", cluster.router_admin()))];
    pages.extend(cluster.nodes().iter().map(|node| {
        (
            format!("node {node}"),
            format!("http://{}/metrics", cluster.admin(*node)),
        )
    }));
    for (name, url) in pages {
        let page = cluster::http().get(url).send().await.unwrap().text().await.unwrap();
        for family in ["rotunda_build_info", "process_resident_memory_bytes"] {
            assert!(page.contains(family), "{name} has no {family}:\n{page}");
        }
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{name}:\n{said}\n{page}");
    }
}
