//! One simulation from beginning to end: the cluster is founded and opens its doors, visitors come, faults come and go,
//! everything heals, and what was promised is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rotunda_booking::codec;
use rotunda_booking::command::Operation;
use rotunda_protocol::client::{ClientConfig, ClusterClient};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use xxhash_rust::xxh3::xxh3_64;

use super::chance::Chance;
use super::faults::{Class, Nemesis, Planned};
use super::net::{Net, NetCounts, Weather};
use super::plan::{Plan, Visits};
use super::tally::Tally;
use super::visitors::{self, Notes, Tickets, Visitor};
use super::world::World;
use crate::history::answers::Admitted;
use crate::history::lines::{Act, Ended, Header, Heal, Healing, Line, Op, StateHash};
use crate::history::reader::Saved;
use crate::history::text::Digest;
use crate::history::writer::Writer;
use crate::invariants::{self, Verdict};

/// Clients' hosts are numbered from here.
const CLIENTS: u32 = 101;
/// The harness asks through a host of its own, which no fault touches.
const HARNESS: u32 = 200;

/// How long the cluster may take to be founded and filled.
const FOUNDING: Duration = Duration::from_secs(120);
/// I12.
const HEAL_WITHIN: Duration = Duration::from_secs(15);
/// How long replicas may take to agree after that.
const SETTLE: Duration = Duration::from_secs(60);
/// How often somebody looks for nodes that ended by themselves.
const LOOK: Duration = Duration::from_millis(100);
/// Such a node is started again after so long.
const RESTART: Duration = Duration::from_secs(2);

/// What a simulation came to.
#[derive(Debug)]
pub struct Outcome {
    /// The whole history.
    pub history: Saved,
    /// What the invariants say of it.
    pub verdicts: Vec<Verdict>,
    /// Digest of everything that happened: the same for the same plan.
    pub trace: u64,
    /// Faults by class.
    pub faults: BTreeMap<Class, u64>,
    /// What the network did.
    pub net: NetCounts,
    /// What went on, by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// Nodes that ended by themselves, and why.
    pub deaths: Vec<(u32, String)>,
    /// The most steps that a visitor took.
    pub steps: u64,
    /// What kept the run from its end.
    pub stuck: Option<String>,
}

/// Runs a plan on a runtime of its own; `tally` is what the process counts, where it does. One in a process at a time: choices outside the plan's own streams (the client's
/// jitter) come from the thread's generator, which is seeded here.
///
/// # Panics
/// Where no runtime can be made.
#[must_use]
pub fn simulate(plan: &Plan, tally: Option<&Tally>) -> Outcome {
    fastrand::seed(plan.seed);
    rotunda_raft_storage::seed_this_thread(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(tokio::runtime::RngSeed::from_bytes(&plan.seed.to_be_bytes()))
        .build()
        .expect("a runtime");
    runtime.block_on(run(plan, tally))
}

async fn run(plan: &Plan, tally: Option<&Tally>) -> Outcome {
    let begun = Instant::now();
    let net = Net::new(Chance::of(plan.seed, "net"), Weather::default());
    let mut world = World::new(net.clone(), plan.size, Chance::of(plan.seed, "world"));
    let notes = Notes::default();
    let seeds: Vec<String> = world.nodes().into_iter().map(Net::address).collect();
    let client = |host| {
        ClusterClient::connect(ClientConfig {
            seeds: seeds.clone(),
            dial: net.dial(host),
            ..ClientConfig::default()
        })
    };
    for node in world.nodes() {
        world.start(node);
    }
    let harness = client(HARNESS);
    let hosts = plan.visits.iter().map(|visits| CLIENTS + visits.visitor).collect();
    let mut nemesis = Nemesis::new(notes.clone(), hosts);
    let mut deaths = Vec::new();
    let mut stuck;
    let mut steps = 0;
    match visitors::open_the_doors(&harness, Instant::now() + FOUNDING).await {
        Err(error) => stuck = Some(format!("the cluster was not founded: {error}")),
        Ok(offers) => {
            let offers = Arc::new(offers);
            let (stop, _) = watch::channel(false);
            let tickets = Tickets::default();
            let visitor = |visits: &Visits| {
                let (offers, notes) = (Arc::clone(&offers), notes.clone());
                let client = client(CLIENTS + visits.visitor);
                Visitor::new(visits, client, offers, tickets.clone(), plan.seed, notes, begun)
            };
            let crowd = plan.visits.iter().map(visitor).collect();
            let mut visits = visitors::begin(crowd, &stop);
            torment(plan, &mut world, &mut nemesis, &mut deaths).await;
            nemesis.heal(&mut world);
            stuck = heal(plan, &mut world, &harness, &notes, &mut deaths).await;
            stop.send_replace(true);
            while let Some(taken) = visits.join_next().await {
                steps = steps.max(taken.unwrap_or(0));
            }
            if stuck.is_none() {
                stuck = settle(&world, &harness, &notes).await;
            }
        }
    }
    let mut lines = notes.take();
    lines.extend(world.applied().lines());
    let mut outcome = finish(plan, &world, &nemesis, lines, tally);
    (outcome.steps, outcome.deaths, outcome.stuck) = (steps, deaths, stuck);
    outcome
}

/// Begins and ends the planned faults, and starts again what died.
async fn torment(plan: &Plan, world: &mut World, nemesis: &mut Nemesis, deaths: &mut Vec<(u32, String)>) {
    let begun = Instant::now();
    let mut coming = plan.faults.iter().copied().peekable();
    let mut going: Vec<(Instant, u64)> = Vec::new();
    let mut restarts: Vec<(Instant, u32)> = Vec::new();
    let mut look = begun + LOOK;
    let end = begun + plan.span();
    let begins = |planned: &Planned| begun + Duration::from_millis(planned.at_ms);
    loop {
        let next_fault = coming.peek().map(begins);
        let next_end = going.iter().map(|(at, _)| *at).min();
        let next_restart = restarts.iter().map(|(at, _)| *at).min();
        let wake = [next_fault, next_end, next_restart, Some(look), Some(end)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(end);
        sleep_until(wake).await;
        let now = Instant::now();
        for (node, why) in world.take_dead() {
            deaths.push((node, why));
            restarts.push((now + RESTART, node));
        }
        while let Some(planned) = coming.next_if(|planned| begins(planned) <= now) {
            nemesis.lie_in_wait(world, &planned).await;
            if let Some(id) = nemesis.begin(world, planned) {
                going.push((now + Duration::from_millis(planned.lasts_ms), id));
            }
        }
        let due: Vec<u64> = going.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        going.retain(|(at, _)| *at > now);
        for id in due {
            nemesis.end(world, id);
        }
        let due: Vec<u32> = restarts
            .iter()
            .filter(|(at, _)| *at <= now)
            .map(|(_, node)| *node)
            .collect();
        restarts.retain(|(at, _)| *at > now);
        for node in due {
            world.start(node);
        }
        if look <= now {
            look = Instant::now() + LOOK;
        }
        if now >= end {
            return;
        }
    }
}

/// Waits until every shard that has a venue serves. `None` where it did.
async fn heal(
    plan: &Plan,
    world: &mut World,
    harness: &ClusterClient,
    notes: &Notes,
    deaths: &mut Vec<(u32, String)>,
) -> Option<String> {
    let heal = |phase, at_ns| Line::Heal(Heal { line: 0, phase, at_ns });
    notes.write(heal(Healing::Begin, world.now_ns()));
    let deadline = Instant::now() + HEAL_WITHIN;
    let mut chance = Chance::of(plan.seed, "heal");
    let venues: Vec<_> = harness.map().venues().iter().map(|venue| venue.number).collect();
    for venue in venues {
        let command = visitors::knock(&mut chance, venue);
        let served = loop {
            // Who died before the faults were off is started again, as a supervisor would.
            for (node, why) in world.take_dead() {
                deaths.push((node, why));
                world.start(node);
            }
            let attempt = (Instant::now() + Duration::from_secs(1)).min(deadline);
            match harness.submit(&command, attempt).await {
                Ok(_) => break true,
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
                Err(_) => break false,
            }
        };
        if !served {
            return Some(format!(
                "venue {} did not serve {HEAL_WITHIN:?} after the last fault",
                venue.0
            ));
        }
    }
    notes.write(heal(Healing::Served, world.now_ns()));
    None
}

/// Waits until all replicas have applied the same, and notes their state hashes.
async fn settle(world: &World, harness: &ClusterClient, notes: &Notes) -> Option<String> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let statuses = harness.node_status(Instant::now() + Duration::from_secs(2)).await;
        let mut by_shard: BTreeMap<u64, Vec<(u32, u64, [u8; 16])>> = BTreeMap::new();
        let mut reached = 0;
        for (node, status) in &statuses {
            let Ok(status) = status else { continue };
            reached += 1;
            for replica in &status.replicas {
                let seen = (node.id, replica.applied, replica.state_hash);
                by_shard.entry(replica.shard).or_default().push(seen);
            }
        }
        let level = by_shard
            .values()
            .all(|seen| seen.windows(2).all(|pair| pair[0].1 == pair[1].1));
        if level && reached == world.nodes().len() - world.lost() && !by_shard.is_empty() {
            for (shard, seen) in by_shard {
                for (node, index, hash) in seen.into_iter().filter(|_| shard != 0) {
                    let by_rows = world.state_by_rows(node, shard);
                    for (index, hash) in [(index, hash)].into_iter().chain(by_rows) {
                        notes.write(Line::Hash(StateHash {
                            line: 0,
                            node,
                            shard,
                            index,
                            hash: Digest(hash),
                        }));
                    }
                }
            }
            return None;
        }
        if Instant::now() > deadline {
            return Some(format!(
                "replicas did not agree {SETTLE:?} after the cluster served: {by_shard:?}"
            ));
        }
        sleep(Duration::from_millis(250)).await;
    }
}

fn finish(plan: &Plan, world: &World, nemesis: &Nemesis, lines: Vec<Line>, tally: Option<&Tally>) -> Outcome {
    let header = Header {
        name: "simulate".to_owned(),
        seed: Some(plan.seed),
        command: format!("rotunda-chaos simulate --seed {}", plan.seed),
        environment: BTreeMap::from([
            ("nodes".to_owned(), plan.size.nodes.to_string()),
            ("shards".to_owned(), plan.size.shards.to_string()),
        ]),
        heal_within_ms: u64::try_from(HEAL_WITHIN.as_millis()).ok(),
        ..Header::default()
    };
    let mut writer = Writer::new(Vec::new(), header).expect("a vector takes everything");
    for line in &lines {
        writer.write(line).expect("a vector takes everything");
    }
    let written = writer.end(world.now_ns()).expect("a vector takes everything");
    let history = Saved::read(written.as_slice()).expect("what was just written reads");
    let verdicts = invariants::check(&history).expect("entries of a cluster decode");
    let net = world.net().counts();
    let mut trace = written;
    trace.extend_from_slice(format!("{net:?}").as_bytes());
    for node in world.nodes() {
        let digest = world.disk(node).map_or(0, rotunda_raft_storage::sim::SimDisk::digest);
        trace.extend_from_slice(&digest.to_be_bytes());
    }
    Outcome {
        trace: xxh3_64(&trace),
        verdicts,
        faults: nemesis.counts().clone(),
        net,
        counts: counts(&history, world, tally),
        history,
        deaths: Vec::new(),
        steps: 0,
        stuck: None,
    }
}

/// What went on, by name.
fn counts(history: &Saved, world: &World, tally: Option<&Tally>) -> BTreeMap<&'static str, u64> {
    let operations = &history.operations;
    let mut counts = BTreeMap::from([
        ("requests", operations.len() as u64),
        ("entries committed", history.entries.len() as u64),
        ("elections", elections(history)),
    ]);
    let mut sent = BTreeSet::new();
    let again = operations.iter().filter_map(|op| op.key.as_ref());
    let again = again.filter(|key| !sent.insert(*key)).count();
    counts.insert("commands sent again", again as u64);
    let replayed = operations.iter().filter(|op| op.replayed).count();
    counts.insert("answers replayed", replayed as u64);
    let unknown = operations.iter().filter(|op| op.outcome == Ended::Unknown).count();
    counts.insert("requests without an answer", unknown as u64);
    for (name, count) in changes_of_mind(operations) {
        counts.insert(name, count);
    }
    let expiries = history
        .entries
        .iter()
        .filter_map(|entry| codec::decode_entry(&entry.payload.0).ok());
    let expiries = expiries.flat_map(|entry| entry.commands);
    let expiries = expiries.filter(|command| matches!(command.operation, Operation::Expire { .. }));
    counts.insert("expiries", expiries.count() as u64);
    if let Some(tally) = tally {
        counts.insert(
            "snapshots installed",
            tally.of("rotunda_raft_snapshots_installed_total"),
        );
        counts.insert("truncations of a log", tally.of("rotunda_raft_log_truncations_total"));
    }
    for node in world.nodes() {
        let Some(disk) = world.disk(node) else { continue };
        let seen = disk.exercised();
        for (name, count) in [
            ("processes killed", seen.kills),
            ("losses of power", seen.power_losses),
            ("torn tails", seen.torn_tails),
            ("unsynced log batches lost", seen.log_batches_lost),
            ("unflushed state batches lost", seen.state_batches_lost),
            ("failed syncs and writes", seen.failed_syncs + seen.failed_writes),
            ("writes that found no space", seen.out_of_space),
            ("damaged places", seen.damages),
        ] {
            *counts.entry(name).or_default() += count;
        }
    }
    counts.insert("nodes lost to damage", world.lost() as u64);
    counts
}

/// What became of what was sold.
fn changes_of_mind(operations: &[Op]) -> [(&'static str, u64); 5] {
    let done = |act: Act| {
        operations
            .iter()
            .filter(move |op| op.op == act && op.outcome == Ended::Ok)
    };
    let told = |wanted: Admitted| {
        let admitted = move |op: &&Op| op.response.as_ref().and_then(|told| told.admission) == Some(wanted);
        done(Act::Admit).filter(admitted).count() as u64
    };
    let lines = done(Act::Cancel).filter(|op| !op.request.cancel.is_empty()).count();
    [
        ("exchanges", done(Act::Rebook).count() as u64),
        ("cancellations by line", lines as u64),
        ("tickets accepted", told(Admitted::Accepted)),
        ("tickets that came twice", told(Admitted::Duplicate)),
        ("merges of scans", done(Act::Merge).count() as u64),
    ]
}

/// Changes of term within the logs that were committed.
fn elections(history: &Saved) -> u64 {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut elections = 0;
    for entry in &history.entries {
        elections += u64::from(last.insert(entry.shard, entry.term) != Some(entry.term));
    }
    elections
}
