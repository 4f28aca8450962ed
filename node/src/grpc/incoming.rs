//! Accepting connections, up to a number: what a connection has received and nobody has read is memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

/// A connection that keeps its place until it is dropped.
pub struct Counted {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// At most `limit` of the connections of `incoming` at a time. One too many is closed at once: its caller sees that the
/// node cannot be reached and turns to another, where waiting in the backlog would tell it nothing.
pub fn at_most(limit: usize, incoming: TcpIncoming) -> impl Stream<Item = std::io::Result<Counted>> {
    let places = Arc::new(Semaphore::new(limit));
    let refused = metrics::counter!(rotunda_metrics::node::CONNECTIONS_REFUSED.name);
    incoming.filter_map(move |accepted| {
        let counted = match accepted {
            Err(error) => Some(Err(error)),
            Ok(stream) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => Some(Ok(Counted { stream, _place: place })),
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
    })
}

impl Connected for Counted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
