//! Nodes that leave and come. What can be known only now is asked here, before the entry: whether the node still lives, and
//! whether the others can go on without it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use rotunda_protocol::dial::Callee;
use rotunda_protocol::proto::admin::admin_client::AdminClient;
use rotunda_protocol::proto::admin::{AddNodeRequest, ChangeReply, StatusRequest};
use tonic::codegen::http::Uri;
use tonic::{Response, Status};

use super::admin::AdminDoor;
use crate::meta::command::MetaCommand;
use crate::meta::map::MetaState;

/// How long a node may take to say that it lives.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer is small; HTTP/2 wants no smaller window.
const WINDOW_BYTES: u32 = 65_535;

fn refused(why: impl std::fmt::Display) -> Response<ChangeReply> {
    Response::new(ChangeReply {
        refusal: why.to_string(),
        ..ChangeReply::default()
    })
}

impl AdminDoor {
    /// Has all replicas leave a node that does not run any more.
    pub(super) async fn remove(&self, node: u32) -> Result<Response<ChangeReply>, Status> {
        let command = MetaCommand::RemoveNode { node };
        let map = self.meta.watch().borrow().clone();
        // Who does not lead has an older map, and would refuse what the leader would not.
        if self.meta.group.leadership.leads() && map.nodes.contains_key(&node) {
            if let Err(why) = map.may_remove(node) {
                return Ok(refused(why));
            }
            let alive = self.alive(&map).await;
            if alive.contains(&node) {
                return Ok(refused(format_args!(
                    "node {node} answers: stop it first, for a node that runs goes on as the member that it was"
                )));
            }
            if let Some(why) = without_quorum(&map, &alive, node) {
                return Ok(refused(why));
            }
        }
        self.change(command).await
    }

    /// Has a node without data join.
    pub(super) async fn add(&self, request: AddNodeRequest) -> Result<Response<ChangeReply>, Status> {
        let AddNodeRequest { node, grpc } = request;
        let url: Result<Uri, _> = grpc.parse();
        if !url
            .is_ok_and(|url| url.host().is_some() && url.scheme_str().is_some_and(|scheme| scheme.starts_with("http")))
        {
            return Ok(refused(format_args!(
                "{grpc:?} is no address: expected what the other nodes reach it by, as http://10.0.0.3:7001"
            )));
        }
        let map = self.meta.watch().borrow().clone();
        if self.meta.group.leadership.leads()
            && let Err(why) = map.may_add(node, &grpc)
        {
            return Ok(refused(why));
        }
        self.change(MetaCommand::AddNode { node, grpc }).await
    }

    /// Nodes that answer, this one included.
    async fn alive(&self, map: &MetaState) -> BTreeSet<u32> {
        let asked = map.nodes.values().map(|node| async {
            let answers = async {
                let mut client =
                    AdminClient::new(self.dial.line(Callee::node(node.id, &node.grpc), WINDOW_BYTES).ok()?);
                let status = client.status(StatusRequest {}).await.ok()?.into_inner();
                (status.node == node.id && status.cluster == self.cluster).then_some(node.id)
            };
            tokio::time::timeout(ALIVE_TIMEOUT, answers).await.ok().flatten()
        });
        let answered = join_all(asked).await.into_iter().flatten();
        answered.chain([self.record.id]).collect()
    }
}

/// Why the others cannot go on without `node`: a change of members needs a majority of those that vote now, and of those
/// that will.
fn without_quorum(map: &MetaState, alive: &BTreeSet<u32>, node: u32) -> Option<String> {
    let meta = map.meta_replicas().into_values().collect::<Vec<_>>();
    let shards = map.shards.iter().map(|(shard, record)| {
        let nodes = record.replicas.iter().map(|(_, node)| *node);
        (format!("shard {shard}"), nodes.collect::<Vec<_>>())
    });
    let mut groups = std::iter::once(("the meta group".to_owned(), meta)).chain(shards);
    groups.find_map(|(name, nodes)| {
        if !nodes.contains(&node) {
            return None;
        }
        let living = nodes.iter().filter(|at| **at != node && alive.contains(at)).count();
        let majority = nodes.len() / 2 + 1;
        (living < majority).then(|| {
            format!(
                "{name} would have no quorum: {living} of its {} replicas live besides node {node}, and {majority} are needed. \
                 Bring another of its nodes back first",
                nodes.len()
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::map::spread;

    #[test]
    fn a_node_is_not_removed_where_the_rest_could_not_decide_it() {
        let mut map = MetaState::default();
        let nodes = (1..=4).map(|id| (id, format!("http://n{id}"))).collect();
        let shards = spread(&[1, 2, 3, 4], 4, 3);
        map.apply(1, MetaCommand::Bootstrap { nodes, shards });
        let all = BTreeSet::from([1, 2, 4]);
        assert_eq!(without_quorum(&map, &all, 3), None);
        // Of shard 1 (nodes 1, 2 and 3) and of the meta group two of four, or one of three, are too few.
        let few = without_quorum(&map, &BTreeSet::from([1, 4]), 3);
        assert!(few.is_some_and(|why| why.contains("the meta group") && why.contains("node 3")));
        let mut three = MetaState::default();
        let nodes = (1..=3).map(|id| (id, format!("http://n{id}"))).collect();
        let shards = spread(&[1, 2, 3], 2, 3);
        three.apply(1, MetaCommand::Bootstrap { nodes, shards });
        assert_eq!(without_quorum(&three, &BTreeSet::from([1, 2]), 3), None);
        assert!(without_quorum(&three, &BTreeSet::from([1]), 3).is_some());
    }
}
