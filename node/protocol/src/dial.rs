//! How calls reach a node: over TCP, or by whatever else takes a request and gives a response. The simulator hands in
//! its own [`Dial`], so that everything above a connection, streams and retries included, is the code that runs in production.
//! [`Tcp`] is for clusters without certificates, [`Secured`] for those with.

mod secured;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

pub use self::secured::Secured;
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

/// Who is called, and where.
#[derive(Clone, Copy, Debug)]
pub struct Callee<'a> {
    /// As `http://127.0.0.1:7001`.
    pub address: &'a str,
    /// The node that must be there; where it is not known, as with a router's seeds, any of the cluster.
    pub node: Option<u32>,
}

impl<'a> Callee<'a> {
    /// The node `node`, at `address`.
    #[must_use]
    pub const fn node(node: u32, address: &'a str) -> Self {
        Self {
            address,
            node: Some(node),
        }
    }

    /// Whichever node is at `address`.
    #[must_use]
    pub const fn any(address: &'a str) -> Self {
        Self { address, node: None }
    }

    fn refuse(self, detail: impl ToString) -> BadAddress {
        BadAddress {
            address: self.address.to_owned(),
            detail: detail.to_string(),
        }
    }
}

/// Gives ways to nodes.
pub trait Dial: Debug + Send + Sync + 'static {
    /// A way to `callee` on a connection of its own. `window_bytes` may be under way unread in its answers.
    ///
    /// # Errors
    /// Where the address is none; whether somebody is there, and the one that is meant, shows when the line is used.
    fn line(&self, callee: Callee<'_>, window_bytes: u32) -> Result<Line, BadAddress>;
}

/// TCP as it is, with the settings that all connections to nodes have in common. For clusters without certificates.
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
    fn line(&self, callee: Callee<'_>, window_bytes: u32) -> Result<Line, BadAddress> {
        if callee.address.starts_with("https://") {
            return Err(
                callee.refuse("nodes with https:// are called with a certificate; give this process one ([tls])")
            );
        }
        let channel = endpoint(callee, window_bytes)?.tcp_nodelay(true).connect_lazy();
        Ok(Line::new(channel.map_err(LineError::because)))
    }
}

/// What all connections to nodes have in common, whatever carries them.
fn endpoint(callee: Callee<'_>, window_bytes: u32) -> Result<Endpoint, BadAddress> {
    let bare = callee
        .address
        .split_once("://")
        .map_or(callee.address, |(_, bare)| bare);
    let endpoint = Endpoint::from_shared(format!("http://{bare}")).map_err(|error| callee.refuse(error))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(window_bytes)
        .initial_connection_window_size(window_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_is_refused_with_one_that_is() {
        assert!(Tcp.line(Callee::any("127.0.0.1:7001"), 1 << 20).is_ok());
        let refused = Tcp.line(Callee::any("http://no way"), 1 << 20).expect_err("a space");
        assert!(refused.to_string().contains("http://127.0.0.1:7001"), "{refused}");
        let refused = Tcp.line(Callee::node(1, "https://127.0.0.1:7001"), 1 << 20);
        assert!(refused.expect_err("a secret").to_string().contains("[tls]"));
    }
}
