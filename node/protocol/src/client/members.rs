//! Nodes that leave and come. Both calls may be repeated: what is done already is done.

use tokio::time::{Instant, timeout_at};

use super::ClusterClient;
use super::admin::{META, NotLeader};
use crate::error::ClientError;
use crate::proto::admin;

type Told = Result<(u64, String), NotLeader>;

fn told(reply: admin::ChangeReply) -> Told {
    match reply.not_leader {
        true => Err(NotLeader(reply.leader_node)),
        false => Ok((reply.version, reply.refusal)),
    }
}

impl ClusterClient {
    /// Has all replicas leave a node that is dead. Answers once this client's own map shows it; the groups follow.
    ///
    /// # Errors
    /// `Rejected` with the reason where the node lives or the others cannot go on without it; `Unavailable` at the deadline.
    pub async fn remove_node(&self, node: u32, deadline: Instant) -> Result<(), ClientError> {
        let request = admin::RemoveNodeRequest { node };
        let asked = self.ask_leader(META, deadline, |mut door| async move {
            Ok(told(door.remove_node(request).await?.into_inner()))
        });
        let told = asked.await?;
        self.follow_change(told, deadline).await
    }

    /// Has a node without data join at an address, with a replica of each shard that has lost one. Answers once this client's
    /// own map shows it; the node catches up and is promoted after that.
    ///
    /// # Errors
    /// `Rejected` with the reason where the address or the id is another's; `Unavailable` at the deadline.
    pub async fn add_node(&self, node: u32, grpc: &str, deadline: Instant) -> Result<(), ClientError> {
        let request = admin::AddNodeRequest {
            node,
            grpc: grpc.to_owned(),
        };
        let asked = self.ask_leader(META, deadline, |mut door| {
            let request = request.clone();
            async move { Ok(told(door.add_node(request).await?.into_inner())) }
        });
        let told = asked.await?;
        self.follow_change(told, deadline).await
    }

    async fn follow_change(&self, (version, refusal): (u64, String), deadline: Instant) -> Result<(), ClientError> {
        if !refusal.is_empty() {
            return Err(ClientError::Rejected(refusal));
        }
        let there = self.inner.map.seek(|map| map.version() >= version);
        timeout_at(deadline, there)
            .await
            .map(drop)
            .map_err(|_| ClientError::Unavailable)
    }
}
