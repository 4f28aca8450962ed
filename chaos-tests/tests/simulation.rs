//! The simulator through the command that people use: a fixed set of seeds is sound and repeatable, kept scenarios stay
//! sound, and what makes no sense is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn chaos(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_rotunda-chaos");
    Command::new(program).args(arguments).output().unwrap()
}

fn simulate(flags: &[&str]) -> Value {
    let output = chaos(&[&["simulate", "--output", "json"], flags].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(output.status.success(), "{report:#}\n{said}");
    report
}

fn sum(report: &Value, name: &str) -> u64 {
    let seeds = report["seeds"].as_object().unwrap().values();
    seeds.map(|seed| seed["counts"][name].as_u64().unwrap_or(0)).sum()
}

#[test]
fn seeds_with_every_fault_are_sound_and_repeatable() {
    let report = simulate(&["--seeds", "1..16", "--minutes", "5"]);
    assert_eq!(report["sound"], true, "{report:#}");
    assert_eq!(report["seeds"].as_object().unwrap().len(), 16);
    assert!(report["run_twice"].as_u64().unwrap() >= 1);
    // What a run must have been through to be worth anything.
    for what in [
        "requests",
        "elections",
        "expiries",
        "answers replayed",
        "exchanges",
        "cancellations by line",
        "tickets accepted",
        "tickets that came twice",
        "merges of scans",
        "snapshots installed",
        "truncations of a log",
        "torn tails",
        "unsynced log batches lost",
        "nodes lost to damage",
        "calls that arrived twice",
    ] {
        assert!(sum(&report, what) > 0, "no {what}: {report:#}");
    }
}

#[test]
fn five_nodes_are_sound_too() {
    let report = simulate(&["--seeds", "1..4", "--minutes", "5", "--nodes", "5", "--shards", "5"]);
    assert!(sum(&report, "elections") > 0, "{report:#}");
}

/// Each was the smallest that showed a bug, or a seeded one.
#[test]
fn kept_scenarios_stay_sound() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", dir.display());
    for file in files {
        let report = simulate(&["--scenario", file.to_str().unwrap()]);
        assert_eq!(report["sound"], true, "{}: {report:#}", file.display());
    }
}

#[test]
fn a_sound_seed_cannot_be_made_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("small.json");
    let output = chaos(&[
        "shrink",
        "--seed",
        "1",
        "--minutes",
        "1",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!out.exists());
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let torn = dir.path().join("torn.json");
    std::fs::write(&torn, "{\"format\": 1").unwrap();
    for flags in [
        &["--nodes", "4", "--seed", "1"][..],
        &["--faults", "earthquake", "--seed", "1"],
        &["--seeds", "5..1"],
        &["--seed", "1", "--seeds", "1..2"],
        &["--scenario", torn.to_str().unwrap()],
        &["--scenario", "nowhere.json"],
        &[],
    ] {
        let output = chaos(&[&["simulate"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
    }
}
