//! What a cluster is made of, and how its processes are started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rotunda_protocol::client::{ClientConfig, ClusterClient};

use super::{Cluster, Member, machine};
use crate::disk::SmallDisk;
use crate::faults::Orders;
use crate::process::{Process, Recipe};
use crate::{binaries, ports};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: u32,
    shards: u64,
    router_flags: Vec<String>,
    node_flags: Vec<String>,
    faults: Option<PathBuf>,
    small_disks: BTreeMap<u32, u64>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            nodes: 3,
            shards: 8,
            router_flags: Vec::new(),
            node_flags: Vec::new(),
            faults: None,
            small_disks: BTreeMap::new(),
        }
    }
}

impl Builder {
    /// Nodes; 3 by default.
    #[must_use]
    pub fn nodes(mut self, nodes: u32) -> Self {
        self.nodes = nodes;
        self
    }

    /// Shards; 8 by default.
    #[must_use]
    pub fn shards(mut self, shards: u64) -> Self {
        self.shards = shards;
        self
    }

    /// More flags for each node, separated by spaces.
    #[must_use]
    pub fn node_flags(mut self, flags: &str) -> Self {
        self.node_flags.extend(words(flags));
        self
    }

    /// More flags for the router, separated by spaces.
    #[must_use]
    pub fn router_flags(mut self, flags: &str) -> Self {
        self.router_flags.extend(words(flags));
        self
    }

    /// Loads this library ([`crate::faults::library`]) into each node, which then obeys [`Cluster::orders`].
    #[must_use]
    pub fn faults(mut self, library: &Path) -> Self {
        self.faults = Some(library.to_owned());
        self
    }

    /// Puts a node's data on a disk of so many bytes: [`Cluster::disk`].
    #[must_use]
    pub fn small_disk(mut self, node: u32, bytes: u64) -> Self {
        self.small_disks.insert(node, bytes);
        self
    }

    /// Starts the processes and waits until every shard has a leader and the router is ready.
    ///
    /// # Panics
    /// Where that does not come true.
    pub async fn start(self) -> Cluster {
        let machine = machine().await;
        let folder = tempfile::Builder::new()
            .prefix("rotunda-chaos-")
            .tempdir()
            .expect("a temporary folder");
        let token = uuid::Uuid::new_v4().simple().to_string();
        let addresses: Vec<(u32, SocketAddr, SocketAddr)> =
            (1..=self.nodes).map(|id| (id, ports::free(), ports::free())).collect();
        let members: Vec<Member> = addresses
            .iter()
            .map(|(id, grpc, admin)| self.start_member(folder.path(), (*id, *grpc, *admin), &addresses))
            .collect();
        let seeds = members.iter().map(|member| format!("http://{}", member.grpc)).collect();
        let client = ClusterClient::connect(ClientConfig {
            seeds,
            ..ClientConfig::default()
        });
        let (http, admin) = (ports::free(), ports::free());
        let router = Process::start(self.router_recipe(folder.path(), http, admin, &addresses, &token));
        let mut cluster = Cluster {
            members,
            router,
            http,
            admin,
            token,
            client,
            shards: self.shards,
            folder,
            _machine: machine,
        };
        cluster.until_led().await;
        cluster.until_router_ready().await;
        cluster
    }

    fn start_member(
        &self,
        folder: &Path,
        (id, grpc, admin): (u32, SocketAddr, SocketAddr),
        all: &[(u32, SocketAddr, SocketAddr)],
    ) -> Member {
        let mut recipe = self.node_recipe(folder, id, all);
        let orders = self.faults.as_ref().map(|library| {
            let orders = Orders::none(folder.join(format!("node-{id}.orders")));
            recipe.environment.extend(orders.environment(library));
            orders
        });
        let disk = self.small_disks.get(&id).map(|bytes| {
            let disk = SmallDisk::mount(&folder.join(format!("node-{id}")), *bytes)
                .unwrap_or_else(|missing| panic!("no small disk: {}", missing.reason));
            recipe.behind(disk.entrance());
            disk
        });
        Member {
            id,
            grpc,
            admin,
            process: Process::start(recipe),
            orders,
            disk,
        }
    }

    fn node_recipe(&self, folder: &Path, id: u32, all: &[(u32, SocketAddr, SocketAddr)]) -> Recipe {
        let (_, grpc, admin) = all.iter().find(|(other, _, _)| *other == id).expect("one of them");
        let replication = if self.nodes >= 3 { 3 } else { 1 };
        let mut arguments = words(&format!(
            "--node-id {id} --cluster chaos --data {} --grpc {grpc} --admin {admin} --shards {} --replication {replication} \
             --heartbeat-ms 50 --election-ms 120-240 --keep-log-entries 100000000 --exit-with-parent",
            folder.join(format!("node-{id}")).display(),
            self.shards,
        ));
        for (peer, grpc, _) in all {
            arguments.extend(words(&format!("--peer {peer}=http://{grpc}")));
        }
        arguments.extend(self.node_flags.iter().cloned());
        Recipe {
            name: format!("node {id}"),
            program: binaries::path("rotunda-node"),
            arguments,
            environment: Vec::new(),
            log: folder.join(format!("node-{id}.log")),
        }
    }

    fn router_recipe(
        &self,
        folder: &Path,
        http: SocketAddr,
        admin: SocketAddr,
        nodes: &[(u32, SocketAddr, SocketAddr)],
        token: &str,
    ) -> Recipe {
        let mut arguments = words(&format!("--http {http} --admin {admin} --exit-with-parent"));
        for (_, grpc, _) in nodes {
            arguments.extend(words(&format!("--node http://{grpc}")));
        }
        arguments.extend(self.router_flags.iter().cloned());
        Recipe {
            name: "router".to_owned(),
            program: binaries::path("rotunda-router"),
            arguments,
            environment: vec![("ROTUNDA_ADMIN_TOKEN".to_owned(), token.to_owned())],
            log: folder.join("router.log"),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
