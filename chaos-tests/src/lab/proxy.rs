//! A link that is late, sliced or half-open: a small TCP proxy between two hosts. Rules of [`super::network`] lead the
//! connections of one link here; those that are open when the link is let go are closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// Pieces under way in one direction of a connection. When there are so many, the sender waits, as on a long line.
const UNDER_WAY: usize = 256;
/// Bytes of a piece.
const PIECE: usize = 16 << 10;
const CONNECT: Duration = Duration::from_secs(2);

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Each piece comes so much later, and up to so much more.
    Late {
        /// At least.
        delay: Duration,
        /// At most so much more.
        jitter: Duration,
    },
    /// Connections open, everything is taken, nothing arrives.
    HalfOpen,
    /// As sent, but a few bytes at a time.
    Sliced,
}

/// A link through this process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    carried: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens at `at` (port 0: any) and carries to `to`.
    ///
    /// # Errors
    /// Where nobody can listen there.
    pub async fn open(at: SocketAddr, to: SocketAddr, weather: Weather) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let carried = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(listen(listener, to, weather, Arc::clone(&carried)));
        Ok(Proxy { address, carried, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that it took in.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections are tasks of this one's set and go with it.
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, to: SocketAddr, weather: Weather, carried: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                connections.spawn(connect(near, to, weather, Arc::clone(&carried)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(near: TcpStream, to: SocketAddr, weather: Weather, carried: Arc<AtomicU64>) {
    let Ok(Ok(far)) = timeout(CONNECT, TcpStream::connect(to)).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = carry(near_read, far_write, weather, &carried);
    let back = carry(far_read, near_write, weather, &carried);
    // One direction that ends takes the other along: nobody here half-closes on purpose.
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    weather: Weather,
    carried: &AtomicU64,
) {
    let (send, mut due) = mpsc::channel::<(Instant, Bytes)>(UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        let mut last = Instant::now();
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            carried.fetch_add(count as u64, Ordering::Relaxed);
            let late = match weather {
                Weather::HalfOpen => continue,
                Weather::Sliced => Duration::ZERO,
                Weather::Late { delay, jitter } => delay + jitter.mul_f64(fastrand::f64()),
            };
            // In order: a piece never overtakes the one before.
            last = last.max(Instant::now() + late);
            if send
                .send((last, Bytes::copy_from_slice(&buffer[..count])))
                .await
                .is_err()
            {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, piece)) = due.recv().await {
            sleep_until(at).await;
            let slice = if weather == Weather::Sliced { 7 } else { PIECE };
            for part in piece.chunks(slice) {
                if to.write_all(part).await.is_err() {
                    return;
                }
                if weather == Weather::Sliced {
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    // What was read before the end is still delivered.
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says back what it hears.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut peer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = peer.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn through(weather: Weather) -> (Proxy, TcpStream) {
        let any = "127.0.0.1:0".parse().expect("an address");
        let proxy = Proxy::open(any, echo().await, weather).await.expect("a proxy");
        let stream = TcpStream::connect(proxy.address()).await.expect("a connection");
        (proxy, stream)
    }

    #[tokio::test]
    async fn a_late_link_delivers_everything_later() {
        let delay = Duration::from_millis(60);
        let jitter = Duration::from_millis(20);
        for weather in [Weather::Late { delay, jitter }, Weather::Sliced] {
            let (proxy, mut stream) = through(weather).await;
            let begun = Instant::now();
            let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
            let (mut read, mut write) = stream.split();
            let mut heard = vec![0; sent.len()];
            let (written, read) = tokio::join!(write.write_all(&sent), read.read_exact(&mut heard));
            written.expect("a write");
            read.expect("a read");
            assert!(heard == sent, "{weather:?} changed something");
            assert_eq!(proxy.carried(), 2 * sent.len() as u64);
            if weather != Weather::Sliced {
                assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());
            }
        }
    }

    #[tokio::test]
    async fn a_half_open_link_takes_everything_and_gives_nothing_until_it_is_let_go() {
        let (proxy, mut stream) = through(Weather::HalfOpen).await;
        stream.write_all(b"hello").await.expect("it is taken");
        let mut heard = [0; 5];
        let silence = timeout(Duration::from_millis(200), stream.read(&mut heard)).await;
        assert!(silence.is_err(), "{silence:?}");
        assert_eq!(proxy.carried(), 5);
        drop(proxy);
        let end = timeout(Duration::from_secs(5), stream.read(&mut heard))
            .await
            .expect("an end");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}
