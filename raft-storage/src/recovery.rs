//! What a start checks before anything is served: that the directory is this node's, that nothing that was synced is
//! missing, and that every log is whole, link by link. A torn tail (never synced, so never promised) is not damage: RocksDB
//! has dropped it, and the log ends before it. Everything else refuses, and the replica is rebuilt from its peers.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::engine::{Caching, Db, EngineError};
use crate::error::{DAMAGE_REMEDY, OpenError};
use crate::keys::{self, Slot};
use crate::log_store::Bounds;
use crate::mark::{Found, Mark};
use crate::record::{self, RecordError, ReplicaDescriptor, StoredIdentity};
use crate::store::Identity;
use crate::types::{GroupId, LogId};

/// The format that this version writes, and the only one that it reads. Format 2 has other rows of bookings: reminders of
/// deadlines, events and old command keys, many to a row; format 3 bookings that can be exchanged, and a chained journal.
pub const FORMAT: u32 = 3;

/// A group as it was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct FoundGroup {
    pub(crate) bounds: Bounds,
    pub(crate) descriptor: Option<ReplicaDescriptor>,
}

fn damaged(group: Option<u64>, index: Option<u64>, detail: impl Into<String>) -> OpenError {
    OpenError::Damaged {
        group: group.map(GroupId),
        index,
        detail: detail.into(),
        remedy: DAMAGE_REMEDY,
    }
}

/// A read that failed says nothing about what is there; one that found something else than was written does.
pub(crate) fn failed(dir: &Path, group: Option<u64>, index: Option<u64>, error: &EngineError) -> OpenError {
    if error.is_corruption() {
        return damaged(group, index, format!("{}: {error}", dir.display()));
    }
    OpenError::Io {
        path: dir.to_owned(),
        source: io::Error::other(error.to_string()),
    }
}

/// Checks whose data this is; an empty directory becomes this node's.
pub(crate) fn claim(
    dir: &Path,
    log: &Db,
    state: &Db,
    (mark, found_mark): (&mut Mark, Found),
    identity: &Identity,
) -> Result<(), OpenError> {
    let in_log = log
        .get(&keys::IDENTITY)
        .map_err(|error| failed(dir, None, None, &error))?;
    let in_state = state
        .get(&keys::STATE_IDENTITY)
        .map_err(|error| failed(dir, None, None, &error))?;
    let wanted = StoredIdentity {
        format: FORMAT,
        cluster: identity.cluster.clone(),
        node: identity.node,
    };
    let record = match (in_log, in_state) {
        (Some(record), Some(_)) => record,
        // New, or a first start that was cut short before the log had its identity: nothing was promised yet.
        (None, _) if matches!(found_mark, Found::Nothing | Found::Sequence(0)) => {
            return create(dir, log, state, mark, &wanted);
        }
        (None, _) => {
            return Err(damaged(
                None,
                None,
                "the log's database is empty, yet this node has written to it",
            ));
        }
        (Some(_), None) => {
            return Err(damaged(
                None,
                None,
                "the state's database is empty, yet this node has written to it",
            ));
        }
    };
    let found = match record::decode_identity(&record) {
        Ok(found) => found,
        Err(RecordError::Version(version)) => {
            return Err(OpenError::NewerFormat {
                dir: dir.to_owned(),
                found: version.into(),
                supported: FORMAT,
            });
        }
        Err(error) => return Err(damaged(None, None, format!("the store's identity: {error}"))),
    };
    if found.format > FORMAT {
        return Err(OpenError::NewerFormat {
            dir: dir.to_owned(),
            found: found.format,
            supported: FORMAT,
        });
    }
    if found.format < FORMAT {
        return Err(OpenError::OlderFormat {
            dir: dir.to_owned(),
            found: found.format,
            oldest: FORMAT,
        });
    }
    if found.cluster != wanted.cluster {
        let (found, expected) = (found.cluster, wanted.cluster);
        return Err(OpenError::OtherCluster {
            dir: dir.to_owned(),
            found,
            expected,
        });
    }
    if found.node != wanted.node {
        return Err(OpenError::OtherNode {
            dir: dir.to_owned(),
            found: found.node,
            expected: wanted.node,
        });
    }
    check_mark(log, found_mark)
}

/// The log's identity last: once it is there, so must be the state's and the mark.
fn create(dir: &Path, log: &Db, state: &Db, mark: &mut Mark, identity: &StoredIdentity) -> Result<(), OpenError> {
    let record = record::encode_identity(identity);
    let mut batch = state.batch(record.len() + 64);
    batch.put(keys::STATE_IDENTITY, &record);
    state
        .write_unlogged(batch)
        .and_then(|()| state.flush())
        .map_err(|error| failed(dir, None, None, &error))?;
    mark.advance(0).map_err(|source| OpenError::Io {
        path: dir.to_owned(),
        source,
    })?;
    log.put_synced(&keys::IDENTITY, &record)
        .map_err(|error| failed(dir, None, None, &error))
}

fn check_mark(log: &Db, mark: Found) -> Result<(), OpenError> {
    let recovered = log.latest_sequence_number();
    match mark {
        Found::Sequence(synced) if recovered < synced => Err(damaged(
            None,
            None,
            format!(
                "{} synced writes of the log are gone (it ends at write {recovered}, and write {synced} was synced): a file \
                 of raftdb is damaged below the high-water mark",
                synced - recovered
            ),
        )),
        Found::Sequence(_) => Ok(()),
        Found::Nothing => Err(damaged(None, None, "the high-water mark is missing (the file MARK)")),
        Found::Unreadable => Err(damaged(None, None, "the high-water mark is unreadable (the file MARK)")),
    }
}

/// Finds and verifies every group's log.
pub(crate) fn find_groups(dir: &Path, log: &Db) -> Result<BTreeMap<u64, FoundGroup>, OpenError> {
    let mut groups = BTreeMap::new();
    let mut keys_left = log.seeker();
    let mut next = Some(0);
    while let Some(from) = next {
        keys_left.seek(&keys::group_start(from));
        let Some(group) = keys_left.key().and_then(keys::group_of) else {
            break;
        };
        groups.insert(group, find_group(dir, log, group)?);
        next = group.checked_add(1);
    }
    keys_left.status().map_err(|error| failed(dir, None, None, &error))?;
    Ok(groups)
}

fn slot<T>(
    dir: &Path,
    log: &Db,
    group: u64,
    slot: Slot,
    decode: impl Fn(&[u8]) -> Result<T, RecordError>,
) -> Result<Option<T>, OpenError> {
    let record = log
        .get(&keys::slot(group, slot))
        .map_err(|error| failed(dir, Some(group), None, &error))?;
    record
        .map(|record| decode(&record))
        .transpose()
        .map_err(|error| damaged(Some(group), None, format!("the record {slot:?}: {error}")))
}

fn find_group(dir: &Path, log: &Db, group: u64) -> Result<FoundGroup, OpenError> {
    let purged = slot(dir, log, group, Slot::Purged, record::decode_log_id)?.flatten();
    let tail = slot(dir, log, group, Slot::Tail, record::decode_log_id)?.flatten();
    let first = purged.as_ref().map_or(0, |purged: &LogId| purged.index + 1);
    let last = verify_entries(dir, log, group, purged, first)?;
    if last != tail {
        let missing = last.as_ref().map_or(first, |last| last.index + 1);
        let shown = |id: Option<LogId>| id.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
        return Err(damaged(
            Some(group),
            Some(missing),
            format!("the log ends with {}, and {} was synced", shown(last), shown(tail)),
        ));
    }
    let bounds = Bounds {
        purged,
        first,
        last,
        vote: slot(dir, log, group, Slot::Vote, record::decode_vote)?,
        committed: slot(dir, log, group, Slot::Committed, record::decode_log_id)?.flatten(),
    };
    Ok(FoundGroup {
        bounds,
        descriptor: slot(dir, log, group, Slot::Descriptor, record::decode_descriptor)?,
    })
}

/// Walks the log from its first entry. Gives its last log id.
fn verify_entries(
    dir: &Path,
    log: &Db,
    group: u64,
    purged: Option<LogId>,
    first: u64,
) -> Result<Option<LogId>, OpenError> {
    let mut rows = log.rows(&keys::entry(group, first), &keys::entries_end(group), Caching::Pass);
    let (mut last, mut next) = (purged, first);
    while let Some((key, value)) = rows.item() {
        match keys::index_of(key) {
            Some(index) if index == next => {}
            found => {
                let found = found.map_or_else(|| "another key".to_owned(), |index| format!("entry {index}"));
                return Err(damaged(
                    Some(group),
                    Some(next),
                    format!("the entry is missing, {found} follows"),
                ));
            }
        }
        let stored =
            record::decode_entry(value).map_err(|error| damaged(Some(group), Some(next), error.to_string()))?;
        let id = stored.entry.log_id;
        if id.index != next {
            return Err(damaged(
                Some(group),
                Some(next),
                format!("the entry says that it is {id}"),
            ));
        }
        if stored.previous != last {
            return Err(damaged(
                Some(group),
                Some(next),
                "the entry does not follow the one before it",
            ));
        }
        last = Some(id);
        next += 1;
        rows.advance();
    }
    rows.status()
        .map_err(|error| failed(dir, Some(group), Some(next), &error))?;
    Ok(last)
}

/// The generations of a shard that have rows.
pub(crate) fn generations(state: &Db, shard: u64) -> Result<Vec<u32>, EngineError> {
    let mut rows = state.seeker();
    let mut found = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        rows.seek(&keys::state_prefix(shard, from));
        match rows.key().and_then(keys::shard_and_generation) {
            Some((of, generation)) if of == shard => {
                found.push(generation);
                next = generation.checked_add(1);
            }
            _ => break,
        }
    }
    rows.status()?;
    Ok(found)
}
