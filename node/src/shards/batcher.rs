//! Many commands into one entry: the throughput of a hot slot is (commands per entry) x (entries per second).
//!
//! One batcher per group. What arrives while entries are in flight forms the next one. A lone client does not wait; where
//! many buy, the next entry gathers for a moment those who have just been answered and come again. The leader stamps the
//! time. Outcomes are handed out when the entry is applied here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{ClientWriteError, Fatal};
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::ProgressResponder;
use rotunda_booking::codec::{self, EntryBuilder};
use rotunda_booking::time::Timestamp;
use rotunda_protocol::frame::ReplyRecord;
use rotunda_protocol::rejection::Rejection;
use rotunda_raft_storage::{Payload, TypeConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::leadership::Leadership;
use super::traced::{Traced, TracedEntry};
use crate::budget::Share;
use crate::clock::stamp::StampClock;
use crate::clock::wall::WallClock;
use crate::mutant::mutant;
use crate::raft::Raft;
use crate::raft::machine::{BookingMachine, Pulse};
use crate::vital;

/// Commands waiting for the next entry, per shard; all shards' together are bounded in bytes besides (see [`Answered`]).
/// When full the command is answered `Overloaded` at once: nothing was done.
pub const QUEUE_COMMANDS: usize = 8_192;

/// Entries proposed and not yet applied. Two keep the disk and the network busy; more only make entries smaller.
const ENTRIES_IN_FLIGHT: usize = 2;

/// Behind an entry that is in flight the next one waits for it, or until it has so many commands: an entry costs three nodes
/// about as much as a hundred commands do, so a second one that is small delays more than it brings.
const WORTH_AN_ENTRY: usize = 256;

/// An entry of so many commands says that more are on their way: the next one gathers, for half as long as that one took,
const CROWD: usize = 16;
/// and no longer than this.
const GATHERED_WITHIN: Duration = Duration::from_millis(4);

/// An entry takes at most so many commands,
const ENTRY_COMMANDS: usize = 1_024;
/// and no further one above so many bytes.
const ENTRY_BYTES: usize = 256 * 1024;

/// How long a command may wait for its entry to be applied before its caller is told that its fate is unknown.
/// Without a quorum openraft would let it wait for ever.
const FATE_UNKNOWN_AFTER: Duration = Duration::from_secs(4);

/// How often the wait is looked at.
const PATROL: Duration = Duration::from_millis(250);

/// What a submission comes to: log index and encoded `Reply`, or why this node did not take it.
pub type Answer = Result<(u64, Bytes), Rejection>;

/// An answer on its way out. Until it is written, its command counts as pending: a caller that sends and does not read
/// fills its own share of the memory and is refused, and the node's other callers are not.
pub struct Answered {
    /// What the stream carries.
    pub reply: ReplyRecord,
    _share: Option<Share>,
}

#[cfg(test)]
impl From<ReplyRecord> for Answered {
    fn from(reply: ReplyRecord) -> Self {
        Self { reply, _share: None }
    }
}

/// Where the answer goes.
pub enum ReplyTo {
    /// Into a stream of replies; the permit keeps a place for it.
    Stream {
        /// Joins it to the command.
        call: u64,
        /// The place.
        place: mpsc::OwnedPermit<Answered>,
        /// The command's share of the memory for commands.
        share: Option<Share>,
    },
    /// To a caller inside this node.
    Caller(oneshot::Sender<Answer>),
}

impl ReplyTo {
    /// Hands the answer over.
    pub fn answer(self, answer: Answer) {
        match self {
            Self::Stream { call, place, share } => {
                let (index, result) = match answer {
                    Ok((index, reply)) => (index, Ok(reply)),
                    Err(rejection) => (0, Err(rejection)),
                };
                place.send(Answered {
                    reply: ReplyRecord { call, index, result },
                    _share: share,
                });
            }
            Self::Caller(caller) => {
                let _ = caller.send(answer);
            }
        }
    }
}

/// A command on its way into the log.
pub struct Submission {
    /// As `booking::codec` encodes it; checked to decode before it came here.
    pub command: Bytes,
    /// Whom to tell.
    pub reply: ReplyTo,
    /// Its part of a trace that is kept.
    pub traced: Option<Box<Traced>>,
}

/// The handle by which commands reach the batcher.
#[derive(Clone)]
pub struct Submitter {
    queue: mpsc::Sender<Submission>,
    leadership: Arc<Leadership>,
}

impl Submitter {
    /// Queues a command, or answers at once why not.
    pub fn submit(&self, submission: Submission) {
        if !self.leadership.leads() {
            submission
                .reply
                .answer(Err(Rejection::not_leader(self.leadership.leader_node())));
            return;
        }
        if let Err(refused) = self.queue.try_send(submission) {
            match refused {
                mpsc::error::TrySendError::Full(submission) => {
                    submission
                        .reply
                        .answer(Err(Rejection::overloaded("the shard's queue is full")));
                }
                mpsc::error::TrySendError::Closed(submission) => {
                    submission.reply.answer(Err(Rejection::not_leader(None)));
                }
            }
        }
    }

    /// Queues a command of this node's own and waits for its answer.
    ///
    /// # Errors
    /// As for any caller.
    pub async fn propose(&self, command: Bytes) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.submit(Submission {
            command,
            reply: ReplyTo::Caller(reply),
            traced: None,
        });
        answer
            .await
            .unwrap_or_else(|_| Err(Rejection::unknown("the node is stopping")))
    }
}

/// What a batcher needs of its shard.
pub struct Batcher {
    /// Shard id, for metrics.
    pub shard: u64,
    /// The group.
    pub raft: Raft<BookingMachine>,
    /// Who leads it.
    pub leadership: Arc<Leadership>,
    /// Log time applied so far.
    pub pulse: Arc<Pulse>,
    /// The time of day.
    pub wall: WallClock,
}

type Applied = Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>;

struct InFlight {
    applied: oneshot::Receiver<ClientWriteResult<TypeConfig>>,
    since: Instant,
    replies: Vec<ReplyTo>,
    /// Of the commands that are traced.
    traced: Option<TracedEntry>,
}

impl InFlight {
    /// Until when the entry after this one gathers commands.
    fn gather_until(&self) -> Option<Instant> {
        let half = (self.since.elapsed() / 2).min(GATHERED_WITHIN);
        (self.replies.len() >= CROWD).then(|| Instant::now() + half)
    }
}

impl Batcher {
    /// Starts the task; it ends when the last [`Submitter`] is gone or the group stops.
    #[must_use]
    pub fn spawn(self) -> Submitter {
        let (queue, submissions) = mpsc::channel(QUEUE_COMMANDS);
        let leadership = Arc::clone(&self.leadership);
        vital::spawn(format!("the batcher of shard {}", self.shard), self.run(submissions));
        Submitter { queue, leadership }
    }

    async fn run(self, mut submissions: mpsc::Receiver<Submission>) {
        let labels = [("shard", self.shard.to_string())];
        let (batch_size, in_flight_gauge) = (
            metrics::histogram!(rotunda_metrics::node::RAFT_BATCH_COMMANDS.name, &labels),
            metrics::gauge!(rotunda_metrics::node::RAFT_PROPOSALS_IN_FLIGHT.name, &labels),
        );
        let mut clock = StampClock::new();
        let mut in_flight: VecDeque<InFlight> = VecDeque::with_capacity(ENTRIES_IN_FLIGHT);
        let mut batch: Vec<Submission> = Vec::with_capacity(ENTRY_COMMANDS);
        let mut gathering = None;
        let mut patrol = tokio::time::interval(PATROL);
        patrol.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let room = ENTRY_COMMANDS - batch.len();
            tokio::select! {
                biased;
                applied = next_applied(&mut in_flight) => {
                    if let Some(entry) = in_flight.pop_front() {
                        gathering = entry.gather_until();
                        if let Some(traced) = entry.traced {
                            traced.applied(self.shard, &applied);
                        }
                        self.hand_out(applied, entry.replies);
                    }
                }
                () = passed(gathering) => gathering = None,
                count = submissions.recv_many(&mut batch, room),
                    if in_flight.len() < ENTRIES_IN_FLIGHT && room > 0 =>
                {
                    if count == 0 {
                        return;
                    }
                }
                // Only where something waits: most groups of a node are idle, and their patrols would be most of what it does.
                _ = patrol.tick(), if !in_flight.is_empty() => {
                    self.patrol(&mut in_flight, &mut batch, &mut submissions);
                    continue;
                }
            }
            let free = in_flight.is_empty() && gathering.is_none();
            if !batch.is_empty() && (free || batch.len() >= WORTH_AN_ENTRY) {
                gathering = None;
                // Let those who are about to submit do so: under load it doubles the entry, alone it costs nothing.
                tokio::task::yield_now().await;
                while batch.len() < ENTRY_COMMANDS {
                    let Ok(submission) = submissions.try_recv() else { break };
                    batch.push(submission);
                }
                let mut rest = batch.drain(..).peekable();
                while rest.peek().is_some() {
                    let Some(entry) = self.propose(&mut clock, &mut rest, &batch_size).await else {
                        break;
                    };
                    in_flight.push_back(entry);
                }
            }
            set_count(&in_flight_gauge, in_flight.len());
        }
    }

    /// Proposes one entry of the next submissions. `None` where the core has stopped: all were told.
    async fn propose(
        &self,
        clock: &mut StampClock,
        submissions: &mut std::iter::Peekable<std::vec::Drain<'_, Submission>>,
        batch_size: &metrics::Histogram,
    ) -> Option<InFlight> {
        if !self.leadership.leads() {
            for submission in submissions {
                submission
                    .reply
                    .answer(Err(Rejection::not_leader(self.leadership.leader_node())));
            }
            return None;
        }
        let mut entry = EntryBuilder::new();
        let mut replies = Vec::with_capacity(submissions.size_hint().0);
        let mut bytes = 0;
        let mut traced = Vec::new();
        while bytes < ENTRY_BYTES {
            let Some(submission) = submissions.next() else { break };
            bytes += submission.command.len();
            entry.push(&submission.command);
            replies.push(submission.reply);
            traced.extend(submission.traced.map(|traced| *traced));
        }
        #[expect(clippy::cast_precision_loss, reason = "a count for a histogram")]
        batch_size.record(replies.len() as f64);
        let stamp = clock.stamp(self.leadership.term(), self.pulse.now(), self.wall.now_ms());
        // When it was committed is asked only where somebody wants to know.
        let (responder, applied, traced) = if traced.is_empty() {
            let (responder, applied) = ProgressResponder::complete_only();
            (responder, applied, None)
        } else {
            let (responder, committed, applied) = ProgressResponder::new();
            (responder, applied, Some(TracedEntry::proposed(traced, committed)))
        };
        let proposed = self
            .raft
            .client_write_ff(Payload(entry.finish(Timestamp(stamp))), Some(responder))
            .await;
        if let Err(stopped) = proposed {
            let stopped: Fatal<TypeConfig> = stopped;
            for reply in replies {
                reply.answer(Err(Rejection::unknown(stopped.to_string())));
            }
            for submission in submissions {
                submission.reply.answer(Err(Rejection::not_leader(None)));
            }
            return None;
        }
        Some(InFlight {
            applied,
            since: Instant::now(),
            replies,
            traced,
        })
    }

    fn hand_out(&self, applied: Applied, replies: Vec<ReplyTo>) {
        let response = match applied {
            Ok(Ok(response)) => response,
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => {
                // Either never appended, or appended by a leader that lost its place: nobody here can tell.
                metrics::counter!(rotunda_metrics::node::RAFT_PROPOSALS_FAILED.name, "shard" => self.shard.to_string(), "reason" => "lost_leadership").increment(1);
                let leader = self.leadership.leader_node();
                if mutant!(UnknownToldAsRefused) {
                    return answer_all(replies, &Rejection::not_leader(leader));
                }
                for reply in replies {
                    reply.answer(Err(Rejection {
                        leader_node: leader,
                        ..Rejection::unknown("leadership was lost")
                    }));
                }
                return;
            }
            Ok(Err(error)) => return answer_all(replies, &Rejection::unknown(error.to_string())),
            Err(_dropped) => return answer_all(replies, &Rejection::unknown("the group has stopped")),
        };
        if replies.is_empty() {
            return; // Told already that their fate is unknown.
        }
        let index = response.log_id.index;
        match codec::split_replies(response.data.0) {
            Ok(outcomes) if outcomes.len() == replies.len() => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    reply.answer(Ok((index, outcome)));
                }
            }
            Ok(outcomes) => {
                tracing::error!(
                    index,
                    commands = replies.len(),
                    outcomes = outcomes.len(),
                    "an entry gave another number of outcomes than it has commands"
                );
                answer_all(
                    replies,
                    &Rejection::unknown("the entry's outcomes do not match its commands"),
                );
            }
            Err(error) => {
                tracing::error!(index, %error, "an entry's outcomes do not decode");
                answer_all(replies, &Rejection::unknown("the entry's outcomes do not decode"));
            }
        }
    }

    /// Tells those who have waited too long. The entries stay in flight: proposing on top of them would only grow a log
    /// that nobody acknowledges.
    fn patrol(
        &self,
        in_flight: &mut VecDeque<InFlight>,
        batch: &mut Vec<Submission>,
        submissions: &mut mpsc::Receiver<Submission>,
    ) {
        let mut stuck = false;
        for entry in in_flight
            .iter_mut()
            .filter(|entry| entry.since.elapsed() > FATE_UNKNOWN_AFTER)
        {
            stuck = true;
            if !entry.replies.is_empty() {
                metrics::counter!(rotunda_metrics::node::RAFT_PROPOSALS_FAILED.name, "shard" => self.shard.to_string(), "reason" => "timeout").increment(1);
                let fate = if mutant!(UnknownToldAsRefused) {
                    Rejection::not_leader(None)
                } else {
                    Rejection::unknown("no quorum acknowledged it in time")
                };
                answer_all(std::mem::take(&mut entry.replies), &fate);
            }
        }
        if stuck {
            let queued = std::iter::from_fn(|| submissions.try_recv().ok());
            for submission in batch.drain(..).chain(queued) {
                submission
                    .reply
                    .answer(Err(Rejection::overloaded("the shard has no quorum")));
            }
        }
    }
}

fn answer_all(replies: Vec<ReplyTo>, rejection: &Rejection) {
    for reply in replies {
        reply.answer(Err(rejection.clone()));
    }
}

/// Waits for the oldest entry; for ever where none is in flight. Entries are applied in order, so the oldest is first.
async fn next_applied(in_flight: &mut VecDeque<InFlight>) -> Applied {
    match in_flight.front_mut() {
        Some(entry) => (&mut entry.applied).await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment; for ever where there is none.
async fn passed(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small count for a gauge")]
fn set_count(gauge: &metrics::Gauge, count: usize) {
    gauge.set(count as f64);
}
