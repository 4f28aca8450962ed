//! A body on its way: its frames arrive in order, each after the delay that it met, and none once the connection broke.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::{Body as _, Frame};
use rotunda_protocol::dial::LineError;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::Wire;

/// Frames under way at once: the window. When full the sender waits.
const WINDOW_FRAMES: usize = 256;

/// See the module.
pub(super) struct Carried {
    inner: Body,
    wire: Wire,
    back: bool,
    sent: VecDeque<(Instant, Result<Frame<Bytes>, Status>)>,
    last_arrival: Option<Instant>,
    ended: bool,
    /// The way of the first of `sent`, once it has set out.
    arriving: Option<BoxFuture<'static, Result<(), LineError>>>,
    broken: BoxFuture<'static, ()>,
    is_broken: bool,
}

impl Carried {
    pub(super) fn new(inner: Body, wire: Wire, back: bool) -> Self {
        let watched = wire.clone();
        Self {
            inner,
            wire,
            back,
            sent: VecDeque::new(),
            last_arrival: None,
            ended: false,
            arriving: None,
            broken: async move { watched.broken().await }.boxed(),
            is_broken: false,
        }
    }

    /// Takes what the sender has ready.
    fn send(&mut self, context: &mut Context<'_>) {
        while !self.ended && self.sent.len() < WINDOW_FRAMES {
            match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(frame)) => {
                    let bytes = match &frame {
                        Ok(frame) => frame.data_ref().map_or(0, Bytes::len),
                        Err(_) => 0,
                    };
                    let arrival = self.wire.arrival(self.back, bytes);
                    // A stream does not overtake itself.
                    let arrival = self.last_arrival.map_or(arrival, |last| last.max(arrival));
                    self.last_arrival = Some(arrival);
                    self.sent.push_back((arrival, frame));
                }
            }
        }
    }
}

impl http_body::Body for Carried {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_broken {
            return Poll::Ready(None);
        }
        if this.broken.as_mut().poll(context).is_ready() {
            this.is_broken = true;
            return Poll::Ready(Some(Err(Status::unavailable("the connection broke"))));
        }
        this.send(context);
        let Some((arrival, _)) = this.sent.front() else {
            return if this.ended { Poll::Ready(None) } else { Poll::Pending };
        };
        let arriving = this.arriving.get_or_insert_with(|| {
            let (wire, back, arrival) = (this.wire.clone(), this.back, *arrival);
            async move {
                sleep_until(arrival).await;
                wire.open(back).await
            }
            .boxed()
        });
        match arriving.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => {
                this.is_broken = true;
                Poll::Ready(Some(Err(Status::unavailable(error.to_string()))))
            }
            Poll::Ready(Ok(())) => {
                this.arriving = None;
                let frame = this.sent.pop_front().map(|(_, frame)| frame);
                // There is room again, and nobody else asks the sender.
                this.send(context);
                Poll::Ready(frame)
            }
        }
    }
}
