//! Seeded bugs: in the simulator's own build each is used by code and described; in any other build there are none.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rotunda-chaos"))
        .args(arguments)
        .output()
        .unwrap()
}

#[cfg(not(feature = "mutants"))]
#[test]
fn a_build_that_did_not_ask_for_bugs_has_none_and_says_how_to_get_them() {
    for arguments in [
        &["mutants"][..],
        &["mutants", "--only", "OneTooMany"],
        &["mutants", "--child", "--only", "OneTooMany", "--seeds", "1..1"],
    ] {
        let output = chaos(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("make mutants"), "{said}");
        assert!(said.contains("--features rotunda-chaos/mutants"), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[cfg(feature = "mutants")]
mod with_bugs {
    use std::path::Path;

    use rotunda_chaos::mutants::{Mutant, SEEDED};

    use super::chaos;

    fn text(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn every_bug_is_in_the_code_and_in_the_list() {
        let listed: Vec<Mutant> = SEEDED.iter().map(|seeded| seeded.mutant).collect();
        assert_eq!(listed, Mutant::ALL);
        for seeded in SEEDED {
            let name = seeded.mutant.name();
            assert!(
                text(seeded.place).contains(&format!("mutant!({name})")),
                "{} has no {name}",
                seeded.place
            );
            assert!(!seeded.faults.is_empty() && seeded.minutes > 0, "{name}");
        }
    }

    #[test]
    fn the_document_has_a_line_for_every_bug() {
        let document = text("chaos-tests/README.md");
        for mutant in Mutant::ALL {
            assert!(
                document.contains(&format!("| `{}` |", mutant.name())),
                "chaos-tests/README.md lacks {}",
                mutant.name()
            );
        }
    }

    #[test]
    fn a_name_that_is_not_in_the_list_is_wrong_usage() {
        let output = chaos(&["mutants", "--only", "Heisenbug"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("OneTooMany"));
    }

    #[test]
    fn a_bug_is_found_and_its_seed_is_sound_without_it() {
        let output = chaos(&["mutants", "--only", "OneTooMany", "--output", "json"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let caught = report["mutants"][0]["caught_by"].as_array().unwrap();
        assert!(caught.iter().any(|id| id == "I1"), "{said}");
    }

    #[test]
    fn a_bug_that_is_not_found_in_time_fails_the_run() {
        let output = chaos(&["mutants", "--only", "OneTooMany", "--budget", "0"]);
        assert_eq!(output.status.code(), Some(1));
    }
}
