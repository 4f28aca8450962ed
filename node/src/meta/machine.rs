//! The meta group's state machine: a row that holds the map and one with the tokens, published together to watchers after
//! each change is in.

use bytes::Bytes;
use rotunda_raft_storage::{Machine, MachineError, StateTxn, StateView};
use tokio::sync::watch;

use super::command::MetaCommand;
use super::map::{Applied, MetaState};

/// The map's row.
const STATE_ROW: &[u8] = &[1];

/// The tokens' row; not there before the first is issued.
const TOKENS_ROW: &[u8] = &[2];

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

    fn digest(map: &[u8], tokens: Option<&[u8]>) -> [u8; 16] {
        let tokens = tokens.map_or(0, |row| {
            xxhash_rust::xxh3::xxh3_128_with_seed(row, u64::from(TOKENS_ROW[0]))
        });
        (xxhash_rust::xxh3::xxh3_128(map) ^ tokens).to_be_bytes()
    }
}

impl Machine for MetaMachine {
    fn load(&mut self, state: &StateView) -> Result<(), MachineError> {
        match state.get(STATE_ROW)? {
            Some(row) => {
                self.state =
                    postcard::from_bytes(&row).map_err(|error| MachineError::new(format!("the shard map: {error}")))?;
                let tokens = state.get(TOKENS_ROW)?;
                self.hash = Self::digest(&row, tokens.as_deref());
                if let Some(row) = tokens {
                    self.state.tokens = postcard::from_bytes(&row)
                        .map_err(|error| MachineError::new(format!("the tokens: {error}")))?;
                }
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
        if changed {
            let broken = |error: postcard::Error| MachineError::new(error.to_string());
            let row = postcard::to_stdvec(&self.state).map_err(broken)?;
            txn.put(STATE_ROW, &row);
            let tokens = match self.state.tokens.is_empty() {
                true => None,
                false => Some(postcard::to_stdvec(&self.state.tokens).map_err(broken)?),
            };
            // Other changes leave the tokens as they are stored.
            if let (Some(tokens), Some(_)) = (&tokens, token) {
                txn.put(TOKENS_ROW, tokens);
            }
            self.hash = Self::digest(&row, tokens.as_deref());
        }
        Ok(token.map_or_else(Bytes::new, |outcome| Bytes::copy_from_slice(&[outcome as u8])))
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
