//! Over real sockets: heads that are slow or too long, bodies that are too large, connections that are too many, and how
//! it stops.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rotunda_router::config::Config;
use rotunda_router::server::Bound;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::house::{House, config, hold, key};

/// Longer than anything here takes on the slowest machine; only a hang gets that far.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    pub(crate) house: House,
    pub(crate) http: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    admin: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

pub(crate) async fn start(config: Config) -> Running {
    let config = Config {
        http: ([127, 0, 0, 1], 0).into(),
        admin: ([127, 0, 0, 1], 0).into(),
        ..config
    };
    let house = House::furnished(config.clone()).await;
    let bound = Bound::bind(&config).unwrap();
    let (http, https, admin) = (bound.http(), bound.https(), bound.admin());
    let stop = CancellationToken::new();
    let served = tokio::spawn(bound.serve(Arc::clone(&house.door), None, stop.clone()));
    Running {
        house,
        http,
        https,
        admin,
        stop,
        served,
    }
}

/// Sends bytes and reads until the other side closes or an answer with a known length is whole.
pub(crate) async fn exchange(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let _ = stream.write_all(bytes).await;
    read_answer(&mut stream).await
}

pub(crate) async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let whole = |answer: &[u8]| {
        let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return false;
        };
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
        length.is_some_and(|length| body.len() >= length)
    };
    while !whole(&answer) {
        let mut buffer = [0; 4096];
        match timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .expect("an answer comes")
        {
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
        }
    }
    String::from_utf8(answer).unwrap()
}

async fn until_there_is_a_place(at: SocketAddr) {
    let freed = async {
        while !exchange(at, b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200 ")
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.expect("the place becomes free");
}

pub(crate) fn post_hold(n: u32) -> Vec<u8> {
    let body = hold(1);
    format!(
        "POST /v1/bookings HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\nidempotency-key: {}\r\ncontent-length: {}\r\n\r\n{body}",
        key(n),
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_hold_is_taken_over_a_socket_and_the_connection_kept() {
    let running = start(config()).await;
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    for n in 0..2 {
        stream.write_all(&post_hold(n)).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
        assert!(answer.contains("\r\nlocation: /v1/bookings/"), "{answer}");
    }
    let live = exchange(running.admin, b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n").await;
    assert!(live.starts_with("HTTP/1.1 200 OK\r\n"), "{live}");
}

#[tokio::test]
async fn a_client_that_sends_ten_megabytes_first_and_reads_then_learns_why() {
    let running = start(config()).await;
    let mut request = format!(
        "POST /v1/bookings HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\nidempotency-key: {}\r\ncontent-length: 10485760\r\n\r\n",
        key(1)
    )
    .into_bytes();
    request.resize(request.len() + 10_485_760, b' ');
    let answer = exchange(running.http, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(
        answer.contains("body_too_large") && answer.contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_may_not_import_learns_it_though_it_sent_all_of_its_file() {
    let running = start(config()).await;
    let mut request = b"PUT /v1/admin/network HTTP/1.1\r\nhost: here\r\ncontent-length: 5000000\r\n\r\n".to_vec();
    request.resize(request.len() + 5_000_000, b' ');
    let answer = exchange(running.http, &request).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_long_or_has_too_many_lines_is_refused() {
    let running = start(config()).await;
    let long = format!(
        "GET /livez HTTP/1.1\r\nhost: here\r\nx-padding: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let answer = exchange(running.http, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let answer = exchange(
        running.http,
        format!("GET /livez HTTP/1.1\r\nhost: here\r\n{many}\r\n").as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = exchange(running.http, b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let running = start(Config {
        header_timeout: "50ms".parse().unwrap(),
        ..config()
    })
    .await;
    let answer = exchange(running.http, b"GET /livez HTTP/1.1\r\nhost: he").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn the_connection_above_the_limit_is_told_so() {
    let running = start(Config {
        max_connections: 1,
        ..config()
    })
    .await;
    let mut first = TcpStream::connect(running.http).await.unwrap();
    first
        .write_all(b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n")
        .await
        .unwrap();
    assert!(read_answer(&mut first).await.starts_with("HTTP/1.1 200 "));
    let mut second = TcpStream::connect(running.http).await.unwrap();
    let answer = read_answer(&mut second).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("overloaded"),
        "{answer}"
    );
    drop(first);
    // Its place is free again, as soon as the server has seen it go.
    until_there_is_a_place(running.http).await;
}

#[tokio::test]
async fn a_connection_of_http_1_has_one_request_at_a_time() {
    let running = start(config()).await;
    // A hundred requests in a row on one connection.
    let all = running.house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let mut greedy = TcpStream::connect(running.http).await.unwrap();
    let requests: Vec<u8> = (0..100).flat_map(post_hold).collect();
    greedy.write_all(&requests).await.unwrap();
    while running.house.door.in_flight.now() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        let live = exchange(running.http, b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n").await;
        assert!(live.starts_with("HTTP/1.1 200 "), "{live}");
        assert_eq!(running.house.door.in_flight.now(), 1);
    }
    drop(all);
    assert!(read_answer(&mut greedy).await.starts_with("HTTP/1.1 201 "));
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_do_not_hold_up_others() {
    let running = start(Config {
        header_timeout: "500ms".parse().unwrap(),
        request_deadline: "500ms".parse().unwrap(),
        ..config()
    })
    .await;
    let body = post_hold(1);
    let mut slow = Vec::new();
    for n in 0..100 {
        let mut stream = TcpStream::connect(running.http).await.unwrap();
        let sent: &[u8] = if n % 2 == 0 {
            b"GET /livez HTTP/1.1\r\nx-slow: "
        } else {
            &body[..body.len() - 1]
        };
        stream.write_all(sent).await.unwrap();
        slow.push(stream);
    }
    let mut normal = TcpStream::connect(running.http).await.unwrap();
    normal.write_all(&post_hold(2)).await.unwrap();
    assert!(read_answer(&mut normal).await.starts_with("HTTP/1.1 201 "));
    for (n, mut stream) in slow.into_iter().enumerate() {
        let answer = read_answer(&mut stream).await;
        let is_over = answer.starts_with("HTTP/1.1 408 ") || (n % 2 == 0 && answer.is_empty());
        assert!(is_over, "{answer}");
    }
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_the_next_is_told_so() {
    let running = start(Config {
        max_connections_loopback: 2,
        ..config()
    })
    .await;
    let live = b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(running.http).await.unwrap();
        stream.write_all(live).await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        kept.push(stream);
    }
    let answer = read_answer(&mut TcpStream::connect(running.http).await.unwrap()).await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("overloaded"),
        "{answer}"
    );
    // Those that are open go on.
    kept[0].write_all(live).await.unwrap();
    assert!(read_answer(&mut kept[0]).await.starts_with("HTTP/1.1 200 "));
    // Another address of this machine is another client.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(running.http).await.unwrap();
    other.write_all(live).await.unwrap();
    assert!(read_answer(&mut other).await.starts_with("HTTP/1.1 200 "));
    drop(kept);
    until_there_is_a_place(running.http).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answers_loses_its_place() {
    let running = start(Config {
        max_connections: 1,
        header_timeout: "500ms".parse().unwrap(),
        ..config()
    })
    .await;
    let mut greedy = TcpStream::connect(running.http).await.unwrap();
    // Together far more than the sockets' buffers hold.
    let requests = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: here\r\n\r\n".repeat(100);
    greedy.write_all(requests.as_bytes()).await.unwrap();
    until_there_is_a_place(running.http).await;
    drop(greedy);
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_takes_no_more() {
    let running = start(config()).await;
    let all = running.house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    stream.write_all(&post_hold(1)).await.unwrap();
    while running.house.door.in_flight.now() == 0 {
        tokio::task::yield_now().await;
    }
    running.stop.cancel();
    let refused = async {
        while TcpStream::connect(running.http).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, refused).await.expect("the port closes");
    let ready = exchange(running.admin, b"GET /readyz HTTP/1.1\r\nhost: here\r\n\r\n").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(!running.served.is_finished());
    drop(all);
    let answer = read_answer(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 201 ") && answer.contains("connection: close"),
        "{answer}"
    );
    timeout(PATIENCE, running.served).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_drain_ends_even_when_a_request_does_not() {
    let running = start(Config {
        drain_timeout: "50ms".parse().unwrap(),
        ..config()
    })
    .await;
    let _all = running.house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    stream.write_all(&post_hold(1)).await.unwrap();
    while running.house.door.in_flight.now() == 0 {
        tokio::task::yield_now().await;
    }
    running.stop.cancel();
    timeout(PATIENCE, running.served).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn a_busy_port_is_said_to_be_busy_and_what_to_do() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_rotunda-router"))
        .args(["--http", &address, "--admin", "127.0.0.1:0"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&address) && text.contains("--http") && text.contains("Another process"),
        "{text}"
    );
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
}

#[test]
fn a_setting_that_cannot_be_used_is_named() {
    for (arguments, named) in [
        (["--rate-limit", "many"], "rate-limit"),
        (["--trusted-proxy", "home"], "trusted-proxy"),
        (["--config", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_rotunda-router"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(named), "{text}");
    }
}
