//! Verdicts as a person reads them: a table, then each finding with what led there.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use rotunda_chaos::history::reader::Saved;
use rotunda_chaos::invariants::{Ruling, Verdict, is_sound};

/// So many findings of each invariant are shown; `--output json` has more.
const SHOWN: usize = 5;

/// Colour only for a person who has not asked for none (<https://no-color.org>).
fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
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

/// All of it.
pub(crate) fn text(saved: &Saved, verdicts: &[Verdict]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["invariant", "what holds", "looked at", "verdict"]);
    for verdict in verdicts {
        let counts = verdict.looked_at.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
        table.add_row([
            Cell::new(verdict.id),
            Cell::new(verdict.promise),
            Cell::new(counts.join(", ")),
            ruling(verdict.ruling()),
        ]);
    }
    let mut text = format!("{}\n\n{table}\n", heading(saved));
    for verdict in verdicts {
        for (mark, reasons) in [("undecided", &verdict.undecided), ("NOT COVERED", &verdict.not_covered)] {
            for reason in reasons {
                let _ = writeln!(text, "{} {mark}: {reason}", verdict.id);
            }
        }
    }
    for (kind, count) in &saved.left_out {
        let _ = writeln!(
            text,
            "{count} lines of kind {kind:?} are not known here and were left out"
        );
    }
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
    let end = if is_sound(verdicts) {
        "\nsound: nothing was violated"
    } else {
        "\nVIOLATED: keep the history and the data of the nodes; the earliest entry named above is where to begin"
    };
    let _ = writeln!(text, "{end}");
    if !is_sound(verdicts) && !saved.header.command.is_empty() {
        let _ = writeln!(text, "to repeat the run: {}", saved.header.command);
    }
    text
}

fn heading(saved: &Saved) -> String {
    let header = &saved.header;
    let seed = header.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    format!(
        "history {:?}{seed}: {} operations, {} log entries, {} faults in {} s",
        header.name,
        saved.operations.len(),
        saved.entries.len(),
        saved
            .faults
            .iter()
            .filter(|fault| fault.phase == rotunda_chaos::history::lines::Phase::Begin)
            .count(),
        saved.ended_ns() / 1_000_000_000
    )
}
