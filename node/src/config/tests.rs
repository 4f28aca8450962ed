//! Settings from flags and files: what is taken, and what is refused with which words.
#![allow(clippy::unwrap_used, reason = "tests")]
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn flags(arguments: &[&str]) -> Flags {
    Flags::parse_from(std::iter::once("rotunda-node").chain(arguments.iter().copied()))
}

const COMPLETE: [&str; 8] = [
    "--node-id",
    "1",
    "--cluster",
    "c",
    "--data",
    "d",
    "--peer",
    "1=http://127.0.0.1:7001",
];

fn load(more: &[&str]) -> Result<Config, ConfigError> {
    let arguments: Vec<&str> = COMPLETE
        .iter()
        .chain(["--replication", "1"].iter())
        .chain(more)
        .copied()
        .collect();
    Config::load(&flags(&arguments))
}

#[test]
fn flags_are_enough() {
    let config = load(&[]).unwrap();
    assert_eq!((config.node_id, config.shards, config.memory_bytes), (1, 8, 512 << 20));
    assert_eq!(config.timing.election_max_ms, 1_200);
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    for (more, setting) in [
        (["--election-ms", "300"], "election-ms"),
        (["--heartbeat-ms", "900"], "heartbeat-ms"),
        (["--memory", "1MiB"], "memory"),
        (["--memory", "lots"], "memory"),
        (
            ["--shards", "256"],
            "memory: \"512MiB\": 256 shards need at least 1920MiB",
        ),
        (["--shards", "0"], "shards"),
        (["--peer", "0=http://127.0.0.1:1"], "peer"),
        (["--peer", "2=ftp://x"], "peer"),
        (["--config", "/nowhere.toml"], "config"),
    ] {
        let error = load(&more).unwrap_err().to_string();
        assert!(error.starts_with(setting), "{more:?}: {error}");
    }
    assert!(Config::load(&flags(&[])).unwrap_err().to_string().contains("--node-id"));
}

#[test]
fn a_file_is_read_below_the_flags_and_unknown_settings_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node.toml");
    std::fs::write(
        &file,
        "shards = 4\nmemory = \"1GiB\"\n[peers]\n2 = \"http://127.0.0.1:7002\"\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let config = load(&["--config", path, "--memory", "2GiB"]).unwrap();
    assert_eq!(
        (config.shards, config.memory_bytes, config.peers.len()),
        (4, 2 << 30, 2)
    );
    std::fs::write(&file, "shrads = 4\n").unwrap();
    assert!(load(&["--config", path]).unwrap_err().to_string().contains("shrads"));
}

#[test]
fn workers_that_no_machine_has_are_refused() {
    assert_eq!(load(&["--workers", "3"]).unwrap().workers, 3);
    for count in ["0", "1000000"] {
        assert!(load(&["--workers", count]).unwrap_err().to_string().contains("workers"));
    }
}

#[test]
fn the_sample_that_operators_copy_is_one_that_we_take() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/config/node.toml");
    let config = Config::load(&flags(&["--config", sample])).unwrap();
    assert_eq!((config.node_id, config.peers.len(), config.replication), (1, 3, 3));
}

#[test]
fn keys_are_read_and_never_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    let path = file.to_str().unwrap();
    let key = "5e".repeat(32);
    let write = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    assert!(load(&[]).unwrap().keys.is_none());
    write(&format!("2026-11 {key}\n2025 {}\n", "07".repeat(32)));
    let config = load(&["--encryption-keys", path]).unwrap();
    assert!(
        !format!("{config:?}").contains("5e5e"),
        "a key is printed with the settings"
    );
    assert_eq!(config.keys.unwrap().names().collect::<Vec<_>>(), ["2026-11", "2025"]);
    write(&format!("2026-11 {key}0\n"));
    let error = load(&["--encryption-keys", path]).unwrap_err().to_string();
    assert!(
        error.contains("encryption-keys: line 1") && !error.contains("5e5e"),
        "{error}"
    );
    let error = load(&["--encryption-keys-env", "ROTUNDA_TEST_NO_SUCH_VARIABLE"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("the variable ROTUNDA_TEST_NO_SUCH_VARIABLE"), "{error}");
    let error = load(&["--encryption-keys", path, "--encryption-keys-env", "X"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("not from both"), "{error}");
}

#[test]
fn the_sample_names_every_setting() {
    let sample = include_str!("../../../deploy/config/node.toml");
    let settings = figment::value::Value::serialize(Raw::default()).unwrap();
    let names = settings.as_dict().unwrap().keys();
    // What a launcher asks for, not a file.
    for name in names.filter(|name| *name != "exit_with_parent") {
        assert!(sample.contains(name.as_str()), "{name} is not in node.toml");
    }
}

#[test]
fn certificates_are_this_nodes_or_the_node_does_not_start() {
    use rotunda_tls::authority::{Authority, Holder};
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::found(folder.path(), "c").unwrap();
    for role in ["node-1", "node-2", "router-a"] {
        authority.add(&Holder::parse(role).unwrap(), &[], 1).unwrap();
    }
    let said = |whose: &str, more: &[&str]| {
        let file = |name: &str| folder.path().join(whose).join(name).display().to_string();
        let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        let mut arguments = COMPLETE.to_vec();
        arguments[7] = "1=https://127.0.0.1:7001";
        arguments.extend([
            "--replication",
            "1",
            "--tls-ca",
            &ca,
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
        ]);
        arguments.extend(more);
        Config::load(&flags(&arguments))
    };
    assert!(said("node-1", &[]).unwrap().tls.is_some());
    for (whose, more, words) in [
        (
            "node-2",
            [].as_slice(),
            "is the certificate of node-2.c.rotunda, and this is node-1.c.rotunda",
        ),
        ("router-a", &[], "is the certificate of router-a.c.rotunda"),
        (
            "node-1",
            &["--peer", "2=http://127.0.0.1:7002"],
            "expected https://HOST:PORT with [tls]",
        ),
        ("nowhere", &[], "cannot be read"),
    ] {
        let error = said(whose, more).unwrap_err().to_string();
        assert!(error.contains(words), "{whose} {more:?}: {error}");
    }
    let error = load(&["--tls-ca", "ca.pem"]).unwrap_err().to_string();
    assert!(error.contains("give ca, cert and key"), "{error}");
    let error = load(&["--peer", "2=https://127.0.0.1:7002"]).unwrap_err().to_string();
    assert!(error.contains("expected http://HOST:PORT"), "{error}");
}
