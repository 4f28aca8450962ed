//! What a backup reads: a point that it must reach, and the rows of a group from whichever replica has reached it.

use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use rotunda_protocol::proto::admin::{Backup, ChangeReply, ReadPointReply, ReadRowsRequest, RowsOrigin, RowsPart};
use rotunda_protocol::rejection::Rejection;
use rotunda_raft_storage::ROW_FORMAT;
use tonic::{Response, Status};

use super::admin::{AdminDoor, hint};
use crate::meta::META_GROUP;
use crate::meta::command::{BackupRecord, MetaCommand};
use crate::shards::Shard;

/// Bytes of a backup's name, for it is kept and shown.
const NAME_BYTES: usize = 128;

impl AdminDoor {
    fn shard(&self, group: u64) -> Result<std::sync::Arc<Shard>, Status> {
        let shard = self.shards.get(group);
        shard.ok_or_else(|| Status::not_found(format!("no replica of group {group} here")))
    }

    /// An index that no acknowledged write of the group is beyond.
    pub(super) async fn point_of(&self, group: u64) -> Result<ReadPointReply, Status> {
        let point: Result<u64, Rejection> = match group == META_GROUP.0 {
            true => self.meta.group.read_point().await,
            false => self.shard(group)?.group.read_point().await,
        };
        Ok(match point {
            Ok(index) => ReadPointReply {
                index,
                ..ReadPointReply::default()
            },
            Err(rejection) => ReadPointReply {
                not_leader: true,
                leader_node: hint(&rejection)?,
                ..ReadPointReply::default()
            },
        })
    }

    /// Where they come from, then the rows.
    pub(super) async fn rows_of(
        &self,
        request: ReadRowsRequest,
    ) -> Result<BoxStream<'static, Result<RowsPart, Status>>, Status> {
        let blocking = self.store.blocking();
        let rows = match request.group == META_GROUP.0 {
            true => self.meta.group.rows_at(request.at_least, blocking).await,
            false => {
                self.shard(request.group)?
                    .group
                    .rows_at(request.at_least, blocking)
                    .await
            }
        };
        let rows = rows.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::NotFound => Status::unavailable(error.to_string()),
            _ => Status::internal(error.to_string()),
        })?;
        let leader = rows.last.committed_leader_id();
        let origin = RowsOrigin {
            index: rows.last.index,
            term: leader.term,
            leader_replica: leader.node_id,
            state_hash: rows.state_hash.to_vec().into(),
            format: ROW_FORMAT,
            version: self.record.version.clone(),
        };
        let first = RowsPart {
            origin: Some(origin),
            ..RowsPart::default()
        };
        let rest = rows.chunks.map(|chunk| {
            let chunk = chunk.map_err(|error| Status::internal(error.to_string()))?;
            Ok(RowsPart { origin: None, chunk })
        });
        Ok(stream::once(async move { Ok(first) }).chain(rest).boxed())
    }

    /// Notes that a backup is complete, so that every node can show when the last one was.
    pub(super) async fn keep_record(&self, backup: Backup) -> Result<Response<ChangeReply>, Status> {
        if backup.id.is_empty() || backup.id.len() > NAME_BYTES {
            return Err(Status::invalid_argument(format!(
                "a backup has a name of at most {NAME_BYTES} bytes"
            )));
        }
        let record = BackupRecord {
            id: backup.id,
            finished_at: backup.finished_at,
            bytes: backup.bytes,
        };
        self.change(MetaCommand::RecordBackup(record)).await
    }
}
