//! `rotunda-chaos check` from outside: its exit codes and what it prints of sound, broken and unreadable histories.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;
use std::process::{Command, Output};

use rotunda_chaos::history::reader::Saved;
use rotunda_chaos::model_cluster::{Plan, history};
use tempfile::TempDir;

/// Runs the command on a history in a file.
fn check(name: &str, bytes: &[u8], arguments: &[&str]) -> (Output, TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rotunda-chaos"))
        .arg("check")
        .arg(&file)
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    (output, folder, file)
}

fn sound() -> Saved {
    history(Plan {
        operations: 300,
        ..Plan::default()
    })
}

fn bytes(saved: &Saved) -> Vec<u8> {
    saved.write(Vec::new()).unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_sound_history_is_0_with_a_table_and_a_page() {
    let (output, folder, _) = check("sound.jsonl", &bytes(&sound()), &["--html", "run.html"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in ["I1 ", "I13", "sound: nothing was violated", "tickets admitted"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("NOT COVERED"), "{text}");
    let page = std::fs::read_to_string(folder.path().join("run.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>"));
}

#[test]
fn a_broken_history_is_1_and_says_where() {
    let mut saved = sound();
    let hold = |op: &&mut rotunda_chaos::history::lines::Op| op.index.is_some() && !op.op.is_read() && op.code() == "";
    let number = {
        let op = saved.operations.iter_mut().find(hold).unwrap();
        op.command.as_mut().unwrap().0[0] ^= 1;
        op.line
    };
    let (output, ..) = check("broken.jsonl", &bytes(&saved), &[]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("LOST"), "{text}");
    assert!(text.contains(&format!("line {number}")), "{text}");
    assert!(text.contains("to repeat the run"), "{text}");

    let (output, ..) = check("broken.jsonl", &bytes(&saved), &["--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(report["sound"], false);
    let durable = report["invariants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["id"] == "I3")
        .unwrap();
    assert_eq!(durable["verdict"], "violated");
    assert!(!durable["findings"][0]["last_events"].as_array().unwrap().is_empty());
}

#[test]
fn an_unreadable_history_is_2_and_names_the_line() {
    let mut text = String::from_utf8(bytes(&sound())).unwrap();
    text.insert_str(text.find('\n').unwrap() + 1, "{\"kind\":\"op\"\n");
    let (output, ..) = check("unreadable.jsonl", text.as_bytes(), &[]);
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("line 2"), "{error}");

    let (output, ..) = check("nothing.jsonl", b"", &[]);
    assert_eq!(output.status.code(), Some(2));

    let cut = bytes(&sound());
    let (output, ..) = check("cut.jsonl", &cut[..cut.len() / 2], &[]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn entries_that_do_not_decode_are_2() {
    let mut saved = sound();
    let entry = saved
        .entries
        .iter_mut()
        .find(|line| !line.payload.0.is_empty())
        .unwrap();
    entry.payload.0 = vec![9, 9, 9];
    let line = entry.line;
    let (output, ..) = check("undecodable.jsonl", &bytes(&saved), &[]);
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains(&format!("line {line}: the entry does not decode")),
        "{error}"
    );
}
