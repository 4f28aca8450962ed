//! Steps at which a process can be told to die, to prove that it may. `FAILPOINTS=name=actions` says where and when, in the
//! language of the `fail` crate: `append.synced=return` aborts it there the first time, `append.synced=29*off->return` the
//! thirtieth, `=panic` lets the thread panic, `=delay(200)` holds it up. Compiled into this crate's tests and, with the
//! feature `failpoints`, into binaries that chaos tests drive; otherwise [`hit`] is nothing.

/// The steps, in the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Entries are in the cache and in the writer's queue.
    AppendQueued,
    /// The writer has a batch with entries, and has not written it.
    AppendBeforeSync,
    /// The batch is synced; neither the mark nor anybody who waits knows.
    AppendSynced,
    /// The mark of the batch before is synced, its own is asked for; the callbacks have not run.
    AppendMarked,
    /// A vote is queued.
    VoteQueued,
    /// The writer has a batch with a vote, and has not written it.
    VoteBeforeSync,
    /// The vote is synced; the caller does not know.
    VoteSynced,
    /// The writer is about to write a truncation.
    TruncateBeforeSync,
    /// The truncation is synced.
    TruncateSynced,
    /// The writer is about to write a purge.
    PurgeBeforeSync,
    /// The purge is synced.
    PurgeSynced,
    /// The machine has applied an entry; its rows are not written.
    ApplyBeforeWrite,
    /// The entry's rows are written; it is not answered.
    ApplyWritten,
    /// The entry is answered.
    ApplyAnswered,
    /// The state is about to be flushed.
    FlushBefore,
    /// The state is flushed; nobody knows.
    FlushDone,
    /// A view for an outgoing snapshot is taken.
    SnapshotBuilt,
    /// A chunk of an outgoing snapshot is read, and not sent.
    SnapshotChunkRead,
    /// An incoming snapshot has its generation and no rows.
    SnapshotBegun,
    /// Some rows of an incoming snapshot are written.
    SnapshotRowsWritten,
    /// An incoming snapshot is complete and flushed, not current.
    SnapshotFlushed,
    /// The writer is about to write a descriptor: a new replica, or the switch to an installed generation.
    DescriptorBeforeSync,
    /// The descriptor is synced; this process still serves the old generation.
    DescriptorSynced,
    /// The machine has loaded the new generation; the old one is still there.
    InstallLoaded,
    /// The old generation is deleted.
    InstallDeleted,
}

impl Step {
    /// Every step.
    #[cfg(any(test, feature = "failpoints"))]
    pub(crate) const ALL: [Self; 25] = [
        Self::AppendQueued,
        Self::AppendBeforeSync,
        Self::AppendSynced,
        Self::AppendMarked,
        Self::VoteQueued,
        Self::VoteBeforeSync,
        Self::VoteSynced,
        Self::TruncateBeforeSync,
        Self::TruncateSynced,
        Self::PurgeBeforeSync,
        Self::PurgeSynced,
        Self::ApplyBeforeWrite,
        Self::ApplyWritten,
        Self::ApplyAnswered,
        Self::FlushBefore,
        Self::FlushDone,
        Self::SnapshotBuilt,
        Self::SnapshotChunkRead,
        Self::SnapshotBegun,
        Self::SnapshotRowsWritten,
        Self::SnapshotFlushed,
        Self::DescriptorBeforeSync,
        Self::DescriptorSynced,
        Self::InstallLoaded,
        Self::InstallDeleted,
    ];

    /// The name in `FAILPOINTS`.
    #[cfg(any(test, feature = "failpoints"))]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AppendQueued => "append.queued",
            Self::AppendBeforeSync => "append.before_sync",
            Self::AppendSynced => "append.synced",
            Self::AppendMarked => "append.marked",
            Self::VoteQueued => "vote.queued",
            Self::VoteBeforeSync => "vote.before_sync",
            Self::VoteSynced => "vote.synced",
            Self::TruncateBeforeSync => "truncate.before_sync",
            Self::TruncateSynced => "truncate.synced",
            Self::PurgeBeforeSync => "purge.before_sync",
            Self::PurgeSynced => "purge.synced",
            Self::ApplyBeforeWrite => "apply.before_write",
            Self::ApplyWritten => "apply.written",
            Self::ApplyAnswered => "apply.answered",
            Self::FlushBefore => "flush.before",
            Self::FlushDone => "flush.done",
            Self::SnapshotBuilt => "snapshot.built",
            Self::SnapshotChunkRead => "snapshot.chunk_read",
            Self::SnapshotBegun => "snapshot.begun",
            Self::SnapshotRowsWritten => "snapshot.rows_written",
            Self::SnapshotFlushed => "snapshot.flushed",
            Self::DescriptorBeforeSync => "descriptor.before_sync",
            Self::DescriptorSynced => "descriptor.synced",
            Self::InstallLoaded => "install.loaded",
            Self::InstallDeleted => "install.deleted",
        }
    }
}

#[cfg(not(any(test, feature = "failpoints")))]
#[inline]
pub(crate) fn hit(_step: Step) {}

#[cfg(any(test, feature = "failpoints"))]
pub(crate) fn hit(step: Step) {
    armed();
    fail::fail_point!(step.name(), |_| {
        eprintln!("failpoint {} reached: abort", step.name());
        // As SIGKILL would: no destructor runs, nothing is flushed.
        std::process::abort();
    });
}

/// Reads `FAILPOINTS`, once.
#[cfg(any(test, feature = "failpoints"))]
fn armed() {
    static ARMED: std::sync::Once = std::sync::Once::new();
    ARMED.call_once(|| {
        let wanted = std::env::var("FAILPOINTS").unwrap_or_default();
        let names = wanted.split(';').filter_map(|one| Some(one.split_once('=')?.0.trim()));
        for name in names {
            // A name that nobody knows must not pass for a test that survived.
            if !Step::ALL.iter().any(|step| step.name() == name) {
                eprintln!("there is no failpoint {name}: abort");
                std::process::abort();
            }
        }
        // For good: at its end a scenario would disarm the steps.
        std::mem::forget(fail::FailScenario::setup());
    });
}
