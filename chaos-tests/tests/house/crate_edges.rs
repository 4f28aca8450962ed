//! Who may depend on whom. An edge that is not in the table below is a decision: it is written into ARCHITECTURE.md with
//! its reason first, then here.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::tree;

/// Crate and the crates of the workspace that it depends on.
const EDGES: &[(&str, &[&str])] = &[
    ("rotunda-mutant", &[]),
    ("rotunda-metrics", &[]),
    ("rotunda-dashboards", &["rotunda-metrics"]),
    ("rotunda-overview", &["rotunda-metrics"]),
    ("rotunda-service", &[]),
    // For the form in which a trace travels from a router to a node.
    ("rotunda-telemetry", &["rotunda-protocol"]),
    ("rotunda-tls", &["rotunda-metrics"]),
    ("rotunda-booking", &["rotunda-mutant"]),
    ("rotunda-raft-storage", &["rotunda-metrics", "rotunda-mutant"]),
    (
        "rotunda-protocol",
        &["rotunda-booking", "rotunda-metrics", "rotunda-mutant", "rotunda-tls"],
    ),
    (
        "rotunda-node",
        &[
            "rotunda-booking",
            "rotunda-metrics",
            "rotunda-mutant",
            "rotunda-overview",
            "rotunda-protocol",
            "rotunda-raft-storage",
            "rotunda-service",
            "rotunda-telemetry",
            "rotunda-tls",
        ],
    ),
    (
        "rotunda-router",
        &[
            "rotunda-booking",
            "rotunda-metrics",
            "rotunda-overview",
            "rotunda-protocol",
            "rotunda-service",
            "rotunda-telemetry",
            "rotunda-tls",
        ],
    ),
    (
        "rotunda-backup",
        &[
            "rotunda-booking",
            "rotunda-node",
            "rotunda-protocol",
            "rotunda-raft-storage",
        ],
    ),
    (
        "rotunda",
        &["rotunda-backup", "rotunda-overview", "rotunda-protocol", "rotunda-tls"],
    ),
    (
        "rotunda-chaos",
        &[
            "rotunda-booking",
            "rotunda-mutant",
            "rotunda-node",
            "rotunda-protocol",
            "rotunda-raft-storage",
            "rotunda-tls",
        ],
    ),
];

/// Crates that a build has only where a feature asks for it.
const OPTIONAL: &[&str] = &["rotunda-mutant"];

/// Library and the only crates that may name it.
const GUARDED: &[(&str, &[&str])] = &[
    ("rocksdb", &["rotunda-raft-storage"]),
    ("openraft", &["rotunda-node", "rotunda-raft-storage"]),
    // The simulated network carries calls as tonic makes them; telemetry's tests are a collector of traces.
    (
        "tonic",
        &["rotunda-node", "rotunda-protocol", "rotunda-chaos", "rotunda-telemetry"],
    ),
    // chaos-tests speaks the little of etcd that its benchmark needs.
    ("prost", &["rotunda-protocol", "rotunda-chaos"]),
    // Routes that both servers have on their admin ports: the overview's, and telemetry's `/log`.
    (
        "axum",
        &[
            "rotunda-node",
            "rotunda-overview",
            "rotunda-router",
            "rotunda-telemetry",
        ],
    ),
    ("governor", &["rotunda-router"]),
    ("sd-notify", &["rotunda-service"]),
    ("rustls", &["rotunda-tls"]),
    ("rcgen", &["rotunda-tls"]),
    ("object_store", &["rotunda-backup"]),
];

/// All that the rules of booking may lean on: none of them has a clock, a disk, a socket or a scheduler. jiff has zone
/// tables, which only the proposer's `calendar` and the validation of a catalogue open (see `names`). The seeded bugs are in
/// no build but the simulator's own (see [`OPTIONAL`]).
const BOOKING_LEANS_ON: &[&str] = &[
    "bytes",
    // Signatures that are the same each time (RFC 8032): it draws nothing.
    "ed25519-dalek",
    // A table of positions that is never walked, so its order decides nothing.
    "hashbrown",
    "iso_currency",
    "jiff",
    "rotunda-mutant",
    "sha2",
    "smallvec",
    "thiserror",
    "xxhash-rust",
];

/// What cargo says of each crate of the workspace.
fn packages() -> Vec<serde_json::Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(tree::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Dependencies of each crate of the workspace, without those of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    packages()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
                .collect();
            (package["name"].as_str().expect("a name").to_owned(), names)
        })
        .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let ours: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let found: BTreeMap<String, BTreeSet<String>> = dependencies()
        .into_iter()
        .map(|(name, on)| (name, on.into_iter().filter(|on| ours.contains(on.as_str())).collect()))
        .collect();
    let allowed: BTreeMap<String, BTreeSet<String>> = EDGES
        .iter()
        .map(|(name, on)| ((*name).to_owned(), on.iter().map(|on| (*on).to_owned()).collect()))
        .collect();
    assert_eq!(
        found, allowed,
        "left: what the manifests say; right: the arrows of ARCHITECTURE.md"
    );
}

#[test]
fn guarded_libraries_stay_with_their_guards() {
    let dependencies = dependencies();
    for (library, guards) in GUARDED {
        let users: BTreeSet<&str> = dependencies
            .iter()
            .filter(|(_, on)| on.contains(*library))
            .map(|(name, _)| name.as_str())
            .collect();
        let strangers: Vec<_> = users.iter().filter(|user| !guards.contains(user)).collect();
        assert!(
            strangers.is_empty(),
            "{library} is for {guards:?} only, and {strangers:?} depend on it too"
        );
        assert!(
            !users.is_empty(),
            "nobody uses {library} any more: take it out of the table"
        );
    }
}

#[test]
fn booking_leans_on_nothing_that_has_a_clock_or_a_disk() {
    let found = dependencies().remove("rotunda-booking").expect("the crate is there");
    let strangers: Vec<_> = found
        .iter()
        .filter(|on| !BOOKING_LEANS_ON.contains(&on.as_str()))
        .collect();
    assert!(strangers.is_empty(), "booking is pure; {strangers:?} may not be");
}

#[test]
fn seeded_bugs_are_in_no_build_that_does_not_ask_for_them() {
    let mut users = 0;
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if OPTIONAL.iter().any(|optional| dependency["name"] == *optional) {
                assert_eq!(dependency["optional"], true, "{name}: {dependency}");
                users += 1;
            }
            // Whoever depends on a crate of ours leaves its seeded bugs out.
            let features = dependency["features"].as_array().expect("features");
            assert!(
                !features.iter().any(|feature| feature == "mutants"),
                "{name}: {dependency}"
            );
        }
        let default = package["features"]["default"].as_array();
        assert!(
            default.is_none_or(Vec::is_empty),
            "{name} has features by default: {default:?}"
        );
    }
    assert!(users > 0, "nobody has seeded bugs any more: take the crate out");
}
