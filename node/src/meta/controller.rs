//! What a node does about the cluster itself: founds the meta group and the shards, starts the replicas that the map puts
//! here, keeps the members of each group as the map says, and makes its own addresses known.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use bytes::Bytes;
use rotunda_protocol::dial::Callee;
use rotunda_protocol::proto::admin as proto;
use rotunda_protocol::proto::admin::admin_client::AdminClient;
use rotunda_protocol::rejection::Rejection;
use rotunda_raft_storage::Payload;
use tokio::sync::watch;
use tokio::time::Instant;

use super::META_GROUP;
use super::command::{MetaCommand, NodeRecord};
use super::machine::MetaMachine;
use super::map::{MetaState, ShardRecord, spread};
use super::version;
use crate::config::Config;
use crate::group::{Group, Host};
use crate::shards::{Shard, Shards};
use crate::{audit, calendar, expiry, vital};

/// A change of the map that takes longer has no quorum.
const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(4);

/// How often the controller looks again at what is not yet as it should be.
const RETRY: Duration = Duration::from_millis(200);

/// The answer is a few bytes; HTTP/2 wants no smaller window.
const REGISTER_WINDOW_BYTES: u32 = 65_535;

/// How long one attempt to register may take.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Venue number -> shard, for the check that a command came to the right one.
pub type Directory = std::collections::HashMap<u32, u64>;

/// The meta group's replica on this node.
pub struct Meta {
    /// The group.
    pub group: Arc<Group<MetaMachine>>,
    map: watch::Receiver<MetaState>,
    directory: ArcSwap<Directory>,
}

impl Meta {
    /// Starts the replica: the one that the data has, or else `replica`. Of a founder its id is the node's.
    ///
    /// # Errors
    /// Where the store or openraft refuses.
    pub async fn start(host: &Host, config: &Config, replica: u64) -> anyhow::Result<Arc<Self>> {
        let (publish, map) = watch::channel(MetaState::default());
        let found = host.store.descriptors().get(&META_GROUP).map(|found| found.replica_id);
        let replica = found.unwrap_or(replica);
        let founders = config.peers.keys().map(|node| (u64::from(*node), *node));
        let members = founders.chain([(replica, config.node_id)]);
        let machine = MetaMachine::new(publish);
        let group = Group::start(host, META_GROUP.0, replica, members, machine).await?;
        vital::spawn(
            "the members of the meta group",
            // Before the founding has said which nodes there are, nothing is out of line.
            Arc::clone(&group).keep_members(map.clone(), |map| match map.shards.is_empty() {
                true => std::collections::BTreeMap::new(),
                false => map.meta_replicas(),
            }),
        );
        Ok(Arc::new(Self {
            group,
            map,
            directory: ArcSwap::default(),
        }))
    }

    /// The map, and its changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<MetaState> {
        self.map.clone()
    }

    /// The shard of a venue, as far as this node has heard.
    #[must_use]
    pub fn shard_of(&self, venue: u32) -> Option<u64> {
        self.directory.load().get(&venue).copied()
    }

    /// Whether the cluster's version is at least this, as far as this node has heard.
    ///
    /// # Errors
    /// Where it is not, with the nodes that are behind.
    pub fn reached(&self, needs: u32) -> Result<(), Rejection> {
        reached(needs, &self.map.borrow())
    }

    /// Proposes a change and waits until it is applied here. The answer is what the machine says to it: a byte for the
    /// outcome of a token's command, nothing else.
    ///
    /// # Errors
    /// Where this node does not lead the meta group, or the fate is not known.
    pub async fn propose(&self, command: &MetaCommand) -> Result<Bytes, Rejection> {
        if !self.group.leadership.leads() {
            return Err(Rejection::not_leader(self.group.leadership.leader_node()));
        }
        allowed(command, &self.map.borrow())?;
        let bytes = command
            .encode()
            .map_err(|error| Rejection::malformed(error.to_string()))?;
        match tokio::time::timeout(PROPOSAL_TIMEOUT, self.group.raft.client_write(Payload(bytes.into()))).await {
            Ok(Ok(response)) => Ok(response.data.0),
            Ok(Err(error)) => Err(Rejection::unknown(error.to_string())),
            Err(_elapsed) => Err(Rejection::unknown("the meta group has no quorum")),
        }
    }
}

/// Refuses what nodes of the cluster's version could not read.
fn allowed(command: &MetaCommand, map: &MetaState) -> Result<(), Rejection> {
    reached(command.needs(), map)
}

fn reached(needs: u32, map: &MetaState) -> Result<(), Rejection> {
    let cluster = map.cluster_version.number();
    if needs <= cluster {
        return Ok(());
    }
    Err(Rejection::not_yet(version::not_yet("this", needs, cluster, &map.nodes)))
}

/// What the controller works with.
pub struct Controller {
    /// The node's parts.
    pub host: Host,
    /// Its settings.
    pub config: Config,
    /// The meta group.
    pub meta: Arc<Meta>,
    /// Where started shards go.
    pub shards: Shards,
    /// What this node says of itself.
    pub record: NodeRecord,
}

impl Controller {
    /// Runs for ever.
    ///
    /// # Errors
    /// Where a replica that belongs here cannot be started: the node is of no use then.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut map = self.meta.watch();
        self.found_meta_group().await?;
        let begun = Instant::now();
        loop {
            let current = map.borrow_and_update().clone();
            self.learn(&current);
            // A node that was added anew hears of its lost self first: what that had is not its own.
            let is_past = current.meta_replica_of(self.record.id) != Some(self.meta.group.replica);
            if !current.shards.is_empty() && is_past {
                let _ = tokio::time::timeout(RETRY, map.changed()).await;
                continue;
            }
            // Before anything of that version is written beside the meta group's log.
            self.host
                .store
                .raise_format(current.cluster_version.number())
                .await
                .context("the data directory does not take the cluster's version")?;
            if current.shards.is_empty() {
                self.found_cluster().await;
            } else {
                self.start_replicas(&current, begun).await?;
            }
            if current.nodes.get(&self.record.id) != Some(&self.record) {
                self.register(&current).await?;
                let _ = tokio::time::timeout(RETRY, map.changed()).await;
            } else if let Some(to) = current.version_of_the_new() {
                self.begin_at(to).await;
                let _ = tokio::time::timeout(RETRY, map.changed()).await;
            } else if current.shards.is_empty() {
                let _ = tokio::time::timeout(RETRY, map.changed()).await;
            } else if map.changed().await.is_err() {
                // The machine is gone with its core; the core's watch ends the process.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The founding node with the lowest id says who the members are; the others wait to hear of it.
    async fn found_meta_group(&self) -> anyhow::Result<()> {
        let is_founder = self.meta.group.replica == u64::from(self.config.node_id);
        if is_founder && self.config.peers.keys().next() == Some(&self.config.node_id) {
            self.meta
                .group
                .found(self.config.peers.keys().map(|node| (u64::from(*node), *node)))
                .await?;
        }
        Ok(())
    }

    fn learn(&self, map: &MetaState) {
        for node in map.nodes.values() {
            self.host.peers.set_address(node.id, &node.grpc);
        }
        let directory = map.venues.values().map(|venue| (venue.number, venue.shard)).collect();
        self.meta.directory.store(Arc::new(directory));
    }

    async fn found_cluster(&self) {
        if !self.meta.group.leadership.leads() {
            return;
        }
        let nodes: Vec<u32> = self.config.peers.keys().copied().collect();
        let command = MetaCommand::Bootstrap {
            nodes: self.config.peers.iter().map(|(id, grpc)| (*id, grpc.clone())).collect(),
            shards: spread(&nodes, self.config.shards, self.config.replication),
        };
        match self.meta.propose(&command).await {
            Ok(_) => tracing::info!(cluster = %self.config.cluster, shards = self.config.shards, "founded the cluster"),
            Err(rejection) => tracing::debug!(%rejection, "founding the cluster waits"),
        }
    }

    /// A cluster that holds nothing yet has nothing to go back for: it begins at the newest version that its nodes read.
    async fn begin_at(&self, to: u32) {
        if !self.meta.group.leadership.leads() {
            return;
        }
        let command = MetaCommand::RaiseVersion {
            to,
            by: String::new(),
            at: self.host.wall.now_ms(),
        };
        match self.meta.propose(&command).await {
            Ok(_) => tracing::info!(version = to, "the new cluster begins at this version"),
            Err(rejection) => tracing::debug!(%rejection, "the version of the new cluster waits"),
        }
    }

    /// `begun` is when this node's tasks count their moments from.
    async fn start_replicas(&self, map: &MetaState, begun: Instant) -> anyhow::Result<()> {
        let here = |record: &ShardRecord| record.replicas.iter().any(|(_, node)| *node == self.host.node);
        let hosted = map.shards.values().filter(|record| here(record)).count();
        self.host.budget.host(hosted).context("--memory")?;
        for (id, record) in &map.shards {
            if !here(record) || self.shards.get(*id).is_some() {
                continue;
            }
            let shard = Shard::start(&self.host, *id, record).await?;
            self.shards.insert(Arc::clone(&shard));
            let (holds, slots) = (self.meta.watch(), self.meta.watch());
            vital::spawn(
                format!("expiry of shard {id}"),
                expiry::run(Arc::clone(&shard), holds, begun),
            );
            vital::spawn(
                format!("the calendar of shard {id}"),
                calendar::run(Arc::clone(&shard), slots),
            );
            vital::spawn(format!("the audit of shard {id}"), audit::pools(Arc::clone(&shard)));
            let id = *id;
            vital::spawn(
                format!("the members of shard {id}"),
                Arc::clone(&shard.group).keep_members(self.meta.watch(), move |map| {
                    let replicas = map
                        .shards
                        .get(&id)
                        .map(|record| record.replicas.iter().copied().collect());
                    replicas.unwrap_or_default()
                }),
            );
            // What has come and gone since the founding joins, and founds nothing.
            let is_founding = map.members.is_untouched();
            if is_founding && record.replicas.first().is_some_and(|(_, node)| *node == self.host.node) {
                shard.group.found(record.replicas.iter().copied()).await?;
            }
        }
        Ok(())
    }

    /// Tells the meta leader where this node is and what it reads. Tried again until the map says so.
    ///
    /// # Errors
    /// Where the cluster has no use for a binary like this one.
    async fn register(&self, map: &MetaState) -> anyhow::Result<()> {
        if self.meta.group.leadership.leads() {
            if let Err(rejection) = self.meta.propose(&MetaCommand::RegisterNode(self.record.clone())).await {
                tracing::debug!(%rejection, "registering waits");
            }
            return Ok(());
        }
        let Some(leader) = self.meta.group.leadership.leader_node() else {
            return Ok(());
        };
        let address = map
            .nodes
            .get(&leader)
            .map(|node| node.grpc.clone())
            .or_else(|| self.config.peers.get(&leader).cloned());
        let Some(address) = address else { return Ok(()) };
        let registered = tokio::time::timeout(REGISTER_TIMEOUT, async {
            let mut client = AdminClient::new(
                self.host
                    .dial
                    .line(Callee::node(leader, &address), REGISTER_WINDOW_BYTES)?,
            );
            let node = proto::Node {
                id: self.record.id,
                grpc: self.record.grpc.clone(),
                admin: self.record.admin.clone(),
                version: self.record.version.clone(),
            };
            client.register_node(node).await?;
            Ok::<(), anyhow::Error>(())
        });
        match registered.await {
            Ok(Err(error)) if is_final(&error) => Err(error.context("the cluster refuses this node")),
            Ok(Err(error)) => {
                tracing::debug!(%error, "registering waits");
                Ok(())
            }
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

/// True where the meta leader does not want a node with such a binary, however often it asks.
fn is_final(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<tonic::Status>();
    status.is_some_and(|status| status.code() == tonic::Code::FailedPrecondition)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use rotunda_protocol::rejection::RejectionKind;
    use rotunda_protocol::version::{BEFORE, CLUSTER_VERSION, Formats};

    use super::*;

    #[test]
    fn what_the_clusters_version_does_not_allow_is_refused_with_the_nodes_that_are_behind() {
        let mut map = MetaState::default();
        let mut register = |id: u32, version: &str| {
            let record = NodeRecord {
                id,
                grpc: "http://n".to_owned(),
                admin: String::new(),
                version: version.to_owned(),
            };
            assert!(map.apply(u64::from(id), MetaCommand::RegisterNode(record)).changed);
        };
        register(1, &Formats::OURS.stated_with("0.2.0"));
        register(2, "0.1.0");
        let assign = MetaCommand::AssignVenues { slugs: Vec::new() };
        assert_eq!(allowed(&assign, &map), Ok(()), "as old as the oldest");
        assert_eq!(reached(BEFORE, &map), Ok(()));
        let refused = reached(CLUSTER_VERSION, &map).unwrap_err();
        assert_eq!(refused.kind, RejectionKind::NotYet);
        assert!(refused.detail.contains("node 2 runs 0.1.0"), "{}", refused.detail);
    }
}
