//! The meta group's state machine: a row that holds the map and one each with what came later (tokens, networks, quotas, the
//! cluster's version),
//! published together to watchers after each change is in.

use bytes::Bytes;
use rotunda_protocol::version::Formats;
use rotunda_raft_storage::{Machine, MachineError, StateTxn, StateView};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::command::MetaCommand;
use super::map::{Applied, MetaState};
use super::version::ClusterVersion;

/// The map's row.
const STATE_ROW: &[u8] = &[1];

/// The tokens' row; not there before the first is issued.
const TOKENS_ROW: &[u8] = &[2];

/// Which network venues and tokens belong to; not there before the first is named.
const NETWORKS_ROW: &[u8] = &[3];

/// The quotas' row; not there before anybody has set one.
const LIMITS_ROW: &[u8] = &[4];

/// The cluster's version; not there before it was first raised.
const VERSION_ROW: &[u8] = &[5];

/// The last backup's row; not there before the first.
const BACKUP_ROW: &[u8] = &[6];

/// Who has come and gone since the founding; not there before anybody has.
const MEMBERS_ROW: &[u8] = &[7];

/// Key and value.
pub type Row = (&'static [u8], Vec<u8>);

/// All rows of a state, in order of their keys.
///
/// # Errors
/// Only by a defect of the types.
pub fn rows_of(state: &MetaState) -> Result<Vec<Row>, postcard::Error> {
    let mut rows: Vec<Row> = vec![(STATE_ROW, postcard::to_stdvec(state)?)];
    if !state.tokens.is_empty() {
        rows.push((TOKENS_ROW, postcard::to_stdvec(&state.tokens)?));
    }
    if !state.networks.is_empty() {
        rows.push((NETWORKS_ROW, postcard::to_stdvec(&state.networks)?));
    }
    if !state.limits.is_untouched() {
        rows.push((LIMITS_ROW, postcard::to_stdvec(&state.limits)?));
    }
    if !state.cluster_version.is_untouched() {
        rows.push((VERSION_ROW, postcard::to_stdvec(&state.cluster_version)?));
    }
    if !state.backup.id.is_empty() {
        rows.push((BACKUP_ROW, postcard::to_stdvec(&state.backup)?));
    }
    if !state.members.is_untouched() {
        rows.push((MEMBERS_ROW, postcard::to_stdvec(&state.members)?));
    }
    Ok(rows)
}

/// The state that these rows hold; `get` gives the value under a key. `None` where nothing was ever founded.
///
/// # Errors
/// What `get` says, and where a row makes no sense.
pub fn state_of(
    mut get: impl FnMut(&[u8]) -> Result<Option<Bytes>, MachineError>,
) -> Result<Option<MetaState>, MachineError> {
    let mut read = |key: &[u8]| get(key);
    let Some(mut state) = row::<MetaState>(read(STATE_ROW)?, "the shard map")? else {
        return Ok(None);
    };
    state.tokens = row(read(TOKENS_ROW)?, "the tokens")?.unwrap_or_default();
    state.networks = row(read(NETWORKS_ROW)?, "the networks")?.unwrap_or_default();
    state.limits = row(read(LIMITS_ROW)?, "the quotas")?.unwrap_or_default();
    state.cluster_version = row::<ClusterVersion>(read(VERSION_ROW)?, "the cluster's version")?.unwrap_or_default();
    readable(state.cluster_version.number())?;
    state.backup = row(read(BACKUP_ROW)?, "the last backup")?.unwrap_or_default();
    state.members = row(read(MEMBERS_ROW)?, "the members")?.unwrap_or_default();
    Ok(Some(state))
}

fn row<T: DeserializeOwned>(row: Option<Bytes>, what: &str) -> Result<Option<T>, MachineError> {
    let read = row.map(|row| postcard::from_bytes(&row).map_err(|error| MachineError::new(format!("{what}: {error}"))));
    read.transpose()
}

/// The state hash, row by row in any order: of rows that are in no store, as in a backup.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowsHash(u128);

impl RowsHash {
    /// One more row.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        // The map's row is older than the others: its digest has no seed.
        let seed = match key {
            STATE_ROW => 0,
            _ => key.first().copied().map_or(0, u64::from),
        };
        self.0 ^= xxhash_rust::xxh3::xxh3_128_with_seed(value, seed);
    }

    /// As [`Machine::state_hash`] gives it.
    #[must_use]
    pub fn finish(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// [`Machine`] over [`MetaState`].
pub struct MetaMachine {
    state: MetaState,
    hash: [u8; 16],
    published: watch::Sender<MetaState>,
}

impl MetaMachine {
    /// Publishes to `published` what it holds, after it is stored.
    #[must_use]
    pub fn new(published: watch::Sender<MetaState>) -> Self {
        Self {
            state: MetaState::default(),
            hash: [0; 16],
            published,
        }
    }
}

/// Whether this binary has any business in a cluster of this version.
fn readable(version: u32) -> Result<(), MachineError> {
    if Formats::OURS.reads(version) {
        return Ok(());
    }
    Err(MachineError::new(format!(
        "the cluster is at version {version}, and this binary reads {}: start one that reads {version}; nothing was applied",
        Formats::OURS
    )))
}

fn broken(error: postcard::Error) -> MachineError {
    MachineError::new(error.to_string())
}

/// The hash of all rows of a state.
///
/// # Errors
/// Only by a defect of the types.
pub fn hash_of(state: &MetaState) -> Result<[u8; 16], postcard::Error> {
    let mut hash = RowsHash::default();
    for (key, row) in rows_of(state)? {
        hash.add(key, &row);
    }
    Ok(hash.finish())
}

impl Machine for MetaMachine {
    fn load(&mut self, state: &StateView) -> Result<(), MachineError> {
        match state_of(|key| Ok(state.get(key)?))? {
            Some(loaded) => {
                self.hash = hash_of(&loaded).map_err(broken)?;
                self.state = loaded;
            }
            None => {
                self.state = MetaState::default();
                self.hash = [0; 16];
            }
        }
        self.published.send_replace(self.state.clone());
        Ok(())
    }

    fn apply(
        &mut self,
        index: u64,
        payload: &Bytes,
        txn: &mut StateTxn<'_>,
        _want_reply: bool,
    ) -> Result<Bytes, MachineError> {
        let command = MetaCommand::decode(payload).map_err(|error| MachineError::new(error.to_string()))?;
        let Applied { changed, token } = self.state.apply(index, command);
        // A node that was away while the others were upgraded.
        readable(self.state.cluster_version.number())?;
        if changed {
            let mut hash = RowsHash::default();
            for (key, row) in rows_of(&self.state).map_err(broken)? {
                txn.put(key, &row);
                hash.add(key, &row);
            }
            self.hash = hash.finish();
        }
        Ok(match token {
            Some(outcome) => Bytes::copy_from_slice(&[outcome as u8]),
            None => Bytes::copy_from_slice(&self.state.version.to_be_bytes()),
        })
    }

    fn state_hash(&self) -> [u8; 16] {
        self.hash
    }

    fn applied_observer(&mut self, _index: u64) {
        self.published.send_if_modified(|published| {
            let changed = published.version != self.state.version;
            if changed {
                published.clone_from(&self.state);
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::meta::command::{LimitRecord, NodeRecord, TokenGrant};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A cluster with something in every row.
    fn state() -> MetaState {
        let (by, at) = ("admin".to_owned(), 5);
        let commands = [
            MetaCommand::Bootstrap {
                nodes: vec![(1, "http://a".to_owned())],
                shards: vec![vec![1]],
            },
            MetaCommand::RegisterNode(NodeRecord {
                id: 1,
                grpc: "http://a".to_owned(),
                admin: "http://b".to_owned(),
                version: "0.1.0+formats.3-4".to_owned(),
            }),
            MetaCommand::AssignVenuesOf {
                network: "n".to_owned(),
                slugs: vec!["v".to_owned()],
            },
            MetaCommand::CreateTokenOf {
                network: "n".to_owned(),
                grant: TokenGrant {
                    name: "t".to_owned(),
                    role: 3,
                    venues: vec!["v".to_owned()],
                    digest: [7; 32],
                    by: by.clone(),
                    at,
                },
            },
            MetaCommand::SetLimits {
                limits: vec![LimitRecord {
                    role: "visitor".to_owned(),
                    routes: "hold".to_owned(),
                    venue: String::new(),
                    quota: "5/1s".to_owned(),
                }],
                by: by.clone(),
                at,
            },
            MetaCommand::RaiseVersion { to: 4, by, at },
        ];
        let mut state = MetaState::default();
        for (index, command) in (1..).zip(commands) {
            let command = MetaCommand::decode(&command.encode().unwrap()).unwrap();
            assert!(state.apply(index, command).changed, "{index}");
        }
        state
    }

    /// Rows 1 to 4 as version 3 has them, row 5 as version 4 (6 and 7 come with what they are about). Another one is another version's, and written only from then on.
    #[test]
    fn rows_are_of_these_bytes() {
        let state = state();
        assert_eq!(
            hex(&postcard::to_stdvec(&state).unwrap()),
            "0601010108687474703a2f2f6108687474703a2f2f6211302e312e302b666f726d6174732e332d3401010101e80701010176010101e907"
        );
        let rows: Vec<String> = rows_of(&state)
            .unwrap()
            .iter()
            .skip(1)
            .map(|(key, row)| format!("{} {}", key[0], hex(row)))
            .collect();
        assert_eq!(
            rows,
            [
                "2 0101740301017607070707070707070707070707070707070707070707070707070707070707070561646d696e0a00",
                "3 010176016e010174016e",
                "4 010776697369746f7204686f6c640004352f3173010561646d696e0a",
                "5 01040561646d696e0a"
            ]
        );
    }

    #[test]
    fn a_version_that_this_binary_does_not_read_stops_it() {
        assert!(readable(Formats::OURS.oldest).is_ok() && readable(Formats::OURS.newest).is_ok());
        let refused = readable(Formats::OURS.newest + 1).unwrap_err().to_string();
        assert!(refused.contains("start one that reads 5"), "{refused}");
    }

    #[test]
    fn a_command_of_a_newer_binary_is_told_as_one_and_changes_nothing() {
        let newer = [1, 12, 0];
        let told = MetaCommand::decode(&newer).unwrap_err().to_string();
        assert!(told.contains("newer"), "{told}");
        let layout = MetaCommand::decode(&[2, 1]).unwrap_err().to_string();
        assert!(layout.contains("layout") && layout.contains("upgrade"), "{layout}");
    }
}
