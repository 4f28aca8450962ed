//! Sets the crate's gauges, and describes everything it counts; the names are in `dashboards/metrics`. Histograms are recorded
//! where things happen; gauges are set by [`Store::publish`](crate::Store::publish), which a scrape calls first. Install the
//! recorder before opening a store: handles are taken once.

use std::io;
use std::path::Path;

use metrics::{counter, gauge};
pub(crate) use rotunda_metrics::storage::*;

use crate::at_rest::{Keys, to_encrypt_anew};
use crate::engine::{Condition, DATABASES};

/// Describes every metric of this crate to the installed recorder.
pub fn describe_metrics() {
    rotunda_metrics::describe!(METRICS);
}

/// Sets what is known of one database, `log` or `state`.
#[expect(clippy::cast_precision_loss, reason = "disks stay below 2^53 bytes")]
pub(crate) fn publish_condition(database: &'static str, condition: &Condition) {
    let set = |name: &'static str, value: u64| gauge!(name, "database" => database).set(value as f64);
    set(TABLE_FILE_BYTES.name, condition.table_file_bytes);
    set(LIVE_DATA_BYTES.name, condition.live_data_bytes);
    set(PENDING_COMPACTION_BYTES.name, condition.pending_compaction_bytes);
    set(LEVEL_ZERO_FILES.name, condition.level_zero_files);
    set(IMMUTABLE_MEMTABLES.name, condition.immutable_memtables);
    set(RUNNING_COMPACTIONS.name, condition.running_compactions);
    set(RUNNING_FLUSHES.name, condition.running_flushes);
    set(WRITES_HELD_UP.name, u64::from(condition.holds_up_writes));
    counter!(BACKGROUND_ERRORS.name, "database" => database).absolute(condition.background_errors);
    for (reason, times) in [("delay", condition.writes_delayed), ("stop", condition.writes_stopped)] {
        counter!(WRITE_STALLS.name, "database" => database, "reason" => reason).absolute(times);
    }
}

/// Sets whether files are encrypted, and how many are with an older key. Where they cannot be looked at, their number stays as
/// it was.
#[expect(clippy::cast_precision_loss, reason = "some thousand files")]
pub(crate) fn publish_encryption(dir: &Path, keys: Option<&Keys>) {
    gauge!(ENCRYPTED.name).set(f64::from(u8::from(keys.is_some())));
    let older = match keys {
        // With one key there is no other; each look opens every file.
        Some(keys) if keys.names().count() > 1 => older_files(dir, keys),
        _ => Ok(0),
    };
    match older {
        Ok(files) => gauge!(FILES_OF_OLDER_KEYS.name).set(files as f64),
        Err(error) => tracing::debug!(dir = %dir.display(), %error, "the files' keys cannot be looked at"),
    }
}

fn older_files(dir: &Path, keys: &Keys) -> io::Result<usize> {
    let counts = DATABASES.iter().map(|name| to_encrypt_anew(&dir.join(name), keys));
    counts.sum()
}

/// Sets the size of the file system of `dir`, and what this process may still write there. Where it cannot be asked, the
/// gauges stay as they were.
#[expect(clippy::cast_precision_loss, reason = "disks stay below 2^53 bytes")]
pub(crate) fn publish_disk(dir: &Path) {
    match nix::sys::statvfs::statvfs(dir) {
        Ok(disk) => {
            // In fragments: a block is only the size that is good to write.
            let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size()) as f64;
            gauge!(DISK_SIZE_BYTES.name).set(bytes(disk.blocks()));
            // Not those that are kept for root.
            gauge!(DISK_FREE_BYTES.name).set(bytes(disk.blocks_available()));
        }
        Err(error) => tracing::debug!(dir = %dir.display(), %error, "the file system does not tell its size"),
    }
}
