//! Commands by stream, queries one by one.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures::{Stream, StreamExt};
use metrics::{Counter, counter};
use rotunda_booking::codec;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::Query;
use rotunda_overview::HotSlots;
use rotunda_protocol::frame::{self, CommandRecord, FRAME_TARGET_BYTES};
use rotunda_protocol::proto::booking::booking_server::Booking;
use rotunda_protocol::proto::booking::{CommandFrame, QueryReply, QueryRequest, ReplyFrame, WatchRequest};
use rotunda_protocol::rejection::Rejection;
use rotunda_protocol::trace_context::{Beside, TraceContext};
use rotunda_protocol::version::PROBES;
use rotunda_raft_storage::scope;
use rotunda_telemetry::traces::{Kind, Span};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::{Request, Response, Status, Streaming};

use super::Stop;
use super::news::{NewsStream, Watches};
use crate::budget::{Budget, Ceiling, QUERY_UNIT_BYTES};
use crate::meta::controller::Meta;
use crate::shards::batcher::{Answered, ReplyTo, Submission};
use crate::shards::shard::ShardError;
use crate::shards::traced::Traced;
use crate::shards::{Shard, Shards};

/// Commands of one stream that have no reply yet. When so many are under way the stream is not read further, and HTTP/2
/// holds the sender back.
const CALLS_PER_STREAM: usize = 8_192;

/// Counted for a pending command beside the command itself, which stands in the frame and in the entry: its answer, and
/// the places where it waits.
const ANSWER_BYTES: usize = 768;

/// Replies packed into one frame.
const REPLIES_PER_FRAME: usize = 1_024;

/// The `Booking` service.
pub struct BookingDoor {
    shards: Shards,
    meta: Arc<Meta>,
    budget: Arc<Budget>,
    watches: Watches,
    queries: Counter,
    hot_slots: Arc<HotSlots>,
    stop: Stop,
}

impl BookingDoor {
    /// Over these shards, within this memory.
    #[must_use]
    pub fn new(shards: Shards, meta: Arc<Meta>, budget: Arc<Budget>, hot_slots: Arc<HotSlots>, stop: Stop) -> Self {
        Self {
            shards,
            meta,
            budget,
            watches: Watches::default(),
            queries: counter!(rotunda_metrics::node::QUERIES.name),
            hot_slots,
            stop,
        }
    }
}

#[tonic::async_trait]
impl Booking for BookingDoor {
    type SubmitStream = Pin<Box<dyn Stream<Item = Result<ReplyFrame, Status>> + Send>>;

    async fn submit(&self, request: Request<Streaming<CommandFrame>>) -> Result<Response<Self::SubmitStream>, Status> {
        let (places, replies) = mpsc::channel::<Answered>(CALLS_PER_STREAM);
        let (shards, meta, stop) = (self.shards.clone(), Arc::clone(&self.meta), self.stop.clone());
        let (commands, hot_slots) = (Arc::clone(self.budget.commands()), Arc::clone(&self.hot_slots));
        scope::spawn(async move {
            tokio::select! {
                taken = take_commands(request.into_inner(), places, &shards, &meta, &commands, &hot_slots) => {
                    if let Err(error) = taken {
                        tracing::debug!(%error, "a stream of commands ended");
                    }
                }
                // What was taken is answered, then the stream ends; a command not yet read goes to another node, under its key.
                () = stop.stopped() => {}
            }
        });
        let frames = futures::stream::unfold((replies, VecDeque::new()), |(mut replies, mut ready)| async move {
            if ready.is_empty() {
                let mut taken = Vec::new();
                replies.recv_many(&mut taken, REPLIES_PER_FRAME).await;
                ready = taken.into();
            }
            (!ready.is_empty()).then(|| (Ok(pack(&mut ready)), (replies, ready)))
        });
        Ok(Response::new(frames.boxed()))
    }

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let request = request.into_inner();
        self.queries.increment(1);
        let span = TraceContext::of_bytes(&request.trace).and_then(|trace| Span::begin(Kind::Server, "query", trace));
        let reply = match self.answer(request).await {
            Ok((index, answer)) => QueryReply {
                index,
                answer,
                rejection: None,
            },
            Err(rejection) => {
                if let Some(mut span) = span {
                    span.fail(rejection.kind.as_str());
                }
                QueryReply {
                    index: 0,
                    answer: bytes::Bytes::new(),
                    rejection: Some((&rejection).into()),
                }
            }
        };
        Ok(Response::new(reply))
    }

    type WatchStream = NewsStream;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<NewsStream>, Status> {
        self.watches.open(&request.into_inner(), &self.shards, &self.stop)
    }
}

impl BookingDoor {
    /// Waits for room for about what the answer takes.
    async fn share_of(&self, query: &Query) -> Result<OwnedSemaphorePermit, Rejection> {
        let bytes = match query {
            Query::Booking { .. } | Query::Ticket { .. } | Query::TicketKeys { .. } | Query::Drawer { .. } => 8 << 10,
            Query::Venue { .. }
            | Query::Ledger { .. }
            | Query::Sales { .. }
            | Query::Audit { .. }
            | Query::Events { .. } => 256 << 10,
            Query::Availability { .. } | Query::GateBundle { .. } | Query::Footfall { .. } | Query::NoShows { .. } => {
                1 << 20
            }
        };
        let units = u32::try_from(bytes / QUERY_UNIT_BYTES).unwrap_or(u32::MAX);
        let room = Arc::clone(self.budget.queries()).acquire_many_owned(units).await;
        room.map_err(|closed| Rejection::unknown(closed.to_string()))
    }

    async fn answer(&self, request: QueryRequest) -> Result<(u64, bytes::Bytes), Rejection> {
        let query = codec::decode_query(&request.query).map_err(|error| Rejection::malformed(error.to_string()))?;
        let shard = self.shards.routed(request.shard, request.epoch)?;
        let _share = self.share_of(&query).await?;
        // ReadIndex shows everything acknowledged so far, so it shows the caller's `at_least` as well.
        shard.group.reads.linearizable().await?;
        let answering = Arc::clone(&shard);
        let answered = shard.blocking.run(move || answering.answer(&query)).await;
        match answered {
            Ok(Ok((index, answer))) => Ok((index, codec::encode_answer(&answer))),
            Ok(Err(ShardError::Rejected(rejection))) => Err(rejection),
            Ok(Err(ShardError::Broken(detail))) => {
                tracing::error!(%detail, "a query failed");
                Err(Rejection::unknown(detail))
            }
            Err(error) => Err(Rejection::unknown(error.to_string())),
        }
    }
}

/// Reads frames until the stream ends.
async fn take_commands(
    mut frames: Streaming<CommandFrame>,
    places: mpsc::Sender<Answered>,
    shards: &Shards,
    meta: &Meta,
    room: &Arc<Ceiling>,
    hot_slots: &HotSlots,
) -> Result<(), Status> {
    while let Some(frame) = frames.message().await? {
        let mut traces = Beside::new(frame.traces);
        let (mut first, mut commands) = (None, 0);
        for record in frame::commands(frame.records) {
            let record = record.map_err(|error| Status::invalid_argument(error.to_string()))?;
            // A place for the reply first: whoever sends more than it reads waits here, not in our memory.
            let Ok(place) = places.clone().reserve_owned().await else {
                return Ok(());
            };
            let share = room.take(2 * record.command.len() + ANSWER_BYTES);
            let fits = share.is_some();
            let reply = ReplyTo::Stream {
                call: record.call,
                place,
                share,
            };
            if !fits {
                reply.answer(Err(Rejection::overloaded("too many commands are pending on this node")));
                continue;
            }
            let traced = traces.of(record.call).and_then(Traced::begin);
            match admit(&record, shards, meta) {
                Ok(shard) => {
                    first.get_or_insert_with(|| record.command.clone());
                    commands += 1;
                    shard.submitter.submit(Submission {
                        command: record.command,
                        reply,
                        traced,
                    });
                }
                Err(rejection) => reply.answer(Err(rejection)),
            }
        }
        if let Some(command) = first {
            note_slot(hot_slots, &command, commands);
        }
    }
    Ok(())
}

/// One command of a frame speaks for all of them, so that the busier a node is the less of it goes into looking.
fn note_slot(hot_slots: &HotSlots, command: &[u8], commands: usize) {
    let Ok(Command { venue, operation, .. }) = codec::decode_command(command) else {
        return;
    };
    if let Operation::Hold(hold) = operation
        && let Some(line) = hold.lines.first()
    {
        hot_slots.asked(venue.0, &line.slot, commands, || line.slot.to_text());
    }
}

/// The shard that a command may be proposed to. An entry that does not decode would stop every replica, so each command is
/// looked at here, once, before it can get into the log.
fn admit(record: &CommandRecord, shards: &Shards, meta: &Meta) -> Result<Arc<Shard>, Rejection> {
    let shard = shards.routed(record.shard, record.epoch)?;
    let venue = codec::check_command(&record.command).map_err(|error| Rejection::malformed(error.to_string()))?;
    if venue == VenueNo::RESERVE {
        // Every shard has one; the codec has seen to it that this is a probe.
        return meta.reached(PROBES).map(|()| shard);
    }
    match meta.shard_of(venue.0) {
        Some(owner) if owner == record.shard => Ok(shard),
        // Another shard's venue, or one that this node has not heard of yet: the caller's map decides after a refresh.
        _ => Err(Rejection::not_here()),
    }
}

/// Takes replies into one frame until it is full; what is left goes into the next.
fn pack(replies: &mut VecDeque<Answered>) -> ReplyFrame {
    let mut records = BytesMut::with_capacity((replies.len() * 256).min(FRAME_TARGET_BYTES));
    while records.len() < FRAME_TARGET_BYTES
        && let Some(answered) = replies.pop_front()
    {
        let reply = answered.reply;
        match &reply.result {
            Ok(body) => {
                if let Err(error) = frame::put_reply(&mut records, reply.call, reply.index, body) {
                    frame::put_rejection(&mut records, reply.call, &Rejection::unknown(error.to_string()));
                }
            }
            Err(rejection) => frame::put_rejection(&mut records, reply.call, rejection),
        }
    }
    ReplyFrame {
        records: records.freeze(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rotunda_protocol::frame::ReplyRecord;

    use super::*;

    #[test]
    fn large_replies_are_spread_over_frames_that_fit() {
        let reply = |call| {
            Answered::from(ReplyRecord {
                call,
                index: 1,
                result: Ok(Bytes::from(vec![0; FRAME_TARGET_BYTES / 2 + 1])),
            })
        };
        let mut replies: VecDeque<Answered> = (0..5).map(reply).collect();
        let mut calls = Vec::new();
        while !replies.is_empty() {
            let frame = pack(&mut replies);
            assert!(frame.records.len() < 2 * FRAME_TARGET_BYTES);
            calls.extend(frame::replies(frame.records).map(|record| record.map(|record| record.call)));
        }
        assert_eq!(calls, (0..5).map(Ok).collect::<Vec<_>>());
    }
}
