//! Linearizable reads: leadership is confirmed once (ReadIndex) for all reads that wait at that moment.

use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use rotunda_protocol::rejection::Rejection;
use rotunda_raft_storage::Machine;
use tokio::sync::{mpsc, oneshot};

use super::leadership::Leadership;
use crate::mutant::mutant;
use crate::raft::Raft;
use crate::vital;

/// Reads waiting for the next confirmation, per shard. When full a read is answered `Overloaded` at once.
const QUEUE_READS: usize = 4_096;

/// Reads that share one confirmation.
const READS_PER_ROUND: usize = 1_024;

/// A confirmation that takes longer means that there is no quorum.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);

type Waiter = oneshot::Sender<Result<(), Rejection>>;

/// The handle by which reads wait.
#[derive(Clone)]
pub struct Reads {
    queue: mpsc::Sender<Waiter>,
    leadership: Arc<Leadership>,
}

impl Reads {
    /// Starts the task; it ends with the last handle.
    #[must_use]
    pub fn spawn<M: Machine>(raft: Raft<M>, leadership: Arc<Leadership>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_READS);
        vital::spawn("linearizable reads", run(raft, Arc::clone(&leadership), waiting));
        Self { queue, leadership }
    }

    /// Returns once the applied state holds everything that was acknowledged before the call.
    ///
    /// # Errors
    /// Where this node does not lead, or cannot prove it in time.
    pub async fn linearizable(&self) -> Result<(), Rejection> {
        if mutant!(FollowerRead) {
            return Ok(());
        }
        if !self.leadership.leads() {
            return Err(Rejection::not_leader(self.leadership.leader_node()));
        }
        if mutant!(ReadWithoutQuorum) {
            return Ok(());
        }
        let (waiter, confirmed) = oneshot::channel();
        match self.queue.try_send(waiter) {
            Ok(()) => confirmed.await.unwrap_or_else(|_| Err(Rejection::not_leader(None))),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Rejection::overloaded("the shard's read queue is full")),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Rejection::not_leader(None)),
        }
    }
}

async fn run<M: Machine>(raft: Raft<M>, leadership: Arc<Leadership>, mut waiting: mpsc::Receiver<Waiter>) {
    let mut round: Vec<Waiter> = Vec::new();
    while waiting.recv_many(&mut round, READS_PER_ROUND).await > 0 {
        let confirmed = tokio::time::timeout(CONFIRM_TIMEOUT, confirm(&raft)).await;
        let result = match confirmed {
            Ok(Ok(())) => Ok(()),
            // A read has no effect, so "ask elsewhere" is always true of one that could not be confirmed.
            Ok(Err(_)) | Err(_) => Err(Rejection::not_leader(
                leadership.leader_node().filter(|_| !leadership.leads()),
            )),
        };
        for waiter in round.drain(..) {
            let _ = waiter.send(result.clone());
        }
    }
}

async fn confirm<M: Machine>(raft: &Raft<M>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let linearizer = raft.get_read_linearizer(ReadPolicy::ReadIndex).await?;
    linearizer.await_ready(raft).await?;
    Ok(())
}
