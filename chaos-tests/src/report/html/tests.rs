//! The page is well-formed, takes nothing from outside, and shows what comes from outside as text.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::history::lines::Fault;
use crate::invariants::check;
use crate::model_cluster::{Plan, history};

fn small() -> Saved {
    history(Plan {
        operations: 200,
        fault_every_ms: 3_000,
        ..Plan::default()
    })
}

/// Every element that is opened is closed, in order; attributes stand in quotes; no bare `<` or `&`.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    while let Some(at) = rest.find('<') {
        assert_text(&rest[..at], open.last().copied());
        let end = rest[at..].find('>').expect("a tag that ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        assert!(!tag.contains('<'), "a tag within a tag: {tag:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed, but not the last one opened");
            continue;
        }
        let name = tag.split_whitespace().next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag:?}");
        assert!(tag.matches('"').count().is_multiple_of(2), "quotes: {tag:?}");
        let outside_quotes: String = tag.split('"').step_by(2).collect();
        for attribute in outside_quotes.trim_end_matches('/').split_whitespace().skip(1) {
            assert!(attribute.ends_with('='), "an attribute without quotes: {tag:?}");
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

fn assert_text(text: &str, within: Option<&str>) {
    if within == Some("style") {
        return;
    }
    assert!(!text.contains('>'), "a bare >: {text:?}");
    for (at, _) in text.match_indices('&') {
        let named = text[at + 1..].split(';').next().unwrap_or_default();
        assert!(
            ["amp", "lt", "gt", "quot", "#39"].contains(&named),
            "a bare &: {text:?}"
        );
    }
}

#[test]
fn a_page_is_well_formed_and_asks_for_nothing() {
    let saved = small();
    let page = page(&saved, &check(&saved).unwrap());
    assert_well_formed(&page);
    for word in ["http://", "https://", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(word), "{word}");
    }
    for word in ["Sound", "I13", "model_cluster", "p99", "class=\"fault\""] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn what_comes_from_outside_is_shown_as_text() {
    let evil = "</title><script>alert('1')</script>\" onload=\"x & y\u{0}";
    let mut saved = small();
    saved.header.name = evil.to_owned();
    saved.header.command = evil.to_owned();
    saved.header.environment.insert(evil.to_owned(), evil.to_owned());
    let fault = Fault {
        fault: evil.to_owned(),
        target: evil.to_owned(),
        ..saved.faults[0].clone()
    };
    saved.faults.push(fault);
    // A finding that names a client.
    let last = saved
        .operations
        .iter_mut()
        .rfind(|op| op.index.is_some() && !op.op.is_read())
        .unwrap();
    last.client = evil.to_owned();
    *last.index.as_mut().unwrap() += 1_000;
    let verdicts = check(&saved).unwrap();
    assert!(!is_sound(&verdicts));
    let page = page(&saved, &verdicts);
    assert_well_formed(&page);
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains('\u{0}'));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn an_empty_history_makes_a_page_too() {
    let saved = Saved::default();
    let page = page(&saved, &check(&saved).unwrap());
    assert_well_formed(&page);
    assert!(page.contains("Nothing was broken"), "{page}");
}

#[test]
fn lengths_of_time_are_said_as_people_do() {
    for (ns, text) in [
        (0, "0"),
        (900_000, "900 µs"),
        (2_345_000, "2.3 ms"),
        (45_000_000, "45 ms"),
        (1_250_000_000, "1.2 s"),
        (61_000_000_000, "61 s"),
        (600_000_000_000, "10 min 0 s"),
    ] {
        assert_eq!(chart::duration(ns), text);
    }
}
