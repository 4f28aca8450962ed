//! One command on its way: attempts at one replica after the other until one answers or the deadline is there.
//!
//! An attempt that has waited too long is not given up: the call goes on to the other replicas, and whichever answers
//! first ends it. That is safe because every attempt carries the same command: the log takes its key once, and gives
//! the stored reply ever after. (Commands without a key reach this client only where they are idempotent by content.)

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use rotunda_booking::codec;
use rotunda_booking::ids::VenueNo;
use tokio::time::Instant;

use super::connection::{Opening, Stream};
use super::map_watch::NewerMap;
use super::metrics::Ending;
use super::retry::{Advice, Itinerary, Setback};
use super::session::{NotTaken, PendingReply, Session};
use super::{Inner, Submitted};
use crate::error::ClientError;
use crate::frame::MAX_BODY_BYTES;
use crate::rejection::RejectionKind;
use crate::shard_map::{ShardInfo, ShardMap};
use crate::trace_context::TraceContext;

/// An attempt is repeated at the same node once it has waited so many times the attempt's time: should the node have
/// lost the call, more waiting would not help.
const REPEAT_AFTER_ATTEMPTS: u32 = 4;

/// Why an attempt gave no reply.
enum Failed {
    Setback(Setback),
    /// This client has as much under way at the node as it may.
    Full,
}

type Answer = Result<Bytes, Failed>;

/// An attempt that has been started and has not ended.
struct Attempt {
    number: u32,
    node: u32,
    shard: u64,
    epoch: u64,
    since: Instant,
    trace: Option<Box<TraceContext>>,
    stage: Stage,
}

enum Stage {
    /// The stream is being opened; then the command goes onto it.
    Opening(Opening, Bytes),
    /// Sent, or about to be.
    Sent(PendingReply),
    /// Not sent: this client has as much under way at the node as it may.
    Full,
    /// Not sent: no stream came about.
    Unreachable,
}

struct Submission<'a> {
    inner: &'a Inner,
    command: Bytes,
    trace: Option<TraceContext>,
    way: Itinerary,
    /// An attempt that may have been proposed has ended without a reply.
    lost: bool,
    under_way: Vec<Attempt>,
    started: u32,
    /// The attempt that the call waits for; `None` during a pause.
    current: Option<u32>,
    /// When the current attempt is overdue, or the pause over.
    wake: Instant,
    newer_map: NewerMap,
    routed_by: u64,
}

/// Where a command goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination {
    /// To the shard in which the venue lives.
    Venue(VenueNo),
    /// To this one: it is about no venue.
    Shard(u64),
}

impl Destination {
    fn shard(self, map: &ShardMap) -> Result<&ShardInfo, ClientError> {
        match self {
            Self::Venue(venue) => map.shard_of(venue).ok_or(ClientError::UnknownVenue),
            Self::Shard(shard) => map.shard(shard).ok_or(ClientError::Unavailable),
        }
    }
}

pub(super) async fn submit(
    inner: &Inner,
    to: Destination,
    command: Bytes,
    trace: Option<TraceContext>,
    deadline: Instant,
) -> Result<Submitted, ClientError> {
    if command.len() > MAX_BODY_BYTES {
        let length = command.len();
        return Err(ClientError::Rejected(format!(
            "a command of {length} bytes is over the limit of {MAX_BODY_BYTES}"
        )));
    }
    inner.ready(deadline).await?;

    let mut submission = Submission {
        inner,
        command,
        trace,
        way: Itinerary::default(),
        lost: false,
        under_way: Vec::new(),
        started: 0,
        current: None,
        wake: Instant::now(),
        newer_map: NewerMap::default(),
        routed_by: 0,
    };
    let mut alarm = inner.alarms.at(deadline);
    loop {
        let now = Instant::now();
        if now >= deadline {
            return Err(submission.without_reply(ClientError::Unavailable));
        }
        let map = inner.map.current();
        let shard = match to.shard(&map) {
            Ok(shard) => shard,
            Err(error) => return Err(submission.without_reply(error)),
        };
        if submission.current.is_none() && now >= submission.wake {
            submission.start(&map, shard, now);
        }
        alarm.set(submission.wake.min(deadline));
        tokio::select! {
            biased;
            (attempt, answer) = next_answer(&mut submission.under_way) => {
                if let Some(result) = submission.ended(&attempt, answer, shard.replicas.len()) {
                    return result;
                }
            }
            () = submission.newer_map.arrives() => submission.wake = Instant::now(),
            () = poll_fn(|context| alarm.poll(context)) => submission.overdue(shard.replicas.len()),
        }
    }
}

impl Submission<'_> {
    /// Starts an attempt at the next node, or makes a pause where none is left to try.
    fn start(&mut self, map: &ShardMap, shard: &ShardInfo, now: Instant) {
        self.newer_map = NewerMap::default();
        let patience = self.inner.attempt_timeout * REPEAT_AFTER_ATTEMPTS;
        let under_way = &self.under_way;
        let busy = |node| {
            under_way
                .iter()
                .any(|a| a.node == node && now.duration_since(a.since) < patience)
        };
        let candidates = shard.replicas.iter().map(|replica| replica.node);
        let Some(node) = self.way.choose(candidates, &self.inner.leaders, shard.id, now, busy) else {
            self.wake = now + self.way.pause();
            return;
        };
        #[cfg(feature = "mutants")]
        if rotunda_mutant::mutant!(RetryUnderNewKey) && self.started > 0 {
            self.command = under_new_key(&self.command);
        }
        self.started += 1;
        self.routed_by = map.version();
        self.current = Some(self.started);
        self.wake = now + self.inner.attempt_timeout;
        let connection = self.inner.connections.to(map, node);
        let command = self.command.clone();
        let mut trace = self.trace.map(Box::new);
        let stage = match connection.map(|connection| connection.stream()) {
            Some(Ok(Stream::Open(session))) => Stage::call(&session, shard.id, shard.epoch, command, trace.take()),
            Some(Ok(Stream::Opening(opening))) => Stage::Opening(opening, command),
            Some(Err(_)) | None => Stage::Unreachable,
        };
        self.under_way.push(Attempt {
            number: self.started,
            node,
            shard: shard.id,
            epoch: shard.epoch,
            since: now,
            trace,
            stage,
        });
    }

    /// An attempt has ended. `Some` where that ends the call.
    fn ended(&mut self, attempt: &Attempt, answer: Answer, replicas: usize) -> Option<Result<Submitted, ClientError>> {
        let Attempt {
            number, node, shard, ..
        } = *attempt;
        let advice = match answer {
            Ok(reply) => {
                self.inner.metrics.attempt(Ending::Answered);
                self.inner.leaders.confirmed(shard, node);
                return Some(match codec::decode_reply(&reply) {
                    Ok(reply) => Ok(Submitted { shard, reply }),
                    Err(error) => {
                        tracing::error!(node, shard, %error, "a node's reply does not decode; is it of another version?");
                        Err(ClientError::Unknown)
                    }
                });
            }
            Err(Failed::Full) => {
                self.inner.metrics.attempt(Ending::Overloaded);
                Advice::Overloaded
            }
            Err(Failed::Setback(setback)) => {
                tracing::debug!(node, shard, ?setback, "attempt failed");
                self.lost |= match &setback {
                    Setback::Broken => true,
                    Setback::Rejected(rejection) => rejection.kind == RejectionKind::Unknown,
                    Setback::Unreachable | Setback::Silent => false,
                };
                self.inner.metrics.attempt(setback.ending());
                self.way
                    .after(&setback, node, replicas, &self.inner.leaders, shard, Instant::now())
            }
        };
        // An attempt that was overdue has told the cache what it had to tell; the call is elsewhere by now.
        if self.current != Some(number) && !matches!(advice, Advice::GiveUp(_)) {
            return None;
        }
        self.current = None;
        self.follow(advice).err().map(Err)
    }

    /// The current attempt has waited long enough, or the pause is over.
    fn overdue(&mut self, replicas: usize) {
        let now = Instant::now();
        let Some(number) = self.current else { return };
        if now < self.wake {
            return;
        }
        self.current = None;
        if let Some(attempt) = self.under_way.iter().find(|attempt| attempt.number == number) {
            tracing::debug!(
                node = attempt.node,
                shard = attempt.shard,
                "no answer yet; trying the others"
            );
            self.inner.metrics.attempt(Ending::Silent);
            let _ = self.way.after(
                &Setback::Silent,
                attempt.node,
                replicas,
                &self.inner.leaders,
                attempt.shard,
                now,
            );
        }
    }

    fn follow(&mut self, advice: Advice) -> Result<(), ClientError> {
        let pause = match advice {
            Advice::Pause(pause) => pause,
            Advice::Refresh(pause) => {
                self.newer_map = self.inner.map.newer_than(self.routed_by);
                pause
            }
            Advice::GiveUp(detail) => return Err(self.without_reply(ClientError::Rejected(detail))),
            Advice::NotYet(detail) => return Err(self.without_reply(ClientError::NotYet(detail))),
            Advice::Overloaded => return Err(self.without_reply(ClientError::Overloaded)),
        };
        self.wake = Instant::now() + pause;
        Ok(())
    }

    /// The call ends without a reply: as `nothing_done` says, unless an attempt may have been proposed.
    fn without_reply(&self, nothing_done: ClientError) -> ClientError {
        let sent = |attempt: &Attempt| matches!(attempt.stage, Stage::Sent(_));
        if self.lost || self.under_way.iter().any(sent) {
            ClientError::Unknown
        } else {
            nothing_done
        }
    }
}

/// A seeded bug: what the library sends again looks like a command of its own.
#[cfg(feature = "mutants")]
fn under_new_key(command: &Bytes) -> Bytes {
    match codec::decode_command(command) {
        Ok(mut command) => {
            if let Some(key) = &mut command.key {
                key.0[0] = key.0[0].wrapping_add(1);
            }
            codec::encode_command(&command)
        }
        Err(_) => command.clone(),
    }
}

/// The first of the attempts to end, taken from among them; for ever pending where there are none. They are one or two,
/// so all are polled: `FuturesUnordered` would wake the task once more for each.
async fn next_answer(under_way: &mut Vec<Attempt>) -> (Attempt, Answer) {
    poll_fn(|context| {
        for position in 0..under_way.len() {
            if let Poll::Ready(answer) = under_way[position].poll(context) {
                return Poll::Ready((under_way.swap_remove(position), answer));
            }
        }
        Poll::Pending
    })
    .await
}

impl Attempt {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        loop {
            match &mut self.stage {
                Stage::Opening(opening, command) => {
                    self.stage = match ready!(opening.poll_unpin(context)) {
                        Ok(session) => {
                            let command = std::mem::take(command);
                            Stage::call(&session, self.shard, self.epoch, command, self.trace.take())
                        }
                        Err(_) => Stage::Unreachable,
                    };
                }
                Stage::Sent(reply) => {
                    return Poll::Ready(match ready!(reply.poll_unpin(context)) {
                        None => Err(Failed::Setback(Setback::Broken)),
                        Some(record) => record
                            .result
                            .map_err(|rejection| Failed::Setback(Setback::Rejected(rejection))),
                    });
                }
                Stage::Full => return Poll::Ready(Err(Failed::Full)),
                Stage::Unreachable => return Poll::Ready(Err(Failed::Setback(Setback::Unreachable))),
            }
        }
    }
}

impl Stage {
    fn call(session: &Session, shard: u64, epoch: u64, command: Bytes, trace: Option<Box<TraceContext>>) -> Self {
        match session.call(shard, epoch, command, trace) {
            Ok(reply) => Self::Sent(reply),
            Err(NotTaken::Full) => Self::Full,
            Err(NotTaken::Broken) => Self::Unreachable,
        }
    }
}
