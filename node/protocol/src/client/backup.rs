//! The rows of groups, for backups: a point that a copy must reach, the rows from any replica that has reached it, and the
//! note that a backup is complete.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::ClusterClient;
use super::admin::{META, NotLeader, refused};
use crate::error::ClientError;
use crate::proto::admin;

/// How long one message of rows may take. The first waits for the replica to come as far as it was asked to.
const ROWS_TIMEOUT: Duration = Duration::from_secs(30);

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsOrigin {
    /// The last entry that they hold.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The replica that proposed it.
    pub leader_replica: u64,
    /// State hash there.
    pub state_hash: [u8; 16],
    /// Of the rows.
    pub format: u32,
    /// Of the node's binary.
    pub version: String,
}

/// The rows of one group at one index, chunk by chunk, as nodes send them to each other.
#[derive(Debug)]
pub struct Rows {
    /// Where they come from.
    pub origin: RowsOrigin,
    parts: Streaming<admin::RowsPart>,
}

impl Rows {
    /// The next chunk; `None` at the end of the stream, which is the end of the rows only where the last chunk says so.
    ///
    /// # Errors
    /// Where the node is gone, or its store fails.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let part = timeout(ROWS_TIMEOUT, self.parts.message())
            .await
            .map_err(|_| ClientError::Unavailable)?;
        Ok(part.map_err(|status| refused(&status))?.map(|part| part.chunk))
    }
}

impl ClusterClient {
    /// An index of a group (0 is the meta group) that no write acknowledged before the call is beyond.
    ///
    /// # Errors
    /// `Unavailable` where no leader confirms it before the deadline.
    pub async fn read_point(&self, group: u64, deadline: Instant) -> Result<u64, ClientError> {
        let request = admin::ReadPointRequest { group };
        let asked = self.ask_leader(group, deadline, |mut node| async move {
            let reply = node.read_point(request).await?.into_inner();
            Ok(match reply.not_leader {
                true => Err(NotLeader(reply.leader_node)),
                false => Ok(reply.index),
            })
        });
        asked.await
    }

    /// The rows of a group from its replica on `node`, once that has applied `at_least`.
    ///
    /// # Errors
    /// `Unavailable` where it does not answer or does not come so far in time, `Rejected` with its reason else.
    pub async fn read_rows(&self, node: u32, group: u64, at_least: u64) -> Result<Rows, ClientError> {
        let map = self.inner.map.current();
        let connection = self.inner.connections.to(&map, node).ok_or(ClientError::Unavailable)?;
        let request = admin::ReadRowsRequest { group, at_least };
        let opened = timeout(ROWS_TIMEOUT, connection.affairs().read_rows(request)).await;
        let mut parts = opened
            .map_err(|_| ClientError::Unavailable)?
            .map_err(|status| refused(&status))?
            .into_inner();
        let first = timeout(ROWS_TIMEOUT, parts.message())
            .await
            .map_err(|_| ClientError::Unavailable)?
            .map_err(|status| refused(&status))?;
        let nonsense = || ClientError::Rejected(format!("node {node} does not say where its rows come from"));
        let origin = first.and_then(|part| part.origin).ok_or_else(nonsense)?;
        let state_hash = origin.state_hash[..].try_into().map_err(|_| nonsense())?;
        Ok(Rows {
            origin: RowsOrigin {
                index: origin.index,
                term: origin.term,
                leader_replica: origin.leader_replica,
                state_hash,
                format: origin.format,
                version: origin.version,
            },
            parts,
        })
    }

    /// Has the cluster note that a backup is complete; `finished_at` in milliseconds since 1970.
    ///
    /// # Errors
    /// `Unavailable` at the deadline: it may have been noted; say it again.
    pub async fn record_backup(
        &self,
        id: &str,
        finished_at: i64,
        bytes: u64,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let backup = admin::Backup {
            id: id.to_owned(),
            finished_at,
            bytes,
        };
        let asked = self.ask_leader(META, deadline, |mut node| {
            let backup = backup.clone();
            async move {
                let reply = node.record_backup(backup).await?.into_inner();
                Ok(match reply.not_leader {
                    true => Err(NotLeader(reply.leader_node)),
                    false => Ok(()),
                })
            }
        });
        asked.await
    }
}
