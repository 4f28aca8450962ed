//! The cluster client: a command or a question goes to the leader of its venue's shard, wherever that is just now.
//!
//! Used by the router, the `rotunda` command and the chaos harness alike. A call has a deadline and
//! until then survives what happens to nodes: it follows the leader by hints, refreshes the shard map, goes round a dead
//! or paused replica and comes back with the same command, which the log takes once. What is left to the caller is one
//! decision per variant of [`ClientError`].
//!
//! | file | what |
//! |---|---|
//! | `map_watch` | keeps the newest shard map |
//! | `leader_cache` | who led a shard when last heard of |
//! | `retry` | where a call goes next and after which pause; pure |
//! | `submit`, `query`, `admin` | the loops: commands, questions, the cluster's own affairs |
//! | `backup`, `members` | the rows of groups, for backups; nodes that leave and come |
//! | `watch` | change streams: what happens to a venue's slots, from any replica |
//! | `connection`, `session` | channels to the nodes; one command stream per node, many calls in it |

mod admin;
mod backup;
mod connection;
mod leader_cache;
mod map_watch;
mod members;
mod metrics;
mod query;
mod retry;
mod session;
mod submit;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use rotunda_booking::codec;
use rotunda_booking::command::{Command, Operation, Probe};
use rotunda_booking::ids::VenueNo;
use rotunda_booking::outcome::Reply;
use rotunda_booking::query::{Answer, Query};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

pub use self::admin::Drained;
pub use self::backup::{Rows, RowsOrigin};
use self::connection::Connections;
use self::leader_cache::LeaderCache;
use self::map_watch::MapWatch;
use self::metrics::Metrics;
use self::query::Question;
use self::submit::Destination;
pub use self::watch::Heard;
use crate::alarm::Alarms;
pub use crate::convert::{NodeStatus, ReplicaStatus};
use crate::dial::{Dial, Tcp};
pub use crate::error::ClientError;
use crate::shard_map::ShardMap;
use crate::trace_context::TraceContext;

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Addresses of some nodes, `http://127.0.0.1:7001`; the others are learnt from the map.
    pub seeds: Vec<String>,
    /// How long one attempt at one node may take before the other replicas are asked too.
    pub attempt_timeout: Duration,
    /// How nodes are reached.
    pub dial: Arc<dyn Dial>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        // Longer than a node under load ever takes, shorter than half a caller's patience.
        Self {
            seeds: Vec::new(),
            attempt_timeout: Duration::from_secs(1),
            dial: Tcp::shared(),
        }
    }
}

/// A client of one cluster. Cheap to clone; all clones share connections. The last one dropped ends them.
#[derive(Clone, Debug)]
pub struct ClusterClient {
    inner: Arc<Inner>,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The shard that took it; with the reply's index this is the caller's commit token.
    pub shard: u64,
    /// The reply, which may be a refusal.
    pub reply: Reply,
}

/// What a question came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The shard that answered.
    pub shard: u64,
    /// Applied index of the state that answered.
    pub index: u64,
    /// The answer.
    pub answer: Answer,
}

/// What filling a venue's calendar changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Slots that are new.
    pub added: u64,
    /// Unsold slots that the catalogue no longer has.
    pub removed: u64,
    /// Index of the last entry that it took.
    pub index: u64,
}

/// An entry of a shard's log, for audits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// As `rotunda_booking::codec::decode_entry` takes it; empty for Raft's own entries.
    pub payload: Bytes,
}

/// Timers of calls that are kept for the next ones: as many as calls under way at a busy router.
const ALARMS: usize = 1024;

#[derive(Debug)]
struct Inner {
    attempt_timeout: Duration,
    alarms: Alarms,
    map: Arc<MapWatch>,
    leaders: LeaderCache,
    connections: Connections,
    metrics: Arc<Metrics>,
    _map_task: AbortOnDropHandle<()>,
}

impl ClusterClient {
    /// A client that begins to look for the shard map at once. Never fails: where no seed answers it goes on trying.
    /// Install the metrics recorder before. Must be called within a tokio runtime.
    #[must_use]
    pub fn connect(config: ClientConfig) -> Self {
        let metrics = Arc::new(Metrics::new());
        let map = Arc::new(MapWatch::new(metrics.clone()));
        let map_task = tokio::spawn(map_watch::follow(map.clone(), config.dial.clone(), config.seeds));
        let inner = Inner {
            attempt_timeout: config.attempt_timeout,
            alarms: Alarms::keeping(ALARMS),
            map,
            leaders: LeaderCache::default(),
            connections: Connections::new(config.dial, metrics.clone()),
            metrics,
            _map_task: AbortOnDropHandle::new(map_task),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits until a shard map is there.
    ///
    /// # Errors
    /// `Unavailable` at the deadline.
    pub async fn ready(&self, deadline: Instant) -> Result<(), ClientError> {
        self.inner.ready(deadline).await
    }

    /// The newest map that this client knows; of version 0, and empty, before there is one.
    #[must_use]
    pub fn map(&self) -> Arc<ShardMap> {
        self.inner.map.current()
    }

    /// Sees the version of each newer map; may skip some.
    #[must_use]
    pub fn map_versions(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.map.versions()
    }

    /// Has the command applied and gives its reply. Sends it as often as it takes: a command without a key must be
    /// idempotent by its content.
    ///
    /// # Errors
    /// See [`ClientError`]. `Unknown` only where the command may have been proposed.
    pub async fn submit(&self, command: &Command, deadline: Instant) -> Result<Submitted, ClientError> {
        self.submit_traced(command, None, deadline).await
    }

    /// As [`ClusterClient::submit`], and the node's spans are below `trace`.
    ///
    /// # Errors
    /// As [`ClusterClient::submit`].
    pub async fn submit_traced(
        &self,
        command: &Command,
        trace: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Submitted, ClientError> {
        let encoded = codec::encode_command(command);
        submit::submit(&self.inner, Destination::Venue(command.venue), encoded, trace, deadline).await
    }

    /// Has a step of a prober applied by this shard, by the way that commands of visitors go.
    ///
    /// # Errors
    /// As [`ClusterClient::submit`]; `Unavailable` also where the map has no such shard.
    pub async fn probe(&self, shard: u64, probe: Probe, deadline: Instant) -> Result<Submitted, ClientError> {
        let command = Command {
            key: None,
            fingerprint: 0,
            venue: VenueNo::RESERVE,
            actor: None,
            operation: Operation::Probe(probe),
        };
        let encoded = codec::encode_command(&command);
        submit::submit(&self.inner, Destination::Shard(shard), encoded, None, deadline).await
    }

    /// Answers from a state that holds every write acknowledged before the call, and the log up to `at_least`, the
    /// index of the caller's commit token.
    ///
    /// # Errors
    /// See [`ClientError`]; never `Unknown`.
    pub async fn query(
        &self,
        query: &Query,
        at_least: Option<u64>,
        deadline: Instant,
    ) -> Result<Answered, ClientError> {
        self.query_traced(query, at_least, None, deadline).await
    }

    /// As [`ClusterClient::query`], and the node's span is below `trace`.
    ///
    /// # Errors
    /// As [`ClusterClient::query`].
    pub async fn query_traced(
        &self,
        query: &Query,
        at_least: Option<u64>,
        trace: Option<TraceContext>,
        deadline: Instant,
    ) -> Result<Answered, ClientError> {
        let question = Question {
            query: codec::encode_query(query),
            at_least: at_least.unwrap_or(0),
            trace: trace.map(TraceContext::to_bytes).unwrap_or_default(),
        };
        query::query(&self.inner, query.venue(), question, deadline).await
    }
}

impl ClusterClient {
    /// How the venue's slots stand and what changes, from any replica that has applied `from_index`, followers first. The
    /// first message with news tells everything. It ends with an error when it breaks: open another one.
    pub fn watch(
        &self,
        venue: VenueNo,
        from_index: u64,
    ) -> impl Stream<Item = Result<Heard, ClientError>> + Send + use<> {
        watch::watch(self.inner.clone(), venue, from_index)
    }
}

impl Inner {
    async fn ready(&self, deadline: Instant) -> Result<(), ClientError> {
        if self.map.is_there() {
            return Ok(());
        }
        let there = self.map.until(|map| map.version() > 0);
        timeout_at(deadline, there)
            .await
            .map(|_| ())
            .map_err(|_| ClientError::Unavailable)
    }
}
