//! Carries faults out on a cluster of real processes and mends them, notes each with its begin and end, and looks whether it
//! had its effect: a fault that nobody felt proves nothing.
//!
//! Faults overlap. A node is up when no fault holds it down; rules of the network have the number of their fault.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::damage::Damage;
use super::fault::Fault;
use super::notes::Notes;
use super::storm::Storm;
use crate::cluster::Cluster;
use crate::history::Recorder;
use crate::history::lines::{self, Line, Phase};
use crate::lab::capabilities::Capabilities;
use crate::lab::network::{Host, Rule};
use crate::lab::proxy::{Proxy, Weather};
use crate::process::describe;

/// What a full disk has left: less than an entry takes to be written ahead.
const LEFT: u64 = 64 << 10;
/// What a node says last that found no room (ENOSPC's words).
const NO_SPACE: &str = "No space left on device";
/// How long a node that was asked to may take to end in order.
const DRAIN: Duration = Duration::from_secs(30);

/// How often a class of faults was dealt, and how often it was felt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Begun.
    pub begun: u64,
    /// Begun, and seen to have had an effect.
    pub felt: u64,
}

/// See the module.
pub struct Nemesis {
    /// What is broken.
    pub cluster: Cluster,
    able: Capabilities,
    notes: Notes,
    recorder: Recorder,
    hot: crate::selling::Offer,
    next: u64,
    active: BTreeMap<u64, Active>,
    down: BTreeMap<u32, BTreeSet<u64>>,
    router_down: BTreeSet<u64>,
    tally: BTreeMap<&'static str, Tally>,
    deaths: Vec<String>,
    /// Have ended, and no supervisor has heard of it.
    unsupervised: Vec<u32>,
}

/// A fault under way, with what it takes to mend it.
struct Active {
    fault: Fault,
    /// The counter at the beginning that must have moved at the end.
    before: u32,
    proxy: Option<Proxy>,
    damage: Option<Damage>,
    /// A damaged node never served since.
    refused: bool,
    storm: Option<Storm>,
    felt: bool,
}

impl Nemesis {
    /// Nothing is broken yet.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        able: Capabilities,
        notes: Notes,
        recorder: Recorder,
        hot: crate::selling::Offer,
    ) -> Self {
        Nemesis {
            cluster,
            able,
            notes,
            recorder,
            hot,
            next: 1,
            active: BTreeMap::new(),
            down: BTreeMap::new(),
            router_down: BTreeSet::new(),
            tally: BTreeMap::new(),
            deaths: Vec::new(),
            unsupervised: Vec::new(),
        }
    }

    /// Faults by class.
    #[must_use]
    pub fn tally(&self) -> &BTreeMap<&'static str, Tally> {
        &self.tally
    }

    /// Nodes that ended by themselves, and why, as far as they said.
    #[must_use]
    pub fn deaths(&self) -> &[String] {
        &self.deaths
    }

    /// Breaks something; gives the number under which it is mended.
    ///
    /// # Errors
    /// Where the machine cannot, or the harness does not get it done.
    pub async fn begin(&mut self, fault: Fault) -> Result<u64, String> {
        if let Some(missing) = fault.need().and_then(|need| self.able.missing(need)) {
            return Err(format!("{fault} is not covered here: {missing}"));
        }
        let id = self.next;
        self.next += 1;
        self.tally.entry(fault.class()).or_default().begun += 1;
        self.note(id, &fault, Phase::Begin);
        let mut active = Active {
            before: self.counter(&fault),
            fault,
            proxy: None,
            damage: None,
            refused: true,
            storm: None,
            felt: false,
        };
        let done = self.do_it(id, &mut active).await;
        let what = active.fault.to_string();
        self.active.insert(id, active);
        done.map_err(|error| format!("{what} could not be dealt: {error}"))?;
        Ok(id)
    }

    async fn do_it(&mut self, id: u64, active: &mut Active) -> Result<(), String> {
        match &active.fault {
            Fault::Kill(node) => {
                self.hold_down(id, *node);
                active.felt = true;
            }
            Fault::KillAll => {
                for node in self.cluster.nodes() {
                    self.hold_down(id, node);
                }
                active.felt = true;
            }
            Fault::Restart(node) => {
                let node = *node;
                if self.cluster.is_up(node) {
                    self.cluster.process(node).signal_to_end();
                    // Other faults may keep it from ending; then it is killed like everything that hangs.
                    let deadline = Instant::now() + DRAIN;
                    while self.cluster.is_up(node) && Instant::now() < deadline {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    active.felt = !self.cluster.is_up(node);
                }
                self.hold_down(id, node);
            }
            Fault::Pause(node) => {
                if self.cluster.is_up(*node) {
                    self.cluster.pause(*node);
                    active.felt = true;
                }
            }
            Fault::KillRouter => {
                self.cluster.kill_router();
                self.router_down.insert(id);
                active.felt = true;
            }
            Fault::PowerLoss(nodes) => {
                for node in nodes {
                    self.down.entry(*node).or_default().insert(id);
                }
                tokio::task::block_in_place(|| self.cluster.lose_power(nodes))?;
                active.felt = true;
            }
            Fault::DiskFull(node) => {
                let volume = self.cluster.volume(*node).ok_or("it has no disk of its own")?;
                volume.fill(LEFT)?;
            }
            Fault::FailedSync(node, file) => self.cluster.orders(*node).fail_next_sync(file),
            Fault::SlowSync(node, by) => self.cluster.orders(*node).delay_syncs(*by),
            Fault::ClockJump(node, ms) => self.cluster.orders(*node).put_clock_off(*ms),
            Fault::Damage(node, part) => {
                let (node, part) = (*node, *part);
                self.hold_down(id, node);
                let damage = Damage::do_to(&self.cluster.data(node), part)?;
                active.damage = Some(damage);
            }
            Fault::Storm => active.storm = Some(Storm::start(&self.cluster.door(), &self.hot, &self.recorder)),
            Fault::Late(from, to, ms) => {
                let delay = Duration::from_millis(u64::from(*ms));
                let weather = Weather::Late { delay, jitter: delay };
                active.proxy = Some(self.detour(id, *from, *to, weather).await?);
            }
            Fault::HalfOpen(from, to) => {
                active.proxy = Some(self.detour(id, *from, *to, Weather::HalfOpen).await?);
            }
            fault => {
                let rules = rules(fault, &self.cluster.nodes());
                let network = self.cluster.network_mut().ok_or("there is no network")?;
                network.apply(id, rules)?;
            }
        }
        Ok(())
    }

    async fn detour(&mut self, id: u64, from: u32, to: u32, weather: Weather) -> Result<Proxy, String> {
        let target = self.cluster.grpc(to);
        let network = self.cluster.network_mut().ok_or("there is no network")?;
        let any = SocketAddr::new(network.harness(), 0);
        let proxy = Proxy::open(any, target, weather)
            .await
            .map_err(|error| error.to_string())?;
        let rule = Rule::Detour {
            from: Host::Node(from),
            to: target,
            via: proxy.address(),
        };
        network.apply(id, vec![rule])?;
        Ok(proxy)
    }

    fn hold_down(&mut self, id: u64, node: u32) {
        self.down.entry(node).or_default().insert(id);
        self.cluster.kill(node);
    }

    /// What a node counts of the fault's doings.
    fn counter(&self, fault: &Fault) -> u32 {
        match fault {
            Fault::FailedSync(node, _) => self.cluster.orders(*node).failed_syncs(),
            Fault::SlowSync(node, _) => self.cluster.orders(*node).delayed_syncs(),
            Fault::ClockJump(node, _) => self.cluster.orders(*node).clock_reads(),
            _ => 0,
        }
    }

    /// Notes that a fault had its effect, where the one who waits for it knows better than a counter.
    pub fn felt(&mut self, id: u64) {
        if let Some(active) = self.active.get_mut(&id) {
            active.felt = true;
        }
    }

    /// Notes that a damaged node has served since: it may have voted, and keeps what it has.
    pub fn served_in_spite(&mut self, id: u64) {
        if let Some(active) = self.active.get_mut(&id) {
            active.refused = false;
        }
    }

    /// What was damaged by a fault that is on.
    #[must_use]
    pub fn damaged_at(&self, id: u64) -> Option<String> {
        Some(self.active.get(&id)?.damage.as_ref()?.place())
    }

    /// Mends something.
    ///
    /// # Errors
    /// Where that does not get done.
    pub async fn end(&mut self, id: u64) -> Result<(), String> {
        // A node that it has ended ended while it was on.
        self.reap();
        let Some(mut active) = self.active.remove(&id) else {
            return Ok(());
        };
        let moved = self.counter(&active.fault) > active.before;
        let mended = self.mend(id, &mut active).await;
        let carried = active.proxy.as_ref().is_some_and(|proxy| proxy.carried() > 0);
        if active.felt || moved || carried {
            self.tally.entry(active.fault.class()).or_default().felt += 1;
        }
        self.note(id, &active.fault, Phase::End);
        mended.map_err(|error| format!("{} could not be mended: {error}", active.fault))
    }

    async fn mend(&mut self, id: u64, active: &mut Active) -> Result<(), String> {
        match &active.fault {
            Fault::Pause(node) => self.go_on(*node),
            Fault::KillRouter => {
                self.router_down.remove(&id);
                if self.router_down.is_empty() && !self.cluster.router().is_started() {
                    self.cluster.start_router();
                }
            }
            Fault::DiskFull(node) => {
                // A loss of power may have given the room back already.
                let freed = self.cluster.volume(*node).map(crate::lab::volume::Volume::free);
                drop(freed);
            }
            Fault::FailedSync(node, _) => self.cluster.orders(*node).fail_no_sync(),
            Fault::SlowSync(node, _) => self.cluster.orders(*node).delay_syncs(Duration::ZERO),
            Fault::ClockJump(node, _) => self.cluster.orders(*node).put_clock_off(0),
            Fault::Damage(node, _) => {
                let node = *node;
                if self.cluster.is_up(node) {
                    self.cluster.kill(node);
                }
                self.reap();
                if let Some(damage) = &active.damage {
                    damage.undo(active.refused)?;
                }
            }
            Fault::Storm => {
                if let Some(storm) = active.storm.take() {
                    active.felt = storm.stop().await > 0;
                }
            }
            _ => {}
        }
        if let Some(network) = self.cluster.network_mut() {
            active.felt |= network.lift(id)? > 0;
        }
        self.release(id);
        Ok(())
    }

    /// A paused node goes on, where nothing else has ended it.
    fn go_on(&mut self, node: u32) {
        if self.cluster.is_up(node) {
            self.cluster.resume(node);
        }
    }

    /// Starts the nodes that nothing holds down any more.
    fn release(&mut self, id: u64) {
        self.down.retain(|_, by| {
            by.remove(&id);
            !by.is_empty()
        });
        self.supervise();
    }

    /// Starts a node while a fault that brought it down is on.
    pub fn start_in_spite(&mut self, node: u32) {
        self.reap();
        if !self.cluster.process(node).is_started() {
            self.cluster.start_node(node);
        }
    }

    /// Nodes that ended by themselves since the last time; what they said last is kept.
    pub fn reap(&mut self) -> Vec<u32> {
        let ended = self.cluster.reap();
        for (node, status) in &ended {
            let tail = self.cluster.process(*node).tail();
            let said = tail
                .lines()
                .rev()
                .find(|line| line.contains("rotunda"))
                .or_else(|| tail.lines().last())
                .unwrap_or("nothing");
            // Whoever looks first, the death is the fault's.
            let full = self
                .active
                .values_mut()
                .filter(|active| active.fault == Fault::DiskFull(*node));
            for active in full {
                active.felt |= said.contains(NO_SPACE);
            }
            self.deaths.push(format!("node {node}: {}: {said}", describe(*status)));
        }
        let nodes: Vec<u32> = ended.into_iter().map(|(node, _)| node).collect();
        self.unsupervised.extend(&nodes);
        nodes
    }

    /// SIGKILL to a node that nothing holds down: it is for a supervisor to start it again.
    pub fn crash(&mut self, node: u32) {
        self.cluster.kill(node);
        self.unsupervised.push(node);
    }

    /// Nodes that have ended since the last time, whoever saw it first.
    pub fn take_ended(&mut self) -> Vec<u32> {
        self.reap();
        std::mem::take(&mut self.unsupervised)
    }

    /// As a supervisor does: starts what has ended by itself and is not held down.
    pub fn supervise(&mut self) {
        self.reap();
        self.start_all_free();
    }

    fn start_all_free(&mut self) {
        for node in self.cluster.nodes() {
            if !self.down.contains_key(&node) && !self.cluster.process(node).is_started() {
                self.cluster.start_node(node);
            }
        }
    }

    /// Mends everything; the last one's error is what is told.
    ///
    /// # Errors
    /// Where something does not get mended.
    pub async fn heal(&mut self) -> Result<(), String> {
        let mut told = Ok(());
        for id in self.active.keys().copied().collect::<Vec<_>>() {
            if let Err(error) = self.end(id).await {
                told = Err(error);
            }
        }
        self.supervise();
        told
    }

    fn note(&self, id: u64, fault: &Fault, phase: Phase) {
        self.notes.write(&Line::Fault(lines::Fault {
            line: 0,
            id,
            fault: fault.class().to_owned(),
            target: fault.target(),
            phase,
            at_ns: self.notes.now_ns(),
        }));
    }
}

/// The rules of the network that make a fault.
fn rules(fault: &Fault, nodes: &[u32]) -> Vec<Rule> {
    let others = |node: u32| nodes.iter().copied().filter(move |other| *other != node);
    let drop = |from: Host, at: Host| Rule::Drop { from, at };
    match fault {
        Fault::Partition(one, other) => {
            let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
            pairs.flat_map(|(a, b)| [drop(a, b), drop(b, a)]).collect()
        }
        Fault::Bridge(one, other) => {
            let (one, other) = (Host::Node(*one), Host::Node(*other));
            vec![drop(one, other), drop(other, one)]
        }
        Fault::Mute(node) => others(*node)
            .map(|other| drop(Host::Node(*node), Host::Node(other)))
            .collect(),
        Fault::Deaf(node) => others(*node)
            .map(|other| drop(Host::Node(other), Host::Node(*node)))
            .collect(),
        Fault::Lossy(percent) => nodes
            .iter()
            .flat_map(|one| {
                others(*one).map(|other| Rule::Lose {
                    from: Host::Node(*one),
                    at: Host::Node(other),
                    percent: *percent,
                })
            })
            .collect(),
        Fault::Narrow(node, kilobits) => vec![Rule::Narrow {
            host: Host::Node(*node),
            kilobits: *kilobits,
        }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_cuts_both_directions_and_one_way_only_one() {
        let (one, two, router) = (Host::Node(1), Host::Node(2), Host::Router);
        let cut = rules(&Fault::Partition(vec![one], vec![two, router]), &[1, 2, 3]);
        assert_eq!(cut.len(), 4);
        assert!(cut.contains(&Rule::Drop { from: router, at: one }));
        let mute = rules(&Fault::Mute(1), &[1, 2, 3]);
        assert!(
            mute.iter()
                .all(|rule| matches!(rule, Rule::Drop { from, .. } if *from == one)),
            "{mute:?}"
        );
        assert_eq!(rules(&Fault::Lossy(30), &[1, 2, 3]).len(), 6);
    }
}
