//! An audited history as a person reads it: a table, then each finding with what led there.

use std::fmt::Write as _;

use comfy_table::Cell;
use rotunda_chaos::history::reader::Saved;
use rotunda_chaos::invariants::{Verdict, is_sound};

use super::verdicts;

/// All of it.
pub(crate) fn text(saved: &Saved, verdicts: &[Verdict]) -> String {
    let mut table = verdicts::new_table();
    table.set_header(["invariant", "what holds", "looked at", "verdict"]);
    for verdict in verdicts {
        table.add_row([
            Cell::new(verdict.id),
            Cell::new(verdict.promise),
            Cell::new(verdicts::looked_at(verdict)),
            verdicts::ruling(verdict.ruling()),
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
    verdicts::findings(&mut text, verdicts);
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
