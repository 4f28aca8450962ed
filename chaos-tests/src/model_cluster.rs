//! A cluster made of the rules alone, in one thread and a time of its own: it writes sound histories from a seed.
//!
//! Clients hold, confirm, extend, release, cancel and look; requests and answers get lost, leaders go, clients send again
//! under the same key and some never learn what came of it. No disk, no network and no consensus is in it: each shard is
//! one log that cannot fail. What the invariants say of its histories is therefore known, and a history with one lie in it
//! shows whether they can tell. The benchmark of the checkers feeds on it too.

pub(crate) mod catalogue;
mod clients;
mod shard;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::outcome::Reply;
use rotunda_booking::query::Query;

use self::clients::Client;
use self::shard::Shard;
use crate::history::lines::{Act, Fault, Header, Heal, Healing, Op, Phase, VERSION};
use crate::history::reader::Saved;

const MILLI: u64 = 1_000_000;
/// A client sends again after so long without an answer.
const PATIENCE: u64 = 400 * MILLI;
/// So often at most.
const ATTEMPTS: u32 = 4;
/// Expiry looks so often.
const LOOK: u64 = 250 * MILLI;
/// A leader is replaced after so long.
const ELECTION: u64 = 900 * MILLI;

/// What kind of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// Requests of clients, about.
    pub operations: usize,
    /// Clients at once.
    pub clients: usize,
    /// Shards, each with one venue.
    pub shards: u32,
    /// A leader goes every so many milliseconds; none does where it is 0.
    pub fault_every_ms: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            seed: 1,
            operations: 1_500,
            clients: 12,
            shards: 2,
            fault_every_ms: 15_000,
        }
    }
}

/// Numbers that look drawn and come from a seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Any number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.any() % end.max(1)
    }

    /// True in so many of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).unwrap_or(0))
    }
}

/// What a request asks.
#[derive(Clone, Debug)]
enum Question {
    Command(Command),
    Read(Query),
}

/// A request under way.
#[derive(Debug)]
struct Request {
    op: Op,
    question: Question,
    shard: u64,
    /// Who goes on when its fate is known; none for somebody's other device.
    client: Option<usize>,
    open: bool,
}

#[derive(Clone, Debug)]
enum Event {
    /// A client does what it does next.
    Act(usize),
    /// An attempt reaches its shard.
    Arrive(usize),
    /// A shard's leader makes an entry of what waits.
    Flush(u64),
    /// An answer reaches its client.
    Answer(usize, Box<Answer>),
    /// No answer came to the attempt of this number.
    Overdue(usize, u32),
    /// The leaders look for holds that are due.
    Look,
    /// A leader goes.
    Kill,
    /// Another takes over.
    Elected(u64, u64),
}

#[derive(Clone, Debug)]
enum Answer {
    Replied(Reply),
    Shown(u64, crate::history::answers::Told),
}

/// The cluster at work.
struct World {
    plan: Plan,
    dice: Dice,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    /// What happens at each of `events`, by its number.
    due: BTreeMap<u64, Event>,
    scheduled: u64,
    shards: BTreeMap<u64, Shard>,
    clients: Vec<Client>,
    requests: Vec<Request>,
    asked: usize,
    faults: u64,
    saved: Saved,
}

/// A sound history.
#[must_use]
pub fn history(plan: Plan) -> Saved {
    let environment = [
        ("what", "a model of a cluster".to_owned()),
        ("nodes", "3".to_owned()),
        ("shards", plan.shards.to_string()),
        ("clients", plan.clients.to_string()),
    ];
    let header = Header {
        version: VERSION,
        name: "model".to_owned(),
        seed: Some(plan.seed),
        command: format!("rotunda_chaos::model_cluster::history({plan:?})"),
        environment: environment
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text))
            .collect(),
        ..Header::default()
    };
    let days = 1 + i32::try_from(plan.operations / (plan.shards as usize * 400)).unwrap_or(0);
    let mut world = World {
        plan,
        dice: Dice::new(plan.seed),
        now: MILLI,
        events: BinaryHeap::new(),
        due: BTreeMap::new(),
        scheduled: 0,
        shards: (1..=u64::from(plan.shards))
            .map(|id| (id, Shard::new(id, days)))
            .collect(),
        clients: (0..plan.clients).map(Client::new).collect(),
        requests: Vec::new(),
        asked: 0,
        faults: 0,
        saved: Saved {
            header,
            ..Saved::default()
        },
    };
    world.run();
    world.end()
}

impl World {
    fn run(&mut self) {
        for client in 0..self.clients.len() {
            self.after(0, Event::Act(client));
        }
        self.after(LOOK, Event::Look);
        if self.plan.fault_every_ms > 0 {
            self.after(self.plan.fault_every_ms * MILLI, Event::Kill);
        }
        while let Some(Reverse((at, number))) = self.events.pop() {
            self.now = at;
            if let Some(event) = self.due.remove(&number) {
                self.happen(event);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.asked >= self.plan.operations
    }

    fn after(&mut self, nanos: u64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((self.now + nanos, self.scheduled)));
        self.due.insert(self.scheduled, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act(client) => {
                if !self.is_over() {
                    self.act(client);
                }
            }
            Event::Arrive(request) => self.arrive(request),
            Event::Flush(shard) => self.flush(shard, true),
            Event::Answer(request, answer) => self.answer(request, &answer),
            Event::Overdue(request, attempt) => self.overdue(request, attempt),
            Event::Look => {
                if !self.is_over() {
                    let now = self.now;
                    self.shards.values_mut().for_each(|shard| shard.expire(now));
                    self.after(LOOK, Event::Look);
                }
            }
            Event::Kill => self.kill(),
            Event::Elected(shard, fault) => {
                if let Some(shard) = self.shards.get_mut(&shard) {
                    shard.elect();
                }
                self.tell_fault(fault, Phase::End);
            }
        }
    }

    /// A client asks for something, or looks.
    fn act(&mut self, client: usize) {
        let next = self.clients[client].decide(&mut self.dice, &self.shards);
        let (shard, question, venue) = next;
        let name = self.clients[client].name.clone();
        let mut op = match &question {
            Question::Command(command) => Op::sent(name, command, self.now),
            Question::Read(Query::Booking { booking }) => {
                let mut op = Op::asked(name, Act::Read, Default::default(), self.now);
                op.request.booking = Some(*booking);
                op
            }
            Question::Read(_) => Op::asked(name, Act::Availability, Default::default(), self.now),
        };
        op.request.venue = Some(venue);
        self.asked += 1;
        if matches!(question, Question::Command(_)) && self.dice.percent(2) {
            let returned = self.now + MILLI;
            let turned = Op {
                status: Some(429),
                ..op.turned_away("rate_limited", returned)
            };
            self.saved.operations.push(turned);
            self.after(self.plan.clients as u64 * MILLI, Event::Act(client));
            return;
        }
        let twin = matches!(question, Question::Command(_)) && self.dice.percent(6);
        let again = matches!(question, Question::Command(_)) && self.dice.percent(6);
        let reused = self.clients[client].reuse(&mut self.dice, &question);
        self.send(op.clone(), question.clone(), shard, Some(client), 0);
        if twin || again {
            let later = if again { self.dice.below(3_000) * MILLI } else { 0 };
            let other = Op {
                client: format!("{}/{}", op.client, self.requests.len()),
                invoked_ns: self.now + later,
                ..op.clone()
            };
            self.send(other, question, shard, None, later);
        }
        if let Some(command) = reused {
            let client = format!("{}/{}", op.client, self.requests.len());
            let mut other = Op::sent(client, &command, self.now);
            other.request.venue = op.request.venue;
            self.send(other, Question::Command(command), shard, None, 0);
        }
    }

    fn send(&mut self, op: Op, question: Question, shard: u64, client: Option<usize>, later: u64) {
        self.requests.push(Request {
            op,
            question,
            shard,
            client,
            open: true,
        });
        self.attempt(self.requests.len() - 1, later);
    }

    fn attempt(&mut self, request: usize, later: u64) {
        let attempt = self.requests[request].op.attempts;
        if !self.dice.percent(2) {
            let way = later + self.way();
            self.after(way, Event::Arrive(request));
        }
        self.after(later + PATIENCE, Event::Overdue(request, attempt));
    }

    /// One way over the network.
    fn way(&mut self) -> u64 {
        MILLI / 4 + self.dice.below(3 * MILLI)
    }

    fn arrive(&mut self, number: usize) {
        let now = self.now;
        let request = &self.requests[number];
        let (id, question) = (request.shard, request.question.clone());
        let Some(shard) = self.shards.get_mut(&id).filter(|shard| shard.is_led()) else {
            return;
        };
        match question {
            Question::Command(command) => {
                if shard.propose(number, command) {
                    let linger = self.dice.below(2 * MILLI);
                    self.after(linger, Event::Flush(id));
                }
            }
            Question::Read(query) => {
                if let Some((index, told)) = shard.read(&query) {
                    let way = self.way();
                    self.after(way, Event::Answer(number, Box::new(Answer::Shown(index, told))));
                }
            }
        }
        debug_assert_eq!(now, self.now, "nothing here takes time");
    }

    /// The leader makes an entry; where it goes meanwhile, nobody hears of it.
    fn flush(&mut self, id: u64, answering: bool) {
        let now = self.now;
        let Some(shard) = self.shards.get_mut(&id) else { return };
        for (request, reply) in shard.flush(now) {
            if answering && !self.dice.percent(2) {
                let way = self.way();
                self.after(way, Event::Answer(request, Box::new(Answer::Replied(reply))));
            }
        }
    }

    fn answer(&mut self, number: usize, answer: &Answer) {
        let now = self.now;
        let request = &mut self.requests[number];
        if !std::mem::replace(&mut request.open, false) {
            return;
        }
        let op = request.op.clone();
        let op = match answer {
            Answer::Replied(reply) => op.replied(request.shard, reply, now),
            Answer::Shown(index, told) => op.shown(request.shard, *index, told.clone(), now),
        };
        if let Some(client) = request.client {
            self.clients[client].learn(&op, &request.question);
        }
        self.close(number, op);
    }

    fn overdue(&mut self, number: usize, attempt: u32) {
        let now = self.now;
        let request = &mut self.requests[number];
        if !request.open || request.op.attempts != attempt {
            return;
        }
        let read = matches!(request.question, Question::Read(_));
        if attempt < ATTEMPTS && !read {
            request.op.attempts += 1;
            self.attempt(number, 0);
        } else {
            request.open = false;
            let op = request.op.clone().given_up(now);
            self.close(number, op);
        }
    }

    fn close(&mut self, number: usize, op: Op) {
        let client = self.requests[number].client;
        self.saved.operations.push(op);
        if let Some(client) = client {
            // Some let their hold run out, and ask for its places all the same.
            let late = if self.dice.percent(3) { 61_000 } else { 0 };
            let thinking = 20 + self.dice.below(2_000);
            self.after((late + thinking) * MILLI, Event::Act(client));
        }
    }

    fn kill(&mut self) {
        if self.is_over() {
            return;
        }
        let id = 1 + self.dice.below(u64::from(self.plan.shards));
        let committed = self.dice.percent(50);
        if committed {
            self.flush(id, false);
        }
        if let Some(shard) = self.shards.get_mut(&id).filter(|shard| shard.is_led()) {
            shard.stop();
            self.faults += 1;
            let fault = self.faults;
            self.tell_fault(fault, Phase::Begin);
            self.after(ELECTION, Event::Elected(id, fault));
        }
        self.after(self.plan.fault_every_ms * MILLI, Event::Kill);
    }

    fn tell_fault(&mut self, id: u64, phase: Phase) {
        self.saved.faults.push(Fault {
            line: 0,
            id,
            fault: "kill".to_owned(),
            target: "a leader".to_owned(),
            phase,
            at_ns: self.now,
        });
    }

    fn end(mut self) -> Saved {
        let heal = |phase, at_ns| Heal { line: 0, phase, at_ns };
        self.saved.heals.push(heal(Healing::Begin, self.now));
        self.saved.heals.push(heal(Healing::Served, self.now + 700 * MILLI));
        for shard in self.shards.into_values() {
            shard.end(&mut self.saved);
        }
        self.saved.renumber();
        self.saved
    }
}

/// A command of a client.
fn command(dice: &mut Dice, venue: VenueNo, operation: Operation) -> Command {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&dice.any().to_be_bytes());
    key[8..].copy_from_slice(&dice.any().to_be_bytes());
    Command {
        key: Some(rotunda_booking::ids::CommandKey(key)),
        fingerprint: dice.any(),
        venue,
        actor: None,
        operation,
    }
}
