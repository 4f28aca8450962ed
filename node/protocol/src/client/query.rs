//! One question on its way. The same loop as for commands, but a question changes nothing, so an attempt that is
//! overdue is simply given up, and no answer always means "unavailable".

use bytes::Bytes;
use rotunda_booking::codec;
use rotunda_booking::ids::VenueNo;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status};

use super::metrics::Ending;
use super::retry::{Advice, Itinerary, Setback};
use super::{Answered, Inner};
use crate::error::ClientError;
use crate::proto::booking::{QueryReply, QueryRequest};
use crate::rejection::Rejection;
use crate::shard_map::{ShardInfo, ShardMap};

/// What is asked, whichever node it is asked of.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// As `rotunda_booking::codec` encodes it.
    pub(super) query: Bytes,
    /// The answer shows the log up to here.
    pub(super) at_least: u64,
    /// As [`crate::trace_context::TraceContext::to_bytes`] gives it; empty where nobody traces it.
    pub(super) trace: Bytes,
}

pub(super) async fn query(
    inner: &Inner,
    venue: VenueNo,
    question: Question,
    deadline: Instant,
) -> Result<Answered, ClientError> {
    inner.ready(deadline).await?;
    let mut way = Itinerary::default();
    loop {
        let now = Instant::now();
        if now >= deadline {
            return Err(ClientError::Unavailable);
        }
        let map = inner.map.current();
        let shard = map.shard_of(venue).ok_or(ClientError::UnknownVenue)?;
        let candidates = shard.replicas.iter().map(|replica| replica.node);
        let advice = match way.choose(candidates, &inner.leaders, shard.id, now, |_| false) {
            None => Advice::Pause(way.pause()),
            Some(node) => {
                let until = deadline.min(now + inner.attempt_timeout);
                match attempt(inner, &map, shard, node, question.clone(), until).await {
                    Ok(answered) => {
                        inner.metrics.attempt(Ending::Answered);
                        inner.leaders.confirmed(shard.id, node);
                        return Ok(answered);
                    }
                    Err(setback) => {
                        tracing::debug!(node, shard = shard.id, ?setback, "query failed");
                        inner.metrics.attempt(setback.ending());
                        way.after(
                            &setback,
                            node,
                            shard.replicas.len(),
                            &inner.leaders,
                            shard.id,
                            Instant::now(),
                        )
                    }
                }
            }
        };
        inner.follow(advice, map.version(), deadline).await?;
    }
}

async fn attempt(
    inner: &Inner,
    map: &ShardMap,
    shard: &ShardInfo,
    node: u32,
    question: Question,
    until: Instant,
) -> Result<Answered, Setback> {
    let connection = inner.connections.to(map, node).ok_or(Setback::Unreachable)?;
    let Question { query, at_least, trace } = question;
    let request = QueryRequest {
        shard: shard.id,
        epoch: shard.epoch,
        query,
        at_least,
        trace,
    };
    let reply = match timeout_at(until, connection.questions().query(request)).await {
        Err(_) => return Err(Setback::Silent),
        Ok(Err(status)) => return Err(setback_of(&status)),
        Ok(Ok(response)) => response.into_inner(),
    };
    let QueryReply {
        index,
        answer,
        rejection,
    } = reply;
    if let Some(rejection) = rejection {
        return Err(Setback::Rejected(match Rejection::try_from(rejection) {
            Ok(rejection) => rejection,
            Err(error) => Rejection::malformed(format!("node {node} answers in another version: {error}")),
        }));
    }
    match codec::decode_answer(&answer) {
        Ok(answer) => Ok(Answered {
            shard: shard.id,
            index,
            answer,
        }),
        Err(error) => {
            let detail = format!("node {node}'s answer does not decode ({error}); is it of another version?");
            Err(Setback::Rejected(Rejection::malformed(detail)))
        }
    }
}

/// What a gRPC status means for the call's way. Statuses come from the transport and from tonic; what the node itself
/// has to say is in a rejection.
pub(super) fn setback_of(status: &Status) -> Setback {
    match status.code() {
        Code::ResourceExhausted => Setback::Rejected(Rejection::overloaded(status.message())),
        Code::NotFound => Setback::Rejected(Rejection {
            detail: status.message().to_owned(),
            ..Rejection::not_here()
        }),
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => {
            Setback::Rejected(Rejection::malformed(status.message()))
        }
        Code::FailedPrecondition => Setback::Rejected(Rejection::not_yet(status.message())),
        _ => Setback::Broken,
    }
}

impl Inner {
    /// Waits as the advice says, at most until the deadline.
    pub(super) async fn follow(&self, advice: Advice, routed_by: u64, deadline: Instant) -> Result<(), ClientError> {
        match advice {
            Advice::Pause(pause) if pause.is_zero() => {}
            Advice::Pause(pause) => sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await,
            Advice::Refresh(pause) => {
                let until = deadline.min(Instant::now() + pause);
                // Either way the next attempt takes the map as it is then.
                let _ = timeout_at(until, self.map.newer_than(routed_by).arrives()).await;
            }
            Advice::GiveUp(detail) => return Err(ClientError::Rejected(detail)),
            Advice::NotYet(detail) => return Err(ClientError::NotYet(detail)),
            Advice::Overloaded => return Err(ClientError::Overloaded),
        }
        Ok(())
    }
}
