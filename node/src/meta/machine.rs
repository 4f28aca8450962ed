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

/// What stands in the rows beside the map's, each where it is there.
struct Beside([(&'static [u8], Option<Vec<u8>>); 4]);

impl Beside {
    fn of(state: &MetaState) -> Result<Self, postcard::Error> {
        let tokens = (!state.tokens.is_empty()).then(|| postcard::to_stdvec(&state.tokens));
        let networks = (!state.networks.is_empty()).then(|| postcard::to_stdvec(&state.networks));
        let limits = (!state.limits.is_untouched()).then(|| postcard::to_stdvec(&state.limits));
        let version = (!state.cluster_version.is_untouched()).then(|| postcard::to_stdvec(&state.cluster_version));
        Ok(Self([
            (TOKENS_ROW, tokens.transpose()?),
            (NETWORKS_ROW, networks.transpose()?),
            (LIMITS_ROW, limits.transpose()?),
            (VERSION_ROW, version.transpose()?),
        ]))
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

    fn digest(map: &[u8], beside: &Beside) -> [u8; 16] {
        let rows = beside.0.iter().filter_map(|(key, row)| Some((key, row.as_ref()?)));
        let digests = rows.map(|(key, row)| xxhash_rust::xxh3::xxh3_128_with_seed(row, u64::from(key[0])));
        digests
            .fold(xxhash_rust::xxh3::xxh3_128(map), |all, one| all ^ one)
            .to_be_bytes()
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

/// What stands in a row, where it is there.
fn read<T: DeserializeOwned>(state: &StateView, key: &[u8], what: &str) -> Result<Option<T>, MachineError> {
    let row = state.get(key)?;
    let read = row.map(|row| postcard::from_bytes(&row).map_err(|error| MachineError::new(format!("{what}: {error}"))));
    read.transpose()
}

impl Machine for MetaMachine {
    fn load(&mut self, state: &StateView) -> Result<(), MachineError> {
        match state.get(STATE_ROW)? {
            Some(row) => {
                self.state =
                    postcard::from_bytes(&row).map_err(|error| MachineError::new(format!("the shard map: {error}")))?;
                if let Some(tokens) = read(state, TOKENS_ROW, "the tokens")? {
                    self.state.tokens = tokens;
                }
                if let Some(networks) = read(state, NETWORKS_ROW, "the networks")? {
                    self.state.networks = networks;
                }
                if let Some(limits) = read(state, LIMITS_ROW, "the quotas")? {
                    self.state.limits = limits;
                }
                if let Some(version) = read::<ClusterVersion>(state, VERSION_ROW, "the cluster's version")? {
                    readable(version.number())?;
                    self.state.cluster_version = version;
                }
                self.hash = Self::digest(&row, &Beside::of(&self.state).map_err(broken)?);
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
            let row = postcard::to_stdvec(&self.state).map_err(broken)?;
            txn.put(STATE_ROW, &row);
            let beside = Beside::of(&self.state).map_err(broken)?;
            for (key, row) in &beside.0 {
                if let Some(row) = row {
                    txn.put(key, row);
                }
            }
            self.hash = Self::digest(&row, &beside);
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

    /// Rows 1 to 4 as version 3 has them, row 5 as version 4. Another one is another version's, and written only from then on.
    #[test]
    fn rows_are_of_these_bytes() {
        let state = state();
        assert_eq!(
            hex(&postcard::to_stdvec(&state).unwrap()),
            "0601010108687474703a2f2f6108687474703a2f2f6211302e312e302b666f726d6174732e332d3401010101e80701010176010101e907"
        );
        let rows: Vec<String> = Beside::of(&state)
            .unwrap()
            .0
            .iter()
            .map(|(key, row)| format!("{} {}", key[0], hex(row.as_ref().unwrap())))
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
        let newer = [1, 9, 0];
        let told = MetaCommand::decode(&newer).unwrap_err().to_string();
        assert!(told.contains("newer"), "{told}");
        let layout = MetaCommand::decode(&[2, 1]).unwrap_err().to_string();
        assert!(layout.contains("layout") && layout.contains("upgrade"), "{layout}");
    }
}
