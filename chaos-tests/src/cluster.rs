//! A cluster of real processes on this machine: nodes and a router, in a temporary folder, gone when it is dropped.
//!
//! One cluster at a time: a machine that runs two measures neither. Holding a [`Cluster`] holds the machine; whoever
//! starts processes by other means (the demo's test) takes it with [`machine`].

mod builder;
mod inside;
mod upgrades;
mod waits;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rotunda_protocol::client::{ClusterClient, NodeStatus, ReplicaStatus};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

pub use self::builder::{Builder, TIMING};
pub use self::inside::Inside;
use crate::disk::SmallDisk;
use crate::faults::Orders;
use crate::history::visitors::Venues;
use crate::lab::network::Network;
use crate::lab::volume::Volume;
use crate::process::Process;
use crate::wait;

/// The museum network that the tests sell.
pub const MERIDIAN: &str = include_str!("../../deploy/config/meridian.yaml");

const ASK: Duration = Duration::from_secs(2);
const IMPORT: Duration = Duration::from_secs(120);

static MACHINE: Mutex<()> = Mutex::const_new(());

/// The machine, for one test at a time.
pub async fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}

/// One node.
#[derive(Debug)]
struct Member {
    id: u32,
    grpc: SocketAddr,
    admin: SocketAddr,
    // Dropped in this order: a process before the disk under it.
    process: Process,
    data: PathBuf,
    orders: Option<Orders>,
    disk: Option<SmallDisk>,
    volume: Option<Volume>,
}

/// Logs and data.
#[derive(Debug)]
enum Folder {
    /// Goes with the cluster.
    Temporary(TempDir),
    /// Stays.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(folder) => folder,
        }
    }
}

/// See the module.
pub struct Cluster {
    members: Vec<Member>,
    router: Process,
    beside: Vec<upgrades::Beside>,
    http: SocketAddr,
    admin: SocketAddr,
    token: String,
    client: ClusterClient,
    inside: Inside,
    shards: u64,
    network: Option<Network>,
    folder: Folder,
    _machine: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Three nodes, eight shards, one router.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The router's door.
    #[must_use]
    pub fn door(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The router's door, as an address.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The router's admin port.
    #[must_use]
    pub fn router_admin(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The admin token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client of the nodes, past the router.
    #[must_use]
    pub fn client(&self) -> &ClusterClient {
        &self.client
    }

    /// How its processes speak to each other.
    #[must_use]
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Ids of the nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.id).collect()
    }

    /// Ids of the shards.
    #[must_use]
    pub fn shards(&self) -> Vec<u64> {
        self.client.map().shards().iter().map(|shard| shard.id).collect()
    }

    /// A node's gRPC address.
    #[must_use]
    pub fn grpc(&self, node: u32) -> SocketAddr {
        self.member(node).grpc
    }

    /// A node's admin address.
    #[must_use]
    pub fn admin(&self, node: u32) -> SocketAddr {
        self.member(node).admin
    }

    /// A node's process.
    #[must_use]
    pub fn process(&self, node: u32) -> &Process {
        &self.member(node).process
    }

    /// The router's process.
    #[must_use]
    pub fn router(&self) -> &Process {
        &self.router
    }

    /// A node's data.
    #[must_use]
    pub fn data(&self, node: u32) -> PathBuf {
        self.member(node).data.clone()
    }

    /// Where everything of this cluster is; a test may put files here.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The faults of a node of a cluster that was built with [`Builder::faults`].
    ///
    /// # Panics
    /// Where it was not.
    #[must_use]
    pub fn orders(&self, node: u32) -> &Orders {
        let orders = self.member(node).orders.as_ref();
        orders.expect("a cluster that was built with faults")
    }

    /// The disk of a node that was built with [`Builder::small_disk`].
    ///
    /// # Panics
    /// Where it was not.
    #[must_use]
    pub fn disk(&self, node: u32) -> &SmallDisk {
        let disk = self.member(node).disk.as_ref();
        disk.expect("a node that was built with a small disk")
    }

    /// The network of a cluster that was built with [`Builder::network`].
    pub fn network_mut(&mut self) -> Option<&mut Network> {
        self.network.as_mut()
    }

    /// The network, to look at.
    #[must_use]
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// The disk of a node of a cluster that was built with [`Builder::volumes`].
    #[must_use]
    pub fn volume(&self, node: u32) -> Option<&Volume> {
        self.member(node).volume.as_ref()
    }

    /// True where a node was started and has not ended.
    pub fn is_up(&mut self, node: u32) -> bool {
        let process = &mut self.member_mut(node).process;
        process.is_started() && process.ended().is_none()
    }

    /// Nodes that have ended by themselves since the last time, with how. They may be started again.
    pub fn reap(&mut self) -> Vec<(u32, ExitStatus)> {
        let members = self.members.iter_mut();
        members
            .filter_map(|member| Some((member.id, member.process.reap()?)))
            .collect()
    }

    /// Power is cut for these nodes at once, and comes back: what was not synced is gone. Each is stopped afterwards.
    ///
    /// # Errors
    /// Where a disk does not take it.
    pub fn lose_power(&mut self, nodes: &[u32]) -> Result<(), String> {
        let hit = |member: &&mut Member| nodes.contains(&member.id);
        for member in self.members.iter_mut().filter(hit) {
            let volume = member.volume.as_ref().ok_or("a node without a disk of its own")?;
            volume.power_off()?;
        }
        for member in self.members.iter_mut().filter(hit) {
            member.process.kill();
            if let Some(volume) = &member.volume {
                volume.power_on()?;
            }
        }
        Ok(())
    }

    /// SIGKILL to the router, until it is gone.
    pub fn kill_router(&mut self) {
        self.router.kill();
    }

    /// Starts the router again.
    pub fn start_router(&mut self) {
        self.router.start_again();
    }

    /// Waits until a node ends by itself.
    ///
    /// # Panics
    /// Where it does not.
    pub fn until_ended(&mut self, node: u32) -> ExitStatus {
        let process = &mut self.member_mut(node).process;
        tokio::task::block_in_place(|| process.wait(wait::PATIENCE))
    }

    /// True where a node has ended by itself.
    pub fn has_ended(&mut self, node: u32) -> bool {
        self.member_mut(node).process.ended().is_some()
    }

    /// SIGKILL to a node, until it is gone.
    pub fn kill(&mut self, node: u32) {
        let process = &mut self.member_mut(node).process;
        tokio::task::block_in_place(|| process.kill());
    }

    /// SIGSTOP to a node.
    pub fn pause(&self, node: u32) {
        self.member(node).process.pause();
    }

    /// SIGCONT to a node.
    pub fn resume(&self, node: u32) {
        self.member(node).process.resume();
    }

    /// SIGTERM to a node, until it has ended.
    pub fn terminate(&mut self, node: u32) {
        let process = &mut self.member_mut(node).process;
        tokio::task::block_in_place(|| process.terminate());
    }

    /// Starts a stopped node.
    pub fn start_node(&mut self, node: u32) {
        self.member_mut(node).process.start_again();
    }

    /// Starts a stopped node with these variables set, this once.
    pub fn start_node_with(&mut self, node: u32, environment: &[(&str, &str)]) {
        self.member_mut(node).process.start_again_with(environment);
    }

    /// Imports the museum network through the router, as `rotunda import` does.
    ///
    /// # Panics
    /// Where the router does not take it.
    pub async fn import(&self, catalogue: &str) {
        let response = http()
            .put(format!("{}/v1/admin/network", self.door()))
            .bearer_auth(&self.token)
            .header("content-type", "application/yaml")
            .timeout(IMPORT)
            .body(catalogue.to_owned())
            .send()
            .await
            .expect("an answer to the import");
        let status = response.status();
        let body = response.text().await.expect("a body");
        assert!(status.is_success(), "the import was answered with {status}: {body}");
    }

    /// The shard of a venue.
    ///
    /// # Panics
    /// Where the directory does not get to hold it.
    pub async fn shard_of(&self, venue: &str) -> u64 {
        wait::until(&format!("{venue} in the directory"), async || {
            self.client
                .map()
                .venue(venue)
                .map(|venue| venue.shard)
                .ok_or_else(|| "not there".to_owned())
        })
        .await
    }

    /// Numbers of the venues, as logs have them, by slug.
    #[must_use]
    pub fn venues(&self) -> Venues {
        let map = self.client().map();
        let venues = map.venues().iter();
        venues.map(|venue| (venue.slug.clone(), venue.number)).collect()
    }

    /// The node that leads a shard.
    ///
    /// # Panics
    /// Where none gets to.
    pub async fn leader_of(&self, shard: u64) -> u32 {
        wait::until(&format!("a leader of shard {shard}"), async || {
            // A deposed leader that has not noticed yet says so too: the highest term is the true one.
            self.replicas_of(shard)
                .await
                .into_iter()
                .filter(|(_, replica)| replica.role == "leader")
                .max_by_key(|(_, replica)| replica.term)
                .map(|(node, _)| node)
                .ok_or_else(|| "no node says that it leads".to_owned())
        })
        .await
    }

    /// A node that does not lead the shard.
    ///
    /// # Panics
    /// Where none gets to lead it, or there is no other.
    pub async fn follower_of(&self, shard: u64) -> u32 {
        let leader = self.leader_of(shard).await;
        let others = self.nodes().into_iter().find(|node| *node != leader);
        others.unwrap_or_else(|| panic!("node {leader} is alone"))
    }

    /// Status of every node that answers.
    pub async fn statuses(&self) -> Vec<(u32, NodeStatus)> {
        self.client
            .node_status(Instant::now() + ASK)
            .await
            .into_iter()
            .filter_map(|(node, status)| Some((node.id, status.ok()?)))
            .collect()
    }

    /// A shard's replica on each node that answers.
    pub async fn replicas_of(&self, shard: u64) -> Vec<(u32, ReplicaStatus)> {
        self.statuses()
            .await
            .into_iter()
            .filter_map(|(node, status)| {
                Some((
                    node,
                    status.replicas.into_iter().find(|replica| replica.shard == shard)?,
                ))
            })
            .collect()
    }

    /// No process may have ended by itself.
    ///
    /// # Panics
    /// Where one has, with the end of its log.
    pub fn check_processes(&mut self) {
        let processes = self
            .members
            .iter_mut()
            .map(|member| &mut member.process)
            .chain([&mut self.router])
            .chain(self.beside.iter_mut().map(|router| &mut router.process));
        for process in processes {
            if let Some(status) = process.ended() {
                panic!(
                    "{} ended by itself: {status}\n{}",
                    process.recipe().name,
                    process.tail()
                );
            }
        }
    }

    fn member(&self, node: u32) -> &Member {
        self.members
            .iter()
            .find(|member| member.id == node)
            .unwrap_or_else(|| panic!("there is no node {node}"))
    }

    fn member_mut(&mut self, node: u32) -> &mut Member {
        self.members
            .iter_mut()
            .find(|member| member.id == node)
            .unwrap_or_else(|| panic!("there is no node {node}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The folder goes with the test, so what the processes said is told now.
            let beside = self.beside.iter().map(|router| &router.process);
            let members = self.members.iter().map(|member| &member.process);
            for process in members.chain([&self.router]).chain(beside) {
                eprintln!("--- {}\n{}", process.recipe().name, process.tail());
            }
        }
    }
}

/// An HTTP client that no proxy stands in front of.
///
/// # Panics
/// Where the machine allows none.
#[must_use]
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("an HTTP client")
}
