//! A replica's descriptor in use. Two parts of a node change it: an install switches the generation, the node notes an
//! epoch. The record on disk is one, so they take turns.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::log_store::GroupLog;
use crate::log_writer::{Change, LogWriter};
use crate::record::ReplicaDescriptor;

/// See the module.
pub(crate) struct Descriptor {
    synced: Mutex<ReplicaDescriptor>,
    changing: tokio::sync::Mutex<()>,
}

impl Descriptor {
    /// One that is on disk.
    pub(crate) fn found(descriptor: ReplicaDescriptor) -> Self {
        Self {
            synced: Mutex::new(descriptor),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// As it is on disk.
    pub(crate) fn get(&self) -> ReplicaDescriptor {
        *self.synced.lock()
    }

    /// Changes it; on disk once this is done. One change at a time: begun from the same record, the later of two would take
    /// the earlier back, and with it the rows of a generation that is current.
    pub(crate) async fn change(
        &self,
        writer: &LogWriter,
        log: &Arc<GroupLog>,
        change: impl FnOnce(&mut ReplicaDescriptor),
    ) -> io::Result<()> {
        let _one = self.changing.lock().await;
        let mut changed = self.get();
        change(&mut changed);
        writer.write(log, Change::Descriptor(changed)).await?;
        *self.synced.lock() = changed;
        Ok(())
    }
}
