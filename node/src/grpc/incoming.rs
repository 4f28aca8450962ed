//! Accepting connections, up to a number: what a connection has received and nobody has read is memory. In a cluster with
//! certificates a connection is one only once its caller has shown whose it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use rotunda_metrics::tls;
use rotunda_tls::identity::Identity;
use rotunda_tls::mutual::{HandshakeError, Trust};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpIncoming};

/// Bytes in both directions, as they are or under TLS.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<W: AsyncRead + AsyncWrite + Send + Unpin> Wire for W {}

/// Who is at the other end: whom its certificate names. `None` in a cluster without certificates.
#[derive(Clone, Debug)]
pub struct Shown(pub Option<Identity>);

/// A connection that keeps its place until it is dropped.
pub struct Counted {
    wire: Box<dyn Wire>,
    shown: Shown,
    _place: OwnedSemaphorePermit,
}

/// At most `limit` of the connections of `incoming` at a time. One too many is closed at once: its caller sees that the
/// node cannot be reached and turns to another, where waiting in the backlog would tell it nothing. With `trust`, callers
/// show their certificates first, side by side, and those that cannot are closed.
pub fn at_most(
    limit: usize,
    incoming: TcpIncoming,
    trust: Option<Arc<Trust>>,
) -> impl Stream<Item = std::io::Result<Counted>> {
    let places = Arc::new(Semaphore::new(limit));
    let refused = metrics::counter!(rotunda_metrics::node::CONNECTIONS_REFUSED.name);
    if trust.is_some() {
        metrics::counter!(tls::HANDSHAKES_FAILED.name, "side" => "called").increment(0);
    }
    let counted = incoming.filter_map(move |accepted| {
        let counted = match accepted {
            Err(error) => Some(Err(error)),
            Ok(stream) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => Some(Ok((stream, place))),
                Err(_full) => {
                    refused.increment(1);
                    tracing::warn!(
                        limit,
                        "a connection was closed: too many are open; raise --memory or run fewer routers"
                    );
                    None
                }
            },
        };
        std::future::ready(counted)
    });
    let shown = counted.map(move |counted| {
        let trust = trust.clone();
        async move {
            match counted {
                Ok((stream, place)) => show(stream, place, trust.as_deref()).await.map(Ok),
                Err(error) => Some(Err(error)),
            }
        }
    });
    // As many as there are places, so that whoever shows nothing keeps nobody waiting.
    shown.buffer_unordered(limit.max(1)).filter_map(std::future::ready)
}

async fn show(stream: TcpStream, place: OwnedSemaphorePermit, trust: Option<&Trust>) -> Option<Counted> {
    let Some(trust) = trust else {
        return Some(Counted {
            wire: Box::new(stream),
            shown: Shown(None),
            _place: place,
        });
    };
    let from = stream.peer_addr().ok();
    match trust.current().accept(stream).await {
        Ok((stream, identity)) => Some(Counted {
            wire: Box::new(stream),
            shown: Shown(Some(identity)),
            _place: place,
        }),
        Err(HandshakeError::Refused(why)) => {
            metrics::counter!(tls::HANDSHAKES_FAILED.name, "side" => "called").increment(1);
            tracing::warn!(?from, "a connection was refused: {why}");
            None
        }
        Err(error) => {
            tracing::debug!(?from, %error, "a connection came to nothing");
            None
        }
    }
}

impl Connected for Counted {
    type ConnectInfo = Shown;

    fn connect_info(&self) -> Shown {
        self.shown.clone()
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
