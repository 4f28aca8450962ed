//! A simulated disk: what a node's store keeps its bytes on when a simulator runs it. The simulator holds one [`SimDisk`]
//! for each node; it survives the node, as a disk does. Everything happens on the calling thread, nothing has a clock or a
//! random number of its own, and every choice is made by a number that the simulator gives.
//!
//! - **raftdb**: a batch is *pending* once it is written and *durable* once it is synced. A loss of power takes pending
//!   batches, or leaves the oldest of them; one that is cut in the middle is dropped, as RocksDB's recovery does with a
//!   record that does not check. What is recovered at an open is durable, for RocksDB writes it to tables and syncs them.
//! - **statedb**: everything since the last flush is pending, and lies in the process's memory: a kill takes it too. A prefix
//!   may be there all the same, as when a memtable was full and flushed by itself.
//! - **MARK**: each sector keeps one of its versions since the last sync.
//!
//! Left out: tables and compactions. Damage is done to single rows, not to blocks of them, and reading what nobody damaged
//! never fails by itself.

mod choices;
mod faults;
mod file;
mod handles;
mod table;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use xxhash_rust::xxh3::Xxh3;

use self::choices::Choices;
use self::faults::Faults;
pub use self::faults::{Access, Exercised};
use self::file::Sectors;
pub(crate) use self::handles::{Database, File, View, Walk};
pub(crate) use self::table::Operations;
use self::table::{Stored, Table};
use super::rocks::Usage;
use super::{Db, EngineError, MarkFile, Opened};
use crate::error::OpenError;
use crate::keys;

/// A node's disk. Clones share it.
///
/// ```ignore
/// let disk = SimDisk::new();
/// let store = Store::open(StoreConfig {
///     engine: Engine::Simulated(disk.clone()),
///     fatal: Arc::new(move |what| died.set(what)),
///     ..StoreConfig::new("node-1", identity.clone())
/// })?;
/// // ... the node runs ...
/// disk.lose_power(rng.next_u64());
/// // Whatever still holds the old store gets errors; the node's tasks are to be dropped. Then open a store again.
/// ```
#[derive(Clone, Default)]
pub struct SimDisk {
    platter: Arc<Mutex<Platter>>,
}

#[derive(Default)]
struct Platter {
    /// Moves on with each open and each crash: who has another number has lost the disk.
    life: u64,
    in_use: Weak<Life>,
    log: Table,
    state: Table,
    mark: Sectors,
    faults: Faults,
    exercised: Exercised,
}

/// One store's hold on the disk, from its opening to its end.
struct Life {
    disk: SimDisk,
    number: u64,
}

/// What a loss of power or a kill took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Batches of the log, none of which was synced.
    pub log_batches: u64,
    /// Batches of rows, none of which was flushed.
    pub state_batches: u64,
    /// Writes of the high-water mark.
    pub mark_writes: u64,
    /// Whether the first of the lost batches was cut in the middle.
    pub torn: bool,
}

/// What to damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Damage {
    /// Flips a bit in a record of the log, such that the database does not notice: only the record's own checksum can.
    LogBit,
    /// A record of the log lies in a block that does not check.
    LogBlock,
    /// A row lies in a block that does not check.
    StateBlock,
    /// The log's file is damaged below its end: synced batches after that place are gone. Only while no store is open.
    LogTail,
    /// Flips a bit in one of the mark's two places, or in both. Only while no store is open.
    Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Log,
    State,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

/// For the simulator.
impl SimDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The power fails: pending writes are gone, all or all but a prefix, by `choice`. Stores that are open get errors from
    /// now on, and a store can be opened anew.
    pub fn lose_power(&self, choice: u64) -> Lost {
        let mut choices = Choices::of(choice);
        let mut platter = self.platter.lock();
        platter.end_life();
        let pending = platter.log.pending();
        let kept = choices.below(pending + 1);
        let lost = Lost {
            torn: kept < pending && choices.below(2) == 0,
            log_batches: platter.log.lose_pending(kept) as u64,
            state_batches: platter.lose_unflushed(&mut choices),
            mark_writes: platter.mark.lose_pending(&mut choices),
        };
        let exercised = &mut platter.exercised;
        exercised.power_losses += 1;
        exercised.log_batches_kept += kept as u64;
        exercised.torn_tails += u64::from(lost.torn);
        exercised.count(&lost);
        lost
    }

    /// The process is killed: what it wrote is in the machine's memory and stays, rows that are not flushed were in its own.
    /// Otherwise as [`Self::lose_power`].
    pub fn kill(&self, choice: u64) -> Lost {
        let mut choices = Choices::of(choice);
        let mut platter = self.platter.lock();
        platter.end_life();
        let lost = Lost {
            state_batches: platter.lose_unflushed(&mut choices),
            ..Lost::default()
        };
        platter.exercised.kills += 1;
        platter.exercised.count(&lost);
        lost
    }

    /// True while the log has batches that are written and not synced: what a loss of power now would take.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.platter.lock().log.pending() > 0
    }

    /// After so many more successes, one access of this kind fails with EIO. Replaces what was set before for the kind.
    pub fn fail_after(&self, access: Access, successes: u64) {
        self.platter.lock().faults.fail_after(access, successes);
    }

    /// Bytes that can still be written, then ENOSPC; `None` is a disk without an end.
    pub fn set_bytes_left(&self, bytes: Option<u64>) {
        self.platter.lock().faults.bytes_left = bytes;
    }

    /// How long each sync of the log takes from now on, in tokio's time. Zero until it is set.
    pub fn set_sync_takes(&self, duration: Duration) {
        self.platter.lock().faults.sync_takes = duration;
    }

    /// A disk that says that it has synced, and has not. What it was told to sync is lost with the power.
    pub fn set_lying_syncs(&self, lying: bool) {
        self.platter.lock().faults.lying_syncs = lying;
    }

    /// All faults off. Damage that was done stays.
    pub fn heal(&self) {
        self.platter.lock().faults = Faults::default();
    }

    /// Damages what `choice` picks. Tells what it was; `None` where there is nothing of the kind.
    pub fn damage(&self, damage: Damage, choice: u64) -> Option<String> {
        let mut choices = Choices::of(choice);
        let mut platter = self.platter.lock();
        let closed = platter.in_use.strong_count() == 0;
        let done = match damage {
            Damage::LogBit => platter.log.flip_a_bit(&mut choices)?,
            Damage::LogBlock => platter.log.break_a_block(&mut choices, &keys::IDENTITY)?,
            Damage::StateBlock => platter.state.break_a_block(&mut choices, &keys::STATE_IDENTITY)?,
            Damage::LogTail if closed => {
                let batches = 1 + choices.below(16);
                let lost = platter.log.lose_synced(batches);
                (lost > 0).then(|| format!("{lost} synced batches of the log"))?
            }
            Damage::Mark if closed => platter
                .mark
                .spoil(&mut choices)
                .then(|| "the high-water mark".to_owned())?,
            Damage::LogTail | Damage::Mark => return None,
        };
        platter.exercised.damages += 1;
        Some(done)
    }

    /// What it has been through so far.
    #[must_use]
    pub fn exercised(&self) -> Exercised {
        self.platter.lock().exercised
    }

    /// A digest of all that a reader sees: two runs of one seed have the same at the same moment.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let platter = self.platter.lock();
        let mut digest = Xxh3::new();
        for table in [&platter.log, &platter.state] {
            digest.update(&table.sequence().to_be_bytes());
            for (key, value) in table.rows().iter() {
                digest.update(key);
                if let Stored::Whole(value) = value {
                    digest.update(value);
                }
            }
        }
        digest.digest()
    }

    /// For the store: see [`super::Engine::open`].
    pub(super) fn open(&self, dir: &Path) -> Result<Opened, OpenError> {
        let mut platter = self.platter.lock();
        if platter.in_use.strong_count() > 0 {
            return Err(OpenError::InUse { dir: dir.to_owned() });
        }
        platter.life += 1;
        platter.exercised.opens += 1;
        // What is recovered lies in tables from now on, where a damaged log file does not reach it.
        platter.log.sync();
        platter.log.forget_history();
        platter.state.sync();
        let life = Arc::new(Life {
            disk: self.clone(),
            number: platter.life,
        });
        platter.in_use = Arc::downgrade(&life);
        let database = |kind| {
            Db::Sim(Database {
                life: Arc::clone(&life),
                kind,
            })
        };
        Ok(Opened {
            log: database(Kind::Log),
            state: database(Kind::State),
            mark: MarkFile::Sim(File {
                life: Arc::clone(&life),
            }),
            mark_written: !platter.mark.is_empty(),
            usage: Usage::nothing(),
            reencryption: None,
        })
    }
}

impl Platter {
    fn end_life(&mut self) {
        self.life += 1;
        self.in_use = Weak::new();
    }

    /// All of it in three cases of four; else a prefix stays that the database has flushed by itself.
    fn lose_unflushed(&mut self, choices: &mut Choices) -> u64 {
        let keep = match choices.below(4) {
            0 => choices.below(self.state.pending() + 1),
            _ => 0,
        };
        self.state.lose_pending(keep) as u64
    }

    fn table(&mut self, kind: Kind) -> &mut Table {
        match kind {
            Kind::Log => &mut self.log,
            Kind::State => &mut self.state,
        }
    }

    fn strike(&mut self, access: Access) -> io::Result<()> {
        self.faults.strikes(access, &mut self.exercised).map_or(Ok(()), Err)
    }

    /// Whether a sync is to be done: it fails, it lies, or it is.
    fn begin_sync(&mut self) -> io::Result<bool> {
        self.strike(Access::Sync)?;
        if self.faults.lying_syncs {
            self.exercised.lying_syncs += 1;
            return Ok(false);
        }
        self.exercised.syncs += 1;
        Ok(true)
    }
}

impl Exercised {
    fn count(&mut self, lost: &Lost) {
        self.log_batches_lost += lost.log_batches;
        self.state_batches_lost += lost.state_batches;
        self.mark_writes_lost += lost.mark_writes;
    }
}

impl Table {
    fn pick(&self, choices: &mut Choices, but: &[u8]) -> Option<(Bytes, Bytes)> {
        let candidates = || {
            let whole = self.rows().iter().filter_map(|(key, value)| match value {
                Stored::Whole(value) if key.as_ref() != but => Some((key, value)),
                _ => None,
            });
            whole.filter(|(_, value)| !value.is_empty())
        };
        let (key, value) = candidates().nth(choices.below(candidates().count()))?;
        Some((key.clone(), value.clone()))
    }

    fn flip_a_bit(&mut self, choices: &mut Choices) -> Option<String> {
        let (key, value) = self.pick(choices, &[])?;
        let bit = choices.below(value.len() * 8);
        let mut flipped = value.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        self.forget_history();
        self.spoil(&key, Stored::Whole(Bytes::from(flipped)));
        Some(format!("bit {bit} of {key:?}"))
    }

    fn break_a_block(&mut self, choices: &mut Choices, but: &[u8]) -> Option<String> {
        let (key, _) = self.pick(choices, but)?;
        self.forget_history();
        self.spoil(&key, Stored::Unreadable);
        Some(format!("the block of {key:?}"))
    }
}

impl Life {
    /// The disk, if it is still this store's.
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.platter.lock();
        if platter.life == self.number {
            return Ok(platter);
        }
        Err(io::Error::other(
            "the node has crashed: its disk is not its own any more",
        ))
    }

    async fn sync_takes_its_time(&self) {
        let takes = {
            let Ok(mut platter) = self.platter() else { return };
            let takes = platter.faults.sync_takes;
            platter.exercised.slow_syncs += u64::from(!takes.is_zero());
            takes
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
    }
}

impl Drop for Life {
    /// An orderly end flushes rows, as RocksDB does.
    fn drop(&mut self) {
        let disk = self.disk.clone();
        let mut platter = disk.platter.lock();
        if platter.life == self.number && platter.faults.bytes_left != Some(0) && !platter.faults.lying_syncs {
            platter.state.sync();
        }
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::failed(error.to_string())
    }
}
