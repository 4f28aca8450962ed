//! What whoever looks is told: a [`State`] first, then a [`Tick`] each second, both as JSON. The page and `rotunda top` read
//! the same. Fields are added and never taken away; a reader ignores those that it does not know.

use serde::{Deserialize, Serialize};

/// Where a [`State`] is had.
pub const STATE_PATH: &str = "/overview/state";
/// Where the events are had: one named `state`, then one named `tick` each second.
pub const EVENTS_PATH: &str = "/overview/events";

/// Everything, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whose figures these are.
    pub process: Process,
    /// The curves, in groups that are drawn together.
    pub panels: Vec<Panel>,
    /// Milliseconds since 1970 of each second that is kept, the oldest first.
    pub times: Vec<u64>,
    /// For each curve, in the order of the panels: its value at each of the times.
    pub values: Vec<Vec<Option<f64>>>,
    /// What is so now.
    #[serde(flatten)]
    pub now: Now,
}

/// One more second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Milliseconds since 1970.
    pub time: u64,
    /// For each curve, in the order of the panels.
    pub values: Vec<Option<f64>>,
    /// What is so now.
    #[serde(flatten)]
    pub now: Now,
}

/// What has no past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// The four.
    #[serde(default)]
    pub kpis: Vec<Kpi>,
    /// Who is where; none where that is not known yet.
    #[serde(default)]
    pub map: Option<Map>,
    /// Slots that most holds ask for, the hottest first.
    #[serde(default)]
    pub hot: Vec<HotSlot>,
    /// What became of leaders and nodes, the latest first.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// `router` or `node`.
    pub kind: String,
    /// Which one.
    pub name: String,
    /// Of its binary.
    pub version: String,
}

/// Curves that are drawn together, in one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panel {
    /// As `Tickets`.
    pub title: String,
    /// What is to be seen, in a sentence.
    pub about: String,
    /// Of all its curves.
    pub unit: Unit,
    /// In order.
    pub curves: Vec<Curve>,
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Curve {
    /// As `sold out or refused`.
    pub name: String,
    /// How it is meant.
    pub tone: Tone,
}

/// What one of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Things each second.
    PerSecond,
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
}

/// How something is meant, or stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Neither here nor there.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// To be looked at.
    Warn,
    /// Not as it should be.
    Bad,
}

/// One of the four.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kpi {
    /// As `Throughput`.
    pub name: String,
    /// The figure; none where nothing was counted yet.
    pub value: Option<f64>,
    /// The figure with its unit, for people.
    pub text: String,
    /// Of what, over which time.
    pub note: String,
    /// How it stands.
    pub tone: Tone,
}

/// Who is where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// By id.
    pub nodes: Vec<Node>,
    /// By id.
    pub shards: Vec<Shard>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: u32,
    /// Its own admin port, where it is known.
    pub admin: String,
    /// Of its binary, where it is known.
    pub version: String,
    /// Whether it answered just now; none where nobody asked it.
    pub live: Option<bool>,
}

/// A shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Its id; 0 is the meta group.
    pub id: u64,
    /// The node that leads it, where one does.
    pub leader: Option<u32>,
    /// The highest Raft term that is known.
    pub term: u64,
    /// One for each node that has one.
    pub replicas: Vec<Replica>,
    /// Ids of some of its venues,
    pub venues: Vec<String>,
    /// and how many there are.
    pub venue_count: usize,
}

/// A replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its node.
    pub node: u32,
    /// Index of the last entry that it applied; none where that is not known here.
    pub applied: Option<u64>,
    /// How many committed entries it has yet to apply, as far as is known here.
    pub lag: Option<u64>,
}

/// A slot that many want.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HotSlot {
    /// Id of the venue.
    pub venue: String,
    /// Id of the slot.
    pub slot: String,
    /// Holds asked for each second, lately.
    pub per_second: f64,
    /// Their share of all, from 0 to 1.
    pub share: f64,
}

/// What became of a leader or a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Milliseconds since 1970, when it was seen.
    pub time: u64,
    /// As `shard 3: node 2 leads, after node 1`.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

impl State {
    /// Takes one more second in and drops what is older than `keep` seconds.
    pub fn take(&mut self, tick: Tick, keep: usize) {
        self.times.push(tick.time);
        for (values, value) in self.values.iter_mut().zip(tick.values) {
            values.push(value);
        }
        let surplus = self.times.len().saturating_sub(keep);
        self.times.drain(..surplus);
        for values in &mut self.values {
            let surplus = values.len().saturating_sub(keep);
            values.drain(..surplus);
        }
        self.now = tick.now;
    }
}
