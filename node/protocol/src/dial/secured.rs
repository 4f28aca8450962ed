//! TLS under the calls: we show our certificate, and the node that is called must show its own. One that shows another's has
//! not been reached, whatever its address.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rotunda_metrics::tls as names;
use rotunda_tls::mutual::{HandshakeError, Trust};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::{ServiceExt as _, service_fn};

use super::{BadAddress, Callee, Dial, Line, LineError, endpoint};

/// A node that shows the wrong certificate is called again several times a second; one line in so long says so.
const COMPLAIN_AFTER: Duration = Duration::from_secs(10);

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 443;

/// See the module.
#[derive(Clone, Debug)]
pub struct Secured {
    trust: Arc<Trust>,
    complained: Arc<Mutex<Option<Instant>>>,
}

impl Secured {
    /// Showing what `trust` holds at the time of each connection.
    #[must_use]
    pub fn with(trust: Arc<Trust>) -> Arc<dyn Dial> {
        metrics::counter!(names::HANDSHAKES_FAILED.name, "side" => "calling").increment(0);
        Arc::new(Self {
            trust,
            complained: Arc::default(),
        })
    }

    async fn connect(
        self,
        node: Option<u32>,
        host: String,
        port: u16,
    ) -> io::Result<impl hyper::rt::Read + hyper::rt::Write + Send + Unpin> {
        let stream = TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), port)).await?;
        stream.set_nodelay(true)?;
        let secured = self.trust.current().connect(stream, node, &host).await;
        secured
            .map(TokioIo::new)
            .map_err(|error| self.failed(error, node, &host, port))
    }

    fn failed(&self, error: HandshakeError, node: Option<u32>, host: &str, port: u16) -> io::Error {
        if let HandshakeError::Refused(why) = &error {
            metrics::counter!(names::HANDSHAKES_FAILED.name, "side" => "calling").increment(1);
            let mut complained = self.complained.lock();
            if complained.is_none_or(|at| at.elapsed() >= COMPLAIN_AFTER) {
                *complained = Some(Instant::now());
                tracing::warn!(?node, "not connected to {host}:{port}: {why}");
            }
        }
        io::Error::other(error)
    }
}

impl Dial for Secured {
    fn line(&self, callee: Callee<'_>, window_bytes: u32) -> Result<Line, BadAddress> {
        if callee.address.starts_with("http://") {
            return Err(callee.refuse("with certificates nodes are called under https://"));
        }
        let endpoint = endpoint(callee, window_bytes)?;
        let (secured, node) = (self.clone(), callee.node);
        let connect = service_fn(move |uri: http::Uri| -> BoxFuture<'static, io::Result<_>> {
            let host = uri.host().unwrap_or_default().to_owned();
            let port = uri.port_u16().unwrap_or(DEFAULT_PORT);
            secured.clone().connect(node, host, port).boxed()
        });
        let channel = endpoint.connect_with_connector_lazy(connect);
        Ok(Line::new(channel.map_err(LineError::because)))
    }
}
