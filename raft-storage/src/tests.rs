//! The store under test as a whole: upstream's conformance suite, this crate's own contract, damage, and death at every
//! step. What a single module promises is tested beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod at_rest;
mod cluster;
mod codec;
mod conformance;
mod contract;
mod crash;
mod damage;
mod faults;
mod frozen;
mod histories;
mod pace;
mod simulated_cluster;
mod snapshots;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use openraft::EntryPayload;
use openraft::storage::{EntryResponder, IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;
use openraft::vote::{RaftLeaderId, leader_id_adv::LeaderId};
use parking_lot::Mutex;
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_128;

use crate::at_rest::Keys;
use crate::blocking::Blocking;
use crate::engine::sim::SimDisk;
use crate::engine::{Engine, Opened};
use crate::error::{MachineError, OpenError};
use crate::machine::Machine;
use crate::memory::Budget;
use crate::state::{StateTxn, StateView};
use crate::store::{Group, Identity, Store, StoreConfig};
use crate::types::{Entry, GroupId, LogId, Payload, TypeConfig};

/// The group that tests use.
const GROUP: GroupId = GroupId(3);
/// Its replica.
const REPLICA: u64 = 7;

/// A machine of sixteen registers: the entry at index i with payload "i" sets register i mod 16 to i, so the state after an
/// index is known without the log. Other payloads are "key=value".
#[derive(Default)]
struct Registers {
    hash: u128,
    observed: Arc<Mutex<Option<u64>>>,
}

fn digest(key: &[u8], value: &[u8]) -> u128 {
    xxh3_128(&[key, b"=", value].concat())
}

fn row_key(name: &[u8]) -> Vec<u8> {
    [&[1], name].concat()
}

fn register(index: u64) -> String {
    format!("r{:02}", index % 16)
}

impl Machine for Registers {
    fn load(&mut self, state: &StateView) -> Result<(), MachineError> {
        self.hash = 0;
        state.scan(&[1], &[2], &mut |key, value| {
            self.hash = self.hash.wrapping_add(digest(&key[1..], value));
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    fn apply(
        &mut self,
        index: u64,
        payload: &Bytes,
        txn: &mut StateTxn<'_>,
        want_reply: bool,
    ) -> Result<Bytes, MachineError> {
        if payload.as_ref() == b"nonsense" {
            return Err(MachineError::new("the payload is nonsense"));
        }
        if payload.as_ref() == b"table 0" {
            txn.put(&[0, 1], b"mine");
            return Ok(Bytes::new());
        }
        let mut parts = payload.splitn(2, |byte| *byte == b'=');
        let (name, value) = match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => (name.to_vec(), value.to_vec()),
            _ => (register(index).into_bytes(), payload.to_vec()),
        };
        let key = row_key(&name);
        let before = txn.get(&key)?;
        if let Some(before) = &before {
            self.hash = self.hash.wrapping_sub(digest(&name, before));
        }
        self.hash = self.hash.wrapping_add(digest(&name, &value));
        txn.put(&key, &value);
        assert_eq!(txn.get(&key)?, before, "an entry does not see its own puts");
        Ok(if want_reply {
            before.unwrap_or_default()
        } else {
            Bytes::new()
        })
    }

    fn state_hash(&self) -> [u8; 16] {
        self.hash.to_be_bytes()
    }

    fn applied_observer(&mut self, index: u64) {
        *self.observed.lock() = Some(index);
    }
}

fn id(term: u64, index: u64) -> LogId {
    LogId {
        leader_id: LeaderId::new(term, REPLICA),
        index,
    }
}

/// The entry that sets its register.
fn entry(term: u64, index: u64) -> Entry {
    entry_with(term, index, index.to_string())
}

fn entry_with(term: u64, index: u64, payload: impl Into<Bytes>) -> Entry {
    Entry {
        log_id: id(term, index),
        payload: EntryPayload::Normal(Payload(payload.into())),
    }
}

/// A store's configuration whose first failed write panics where it happens, instead of ending the test process.
fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        memory_bytes: crate::memory::MIN_MEMORY_BYTES,
        keep_log_entries: 0,
        blocking: Blocking::Pool,
        fatal: Arc::new(|what| eprintln!("latched: {what}")),
        ..StoreConfig::new(
            dir,
            Identity {
                cluster: "test".to_owned(),
                node: 1,
            },
        )
    }
}

async fn open(dir: &Path) -> (Store, Group<Registers>) {
    let store = Store::open(config(dir)).unwrap();
    let group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
    (store, group)
}

/// Where a test's store lives.
#[derive(Clone)]
enum Place {
    /// RocksDB in a directory, which is deleted with the last clone.
    Dir(Arc<TempDir>),
    /// The same, encrypted.
    Encrypted(Arc<TempDir>),
    /// A simulated disk.
    Disk(SimDisk),
}

/// Keys of these names, each made of its name.
fn keys(names: &[&str]) -> Arc<Keys> {
    let line = |name: &&str| format!("{name} {:032x}{:032x}\n", xxh3_128(name.as_bytes()), 7);
    Arc::new(Keys::from_text(&names.iter().map(line).collect::<String>(), "a test").unwrap())
}

impl Place {
    fn dir() -> Self {
        Self::Dir(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn encrypted() -> Self {
        Self::Encrypted(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn disk() -> Self {
        Self::Disk(SimDisk::new())
    }

    /// Another one of the same kind.
    fn another(&self) -> Self {
        match self {
            Self::Dir(_) => Self::dir(),
            Self::Encrypted(_) => Self::encrypted(),
            Self::Disk(_) => Self::disk(),
        }
    }

    fn config(&self) -> StoreConfig {
        match self {
            Self::Dir(dir) => config(dir.path()),
            Self::Encrypted(dir) => StoreConfig {
                keys: Some(keys(&["key"])),
                ..config(dir.path())
            },
            Self::Disk(disk) => StoreConfig {
                engine: Engine::Simulated(disk.clone()),
                ..config(Path::new("simulated"))
            },
        }
    }

    /// Opens a store once nobody has the place: over a simulated disk the writer of an old one ends when it is next polled.
    async fn try_store(&self, config: StoreConfig) -> Result<Store, OpenError> {
        for _ in 0..10_000 {
            match Store::open(config.clone()) {
                Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                opened => return opened,
            }
        }
        Store::open(config)
    }

    async fn store(&self) -> Store {
        self.try_store(self.config()).await.unwrap()
    }

    async fn open(&self) -> (Store, Group<Registers>) {
        let store = self.store().await;
        let group = store.open_group(GROUP, REPLICA, Registers::default()).await.unwrap();
        (store, group)
    }

    /// The databases without a store, once nobody has them.
    async fn databases(&self) -> Opened {
        let config = self.config();
        loop {
            match config
                .engine
                .open(&config.dir, Budget::of(config.memory_bytes), config.keys.as_ref())
            {
                Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                opened => return opened.unwrap_or_else(|error| panic!("{error}")),
            }
        }
    }
}

/// Each story over RocksDB, over its files encrypted, and over a simulated disk.
macro_rules! over_all {
    ($($story:ident,)*) => {
        mod over_rocksdb {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(crate::tests::Place::dir()).await;
                }
            )*
        }

        mod over_encrypted_files {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(crate::tests::Place::encrypted()).await;
                }
            )*
        }

        mod over_a_simulated_disk {
            $(
                #[tokio::test(start_paused = true)]
                async fn $story() {
                    super::$story(crate::tests::Place::disk()).await;
                }
            )*
        }
    };
}
use over_all;

/// Appends, and waits until it is synced.
async fn append(group: &mut Group<Registers>, entries: impl IntoIterator<Item = Entry>) {
    let (done, synced) = TypeConfig::oneshot();
    group
        .log
        .append(entries.into_iter().collect::<Vec<_>>(), IOFlushed::signal(done))
        .await
        .unwrap();
    synced.await.unwrap().unwrap();
}

async fn apply(group: &mut Group<Registers>, entries: impl IntoIterator<Item = Entry>) -> std::io::Result<()> {
    let entries: Vec<Result<EntryResponder<TypeConfig>, std::io::Error>> =
        entries.into_iter().map(|entry| Ok((entry, None))).collect();
    group.machine.apply(stream::iter(entries)).await
}

/// Every row of a view, as text.
fn rows(view: &StateView) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    view.scan(&[1], &[2], &mut |key, value| {
        rows.push((
            String::from_utf8_lossy(&key[1..]).into_owned(),
            String::from_utf8_lossy(value).into_owned(),
        ));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// What the registers hold after `index`.
fn expected_rows(index: u64) -> Vec<(String, String)> {
    let mut rows: Vec<_> = (0..=index)
        .rev()
        .take(16)
        .map(|index| (register(index), index.to_string()))
        .collect();
    rows.sort();
    rows
}
