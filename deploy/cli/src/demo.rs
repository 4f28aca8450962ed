//! `rotunda demo`: a cluster of real processes on this machine, selling within seconds.
//!
//! The demo makes an authority of its own, picks free loopback ports, starts nodes and routers as a person would, imports a museum network through the
//! router, proves that every venue sells, and prints addresses and lines to paste. Then it watches: a process that ends
//! is reported and, since the demo is there to have its nodes killed, started again after a moment. When it ends (Ctrl-C,
//! SIGTERM, the terminal closed, `--for`, or an error) it stops every process and removes what it made.

mod banner;
mod certificates;
mod first_booking;
mod fleet;
mod folder;
mod ports;
mod progress;
mod ready_file;

use std::path::Path;
use std::time::{Duration, Instant};

use rotunda_protocol::client::{ClientConfig, ClusterClient};
use rotunda_protocol::dial::{Secured, Tcp};
use rotunda_tls::identity::Role;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::banner::Banner;
use self::certificates::Certificates;
use self::first_booking::Offer;
use self::fleet::{Event, Fleet, Kind, Plan};
use self::folder::Folder;
use self::progress::Step;
use crate::args::DemoArguments;
use crate::binaries::Binaries;
use crate::door::Door;
use crate::failure::Failure;

/// The museum network that is sold where `--network` names no other.
const MERIDIAN: &str = include_str!("../../config/meridian.yaml");

/// Ten times what it takes on a busy laptop. Longer than this, something is wrong and the logs tell what.
const START_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const WATCH_POLL: Duration = Duration::from_millis(100);
const ASK_DEADLINE: Duration = Duration::from_secs(1);

/// A dead leader is missed after 360 to 480 ms: the lease of 240 ms, then the random part.
const HEARTBEAT_MS: &str = "50";
const ELECTION_MS: &str = "120-240";

/// Runs the command.
pub(crate) async fn run(arguments: DemoArguments) -> Result<(), Failure> {
    let binaries = Binaries::find()?;
    let network = match &arguments.network {
        Some(path) => std::fs::read(path).map_err(|error| {
            Failure::failed(format!("cannot read {}: {error}", path.display()))
                .next("name a catalogue in YAML or JSON: rotunda demo --network FILE")
        })?,
        None => MERIDIAN.as_bytes().to_vec(),
    };
    let mut interrupts = Interrupts::listen()?;
    let folder = Folder::make(arguments.data.as_deref(), arguments.keep)?;
    if let Some(ready) = &arguments.ready_file {
        // One that an earlier run left would be believed.
        remove_ready_file(ready)?;
    }

    let mut fleet = Fleet::default();
    let outcome = tokio::select! {
        outcome = live(&arguments, &binaries, network, &folder, &mut fleet) => outcome,
        () = interrupts.next() => Ok(()),
    };
    if outcome.is_ok() {
        eprintln!("stopping");
    }
    fleet.stop(folder.kept(), interrupts.next()).await;
    if let Some(ready) = &arguments.ready_file {
        remove_ready_file(ready)?;
    }
    let removed = folder.remove();
    outcome.and(removed)
}

/// The demo from its first process until `--for` is over.
async fn live(
    arguments: &DemoArguments,
    binaries: &Binaries,
    network: Vec<u8>,
    folder: &Folder,
    fleet: &mut Fleet,
) -> Result<(), Failure> {
    let deadline = Instant::now() + START_DEADLINE;
    let token = token();
    let certificates = match arguments.plain_inside {
        true => None,
        false => Some(Certificates::make(folder.path(), arguments)?),
    };
    let (nodes, routers) = plans(arguments, binaries, folder.path(), &token, certificates.as_ref())?;

    let step = Step::begin("starting nodes");
    let seeds: Vec<String> = nodes.iter().map(Plan::url).collect();
    for plan in nodes {
        fleet.start(plan)?;
    }
    all_answer(fleet, Kind::Node, "/livez", &step, deadline).await?;
    step.done(&counted(arguments.nodes, "node runs", "nodes run"));

    let step = Step::begin("electing leaders");
    let cluster = ClusterClient::connect(ClientConfig {
        seeds,
        dial: match &certificates {
            Some(certificates) => Secured::with(certificates.own()?),
            None => Tcp::shared(),
        },
        ..ClientConfig::default()
    });
    leaders(fleet, &cluster, arguments.shards, &step, deadline).await?;
    step.done(&counted(arguments.shards, "shard has a leader", "shards have leaders"));

    let step = Step::begin("starting routers");
    let door_address = routers.first().map(Plan::url).unwrap_or_default();
    for plan in routers {
        fleet.start(plan)?;
    }
    all_answer(fleet, Kind::Router, "/readyz", &step, deadline).await?;
    step.done(&counted(arguments.routers, "door is open", "doors are open"));

    let door = Door::new(&door_address, Some(token.clone()))?;
    let step = Step::begin("importing venues");
    let venues = import(&door, network, &step, deadline).await?;
    step.done(&format!("{venues} venues imported"));

    let step = Step::begin("first bookings");
    let offers = first_bookings(fleet, &door, deadline).await?;
    step.done(&format!("{} venues sell", offers.len()));

    if let Some(path) = &arguments.ready_file {
        ready_file::write(path, fleet, &token)?;
    }
    let offer = offers.first();
    let banner = Banner {
        fleet,
        folder,
        router: door.base(),
        token: &token,
        venues,
        shards: arguments.shards,
        offer,
        leader: leader_process(fleet, &cluster, offer).await,
    };
    println!("{}", banner.text());
    watch(arguments, fleet, &token).await
}

/// Reports what ends, starts it again, until the time is up.
async fn watch(arguments: &DemoArguments, fleet: &mut Fleet, token: &str) -> Result<(), Failure> {
    let end = arguments
        .run_for
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    while end.is_none_or(|end| Instant::now() < end) {
        let events = fleet.watch(!arguments.no_restart);
        for event in &events {
            let (Event::Ended(text) | Event::Restarted(text)) = event;
            eprintln!("{text}");
        }
        if let (Some(path), false) = (&arguments.ready_file, events.is_empty()) {
            ready_file::write(path, fleet, token)?;
        }
        tokio::time::sleep(WATCH_POLL).await;
    }
    Ok(())
}

/// How to start every node and every router.
fn plans(
    arguments: &DemoArguments,
    binaries: &Binaries,
    folder: &Path,
    token: &str,
    certificates: Option<&Certificates>,
) -> Result<(Vec<Plan>, Vec<Plan>), Failure> {
    let count = usize::try_from(2 * (arguments.nodes + arguments.routers)).unwrap_or_default();
    let mut addresses = ports::free(count)?.into_iter();
    let mut pair = || {
        let missing = || Failure::failed("too few free ports");
        Ok::<_, Failure>((
            addresses.next().ok_or_else(missing)?,
            addresses.next().ok_or_else(missing)?,
        ))
    };
    let mut nodes = Vec::new();
    for id in 1..=arguments.nodes {
        let (address, admin) = pair()?;
        nodes.push(Plan {
            kind: Kind::Node,
            id,
            program: binaries.node.clone(),
            arguments: Vec::new(),
            environment: Vec::new(),
            address,
            admin,
            secured: certificates.is_some(),
            data: Some(folder.join(format!("node-{id}"))),
            log: folder.join(format!("node-{id}.log")),
        });
    }
    let peers: Vec<String> = nodes.iter().map(|node| format!("{}={}", node.id, node.url())).collect();
    for node in &mut nodes {
        node.arguments = node_arguments(arguments, node, &peers);
        let flags = certificates.map(|certificates| certificates.flags(&Role::Node(node.id)));
        node.arguments.extend(flags.unwrap_or_default());
    }
    let mut routers = Vec::new();
    for id in 1..=arguments.routers {
        let (address, admin) = pair()?;
        let mut flags = words(&["--http", &address.to_string(), "--admin", &admin.to_string()]);
        for node in &nodes {
            flags.extend(words(&["--node", &node.url()]));
        }
        let shown = certificates.map(|certificates| certificates.flags(&Role::Router(id.to_string())));
        flags.extend(shown.unwrap_or_default());
        routers.push(Plan {
            kind: Kind::Router,
            id,
            program: binaries.router.clone(),
            arguments: flags,
            environment: vec![("ROTUNDA_ADMIN_TOKEN".to_owned(), token.to_owned())],
            address,
            admin,
            secured: false,
            data: None,
            log: folder.join(format!("router-{id}.log")),
        });
    }
    Ok((nodes, routers))
}

fn node_arguments(arguments: &DemoArguments, node: &Plan, peers: &[String]) -> Vec<String> {
    let data = node.data.clone().unwrap_or_default().display().to_string();
    let replication = arguments.nodes.min(3) - u32::from(arguments.nodes == 2);
    let mut flags = words(&["--node-id", &node.id.to_string(), "--cluster", "demo", "--data", &data]);
    flags.extend(words(&[
        "--grpc",
        &node.address.to_string(),
        "--admin",
        &node.admin.to_string(),
    ]));
    flags.extend(words(&[
        "--shards",
        &arguments.shards.to_string(),
        "--replication",
        &replication.to_string(),
    ]));
    flags.extend(words(&["--heartbeat-ms", HEARTBEAT_MS, "--election-ms", ELECTION_MS]));
    for peer in peers {
        flags.extend(words(&["--peer", peer]));
    }
    flags
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Waits until every process of a kind answers 200 on its admin port.
async fn all_answer(fleet: &mut Fleet, kind: Kind, path: &str, step: &Step, deadline: Instant) -> Result<(), Failure> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(ASK_DEADLINE)
        .build()
        .map_err(|error| Failure::failed(format!("no HTTP client: {error}")))?;
    loop {
        fleet.all_running()?;
        let (mut answering, mut all) = (0, 0);
        let mut silent = None;
        for member in fleet.of_kind(kind) {
            all += 1;
            match http.get(format!("{}{path}", member.plan.admin_url())).send().await {
                Ok(response) if response.status().is_success() => answering += 1,
                _ => silent = Some(&member.plan),
            }
        }
        step.at(answering, all);
        let Some(silent) = silent else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(late(&format!("{} does not answer {path}", silent.name()), &silent.log));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until every shard has a leader that its own node confirms.
async fn leaders(
    fleet: &mut Fleet,
    cluster: &ClusterClient,
    shards: u32,
    step: &Step,
    deadline: Instant,
) -> Result<(), Failure> {
    let all = usize::try_from(shards).unwrap_or(usize::MAX);
    loop {
        fleet.all_running()?;
        let led = led_shards(cluster).await.len();
        step.at(led, all);
        if led >= all {
            return Ok(());
        }
        if Instant::now() > deadline {
            let log = fleet
                .members()
                .first()
                .map(|member| member.plan.log.clone())
                .unwrap_or_default();
            return Err(late(&format!("only {led} of {all} shards have a leader"), &log));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Shards that a node says it leads, with that node. The meta group is not among them.
async fn led_shards(cluster: &ClusterClient) -> std::collections::BTreeMap<u64, u32> {
    let mut led = std::collections::BTreeMap::new();
    for (node, status) in cluster.node_status(tokio::time::Instant::now() + ASK_DEADLINE).await {
        for replica in status.map(|status| status.replicas).unwrap_or_default() {
            if replica.role == "leader" && replica.shard != 0 {
                led.insert(replica.shard, node.id);
            }
        }
    }
    led
}

/// Imports and counts the venues as they arrive.
async fn import(door: &Door, network: Vec<u8>, step: &Step, deadline: Instant) -> Result<usize, Failure> {
    let importing = async {
        loop {
            match door.import(network.clone()).await {
                // An import is idempotent: a broken-off one is simply sent again.
                Err(error) if error.passing() && Instant::now() < deadline => tokio::time::sleep(POLL).await,
                outcome => break outcome,
            }
        }
    };
    let counting = async {
        loop {
            if let Ok(venues) = door.venues().await {
                step.at(venues.len(), usize::max(venues.len(), count_venues(&network)));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        outcome = importing => {
            outcome.map_err(|error| error.into_failure(door, "importing the network"))?;
        }
        () = counting => {}
    }
    let venues = door
        .venues()
        .await
        .map_err(|error| error.into_failure(door, "listing venues"))?;
    Ok(venues.len())
}

/// Only for the counter on the screen: how many venues a catalogue seems to have.
fn count_venues(network: &[u8]) -> usize {
    String::from_utf8_lossy(network).matches("time_zone").count()
}

async fn first_bookings(fleet: &mut Fleet, door: &Door, deadline: Instant) -> Result<Vec<Offer>, Failure> {
    loop {
        fleet.all_running()?;
        match first_booking::prove(door).await {
            Ok(offers) => return Ok(offers),
            Err((error, _)) if error.passing() && Instant::now() < deadline => tokio::time::sleep(POLL).await,
            Err((error, what)) => return Err(error.into_failure(door, &what)),
        }
    }
}

/// The process to kill for whoever wants to watch a failover.
async fn leader_process(fleet: &Fleet, cluster: &ClusterClient, offer: Option<&Offer>) -> Option<u32> {
    let shard = cluster.map().venue(&offer?.venue)?.shard;
    let node = *led_shards(cluster).await.get(&shard)?;
    fleet.of_kind(Kind::Node).find(|member| member.plan.id == node)?.pid()
}

fn late(what: &str, log: &Path) -> Failure {
    Failure::unreachable(format!("{what} after {} s", START_DEADLINE.as_secs()))
        .next(format!("rotunda demo --keep, then read {}", log.display()))
}

fn remove_ready_file(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::failed(format!("cannot remove {}: {error}", path.display())).next("name another --ready-file"))
        }
        _ => Ok(()),
    }
}

/// `1 node runs`, `3 nodes run`.
fn counted(count: u32, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// 128 random bits.
fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The signals that end the demo. Each `next` waits for one more.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot listen to signals: {error}")));
        Ok(Interrupts {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
