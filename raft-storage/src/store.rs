//! A node's data directory: both databases, the log's writer, and the groups that are open. The node opens one store, then
//! one group for each replica it hosts.
//!
//! ```text
//! <dir>/raftdb    logs of all groups          <dir>/MARK    high-water mark of raftdb
//! <dir>/statedb   rows of all groups
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::at_rest::Keys;
use crate::blocking::Blocking;
use crate::checkpoint::Checkpoint;
use crate::descriptor::Descriptor;
use crate::engine::{Db, Engine, Opened, Reencryption, Usage};
use crate::entry_cache::EntryCache;
use crate::error::{DAMAGE_REMEDY, FatalHook, MachineError, OpenError, ReadError, abort_on_fatal};
use crate::fatal::Latch;
use crate::format::DirectoryFormat;
use crate::keys;
use crate::log_store::{GroupLog, LogReader, LogStore};
use crate::log_writer::{Change, LogWriter, Place};
use crate::machine::Machine;
use crate::mark::Mark;
use crate::memory::Budget;
use crate::metrics as names;
use crate::record::{Applied, ReplicaDescriptor};
use crate::recovery::{self, FoundGroup};
use crate::snapshot::SnapshotReceiver;
use crate::state::{Progress, StateDb, StateReader};
use crate::state_machine::{AppliedHook, Core, Inner, StateMachine};
use crate::types::{Entry, GroupId};

/// Whose data a directory holds. Written at the first start, checked at every later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// The node's number in the cluster.
    pub node: u32,
}

/// How to open a store.
#[derive(Clone)]
pub struct StoreConfig {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// Whose it is.
    pub identity: Identity,
    /// Bound on everything the store holds in memory, in bytes. [`crate::memory`] says how it is split.
    pub memory_bytes: usize,
    /// Entries of each log that are kept although they are durable, for followers that lag. A follower that is further
    /// behind gets a snapshot.
    pub keep_log_entries: u64,
    /// What keeps the bytes.
    pub engine: Engine,
    /// What they are encrypted with, if at all; a simulated disk is not. See [`crate::at_rest`].
    pub keys: Option<Arc<Keys>>,
    /// Where blocking work runs; over a simulated disk always [`Blocking::Inline`].
    pub blocking: Blocking,
    /// Called with the first write that failed.
    pub fatal: FatalHook,
    /// Called with each entry that a group has applied: for who must know every one of them, also those that are purged soon.
    pub applied: Option<AppliedHook>,
}

impl StoreConfig {
    /// With RocksDB, not encrypted, 256 MiB, 4096 entries kept, blocking work on tokio's pool, [`abort_on_fatal`], and nobody told of entries.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, identity: Identity) -> Self {
        Self {
            dir: dir.into(),
            identity,
            memory_bytes: 256 * 1024 * 1024,
            keep_log_entries: 4096,
            engine: Engine::default(),
            keys: None,
            blocking: Blocking::default(),
            fatal: abort_on_fatal(),
            applied: None,
        }
    }
}

/// An open data directory. Clones share it; it is closed when the last clone and the last group's part are gone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<StoreInner>,
}

struct StoreInner {
    config: StoreConfig,
    usage: Usage,
    log_db: Db,
    format: DirectoryFormat,
    cache: Arc<EntryCache>,
    writer: Arc<LogWriter>,
    state: Arc<StateDb>,
    groups: Mutex<Groups>,
    /// Last: it ends before the databases can be closed, and what is queued is written before it ends.
    _reencryption: Option<Reencryption>,
}

struct Groups {
    /// As found at open; a group leaves when it is opened.
    found: BTreeMap<u64, FoundGroup>,
    descriptors: BTreeMap<u64, Arc<Descriptor>>,
    logs: BTreeMap<u64, Arc<GroupLog>>,
    open: BTreeSet<u64>,
}

/// One open group: what openraft needs, and what the node reads and drives beside it.
pub struct Group<M: Machine> {
    /// For `openraft::Raft::new`.
    pub log: LogStore,
    /// For `openraft::Raft::new`.
    pub machine: StateMachine<M>,
    /// Views of the applied rows.
    pub reader: StateReader,
    /// Reads of the log, for auditors.
    pub log_reader: LogReader,
    /// Drives flush and purge.
    pub checkpoint: Checkpoint,
    /// Takes in snapshots from peers.
    pub snapshots: SnapshotReceiver<M>,
    /// The replica's descriptor at open.
    pub descriptor: ReplicaDescriptor,
}

/// A group that is being opened: nobody else may. Dropped before it is done, it is free again.
struct Opening {
    store: Arc<StoreInner>,
    group: GroupId,
    done: bool,
}

impl Opening {
    fn of(store: &Arc<StoreInner>, group: GroupId) -> Result<Self, OpenError> {
        if !store.groups.lock().open.insert(group.0) {
            return Err(OpenError::AlreadyOpen { group });
        }
        Ok(Self {
            store: Arc::clone(store),
            group,
            done: false,
        })
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.done {
            self.store.groups.lock().open.remove(&self.group.0);
        }
    }
}

fn damaged(group: GroupId, index: Option<u64>, detail: String) -> OpenError {
    OpenError::Damaged {
        group: Some(group),
        index,
        detail,
        remedy: DAMAGE_REMEDY,
    }
}

impl Store {
    /// Opens a data directory, or makes one, and verifies every log in it. Blocks: call it before the runtime is busy.
    ///
    /// # Errors
    /// Each with its remedy: see [`OpenError`].
    pub fn open(mut config: StoreConfig) -> Result<Self, OpenError> {
        let dir = config.dir.clone();
        let io_error = |source: io::Error| OpenError::Io {
            path: dir.clone(),
            source,
        };
        let place = if config.engine.is_simulated() {
            config.blocking = Blocking::Inline;
            Place::Task
        } else {
            Place::Thread
        };
        let budget = Budget::of(config.memory_bytes);
        let Opened {
            log: log_db,
            state: state_db,
            mark,
            mark_written,
            usage,
            reencryption,
        } = config.engine.open(&dir, budget, config.keys.as_ref())?;
        let (mut mark, found_mark) = Mark::of(mark, mark_written).map_err(io_error)?;
        let identity = recovery::claim(&dir, &log_db, &state_db, (&mut mark, found_mark), &config.identity)?;
        let found = recovery::find_groups(&dir, &log_db)?;

        let latch = Arc::new(Latch::new(Arc::clone(&config.fatal)));
        let cache = Arc::new(EntryCache::new(budget.entries));
        // What an engine recovers is synced by the time it is open.
        mark.advance(log_db.latest_sequence_number()).map_err(io_error)?;
        let writer = LogWriter::start(
            place,
            log_db.clone(),
            mark,
            Arc::clone(&cache),
            Arc::clone(&latch),
            budget.queue,
        )
        .map_err(io_error)?;
        let descriptors = found
            .iter()
            .filter_map(|(group, found)| Some((*group, Arc::new(Descriptor::found(found.descriptor?)))))
            .collect();
        let groups = Groups {
            found,
            descriptors,
            logs: BTreeMap::new(),
            open: BTreeSet::new(),
        };
        Ok(Self {
            inner: Arc::new(StoreInner {
                config,
                usage,
                format: DirectoryFormat::found(log_db.clone(), identity),
                log_db,
                cache,
                writer: Arc::new(writer),
                state: Arc::new(StateDb::new(state_db, latch)),
                groups: Mutex::new(groups),
                _reencryption: reencryption,
            }),
        })
    }

    /// The replicas of this directory, by group.
    #[must_use]
    pub fn descriptors(&self) -> BTreeMap<GroupId, ReplicaDescriptor> {
        let groups = self.inner.groups.lock();
        groups
            .descriptors
            .iter()
            .map(|(group, descriptor)| (GroupId(*group), descriptor.get()))
            .collect()
    }

    /// The directory's format.
    #[must_use]
    pub fn format(&self) -> u32 {
        self.inner.format.now()
    }

    /// Notes that what is written from now on needs a reader of this format; synced when this is done. It never goes back.
    ///
    /// # Errors
    /// Where this version does not read the format itself, or the write fails.
    pub async fn raise_format(&self, format: u32) -> io::Result<()> {
        self.inner.format.raise(format, self.inner.config.blocking).await
    }

    /// Notes the epoch at which a replica was last seen in the map; synced when this is done. Replica id and generation are
    /// the store's own, and stay.
    ///
    /// # Errors
    /// Where the group is not open, or the write fails.
    pub async fn put_epoch(&self, group: GroupId, epoch: u64) -> io::Result<()> {
        let found = {
            let groups = self.inner.groups.lock();
            let log = groups.logs.get(&group.0).cloned();
            log.zip(groups.descriptors.get(&group.0).cloned())
        };
        let (log, descriptor) =
            found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("group {group} is not open")))?;
        descriptor
            .change(&self.inner.writer, &log, |descriptor| descriptor.epoch = epoch)
            .await
    }

    /// Opens a group with this replica id; the first time, makes it.
    ///
    /// # Errors
    /// Where the group's replica here is another one, is open already, is damaged, or does not load.
    pub async fn open_group<M: Machine>(
        &self,
        group: GroupId,
        replica: u64,
        machine: M,
    ) -> Result<Group<M>, OpenError> {
        if group.0 >= keys::MAX_GROUP {
            return Err(self.io_error(io::Error::other(format!("group {group} is reserved"))));
        }
        let mut opening = Opening::of(&self.inner, group)?;
        let (log, descriptor) = self.claim_replica(group, replica).await?;
        let store = self.clone();
        let (found_log, found) = (Arc::clone(&log), descriptor.get());
        let (machine, progress, applied) = self
            .inner
            .config
            .blocking
            .run(move || store.load(group, &found_log, found, machine))
            .await
            .map_err(|source| self.io_error(source))??;

        let inner = &self.inner;
        let blocking = inner.config.blocking;
        let snapshots = SnapshotReceiver::new(Arc::clone(&inner.state), Arc::clone(&progress), blocking);
        let core = Core {
            log: Arc::clone(&log),
            writer: Arc::clone(&inner.writer),
            state: Arc::clone(&inner.state),
            progress: Arc::clone(&progress),
            receiver: snapshots.clone(),
            descriptor: Arc::clone(&descriptor),
            blocking,
            applied: inner.config.applied.clone(),
            latency: metrics::histogram!(names::APPLY_SECONDS.name, "shard" => group.to_string()),
            inner: Mutex::new(Inner::new(machine, &applied).map_err(|source| self.io_error(source))?),
        };
        {
            let mut groups = inner.groups.lock();
            groups.descriptors.insert(group.0, Arc::clone(&descriptor));
            groups.logs.insert(group.0, Arc::clone(&log));
        }
        opening.done = true;
        Ok(Group {
            log: LogStore::new(
                Arc::clone(&log),
                Arc::clone(&inner.writer),
                Arc::clone(&inner.state),
                Arc::clone(&progress),
            ),
            machine: StateMachine::new(Arc::new(core)),
            reader: StateReader::new(Arc::clone(&inner.state), Arc::clone(&progress)),
            log_reader: LogReader::new(Arc::clone(&log)),
            checkpoint: Checkpoint {
                state: Arc::clone(&inner.state),
                progress,
                log,
                keep_log_entries: inner.config.keep_log_entries,
                blocking,
            },
            snapshots,
            descriptor: descriptor.get(),
        })
    }

    fn io_error(&self, source: io::Error) -> OpenError {
        OpenError::Io {
            path: self.inner.config.dir.clone(),
            source,
        }
    }

    /// The group's log as it was found, and whose it is: a new replica's descriptor is written first of all.
    async fn claim_replica(&self, group: GroupId, replica: u64) -> Result<(Arc<GroupLog>, Arc<Descriptor>), OpenError> {
        let inner = &self.inner;
        let found = inner.groups.lock().found.get(&group.0).cloned().unwrap_or_default();
        if let Some(descriptor) = found.descriptor.filter(|descriptor| descriptor.replica_id != replica) {
            return Err(OpenError::OtherReplica {
                group,
                found: descriptor.replica_id,
                expected: replica,
            });
        }
        if found.descriptor.is_none() && (found.bounds.last.is_some() || found.bounds.vote.is_some()) {
            return Err(damaged(
                group,
                None,
                "there is a log without a replica's descriptor".to_owned(),
            ));
        }
        let log = Arc::new(GroupLog::new(
            group.0,
            inner.log_db.clone(),
            Arc::clone(&inner.cache),
            inner.config.blocking,
            Budget::of(inner.config.memory_bytes).read,
            found.bounds.clone(),
        ));
        if let Some(descriptor) = found.descriptor {
            return Ok((log, Arc::new(Descriptor::found(descriptor))));
        }
        let descriptor = ReplicaDescriptor {
            replica_id: replica,
            epoch: 0,
            generation: 0,
        };
        inner
            .writer
            .write(&log, Change::Descriptor(descriptor))
            .await
            .map_err(|source| self.io_error(source))?;
        let found = FoundGroup {
            descriptor: Some(descriptor),
            ..found
        };
        inner.groups.lock().found.insert(group.0, found);
        Ok((log, Arc::new(Descriptor::found(descriptor))))
    }

    /// Checks the group's rows, and has the machine load them. Blocks.
    fn load<M: Machine>(
        &self,
        group: GroupId,
        log: &GroupLog,
        descriptor: ReplicaDescriptor,
        mut machine: M,
    ) -> Result<(M, Arc<Progress>, Applied), OpenError> {
        let state = &self.inner.state;
        // Generations that never became current, or are not any more: a crash came before their deletion.
        let generations = recovery::generations(&state.db, group.0)
            .map_err(|error| recovery::failed(&self.inner.config.dir, Some(group.0), None, &error))?;
        for orphan in generations
            .iter()
            .filter(|generation| **generation != descriptor.generation)
        {
            state
                .delete_generation(&keys::state_prefix(group.0, *orphan))
                .map_err(|source| self.io_error(source))?;
        }
        let highest = generations.last().copied().unwrap_or(0).max(descriptor.generation);
        let prefix = keys::state_prefix(group.0, descriptor.generation);
        let applied = state.applied(&prefix).map_err(|error| match error {
            ReadError::Store(error) => recovery::failed(&self.inner.config.dir, Some(group.0), None, &error),
            ReadError::Damaged { .. } => damaged(group, None, error.to_string()),
        })?;
        let applied_next = applied.last.as_ref().map_or(0, |last| last.index + 1);
        if applied_next < log.purged_next() {
            return Err(damaged(
                group,
                Some(applied_next),
                format!(
                    "the state lacks this entry, and the log is purged up to {}",
                    log.purged_next() - 1
                ),
            ));
        }
        let unused = highest
            .checked_add(1)
            .ok_or_else(|| damaged(group, None, "the generations are used up".to_owned()))?;
        let progress = Arc::new(Progress::new(group.0, applied_next, descriptor.generation, unused));
        state.register(&progress);

        let machine_error = |source: MachineError| OpenError::Machine { group, source };
        let view = StateReader::new(Arc::clone(state), Arc::clone(&progress))
            .view()
            .map_err(|error| machine_error(error.into()))?;
        machine.load(&view).map_err(machine_error)?;
        if applied.last.is_some() && machine.state_hash() != applied.hash {
            return Err(machine_error(MachineError::new(
                "its digest is not the one that was stored with it",
            )));
        }
        Ok((machine, progress, applied))
    }

    /// Entries of a group's log from `from` on, at most `max_bytes` of them but at least one: for auditors.
    ///
    /// # Errors
    /// Where the group is not open, or the store fails.
    pub async fn read_log(&self, group: GroupId, from: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let log = self.inner.groups.lock().logs.get(&group.0).cloned();
        let log = log.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("group {group} is not open")))?;
        LogReader::new(log).read_from(from, max_bytes).await
    }

    /// Where work on the store that blocks belongs.
    #[must_use]
    pub fn blocking(&self) -> Blocking {
        self.inner.config.blocking
    }

    /// Makes everything that is applied now survive a crash, for all groups. A server does so before it exits, so that its
    /// next start replays nothing.
    ///
    /// # Errors
    /// Where the flush fails; the node stops then.
    pub async fn flush(&self) -> io::Result<()> {
        let state = Arc::clone(&self.inner.state);
        self.inner.config.blocking.run(move || state.flush()).await?
    }

    /// Sets the gauges. Call it before a scrape.
    pub fn publish(&self) {
        let inner = &self.inner;
        metrics::gauge!(names::ENTRY_CACHE_BYTES.name).set(inner.cache.bytes() as f64);
        metrics::gauge!(names::LOG_QUEUE_BYTES.name).set(inner.writer.queued_bytes() as f64);
        metrics::gauge!(names::BLOCK_CACHE_BYTES.name).set(inner.usage.cache_bytes() as f64);
        metrics::gauge!(names::MEMTABLE_BYTES.name).set(inner.usage.memtable_bytes() as f64);
        names::publish_condition("log", &inner.log_db.condition());
        names::publish_condition("state", &inner.state.condition());
        // A simulated disk has no file system.
        if !inner.config.engine.is_simulated() {
            names::publish_disk(&inner.config.dir);
            names::publish_encryption(&inner.config.dir, inner.config.keys.as_deref());
        }
    }
}
