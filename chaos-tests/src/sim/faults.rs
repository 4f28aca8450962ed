//! What goes wrong in a simulation: which faults there are, when they come and when they are over. Faults overlap.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rotunda_raft_storage::sim::{Access, Damage, SimDisk};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::chance::Chance;
use super::net::{HostId, Weather};
use super::visitors::Notes;
use super::world::World;
use crate::history::lines::{Fault, Line, Phase};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A node's process is killed; it is started again later.
    Kill,
    /// Every process is killed.
    KillAll,
    /// A machine loses power: what was not synced is gone, or torn.
    PowerLoss,
    /// All machines lose power.
    PowerLossAll,
    /// A process is stopped and goes on later.
    Pause,
    /// A node is cut off from all others.
    Partition,
    /// A node's messages do not come through, those to it do.
    OneWay,
    /// Two nodes do not reach each other; a third reaches both.
    Bridge,
    /// Frames are late and lost, calls arrive twice.
    Flaky,
    /// A narrow link.
    SlowLink,
    /// Connections between two nodes break.
    Reset,
    /// A wall clock jumps.
    ClockJump,
    /// Every sync of a disk takes long.
    SlowSync,
    /// A disk is full.
    DiskFull,
    /// A sync or a write fails.
    DiskError,
    /// A machine loses power, and a bit of what it had written is another when it comes back.
    Damage,
}

/// All of them.
pub const CLASSES: [Class; 16] = [
    Class::Kill,
    Class::KillAll,
    Class::PowerLoss,
    Class::PowerLossAll,
    Class::Pause,
    Class::Partition,
    Class::OneWay,
    Class::Bridge,
    Class::Flaky,
    Class::SlowLink,
    Class::Reset,
    Class::ClockJump,
    Class::SlowSync,
    Class::DiskFull,
    Class::DiskError,
    Class::Damage,
];

impl Class {
    /// As it stands in histories and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Class::Kill => "kill",
            Class::KillAll => "kill-all",
            Class::PowerLoss => "power-loss",
            Class::PowerLossAll => "power-loss-all",
            Class::Pause => "pause",
            Class::Partition => "partition",
            Class::OneWay => "one-way",
            Class::Bridge => "bridge",
            Class::Flaky => "flaky",
            Class::SlowLink => "slow-link",
            Class::Reset => "reset",
            Class::ClockJump => "clock-jump",
            Class::SlowSync => "slow-sync",
            Class::DiskFull => "disk-full",
            Class::DiskError => "disk-error",
            Class::Damage => "damage",
        }
    }

    /// What is counted when the fault was felt, where to have been dealt does not mean that it was.
    #[must_use]
    pub fn felt_as(self) -> Option<&'static str> {
        match self {
            Class::Flaky => Some("frames lost"),
            Class::Reset => Some("connections broken"),
            Class::DiskFull => Some("writes that found no space"),
            Class::DiskError => Some("failed syncs and writes"),
            Class::Damage => Some("damaged places"),
            _ => None,
        }
    }

    /// The class of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        CLASSES.into_iter().find(|class| class.name() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One fault of a schedule. Everything about it is drawn before the run, so that a schedule with one fault less is else the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What.
    pub class: Class,
    /// When it begins, in milliseconds after the doors have opened.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds.
    pub lasts_ms: u64,
    /// The node that it is about, from 1.
    pub node: u32,
    /// The other node, where there are two.
    pub other: u32,
    /// Whatever else is to be chosen.
    pub choice: u64,
}

/// Draws the faults of a run.
#[must_use]
pub fn schedule(mut chance: Chance, span: Duration, nodes: u32, classes: &[Class]) -> Vec<Planned> {
    let mut planned = Vec::new();
    let mut at_ms = 0;
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    loop {
        at_ms += chance.between(500, 12_000);
        if at_ms >= span_ms {
            return planned;
        }
        let Some(class) = chance.pick(classes).copied() else {
            return planned;
        };
        // Who is damaged may stay away for good, and after that every further fault is an outage: late in the run.
        if class == Class::Damage && at_ms < span_ms / 4 * 3 {
            continue;
        }
        let node = 1 + u32::try_from(chance.below(nodes as usize)).unwrap_or(0);
        let step = 1 + u32::try_from(chance.below(nodes.saturating_sub(1).max(1) as usize)).unwrap_or(0);
        planned.push(Planned {
            class,
            at_ms,
            lasts_ms: chance.between(200, 15_000),
            node,
            other: 1 + (node - 1 + step) % nodes,
            choice: chance.number(),
        });
    }
}

/// Carries a schedule out.
pub struct Nemesis {
    notes: Notes,
    /// Hosts of visitors.
    visitors: Vec<HostId>,
    next: u64,
    /// Faults that are on: how each is to be ended.
    on: BTreeMap<u64, Planned>,
    counts: BTreeMap<Class, u64>,
}

impl Nemesis {
    /// That has done nothing yet.
    #[must_use]
    pub fn new(notes: Notes, visitors: Vec<HostId>) -> Self {
        Self {
            notes,
            visitors,
            next: 1,
            on: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// How often each class was done.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<Class, u64> {
        &self.counts
    }

    fn note(&self, world: &World, id: u64, planned: &Planned, phase: Phase) {
        self.notes.write(Line::Fault(Fault {
            line: 0,
            id,
            fault: planned.class.name().to_owned(),
            target: match planned.class {
                Class::KillAll | Class::PowerLossAll => "all nodes".to_owned(),
                Class::OneWay | Class::Bridge | Class::Reset => format!("nodes {} and {}", planned.node, planned.other),
                _ => format!("node {}", planned.node),
            },
            phase,
            at_ns: world.now_ns(),
        }));
    }

    /// Begins a fault; gives its number, by which it is ended. `None` where there is nobody whom it could befall.
    pub fn begin(&mut self, world: &mut World, planned: Planned) -> Option<u64> {
        let possible = match planned.class {
            Class::Kill | Class::Pause => world.is_up(planned.node),
            Class::Damage => world.may_damage(planned.node),
            _ => true,
        };
        if !possible {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.note(world, id, &planned, Phase::Begin);
        *self.counts.entry(planned.class).or_default() += 1;
        let node = planned.node;
        match planned.class {
            Class::Kill => world.kill(node),
            Class::KillAll => world.nodes().into_iter().for_each(|node| world.kill(node)),
            Class::PowerLoss => world.lose_power(node),
            Class::PowerLossAll => world.nodes().into_iter().for_each(|node| world.lose_power(node)),
            Class::Pause => world.pause(node, true),
            Class::Partition | Class::OneWay | Class::Bridge | Class::Flaky | Class::SlowLink => {
                self.on.insert(id, planned);
                self.weather(world);
                return Some(id);
            }
            Class::Reset => world.net().reset(node, planned.other),
            Class::ClockJump => world.set_skew(node, jump(planned.choice)),
            Class::SlowSync => {
                if let Some(disk) = world.disk(node) {
                    disk.set_sync_takes(Duration::from_millis(20 + planned.choice % 400));
                }
            }
            Class::DiskFull => {
                if let Some(disk) = world.disk(node) {
                    disk.set_bytes_left(Some(planned.choice % 65_536));
                }
            }
            Class::DiskError => {
                if let Some(disk) = world.disk(node) {
                    let access = if planned.choice.is_multiple_of(2) {
                        Access::Sync
                    } else {
                        Access::Write
                    };
                    disk.fail_after(access, planned.choice % 50);
                }
            }
            Class::Damage => {
                const KINDS: [Damage; 5] = [
                    Damage::LogBit,
                    Damage::LogBlock,
                    Damage::StateBlock,
                    Damage::LogTail,
                    Damage::Mark,
                ];
                let kind = KINDS[(planned.choice % KINDS.len() as u64) as usize];
                world.damage(node, kind, planned.choice / KINDS.len() as u64);
            }
        }
        self.on.insert(id, planned);
        Some(id)
    }

    /// Waits for the worst moment, not for long: half of the losses of power come in the middle of a sync, where a machine
    /// spends little of its time.
    pub async fn lie_in_wait(&self, world: &World, planned: &Planned) {
        // The finest that timers know. Meanwhile no fault ends and nobody is started: that is part of the worst.
        const STEP: Duration = Duration::from_millis(1);
        const STEPS: u32 = 2_000;
        let whom = match planned.class {
            Class::PowerLoss | Class::Damage => vec![planned.node],
            Class::PowerLossAll => world.nodes(),
            _ => return,
        };
        let is_syncing = || {
            whom.iter()
                .filter_map(|node| world.disk(*node))
                .any(SimDisk::has_pending)
        };
        let mut left = if planned.choice.is_multiple_of(2) { STEPS } else { 0 };
        while left > 0 && !is_syncing() {
            sleep(STEP).await;
            left -= 1;
        }
    }

    /// Ends a fault.
    pub fn end(&mut self, world: &mut World, id: u64) {
        let Some(planned) = self.on.remove(&id) else { return };
        let node = planned.node;
        match planned.class {
            Class::Kill | Class::PowerLoss | Class::Damage => world.start(node),
            Class::KillAll | Class::PowerLossAll => world.nodes().into_iter().for_each(|node| world.start(node)),
            Class::Pause => world.pause(node, false),
            Class::Partition | Class::OneWay | Class::Bridge | Class::Flaky | Class::SlowLink => self.weather(world),
            Class::Reset => {}
            Class::ClockJump => world.set_skew(node, 0),
            Class::SlowSync | Class::DiskFull | Class::DiskError => world.heal_disk(node),
        }
        self.note(world, id, &planned, Phase::End);
    }

    /// Ends every fault, and starts what is down.
    pub fn heal(&mut self, world: &mut World) {
        let on: Vec<u64> = self.on.keys().copied().collect();
        for id in on {
            self.end(world, id);
        }
        world.net().clear_up();
        for node in world.nodes() {
            world.heal_disk(node);
            world.set_skew(node, 0);
            world.pause(node, false);
            world.start(node);
        }
    }

    /// Makes the weather of the faults that are on: those of the same link add up.
    fn weather(&self, world: &World) {
        let net = world.net();
        net.clear_up();
        let mut links: BTreeMap<(u32, u32), Weather> = BTreeMap::new();
        for planned in self.on.values() {
            let (node, other) = (planned.node, planned.other);
            // Half of the time a node's visitors share its fate; else they still reach it, and it must not mislead them.
            let visitors = self.visitors.iter().copied();
            let visitors = visitors.filter(|_| planned.choice.is_multiple_of(2));
            let all = |from: bool, to: bool| {
                let others = world.nodes().into_iter().filter(move |peer| *peer != node);
                let others = others.chain(visitors.clone());
                others.flat_map(move |peer| {
                    let out = from.then_some((node, peer));
                    out.into_iter().chain(to.then_some((peer, node)))
                })
            };
            let touched: Vec<(u32, u32)> = match planned.class {
                Class::Partition | Class::Flaky => all(true, true).collect(),
                Class::OneWay => all(true, false).collect(),
                Class::Bridge | Class::SlowLink => vec![(node, other), (other, node)],
                _ => continue,
            };
            for link in touched {
                let weather = links.entry(link).or_default();
                match planned.class {
                    Class::Flaky => {
                        weather.delay_max = Duration::from_millis(5 + planned.choice % 150);
                        weather.loss = 20 + u32::try_from(planned.choice / 7 % 200).unwrap_or(0);
                        weather.twice = 100;
                    }
                    Class::SlowLink => {
                        weather.bytes_per_second = Some(8_000 + u32::try_from(planned.choice % 64_000).unwrap_or(0));
                    }
                    _ => weather.cut = true,
                }
            }
        }
        for ((from, to), weather) in links {
            net.set_weather(from, to, Some(weather));
        }
    }
}

/// Seconds or hours, ahead or behind.
fn jump(choice: u64) -> i64 {
    let size = [700, 5_000, 90_000, 7_200_000][(choice % 4) as usize];
    if (choice / 4).is_multiple_of(2) { size } else { -size }
}
