//! What a hold of a hot slot costs the rules, in instructions: a machine's speed differs from hour to hour, its count of
//! instructions does not. The numbers below are those of the change that last moved them; one that makes a hold dearer by
//! more than compilers differ fails here, and one that makes it cheaper writes its own number down.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;

/// Instructions for each hold on a leader, decoded, applied and answered.
const LEADER: u64 = 9_200;
/// The same on a follower, which answers nobody.
const FOLLOWER: u64 = 7_600;

/// By so much builds differ: with and without incremental compilation, by compiler and by C library.
const TOLERANCE_PERCENT: u64 = 25;

fn example() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let built = test.ancestors().nth(2).expect("the folder of the build");
    built.join("examples/apply")
}

/// Instructions for each hold.
fn count(role: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*measured*"])
        .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
        .arg(example())
        .arg(role)
        .output()
        .expect("valgrind runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let holds: u64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("how many holds");
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let instructions: u64 = collected.expect("a count").1.trim().parse().expect("a number");
    instructions / holds
}

#[test]
fn a_hold_costs_no_more_instructions_than_it_did() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "valgrind is missing: apt-get install valgrind"
        );
        eprintln!("NOT RUN: valgrind is missing: apt-get install valgrind");
        return;
    }
    assert!(
        example().exists(),
        "{} is missing: cargo build --workspace --locked --example apply",
        example().display()
    );
    for (role, known) in [("leader", LEADER), ("follower", FOLLOWER)] {
        let counted = count(role);
        println!("{role}: {counted} instructions a hold; {known} are known");
        let most = known + known * TOLERANCE_PERCENT / 100;
        assert!(
            counted <= most,
            "a hold costs the {role} {counted} instructions where it cost {known}: `make instructions` counts, \
             callgrind_annotate shows where they go"
        );
    }
}
