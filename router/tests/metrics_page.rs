//! The metrics page, after every kind of answer: names, help, labels, and what is counted. One test in a binary of its
//! own, because a process has one recorder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "door/fake.rs"]
mod fake;
#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "door/house.rs"]
mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use fake::Trouble;
use house::{House, config, hold, key, request};
use rotunda_router::config::Config;
use rotunda_router::metrics;

#[tokio::test]
async fn the_page_counts_what_happened_and_lints_clean() {
    let page = metrics::install().unwrap();
    let house = House::furnished(Config {
        rate_limit: "2/1000m".parse().unwrap(),
        ..config()
    })
    .await;

    // A booking of three, confirmed, and its confirm replayed.
    let held = house.post("/v1/bookings", &key(1), &hold(3)).await;
    let confirm = format!("/v1/bookings/{}/confirm", held.json()["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(house.post(&confirm, &key(2), "").await.status, 200);
    }
    // Sold out, a conflict, the caller's mistake, its quota, overload, our fault, nowhere.
    let tour = hold(10).replace("general", "conservator-tour");
    house.post("/v1/bookings", &key(3), &tour).await;
    assert_eq!(house.post("/v1/bookings", &key(4), &tour).await.code(), "sold_out");
    assert_eq!(house.post(&confirm, &key(5), "").await.code(), "already_confirmed");
    assert_eq!(house.post("/v1/bookings", &key(6), "{").await.status, 400);
    for n in 0..3 {
        house
            .send_from(
                "203.0.113.5:1",
                request("GET", &format!("/v1/venues?limit={}", n + 1), &[], String::new()),
            )
            .await;
    }
    house.fake.meet(Trouble::Overloaded);
    assert_eq!(house.post("/v1/bookings", &key(7), &hold(1)).await.status, 503);
    house.fake.meet(Trouble::Unavailable);
    assert_eq!(house.post("/v1/bookings", &key(8), &hold(1)).await.status, 503);
    house.get("/v1/bookings/secret-id-in-a-path/nowhere").await;
    house.request("BREW", "/v1/bookings", &[], String::new()).await;

    let text = page.render();
    let value = |line: &str| {
        let found = text
            .lines()
            .find_map(|page_line| page_line.strip_prefix(line)?.strip_prefix(' '));
        found
            .unwrap_or_else(|| panic!("{line} is not in\n{text}"))
            .parse::<f64>()
            .unwrap()
    };
    let requests = |route: &str, method: &str, outcome: &str| {
        value(&format!(
            "rotunda_http_requests_total{{route=\"{route}\",method=\"{method}\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(requests("/v1/bookings", "POST", "ok"), 2.0);
    assert_eq!(requests("/v1/bookings", "POST", "sold_out"), 1.0);
    assert_eq!(requests("/v1/bookings", "POST", "client_error"), 1.0);
    assert_eq!(requests("/v1/bookings", "POST", "shed"), 1.0);
    assert_eq!(requests("/v1/bookings", "POST", "error"), 1.0);
    assert_eq!(requests("/v1/bookings/{booking}/confirm", "POST", "ok"), 2.0);
    assert_eq!(requests("/v1/bookings/{booking}/confirm", "POST", "conflict"), 1.0);
    assert_eq!(requests("/v1/venues", "GET", "quota"), 1.0);
    assert_eq!(requests("unmatched", "GET", "client_error"), 1.0);
    assert_eq!(
        value("rotunda_tickets_issued_total{venue=\"lisbon-tides\",channel=\"web\"}"),
        3.0
    );
    assert_eq!(value("rotunda_router_shed_total{reason=\"cluster\"}"), 1.0);
    assert_eq!(
        value("rotunda_router_rate_limited_total{quota=\"caller\",role=\"visitor\",routes=\"look\"}"),
        1.0
    );
    assert_eq!(value("rotunda_router_inflight_requests"), 0.0);
    assert_eq!(value("rotunda_router_concurrency_limit"), 4096.0);
    assert_eq!(
        value("rotunda_http_request_seconds_count{route=\"/v1/bookings/{booking}/confirm\",method=\"POST\"}"),
        3.0
    );
    assert!(value("process_resident_memory_bytes") > 0.0);
    assert!(!text.contains("secret-id"), "a path became a label");

    lint(&text);
    promtool(&text);
}

/// What `promtool check metrics` looks at, for machines that have none: help and type for each name, counters end in
/// `_total` and nothing else does, base units.
fn lint(text: &str) {
    let of = |word: &str| -> BTreeMap<&str, &str> {
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.split_once(' '));
        lines.collect()
    };
    let (help, types) = (of("# HELP"), of("# TYPE"));
    let names: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .map(|name| {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            family
                .filter(|family| types.get(family) == Some(&"histogram"))
                .unwrap_or(name)
        })
        .collect();
    for name in names {
        assert!(
            help.get(name).is_some_and(|help| !help.is_empty()),
            "{name} has no help"
        );
        let counter = types.get(name) == Some(&"counter");
        assert_eq!(counter, name.ends_with("_total"), "{name} is a {:?}", types.get(name));
        for unit in ["_ms", "_milliseconds", "_kb", "_megabytes", "_percent", "_minutes"] {
            assert!(!name.contains(unit), "{name} is not in a base unit");
        }
    }
}

/// The real one, where there is one.
fn promtool(text: &str) {
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("NOT CHECKED: promtool does not run here ({error}); `.ci/setup promtool DIR` fetches it");
            return;
        }
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
