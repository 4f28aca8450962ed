//! What a simulated disk does wrong when it is told to, and what it has done so far.

use std::io;
use std::time::Duration;

/// What can fail. Both databases and the mark's file count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// A row by its key, a walk, a view's read, the mark.
    Read,
    /// A batch, or the mark: what failed is not there.
    Write,
    /// An fsync, or a flush of the state: what was written stays unsynced, and a crash may or may not lose it.
    Sync,
}

/// What a simulated disk has been through. Sums since it was made; a run in which a fault that was asked for is zero here
/// has not exercised it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exercised {
    /// Stores opened on it.
    pub opens: u64,
    /// Batches written.
    pub writes: u64,
    /// Syncs and flushes that did what they said.
    pub syncs: u64,
    /// Syncs that took simulated time.
    pub slow_syncs: u64,
    /// Syncs that only said that they did.
    pub lying_syncs: u64,
    /// Losses of power.
    pub power_losses: u64,
    /// Processes killed.
    pub kills: u64,
    /// Batches of the log that were never synced and are gone.
    pub log_batches_lost: u64,
    /// Batches of the log that were never synced and are there after a loss of power.
    pub log_batches_kept: u64,
    /// Losses of power in the middle of a batch of the log, which was cut.
    pub torn_tails: u64,
    /// Batches of rows that were not flushed and are gone.
    pub state_batches_lost: u64,
    /// Writes of the mark that are gone.
    pub mark_writes_lost: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Syncs that failed.
    pub failed_syncs: u64,
    /// Writes and flushes that found no space.
    pub out_of_space: u64,
    /// Rows, files and tails that were damaged.
    pub damages: u64,
    /// Reads that met a row whose block does not check.
    pub corruptions_reported: u64,
}

/// The switches.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Accesses that succeed before one fails, by kind.
    until_failure: [Option<u64>; 3],
    pub(super) bytes_left: Option<u64>,
    pub(super) sync_takes: Duration,
    pub(super) lying_syncs: bool,
}

impl Faults {
    pub(super) fn fail_after(&mut self, access: Access, successes: u64) {
        self.until_failure[access as usize] = Some(successes);
    }

    /// Whether this access fails.
    pub(super) fn strikes(&mut self, access: Access, exercised: &mut Exercised) -> Option<io::Error> {
        let left = self.until_failure[access as usize].as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        self.until_failure[access as usize] = None;
        match access {
            Access::Read => exercised.failed_reads += 1,
            Access::Write => exercised.failed_writes += 1,
            Access::Sync => exercised.failed_syncs += 1,
        }
        Some(io::Error::other("Input/output error (simulated)"))
    }

    /// Takes space for `bytes`. The first write that does not fit takes what is left: the disk stays full.
    pub(super) fn take_space(&mut self, bytes: usize, exercised: &mut Exercised) -> io::Result<()> {
        let Some(left) = self.bytes_left else { return Ok(()) };
        let after = left.checked_sub(bytes as u64).filter(|_| left > 0);
        self.bytes_left = Some(after.unwrap_or(0));
        if after.is_some() {
            return Ok(());
        }
        exercised.out_of_space += 1;
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "No space left on device (simulated)",
        ))
    }
}
