//! The meta group's state machine: one row that holds the map, published to watchers after each change is in.

use bytes::Bytes;
use rotunda_raft_storage::{Machine, MachineError, StateTxn, StateView};
use tokio::sync::watch;

use super::command::MetaCommand;
use super::map::MetaState;

/// The map's row.
const STATE_ROW: &[u8] = &[1];

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

    fn digest(row: &[u8]) -> [u8; 16] {
        xxhash_rust::xxh3::xxh3_128(row).to_be_bytes()
    }
}

impl Machine for MetaMachine {
    fn load(&mut self, state: &StateView) -> Result<(), MachineError> {
        match state.get(STATE_ROW)? {
            Some(row) => {
                self.state =
                    postcard::from_bytes(&row).map_err(|error| MachineError::new(format!("the shard map: {error}")))?;
                self.hash = Self::digest(&row);
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
        if self.state.apply(index, command) {
            let row = postcard::to_stdvec(&self.state).map_err(|error| MachineError::new(error.to_string()))?;
            txn.put(STATE_ROW, &row);
            self.hash = Self::digest(&row);
        }
        Ok(Bytes::new())
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
