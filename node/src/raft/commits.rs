//! What is committed, told to followers together with the next entries.
//!
//! openraft sends a request of its own when a commit advances and no entries are there to carry it: after each entry of a
//! lone client, and after most entries of a few, so half of all messages between nodes, each with its answer. Nobody waits
//! for a follower to apply, so such a request waits a moment here, and is left out where entries come and carry its commit.
//! A crowd's entry is another matter: applying it is work that fits into the pause before the next one, and would hold up the
//! next one's acknowledgement.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::stream::Fuse;
use futures::{Stream, StreamExt};
use openraft::EntryPayload;
use openraft::raft::AppendEntriesRequest;
use openraft::type_config::alias::EntryOf;
use rotunda_raft_storage::TypeConfig;
use tokio::time::{Instant, Sleep};

/// How much later followers may apply what nothing follows.
pub const TOLD_WITHIN: Duration = Duration::from_millis(10);

/// Entries of more bytes are a crowd's: some hundred commands.
const CROWD_BYTES: usize = 8 * 1024;

type Request = AppendEntriesRequest<TypeConfig>;

fn is_of_a_crowd(request: &Request) -> bool {
    let bytes = |entry: &EntryOf<TypeConfig>| match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    request.entries.iter().map(bytes).sum::<usize>() > CROWD_BYTES
}

/// The requests of one replication stream, without those that only carry a commit which the next one carries too.
///
/// openraft needs no answer to what is left out: the answer to the request after it acknowledges as much and more. What is
/// alone in its stream, as heartbeats and probes are, waits for nothing.
pub struct Commits<S: Stream> {
    /// Fused: it is asked again after its end, when what was held is given out.
    requests: Fuse<S>,
    held: Option<Request>,
    /// The last entries were a crowd's: what commits them is told at once.
    crowded: bool,
    /// Made with the first request that is held: most streams are heartbeats.
    told_by: Option<Pin<Box<Sleep>>>,
}

impl<S: Stream> Commits<S> {
    /// Over the stream that openraft wants sent.
    pub fn of(requests: S) -> Self {
        Self {
            requests: requests.fuse(),
            held: None,
            crowded: false,
            told_by: None,
        }
    }

    fn hold(&mut self, request: Request) {
        // The first of several decides when they are told.
        if self.held.replace(request).is_some() {
            return;
        }
        match &mut self.told_by {
            Some(timer) => timer.as_mut().reset(Instant::now() + TOLD_WITHIN),
            None => self.told_by = Some(Box::pin(tokio::time::sleep(TOLD_WITHIN))),
        }
    }
}

impl<S: Stream<Item = Request> + Unpin> Stream for Commits<S> {
    type Item = Request;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Request>> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.requests).poll_next(context) {
                Poll::Ready(Some(request)) if request.entries.is_empty() && !this.crowded => this.hold(request),
                Poll::Ready(Some(request)) => {
                    this.held = None;
                    if !request.entries.is_empty() {
                        this.crowded = is_of_a_crowd(&request);
                    }
                    return Poll::Ready(Some(request));
                }
                Poll::Ready(None) => return Poll::Ready(this.held.take()),
                Poll::Pending => {
                    if let (Some(_), Some(timer)) = (&this.held, &mut this.told_by) {
                        ready!(timer.as_mut().poll(context));
                        return Poll::Ready(this.held.take());
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bytes::Bytes;
    use futures::{FutureExt, stream};
    use openraft::type_config::alias::{LogIdOf, VoteOf};
    use openraft::vote::RaftVote as _;
    use openraft::vote::leader_id_adv::LeaderId;
    use rotunda_raft_storage::Payload;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    /// More than any story here has at once.
    const REQUESTS: usize = 4;

    fn id(index: u64) -> LogIdOf<TypeConfig> {
        let leader_id = LeaderId { term: 1, node_id: 1 };
        LogIdOf::<TypeConfig> { leader_id, index }
    }

    fn request(previous: u64, entries: u64, commit: u64) -> Request {
        let entry = |index| EntryOf::<TypeConfig> {
            log_id: id(index),
            payload: EntryPayload::Blank,
        };
        Request {
            vote: VoteOf::<TypeConfig>::from_leader_id(LeaderId { term: 1, node_id: 1 }, true),
            prev_log_id: Some(id(previous)),
            entries: (previous + 1..=previous + entries).map(entry).collect(),
            leader_commit: Some(id(commit)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_goes_with_the_next_entries() {
        let (wanted, requests) = mpsc::channel(REQUESTS);
        let mut sent = Commits::of(ReceiverStream::new(requests));
        wanted.try_send(request(0, 1, 0)).unwrap();
        assert_eq!(sent.next().await.unwrap().entries.len(), 1);
        wanted.try_send(request(1, 0, 1)).unwrap();
        assert!(sent.next().now_or_never().is_none());
        wanted.try_send(request(1, 2, 1)).unwrap();
        let both = sent.next().await.unwrap();
        assert_eq!((both.entries.len(), both.leader_commit), (2, Some(id(1))));
        assert!(sent.next().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_of_a_crowds_entry_is_told_at_once() {
        let (wanted, requests) = mpsc::channel(REQUESTS);
        let mut sent = Commits::of(ReceiverStream::new(requests));
        let mut large = request(0, 1, 0);
        large.entries[0].payload = EntryPayload::Normal(Payload(Bytes::from(vec![0; CROWD_BYTES + 1])));
        for (entries, at_once) in [(large, true), (request(1, 1, 1), false)] {
            wanted.try_send(entries).unwrap();
            assert_eq!(sent.next().await.unwrap().entries.len(), 1);
            wanted.try_send(request(2, 0, 2)).unwrap();
            assert_eq!(sent.next().now_or_never().is_some(), at_once);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_nothing_follows_is_told_in_time() {
        let (wanted, requests) = mpsc::channel(REQUESTS);
        let mut sent = Commits::of(ReceiverStream::new(requests));
        for round in 1..4 {
            let begun = Instant::now();
            wanted.try_send(request(9, 0, round)).unwrap();
            assert!(sent.next().now_or_never().is_none());
            tokio::time::advance(TOLD_WITHIN / 2).await;
            wanted.try_send(request(9, 0, round + 1)).unwrap();
            assert_eq!(sent.next().await.unwrap().leader_commit, Some(id(round + 1)));
            assert!(begun.elapsed() <= TOLD_WITHIN + Duration::from_millis(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_waits_for_nothing() {
        // As openraft makes its streams: this one panics where it is asked again after its end.
        let alone = stream::unfold(true, |first| async move { first.then(|| (request(3, 0, 3), false)) });
        let mut sent = Commits::of(alone.boxed());
        assert!(sent.next().now_or_never().unwrap().is_some());
        assert!(sent.next().now_or_never().unwrap().is_none());
    }
}
