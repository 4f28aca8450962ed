//! The one writer of raftdb: a thread, or over a simulated disk a task that does the same. It takes everything that is queued over all groups, writes it as one batch with one
//! fsync, has the high-water mark moved, and then completes the callbacks in order: group commit, which openraft leaves to the
//! store. Entries, votes, truncations, purges and descriptors all go through the same queue, so their order on disk is the
//! order in which they were asked for.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use metrics::Histogram;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::engine::{Batch, Db, EngineError};
use crate::entry_cache::{EntryCache, entry_bytes};
use crate::failpoint::{Step, hit};
use crate::fatal::Latch;
use crate::keys::{self, Slot};
use crate::log_store::GroupLog;
use crate::mark::Mark;
use crate::mark::keeper::Keeper;
use crate::metrics as names;
use crate::mutant::mutant;
use crate::record::{self, RecordError, ReplicaDescriptor};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// Operations that may wait for the writer, over all groups. When it is full, `append` waits, and with it the group's core:
/// openraft's own queue fills, and the node's admission control refuses.
const QUEUE_OPERATIONS: usize = 4096;

/// Bytes at which a batch is closed although more is queued, so that one fsync does not hold up a vote for long.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The unit in which queued bytes are counted: a semaphore counts to 2^32.
const QUEUE_UNIT: usize = 1024;

/// What is to be written for a group.
pub(crate) enum Change {
    /// Entries, with the log id before the first of them and the cache's stamp of the last.
    Append {
        previous: Option<LogId>,
        entries: Vec<Entry>,
        stamp: u64,
    },
    /// A vote.
    Vote(Vote),
    /// Removes entries from `from` on; `tail` is the last that stays.
    Truncate { from: u64, tail: Option<LogId> },
    /// Removes entries in `from..=upto.index`; `tail` is the log's last id afterwards.
    Purge { from: u64, upto: LogId, tail: LogId },
    /// The replica's descriptor.
    Descriptor(ReplicaDescriptor),
}

/// Who is told when it is on disk.
pub(crate) enum Done {
    /// openraft, about an append.
    Append(IOFlushed<TypeConfig>),
    /// A task that waits.
    Task(oneshot::Sender<io::Result<()>>),
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Self::Append(flushed) => flushed.io_completed(result),
            // Who no longer waits does not care.
            Self::Task(task) => drop(task.send(result)),
        }
    }
}

struct Operation {
    log: Arc<GroupLog>,
    change: Change,
    done: Done,
    /// Held until the operation is written.
    _room: Option<OwnedSemaphorePermit>,
}

/// Where the writer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a thread of its own: an fsync blocks.
    Thread,
    /// On the calling runtime: nothing blocks, and nothing may happen outside it.
    Task,
}

/// The queue's near end. Dropping the last handle ends the writer once the queue is empty; a thread is waited for, a task
/// ends when it is next polled.
pub(crate) struct LogWriter {
    queue: Option<mpsc::Sender<Operation>>,
    room: Arc<Semaphore>,
    room_units: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A place in the queue, taken before anything changes: what is enqueued with it cannot fail.
pub(crate) struct Reserved<'a> {
    place: mpsc::Permit<'a, Operation>,
    room: Option<OwnedSemaphorePermit>,
}

impl LogWriter {
    /// Starts the writer. `mark` says that all of `db` is synced; `queue_bytes` bounds the entries that wait.
    pub(crate) fn start(
        place: Place,
        db: Db,
        mark: Mark,
        cache: Arc<EntryCache>,
        latch: Arc<Latch>,
        queue_bytes: usize,
    ) -> io::Result<Self> {
        let (queue, operations) = mpsc::channel(QUEUE_OPERATIONS);
        let room_units = (queue_bytes / QUEUE_UNIT).max(1);
        let sequence = db.latest_sequence_number();
        let worker = Worker {
            db,
            sequence,
            mark: Keeper::start(place, mark, sequence, Arc::clone(&latch))?,
            cache,
            latch,
            fsync: metrics::histogram!(names::FSYNC_SECONDS.name),
            batch_bytes: metrics::histogram!(names::APPEND_BATCH_BYTES.name),
            scratch: Vec::new(),
        };
        let thread = match place {
            Place::Thread => Some(
                std::thread::Builder::new()
                    .name("rotunda-log".to_owned())
                    .spawn(move || futures::executor::block_on(worker.run(operations)))?,
            ),
            Place::Task => {
                crate::scope::spawn(worker.run(operations));
                None
            }
        };
        Ok(Self {
            queue: Some(queue),
            room: Arc::new(Semaphore::new(room_units)),
            room_units,
            thread: Mutex::new(thread),
        })
    }

    fn queue(&self) -> io::Result<&mpsc::Sender<Operation>> {
        self.queue.as_ref().ok_or_else(stopped)
    }

    /// Waits for a place in the queue, and for room for `bytes`.
    pub(crate) async fn reserve(&self, bytes: usize) -> io::Result<Reserved<'_>> {
        // An operation larger than the queue takes all of it: it waits for everything else, but not for ever.
        let units = bytes.div_ceil(QUEUE_UNIT).min(self.room_units);
        let room = match u32::try_from(units).unwrap_or(u32::MAX) {
            0 => None,
            units => Some(
                Arc::clone(&self.room)
                    .acquire_many_owned(units)
                    .await
                    .map_err(|_| stopped())?,
            ),
        };
        let place = self.queue()?.reserve().await.map_err(|_| stopped())?;
        Ok(Reserved { place, room })
    }

    /// Enqueues, and waits until it is on disk.
    pub(crate) async fn write(&self, log: &Arc<GroupLog>, change: Change) -> io::Result<()> {
        let (done, synced) = oneshot::channel();
        self.reserve(0).await?.enqueue(log, change, Done::Task(done));
        synced.await.map_err(|_| stopped())?
    }

    /// Bytes that wait for the writer.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.room_units.saturating_sub(self.room.available_permits()) * QUEUE_UNIT
    }
}

impl Reserved<'_> {
    pub(crate) fn enqueue(self, log: &Arc<GroupLog>, change: Change, done: Done) {
        self.place.send(Operation {
            log: Arc::clone(log),
            change,
            done,
            _room: self.room,
        });
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the log's writer has stopped")
}

struct Worker {
    db: Db,
    /// The number of the last write that is synced.
    sequence: u64,
    mark: Keeper,
    cache: Arc<EntryCache>,
    latch: Arc<Latch>,
    fsync: Histogram,
    batch_bytes: Histogram,
    scratch: Vec<u8>,
}

/// Closes the latch where the writer panics: whoever waits for it, or asks it for something later, waited for ever.
struct Unwinding(Arc<Latch>);

impl Drop for Unwinding {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close("the log's writer panicked".to_owned());
        }
    }
}

impl Worker {
    async fn run(mut self, mut operations: mpsc::Receiver<Operation>) {
        let mut taken = Vec::new();
        let _end = Unwinding(Arc::clone(&self.latch));
        while let Some(first) = operations.recv().await {
            let mut bytes = first.change.bytes();
            taken.push(first);
            while bytes < BATCH_BYTES
                && let Ok(next) = operations.try_recv()
            {
                bytes += next.change.bytes();
                taken.push(next);
            }
            let result = match self.prepare(&taken, bytes) {
                Ok(batch) => {
                    let start = Instant::now();
                    let only_entries = || taken.iter().all(|taken| matches!(taken.change, Change::Append { .. }));
                    let written = if mutant!(AppendNotSynced) && only_entries() {
                        self.db.write_unlogged(batch)
                    } else if mutant!(AppendToldBeforeSync) && only_entries() {
                        self.complete(taken.drain(..), &Ok(()));
                        self.db.write_synced(batch).await
                    } else {
                        self.db.write_synced(batch).await
                    };
                    self.fsync.record(start.elapsed());
                    self.conclude(&taken, written).await
                }
                Err(error) => Err(error),
            };
            self.complete(taken.drain(..), &result);
        }
    }

    fn prepare(&mut self, operations: &[Operation], bytes: usize) -> io::Result<Batch> {
        self.latch.check()?;
        let mut batch = self.db.batch(bytes + 128 * operations.len());
        for operation in operations {
            // The record codec fails on a membership that JSON refuses: nothing that a running group could do about it.
            self.add(&mut batch, operation)
                .map_err(|error| self.latch.close(format!("encoding a log record failed: {error}")))?;
        }
        self.batch_bytes.record(batch.size_in_bytes() as f64);

        for operation in operations {
            hit(operation.change.step_before());
        }
        Ok(batch)
    }

    async fn conclude(&mut self, operations: &[Operation], written: Result<(), EngineError>) -> io::Result<()> {
        written.map_err(|error| self.latch.close(format!("writing to raftdb failed: {error}")))?;
        for operation in operations {
            hit(operation.change.step_synced());
        }

        // One batch at most is answered that the mark does not cover: it was synced while this one was.
        self.mark.reached(self.sequence).await?;
        self.sequence = self.db.latest_sequence_number();
        self.mark.advance(self.sequence);
        // A log that ends early may have lost an entry that others have too. A vote that is forgotten could be cast twice, and
        // nobody would notice: so a loss of power must not leave it above the mark.
        if operations
            .iter()
            .any(|operation| matches!(operation.change, Change::Vote(_)))
        {
            self.mark.reached(self.sequence).await?;
        }
        Ok(())
    }

    fn add(&mut self, batch: &mut Batch, operation: &Operation) -> Result<(), RecordError> {
        let group = operation.log.group;
        match &operation.change {
            Change::Append { previous, entries, .. } => {
                let mut previous = previous.as_ref();
                for entry in entries {
                    record::encode_entry(&mut self.scratch, previous, entry)?;
                    batch.put(keys::entry(group, entry.log_id.index), &self.scratch);
                    previous = Some(&entry.log_id);
                }
                batch.put(keys::slot(group, Slot::Tail), record::encode_log_id(previous));
            }
            Change::Vote(_) if mutant!(VoteNotSaved) => {}
            Change::Vote(vote) => batch.put(keys::slot(group, Slot::Vote), record::encode_vote(vote)),
            Change::Truncate { from, tail } => {
                batch.delete_range(
                    keys::entry(group, *from).as_slice(),
                    keys::entries_end(group).as_slice(),
                );
                batch.put(keys::slot(group, Slot::Tail), record::encode_log_id(tail.as_ref()));
            }
            Change::Purge { from, upto, tail } => {
                if *from <= upto.index {
                    let end = upto.index.checked_add(1).map_or_else(
                        || keys::entries_end(group).to_vec(),
                        |end| keys::entry(group, end).to_vec(),
                    );
                    batch.delete_range(keys::entry(group, *from).as_slice(), end.as_slice());
                }
                batch.put(keys::slot(group, Slot::Purged), record::encode_log_id(Some(upto)));
                batch.put(keys::slot(group, Slot::Tail), record::encode_log_id(Some(tail)));
            }
            Change::Descriptor(descriptor) => {
                batch.put(
                    keys::slot(group, Slot::Descriptor),
                    record::encode_descriptor(descriptor),
                );
            }
        }
        if let Some(committed) = operation.log.take_committed() {
            batch.put(
                keys::slot(group, Slot::Committed),
                record::encode_log_id(Some(&committed)),
            );
        }
        Ok(())
    }

    fn complete(&self, operations: impl Iterator<Item = Operation>, result: &io::Result<()>) {
        for Operation {
            log,
            change,
            done,
            _room,
        } in operations
        {
            match (&change, result) {
                (Change::Append { stamp, .. }, Ok(())) => {
                    hit(Step::AppendMarked);
                    self.cache.flushed(log.group, *stamp);
                }
                (Change::Vote(vote), Ok(())) => log.set_vote(*vote),
                _ => {}
            }
            done.tell(match result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(entry_bytes).sum(),
            _ => 64,
        }
    }

    fn step_before(&self) -> Step {
        match self {
            Self::Append { .. } => Step::AppendBeforeSync,
            Self::Vote(_) => Step::VoteBeforeSync,
            Self::Truncate { .. } => Step::TruncateBeforeSync,
            Self::Purge { .. } => Step::PurgeBeforeSync,
            Self::Descriptor(_) => Step::DescriptorBeforeSync,
        }
    }

    fn step_synced(&self) -> Step {
        match self {
            Self::Append { .. } => Step::AppendSynced,
            Self::Vote(_) => Step::VoteSynced,
            Self::Truncate { .. } => Step::TruncateSynced,
            Self::Purge { .. } => Step::PurgeSynced,
            Self::Descriptor(_) => Step::DescriptorSynced,
        }
    }
}
