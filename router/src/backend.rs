//! What the door needs of the cluster, as a trait, so that all of HTTP can be tested without one.
//!
//! In production it is `rotunda_protocol`'s cluster client, which finds the leader and retries until the deadline; in tests
//! an inventory in the same process. Errors are the client's own: each says what the caller can do.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use rotunda_booking::command::{Command, Probe};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::query::Query;
use rotunda_protocol::client::ClusterClient;
pub use rotunda_protocol::client::{Answered, Drained, Filled, Heard, NodeStatus, Submitted};
pub use rotunda_protocol::error::ClientError;
pub use rotunda_protocol::limits::{ClusterLimit, ClusterLimits};
pub use rotunda_protocol::shard_map::{NodeInfo, ShardMap};
pub use rotunda_protocol::token::{NewToken, TokenOutcome};
use rotunda_telemetry::traces::{Kind, Span};
use tokio::time::Instant;

/// The cluster, seen from the door.
pub trait Backend: Send + Sync + 'static {
    /// The shard map last heard of; version 0 where none has arrived yet.
    fn map(&self) -> Arc<ShardMap>;

    /// Has a command applied; retries with the same command until the deadline.
    fn submit<'a>(&'a self, command: &'a Command, deadline: Instant) -> BoxFuture<'a, Result<Submitted, ClientError>>;

    /// Has a shard apply a step of a prober, by the way that commands go. A backend without shards has none.
    fn probe(&self, _shard: u64, _probe: Probe, _deadline: Instant) -> BoxFuture<'_, Result<Submitted, ClientError>> {
        Box::pin(std::future::ready(Err(ClientError::Unavailable)))
    }

    /// Asks a question, of a state that shows at least the log index `at_least`.
    fn query<'a>(
        &'a self,
        query: &'a Query,
        at_least: Option<u64>,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answered, ClientError>>;

    /// Gives numbers and shards to venues of a network that have none; answers with a map that has them all, or in which one
    /// of them belongs to another network: then nothing was changed.
    fn assign_venues<'a>(
        &'a self,
        network: &'a str,
        slugs: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<ShardMap>, ClientError>>;

    /// Puts the slots of the venue's rolling window in place.
    fn fill_calendar(&self, venue: VenueNo, deadline: Instant) -> BoxFuture<'_, Result<Filled, ClientError>>;

    /// Issues a token; the map shows it when this answers.
    fn create_token(&self, token: NewToken, deadline: Instant) -> BoxFuture<'_, Result<TokenOutcome, ClientError>>;

    /// Takes a token back; the map shows it when this answers. `by` is the name of the token that asks.
    fn revoke_token<'a>(
        &'a self,
        name: &'a str,
        by: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<TokenOutcome, ClientError>>;

    /// Keeps quotas for all routers, in the place of those before; the map shows them when this answers. `by` is the name of
    /// the token that asks.
    fn set_limits<'a>(
        &'a self,
        limits: &'a [ClusterLimit],
        by: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ClientError>>;

    /// Raises the cluster's version, to the newest that any node reads where none is named; the map shows it when this answers.
    fn raise_version<'a>(
        &'a self,
        to: Option<u32>,
        by: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<u32, ClientError>>;

    /// Has a node give its leaderships away and take none, or `stop` that.
    fn drain(&self, node: u32, stop: bool, deadline: Instant) -> BoxFuture<'_, Result<Drained, ClientError>>;

    /// How a venue's slots stand and what changes, from a replica that has applied `from_index`; ends with an error when it
    /// breaks. A backend without change streams breaks at once, and availability is asked for.
    fn watch(&self, _venue: VenueNo, _from_index: u64) -> BoxStream<'static, Result<Heard, ClientError>> {
        stream::iter([Err(ClientError::Unavailable)]).boxed()
    }

    /// Asks every node of the map how it stands. A backend without real nodes says that none answers.
    fn node_status(&self, _deadline: Instant) -> BoxFuture<'_, Vec<(NodeInfo, Result<NodeStatus, ClientError>)>> {
        let nodes = self.map().nodes().to_vec();
        Box::pin(async move {
            nodes
                .into_iter()
                .map(|node| (node, Err(ClientError::Unavailable)))
                .collect()
        })
    }
}

/// What a span says of an error: which, and nothing of what it was about.
fn failure(error: &ClientError) -> &'static str {
    match error {
        ClientError::UnknownVenue => "unknown venue",
        ClientError::Unavailable => "unavailable",
        ClientError::Overloaded => "overloaded",
        ClientError::Unknown => "outcome unknown",
        ClientError::NotYet(_) => "cluster version",
        ClientError::Rejected(_) => "rejected",
    }
}

impl Backend for ClusterClient {
    fn map(&self) -> Arc<ShardMap> {
        ClusterClient::map(self)
    }

    fn submit<'a>(&'a self, command: &'a Command, deadline: Instant) -> BoxFuture<'a, Result<Submitted, ClientError>> {
        Box::pin(async move {
            let mut span = Span::below_current(Kind::Client, "forward");
            if let Some(span) = &mut span {
                span.set("rotunda.operation", command.operation.name());
            }
            let trace = span.as_ref().map(Span::context);
            let submitted = ClusterClient::submit_traced(self, command, trace, deadline).await;
            if let (Some(span), Err(error)) = (&mut span, &submitted) {
                span.fail(failure(error));
            }
            submitted
        })
    }

    fn probe(&self, shard: u64, probe: Probe, deadline: Instant) -> BoxFuture<'_, Result<Submitted, ClientError>> {
        Box::pin(ClusterClient::probe(self, shard, probe, deadline))
    }

    fn query<'a>(
        &'a self,
        query: &'a Query,
        at_least: Option<u64>,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answered, ClientError>> {
        Box::pin(async move {
            let mut span = Span::below_current(Kind::Client, "ask");
            let trace = span.as_ref().map(Span::context);
            let answered = ClusterClient::query_traced(self, query, at_least, trace, deadline).await;
            if let (Some(span), Err(error)) = (&mut span, &answered) {
                span.fail(failure(error));
            }
            answered
        })
    }

    fn assign_venues<'a>(
        &'a self,
        network: &'a str,
        slugs: &'a [String],
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Arc<ShardMap>, ClientError>> {
        Box::pin(ClusterClient::assign_venues(self, network, slugs, deadline))
    }

    fn fill_calendar(&self, venue: VenueNo, deadline: Instant) -> BoxFuture<'_, Result<Filled, ClientError>> {
        Box::pin(ClusterClient::fill_calendar(self, venue, deadline))
    }

    fn create_token(&self, token: NewToken, deadline: Instant) -> BoxFuture<'_, Result<TokenOutcome, ClientError>> {
        Box::pin(ClusterClient::create_token(self, token, deadline))
    }

    fn revoke_token<'a>(
        &'a self,
        name: &'a str,
        by: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<TokenOutcome, ClientError>> {
        Box::pin(ClusterClient::revoke_token(self, name, by, deadline))
    }

    fn set_limits<'a>(
        &'a self,
        limits: &'a [ClusterLimit],
        by: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<(), ClientError>> {
        Box::pin(ClusterClient::set_limits(self, limits, by, deadline))
    }

    fn raise_version<'a>(
        &'a self,
        to: Option<u32>,
        by: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<u32, ClientError>> {
        Box::pin(ClusterClient::raise_version(self, to, by, deadline))
    }

    fn drain(&self, node: u32, stop: bool, deadline: Instant) -> BoxFuture<'_, Result<Drained, ClientError>> {
        Box::pin(ClusterClient::drain(self, node, stop, deadline))
    }

    fn watch(&self, venue: VenueNo, from_index: u64) -> BoxStream<'static, Result<Heard, ClientError>> {
        ClusterClient::watch(self, venue, from_index).boxed()
    }

    fn node_status(&self, deadline: Instant) -> BoxFuture<'_, Vec<(NodeInfo, Result<NodeStatus, ClientError>)>> {
        Box::pin(ClusterClient::node_status(self, deadline))
    }
}
