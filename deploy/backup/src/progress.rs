//! How far it is, for whoever watches.

/// Told after each chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Groups that are done.
    pub groups_done: usize,
    /// All groups.
    pub groups: usize,
    /// Bytes of chunks so far.
    pub bytes: u64,
}
