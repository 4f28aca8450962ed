//! What a cluster is made of, and how its processes are started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rotunda_protocol::client::{ClientConfig, ClusterClient};
use rotunda_tls::identity::Role;

use super::inside::{Inside, ROUTER};
use super::{Cluster, Folder, Member, machine};
use crate::disk::SmallDisk;
use crate::faults::Orders;
use crate::lab::network::{Host, Network};
use crate::lab::tag::Tag;
use crate::lab::volume::{MOUNTS, Volume};
use crate::process::{Process, Recipe};
use crate::{binaries, ports};

/// More applied entries than a test makes.
const KEEP_ALL: u64 = 100_000_000;

/// Ports, where every process has a host of its own.
const GRPC: u16 = 7001;
const ADMIN: u16 = 7101;
const HTTP: u16 = 8080;

/// Heartbeats and elections: shorter than the defaults, so that many faults fit into a short run.
pub const TIMING: &str = "--heartbeat-ms 50 --election-ms 120-240";

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: u32,
    shards: u64,
    router_flags: Vec<String>,
    node_flags: Vec<String>,
    timing: &'static str,
    faults: Option<PathBuf>,
    small_disks: BTreeMap<u32, u64>,
    replication: Option<u32>,
    keep_log_entries: u64,
    keep_log_entries_of: BTreeMap<u32, u64>,
    programs: Option<PathBuf>,
    place: Option<PathBuf>,
    network: bool,
    volumes: Option<u64>,
    plain_inside: bool,
    cluster: String,
    doors: BTreeMap<u32, SocketAddr>,
}

/// Where a process of the cluster is reached.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    id: u32,
    grpc: SocketAddr,
    admin: SocketAddr,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            nodes: 3,
            shards: 8,
            router_flags: Vec::new(),
            node_flags: Vec::new(),
            timing: TIMING,
            faults: None,
            small_disks: BTreeMap::new(),
            replication: None,
            keep_log_entries: KEEP_ALL,
            keep_log_entries_of: BTreeMap::new(),
            programs: None,
            place: None,
            network: false,
            volumes: None,
            plain_inside: false,
            cluster: "chaos".to_owned(),
            doors: BTreeMap::new(),
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

    /// No TLS between the processes: to measure what it costs, or with programs that are too old for it.
    #[must_use]
    pub fn plain_inside(mut self) -> Self {
        self.plain_inside = true;
        self
    }

    /// More flags for each node, separated by spaces.
    #[must_use]
    pub fn node_flags(mut self, flags: &str) -> Self {
        self.node_flags.extend(words(flags));
        self
    }

    /// Another name than `chaos`, and gRPC addresses that are known before: of a cluster that was restored. With
    /// [`Builder::place`] its nodes find their data there, as `node-1`.
    #[must_use]
    pub fn restored(mut self, cluster: &str, doors: &BTreeMap<u32, SocketAddr>) -> Self {
        cluster.clone_into(&mut self.cluster);
        self.doors.clone_from(doors);
        self
    }

    /// Leaves heartbeats and elections at the defaults of a node: what is measured is then what runs elsewhere too.
    #[must_use]
    pub fn default_timing(mut self) -> Self {
        self.timing = "";
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

    /// Applied entries that one node keeps, where not as many as the others. For the audit one has to keep them all.
    #[must_use]
    pub fn keep_log_entries_of(mut self, node: u32, entries: u64) -> Self {
        self.keep_log_entries_of.insert(node, entries);
        self
    }

    /// Replicas of each shard; 3 by default, where there are as many nodes.
    #[must_use]
    pub fn replication(mut self, replicas: u32) -> Self {
        self.replication = Some(replicas);
        self
    }

    /// Applied entries that each log keeps; by default all, for the audit. With fewer, followers that were away long are
    /// sent snapshots.
    #[must_use]
    pub fn keep_log_entries(mut self, entries: u64) -> Self {
        self.keep_log_entries = entries;
        self
    }

    /// Where the programs are, where not beside this one.
    #[must_use]
    pub fn programs(mut self, folder: &Path) -> Self {
        self.programs = Some(folder.to_owned());
        self
    }

    /// A folder for logs and data that stays when the cluster goes, instead of a temporary one.
    #[must_use]
    pub fn place(mut self, folder: &Path) -> Self {
        self.place = Some(folder.to_owned());
        self
    }

    /// Puts nodes and router on hosts of their own: [`Cluster::network_mut`].
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Puts each node's data on a disk of so many bytes that can lose power: [`Cluster::volume`].
    #[must_use]
    pub fn volumes(mut self, bytes: u64) -> Self {
        self.volumes = Some(bytes);
        self
    }

    /// Starts the processes and waits until every shard has a leader and the router is ready.
    ///
    /// # Panics
    /// Where that does not come true.
    pub async fn start(self) -> Cluster {
        let machine = machine().await;
        let folder = match &self.place {
            Some(place) => Folder::Kept(place.clone()),
            None => Folder::Temporary(
                tempfile::Builder::new()
                    .prefix("rotunda-chaos-")
                    .tempdir()
                    .expect("a temporary folder"),
            ),
        };
        let network = self.network.then(|| {
            let hosts: Vec<Host> = (1..=self.nodes).map(Host::Node).chain([Host::Router]).collect();
            Network::make(&hosts).unwrap_or_else(|refused| panic!("no network: {refused}"))
        });
        let token = uuid::Uuid::new_v4().simple().to_string();
        let door = |host, port| match &network {
            Some(network) => SocketAddr::new(network.address(host), port),
            None => ports::free(),
        };
        let addresses: Vec<Addresses> = (1..=self.nodes)
            .map(|id| Addresses {
                id,
                grpc: self
                    .doors
                    .get(&id)
                    .copied()
                    .unwrap_or_else(|| door(Host::Node(id), GRPC)),
                admin: door(Host::Node(id), ADMIN),
            })
            .collect();
        let inside = match self.plain_inside {
            true => Inside::Plain,
            false => Inside::secured(&folder.path().join("certs"), &self.cluster, self.nodes),
        };
        let members: Vec<Member> = addresses
            .iter()
            .map(|own| self.start_member(folder.path(), network.as_ref(), *own, &addresses, &inside))
            .collect();
        let client = ClusterClient::connect(ClientConfig {
            seeds: members.iter().map(|member| inside.url(member.grpc)).collect(),
            dial: inside.dial(),
            ..ClientConfig::default()
        });
        let (http, admin) = (door(Host::Router, HTTP), door(Host::Router, ADMIN));
        let mut recipe = self.router_recipe(folder.path(), http, admin, &addresses, &token, &inside);
        if let Some(network) = &network {
            recipe.behind(network.entrance(Host::Router));
        }
        let router = Process::start(recipe);
        let mut cluster = Cluster {
            members,
            router,
            beside: Vec::new(),
            http,
            admin,
            token,
            client,
            inside,
            shards: self.shards,
            network,
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
        network: Option<&Network>,
        own: Addresses,
        all: &[Addresses],
        inside: &Inside,
    ) -> Member {
        let id = own.id;
        let volume = self.volumes.map(|bytes| {
            let place = Path::new(MOUNTS)
                .join(Tag::own().to_string())
                .join(format!("node-{id}"));
            Volume::make(&folder.join(format!("node-{id}.img")), &place, bytes)
                .unwrap_or_else(|refused| panic!("no disk for node {id}: {refused}"))
        });
        // A fresh file system has a folder of its own at the top.
        let data = match &volume {
            Some(volume) => volume.place().join("data"),
            None => folder.join(format!("node-{id}")),
        };
        let mut recipe = self.node_recipe(folder, &data, own, all, inside);
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
        if let Some(network) = network {
            recipe.behind(network.entrance(Host::Node(id)));
        }
        Member {
            id,
            grpc: own.grpc,
            admin: own.admin,
            process: Process::start(recipe),
            data,
            orders,
            disk,
            volume,
        }
    }

    fn node_recipe(&self, folder: &Path, data: &Path, own: Addresses, all: &[Addresses], inside: &Inside) -> Recipe {
        let Addresses { id, grpc, admin } = own;
        let replication = self.replication.unwrap_or(if self.nodes >= 3 { 3 } else { 1 });
        let mut arguments = words(&format!(
            "--node-id {id} --cluster {} --data {} --grpc {grpc} --admin {admin} --shards {} --replication {replication} \
             {} --keep-log-entries {} --exit-with-parent",
            self.cluster,
            data.display(),
            self.shards,
            self.timing,
            self.keep_log_entries_of
                .get(&id)
                .copied()
                .unwrap_or(self.keep_log_entries),
        ));
        for peer in all {
            arguments.extend(words(&format!("--peer {}={}", peer.id, inside.url(peer.grpc))));
        }
        arguments.extend(inside.flags(&Role::Node(id)));
        arguments.extend(self.node_flags.iter().cloned());
        Recipe {
            name: format!("node {id}"),
            program: self.program("rotunda-node"),
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
        nodes: &[Addresses],
        token: &str,
        inside: &Inside,
    ) -> Recipe {
        let mut arguments = words(&format!("--http {http} --admin {admin} --exit-with-parent"));
        for node in nodes {
            arguments.extend(words(&format!("--node {}", inside.url(node.grpc))));
        }
        arguments.extend(inside.flags(&Role::Router(ROUTER.to_owned())));
        arguments.extend(self.router_flags.iter().cloned());
        Recipe {
            name: "router".to_owned(),
            program: self.program("rotunda-router"),
            arguments,
            environment: vec![("ROTUNDA_ADMIN_TOKEN".to_owned(), token.to_owned())],
            log: folder.join("router.log"),
        }
    }

    fn program(&self, name: &str) -> PathBuf {
        let Some(folder) = &self.programs else {
            return binaries::path(name);
        };
        binaries::path_in(folder, name).unwrap_or_else(|missing| panic!("{missing}"))
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
