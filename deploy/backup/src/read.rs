//! A group's rows out of a backup, chunk by chunk, each checked against the manifest before anything is done with it.

use bytes::Bytes;
use rotunda_booking::inventory::RowsHash as ShardHash;
use rotunda_node::meta::machine::RowsHash as MetaHash;
use rotunda_raft_storage::SnapshotCheck;

use crate::chunk::{digest, hex, open};
use crate::error::BackupError;
use crate::manifest::{GroupRecord, META};
use crate::place::Place;

/// The state hash of rows as they go by.
pub(crate) enum StateHash {
    Meta(MetaHash),
    Shard(ShardHash),
}

impl StateHash {
    pub(crate) fn of(group: u64) -> Self {
        match group {
            META => Self::Meta(MetaHash::default()),
            _ => Self::Shard(ShardHash::default()),
        }
    }

    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        match self {
            Self::Meta(hash) => hash.add(key, value),
            Self::Shard(hash) => hash.add(key, value),
        }
    }

    pub(crate) fn finish(&self) -> [u8; 16] {
        match self {
            Self::Meta(hash) => hash.finish(),
            Self::Shard(hash) => hash.finish(),
        }
    }
}

/// Follows a group's snapshot chunks: are they whole, and do the rows give the hash that was recorded?
pub(crate) struct Follow {
    check: SnapshotCheck,
    hash: StateHash,
}

impl Follow {
    pub(crate) fn of(group: u64) -> Self {
        Self {
            check: SnapshotCheck::default(),
            hash: StateHash::of(group),
        }
    }

    /// The next chunk; its rows go to `row` as well.
    pub(crate) fn push(&mut self, chunk: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> std::io::Result<()> {
        let hash = &mut self.hash;
        self.check.push(chunk, &mut |key, value| {
            hash.add(key, value);
            row(key, value);
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.check.rows()
    }

    /// The end must be there, and the hash that it names must be that of the rows.
    pub(crate) fn finish(&self) -> std::io::Result<[u8; 16]> {
        let named = self.check.finish()?;
        let found = self.hash.finish();
        if named == found {
            return Ok(found);
        }
        let why = format!(
            "its rows have state hash {}, and its end names {}",
            hex(&found),
            hex(&named)
        );
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why))
    }
}

/// One object's snapshot chunks, checked against the manifest.
pub(crate) async fn object(
    place: &Place,
    id: &str,
    record: &GroupRecord,
    number: usize,
) -> Result<Vec<Bytes>, BackupError> {
    let Some(chunk) = record.chunks.get(number) else {
        return Ok(Vec::new());
    };
    let damaged = |why: String| BackupError::Chunk {
        chunk: chunk.name.clone(),
        why,
    };
    let bytes = place.get(&format!("{id}/{}", chunk.name)).await?;
    let bytes = bytes.ok_or_else(|| damaged("it is missing".to_owned()))?;
    if bytes.len() as u64 != chunk.bytes {
        return Err(damaged(format!(
            "it has {} bytes, and {} were written",
            bytes.len(),
            chunk.bytes
        )));
    }
    if digest(&bytes) != chunk.sha256 {
        return Err(damaged("its SHA-256 is another than was written".to_owned()));
    }
    let number = u32::try_from(number).map_err(|error| damaged(error.to_string()))?;
    open(bytes, record.group, number).map_err(damaged)
}

/// Reads a group through and compares all that was recorded of it. `row` sees each row, `seen` the bytes of each object.
pub(crate) async fn group(
    place: &Place,
    id: &str,
    record: &GroupRecord,
    row: &mut (dyn FnMut(&[u8], &[u8]) + Send),
    seen: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), BackupError> {
    let mut follow = Follow::of(record.group);
    let name = |number: usize| {
        record
            .chunks
            .get(number)
            .map_or_else(String::new, |chunk| chunk.name.clone())
    };
    for (number, written) in record.chunks.iter().enumerate() {
        for chunk in object(place, id, record, number).await? {
            follow.push(&chunk, row).map_err(|error| BackupError::Chunk {
                chunk: written.name.clone(),
                why: error.to_string(),
            })?;
        }
        seen(written.bytes);
    }
    let last = || name(record.chunks.len().saturating_sub(1));
    let found = follow.finish().map_err(|error| BackupError::Chunk {
        chunk: last(),
        why: error.to_string(),
    })?;
    if follow.rows() != record.rows {
        return Err(BackupError::Chunk {
            chunk: last(),
            why: format!(
                "group {} has {} rows, and {} were recorded",
                record.group,
                follow.rows(),
                record.rows
            ),
        });
    }
    let found = hex(&found);
    match found == record.state_hash {
        true => Ok(()),
        false => Err(BackupError::StateHash {
            group: record.group,
            index: record.index,
            found,
            recorded: record.state_hash.clone(),
        }),
    }
}
