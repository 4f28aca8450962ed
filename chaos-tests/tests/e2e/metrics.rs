//! The metrics pages of every process, after there was something to measure: each constant is on one of them, as what it
//! says it is, nothing else is, and `promtool check metrics` accepts them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use rotunda_chaos::cluster::{self, Cluster, MERIDIAN};
use rotunda_chaos::report::tell;
use rotunda_chaos::selling;
use rotunda_chaos::visitor::{Request, Visitor};
use rotunda_chaos::wait;
use rotunda_metrics::{Kind, Metric, node, process, router, storage};

use crate::day;

/// Metrics that a page has only once there was one of what they count, and a cluster that is well has none.
const LATER: &[(Metric, &str)] = &[
    (
        node::RAFT_PROPOSALS_FAILED,
        "a leader lost its place or its quorum with entries on their way",
    ),
    (node::HOLDS_EXPIRED, "a hold was not confirmed in time"),
    (
        node::WATCHES_DROPPED,
        "a router read too slowly, or its replica lost the leader",
    ),
    (
        storage::SNAPSHOTS_INSTALLED,
        "a replica was so far behind that its leader had cut what it lacked",
    ),
    (
        storage::LOG_TRUNCATIONS,
        "a leader lost its place with entries that nobody else had",
    ),
    (router::EVENT_STREAMS, "somebody opened an event stream"),
    (
        router::EVENT_STREAMS_DROPPED,
        "as many event streams were open as may be, or the router stopped",
    ),
];

/// One metric of a page.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    labels: BTreeSet<&'a str>,
}

/// What is on a page, in Prometheus' text format.
fn families(page: &str) -> Vec<Family<'_>> {
    let word = |line: &'static str| {
        page.lines()
            .filter_map(move |found| found.strip_prefix(line)?.split_once(' '))
    };
    word("# TYPE ")
        .map(|(name, kind)| Family {
            name,
            kind,
            help: word("# HELP ").find(|(of, _)| *of == name).map_or("", |(_, help)| help),
            labels: labels(page, name),
        })
        .collect()
}

/// Names of the labels that samples of a metric have.
fn labels<'a>(page: &'a str, name: &str) -> BTreeSet<&'a str> {
    let samples = page.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or_default();
        ["{", "_bucket{", "_sum{", "_count{"]
            .iter()
            .any(|begin| rest.starts_with(begin))
    });
    samples
        .flat_map(|line| {
            let ends = line.match_indices("=\"").map(|(at, _)| &line[..at]);
            ends.filter_map(|before| before.rsplit(['{', ',']).next())
        })
        .collect()
}

/// A name that no constant has, a kind or help of its own, labels that the constant does not have.
fn complaints(page: &str) -> Vec<String> {
    let metrics = rotunda_metrics::all();
    let mut complaints = Vec::new();
    for family in families(page)
        .iter()
        .filter(|family| family.name.starts_with("rotunda_"))
    {
        let name = family.name;
        let Some(metric) = metrics.iter().find(|metric| metric.name == name) else {
            complaints.push(format!("no constant is called {name}"));
            continue;
        };
        if family.kind != metric.kind.as_str() {
            complaints.push(format!("{name} is a {}", family.kind));
        }
        if family.help != metric.help {
            complaints.push(format!("{name} is described as {:?}", family.help));
        }
        let mut expected: BTreeSet<&str> = metric.labels.iter().copied().collect();
        if metric.kind == Kind::Histogram {
            expected.insert("le");
        }
        if family.labels != expected {
            complaints.push(format!("{name} has the labels {:?}", family.labels));
        }
    }
    complaints
}

async fn pages(cluster: &Cluster) -> Vec<(String, String)> {
    let mut urls = vec![("router".to_owned(), format!("{}/metrics", cluster.router_admin()))];
    urls.extend(cluster.nodes().iter().map(|node| {
        (
            format!("node {node}"),
            format!("http://{}/metrics", cluster.admin(*node)),
        )
    }));
    let mut pages = Vec::new();
    for (name, url) in urls {
        pages.push((
            name,
            cluster::http().get(url).send().await.unwrap().text().await.unwrap(),
        ));
    }
    pages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_is_on_a_page_as_what_it_is() {
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

    let later: BTreeSet<&str> = LATER.iter().map(|(metric, _)| metric.name).collect();
    let expected = rotunda_metrics::all();
    let expected = expected
        .iter()
        .filter(|metric| metric.name != process::UP.name && !later.contains(metric.name));
    // Nodes ask each other for the time now and then: the first answers may still be on their way.
    let pages = wait::until(
        "every constant is on a page, or in the list of what comes later",
        async || {
            let pages = pages(&cluster).await;
            let shown: BTreeSet<&str> = pages
                .iter()
                .flat_map(|(_, page)| families(page))
                .map(|family| family.name)
                .collect();
            let names = expected.clone().map(|metric| metric.name);
            let missing: Vec<&str> = names.filter(|name| !shown.contains(name)).collect();
            if missing.is_empty() {
                Ok(pages)
            } else {
                Err(format!("no page has {missing:?}"))
            }
        },
    )
    .await;
    for (name, page) in &pages {
        for family in [process::BUILD_INFO.name, process::RESIDENT_MEMORY_BYTES.name] {
            assert!(page.contains(family), "{name} has no {family}:\n{page}");
        }
        let complaints = complaints(page);
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }
    promtool_accepts(&pages);
}

fn promtool_accepts(pages: &[(String, String)]) {
    let there = Command::new("promtool")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "promtool is missing: .ci/setup prometheus DIR"
        );
        tell("NOT COVERED: promtool is missing, so it did not check the metrics pages (.ci/setup prometheus DIR)");
        return;
    }
    for (name, page) in pages {
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

/// The checks above are worth nothing if they cannot find anything.
#[test]
fn a_metric_that_is_not_as_described_is_found() {
    let help = node::RAFT_TERM.help;
    let page = |name: &str, kind: &str, label: &str| {
        format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{{label}=\"a,b\"}} 1\n")
    };
    assert_eq!(complaints(&page("rotunda_raft_term", "gauge", "shard")), [""; 0]);
    for (page, complaint) in [
        (page("rotunda_raft_terms", "gauge", "shard"), "no constant"),
        (page("rotunda_raft_term", "counter", "shard"), "is a counter"),
        (page("rotunda_raft_term", "gauge", "node"), "has the labels"),
        (page("rotunda_raft_voters", "gauge", "shard"), "described as"),
    ] {
        let found = complaints(&page);
        assert!(found.iter().any(|found| found.contains(complaint)), "{page}: {found:?}");
    }
}
