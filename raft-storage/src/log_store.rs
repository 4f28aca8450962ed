//! A group's log as openraft sees it. Appends go into the entry cache and the writer's queue and return at once; openraft
//! replicates while the writer syncs. Votes, truncations and purges wait for their fsync.
//!
//! The bounds of the log (purged, first, last) are kept in memory and decide what a reader sees; the entries come from the
//! cache where it has them, from raftdb below.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;

use crate::blocking::Blocking;
use crate::engine::{Caching, Db};
use crate::entry_cache::{EntryCache, entry_bytes};
use crate::error::ReadError;
use crate::failpoint::{Step, hit};
use crate::keys;
use crate::log_writer::{Change, Done, LogWriter};
use crate::metrics::LOG_TRUNCATIONS;
use crate::mutant::mutant;
use crate::record;
use crate::state::{Progress, StateDb};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// What is known of a log without reading it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bounds {
    /// The last log id that was purged.
    pub(crate) purged: Option<LogId>,
    /// The index of the first entry that is there, or would be the first.
    pub(crate) first: u64,
    /// The last log id; the purged one if there is no entry.
    pub(crate) last: Option<LogId>,
    /// The vote that is on disk.
    pub(crate) vote: Option<Vote>,
    /// The last committed log id that openraft told.
    pub(crate) committed: Option<LogId>,
}

impl Bounds {
    fn next(&self) -> u64 {
        self.last.as_ref().map_or(self.first, |last| last.index + 1)
    }
}

/// One group's log, shared by its store, its readers and the writer.
pub(crate) struct GroupLog {
    pub(crate) group: u64,
    db: Db,
    cache: Arc<EntryCache>,
    blocking: Blocking,
    /// Of one read for replication.
    read_bytes: usize,
    bounds: Mutex<Bounds>,
    /// A committed log id that is not on disk: written along with the group's next change.
    unsaved_committed: Mutex<Option<LogId>>,
}

impl GroupLog {
    pub(crate) fn new(
        group: u64,
        db: Db,
        cache: Arc<EntryCache>,
        blocking: Blocking,
        read_bytes: usize,
        bounds: Bounds,
    ) -> Self {
        Self {
            group,
            db,
            cache,
            blocking,
            read_bytes,
            bounds: Mutex::new(bounds),
            unsaved_committed: Mutex::default(),
        }
    }

    pub(crate) fn take_committed(&self) -> Option<LogId> {
        self.unsaved_committed.lock().take()
    }

    pub(crate) fn set_vote(&self, vote: Vote) {
        self.bounds.lock().vote = Some(vote);
    }

    pub(crate) fn purged_next(&self) -> u64 {
        self.bounds.lock().purged.as_ref().map_or(0, |purged| purged.index + 1)
    }

    /// The part of `from..to` that the log has.
    fn clip(&self, from: u64, to: u64) -> (u64, u64) {
        let bounds = self.bounds.lock();
        (from.max(bounds.first), to.min(bounds.next()))
    }

    /// The entries of `from..to` that the log has, at most `max_bytes` of them but at least one.
    fn read(&self, from: u64, to: u64, max_bytes: usize) -> Result<Vec<Entry>, ReadError> {
        // A truncation or a purge between looking into the cache and reading the database leaves a gap between the two;
        // the bounds have moved as well then, so looking again sees a log without one.
        for _ in 0..3 {
            let (from, to) = self.clip(from, to);
            if from >= to {
                return Ok(Vec::new());
            }
            let (cached_from, cached) = self.cache.read(self.group, from, to, max_bytes);
            if cached_from == from {
                return Ok(cached);
            }
            let mut entries = self.read_db(from, cached_from, max_bytes)?;
            let mut bytes: usize = entries.iter().map(entry_bytes).sum();
            let read_to = from + entries.len() as u64;
            if read_to < cached_from {
                if bytes >= max_bytes && !entries.is_empty() {
                    return Ok(entries);
                }
                continue;
            }
            for entry in cached {
                bytes += entry_bytes(&entry);
                if bytes > max_bytes {
                    break;
                }
                entries.push(entry);
            }
            return Ok(entries);
        }
        let (from, to) = self.clip(from, to);
        Err(ReadError::Damaged {
            place: format!("log of group {}", self.group),
            detail: format!("entries are missing within {from}..{to}"),
        })
    }

    /// Consecutive entries of `from..to` in the database. Stops, without an error, where one is missing, and where
    /// `max_bytes` are reached.
    fn read_db(&self, from: u64, to: u64, max_bytes: usize) -> Result<Vec<Entry>, ReadError> {
        // Never begins below the purged part, where an iterator would wade through tombstones.
        let (lowest, end) = (keys::entry(self.group, from), keys::entry(self.group, to));
        let mut rows = self.db.rows(&lowest, &end, Caching::Pass);
        let mut entries = Vec::new();
        let (mut next, mut bytes) = (from, 0);
        while let Some((key, value)) = rows.item() {
            if keys::index_of(key) != Some(next) {
                break;
            }
            let damaged = |detail: String| ReadError::Damaged {
                place: format!("entry {next} of group {}", self.group),
                detail,
            };
            let stored = record::decode_entry(value).map_err(|error| damaged(error.to_string()))?;
            if stored.entry.log_id.index != next {
                return Err(damaged(format!("it holds {}", stored.entry.log_id)));
            }
            bytes += entry_bytes(&stored.entry);
            entries.push(stored.entry);
            next += 1;
            if bytes >= max_bytes {
                break;
            }
            rows.advance();
        }
        rows.status()?;
        Ok(entries)
    }

    /// [`Self::read`], off the runtime unless the cache has it all.
    pub(crate) async fn read_async(
        self: &Arc<Self>,
        from: u64,
        to: u64,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, io::Error> {
        let (clipped, end) = self.clip(from, to);
        if clipped >= end {
            return Ok(Vec::new());
        }
        let (cached_from, cached) = self.cache.read(self.group, clipped, end, max_bytes);
        if cached_from == clipped {
            return Ok(cached);
        }
        let log = Arc::clone(self);
        Ok(self.blocking.run(move || log.read(from, to, max_bytes)).await??)
    }
}

/// Reads a group's log. Cheap to clone; every clone sees what was appended the moment `append` returns.
#[derive(Clone)]
pub struct LogReader {
    log: Arc<GroupLog>,
}

impl LogReader {
    pub(crate) fn new(log: Arc<GroupLog>) -> Self {
        Self { log }
    }

    /// Entries from `from` on, at most `max_bytes` of them (at least one, if there is any): for auditors.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn read_from(&self, from: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        self.log.read_async(from, u64::MAX, max_bytes).await
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(from) => *from,
        Bound::Excluded(below) => below.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(to) => *to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<TypeConfig> for LogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (from, to) = half_open(&range);
        self.log.read_async(from, to, usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.log.read_async(start, end, self.log.read_bytes).await
    }

    /// In pieces: a replica that was away for long applies more than fits into memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = half_open(&range);
        let log = Arc::clone(&self.log);
        let pieces = stream::try_unfold((log, from), move |(log, from)| async move {
            let entries = log.read_async(from, to, log.read_bytes).await?;
            let Some(last) = entries.last() else { return Ok(None) };
            let next = last.log_id.index + 1;
            Ok(Some((entries, (log, next))))
        });
        let entries: BoxStream<'static, Result<Entry, io::Error>> = pieces
            .flat_map(|piece: Result<Vec<Entry>, io::Error>| {
                stream::iter(match piece {
                    Ok(entries) => entries.into_iter().map(Ok).collect::<Vec<_>>(),
                    Err(error) => vec![Err(error)],
                })
            })
            .boxed();
        entries
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.bounds.lock().vote)
    }
}

/// A group's log: hand it to `openraft::Raft::new`.
pub struct LogStore {
    log: Arc<GroupLog>,
    writer: Arc<LogWriter>,
    state: Arc<StateDb>,
    progress: Arc<Progress>,
}

impl LogStore {
    pub(crate) fn new(
        log: Arc<GroupLog>,
        writer: Arc<LogWriter>,
        state: Arc<StateDb>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            log,
            writer,
            state,
            progress,
        }
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let bounds = self.log.bounds.lock();
        Ok(LogState {
            last_purged_log_id: bounds.purged,
            last_log_id: bounds.last,
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader::new(Arc::clone(&self.log))
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, synced) = tokio::sync::oneshot::channel();
        self.writer
            .reserve(0)
            .await?
            .enqueue(&self.log, Change::Vote(*vote), Done::Task(done));
        hit(Step::VoteQueued);
        // Synced before replying: a forgotten vote could be cast twice.
        synced
            .await
            .map_err(|_| io::Error::other("the log's writer has stopped"))?
    }

    /// Kept in memory, and written along with the group's next change without an fsync of its own. A crash may lose the
    /// last ones, and that is allowed: the state is replayed up to what is found here, and the leader tells the rest.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.log.bounds.lock().committed = committed;
        *self.log.unsaved_committed.lock() = committed;
        Ok(())
    }

    /// Never beyond the log: entries that were committed by others may be missing here after a crash.
    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let bounds = self.log.bounds.lock();
        Ok(bounds.committed.min(bounds.last))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let bytes = entries.iter().map(entry_bytes).sum();
        // Room first: once the entries are readable, nothing may fail any more.
        let reserved = self.writer.reserve(bytes).await?;
        let (previous, stamp) = {
            let mut bounds = self.log.bounds.lock();
            let previous = bounds.last;
            let virgin = bounds.last.is_none();
            if virgin && let Some(entry) = entries.first() {
                bounds.first = entry.log_id.index;
            }
            for (entry, expected) in entries.iter().zip(bounds.next()..) {
                if entry.log_id.index != expected {
                    return Err(io::Error::other(format!(
                        "group {}: entry {} was appended where {expected} follows: this would leave a hole",
                        self.log.group, entry.log_id.index
                    )));
                }
            }
            let stamp = self.log.cache.append(self.log.group, &entries);
            if let Some(last) = entries.last() {
                bounds.last = Some(last.log_id);
            }
            (previous, stamp)
        };
        reserved.enqueue(
            &self.log,
            Change::Append {
                previous,
                entries,
                stamp,
            },
            Done::Append(callback),
        );
        hit(Step::AppendQueued);
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let reserved = self.writer.reserve(0).await?;
        let (from, tail) = {
            let mut bounds = self.log.bounds.lock();
            let from = last_log_id.as_ref().map_or(0, |id| id.index + 1);
            if from >= bounds.next() {
                return Ok(());
            }
            // The purged part cannot be truncated; what is left then is an empty log.
            bounds.last = if from <= bounds.first {
                bounds.purged
            } else {
                last_log_id
            };
            self.log.cache.truncate(self.log.group, from);
            (from, bounds.last)
        };
        metrics::counter!(LOG_TRUNCATIONS.name).increment(1);
        let (done, synced) = tokio::sync::oneshot::channel();
        reserved.enqueue(&self.log, Change::Truncate { from, tail }, Done::Task(done));
        synced
            .await
            .map_err(|_| io::Error::other("the log's writer has stopped"))?
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        // A purge follows durable state, never precedes it: what is purged cannot be replayed. Whoever asked, openraft's
        // own policy included, the state is flushed first.
        if self.progress.durable_next() <= upto.index && !mutant!(PurgeBeyondDurable) {
            let state = Arc::clone(&self.state);
            self.log.blocking.run(move || state.flush()).await??;
        }
        let reserved = self.writer.reserve(0).await?;
        let (from, tail) = {
            let mut bounds = self.log.bounds.lock();
            if bounds.purged.is_some_and(|purged| purged >= upto) {
                return Ok(());
            }
            let from = bounds.first;
            bounds.purged = Some(upto);
            bounds.first = upto.index + 1;
            if bounds.last.is_none_or(|last| last.index <= upto.index) {
                bounds.last = Some(upto);
            }
            self.log.cache.purge(self.log.group, upto.index);
            (from, bounds.last.unwrap_or(upto))
        };
        let (done, synced) = tokio::sync::oneshot::channel();
        reserved.enqueue(&self.log, Change::Purge { from, upto, tail }, Done::Task(done));
        synced
            .await
            .map_err(|_| io::Error::other("the log's writer has stopped"))?
    }
}
