//! What nodes tell one that has no data: see [`crate::joining`]. Served before a node has joined as well as after.

use std::sync::Arc;

use openraft::EntryPayload;
use rotunda_protocol::proto::admin::joining_server::Joining;
use rotunda_protocol::proto::admin::{StandingReply, StandingRequest};
use rotunda_raft_storage::Store;
use tonic::{Request, Response, Status};

use crate::meta::META_GROUP;
use crate::meta::controller::Meta;

/// More of a log than a founding writes.
const LOG_BYTES: usize = 1 << 20;

/// The `Joining` service.
pub struct JoiningDoor {
    cluster: String,
    /// `None` while this node has no data itself.
    serving: Option<(Arc<Meta>, Store)>,
}

impl JoiningDoor {
    /// Of a node that waits.
    #[must_use]
    pub fn blank(cluster: String) -> Self {
        Self { cluster, serving: None }
    }

    /// Of a node that takes part.
    #[must_use]
    pub fn serving(cluster: String, meta: Arc<Meta>, store: Store) -> Self {
        let serving = Some((meta, store));
        Self { cluster, serving }
    }
}

/// Whether the log of the meta group here is whole and without a single command: the founding is one. What is applied may lie
/// behind the log after a crash, so it is the log that is asked.
async fn is_unfounded(meta: &Meta, store: &Store) -> std::io::Result<bool> {
    if !meta.watch().borrow().shards.is_empty() || meta.group.status(1).purged > 0 {
        return Ok(false);
    }
    let log = store.read_log(META_GROUP, 0, LOG_BYTES).await?;
    Ok(!log.iter().any(|entry| matches!(entry.payload, EntryPayload::Normal(_))))
}

#[tonic::async_trait]
impl Joining for JoiningDoor {
    async fn standing(&self, request: Request<StandingRequest>) -> Result<Response<StandingReply>, Status> {
        let StandingRequest { cluster, node } = request.into_inner();
        if cluster != self.cluster {
            return Err(Status::failed_precondition(format!(
                "this is a node of cluster {:?}, the caller belongs to {cluster:?}: check --cluster and --peer",
                self.cluster
            )));
        }
        let Some((meta, store)) = &self.serving else {
            return Ok(Response::new(StandingReply {
                is_unfounded: true,
                ..StandingReply::default()
            }));
        };
        // What a replica says by itself may be old, and then a node that was here would pass for one that never was.
        let is_sure = meta.group.read_point().await.is_ok();
        let map = meta.watch().borrow().clone();
        let is_unfounded = is_unfounded(meta, store).await;
        Ok(Response::new(StandingReply {
            is_founded: is_sure && !map.shards.is_empty(),
            is_unfounded: is_unfounded.map_err(|error| Status::internal(error.to_string()))?,
            has_been_here: map.has_been_here(node),
            meta_replica: map.meta_replica_of(node).unwrap_or(0),
        }))
    }
}
