//! The audit log, a page at a time.

use crate::audit_log::MAX_AUDIT_LINES;
use crate::ids::VenueNo;
use crate::inventory::read_clock;
use crate::keys::Key;
use crate::query::Answer;
use crate::rows::{ReadRows, RowsError};
use crate::state::{Counters, VenueRow, damaged, decode_row, read_row};

pub(super) fn lines(rows: &impl ReadRows, venue: VenueNo, after: u64, limit: u32) -> Result<Option<Answer>, RowsError> {
    if read_row::<VenueRow>(rows, venue)?.is_none() {
        return Ok(None);
    }
    let last = read_row::<Counters>(rows, venue)?.unwrap_or_default().next_audit - 1;
    let first = after.saturating_add(1);
    let end = first.saturating_add(u64::from(limit.min(MAX_AUDIT_LINES)));
    let mut lines = Vec::new();
    for number in first..end.min(last.saturating_add(1)) {
        let key = Key::audit(venue, number);
        let line = rows
            .get(&key)?
            .ok_or_else(|| damaged(&key, "a line of the audit log is missing".to_owned()))?;
        lines.push(decode_row(&key, &line)?);
    }
    Ok(Some(Answer::Audit {
        lines,
        last,
        time: read_clock(rows)?.unwrap_or_default(),
    }))
}
