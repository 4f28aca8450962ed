//! Tables as this command draws them, and whether it may use colour.

use std::io::IsTerminal;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

/// A table with these headings. Cells are never wrapped: an address broken over two lines cannot be copied.
pub(crate) fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings);
    table
}

/// Colour only for a person who has not asked for none (<https://no-color.org>).
pub(crate) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
}

/// A cell in green or red where colour is allowed.
pub(crate) fn good_or_bad(text: impl ToString, good: bool) -> Cell {
    let cell = Cell::new(text);
    if colour() {
        cell.fg(if good { Color::Green } else { Color::Red })
    } else {
        cell
    }
}
