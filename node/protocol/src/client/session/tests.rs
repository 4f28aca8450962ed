//! How calls share frames, and what happens to those under way when a stream breaks.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use futures::{FutureExt, StreamExt};

use super::*;

fn desk() -> (mpsc::Sender<Outgoing>, Arc<InFlight>, Frames) {
    let metrics = Arc::new(Metrics::new());
    let (calls, queue) = mpsc::channel(MAX_CALLS_IN_FLIGHT);
    let in_flight = Arc::new(InFlight::new(metrics.clone()));
    let frames = Frames {
        queue,
        drained: Vec::new(),
        waiting: VecDeque::new(),
        in_flight: in_flight.clone(),
        metrics,
    };
    (calls, in_flight, frames)
}

fn enqueue(calls: &mpsc::Sender<Outgoing>, in_flight: &Arc<InFlight>, command: Bytes) -> PendingReply {
    let (call, reply) = in_flight.begin(command.len()).unwrap();
    calls
        .try_send(Outgoing {
            call,
            shard: 1,
            epoch: 1,
            command,
            trace: None,
        })
        .unwrap();
    PendingReply {
        call,
        reply,
        is_over: false,
        in_flight: in_flight.clone(),
    }
}

fn calls_of(frame: CommandFrame) -> Vec<u64> {
    frame::commands(frame.records)
        .map(|record| record.unwrap().call)
        .collect()
}

#[tokio::test]
async fn all_that_is_queued_goes_into_one_frame() {
    let (calls, in_flight, mut frames) = desk();
    let waiting: Vec<_> = (0..100)
        .map(|_| enqueue(&calls, &in_flight, Bytes::from_static(b"command")))
        .collect();
    assert_eq!(calls_of(frames.next().await.unwrap()).len(), waiting.len());
    assert!(frames.next().now_or_never().is_none(), "and nothing is left");
}

#[tokio::test]
async fn a_frame_is_closed_at_its_target_and_the_rest_goes_into_the_next() {
    let (calls, in_flight, mut frames) = desk();
    let big = Bytes::from(vec![0; frame::FRAME_TARGET_BYTES / 2]);
    let _waiting: Vec<_> = (0..5).map(|_| enqueue(&calls, &in_flight, big.clone())).collect();
    let mut sizes = Vec::new();
    while let Some(Some(frame)) = frames.next().now_or_never() {
        sizes.push(calls_of(frame).len());
    }
    assert_eq!(sizes, [2, 2, 1]);
}

#[tokio::test]
async fn a_call_given_up_while_queued_is_never_sent() {
    let (calls, in_flight, mut frames) = desk();
    let first = enqueue(&calls, &in_flight, Bytes::from_static(b"1"));
    let second = enqueue(&calls, &in_flight, Bytes::from_static(b"2"));
    let kept = second.call;
    drop(first);
    assert_eq!(calls_of(frames.next().await.unwrap()), [kept]);
    assert_eq!(in_flight.books.lock().bytes, 1, "and its bytes are given back");
}

#[tokio::test]
async fn replies_find_their_calls_in_any_order() {
    let (calls, in_flight, _frames) = desk();
    let first = enqueue(&calls, &in_flight, Bytes::new());
    let second = enqueue(&calls, &in_flight, Bytes::new());
    let reply = |call, index| ReplyRecord {
        call,
        index,
        result: Ok(Bytes::new()),
    };
    in_flight.complete([reply(second.call, 22), reply(77, 77), reply(first.call, 11)].into_iter());
    assert_eq!(first.await.unwrap().index, 11);
    assert_eq!(second.await.unwrap().index, 22);
}

#[tokio::test]
async fn when_the_stream_breaks_every_call_is_told_and_no_other_is_taken() {
    let (calls, in_flight, _frames) = desk();
    let first = enqueue(&calls, &in_flight, Bytes::new());
    let second = enqueue(&calls, &in_flight, Bytes::new());
    in_flight.break_off();
    assert_eq!(first.await, None);
    assert_eq!(second.await, None);
    assert_eq!(in_flight.begin(0).err(), Some(NotTaken::Broken));
}

#[test]
fn bytes_under_way_are_bounded_and_given_back() {
    let (_, in_flight, _) = desk();
    let (call, _reply) = in_flight.begin(MAX_BYTES_IN_FLIGHT).unwrap();
    assert_eq!(in_flight.begin(1).err(), Some(NotTaken::Full));
    in_flight.withdraw(call);
    in_flight.withdraw(call);
    assert!(in_flight.begin(1).is_ok());
}

#[test]
fn calls_under_way_are_bounded() {
    let (_, in_flight, _) = desk();
    let replies: Vec<_> = (0..MAX_CALLS_IN_FLIGHT).map(|_| in_flight.begin(0).unwrap()).collect();
    assert_eq!(in_flight.begin(0).err(), Some(NotTaken::Full));
    in_flight.withdraw(replies[0].0);
    assert!(in_flight.begin(0).is_ok());
}
