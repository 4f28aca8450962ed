//! What reads back is what was written, and what does not read is named by its line.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::model_cluster::{Plan, history};

fn small() -> Saved {
    history(Plan {
        operations: 60,
        ..Plan::default()
    })
}

fn text(saved: &Saved) -> String {
    String::from_utf8(saved.write(Vec::new()).unwrap()).unwrap()
}

#[test]
fn what_was_written_reads_back() {
    let saved = small();
    let again = Saved::read(text(&saved).as_bytes()).unwrap();
    assert_eq!(again.end.map(|end| end.lines), Some(saved.lines));
    let as_before = Saved {
        end: None,
        lines: saved.lines,
        ..again
    };
    assert!(as_before == saved);
}

/// The problems of a history with one line changed, first line first.
fn problems(change: impl Fn(usize, &str) -> Option<String>) -> String {
    let whole = text(&small());
    let lines = whole
        .lines()
        .enumerate()
        .filter_map(|(number, line)| change(number + 1, line));
    let broken: String = lines.map(|line| line + "\n").collect();
    Saved::read(broken.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_line_that_does_not_read_is_named_with_its_reason() {
    let change = |number: usize, line: &str, to: &str| Some(if number == 9 { to.to_owned() } else { line.to_owned() });
    for (to, reason) in [
        ("{", "line 9: EOF"),
        ("[]", "line 9: invalid"),
        ("{\"a\":1}", "line 9: missing field `kind`"),
        ("{\"kind\":\"op\",\"client\":\"x\"}", "line 9: missing field"),
        (
            "{\"kind\":\"hash\",\"node\":1,\"shard\":1,\"index\":4,\"hash\":\"zz\"}",
            "line 9: \"zz\": not hexadecimal digits",
        ),
        ("{\"kind\":\"header\",\"version\":1}", "line 9: a second header"),
        (
            "{\"kind\":\"end\",\"at_ns\":1,\"lines\":8}",
            "line 10: it stands after the end line",
        ),
    ] {
        let found = problems(|number, line| change(number, line, to));
        assert!(found.contains(reason), "{to}: {found}");
    }
}

#[test]
fn an_operation_that_returned_before_it_was_invoked_is_refused() {
    let op = r#"{"kind":"op","client":"x","op":"hold","invoked_ns":5,"returned_ns":4,"outcome":"unknown"}"#;
    let found = problems(|number, line| Some(if number == 9 { op.to_owned() } else { line.to_owned() }));
    assert!(found.contains("line 9: it returned before it was invoked"), "{found}");
}

#[test]
fn a_history_that_was_cut_off_says_so() {
    let whole = text(&small());
    let torn = &whole[..whole.len() / 2];
    let found = Saved::read(torn.as_bytes()).unwrap_err().to_string();
    assert!(found.contains("the file ends within the line"), "{found}");
    let unfinished = Saved::read_unfinished(torn.as_bytes()).unwrap();
    assert!(unfinished.lines > 10);
    let without_end = problems(|_, line| (!line.contains("\"kind\":\"end\"")).then(|| line.to_owned()));
    assert!(without_end.contains("no end line"), "{without_end}");
    let with_a_hole = problems(|number, line| (number != 9).then(|| line.to_owned()));
    assert!(with_a_hole.contains("lines were written before it"), "{with_a_hole}");
}

#[test]
fn another_version_and_a_file_that_is_no_history_are_refused() {
    let newer = problems(|number, line| {
        Some(if number == 1 {
            line.replace("\"version\":1", "\"version\":2")
        } else {
            line.to_owned()
        })
    });
    assert!(
        newer.contains("version 2 of the format, and this binary knows 1"),
        "{newer}"
    );
    let other = Saved::read(&b"PK\x03\x04 something else"[..]).unwrap_err().to_string();
    assert!(other.contains("line 1"), "{other}");
    assert!(
        Saved::read(&b""[..])
            .unwrap_err()
            .to_string()
            .contains("the file is empty")
    );
}

#[test]
fn kinds_and_fields_of_a_later_version_are_left_out() {
    let whole = text(&small());
    let later = whole.replacen("\"kind\":\"op\"", "\"kind\":\"op\",\"mood\":\"good\"", 1);
    let later = later.replacen("\"kind\":\"fault\"", "\"kind\":\"weather\"", 2);
    let saved = Saved::read(later.as_bytes()).unwrap();
    assert_eq!(
        saved.left_out.values().sum::<u64>(),
        2.min(whole.matches("\"kind\":\"fault\"").count() as u64)
    );
}

#[test]
fn the_status_of_a_problem_is_not_a_bookings() {
    let body = br#"{"type":"about:blank","status":409,"code":"sold_out","errors":[]}"#;
    let told = crate::history::answers::Told::of_body(body);
    assert_eq!((told.code.as_deref(), told.status), (Some("sold_out"), None));
}
