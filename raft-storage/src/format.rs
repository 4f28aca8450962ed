//! The format of a data directory, which is the version of the cluster that wrote it. It stands in the directory's identity,
//! which is read before anything else is, so a program that cannot read what is in there refuses it and changes nothing.

use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::blocking::Blocking;
use crate::engine::Db;
use crate::keys;
use crate::record::{self, StoredIdentity};

/// The formats that this version reads. Format 2 has other rows of bookings: reminders of deadlines, events and old command
/// keys, many to a row; format 3 bookings that can be exchanged, and a chained journal. From format 3 on it is the version of
/// the cluster, which format 4 is the first to keep: a new directory begins as the oldest and is raised with its cluster.
pub const FORMATS: RangeInclusive<u32> = 3..=4;

/// The newest format that rows of a backup may have; whoever restores them has to read it.
pub const ROW_FORMAT: u32 = *FORMATS.end();

/// See the module.
pub(crate) struct DirectoryFormat {
    log: Db,
    cluster: String,
    node: u32,
    now: AtomicU32,
}

impl DirectoryFormat {
    /// As it was found.
    pub(crate) fn found(log: Db, identity: StoredIdentity) -> Self {
        let StoredIdentity { format, cluster, node } = identity;
        let now = AtomicU32::new(format);
        Self {
            log,
            cluster,
            node,
            now,
        }
    }

    pub(crate) fn now(&self) -> u32 {
        self.now.load(Ordering::Acquire)
    }

    /// Synced when this is done. It never goes back.
    pub(crate) async fn raise(&self, format: u32, blocking: Blocking) -> io::Result<()> {
        if format <= self.now() {
            return Ok(());
        }
        if !FORMATS.contains(&format) {
            let unknown = format!("format {format} is not one of {FORMATS:?}, which this version reads");
            return Err(io::Error::other(unknown));
        }
        let record = record::encode_identity(&StoredIdentity {
            format,
            cluster: self.cluster.clone(),
            node: self.node,
        });
        let log = self.log.clone();
        let written = blocking.run(move || log.put_synced(&keys::IDENTITY, &record)).await?;
        written.map_err(|error| io::Error::other(error.to_string()))?;
        self.now.store(format, Ordering::Release);
        Ok(())
    }
}
