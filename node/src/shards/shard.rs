//! One replica of one shard: its group, its batcher, and the proposals that its leader makes on its own (expiry, slots).

use std::sync::Arc;

use rotunda_booking::codec;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::live::{Seen, Watcher};
use rotunda_booking::outcome::{Outcome, Reply};
use rotunda_booking::queries;
use rotunda_booking::query::{Answer, Query};
use rotunda_protocol::rejection::Rejection;
use rotunda_raft_storage::Blocking;

use super::batcher::{Batcher, Submitter};
use crate::clock::wall::WallClock;
use crate::group::{Group, Host};
use crate::meta::map::ShardRecord;
use crate::raft::machine::{BookingMachine, Pulse, ViewRows};

/// See the module.
pub struct Shard {
    /// Where questions to the state are answered, which may wait for the disk.
    pub blocking: Blocking,
    /// The group.
    pub group: Arc<Group<BookingMachine>>,
    /// Of the shard map that it was started from.
    pub epoch: u64,
    /// Commands go in here.
    pub submitter: Submitter,
    /// Log time.
    pub pulse: Arc<Pulse>,
    wall: WallClock,
}

/// Why the shard could not do what its own node asked of it.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// Not here, not now.
    #[error("{0}")]
    Rejected(Rejection),
    /// The state cannot be read or a message does not decode.
    #[error("{0}")]
    Broken(String),
}

impl Shard {
    /// Starts the replica that `record` puts on this node.
    ///
    /// # Errors
    /// Where the store or openraft refuses.
    pub async fn start(host: &Host, id: u64, record: &ShardRecord) -> anyhow::Result<Arc<Self>> {
        let replica = record
            .replicas
            .iter()
            .find(|(_, node)| *node == host.node)
            .map(|(replica, _)| *replica)
            .ok_or_else(|| anyhow::anyhow!("shard {id} has no replica on node {}", host.node))?;
        let pulse = Arc::new(Pulse::default());
        let machine = BookingMachine::new(Arc::clone(&host.budget), Arc::clone(&pulse));
        #[cfg(feature = "mutants")]
        let machine = machine.with_clock(host.wall.clone());
        let group = Group::start(host, id, replica, record.replicas.iter().copied(), machine).await?;
        let batcher = Batcher {
            shard: id,
            raft: group.raft.clone(),
            leadership: Arc::clone(&group.leadership),
            pulse: Arc::clone(&pulse),
            wall: host.wall.clone(),
        };
        Ok(Arc::new(Self {
            blocking: host.store.blocking(),
            submitter: batcher.spawn(),
            epoch: record.epoch,
            pulse,
            wall: host.wall.clone(),
            group,
        }))
    }

    /// What a proposal would be stamped with, or a little later: log time, and never behind the time of day.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.wall.now_ms().max(self.pulse.now())
    }

    /// Answers from the applied state as it is, without asking whether it is the newest. Blocks on the store.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn answer(&self, query: &Query) -> Result<(u64, Answer), ShardError> {
        let view = self
            .group
            .reader
            .view()
            .map_err(|error| ShardError::Broken(error.to_string()))?;
        let answer = queries::answer(&ViewRows(&view), query).map_err(|error| ShardError::Broken(error.to_string()))?;
        #[cfg(feature = "mutants")]
        let answer = self.expired_by_own_clock(answer);
        Ok((view.applied_index().unwrap_or(0), answer))
    }

    /// Shows the applied state as it is to a watcher, and says at which index it is. Blocks on the store.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn show(&self, watcher: &mut Watcher) -> Result<(u64, Seen), ShardError> {
        let view = self
            .group
            .reader
            .view()
            .map_err(|error| ShardError::Broken(error.to_string()))?;
        let seen = watcher
            .look(&ViewRows(&view))
            .map_err(|error| ShardError::Broken(error.to_string()))?;
        Ok((view.applied_index().unwrap_or(0), seen))
    }

    /// A seeded bug: time frees places in the eyes of whoever looks.
    #[cfg(feature = "mutants")]
    fn expired_by_own_clock(&self, answer: Answer) -> Answer {
        use rotunda_booking::outcome::BookingStatus;
        match answer {
            Answer::Booking(mut view)
                if crate::mutant::mutant!(ReadExpiresByOwnClock)
                    && view.status == BookingStatus::Held
                    && view.expires_at.is_some_and(|at| at.0 <= self.wall.machine_ms()) =>
            {
                view.status = BookingStatus::Expired;
                Answer::Booking(view)
            }
            other => other,
        }
    }

    /// Proposes an operation of this node's own.
    ///
    /// # Errors
    /// Where this replica does not lead, or the fate of the proposal is not known.
    pub async fn propose(&self, venue: VenueNo, operation: Operation) -> Result<(u64, Outcome), ShardError> {
        let command = Command {
            key: None,
            fingerprint: 0,
            venue,
            actor: None,
            operation,
        };
        let (index, reply) = self
            .submitter
            .propose(codec::encode_command(&command))
            .await
            .map_err(ShardError::Rejected)?;
        let reply: Reply = codec::decode_reply(&reply).map_err(|error| ShardError::Broken(error.to_string()))?;
        Ok((index, reply.outcome))
    }
}
