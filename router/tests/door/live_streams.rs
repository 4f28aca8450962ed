//! Availability as server-sent events: nothing is missed, nobody is waited for, and there is a bound.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::StatusCode;
use rotunda_router::config::Config;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::house::{House, config, hold, key, request};
use crate::live::watching;
use crate::sockets::{PATIENCE, start};

const STREAM: &str = "/v1/venues/lisbon-tides/availability/stream?product=general&from=2026-12-01";
const TEN: &str = "general@2026-12-01T10:00+00:00";

/// Streams of the test that opens as many as one router has to hold.
const MANY: usize = 5_000;

struct Stream(BodyDataStream);

#[derive(Debug)]
struct Event {
    kind: String,
    id: Option<u64>,
    data: Value,
}

impl Stream {
    async fn open(house: &House, headers: &[(&str, &str)]) -> Result<Self, StatusCode> {
        let response = house
            .app
            .clone()
            .oneshot(request("GET", STREAM, headers, String::new()))
            .await
            .unwrap();
        if response.status() != 200 {
            return Err(response.status());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Self(Body::into_data_stream(response.into_body())))
    }

    async fn bytes(&mut self) -> Option<String> {
        let chunk = timeout(PATIENCE, self.0.next()).await.expect("an event comes")?;
        Some(String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    }

    /// The next event; comments are passed over.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let text = self.bytes().await?;
            if !text.starts_with(':') {
                return Some(parse(&text));
            }
        }
    }
}

fn parse(text: &str) -> Event {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    Event {
        kind: field("event: ").unwrap().to_owned(),
        id: field("id: ").map(|id| id.parse().unwrap()),
        data: serde_json::from_str(field("data: ").unwrap()).unwrap(),
    }
}

fn left_at_ten(event: &Event) -> Option<u64> {
    let slots = event.data["slots"].as_array().unwrap();
    slots
        .iter()
        .find(|slot| slot["id"] == TEN)
        .map(|slot| slot["vacancies"].as_u64().unwrap())
}

#[tokio::test]
async fn all_slots_come_first_and_then_what_changes() {
    let house = watching().await;
    let mut stream = Stream::open(&house, &[]).await.unwrap();
    let first = stream.event().await.unwrap();
    let before = left_at_ten(&first).unwrap();
    assert_eq!(first.kind, "reset");
    let mut last = first.id.unwrap();
    for n in 1..=20 {
        assert_eq!(house.post("/v1/bookings", &key(n), &hold(1)).await.status, 201);
        let event = stream.event().await.unwrap();
        assert_eq!(event.kind, "slots");
        assert!(event.id.unwrap() > last, "ids grow");
        assert_eq!(event.data["as_of"]["index"], event.id.unwrap());
        assert_eq!(left_at_ten(&event), Some(before - u64::from(n)));
        last = event.id.unwrap();
    }
    // Another day is none of its business.
    let other = hold(1).replace("2026-12-01", "2026-12-02");
    assert_eq!(house.post("/v1/bookings", &key(50), &other).await.status, 201);
    assert_eq!(house.post("/v1/bookings", &key(51), &hold(1)).await.status, 201);
    let event = stream.event().await.unwrap();
    let slots = event.data["slots"].as_array().unwrap();
    assert!(
        slots
            .iter()
            .all(|slot| slot["id"].as_str().unwrap().contains("@2026-12-01T")),
        "{event:?}"
    );
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let house = watching().await;
    let mut stream = Stream::open(&house, &[]).await.unwrap();
    let first = stream.event().await.unwrap();
    let before = left_at_ten(&first).unwrap();
    drop(stream);
    for n in 1..=5 {
        assert_eq!(house.post("/v1/bookings", &key(n), &hold(1)).await.status, 201);
    }
    let id = first.id.unwrap().to_string();
    let mut stream = Stream::open(&house, &[("last-event-id", &id)]).await.unwrap();
    // Perhaps not all at once: the router may hear of them one by one.
    let mut last = first.id.unwrap();
    let mut left = before;
    while left > before - 5 {
        let event = stream.event().await.unwrap();
        assert_eq!(event.kind, "slots");
        assert!(event.id.unwrap() > last);
        (last, left) = (event.id.unwrap(), left_at_ten(&event).unwrap());
    }
    drop(stream);
    // With the newest id there is nothing to tell until something happens.
    let mut stream = Stream::open(&house, &[("last-event-id", &last.to_string())])
        .await
        .unwrap();
    assert_eq!(house.post("/v1/bookings", &key(6), &hold(1)).await.status, 201);
    let event = stream.event().await.unwrap();
    assert_eq!((event.kind.as_str(), left_at_ten(&event)), ("slots", Some(before - 6)));
    // An id from before the router began to watch says nothing to it.
    let mut stream = Stream::open(&house, &[("last-event-id", "5")]).await.unwrap();
    let event = stream.event().await.unwrap();
    assert_eq!((event.kind.as_str(), left_at_ten(&event)), ("reset", Some(before - 6)));
    assert_eq!(
        Stream::open(&house, &[("last-event-id", "yesterday")]).await.err(),
        Some(StatusCode::BAD_REQUEST)
    );
}

#[tokio::test]
async fn streams_outlive_the_break_of_what_they_come_from() {
    let house = watching().await;
    let mut stream = Stream::open(&house, &[]).await.unwrap();
    let before = left_at_ten(&stream.event().await.unwrap()).unwrap();
    let opened = house.fake.opened.load(Ordering::Relaxed);
    house.fake.streams.store(false, Ordering::Relaxed);
    assert_eq!(house.post("/v1/bookings", &key(1), &hold(3)).await.status, 201);
    while house.fake.opened.load(Ordering::Relaxed) < opened + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.fake.streams.store(true, Ordering::Relaxed);
    let event = stream.event().await.unwrap();
    assert_eq!((event.kind.as_str(), left_at_ten(&event)), ("slots", Some(before - 3)));
    assert_eq!(
        event.data["slots"].as_array().unwrap().len(),
        changed_by_one_visit(&event)
    );
}

/// A visit takes places in the building from all slots that overlap it, where the building is what is short.
fn changed_by_one_visit(event: &Event) -> usize {
    let slots = event.data["slots"].as_array().unwrap();
    slots.iter().filter(|slot| slot["product"] == "general").count()
}

#[tokio::test]
async fn there_is_a_bound_for_each_caller_and_for_all() {
    let config = Config {
        live_streams: 3,
        live_streams_per_caller: 2,
        ..config()
    };
    let house = House::furnished(config).await;
    house.fake.streams.store(true, Ordering::Relaxed);
    let one = Stream::open(&house, &[]).await.unwrap();
    let _two = Stream::open(&house, &[]).await.unwrap();
    assert_eq!(
        Stream::open(&house, &[]).await.err(),
        Some(StatusCode::TOO_MANY_REQUESTS)
    );
    let token = [("authorization", "Bearer shop-secret")];
    let _three = Stream::open(&house, &token).await.unwrap();
    assert_eq!(
        Stream::open(&house, &token).await.err(),
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(house.door.live.streams.now(), 3);
    drop(one);
    assert_eq!(house.door.live.streams.now(), 2);
    assert!(Stream::open(&house, &[]).await.is_ok());
}

#[tokio::test]
async fn without_a_change_stream_none_is_opened() {
    let house = House::furnished(Config {
        request_deadline: rotunda_router::config::Span(Duration::from_millis(300)),
        ..config()
    })
    .await;
    assert_eq!(
        Stream::open(&house, &[]).await.err(),
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(house.door.live.streams.now(), 0);
}

#[tokio::test]
async fn a_comment_comes_where_nothing_happens_and_a_reader_that_stops_is_dropped_with_the_reason() {
    let house = watching().await;
    let mut stream = Stream::open(&house, &[]).await.unwrap();
    stream.event().await.unwrap();
    tokio::time::pause();
    assert_eq!(stream.bytes().await.as_deref(), Some(": still here\n\n"));
    // It takes nothing for a while.
    tokio::time::advance(Duration::from_secs(60)).await;
    let event = stream.event().await.unwrap();
    assert_eq!(
        (event.kind.as_str(), event.data["reason"].as_str()),
        ("closed", Some("slow_reader"))
    );
    assert!(stream.bytes().await.is_none());
}

#[tokio::test]
async fn a_router_that_stops_says_so_and_does_not_wait_for_streams() {
    let running = start(config()).await;
    running.house.fake.streams.store(true, Ordering::Relaxed);
    let mut stream = TcpStream::connect(running.http).await.unwrap();
    stream
        .write_all(format!("GET {STREAM} HTTP/1.1\r\nhost: here\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    read_until(&mut stream, &mut text, "event: reset").await;
    running.stop.cancel();
    read_until(&mut stream, &mut text, "\"reason\":\"draining\"").await;
    timeout(PATIENCE, running.served).await.expect("it stops").unwrap();
}

async fn read_until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    while !text.contains(wanted) {
        let mut buffer = vec![0; 16 << 10];
        let n = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .expect("it is told")
            .unwrap();
        assert!(n > 0, "closed before {wanted:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
}

/// Over real sockets of one router in this process, so both ends of each are its files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_open_streams_all_see_a_change() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let needed = 2 * MANY as u64 + 500;
    if files < needed {
        assert!(
            std::env::var_os("CI").is_none(),
            "{needed} open files are needed and {files} allowed"
        );
        eprintln!("skipped: {needed} open files are needed and {files} allowed; raise `ulimit -n`");
        return;
    }
    let running = start(Config {
        live_streams: MANY,
        live_streams_per_caller: MANY,
        max_connections: 2 * MANY,
        ..config()
    })
    .await;
    let house = &running.house;
    house.fake.streams.store(true, Ordering::Relaxed);
    let mut streams = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(running.http).await.unwrap();
        stream
            .write_all(format!("GET {STREAM} HTTP/1.1\r\nhost: here\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut text = String::new();
        read_until(&mut stream, &mut text, "event: reset").await;
        read_until(&mut stream, &mut text, "\"gone\":[]}").await;
        streams.push(stream);
    }
    assert_eq!(house.door.live.streams.now(), MANY);
    let asked = house.fake.calls.load(Ordering::Relaxed);
    assert_eq!(house.post("/v1/bookings", &key(1), &hold(4)).await.status, 201);
    for stream in &mut streams {
        let mut text = String::new();
        read_until(stream, &mut text, "event: slots").await;
        read_until(stream, &mut text, &format!("\"id\":\"{TEN}\"")).await;
    }
    assert_eq!(
        house.fake.calls.load(Ordering::Relaxed),
        asked + 1,
        "the hold, and nothing else"
    );
    // A request among them is answered.
    assert_eq!(house.get("/v1/venues").await.status, 200);
    drop(streams);
    let gone = async {
        while house.door.live.streams.now() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("their places are free again");
}
