//! After the faults: does what the visitors were told agree with what the cluster holds, on every replica?
//!
//! [`Audit::run`] waits until the replicas agree, reads the whole log of every shard from every node, and then checks,
//! by numbers of `reliability.md`:
//! - the logs are the same on every replica, without gaps, and replaying them over an empty map gives the state hash
//!   that every replica reports (I3, I11): whatever the replay shows is on all of them;
//! - `model`, which counts by hand, finds no pool above capacity at any index, no key with two effects, no illegal change
//!   of state (I1, I2, I4, I5);
//! - every acknowledged request is in the log at the index it was acknowledged with, and its booking is as the answer and
//!   the later requests left it (I3); nothing took effect that nobody asked for;
//! - a replay was the same bytes (I2); a request that was turned away is not in the log (I13).

pub(crate) mod keys;
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use rotunda_booking::codec;
use rotunda_booking::ids::{BookingId, CommandKey, VenueNo};
use rotunda_booking::inventory::{Inventory, Limits};
use rotunda_booking::outcome::{BookingStatus, BookingView, Outcome};
use rotunda_booking::queries;
use rotunda_booking::query::{Answer, Query};
use rotunda_booking::rows::MapRows;
use rotunda_protocol::client::LogEntry;

use self::keys::command_key;
use self::model::{Counts, Model};
use crate::cluster::Cluster;
use crate::history::{Deed, History, Record};
use crate::visitor::Answer as HttpAnswer;
use crate::wait;

/// So many findings are shown; the first ones tell the most.
const SHOWN: usize = 25;

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    counts: Counts,
    shards: usize,
    log_entries: usize,
    replicas: usize,
    acknowledged: BTreeMap<Deed, usize>,
    refused: BTreeMap<String, usize>,
    unknown: usize,
    repeated: usize,
    attempts: u64,
    turned_away: usize,
    fullest_percent: u64,
    full_slots: usize,
    wrong: Vec<String>,
}

/// One shard, replayed.
struct Shard {
    model: Model,
    /// In a map: what RocksDB does to the rows is part of what is audited, so it has no say here.
    rows: MapRows,
}

impl Audit {
    /// Audits a cluster at rest against what its visitors were told.
    ///
    /// # Panics
    /// Where the replicas never come to agree or a log cannot be read.
    pub async fn run(cluster: &mut Cluster, history: &History) -> Self {
        cluster.until_settled().await;
        let mut audit = Audit::default();
        let mut shards = BTreeMap::new();
        for shard in cluster.shards() {
            let replayed = audit.replay(cluster, shard).await;
            audit.shards += 1;
            audit.add(&replayed.model);
            shards.insert(shard, replayed);
        }
        audit.join(cluster, history, &shards);
        audit
    }

    /// Fails the test where something does not agree.
    ///
    /// # Panics
    /// Where something does not.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert!(self.wrong.is_empty(), "{self}");
    }

    /// What does not agree, in words. Empty where all is well.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.wrong
    }

    /// Number of holds in the log that took places.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.counts.holds
    }

    /// Number of requests that were turned away without effect.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        self.turned_away
    }

    /// Number of keys sent again whose answers were compared.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// Slots sold to the last place.
    #[must_use]
    pub fn full_slots(&self) -> usize {
        self.full_slots
    }

    fn add(&mut self, model: &Model) {
        let (all, one) = (&mut self.counts, &model.counts);
        all.entries += one.entries;
        all.commands += one.commands;
        all.holds += one.holds;
        all.confirms += one.confirms;
        all.releases += one.releases;
        all.expiries += one.expiries;
        all.refusals += one.refusals;
        all.sold_out += one.sold_out;
        all.replays += one.replays;
        let (fullest, full) = model.fullest();
        self.fullest_percent = self.fullest_percent.max(fullest);
        self.full_slots += full;
    }

    /// Reads a shard's log from all its replicas and applies it to nothing.
    async fn replay(&mut self, cluster: &Cluster, shard: u64) -> Shard {
        // The state that each replica reports, then the logs: they may have grown meanwhile, never shrunk.
        let replicas = cluster.replicas_of(shard).await;
        self.replicas += replicas.len();
        let mut logs = Vec::new();
        for (node, _) in &replicas {
            logs.push((*node, read_log(cluster, *node, shard).await));
        }
        let (_, log) = logs.iter().max_by_key(|(_, log)| log.len()).expect("a replica");
        for (node, other) in &logs {
            if let Some((mine, theirs)) = log.iter().zip(other).find(|(mine, theirs)| mine != theirs) {
                self.wrong.push(format!(
                    "shard {shard}: node {node} has another entry at index {} (term {}, not {})",
                    theirs.index, theirs.term, mine.term
                ));
            }
        }
        let (mut rows, mut model) = (MapRows::new(), Model::default());
        let mut inventory = Inventory::new(Limits::default());
        inventory.load(&rows).expect("an empty shard");
        let mut hashes = BTreeMap::new();
        let wanted: BTreeSet<u64> = replicas.iter().map(|(_, replica)| replica.applied).collect();
        let mut next = log.first().map_or(1, |entry| entry.index);
        if next > 1 {
            self.wrong.push(format!(
                "shard {shard}: the log begins at index {next}, the rest is purged"
            ));
        }
        for entry in log {
            if entry.index != next {
                self.wrong
                    .push(format!("shard {shard}: index {next} is missing in the log"));
            }
            next = entry.index + 1;
            if !entry.payload.is_empty() {
                let decoded = codec::decode_entry(&entry.payload).expect("an entry of the log");
                let replies = inventory
                    .apply(&mut rows, entry.index, &decoded)
                    .expect("apply over a map");
                rows.commit();
                let found = model.observe(entry.index, &decoded, &replies);
                self.wrong
                    .extend(found.into_iter().map(|text| format!("shard {shard} {text}")));
                self.log_entries += 1;
            }
            if wanted.contains(&entry.index) {
                hashes.insert(entry.index, inventory.state_hash());
            }
        }
        for (node, replica) in &replicas {
            if hashes.get(&replica.applied) != Some(&replica.state_hash) {
                self.wrong.push(format!(
                    "shard {shard}: node {node} reports state {:02x?} at index {}, the log gives {:02x?}",
                    replica.state_hash,
                    replica.applied,
                    hashes.get(&replica.applied)
                ));
            }
        }
        Shard { model, rows }
    }

    /// Joins what the visitors were told with the log.
    fn join(&mut self, cluster: &Cluster, history: &History, shards: &BTreeMap<u64, Shard>) {
        let map = cluster.client().map();
        let venues: BTreeMap<&str, (VenueNo, u64)> = map
            .venues()
            .iter()
            .map(|venue| (venue.slug.as_str(), (venue.number, venue.shard)))
            .collect();
        let mut expected: BTreeMap<BookingId, (BookingStatus, &Record)> = BTreeMap::new();
        let mut asked: BTreeSet<CommandKey> = BTreeSet::new();
        self.unknown = history.unknown().count();
        for record in &history.records {
            self.attempts += u64::from(record.settled.attempts);
            let (number, shard) = venues[record.venue.as_str()];
            let key = command_key(record.deed, number, &record.key);
            asked.insert(key);
            let Some(answer) = record.settled.answer() else {
                continue;
            };
            self.check_answer(record, answer, key, shard, &shards[&shard]);
            if !answer.is_success() {
                continue;
            }
            let Some(id) = booking_of(answer) else {
                self.wrong
                    .push(format!("{} was acknowledged without a booking: {answer:?}", record.key));
                continue;
            };
            let status = match record.deed {
                Deed::Hold | Deed::Extend => BookingStatus::Held,
                Deed::Confirm => BookingStatus::Confirmed,
                Deed::Release => BookingStatus::Released,
            };
            // Requests about one booking were made one after the other, so the last one is what it came to.
            expected.insert(id, (status, record));
        }
        // A request about a booking whose fate nobody knows leaves open what the booking came to.
        let open: BTreeSet<&str> = history
            .unknown()
            .filter_map(|record| record.booking.as_deref())
            .collect();
        for (id, (status, record)) in expected
            .iter()
            .filter(|(id, _)| !open.contains(id.to_string().as_str()))
        {
            self.check_booking(*id, *status, record, &shards[&venues[record.venue.as_str()].1]);
        }
        self.check_origins(history, &expected, shards);
        self.check_replays(history);
        for turned in &history.turned_away {
            self.turned_away += 1;
            let (number, shard) = venues[turned.venue.as_str()];
            let key = command_key(turned.deed, number, &turned.key);
            if let Some(index) = shards[&shard].model.index_of(key) {
                self.wrong.push(format!(
                    "{} was turned away with {} and is in the log at {index}",
                    turned.key, turned.status
                ));
            }
        }
    }

    /// A definite answer must be what the log says under that key, at the index that the answer names.
    fn check_answer(&mut self, record: &Record, answer: &HttpAnswer, key: CommandKey, shard: u64, replayed: &Shard) {
        if answer.is_success() {
            *self.acknowledged.entry(record.deed).or_default() += 1;
        } else {
            *self
                .refused
                .entry(format!("{} {}", answer.status, answer.code()))
                .or_default() += 1;
        }
        let what = format!("{:?} {} at {}", record.deed, record.key, record.venue);
        let Some(index) = replayed.model.index_of(key) else {
            self.wrong.push(format!(
                "LOST: {what} was answered {} and is not in the log",
                answer.status
            ));
            return;
        };
        if answer.commit != Some((shard, index)) {
            self.wrong.push(format!(
                "{what}: answered with commit {:?}, in the log at {shard}:{index}",
                answer.commit
            ));
        }
        match replayed.model.outcome_of(key) {
            Some(Outcome::Booking(view)) => {
                if let Some(difference) = difference(&answer.json(), view) {
                    self.wrong.push(format!("{what}: {difference}"));
                }
            }
            Some(Outcome::Refused(refusal)) => {
                if answer.code() != refusal.code.as_str() {
                    self.wrong.push(format!(
                        "{what}: answered {answer:?}, refused in the log as {}",
                        refusal.code.as_str()
                    ));
                }
            }
            other => self.wrong.push(format!("{what}: the log has {other:?}")),
        }
    }

    /// The booking must be there, as the acknowledged requests left it; a hold may have run out since.
    fn check_booking(&mut self, id: BookingId, status: BookingStatus, record: &Record, replayed: &Shard) {
        let found = match queries::answer(&replayed.rows, &Query::Booking { booking: id }) {
            Ok(Answer::Booking(view)) => Some(view.status),
            Ok(_) => None,
            Err(error) => {
                self.wrong.push(format!("booking {id}: {error}"));
                return;
            }
        };
        let fits = found == Some(status) || (status == BookingStatus::Held && found == Some(BookingStatus::Expired));
        if !fits {
            self.wrong.push(format!(
                "LOST: booking {id} at {} was acknowledged as {status:?} ({:?}) and is {found:?}",
                record.venue, record.deed
            ));
        }
        if found != replayed.model.status_of(id) {
            self.wrong.push(format!(
                "booking {id} is {found:?} in the rows, {:?} by count",
                replayed.model.status_of(id)
            ));
        }
    }

    /// Whatever took places was acknowledged to somebody, unless somebody never heard.
    fn check_origins(
        &mut self,
        history: &History,
        expected: &BTreeMap<BookingId, (BookingStatus, &Record)>,
        shards: &BTreeMap<u64, Shard>,
    ) {
        let unknown = history.unknown().filter(|record| record.deed == Deed::Hold).count();
        let orphans: Vec<BookingId> = shards
            .values()
            .flat_map(|shard| shard.model.bookings())
            .filter(|id| !expected.contains_key(id))
            .collect();
        if orphans.len() > unknown {
            let shown: Vec<String> = orphans.iter().take(5).map(ToString::to_string).collect();
            self.wrong.push(format!(
                "{} bookings are there that nobody was told of ({unknown} holds are unknown): {shown:?}",
                orphans.len()
            ));
        }
    }

    fn check_replays(&mut self, history: &History) {
        for replay in &history.replays {
            self.repeated += 1;
            let (first, again) = (&replay.first, &replay.again);
            if (first.status, first.commit, &first.body) != (again.status, again.commit, &again.body) {
                self.wrong
                    .push(format!("the replay of {} differs: {first:?} and {again:?}", replay.key));
            }
            if !first.replayed && !again.replayed {
                self.wrong.push(format!(
                    "neither answer to {} says that it is a replay: {first:?} {again:?}",
                    replay.key
                ));
            }
        }
    }
}

/// All of a shard's log, page by page.
async fn read_log(cluster: &Cluster, node: u32, shard: u64) -> Vec<LogEntry> {
    let mut log: Vec<LogEntry> = Vec::new();
    loop {
        let from = log.last().map_or(1, |entry| entry.index + 1);
        let page = wait::until(&format!("the log of shard {shard} from node {node}"), async || {
            let page = cluster.client().read_log(node, shard, from).await;
            page.map_err(|error| error.to_string())
        })
        .await;
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

fn booking_of(answer: &HttpAnswer) -> Option<BookingId> {
    BookingId::from_str(answer.json()["id"].as_str()?).ok()
}

/// What an answer in JSON says otherwise than the outcome in the log.
fn difference(json: &serde_json::Value, view: &BookingView) -> Option<String> {
    let tickets: Vec<&str> = json["tickets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|ticket| ticket["id"].as_str())
        .collect();
    let logged: Vec<String> = view.tickets.iter().map(|ticket| ticket.id.to_string()).collect();
    let quantities: Vec<Option<u64>> = json["lines"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|line| line["quantity"].as_u64())
        .collect();
    let checks = [
        ("id", json["id"] == view.id.to_string().as_str()),
        ("reference", json["reference"] == view.reference.as_str()),
        (
            "status",
            json["status"] == format!("{:?}", view.status).to_lowercase().as_str(),
        ),
        ("total", json["total"]["amount"] == view.total),
        (
            "lines",
            quantities
                == view
                    .lines
                    .iter()
                    .map(|line| Some(u64::from(line.quantity)))
                    .collect::<Vec<_>>(),
        ),
        ("tickets", tickets == logged),
    ];
    let (field, _) = checks.iter().find(|(_, same)| !same)?;
    Some(format!("the answer's {field} is not the log's: {json} and {view:?}"))
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        writeln!(
            f,
            "audit of {} shards, {} replicas, {} entries with {} commands",
            self.shards, self.replicas, self.log_entries, counts.commands
        )?;
        writeln!(
            f,
            "  in the log    {} holds, {} confirms, {} releases, {} expiries, {} refusals ({} sold out), {} replays",
            counts.holds,
            counts.confirms,
            counts.releases,
            counts.expiries,
            counts.refusals,
            counts.sold_out,
            counts.replays
        )?;
        let told: Vec<String> = self
            .acknowledged
            .iter()
            .map(|(deed, count)| format!("{count} {deed:?}"))
            .collect();
        writeln!(f, "  acknowledged  {}", told.join(", "))?;
        let refused: Vec<String> = self
            .refused
            .iter()
            .map(|(code, count)| format!("{count} {code}"))
            .collect();
        writeln!(f, "  refused       {}", refused.join(", "))?;
        writeln!(
            f,
            "  visitors      {} requests sent, {} keys repeated elsewhere, {} turned away without effect, {} unknown",
            self.attempts, self.repeated, self.turned_away, self.unknown
        )?;
        writeln!(
            f,
            "  fullest slot  {} % of its capacity, {} slots full",
            self.fullest_percent, self.full_slots
        )?;
        if self.wrong.is_empty() {
            return writeln!(
                f,
                "  nothing lost, nothing twice, nothing above capacity, all replicas equal"
            );
        }
        writeln!(f, "  {} FINDINGS", self.wrong.len())?;
        for text in self.wrong.iter().take(SHOWN) {
            writeln!(f, "  - {text}")?;
        }
        Ok(())
    }
}
