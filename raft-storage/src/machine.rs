//! The seam between the log and what it decides about. A [`Machine`] is the replicated part of a group: a booking shard,
//! or the meta group's map. It holds decoded caches; everything that must survive goes through [`StateTxn`]
//! into the rows of its group.

use bytes::Bytes;

use crate::error::MachineError;
use crate::state::{StateTxn, StateView};

/// A deterministic state machine over rows. The same entries in the same order give the same rows on every replica: no
/// clock, no randomness, no order that a hash map decides.
pub trait Machine: Send + Sync + 'static {
    /// Rebuilds the caches from `state`: at open, and after a snapshot was installed. Whatever was there before is void.
    ///
    /// # Errors
    /// Where a row cannot be read or makes no sense. The group does not start.
    fn load(&mut self, state: &StateView) -> Result<(), MachineError>;

    /// Applies one committed entry. Reads see the rows as they were before this entry; the entry's own puts reach the
    /// store together with its log id, in one write, after this returns. `want_reply` is false where nobody waits for the
    /// answer (followers, replay), so that it need not be encoded.
    ///
    /// # Errors
    /// Where the entry or a row makes no sense. Fatal for the group; a refusal is a reply, not an error.
    fn apply(
        &mut self,
        index: u64,
        payload: &Bytes,
        txn: &mut StateTxn<'_>,
        want_reply: bool,
    ) -> Result<Bytes, MachineError>;

    /// A digest of all rows, kept incrementally: equal on every replica at the same applied index. Stored with each entry
    /// and carried by every snapshot.
    fn state_hash(&self) -> [u8; 16];

    /// Called after the entry's write is in and readable: the place to publish to watchers. Nothing is answered before.
    fn applied_observer(&mut self, index: u64) {
        let _ = index;
    }
}
