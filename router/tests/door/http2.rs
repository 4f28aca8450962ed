//! HTTP/2 at the door: many requests on one connection, and what one connection may not do to others.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::{Method, Request};
use rotunda_router::http2::MAX_STREAMS;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::house::{config, hold, key};
use crate::sockets::{PATIENCE, exchange, post_hold, start};

async fn connect(to: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // How it ends, its requests say.
        let _ = connection.await;
    });
    requests
}

fn hold_head(n: u32) -> Request<()> {
    Request::builder()
        .method(Method::POST)
        .uri("http://here/v1/bookings")
        .header("content-type", "application/json")
        .header("idempotency-key", key(n))
        .body(())
        .unwrap()
}

/// A client of the common kind, on a connection of its own.
async fn somebody_else_books(at: SocketAddr, n: u32) {
    let answer = timeout(PATIENCE, exchange(at, &post_hold(n))).await;
    let answer = answer.expect("somebody else is answered");
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test]
async fn many_holds_stand_side_by_side_on_one_connection() {
    let running = start(config()).await;
    let mut requests = connect(running.http).await;
    let mut answers = Vec::new();
    for n in 0..20 {
        requests = requests.ready().await.unwrap();
        let (answer, mut body) = requests.send_request(hold_head(n), false).unwrap();
        body.send_data(Bytes::from(hold(1)), true).unwrap();
        answers.push(answer);
    }
    for answer in answers {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 201);
        assert!(answer.headers().contains_key("rotunda-commit"));
        let body = timeout(PATIENCE, answer.into_body().data()).await.unwrap();
        let booking: serde_json::Value = serde_json::from_slice(&body.unwrap().unwrap()).unwrap();
        assert_eq!(booking["status"], "held");
    }
}

#[tokio::test]
async fn a_connection_has_so_many_requests_open_and_no_more() {
    let running = start(config()).await;
    let mut requests = connect(running.http).await;
    // Bodies that do not come. The first answer brings the router's settings, without which the client knows no bound.
    requests = requests.ready().await.unwrap();
    let (answer, mut body) = requests.send_request(hold_head(0), false).unwrap();
    body.send_data(Bytes::from(hold(1)), true).unwrap();
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 201);
    let mut open = Vec::new();
    for n in 1..=MAX_STREAMS {
        requests = timeout(PATIENCE, requests.ready()).await.unwrap().unwrap();
        open.push(requests.send_request(hold_head(n), false).unwrap());
    }
    let in_flight = || running.house.door.in_flight.now();
    timeout(PATIENCE, async {
        while in_flight() < MAX_STREAMS as usize {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("all of them are begun");
    // The next one waits at the client, and everybody else is served.
    let (waits, _body) = requests.send_request(hold_head(9_000), true).unwrap();
    somebody_else_books(running.http, 9_001).await;
    assert!(in_flight() <= MAX_STREAMS as usize);
    drop(waits);
    // Those who give up leave nothing behind.
    for (_, mut body) in open {
        body.send_reset(Reason::CANCEL);
    }
    timeout(PATIENCE, async {
        while in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nobody is left");
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_cost_others_nothing() {
    let running = start(config()).await;
    let before = running.house.fake.state_hash();
    let mut requests = connect(running.http).await;
    for n in 0..5_000 {
        // The router may have had enough of this connection.
        requests = match timeout(PATIENCE, requests.ready()).await.unwrap() {
            Ok(requests) => requests,
            Err(_) => break,
        };
        let Ok((_, mut body)) = requests.send_request(hold_head(n), false) else {
            break;
        };
        body.send_reset(Reason::CANCEL);
    }
    assert_eq!(running.house.fake.state_hash(), before);
    somebody_else_books(running.http, 9_000).await;
    timeout(PATIENCE, async {
        while running.house.door.in_flight.now() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nobody is left");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let running = start(config()).await;
    let mut requests = connect(running.http).await;
    let long = "x".repeat(8 * 1024);
    let mut head = hold_head(1);
    for n in 0..8 {
        let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
        head.headers_mut().insert(name, long.parse().unwrap());
    }
    requests = requests.ready().await.unwrap();
    let (answer, _body) = requests.send_request(head, true).unwrap();
    // With 431, or by a reset of the stream.
    match timeout(PATIENCE, answer).await.unwrap() {
        Ok(answer) => assert_eq!(answer.status(), 431),
        Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
    }
    somebody_else_books(running.http, 2).await;
}

#[tokio::test]
async fn a_drain_lets_what_is_open_on_a_connection_finish() {
    let running = start(config()).await;
    let mut requests = connect(running.http).await;
    let all = running.house.fake.gate.acquire_many(1_000_000).await.unwrap();
    requests = requests.ready().await.unwrap();
    let (answer, mut body) = requests.send_request(hold_head(1), false).unwrap();
    body.send_data(Bytes::from(hold(1)), true).unwrap();
    timeout(PATIENCE, async {
        while running.house.door.in_flight.now() < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is begun");
    running.stop.cancel();
    // The connection is told, and the request goes on.
    timeout(PATIENCE, async {
        while requests.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("no more requests are taken");
    drop(all);
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 201);
    timeout(PATIENCE, running.served).await.unwrap().unwrap();
}
