//! What came of runs on real processes, as a person reads it and as a program does.

use std::fmt::Write as _;

use comfy_table::{Cell, Table};
use rotunda_chaos::invariants::Verdict;
use rotunda_chaos::lab::capabilities::Capabilities;
use rotunda_chaos::scenarios::attach::{Attach, Attached};
use rotunda_chaos::scenarios::notes::Counts;
use rotunda_chaos::scenarios::run::{Outcome, cannot};
use rotunda_chaos::scenarios::{ALL, Scenario};
use serde_json::{Value, json};

use super::verdicts;

/// The scenarios, a line each, with what keeps one from being run here.
pub(crate) fn list(able: &Capabilities) -> String {
    let mut text = String::new();
    for scenario in ALL {
        let _ = writeln!(text, "{:21} {}", scenario.name(), scenario.about());
        if let Some(why) = cannot(scenario, able) {
            let _ = writeln!(text, "{:21} NOT COVERED here: {why}", "");
        }
    }
    for (what, why) in able.not_covered() {
        let _ = writeln!(text, "NOT COVERED: {what}: {why}");
    }
    text
}

fn requests(table: &mut Table, counts: &Counts) {
    table.add_row(["requests".to_owned(), counts.requests.to_string()]);
    table.add_row(["times sent".to_owned(), counts.attempts.to_string()]);
    table.add_row(["unknown".to_owned(), counts.unknown.to_string()]);
}

fn judged(all: &[Verdict]) -> Table {
    let mut table = verdicts::new_table();
    table.set_header(["invariant", "verdict", "looked at"]);
    for verdict in all {
        let mut looked_at = verdicts::looked_at(verdict);
        for reason in verdict.undecided.iter().chain(&verdict.not_covered) {
            let joint = if looked_at.is_empty() { "" } else { "; " };
            let _ = write!(looked_at, "{joint}{reason}");
        }
        table.add_row([
            Cell::new(format!("{} {}", verdict.id, verdict.promise)),
            verdicts::ruling(verdict.ruling()),
            Cell::new(looked_at),
        ]);
    }
    table
}

/// One run.
pub(crate) fn text(outcome: &Outcome) -> String {
    let mut run = verdicts::new_table();
    run.set_header([outcome.scenario.name().to_owned(), String::new()]);
    requests(&mut run, &outcome.counts);
    for (class, tally) in &outcome.faults {
        run.add_row([
            format!("fault {class}"),
            format!("{}, felt {}", tally.begun, tally.felt),
        ]);
    }
    run.add_row([
        "nodes that ended by themselves".to_owned(),
        outcome.deaths.len().to_string(),
    ]);
    let healed = outcome
        .healed
        .map_or("never".to_owned(), |took| format!("{} ms", took.as_millis()));
    run.add_row(["served after the last fault".to_owned(), healed]);
    if let Some(words) = outcome.failovers.in_words() {
        run.add_row(["fault to next booking".to_owned(), words]);
    }
    let judged = judged(&outcome.verdicts);
    let mut text = format!("{run}\n{judged}\n");
    for remark in &outcome.remarks {
        let _ = writeln!(text, "seen: {remark}");
    }
    for death in &outcome.deaths {
        let _ = writeln!(text, "ended: {death}");
    }
    verdicts::findings(&mut text, &outcome.verdicts);
    for problem in &outcome.problems {
        let _ = writeln!(text, "PROBLEM: {problem}");
    }
    let _ = writeln!(
        text,
        "{}: {}\n  page: {}\n  again: {}\n",
        outcome.scenario,
        if outcome.is_sound() { "sound" } else { "NOT SOUND" },
        outcome.folder.join("report.html").display(),
        outcome.command
    );
    text
}

/// All runs together, where there were several, and what was left out.
pub(crate) fn summary(outcomes: &[Outcome], left_out: &[(Scenario, String)], able: &Capabilities) -> String {
    let mut text = String::new();
    if outcomes.len() > 1 {
        let mut table = verdicts::new_table();
        table.set_header(["scenario", "requests", "unknown", "faults", "healed", "verdict"]);
        for outcome in outcomes {
            let faults: u64 = outcome.faults.values().map(|tally| tally.felt).sum();
            table.add_row([
                outcome.scenario.name().to_owned(),
                outcome.counts.requests.to_string(),
                outcome.counts.unknown.to_string(),
                faults.to_string(),
                outcome
                    .healed
                    .map_or("never".to_owned(), |took| format!("{} ms", took.as_millis())),
                if outcome.is_sound() { "sound" } else { "NOT SOUND" }.to_owned(),
            ]);
        }
        let _ = writeln!(text, "{table}");
    }
    for (scenario, why) in left_out {
        let _ = writeln!(text, "NOT COVERED: {scenario}: {why}");
    }
    for (what, why) in able.not_covered() {
        let _ = writeln!(text, "NOT COVERED: {what}: {why}");
    }
    text
}

/// All of it.
pub(crate) fn as_json(outcomes: &[Outcome], left_out: &[(Scenario, String)], able: &Capabilities) -> Value {
    let ms = |percent: usize, outcome: &Outcome| {
        outcome
            .failovers
            .percentile(percent)
            .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    let runs: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "scenario": outcome.scenario.name(),
                "sound": outcome.is_sound(),
                "folder": outcome.folder,
                "command": outcome.command,
                "requests": outcome.counts.requests,
                "attempts": outcome.counts.attempts,
                "unknown": outcome.counts.unknown,
                "faults": outcome.faults,
                "healed_ms": outcome.healed.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
                "next_booking_ms": {
                    "count": outcome.failovers.count(),
                    "p50": ms(50, outcome),
                    "p99": ms(99, outcome),
                    "max": ms(100, outcome),
                },
                "nodes_that_ended": outcome.deaths,
                "remarks": outcome.remarks,
                "problems": outcome.problems,
                "invariants": verdicts::as_json(&outcome.verdicts),
            })
        })
        .collect();
    let not_covered: Vec<Value> = able
        .not_covered()
        .into_iter()
        .map(|(what, why)| json!({ "what": what, "why": why }))
        .chain(
            left_out
                .iter()
                .map(|(scenario, why)| json!({ "what": scenario.name(), "why": why })),
        )
        .collect();
    json!({
        "sound": outcomes.iter().all(Outcome::is_sound),
        "runs": runs,
        "not_covered": not_covered,
    })
}

/// What visitors of somebody else's cluster were told.
pub(crate) fn attached(attach: &Attach, came: &Attached) -> String {
    let mut run = verdicts::new_table();
    run.set_header([format!("attached to {}", attach.door), String::new()]);
    requests(&mut run, &came.counts);
    let judged = judged(&came.verdicts);
    let mut text = format!("{run}\n{judged}\n");
    for reason in &came.not_covered {
        let _ = writeln!(text, "NOT COVERED: {reason}");
    }
    verdicts::findings(&mut text, &came.verdicts);
    let _ = writeln!(
        text,
        "page: {}\nagain: {}",
        attach.folder.join("report.html").display(),
        attach.command
    );
    text
}

/// The same for programs.
pub(crate) fn attached_json(attach: &Attach, came: &Attached) -> Value {
    json!({
        "sound": rotunda_chaos::invariants::is_sound(&came.verdicts),
        "attached_to": attach.door,
        "folder": attach.folder,
        "command": attach.command,
        "requests": came.counts.requests,
        "attempts": came.counts.attempts,
        "unknown": came.counts.unknown,
        "not_covered": came.not_covered,
        "invariants": verdicts::as_json(&came.verdicts),
    })
}
