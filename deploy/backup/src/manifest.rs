//! What a backup is: whose, when, and for each group its index, its state hash and its chunks with their checksums. Written
//! last and at once: a folder without one is what a broken-off backup leaves.

use serde::{Deserialize, Serialize};

use crate::chunk::digest;
use crate::error::BackupError;

/// The format that is written, and the newest that is read.
pub(crate) const FORMAT: u32 = 1;

/// Its name within the backup.
pub(crate) const MANIFEST: &str = "manifest.json";

/// The meta group.
pub(crate) const META: u64 = 0;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this file and of the chunks' framing.
    pub format: u32,
    /// Name of the backup: cluster and time.
    pub id: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Networks with venues in the directory.
    pub networks: Vec<String>,
    /// When it began, in UTC: every write that was acknowledged before is in it.
    #[serde(with = "utc")]
    pub began: jiff::Timestamp,
    /// When the last chunk was written, in UTC.
    #[serde(with = "utc")]
    pub finished: jiff::Timestamp,
    /// The program that made it.
    pub made_by: String,
    /// The nodes' binary that gave the rows.
    pub node_version: String,
    /// Format of the rows.
    pub row_format: u32,
    /// Shards in order, the meta group last, as they were copied.
    pub groups: Vec<GroupRecord>,
    /// SHA-256 of this file with nothing here.
    pub sha256: String,
}

/// A group's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Which group; 0 is the meta group.
    pub group: u64,
    /// The last entry that the rows hold.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The replica that proposed it.
    pub leader_replica: u64,
    /// State hash at the index, in hex.
    pub state_hash: String,
    /// How many rows.
    pub rows: u64,
    /// Bytes of all chunks.
    pub bytes: u64,
    /// The node that they were read from.
    pub node: u32,
    /// In order.
    pub chunks: Vec<ChunkRecord>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// Name within the backup.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Of its bytes, in hex.
    pub sha256: String,
}

impl Manifest {
    /// Bytes of all chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.bytes).sum()
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.groups.iter().map(|group| group.rows).sum()
    }

    /// A group's record.
    #[must_use]
    pub fn group(&self, group: u64) -> Option<&GroupRecord> {
        self.groups.iter().find(|record| record.group == group)
    }

    fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// As it is written.
    pub(crate) fn encode(mut self) -> Result<(Self, String), serde_json::Error> {
        self.sha256.clear();
        self.sha256 = digest(self.text()?.as_bytes());
        let text = self.text()?;
        Ok((self, text))
    }

    /// Reads what `encode` wrote.
    pub(crate) fn decode(id: &str, bytes: &[u8]) -> Result<Self, BackupError> {
        let damaged = |why: String| BackupError::Manifest { id: id.to_owned(), why };
        // What a newer program wrote may have other fields: its format is read alone first.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            #[serde(default)]
            made_by: String,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if head.format > FORMAT {
            return Err(BackupError::Newer {
                id: id.to_owned(),
                found: head.format,
                known: FORMAT,
                version: head.made_by,
            });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let (again, _) = manifest.clone().encode().map_err(|error| damaged(error.to_string()))?;
        if again.sha256 != manifest.sha256 {
            return Err(damaged("its checksum does not match".to_owned()));
        }
        if manifest.id != id {
            return Err(damaged(format!("it is that of {}", manifest.id)));
        }
        if manifest.group(META).is_none() {
            return Err(damaged("it lacks the meta group".to_owned()));
        }
        Ok(manifest)
    }
}

/// A time as text.
mod utc {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(at: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<jiff::Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            id: "demo-1".to_owned(),
            cluster: "demo".to_owned(),
            networks: vec!["meridian".to_owned()],
            began: "2026-11-28T01:00:00Z".parse().unwrap(),
            finished: "2026-11-28T01:00:09Z".parse().unwrap(),
            made_by: "0.1.0".to_owned(),
            node_version: "0.1.0".to_owned(),
            row_format: 3,
            groups: vec![GroupRecord {
                group: 0,
                index: 9,
                term: 2,
                leader_replica: 1,
                state_hash: "00".repeat(16),
                rows: 1,
                bytes: 40,
                node: 2,
                chunks: vec![ChunkRecord {
                    name: "group-0/000000".to_owned(),
                    bytes: 40,
                    sha256: "ab".repeat(32),
                }],
            }],
            sha256: String::new(),
        }
    }

    #[test]
    fn it_comes_back_as_it_went() {
        let (written, text) = manifest().encode().unwrap();
        assert_eq!(written.sha256.len(), 64);
        assert_eq!(Manifest::decode("demo-1", text.as_bytes()).unwrap(), written);
    }

    #[test]
    fn a_changed_one_is_refused_by_what_is_wrong_with_it() {
        let (_, text) = manifest().encode().unwrap();
        let told = |text: &str| Manifest::decode("demo-1", text.as_bytes()).unwrap_err().to_string();
        assert!(told(&text.replace("\"index\": 9", "\"index\": 8")).contains("checksum"));
        assert!(told(&text[..text.len() / 2]).contains("damaged"));
        assert!(told(&text.replace("\"format\": 1", "\"format\": 2")).contains("version that made it, 0.1.0"));
        let moved = Manifest::decode("demo-2", text.as_bytes()).unwrap_err();
        assert!(moved.to_string().contains("it is that of demo-1"));
        let (_, bare) = Manifest {
            groups: Vec::new(),
            ..manifest()
        }
        .encode()
        .unwrap();
        assert!(told(&bare).contains("meta group"));
    }
}
