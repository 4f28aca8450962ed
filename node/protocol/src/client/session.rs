//! One open `Submit` stream to one node: many calls at once, joined to their replies by number.
//!
//! Whoever polls the stream (hyper, when the connection can take more) drains everything that is queued into one frame,
//! so the busier the client, the larger its frames, and a lone call never waits. When the stream breaks, every call on
//! it is told so: its fate is unknown. A session does not mend itself; [`super::connection`] opens the next.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

use super::metrics::Metrics;
use crate::dial::Line;
use crate::frame::{self, ReplyRecord};
use crate::proto::booking::booking_client::BookingClient;
use crate::proto::booking::{CommandFrame, ReplyFrame};
use crate::trace_context::TraceContext;

/// Calls under way at one node, queued and sent together. When they are so many the next is refused as overloaded at
/// once: the node is behind, and waiting here would only hide it.
pub(crate) const MAX_CALLS_IN_FLIGHT: usize = 8 * 1024;

/// Bytes of commands under way at one node. Beyond it the next call is refused as overloaded, as above.
pub(crate) const MAX_BYTES_IN_FLIGHT: usize = 32 * 1024 * 1024;

/// Calls taken from the queue at a time.
const CALLS_PER_DRAIN: usize = 1024;

/// Why a session did not take a call. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// A bound is reached.
    Full,
    /// The stream has broken.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Session {
    calls: mpsc::Sender<Outgoing>,
    in_flight: Arc<InFlight>,
    // The reader ends with the session: nobody waits for its replies any more.
    _reader: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Outgoing {
    call: u64,
    shard: u64,
    epoch: u64,
    command: Bytes,
    // Boxed: what is not traced, and that is most, moves one word.
    trace: Option<Box<TraceContext>>,
}

impl Session {
    /// Opens a stream. Resolves once the node has accepted it; the caller sets the deadline.
    pub(crate) async fn open(line: Line, metrics: Arc<Metrics>) -> Result<Self, tonic::Status> {
        let (calls, queue) = mpsc::channel(MAX_CALLS_IN_FLIGHT);
        let in_flight = Arc::new(InFlight::new(metrics.clone()));
        let frames = Frames {
            queue,
            drained: Vec::with_capacity(CALLS_PER_DRAIN),
            waiting: VecDeque::new(),
            in_flight: in_flight.clone(),
            metrics: metrics.clone(),
        };
        let mut client = BookingClient::new(line)
            .max_decoding_message_size(crate::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(crate::MAX_MESSAGE_BYTES);
        let replies = client.submit(frames).await?.into_inner();
        metrics.streams_opened.increment(1);
        let reader = tokio::spawn(read(replies, in_flight.clone()));
        Ok(Self {
            calls,
            in_flight,
            _reader: AbortOnDropHandle::new(reader),
        })
    }

    /// Queues a command; what it returns resolves to the reply, or to `None` when the stream breaks first.
    pub(crate) fn call(
        &self,
        shard: u64,
        epoch: u64,
        command: Bytes,
        trace: Option<Box<TraceContext>>,
    ) -> Result<PendingReply, NotTaken> {
        let bytes = command.len();
        let (call, reply) = self.in_flight.begin(bytes)?;
        // From here on dropping `pending` takes the call back out of the books.
        let pending = PendingReply {
            call,
            reply,
            is_over: false,
            in_flight: self.in_flight.clone(),
        };
        match self.calls.try_send(Outgoing {
            call,
            shard,
            epoch,
            command,
            trace,
        }) {
            Ok(()) => Ok(pending),
            Err(mpsc::error::TrySendError::Full(_)) => Err(NotTaken::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotTaken::Broken),
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.in_flight.books.lock().broken
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.in_flight.break_off();
    }
}

/// Resolves to the reply, or to `None` when the stream broke: the call's fate is unknown. Dropped, it withdraws the
/// call if that has not been sent.
#[derive(Debug)]
pub(crate) struct PendingReply {
    call: u64,
    reply: oneshot::Receiver<ReplyRecord>,
    /// Whoever answered or broke off has taken the call out of the books.
    is_over: bool,
    in_flight: Arc<InFlight>,
}

impl Future for PendingReply {
    type Output = Option<ReplyRecord>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.reply).poll(context));
        self.is_over = true;
        Poll::Ready(reply.ok())
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if !self.is_over {
            self.in_flight.withdraw(self.call);
        }
    }
}

/// The calls that wait for a reply.
#[derive(Debug)]
struct InFlight {
    books: Mutex<Books>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Books {
    calls: BTreeMap<u64, Waiting>,
    bytes: usize,
    last_call: u64,
    broken: bool,
}

#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<ReplyRecord>,
    bytes: usize,
}

impl InFlight {
    fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            books: Mutex::default(),
            metrics,
        }
    }

    fn begin(&self, bytes: usize) -> Result<(u64, oneshot::Receiver<ReplyRecord>), NotTaken> {
        let mut books = self.books.lock();
        if books.broken {
            return Err(NotTaken::Broken);
        }
        if books.calls.len() >= MAX_CALLS_IN_FLIGHT || books.bytes + bytes > MAX_BYTES_IN_FLIGHT {
            return Err(NotTaken::Full);
        }
        let (reply, receiver) = oneshot::channel();
        books.last_call += 1;
        let call = books.last_call;
        books.bytes += bytes;
        books.calls.insert(call, Waiting { reply, bytes });
        self.metrics.in_flight.increment(1.0);
        Ok((call, receiver))
    }

    fn complete(&self, replies: impl Iterator<Item = ReplyRecord>) {
        let mut books = self.books.lock();
        for reply in replies {
            // A reply that nobody waits for any more is dropped.
            if let Some(waiting) = self.take(&mut books, reply.call) {
                let _ = waiting.reply.send(reply);
            }
        }
    }

    fn withdraw(&self, call: u64) {
        self.take(&mut self.books.lock(), call);
    }

    fn take(&self, books: &mut Books, call: u64) -> Option<Waiting> {
        let waiting = books.calls.remove(&call)?;
        books.bytes -= waiting.bytes;
        self.metrics.in_flight.decrement(1.0);
        Some(waiting)
    }

    fn break_off(&self) {
        let mut books = self.books.lock();
        books.broken = true;
        books.bytes = 0;
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_CALLS_IN_FLIGHT")]
        self.metrics.in_flight.decrement(books.calls.len() as f64);
        // Dropping the senders is what tells the callers.
        books.calls.clear();
    }
}

async fn read(mut replies: Streaming<ReplyFrame>, in_flight: Arc<InFlight>) {
    loop {
        match replies.message().await {
            Ok(Some(frame)) => {
                let mut damage = None;
                let records =
                    frame::replies(frame.records).map_while(|record| record.map_err(|e| damage = Some(e)).ok());
                in_flight.complete(records);
                if let Some(error) = damage {
                    tracing::warn!(%error, "a node's reply frame does not decode; closing the stream");
                    break;
                }
            }
            Ok(None) => break,
            Err(status) => {
                tracing::debug!(%status, "command stream broke");
                break;
            }
        }
    }
    in_flight.break_off();
}

/// The outgoing half, as tonic polls it.
struct Frames {
    queue: mpsc::Receiver<Outgoing>,
    drained: Vec<Outgoing>,
    // What was drained but did not fit into the last frame; at most CALLS_PER_DRAIN.
    waiting: VecDeque<Outgoing>,
    in_flight: Arc<InFlight>,
    metrics: Arc<Metrics>,
}

impl Frames {
    fn pack(&mut self) -> Option<CommandFrame> {
        let books = self.in_flight.books.lock();
        let (mut records, mut traces) = (BytesMut::new(), BytesMut::new());
        let mut commands = 0;
        while records.len() < frame::FRAME_TARGET_BYTES
            && let Some(Outgoing {
                call,
                shard,
                epoch,
                command,
                trace,
            }) = self.waiting.pop_front()
        {
            // A caller that gave up while its command was queued gets its wish: it is never sent. The length was
            // checked when the call was made, so the record fits.
            if books.calls.contains_key(&call) && frame::put_command(&mut records, call, shard, epoch, &command).is_ok()
            {
                commands += 1;
                if let Some(trace) = trace {
                    trace.put_beside(&mut traces, call);
                }
            }
        }
        drop(books);
        if commands == 0 {
            return None;
        }
        self.metrics.frames.increment(1);
        self.metrics.frame_commands.increment(commands);
        Some(CommandFrame {
            records: records.freeze(),
            traces: traces.freeze(),
        })
    }
}

impl Stream for Frames {
    type Item = CommandFrame;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<CommandFrame>> {
        let this = self.get_mut();
        loop {
            if this.waiting.is_empty() {
                let taken = ready!(this.queue.poll_recv_many(context, &mut this.drained, CALLS_PER_DRAIN));
                if taken == 0 {
                    return Poll::Ready(None);
                }
                this.waiting.extend(this.drained.drain(..));
            }
            if let Some(frame) = this.pack() {
                return Poll::Ready(Some(frame));
            }
        }
    }
}

#[cfg(test)]
mod tests;
