//! After the faults: does what the visitors were told agree with what the cluster holds, on every replica?
//!
//! [`Audit::run`] waits until the replicas agree, asks every replica for every booking (`final_reads`), reads the whole
//! log of every shard from every node and the state hash that every replica reports, makes a saved history of these and
//! of what the visitors remember ([`collect`]), and asks every invariant of `invariants`.

mod final_reads;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use rotunda_protocol::client::{ClusterClient, LogEntry};

use crate::cluster::Cluster;
use crate::history::History;
use crate::history::lines::{Header, LogDigest, LogLine, StateHash, VERSION};
use crate::history::reader::Saved;
use crate::history::text::Digest;
use crate::invariants::{self, Ruling, Verdict};
use crate::wait;

/// So many findings are shown; the first ones tell the most.
const SHOWN: usize = 25;

/// How long an observed replica may take to hand over a page.
const OBSERVE: Duration = Duration::from_millis(500);

/// What an audit need not look at: the history of a test has no gates and no heal phase.
const NOT_WANTED: [&str; 2] = ["I6", "I12"];

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audit {
    verdicts: Vec<Verdict>,
    wrong: Vec<String>,
    operations: usize,
    attempts: u64,
    unknown: usize,
    repeated: usize,
    turned_away: usize,
}

impl Audit {
    /// Audits a cluster at rest against what its visitors were told.
    ///
    /// # Panics
    /// Where the replicas never come to agree or a log cannot be read.
    pub async fn run(cluster: &mut Cluster, history: &History) -> Self {
        let header = Header {
            version: VERSION,
            name: "audit".to_owned(),
            ..Header::default()
        };
        let epoch = history.began().unwrap_or_else(Instant::now);
        let saved = collect(cluster, history, header, epoch).await;
        let verdicts = invariants::check(&saved).unwrap_or_else(|error| panic!("the logs do not decode: {error}"));
        let attempts = history.records.iter().map(|record| u64::from(record.settled.attempts));
        let mut audit = Audit {
            wrong: Vec::new(),
            operations: saved.operations.len(),
            attempts: attempts.sum(),
            unknown: history.unknown().count(),
            repeated: history.replays.len(),
            turned_away: history.turned_away.len(),
            verdicts: Vec::new(),
        };
        for verdict in &verdicts {
            let findings = verdict.findings.iter().map(|finding| {
                let led = finding.last_events.iter().map(|event| format!("\n      {event}"));
                format!("{} {finding}{}", verdict.id, led.collect::<String>())
            });
            audit.wrong.extend(findings);
            // A log that is not whole proves nothing, and a test has to prove something.
            if !NOT_WANTED.contains(&verdict.id) {
                let reasons = verdict.not_covered.iter();
                audit
                    .wrong
                    .extend(reasons.map(|reason| format!("{} is not covered: {reason}", verdict.id)));
            }
        }
        audit.verdicts = verdicts;
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

    /// What each invariant says.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Number of holds in the log that took places.
    #[must_use]
    pub fn holds(&self) -> u64 {
        self.count("I1", "holds")
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
        usize::try_from(self.count("I1", "slots full")).unwrap_or(usize::MAX)
    }

    fn count(&self, id: &str, what: &str) -> u64 {
        let verdict = self.verdicts.iter().find(|verdict| verdict.id == id);
        let mut counts = verdict.into_iter().flat_map(|verdict| &verdict.looked_at);
        counts.find(|(name, _)| *name == what).map_or(0, |(_, count)| *count)
    }
}

/// A saved history of a cluster at rest: what the visitors remember, every shard's log, and every replica's log and state
/// by digest.
///
/// # Panics
/// Where the replicas never come to agree or a log cannot be read.
pub async fn collect(cluster: &mut Cluster, history: &History, header: Header, epoch: Instant) -> Saved {
    cluster.until_settled().await;
    let venues = cluster.venues();
    let mut saved = Saved {
        header,
        operations: history.operations(&venues, epoch),
        ..Saved::default()
    };
    for shard in cluster.shards() {
        add_bookings(cluster, shard, &mut saved).await;
    }
    // Every change of leader has left an entry.
    cluster.until_settled().await;
    add_replicas(cluster, &mut saved).await;
    saved.renumber();
    saved
}

/// Every booking of a shard as each of its replicas has it.
async fn add_bookings(cluster: &Cluster, shard: u64, saved: &mut Saved) {
    let log = read_log(cluster, cluster.leader_of(shard).await, shard).await;
    let bookings = final_reads::bookings(shard, &saved.operations, &log);
    for (node, _) in cluster.replicas_of(shard).await {
        let lines = final_reads::read(cluster.client(), node, shard, &bookings).await;
        saved.final_bookings.extend(lines);
    }
}

/// Adds what every replica of a cluster at rest holds: logs and states.
///
/// # Panics
/// Where a log cannot be read.
pub async fn add_replicas(cluster: &Cluster, saved: &mut Saved) {
    for shard in cluster.shards() {
        add_shard(cluster, shard, saved).await;
    }
}

/// The log that the longest replica has, and wherever another one has another entry, that too.
async fn add_shard(cluster: &Cluster, shard: u64, saved: &mut Saved) {
    // The state that each replica reports, then the logs: they may have grown meanwhile, never shrunk.
    let replicas = cluster.replicas_of(shard).await;
    let mut logs = Vec::new();
    for (node, replica) in &replicas {
        logs.push((*node, read_log(cluster, *node, shard).await));
        saved.hashes.push(StateHash {
            line: 0,
            node: *node,
            shard,
            index: replica.applied,
            hash: Digest(replica.state_hash),
        });
    }
    let Some((longest, log)) = logs.iter().max_by_key(|(_, log)| log.len()) else {
        return;
    };
    saved
        .entries
        .extend(log.iter().map(|entry| LogLine::of_log(shard, entry)));
    for (node, other) in &logs {
        let entries = other
            .iter()
            .map(|entry| (entry.index, entry.term, entry.payload.as_ref()));
        if !other.is_empty() {
            saved.logs.push(LogDigest::over(*node, shard, entries));
        }
        let differing = log
            .iter()
            .zip(other)
            .filter(|(mine, theirs)| node != longest && mine != theirs);
        saved.entries.extend(differing.map(|(_, theirs)| LogLine {
            node: Some(*node),
            ..LogLine::of_log(shard, theirs)
        }));
    }
}

/// Reads the logs of a cluster while they grow: replicas purge what is old.
#[derive(Debug, Default)]
pub struct Observer {
    logs: BTreeMap<u64, BTreeMap<u64, LogEntry>>,
}

impl Observer {
    /// Reads what has come since the last time, from whichever replica has it.
    pub async fn read(&mut self, client: &ClusterClient) {
        let map = client.map();
        for shard in map.shards() {
            let log = self.logs.entry(shard.id).or_default();
            for replica in &shard.replicas {
                loop {
                    let next = log.last_key_value().map_or(1, |(index, _)| index + 1);
                    let page = tokio::time::timeout(OBSERVE, client.read_log(replica.node, shard.id, next)).await;
                    // Who does not answer now does so the next time.
                    let Ok(Ok(page)) = page else { break };
                    let before = log.len();
                    for entry in page {
                        if log.last_key_value().is_none_or(|(last, _)| *last + 1 == entry.index) {
                            log.insert(entry.index, entry);
                        }
                    }
                    if log.len() == before {
                        break;
                    }
                }
            }
        }
    }

    /// What it read.
    #[must_use]
    pub fn into_saved(self) -> Saved {
        let mut saved = Saved::default();
        for (shard, log) in &self.logs {
            saved
                .entries
                .extend(log.values().map(|entry| LogLine::of_log(*shard, entry)));
        }
        saved
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

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "audit of {} operations, {} requests sent: {} keys repeated elsewhere, {} turned away without effect, {} unknown",
            self.operations, self.attempts, self.repeated, self.turned_away, self.unknown
        )?;
        for verdict in &self.verdicts {
            let counts = verdict.looked_at.iter().filter(|(_, count)| *count > 0);
            let counts: Vec<String> = counts.map(|(what, count)| format!("{count} {what}")).collect();
            writeln!(f, "  {:12} {:11}  {}", verdict.id, verdict.ruling(), counts.join(", "))?;
            for reason in verdict
                .undecided
                .iter()
                .filter(|_| verdict.ruling() == Ruling::Undecided)
            {
                writeln!(f, "               {reason}")?;
            }
        }
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
