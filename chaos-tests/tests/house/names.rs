//! What may be named where, and how a module begins. Words are looked for in code, not in comments.

use crate::tree::{self, File};

/// A word, where it may stand, and why nowhere else.
struct Rule {
    word: &'static str,
    /// Folders and files that the rule looks at.
    within: &'static [&'static str],
    /// Beginnings of paths below them where the word may stand.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const EVERYWHERE: &[&str] = &[""];
const BOOKING: &[&str] = &["node/booking/src/"];

const RULES: &[Rule] = &[
    Rule {
        word: "rocksdb::",
        within: EVERYWHERE,
        allowed: &[
            "raft-storage/src/db.rs",
            "raft-storage/src/engine/encrypted.rs",
            "raft-storage/src/engine/reencryption.rs",
            "raft-storage/src/engine/rocks.rs",
        ],
        reason: "only the store's engine knows that there is a RocksDB",
    },
    Rule {
        word: "serde_json",
        within: EVERYWHERE,
        // A manifest is for people and programs. Memberships on disk are JSON inside their record: rare, and openraft's to change.
        allowed: &[
            "router/src/api",
            "deploy/backup/src/manifest.rs",
            "deploy/cli/",
            "chaos-tests/",
            "dashboards/generator/",
            // Lines of a log are objects.
            "deploy/telemetry/src/logs/",
            "dashboards/overview/",
            "raft-storage/src/record.rs",
        ],
        reason: "JSON is spoken at the edges only; inside there are domain types and a binary layout",
    },
    Rule {
        word: "rotunda_protocol::proto",
        within: EVERYWHERE,
        allowed: &[
            "node/protocol/",
            "node/src/audit.rs",
            "node/src/grpc",
            "node/src/node.rs",
            "node/src/server.rs",
            "node/src/raft/",
            "node/src/clock/watch.rs",
            "node/src/meta/",
            "node/src/group.rs",
            "node/src/joining.rs",
            "node/src/metrics.rs",
            "chaos-tests/tests/house/",
        ],
        reason: "generated types stay where a node speaks to others; behind that there are domain types",
    },
    Rule {
        word: "unbounded",
        within: EVERYWHERE,
        allowed: &["chaos-tests/tests/house/"],
        reason: "no queue is without a bound",
    },
    Rule {
        word: "SystemTime",
        within: BOOKING,
        allowed: &[],
        reason: "time is handed in by the entry",
    },
    Rule {
        word: "Instant",
        within: BOOKING,
        allowed: &[],
        reason: "time is handed in by the entry",
    },
    Rule {
        word: "Timestamp::now",
        within: BOOKING,
        allowed: &[],
        reason: "time is handed in by the entry",
    },
    Rule {
        word: "Zoned::now",
        within: BOOKING,
        allowed: &[],
        reason: "time is handed in by the entry",
    },
    Rule {
        word: "HashMap",
        within: BOOKING,
        allowed: &[],
        reason: "its order differs from replica to replica",
    },
    Rule {
        word: "HashSet",
        within: BOOKING,
        allowed: &[],
        reason: "its order differs from replica to replica",
    },
    Rule {
        word: "std::fs",
        within: BOOKING,
        allowed: &[],
        reason: "booking knows no files",
    },
    Rule {
        word: "std::net",
        within: BOOKING,
        allowed: &[],
        reason: "booking knows no network",
    },
    Rule {
        word: "std::thread",
        within: BOOKING,
        allowed: &[],
        reason: "booking knows no threads",
    },
    Rule {
        word: "std::env",
        within: BOOKING,
        allowed: &[],
        reason: "replicas run in different environments",
    },
    Rule {
        word: "async fn",
        within: BOOKING,
        allowed: &[],
        reason: "booking waits for nothing",
    },
    Rule {
        word: "f32",
        within: BOOKING,
        allowed: &[],
        reason: "money and counts are whole",
    },
    Rule {
        word: "f64",
        within: BOOKING,
        allowed: &[],
        reason: "money and counts are whole",
    },
    Rule {
        word: "jiff::",
        within: BOOKING,
        allowed: &[
            "node/booking/src/calendar",
            "node/booking/src/catalogue",
            "node/booking/src/ids",
        ],
        reason: "apply opens no time zone table: two binaries may carry different ones",
    },
];

/// Whether `word` stands in `line` as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && (word.ends_with(':') || !after.is_some_and(is_part))
    })
}

fn breaches(rule: &Rule, files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| rule.within.iter().any(|folder| file.path.starts_with(folder)))
        .filter(|file| !rule.allowed.iter().any(|allowed| file.path.starts_with(allowed)))
        .filter(|file| !file.is_test())
        .flat_map(|file| {
            let lines = file.code().filter(|(_, line)| names(line, rule.word));
            lines
                .map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn words_stand_only_where_they_may() {
    let files = tree::sources();
    let found: Vec<String> = RULES
        .iter()
        .flat_map(|rule| {
            let breaches = breaches(rule, &files).into_iter();
            breaches
                .map(|breach| format!("{breach}\n    `{}`: {}", rule.word, rule.reason))
                .collect::<Vec<_>>()
        })
        .collect();
    tree::none("These words have no place here:", &found);
}

/// The rules above are worth nothing if they cannot find anything.
#[test]
fn a_word_out_of_place_is_found() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let rule = &Rule {
        word: "HashMap",
        within: BOOKING,
        allowed: &["node/booking/src/calendar"],
        reason: "",
    };
    let guilty = "//! HashMap in prose\nuse std::collections::HashMap;\n";
    let found = breaches(rule, &[file("node/booking/src/hold.rs", guilty)]);
    assert_eq!(found, ["node/booking/src/hold.rs:2: use std::collections::HashMap;"]);
    for (path, text) in [
        ("node/booking/src/calendar.rs", guilty),
        ("node/booking/src/hold/tests.rs", guilty),
        ("router/src/main.rs", guilty),
        ("node/booking/src/hold.rs", "struct MyHashMapLike; // HashMap\n"),
        (
            "node/booking/src/hold.rs",
            "#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n}\n",
        ),
    ] {
        assert_eq!(breaches(rule, &[file(path, text)]), [""; 0], "{path}: {text}");
    }
}

#[test]
fn every_module_opens_with_its_brief() {
    let without: Vec<String> = tree::sources()
        .into_iter()
        .filter(|file| {
            // Attributes of the whole module may come first.
            let first = file
                .text
                .lines()
                .find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
            !first.is_some_and(|line| line.starts_with("//!"))
        })
        .map(|file| file.path)
        .collect();
    tree::none(
        "A module opens with `//!` prose that briefs a colleague: what it is, who calls it, what it leaves out.",
        &without,
    );
}
