//! What the invariants say, as every command tells it: cells of a table, findings with what led there, JSON.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use rotunda_chaos::invariants::{Ruling, Verdict};
use serde_json::{Map, Value, json};

/// So many findings of each invariant are shown; `--output json` and the page have more.
const SHOWN: usize = 5;

/// Colour only for a person who has not asked for none (<https://no-color.org>).
fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
}

/// A table as all of them look.
pub(super) fn new_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

pub(super) fn ruling(ruling: Ruling) -> Cell {
    let cell = Cell::new(ruling.to_string());
    if !colour() {
        return cell;
    }
    cell.fg(match ruling {
        Ruling::Sound => Color::Green,
        Ruling::Violated => Color::Red,
        Ruling::Undecided | Ruling::NotCovered => Color::Yellow,
    })
}

/// What was looked at, in words.
pub(super) fn looked_at(verdict: &Verdict) -> String {
    let counts = verdict.looked_at.iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
    counts.join(", ")
}

/// What was violated, with what led there.
pub(super) fn findings(text: &mut String, verdicts: &[Verdict]) {
    for verdict in verdicts.iter().filter(|verdict| verdict.found > 0) {
        let _ = writeln!(
            text,
            "\n{} VIOLATED ({}): {}",
            verdict.id, verdict.found, verdict.promise
        );
        for finding in verdict.findings.iter().take(SHOWN) {
            let _ = writeln!(text, "  - {finding}");
            for event in &finding.last_events {
                let _ = writeln!(text, "      {event}");
            }
        }
        let more = verdict.found.saturating_sub(SHOWN as u64);
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
    }
}

/// All of it for programs.
pub(super) fn as_json(verdicts: &[Verdict]) -> Vec<Value> {
    let one = |verdict: &Verdict| {
        let looked_at: Map<String, Value> = verdict
            .looked_at
            .iter()
            .map(|(what, count)| ((*what).to_owned(), json!(count)))
            .collect();
        json!({
            "id": verdict.id,
            "promise": verdict.promise,
            "verdict": verdict.ruling(),
            "looked_at": looked_at,
            "found": verdict.found,
            "findings": verdict.findings,
            "undecided": verdict.undecided,
            "not_covered": verdict.not_covered,
        })
    };
    verdicts.iter().map(one).collect()
}
