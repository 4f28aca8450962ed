//! Keeps the log short. A purge must follow *durable* applied state: the state has no WAL, so what was applied since the
//! last flush exists only in the log. The node calls [`Checkpoint::checkpoint`] now and then (openraft's own snapshot policy
//! is off): flush, let openraft note a snapshot, purge what is durable except for the entries that lagging followers may
//! still want.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::Raft;
use openraft::async_runtime::WatchReceiver;

use crate::blocking::Blocking;
use crate::log_store::GroupLog;
use crate::machine::Machine;
use crate::mutant::mutant;
use crate::state::{Progress, StateDb};
use crate::state_machine::StateMachine;
use crate::types::TypeConfig;

/// For openraft's `max_in_snapshot_log_to_keep`: its own policy purges nothing. With a smaller number it would purge up to
/// the snapshot as soon as one is noted, and our snapshots reach up to the last applied entry: no entry would be kept for
/// followers that lag, and each purge would force a flush.
pub const KEEP_LOG_UNTIL_CHECKPOINT: u64 = u64::MAX;

/// How long openraft may take to note a snapshot, which costs it one read.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(5);

/// Entries that are worth a flush, unless fewer are kept at all. Below, nothing is flushed only to purge a handful.
const WORTH_A_FLUSH: u64 = 64;

/// What a checkpoint came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpointed {
    /// The last index whose rows survive a crash.
    pub durable: Option<u64>,
    /// The index up to which openraft was asked to purge, if there was anything to purge. It may do so a little later.
    pub purge_asked: Option<u64>,
}

/// A group's checkpointer.
#[derive(Clone)]
pub struct Checkpoint {
    pub(crate) state: Arc<StateDb>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) log: Arc<GroupLog>,
    pub(crate) keep_log_entries: u64,
    pub(crate) blocking: Blocking,
}

impl Checkpoint {
    /// Flushes if it lets the log shrink, then purges what is durable, except for the last `keep_log_entries`.
    ///
    /// # Errors
    /// Where the flush fails (the node stops then), or the group has stopped, or openraft is too busy to note a snapshot:
    /// try again later.
    pub async fn checkpoint<M: Machine>(&self, raft: &Raft<TypeConfig, StateMachine<M>>) -> io::Result<Checkpointed> {
        let purged_next = self.log.purged_next();
        let purgeable = |next: u64| next.saturating_sub(self.keep_log_entries).saturating_sub(purged_next);
        let enough = self.keep_log_entries.clamp(1, WORTH_A_FLUSH);
        let worth_a_flush = purgeable(self.progress.applied_next()) >= purgeable(self.progress.durable_next()) + enough;
        if worth_a_flush && !mutant!(PurgeBeyondDurable) {
            let state = Arc::clone(&self.state);
            self.blocking.run(move || state.flush()).await??;
        }
        let durable_next = if mutant!(PurgeBeyondDurable) {
            self.progress.applied_next()
        } else {
            self.progress.durable_next()
        };
        let mut done = Checkpointed {
            durable: durable_next.checked_sub(1),
            purge_asked: None,
        };
        if purgeable(durable_next) == 0 {
            return Ok(done);
        }
        let upto = durable_next - self.keep_log_entries - 1;

        // openraft purges only what a snapshot covers. Ours always exists, it is the rows: it only has to be told.
        let covers = |index: Option<u64>| index.is_some_and(|index| index >= upto);
        let covered = |metrics: &openraft::RaftMetrics<TypeConfig>| covers(metrics.snapshot.map(|id| id.index));
        if !covered(&raft.metrics().borrow_watched().clone()) {
            raft.trigger().snapshot().await.map_err(io::Error::other)?;
            raft.wait(Some(SNAPSHOT_DEADLINE))
                .metrics(covered, "snapshot for a purge")
                .await
                .map_err(io::Error::other)?;
        }
        raft.trigger().purge_log(upto).await.map_err(io::Error::other)?;
        done.purge_asked = Some(upto);
        Ok(done)
    }
}
