//! What clients send without end or measure is refused, again and again, and whoever books beside them on a connection of
//! his own is served meanwhile as if they were not there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rotunda_router::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::house::config;
use crate::live::DAY;
use crate::sockets::{PATIENCE, Running, post_hold, read_answer, start};

/// Clients that make trouble at the same time.
const CROWD: usize = 16;

/// What is refused to each of them before the test ends.
const ROUNDS: usize = 3;

/// Holds of the one who makes none, at least.
const HOLDS: u32 = 20;

/// How a client's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It was told this status.
    Told(u16),
    /// The connection was closed.
    Closed,
}

/// A crowd takes turns, while somebody else books on one connection from the first turn to the last.
async fn beside<F, T>(running: &Running, turn: F, ends_well: fn(Turn) -> bool)
where
    F: Fn(SocketAddr) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Turn> + Send + 'static,
{
    let (over, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let (at, turn, over, turns) = (running.http, turn.clone(), over.clone(), turns.clone());
        crowd.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let ended = timeout(PATIENCE, turn(at)).await.expect("the turn comes to an end");
                assert!(ends_well(ended), "{ended:?}");
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut normal = TcpStream::connect(running.http).await.unwrap();
    let mut booked = 0;
    while booked < HOLDS || turns.load(Ordering::Relaxed) < CROWD * ROUNDS {
        // There are not places for ever: once there are bookings enough he only looks.
        let (request, wanted) = if booked < HOLDS {
            (post_hold(1_000 + booked), "HTTP/1.1 201 ")
        } else {
            let look = format!("GET {DAY} HTTP/1.1\r\nhost: here\r\n\r\n");
            (look.into_bytes(), "HTTP/1.1 200 ")
        };
        normal.write_all(&request).await.unwrap();
        let answer = read_answer(&mut normal).await;
        assert!(answer.starts_with(wanted), "request {booked} beside them: {answer}");
        booked += 1;
        if let Some(failed) = crowd.try_join_next() {
            failed.expect("nobody of the crowd fails");
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = crowd.join_next().await {
        ended.expect("nobody of the crowd fails");
    }
    assert_eq!(running.house.door.in_flight.now(), 0, "nothing is left of them");
}

/// Sends `head` and then `more` again and again, until the other side has had enough.
async fn pour(at: SocketAddr, head: &[u8], more: &[u8]) -> Turn {
    let mut stream = TcpStream::connect(at).await.unwrap();
    if stream.write_all(head).await.is_err() {
        return Turn::Closed;
    }
    let (mut answer, mut buffer, mut sent) = (Vec::new(), [0; 4_096], 0);
    let (mut reading, writing) = stream.split();
    loop {
        tokio::select! {
            read = reading.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return told(&answer),
                Ok(n) => {
                    answer.extend_from_slice(&buffer[..n]);
                    if let told @ Turn::Told(_) = told(&answer) {
                        return told;
                    }
                }
            },
            written = writing.writable() => match written.and_then(|()| writing.try_write(&more[sent..])) {
                Ok(n) => {
                    sent = (sent + n) % more.len();
                    // A socket that always takes more would never let the router have its turn.
                    yield_now().await;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // Closed for writing; what was said before may still be read.
                Err(_) => {
                    let _ = reading.read_to_end(&mut answer).await;
                    return told(&answer);
                }
            },
        }
    }
}

fn told(answer: &[u8]) -> Turn {
    let line = String::from_utf8_lossy(answer.get(..12).unwrap_or_default()).into_owned();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|status| status.parse().ok());
    status.map_or(Turn::Closed, Turn::Told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_without_end() {
    let running = start(config()).await;
    let turn = |at| async move {
        pour(
            at,
            b"GET /livez HTTP/1.1\r\nhost: here\r\n",
            &b"x-more: and more\r\n".repeat(16),
        )
        .await
    };
    beside(&running, turn, |turn| matches!(turn, Turn::Told(431) | Turn::Closed)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_without_end() {
    let running = start(config()).await;
    let turn = |at| async move {
        pour(
            at,
            b"GET /livez HTTP/1.1\r\nhost: here\r\nx-long: ",
            b"xxxxxxxxxxxxxxxx",
        )
        .await
    };
    beside(&running, turn, |turn| matches!(turn, Turn::Told(431) | Turn::Closed)).await;
}

const HOLD_HEAD: &str = "POST /v1/bookings HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n\
idempotency-key: 0b6b0c1e-1111-4222-8333-000000000001\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_say_they_are_too_large() {
    let running = start(config()).await;
    let turn = |at| async move {
        let head = format!("{HOLD_HEAD}content-length: 1073741824\r\n\r\n");
        pour(at, head.as_bytes(), &[b' '; 16_384]).await
    };
    beside(&running, turn, |turn| turn == Turn::Told(413)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_without_end() {
    let running = start(config()).await;
    let turn = |at| async move {
        let head = format!("{HOLD_HEAD}transfer-encoding: chunked\r\n\r\n");
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        pour(at, head.as_bytes(), chunk.as_bytes()).await
    };
    beside(&running, turn, |turn| turn == Turn::Told(413)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packed_bodies() {
    let running = start(config()).await;
    let turn = |at| async move {
        let head = format!("{HOLD_HEAD}content-encoding: gzip\r\ncontent-length: 200000\r\n\r\n");
        pour(at, head.as_bytes(), &[0x1f; 4_096]).await
    };
    beside(&running, turn, |turn| turn == Turn::Told(415)).await;
}

/// Readers who ask for more than they take. The socket's buffers are small, so that the router meets a full one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_who_take_nothing() {
    let running = start(Config {
        header_timeout: "300ms".parse().unwrap(),
        ..config()
    })
    .await;
    let turn = |at| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(at).await.unwrap();
        let ask = format!("GET {DAY}&to=2027-01-31 HTTP/1.1\r\nhost: here\r\n\r\n");
        // More answers than all buffers between hold; one after the other, for a connection has one at a time.
        for _ in 0..400 {
            if stream.write_all(ask.as_bytes()).await.is_err() {
                return Turn::Closed;
            }
        }
        // It is closed for want of progress, which whoever reads nothing learns when he writes.
        while stream.write_all(b"\r\n").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
        Turn::Closed
    };
    beside(&running, turn, |turn| turn == Turn::Closed).await;
}
