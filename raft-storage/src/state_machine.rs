//! A group's state machine as openraft sees it: committed entries become rows. The changes of one entry, the applied log id,
//! the membership and the state hash are one write batch, and nothing is answered before it is in. After a crash openraft
//! replays from the applied id that is found, which is why the write needs no fsync.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{Stream, StreamExt};
use metrics::Histogram;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::type_config::alias::SnapshotOf;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;

use crate::blocking::Blocking;
use crate::descriptor::Descriptor;
use crate::entry_cache::entry_bytes;
use crate::failpoint::{Step, hit};
use crate::keys;
use crate::log_store::GroupLog;
use crate::log_writer::LogWriter;
use crate::machine::Machine;
use crate::metrics::SNAPSHOTS_INSTALLED;
use crate::mutant::mutant;
use crate::record::{self, Applied};
use crate::snapshot::{SnapshotData, SnapshotReceiver};
use crate::state::{Progress, StateDb, StateReader, StateTxn};
use crate::types::{Entry, GroupId, LogId, ReplyBytes, SnapshotMeta, StoredMembership, TypeConfig};

/// Bytes of entries that are applied in one go.
const APPLY_BYTES: usize = 1024 * 1024;

/// Entries that are applied in one go.
const APPLY_ENTRIES: usize = 64;

/// Entries of so many bytes together, about a hundred commands, are applied where openraft asks for it, on a thread of the
/// runtime: the way to another thread and back costs as much as a dozen commands do, and a lone client waits for it. What is
/// larger would hold up the node's other groups.
const INLINE_BYTES: usize = 16 * 1024;

/// An apply that took longer than this had to wait for a disk or for the processor.
const QUICK: Duration = Duration::from_millis(20);

/// So many times after a slow one a thread is taken that may wait.
const CAUTIOUS: u32 = 64;

/// Told of an entry once its rows are written and before its reply is sent; after a crash, of what is replayed again.
pub type AppliedHook = Arc<dyn Fn(GroupId, &Entry) + Send + Sync>;

/// Hand it to `openraft::Raft::new`.
pub struct StateMachine<M: Machine> {
    core: Arc<Core<M>>,
    /// So many more times a thread is taken whatever the size.
    cautious: u32,
}

/// What the state machine needs on the blocking thread.
pub(crate) struct Core<M> {
    pub(crate) log: Arc<GroupLog>,
    pub(crate) writer: Arc<LogWriter>,
    pub(crate) state: Arc<StateDb>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) receiver: SnapshotReceiver<M>,
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) blocking: Blocking,
    pub(crate) applied: Option<AppliedHook>,
    pub(crate) latency: Histogram,
    pub(crate) inner: Mutex<Inner<M>>,
}

/// The machine with what it has applied.
pub(crate) struct Inner<M> {
    machine: M,
    last: Option<LogId>,
    membership: StoredMembership,
    /// The membership as it goes into each row.
    membership_record: Vec<u8>,
    scratch: Vec<u8>,
}

impl<M: Machine> Inner<M> {
    pub(crate) fn new(machine: M, applied: &Applied) -> io::Result<Self> {
        let mut inner = Self {
            machine,
            last: None,
            membership: StoredMembership::default(),
            membership_record: Vec::new(),
            scratch: Vec::new(),
        };
        inner.restore(applied)?;
        Ok(inner)
    }

    fn restore(&mut self, applied: &Applied) -> io::Result<()> {
        self.membership_record = record::encode_membership(&applied.membership).map_err(io::Error::other)?;
        self.membership = applied.membership.clone();
        self.last = applied.last;
        Ok(())
    }
}

impl<M: Machine> StateMachine<M> {
    pub(crate) fn new(core: Arc<Core<M>>) -> Self {
        Self { core, cautious: 0 }
    }

    async fn apply_batch(&mut self, entries: Vec<Committed>, bytes: usize) -> io::Result<()> {
        if bytes <= INLINE_BYTES && self.cautious == 0 && !self.core.state.holds_up_writes() {
            let begun = Instant::now();
            Blocking::here(|| self.core.apply_all(entries))??;
            if begun.elapsed() > QUICK {
                self.cautious = CAUTIOUS;
            }
            return Ok(());
        }
        self.cautious = self.cautious.saturating_sub(1);
        let core = Arc::clone(&self.core);
        self.core.blocking.run(move || core.apply_all(entries)).await?
    }
}

/// An entry, and whom its reply goes to.
type Committed = (Entry, Option<ApplyResponder<TypeConfig>>);

impl<M: Machine> Core<M> {
    fn apply_all(&self, entries: Vec<Committed>) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let prefix = self.progress.prefix();
        for (entry, responder) in entries {
            let start = Instant::now();
            let index = entry.log_id.index;
            let reply = self
                .apply(&mut inner, &prefix, &entry, responder.is_some())
                .map_err(|error| {
                    // Going on without the entry would make this replica differ from the others, in silence.
                    self.state.latch.close(format!(
                        "applying entry {index} of group {} failed: {error}",
                        self.log.group
                    ))
                })?;
            self.latency.record(start.elapsed());
            hit(Step::ApplyWritten);
            inner.machine.applied_observer(index);
            if let Some(responder) = responder {
                responder.send(ReplyBytes(reply));
            }
            hit(Step::ApplyAnswered);
        }
        Ok(())
    }

    fn apply(
        &self,
        inner: &mut Inner<M>,
        prefix: &keys::StatePrefix,
        entry: &Entry,
        want_reply: bool,
    ) -> io::Result<Bytes> {
        if inner.last.is_some_and(|last| last.index >= entry.log_id.index) {
            return Err(io::Error::other("it is applied already"));
        }
        let mut batch = self.state.db.batch(1024 + 2 * entry_bytes(entry));
        let mut membership = None;
        let reply = match &entry.payload {
            EntryPayload::Blank => Bytes::new(),
            EntryPayload::Normal(payload) => {
                let mut txn = StateTxn::new(&self.state.db, prefix, &mut batch);
                let reply = inner
                    .machine
                    .apply(entry.log_id.index, &payload.0, &mut txn, want_reply)
                    .map_err(io::Error::other)?;
                if txn.refused_key() {
                    return Err(io::Error::other("the machine wrote a key without a table number"));
                }
                reply
            }
            EntryPayload::Membership(changed) => {
                let changed = StoredMembership::new(Some(entry.log_id), changed.clone());
                let record = record::encode_membership(&changed).map_err(io::Error::other)?;
                membership = Some((changed, record));
                Bytes::new()
            }
        };
        let membership_record = membership
            .as_ref()
            .map_or(&inner.membership_record, |(_, record)| record);
        let hash = inner.machine.state_hash();
        record::encode_applied(&mut inner.scratch, Some(&entry.log_id), &hash, membership_record);
        if mutant!(AppliedIdApart) {
            let mut apart = self.state.db.batch(inner.scratch.len() + 64);
            apart.put(keys::applied(prefix), &inner.scratch);
            self.state.write(apart)?;
        } else {
            batch.put(keys::applied(prefix), &inner.scratch);
        }
        hit(Step::ApplyBeforeWrite);
        self.state.write(batch)?;

        inner.last = Some(entry.log_id);
        if let Some((changed, record)) = membership {
            inner.membership = changed;
            inner.membership_record = record;
        }
        self.progress.set_applied_next(entry.log_id.index + 1);
        if let Some(applied) = &self.applied {
            applied(GroupId(self.log.group), entry);
        }
        Ok(reply)
    }

    /// Serves the generation that is now current on disk, and deletes the one before.
    fn load_generation(&self, generation: u32, meta: &SnapshotMeta) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let old = self.progress.prefix();
        self.progress.switch_generation(generation);
        let view = StateReader::new(Arc::clone(&self.state), Arc::clone(&self.progress)).view()?;
        inner.machine.load(&view).map_err(io::Error::other)?;
        let applied = view.applied_record();
        if inner.machine.state_hash() != applied.hash || applied.last != meta.last_log_id {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the installed snapshot of group {} does not load to the state it was taken from",
                    self.log.group
                ),
            ));
        }
        inner.restore(applied)?;
        let next = meta.last_log_id.as_ref().map_or(0, |id| id.index + 1);
        self.progress.set_applied_next(next);
        self.progress.set_durable_next(next);
        drop(view);
        if let Some(last) = &meta.last_log_id {
            inner.machine.applied_observer(last.index);
        }
        hit(Step::InstallLoaded);
        self.state.delete_generation(&old)?;
        hit(Step::InstallDeleted);
        Ok(())
    }
}

impl<M: Machine> RaftStateMachine<TypeConfig> for StateMachine<M> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let inner = self.core.inner.lock();
        Ok((inner.last, inner.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        loop {
            let (mut taken, mut bytes) = (Vec::new(), 0);
            while taken.len() < APPLY_ENTRIES
                && bytes < APPLY_BYTES
                && let Some(next) = entries.next().await
            {
                let next = next?;
                bytes += entry_bytes(&next.0);
                taken.push(next);
            }
            if taken.is_empty() {
                return Ok(());
            }
            self.apply_batch(taken, bytes).await?;
        }
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            reader: self.reader(),
            blocking: self.core.blocking,
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> Result<(), io::Error> {
        let received = self.core.receiver.receive(meta, snapshot).await?;
        // Kept before the switch, not after: this may be dropped while the switch is being written, with the runtime, and
        // then the writer makes a generation current that must be there. One that never becomes current is deleted at
        // the next start.
        let generation = received.keep();
        // The synced switch is the moment of the install: a crash before it leaves the old generation current, after it
        // the new one, and either is complete.
        self.core
            .descriptor
            .change(&self.core.writer, &self.core.log, |descriptor| {
                descriptor.generation = generation;
            })
            .await?;
        let (core, meta) = (Arc::clone(&self.core), meta.clone());
        self.core
            .blocking
            .run(move || {
                core.load_generation(generation, &meta)
                    // The caches are neither the old state nor the new one.
                    .map_err(|error| core.state.latch.close(format!("installing a snapshot failed: {error}")))
            })
            .await??;
        metrics::counter!(SNAPSHOTS_INSTALLED.name).increment(1);
        Ok(())
    }

    /// A fresh snapshot each time: the rows on disk are the snapshot, so there is nothing to keep and nothing to go stale.
    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, SnapshotData>>, io::Error> {
        let snapshot = self.get_snapshot_builder().await.build_snapshot().await?;
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

impl<M: Machine> StateMachine<M> {
    fn reader(&self) -> StateReader {
        StateReader::new(Arc::clone(&self.core.state), Arc::clone(&self.core.progress))
    }
}

/// Takes snapshots. A snapshot is a view of the rows with its meta: taking one costs no copy, and rows are read only when
/// somebody asks for chunks.
pub struct SnapshotBuilder {
    reader: StateReader,
    blocking: Blocking,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, SnapshotData>, io::Error> {
        let reader = self.reader.clone();
        let view = self.blocking.run(move || reader.view()).await??;
        hit(Step::SnapshotBuilt);
        let applied = view.applied_record();
        // From the same snapshot as the rows, so the two cannot disagree.
        let claimed = |last: LogId| LogId {
            index: last.index + u64::from(mutant!(SnapshotClaimsMore)),
            ..last
        };
        let meta = SnapshotMeta {
            last_log_id: applied.last.map(claimed),
            last_membership: applied.membership.clone(),
        };
        Ok(Snapshot {
            meta,
            snapshot: SnapshotData::source(view, self.blocking),
        })
    }
}
