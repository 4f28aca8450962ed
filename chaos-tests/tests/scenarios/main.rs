//! Quick scenarios on real processes, each some twenty seconds: what `rotunda-chaos run` does, once, with all that this
//! machine permits. What it does not permit is said aloud. They need the binaries: `cargo build --workspace` first.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::process::Command;
use std::time::Duration;

use rotunda_chaos::binaries;
use rotunda_chaos::faults::not_covered;
use rotunda_chaos::history::reader::Saved;
use rotunda_chaos::lab::capabilities::{Capabilities, Need};
use rotunda_chaos::lab::tag::Tag;
use rotunda_chaos::report::tell;
use rotunda_chaos::scenarios::Scenario;
use rotunda_chaos::scenarios::run::{Outcome, Plan, run};
use tokio::sync::Mutex;

/// One at a time: what is left behind is looked for by the name of this process.
static ONE: Mutex<()> = Mutex::const_new(());

/// Runs a scenario once; none where this machine cannot.
async fn once(scenario: Scenario, able: &Capabilities) -> Option<Outcome> {
    if let Some(missing) = scenario.needs().iter().find_map(|need| able.missing(*need)) {
        not_covered(scenario.name(), missing, missing.could_be);
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan {
        scenario,
        seed: 1,
        span: Duration::from_secs(10),
        times: 1,
        nodes: 3,
        shards: 3,
        visitors: 24,
        programs: binaries::folder(),
        folder: folder.path().to_owned(),
        command: format!("rotunda-chaos run --scenario {scenario}"),
    };
    let outcome = run(&plan, able).await.expect("a run");
    tell(format!(
        "{scenario}: {} requests, {} unknown, faults {:?}, served after {:?}",
        outcome.counts.requests, outcome.counts.unknown, outcome.faults, outcome.healed
    ));
    let wrong: Vec<String> = outcome
        .verdicts
        .iter()
        .flat_map(|verdict| {
            verdict
                .findings
                .iter()
                .map(|finding| format!("{}: {finding}", verdict.id))
        })
        .collect();
    assert!(outcome.is_sound(), "{:#?}\n{wrong:#?}", outcome.problems);
    assert!(outcome.counts.requests > 200, "{:?}", outcome.counts);
    for name in ["history.jsonl", "report.html", "failover.svg"] {
        let length = std::fs::metadata(folder.path().join(name)).map_or(0, |facts| facts.len());
        assert!(length > 500, "{name} has {length} bytes");
    }
    let history = std::fs::File::open(folder.path().join("history.jsonl")).expect("a history");
    let saved = Saved::read(std::io::BufReader::new(history)).expect("a history from its header to its end");
    assert!(
        !saved.entries.is_empty() && !saved.hashes.is_empty(),
        "the replicas were read"
    );
    let covered = |id: &str, what: &str| {
        let verdict = outcome
            .verdicts
            .iter()
            .find(|verdict| verdict.id == id)
            .expect("a verdict");
        let looked_at = verdict.looked_at.iter().find(|(name, _)| *name == what);
        assert!(
            looked_at.is_some_and(|(_, count)| *count > 0),
            "{id} looked at no {what}: {verdict:?}"
        );
    };
    covered("I3", "acknowledged bookings");
    covered("I12", "heal phases");
    if scenario != Scenario::LeaderKilled {
        covered("I10", "reads");
    }
    nothing_is_left();
    Some(outcome)
}

/// No namespace, mount or process of this run.
fn nothing_is_left() {
    let tag = Tag::own().to_string();
    let spaces = Command::new("ip").args(["netns", "list"]).output();
    let spaces = spaces.map_or(String::new(), |said| String::from_utf8_lossy(&said.stdout).into_owned());
    assert!(!spaces.contains(&tag), "{spaces}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(&format!("/rotunda-chaos/{tag}/node-")), "{mounts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_killed() {
    let _one = ONE.lock().await;
    let able = Capabilities::probe();
    let outcome = once(Scenario::LeaderKilled, &able).await.expect("it takes nothing");
    assert_eq!(outcome.failovers.count(), 1);
}

/// What anybody can run: plain processes on loopback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_root_and_tools_it_runs_what_it_can() {
    let _one = ONE.lock().await;
    let able = Capabilities::probe().without(&[Need::Network, Need::Volumes, Need::Preload]);
    assert_eq!(able.not_covered().len(), 3);
    once(Scenario::AllKilled, &able).await.expect("it takes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_is_cut_off() {
    let _one = ONE.lock().await;
    once(Scenario::MinorityPartitioned, &Capabilities::probe()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_loses_power() {
    let _one = ONE.lock().await;
    once(Scenario::PowerLoss, &Capabilities::probe()).await;
}
