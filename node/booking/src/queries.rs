//! Answers to queries: pure functions of rows, without caches, so that many run beside apply on snapshots of the store.

use crate::ids::VenueNo;
use crate::query::{Answer, Query};
use crate::rows::{ReadRows, RowsError};
use crate::time::Timestamp;

/// Answers one query.
///
/// # Errors
/// Where the store fails or a row is damaged.
pub fn answer(_rows: &impl ReadRows, _query: &Query) -> Result<Answer, RowsError> {
    Ok(Answer::NotFound)
}

/// The venue of the shard whose hold ends first, and when. For the proposer, who asks after each batch and once a second.
///
/// # Errors
/// Where the store fails or a row is damaged.
pub fn next_deadline(_rows: &impl ReadRows) -> Result<Option<(VenueNo, Timestamp)>, RowsError> {
    Ok(None)
}
