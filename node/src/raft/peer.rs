//! One connection to one other node: a single bidirectional stream that carries the messages of every group.
//!
//! `Peers` keeps a [`Peer`] per node. A peer's task dials, sends what is queued, matches responses to calls by number,
//! and fails every pending call at once when the stream ends, so openraft learns quickly that the node is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rotunda_protocol::MAX_MESSAGE_BYTES;
use rotunda_protocol::dial::{BadAddress, Callee, Dial, Line};
use rotunda_protocol::proto::raft::peer_frame::Kind;
use rotunda_protocol::proto::raft::raft_client::RaftClient;
use rotunda_protocol::proto::raft::{PeerFrame, SnapshotChunk};
use rotunda_protocol::version::Formats;
use rotunda_raft_storage::scope;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// Frames waiting to be sent to one node; those with entries are bounded in bytes besides, by who sends them (`network`).
/// When full the call fails at once and openraft backs off: a peer that does not
/// drain its stream gains nothing from a longer queue.
const SEND_QUEUE_FRAMES: usize = 2_048;

const REDIAL_MIN: Duration = Duration::from_millis(20);
const REDIAL_MAX: Duration = Duration::from_millis(500);

/// HTTP/2's window for responses, which are short: some hundred of them may be under way unread.
const WINDOW_BYTES: u32 = 128 << 10;

/// Why a call had no answer. Its effect is unknown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// Not connected, or the stream broke.
    #[error("node {0} cannot be reached")]
    Unreachable(u32),
    /// The other side is there but the group is not.
    #[error("node {node} has no such group: {detail}")]
    NoGroup {
        /// Which node.
        node: u32,
        /// Its words.
        detail: String,
    },
    /// The queue to the node is full.
    #[error("too much is queued for node {0}")]
    Busy(u32),
}

type Pending = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Result<Bytes, PeerError>>>>>;

/// Who is calling; the other side refuses strangers.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The cluster's name.
    pub cluster: String,
    /// This node.
    pub node: u32,
}

/// Metadata by which a node checks that it is the one that was meant.
pub const CLUSTER_HEADER: &str = "rotunda-cluster";

/// Metadata key: the caller's binary, with the formats that it reads. Not there: a binary of before there were ranges.
pub const VERSION_HEADER: &str = "rotunda-version";
/// The calling node.
pub const FROM_HEADER: &str = "rotunda-from";
/// The node that is meant.
pub const TO_HEADER: &str = "rotunda-to";

/// Every other node.
#[derive(Clone)]
pub struct Peers {
    caller: Caller,
    dial: Arc<dyn Dial>,
    peers: Arc<Mutex<BTreeMap<u32, Peer>>>,
}

impl Peers {
    /// Knows nobody yet.
    #[must_use]
    pub fn new(caller: Caller, dial: Arc<dyn Dial>) -> Self {
        Self {
            caller,
            dial,
            peers: Arc::default(),
        }
    }

    /// Makes a node's address known. A changed address takes effect at the next dial.
    pub fn set_address(&self, node: u32, address: &str) {
        if node == self.caller.node {
            return;
        }
        let mut peers = self.peers.lock();
        match peers.get(&node) {
            Some(peer) => {
                let mut known = peer.address.lock();
                if *known != address {
                    address.clone_into(&mut known);
                }
            }
            None => {
                peers.insert(
                    node,
                    Peer::spawn(self.caller.clone(), Arc::clone(&self.dial), node, address.to_owned()),
                );
            }
        }
    }

    /// The connection to a node, if its address is known.
    #[must_use]
    pub fn get(&self, node: u32) -> Option<Peer> {
        self.peers.lock().get(&node).cloned()
    }

    /// All known nodes but this one.
    #[must_use]
    pub fn all(&self) -> Vec<Peer> {
        self.peers.lock().values().cloned().collect()
    }
}

/// One other node.
#[derive(Clone)]
pub struct Peer {
    node: u32,
    caller: Caller,
    dial: Arc<dyn Dial>,
    address: Arc<Mutex<String>>,
    /// `None` while there is no connection: calls fail at once.
    sender: Arc<Mutex<Option<mpsc::Sender<PeerFrame>>>>,
    pending: Pending,
    next_call: Arc<AtomicU64>,
}

impl Peer {
    fn spawn(caller: Caller, dial: Arc<dyn Dial>, node: u32, address: String) -> Self {
        let peer = Self {
            node,
            caller,
            dial,
            address: Arc::new(Mutex::new(address)),
            sender: Arc::default(),
            pending: Arc::default(),
            next_call: Arc::new(AtomicU64::new(1)),
        };
        scope::spawn(peer.clone().keep_connected());
        peer
    }

    /// Which node.
    #[must_use]
    pub fn node(&self) -> u32 {
        self.node
    }

    /// Queues a request now, so requests of one caller keep their order, and gives the response to wait for.
    pub fn call(&self, group: u64, to: u64, kind: Kind, body: Bytes) -> oneshot::Receiver<Result<Bytes, PeerError>> {
        let (reply, receiver) = oneshot::channel();
        let Some(sender) = self.sender.lock().clone() else {
            let _ = reply.send(Err(PeerError::Unreachable(self.node)));
            return receiver;
        };
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        self.pending.lock().insert(call, reply);
        let frame = PeerFrame {
            group,
            to,
            call,
            kind: kind.into(),
            body,
        };
        if let Err(refused) = sender.try_send(frame) {
            let error = match refused {
                mpsc::error::TrySendError::Full(_) => PeerError::Busy(self.node),
                mpsc::error::TrySendError::Closed(_) => PeerError::Unreachable(self.node),
            };
            if let Some(reply) = self.pending.lock().remove(&call) {
                let _ = reply.send(Err(error));
            }
        } else if sender.is_closed() {
            // The stream ended between the look and the send: its clean-up may have run before our insert.
            self.fail_pending();
        }
        receiver
    }

    /// Sends a snapshot beside the stream; gives the receiver's answer.
    ///
    /// # Errors
    /// Where the node cannot be reached or refuses.
    pub async fn snapshot(&self, chunks: ReceiverStream<SnapshotChunk>) -> Result<Bytes, tonic::Status> {
        let mut client = self
            .client()
            .map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let request = self.identified(tonic::Request::new(chunks))?;
        Ok(client.snapshot(request).await?.into_inner().body)
    }

    /// A connection of its own to the node, made when it is first used.
    fn client(&self) -> Result<RaftClient<Line>, BadAddress> {
        let address = self.address.lock().clone();
        let client = RaftClient::new(self.dial.line(Callee::node(self.node, &address), WINDOW_BYTES)?);
        Ok(client
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES))
    }

    fn identified<T>(&self, mut request: tonic::Request<T>) -> Result<tonic::Request<T>, tonic::Status> {
        let cluster = self
            .caller
            .cluster
            .parse()
            .map_err(|_| tonic::Status::internal("cluster name is not ASCII"))?;
        let metadata = request.metadata_mut();
        metadata.insert(CLUSTER_HEADER, cluster);
        if let Ok(version) = Formats::OURS.stated_with(env!("CARGO_PKG_VERSION")).parse() {
            metadata.insert(VERSION_HEADER, version);
        }
        metadata.insert(FROM_HEADER, self.caller.node.into());
        metadata.insert(TO_HEADER, self.node.into());
        Ok(request)
    }

    async fn keep_connected(self) {
        let mut wait = REDIAL_MIN;
        loop {
            match self.exchange().await {
                Ok(()) => {
                    tracing::info!(node = self.node, "the stream to the node ended");
                    wait = REDIAL_MIN;
                }
                Err(error) => {
                    tracing::debug!(node = self.node, %error, "the node cannot be reached");
                    wait = (wait * 2).min(REDIAL_MAX);
                }
            }
            self.sender.lock().take();
            self.fail_pending();
            tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    /// Connects and carries messages until the stream ends.
    async fn exchange(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut client = self.client()?;
        let (sender, queued) = mpsc::channel(SEND_QUEUE_FRAMES);
        let request = self.identified(tonic::Request::new(ReceiverStream::new(queued)))?;
        let mut responses = client.exchange(request).await?.into_inner();
        tracing::info!(node = self.node, "connected");
        *self.sender.lock() = Some(sender);
        while let Some(frame) = responses.message().await? {
            let Some(reply) = self.pending.lock().remove(&frame.call) else {
                continue;
            };
            let result = if frame.kind() == Kind::Unavailable {
                Err(PeerError::NoGroup {
                    node: self.node,
                    detail: String::from_utf8_lossy(&frame.body).into_owned(),
                })
            } else {
                Ok(frame.body)
            };
            let _ = reply.send(result);
        }
        Ok(())
    }

    fn fail_pending(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        for reply in pending.into_values() {
            let _ = reply.send(Err(PeerError::Unreachable(self.node)));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use rotunda_protocol::dial::Tcp;

    use super::*;

    /// How nodes greet each other, whatever their versions; binaries from before there were ranges say no version.
    #[tokio::test]
    async fn a_peer_is_greeted_with_these_words() {
        let caller = Caller {
            cluster: "meridian".to_owned(),
            node: 1,
        };
        let peer = Peer::spawn(caller, Tcp::shared(), 2, "http://127.0.0.1:1".to_owned());
        let greeting = peer.identified(tonic::Request::new(())).unwrap();
        let mut words: Vec<(String, String)> = greeting
            .metadata()
            .iter()
            .filter_map(|pair| match pair {
                tonic::metadata::KeyAndValueRef::Ascii(key, value) => {
                    Some((key.to_string(), value.to_str().unwrap().to_owned()))
                }
                tonic::metadata::KeyAndValueRef::Binary(..) => None,
            })
            .collect();
        words.sort();
        let version = format!("{}+formats.3-4", env!("CARGO_PKG_VERSION"));
        let wanted = [
            ("rotunda-cluster", "meridian"),
            ("rotunda-from", "1"),
            ("rotunda-to", "2"),
            ("rotunda-version", &version),
        ];
        let wanted: Vec<(String, String)> = wanted
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(words, wanted);
    }
}
