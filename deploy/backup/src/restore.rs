//! Writes the data directories of a new cluster out of a backup: each shard's rows as they were, at the index at which they
//! were, and a meta group that knows the same venues, tokens, networks and quotas, and only the new cluster's nodes.
//!
//! A directory gets its name when all of it is written: one that was begun and not finished would found an empty cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use rotunda_node::budget::Budget;
use rotunda_node::meta::machine::{MetaMachine, hash_of, rows_of, state_of};
use rotunda_node::meta::map::MetaState;
use rotunda_node::meta::moved::moved;
use rotunda_node::raft::machine::{BookingMachine, Pulse};
use rotunda_raft_storage::at_rest::Keys;
use rotunda_raft_storage::{GroupId, Identity, Machine, ROW_FORMAT, Seed, Store, StoreConfig, chunks_of_rows};

use crate::chunk::hex;
use crate::error::BackupError;
use crate::list::manifest_of;
use crate::manifest::{GroupRecord, META, Manifest};
use crate::place::Place;
use crate::progress::Progress;
use crate::read;

/// What caches may take while rows are written.
const MEMORY_BYTES: usize = 256 << 20;

/// The cluster that a backup becomes.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its name: another than the old one's.
    pub cluster: String,
    /// Its nodes, with the gRPC addresses that they will have.
    pub nodes: BTreeMap<u32, String>,
    /// Replicas of each shard.
    pub replication: usize,
    /// Directory in which each node's data directory is made, as `node-1`.
    pub into: PathBuf,
    /// What the directories are encrypted with, if at all; the nodes have to be started with the same keys.
    pub keys: Option<Arc<Keys>>,
    /// Only this node's: on each machine its own, from the same backup and with the same nodes.
    pub only: Option<u32>,
}

/// What was written.
#[derive(Debug)]
pub struct Restored {
    /// From which backup.
    pub manifest: Manifest,
    /// Data directories, by node.
    pub directories: BTreeMap<u32, PathBuf>,
    /// State hash of the new meta group, in hex: its rows name other nodes than the backup's.
    pub meta_hash: String,
}

/// Restores one backup. Reads all of it before the first directory is made.
///
/// # Errors
/// Where the backup is damaged or of another version, a directory is not empty, or the new cluster makes no sense.
pub async fn restore(
    place: &Place,
    id: &str,
    new: &NewCluster,
    told: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Restored, BackupError> {
    let manifest = manifest_of(place, id).await?;
    let writes = check(&manifest, new)?;
    // All of it, so that damage is known before anything is written.
    let mut meta_rows = BTreeMap::new();
    for record in &manifest.groups {
        let keep = record.group == META;
        let mut row = |key: &[u8], value: &[u8]| {
            if keep {
                meta_rows.insert(key.to_vec(), bytes::Bytes::copy_from_slice(value));
            }
        };
        read::group(place, id, record, &mut row, &|_| {}).await?;
    }
    let damaged = |why: String| BackupError::Manifest { id: id.to_owned(), why };
    let state = state_of(|key| Ok(meta_rows.get(key).cloned()))
        .map_err(|error| damaged(error.to_string()))?
        .ok_or_else(|| damaged("its meta group knows of no cluster".to_owned()))?;
    let known: Vec<u64> = state.shards.keys().copied().collect();
    if let Some(missing) = known.iter().find(|shard| manifest.group(**shard).is_none()) {
        return Err(damaged(format!("it lacks shard {missing}")));
    }
    let state = moved(state, &new.nodes, new.replication);
    let mut directories = BTreeMap::new();
    let mut progress = Progress {
        groups: writes.len() * manifest.groups.len(),
        ..Progress::default()
    };
    let mut begun = Vec::new();
    for (node, directory) in writes {
        let beside = new.into.join(format!(".node-{node}.unfinished"));
        empty(&beside)?;
        let work = Work {
            place,
            manifest: &manifest,
            new,
            state: &state,
            node,
        };
        work.write(&beside, &mut progress, told).await?;
        begun.push((node, beside, directory));
    }
    for (node, beside, directory) in begun {
        let broken = |error: std::io::Error| BackupError::Directory {
            dir: directory.clone(),
            why: error.to_string(),
        };
        std::fs::rename(&beside, &directory).map_err(broken)?;
        std::fs::File::open(&new.into)
            .and_then(|folder| folder.sync_all())
            .map_err(broken)?;
        directories.insert(node, directory);
    }
    let meta_hash = hash_of(&state).map_err(|error| damaged(error.to_string()))?;
    Ok(Restored {
        manifest,
        directories,
        meta_hash: hex(&meta_hash),
    })
}

/// What is refused before anything is read or written. Gives nodes and directories to write.
fn check(manifest: &Manifest, new: &NewCluster) -> Result<Vec<(u32, PathBuf)>, BackupError> {
    if new.cluster == manifest.cluster {
        return Err(BackupError::SameCluster(manifest.cluster.clone()));
    }
    let plan = |why: &str| Err(BackupError::Plan(why.to_owned()));
    if new.cluster.is_empty() {
        return plan("the new cluster needs a name");
    }
    if new.nodes.is_empty() || new.nodes.contains_key(&0) {
        return plan("the new cluster needs nodes, with ids from 1: --node 1=http://10.0.0.1:7001");
    }
    if new.replication == 0 {
        return plan("each shard needs a replica at least");
    }
    if new.only.is_some_and(|only| !new.nodes.contains_key(&only)) {
        return plan("the node whose directory is to be written is none of the new cluster's");
    }
    if manifest.row_format != ROW_FORMAT {
        return Err(BackupError::Rows {
            id: manifest.id.clone(),
            found: manifest.row_format,
            known: ROW_FORMAT,
            version: manifest.node_version.clone(),
        });
    }
    let writes: Vec<(u32, PathBuf)> = new
        .nodes
        .keys()
        .filter(|node| new.only.is_none_or(|only| only == **node))
        .map(|node| (*node, new.into.join(format!("node-{node}"))))
        .collect();
    match new.only {
        // Others may be there already.
        Some(_) => writes
            .iter()
            .try_for_each(|(_, directory)| empty(directory))
            .and_then(|()| {
                writes.iter().try_for_each(|(_, directory)| {
                    // An empty one would be in the way of the rename.
                    match std::fs::remove_dir(directory) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(BackupError::Directory {
                            dir: directory.clone(),
                            why: error.to_string(),
                        }),
                        _ => Ok(()),
                    }
                })
            })?,
        None => empty(&new.into)?,
    }
    std::fs::create_dir_all(&new.into).map_err(|error| BackupError::Directory {
        dir: new.into.clone(),
        why: error.to_string(),
    })?;
    Ok(writes)
}

/// A directory that is not there, or has nothing in it.
fn empty(directory: &Path) -> Result<(), BackupError> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(BackupError::NotEmpty(directory.to_owned())),
            None => Ok(()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::Directory {
            dir: directory.to_owned(),
            why: error.to_string(),
        }),
    }
}

/// One node's directory.
struct Work<'a> {
    place: &'a Place,
    manifest: &'a Manifest,
    new: &'a NewCluster,
    state: &'a MetaState,
    node: u32,
}

impl Work<'_> {
    async fn write(
        &self,
        directory: &Path,
        progress: &mut Progress,
        told: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<(), BackupError> {
        let broken = |why: String| BackupError::Directory {
            dir: directory.to_owned(),
            why,
        };
        let identity = Identity {
            cluster: self.new.cluster.clone(),
            node: self.node,
        };
        let config = StoreConfig {
            memory_bytes: MEMORY_BYTES,
            keys: self.new.keys.clone(),
            ..StoreConfig::new(directory, identity)
        };
        let store = tokio::task::spawn_blocking(move || Store::open(config)).await;
        let store = store
            .map_err(|error| broken(error.to_string()))?
            .map_err(|error| broken(error.to_string()))?;
        let budget = Budget::new(MEMORY_BYTES, 0);
        for record in &self.manifest.groups {
            match record.group {
                META => self.write_meta(&store, record).await,
                _ => self.write_shard(&store, record, &budget).await,
            }
            .map_err(&broken)?;
            progress.groups_done += 1;
            progress.bytes += record.bytes;
            told(*progress);
        }
        store.flush().await.map_err(|error| broken(error.to_string()))
    }

    async fn write_shard(&self, store: &Store, record: &GroupRecord, budget: &Arc<Budget>) -> Result<(), String> {
        let Some(shard) = self.state.shards.get(&record.group) else {
            return Ok(());
        };
        let Some((replica, _)) = shard.replicas.iter().find(|(_, node)| *node == self.node) else {
            return Ok(());
        };
        let machine = BookingMachine::new(Arc::clone(budget), Arc::new(Pulse::default()));
        let voters = shard.replicas.iter().copied().collect();
        let objects = stream::iter(0..record.chunks.len())
            .then(|number| read::object(self.place, &self.manifest.id, record, number))
            .map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok)))
            .map_err(std::io::Error::other)
            .try_flatten();
        let found = sow(store, record, *replica, machine, voters, objects).await?;
        match hex(&found) == record.state_hash {
            true => Ok(()),
            false => Err(format!("shard {} came out with another state hash", record.group)),
        }
    }

    async fn write_meta(&self, store: &Store, record: &GroupRecord) -> Result<(), String> {
        let rows = rows_of(self.state).map_err(|error| error.to_string())?;
        let hash = hash_of(self.state).map_err(|error| error.to_string())?;
        let chunks = chunks_of_rows(rows.iter().map(|(key, row)| (*key, &row[..])), hash);
        let (published, _map) = tokio::sync::watch::channel(MetaState::default());
        let chunks = stream::iter(chunks.into_iter().map(Ok));
        let voters = self.state.meta_replicas();
        sow(
            store,
            record,
            u64::from(self.node),
            MetaMachine::new(published),
            voters,
            chunks,
        )
        .await
        .map(drop)
    }
}

/// Makes a replica of these chunks. Gives the state hash that it has then.
async fn sow<M: Machine>(
    store: &Store,
    record: &GroupRecord,
    replica: u64,
    machine: M,
    voters: BTreeMap<u64, u32>,
    chunks: impl futures::Stream<Item = std::io::Result<bytes::Bytes>> + Send,
) -> Result<[u8; 16], String> {
    let group = store.open_group(GroupId(record.group), replica, machine).await;
    let mut group = group.map_err(|error| error.to_string())?;
    let seed = Seed::after(record.index, record.term, record.leader_replica, voters);
    group.seed(&seed, chunks).await.map_err(|error| error.to_string())?;
    let view = group.reader.view().map_err(|error| error.to_string())?;
    match view.applied_index() == Some(record.index) {
        true => Ok(view.state_hash()),
        false => Err(format!("group {} is not at index {}", record.group, record.index)),
    }
}
