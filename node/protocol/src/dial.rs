//! How calls reach a node: over TCP, or by whatever else takes a request and gives a response. The simulator hands in
//! its own [`Dial`], so that everything above a connection, streams and retries included, is the code that runs in production.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::{KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT};

/// How long connecting may take. Nodes are near; what takes longer is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// What broke below a call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LineError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl LineError {
    /// Because of `cause`.
    pub fn because(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The way to one node. Connects when it is first used, and again after it broke; clones share a connection.
pub type Line = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, LineError>;

/// Not an address of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is no address of a node, as http://127.0.0.1:7001: {detail}")]
pub struct BadAddress {
    /// What was given.
    pub address: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Gives ways to nodes.
pub trait Dial: Debug + Send + Sync + 'static {
    /// A way to the node at `address` on a connection of its own. `window_bytes` may be under way unread in its answers.
    ///
    /// # Errors
    /// Where the address is none; whether somebody is there shows when the line is used.
    fn line(&self, address: &str, window_bytes: u32) -> Result<Line, BadAddress>;
}

/// TCP, with the settings that all connections to nodes have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Tcp {
    /// To be handed where a [`Dial`] is wanted.
    #[must_use]
    pub fn shared() -> Arc<dyn Dial> {
        Arc::new(Self)
    }
}

impl Dial for Tcp {
    fn line(&self, address: &str, window_bytes: u32) -> Result<Line, BadAddress> {
        let uri = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        let endpoint = Endpoint::from_shared(uri).map_err(|error| BadAddress {
            address: address.to_owned(),
            detail: error.to_string(),
        })?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(window_bytes)
            .initial_connection_window_size(window_bytes)
            .connect_lazy();
        Ok(Line::new(channel.map_err(LineError::because)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_is_refused_with_one_that_is() {
        assert!(Tcp.line("127.0.0.1:7001", 1 << 20).is_ok());
        let refused = Tcp.line("http://no way", 1 << 20).expect_err("a space");
        assert!(refused.to_string().contains("http://127.0.0.1:7001"), "{refused}");
    }
}
