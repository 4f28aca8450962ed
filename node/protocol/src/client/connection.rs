//! The connections to the nodes, one of each kind per node, made when first needed and kept.
//!
//! Commands and queries share one HTTP/2 connection; the cluster's own affairs (status, logs, the map) have another, and
//! change streams a third, so that a long log for an auditor never holds up a sale. A dead node shows as a refused connection or a broken stream
//! at once; a paused one, whose sockets stay open, by unanswered pings. An attempt to open a command stream is shared by
//! all calls that want it, and after a failure there is a short pause in which calls fail at once and go elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::metrics::Metrics;
use super::retry::Backoff;
use super::session::Session;
use crate::MAX_MESSAGE_BYTES;
use crate::dial::{Callee, Dial, Line};
use crate::proto::admin::admin_client::AdminClient;
use crate::proto::booking::booking_client::BookingClient;
use crate::shard_map::{NodeInfo, ShardMap};

/// How long a node may take to accept a stream, connecting included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);

/// After a failure to open a stream nobody tries again for so long, growing from the first to the second.
const COOL_MIN: Duration = Duration::from_millis(20);
const COOL_MAX: Duration = Duration::from_millis(250);

/// Flow-control window: room for a frame in each direction without waiting for the other side.
pub(crate) const WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// No stream came about; nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable;

/// All nodes' connections.
#[derive(Debug)]
pub(crate) struct Connections {
    by_node: RwLock<HashMap<u32, Arc<Connection>>>,
    dial: Arc<dyn Dial>,
    metrics: Arc<Metrics>,
}

impl Connections {
    pub(crate) fn new(dial: Arc<dyn Dial>, metrics: Arc<Metrics>) -> Self {
        Self {
            by_node: RwLock::default(),
            dial,
            metrics,
        }
    }

    /// The connection to a node of the map; `None` where the map has no such node or its address is none.
    pub(crate) fn to(&self, map: &ShardMap, node: u32) -> Option<Arc<Connection>> {
        let info = map.node(node)?;
        if let Some(connection) = self.by_node.read().get(&node)
            && connection.address == info.grpc
        {
            return Some(connection.clone());
        }
        let connection = Arc::new(Connection::new(info, self.dial.clone(), self.metrics.clone())?);
        let mut by_node = self.by_node.write();
        // A new connection means a new map, mostly: the time to let go of nodes that have left or moved.
        by_node.retain(|id, old| map.node(*id).is_some_and(|info| info.grpc == old.address));
        Some(by_node.entry(node).or_insert(connection).clone())
    }
}

/// Everything that goes to one node at one address.
#[derive(Debug)]
pub(crate) struct Connection {
    node: u32,
    address: String,
    work: Line,
    affairs: Line,
    /// Of its own: there may be a stream for each venue that is looked at, and queries must not wait for their end. Made by
    /// whoever watches first, on his runtime: there its frames are read.
    watches: OnceLock<Line>,
    dial: Arc<dyn Dial>,
    stream: Mutex<StreamState>,
    metrics: Arc<Metrics>,
}

pub(crate) type Opening = Shared<BoxFuture<'static, Result<Arc<Session>, Unreachable>>>;

/// A node's command stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Open(Arc<Session>),
    Opening(Opening),
}

#[derive(Debug)]
struct StreamState {
    stage: Stage,
    cooling: Backoff,
}

#[derive(Debug)]
enum Stage {
    Closed,
    Opening(Opening),
    Open(Arc<Session>),
    Cooling { until: Instant },
}

impl Connection {
    fn new(node: &NodeInfo, dial: Arc<dyn Dial>, metrics: Arc<Metrics>) -> Option<Self> {
        let line = || {
            dial.line(Callee::node(node.id, &node.grpc), WINDOW_BYTES)
                .inspect_err(
                    |error| tracing::error!(node = node.id, %error, "the map names a node that cannot be called"),
                )
                .ok()
        };
        Some(Self {
            node: node.id,
            work: line()?,
            affairs: line()?,
            address: node.grpc.clone(),
            watches: OnceLock::new(),
            dial,
            stream: Mutex::new(StreamState {
                stage: Stage::Closed,
                cooling: Backoff::between(COOL_MIN, COOL_MAX),
            }),
            metrics,
        })
    }

    /// For queries.
    pub(crate) fn questions(&self) -> BookingClient<Line> {
        BookingClient::new(self.work.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// For change streams. `None` where the address is none, which [`Connection::new`] has found already.
    pub(crate) fn watches(&self) -> Option<BookingClient<Line>> {
        let line = match self.watches.get() {
            Some(line) => line.clone(),
            None => {
                let line = self
                    .dial
                    .line(Callee::node(self.node, &self.address), WINDOW_BYTES)
                    .ok()?;
                self.watches.get_or_init(|| line).clone()
            }
        };
        Some(BookingClient::new(line).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// For the cluster's own affairs.
    pub(crate) fn affairs(&self) -> AdminClient<Line> {
        admin_client(self.affairs.clone())
    }

    /// The open command stream, or the one that is just being opened, or a new one.
    pub(crate) fn stream(self: &Arc<Self>) -> Result<Stream, Unreachable> {
        let mut state = self.stream.lock();
        match &state.stage {
            Stage::Open(session) if !session.is_broken() => Ok(Stream::Open(session.clone())),
            Stage::Opening(opening) => Ok(Stream::Opening(opening.clone())),
            Stage::Cooling { until } if Instant::now() < *until => Err(Unreachable),
            Stage::Closed | Stage::Open(_) | Stage::Cooling { .. } => {
                let opening = self.open();
                state.stage = Stage::Opening(opening.clone());
                Ok(Stream::Opening(opening))
            }
        }
    }

    fn open(self: &Arc<Self>) -> Opening {
        let connection = self.clone();
        // A task of its own: the caller that happened to be first may give up while others wait for the same stream.
        let task = tokio::spawn(async move {
            let session = Session::open(connection.work.clone(), connection.metrics.clone());
            let opened = match tokio::time::timeout(OPEN_TIMEOUT, session).await {
                Ok(Ok(session)) => Ok(Arc::new(session)),
                Ok(Err(status)) => {
                    tracing::debug!(address = connection.address, %status, "no command stream");
                    Err(Unreachable)
                }
                Err(_) => {
                    tracing::debug!(address = connection.address, "no command stream in {OPEN_TIMEOUT:?}");
                    Err(Unreachable)
                }
            };
            let mut state = connection.stream.lock();
            state.stage = match &opened {
                Ok(session) => {
                    state.cooling.reset();
                    Stage::Open(session.clone())
                }
                Err(Unreachable) => Stage::Cooling {
                    until: Instant::now() + state.cooling.next(),
                },
            };
            opened
        });
        // The task is only lost when the runtime shuts down.
        task.map(|joined| joined.unwrap_or(Err(Unreachable))).boxed().shared()
    }
}

/// A client for the cluster's own affairs with the workspace's limits.
pub(crate) fn admin_client(line: Line) -> AdminClient<Line> {
    AdminClient::new(line)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}
