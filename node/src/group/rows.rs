//! A group's rows for whoever copies them: at an index that holds everything which was acknowledged before he asked, from any
//! replica that has come so far, in the chunks in which nodes send snapshots to each other.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use rotunda_protocol::rejection::Rejection;
use rotunda_raft_storage::{Blocking, LogId, Machine};

use super::Group;

/// How long a replica may take to apply what the leader had applied when it was asked.
const CATCH_UP: Duration = Duration::from_secs(20);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Rows at one index.
pub struct RowsAt {
    /// The last entry that they hold.
    pub last: LogId,
    /// As the machine gave it there.
    pub state_hash: [u8; 16],
    /// The rows; the last chunk says whether they are whole. Holds the store's clean-up back until it is dropped.
    pub chunks: BoxStream<'static, io::Result<Bytes>>,
}

impl<M: Machine> Group<M> {
    /// An index that holds all that was acknowledged before the call.
    ///
    /// # Errors
    /// Where this replica does not lead, or cannot prove it in time.
    pub async fn read_point(&self) -> Result<u64, Rejection> {
        self.reads.linearizable().await?;
        Ok(self.reader.applied_index().unwrap_or(0))
    }

    /// The rows, once this replica has applied `at_least`.
    ///
    /// # Errors
    /// `TimedOut` where it has not in time, `NotFound` where it has applied nothing; else what the store says.
    pub async fn rows_at(&self, at_least: u64, blocking: Blocking) -> io::Result<RowsAt> {
        let there = async {
            while self.reader.applied_index().is_none_or(|applied| applied < at_least) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(CATCH_UP, there).await.map_err(|_| {
            let applied = self.reader.applied_index().unwrap_or(0);
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("this replica is behind: it has applied entry {applied}, and {at_least} was asked for"),
            )
        })?;
        let reader = self.reader.clone();
        let view = blocking.run(move || reader.view()).await?.map_err(io::Error::other)?;
        let last = *view
            .applied()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nothing is applied here"))?;
        Ok(RowsAt {
            last,
            state_hash: view.state_hash(),
            chunks: view.into_snapshot(blocking).chunks(),
        })
    }
}
