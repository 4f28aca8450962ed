//! Looking: availability out of the change streams, and what is asked instead when there are none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use rotunda_router::config::Config;
use serde_json::Value;

use crate::fake::Trouble;
use crate::house::{Answer, House, config, hold, key, request};
use crate::sockets::PATIENCE;

pub(crate) const DAY: &str = "/v1/venues/lisbon-tides/availability?product=general&from=2026-12-01";
const MONTH: &str = "/v1/venues/lisbon-tides/availability?from=2026-12-01&to=2026-12-31";

/// With change streams, one of which the router has begun to follow.
pub(crate) async fn watching() -> House {
    let house = House::furnished(config()).await;
    house.fake.streams.store(true, Ordering::Relaxed);
    until(&house, DAY, is_live).await;
    house
}

/// Answers out of a picture have a weak tag.
fn is_live(answer: &Answer) -> bool {
    answer.header("etag").starts_with("W/")
}

/// Asks until the answer is as wanted.
pub(crate) async fn until(house: &House, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let asking = async {
        loop {
            let answer = house.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it comes to that")
}

fn vacancies(answer: &Answer, slot: &str) -> u64 {
    let body = answer.json();
    let slots = body["slots"].as_array().unwrap();
    let slot = slots.iter().find(|found| found["id"] == slot).unwrap();
    slot["vacancies"].as_u64().unwrap()
}

fn ten(answer: &Answer) -> u64 {
    vacancies(answer, "general@2026-12-01T10:00+00:00")
}

#[tokio::test]
async fn ten_thousand_lookers_ask_the_cluster_nothing() {
    let house = watching().await;
    let first = until(&house, MONTH, is_live).await;
    let before = house.fake.calls.load(Ordering::Relaxed);
    for n in 0..10_000_u32 {
        let peer = format!("203.{}.{}.7:5000", n / 256, n % 256);
        let answer = house.send_from(&peer, request("GET", MONTH, &[], String::new())).await;
        assert_eq!(answer.body, first.body);
    }
    assert_eq!(house.fake.calls.load(Ordering::Relaxed), before);
    assert_eq!(
        house.fake.opened.load(Ordering::Relaxed),
        1,
        "one stream for all of them"
    );
}

#[tokio::test]
async fn what_streams_show_is_what_the_cluster_answers() {
    let (house, asked) = (watching().await, House::furnished(config()).await);
    for path in [
        MONTH,
        DAY,
        "/v1/venues/lisbon-tides/availability?from=2026-11-21&to=2027-11-20",
        "/v1/venues/lisbon-tides/availability?from=2026-12-01&units=adult:2,child:1",
    ] {
        let (live, answer) = (until(&house, path, is_live).await.json(), asked.get(path).await.json());
        assert_eq!(live["slots"], answer["slots"], "{path}");
        assert_eq!(live["as_of"]["index"], answer["as_of"]["index"]);
        assert_eq!(live["as_of"]["time"], answer["as_of"]["time"]);
    }
    // Days before the picture's first are asked for.
    let past = house.get("/v1/venues/lisbon-tides/availability?from=2026-11-01").await;
    assert!(past.status == 200 && !is_live(&past));
    for wrong in [
        "?from=2026-12-01&product=nothing",
        "?from=2026-12-01&units=dragon:1",
        "?from=2026-12-01&units=x",
    ] {
        let path = format!("/v1/venues/lisbon-tides/availability{wrong}");
        let (live, answer) = (house.get(&path).await, asked.get(&path).await);
        assert_eq!((live.status, live.code()), (answer.status, answer.code()), "{wrong}");
    }
}

#[tokio::test]
async fn a_sale_shows_and_a_commit_token_shows_it_at_once() {
    let house = watching().await;
    let before = ten(&house.get(DAY).await);
    for n in 1..20 {
        let held = house.post("/v1/bookings", &key(n), &hold(2)).await;
        assert_eq!(held.status, 201);
        let token = [("rotunda-commit", held.header("rotunda-commit"))];
        let seen = house.request("GET", DAY, &token, String::new()).await;
        assert_eq!(ten(&seen), before - 2 * u64::from(n));
    }
    let answer = until(&house, DAY, |answer| is_live(answer) && ten(answer) == before - 38).await;
    let index: u64 = answer
        .header("rotunda-commit")
        .split_once(':')
        .unwrap()
        .1
        .parse()
        .unwrap();
    assert_eq!(answer.json()["as_of"]["index"], index);
}

#[tokio::test]
async fn a_tag_outlives_what_happens_elsewhere() {
    let house = watching().await;
    let index = |answer: &Answer| answer.json()["as_of"]["index"].as_u64().unwrap();
    let first = until(&house, DAY, is_live).await;
    let elsewhere = r#"{"venue":"chatham-albatross","lines":[{"slot":"day-pass@2026-12-05T09:00+13:45","unit":"adult","quantity":1}]}"#;
    assert_eq!(house.post("/v1/bookings", &key(1), elsewhere).await.status, 201);
    let later = until(&house, DAY, |answer| is_live(answer) && index(answer) > index(&first)).await;
    assert_eq!(later.header("etag"), first.header("etag"));
    let known = [("if-none-match", first.header("etag"))];
    let again = house.request("GET", DAY, &known, String::new()).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    // A sale here is another matter, and on another day it is not.
    assert_eq!(house.post("/v1/bookings", &key(2), &hold(1)).await.status, 201);
    until(&house, DAY, |answer| {
        is_live(answer) && answer.header("etag") != first.header("etag")
    })
    .await;
    let again = house.request("GET", DAY, &known, String::new()).await;
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn where_streams_are_old_or_broken_the_cluster_is_asked() {
    let house = watching().await;
    house.fake.age.store(1_500, Ordering::Relaxed);
    until(&house, DAY, |answer| answer.status == 200 && !is_live(answer)).await;
    house.fake.age.store(0, Ordering::Relaxed);
    until(&house, DAY, is_live).await;
    house.fake.streams.store(false, Ordering::Relaxed);
    until(&house, DAY, |answer| answer.status == 200 && !is_live(answer)).await;
    // And where that fails as well, it is said. The first question is for the catalogue, which may be old.
    house.fake.meet(Trouble::Unavailable);
    house.fake.meet(Trouble::Unavailable);
    let answer = house.get(DAY).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
    house.fake.streams.store(true, Ordering::Relaxed);
    until(&house, DAY, is_live).await;
}

#[tokio::test]
async fn whoever_asks_the_same_at_once_asks_once() {
    let house = House::furnished(config()).await;
    house.get(DAY).await;
    let (calls, gate) = (&house.fake.calls, &house.fake.gate);
    let before = calls.load(Ordering::Relaxed);
    let permits = u32::try_from(gate.available_permits()).unwrap();
    let held = gate.acquire_many(permits).await.unwrap();
    let asking = join_all((0..200).map(|_| house.get(DAY)));
    let opening = async {
        while calls.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let (answers, ()) = tokio::join!(asking, opening);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let asked = calls.load(Ordering::Relaxed) - before;
    // One for the slots, and one for the catalogue where its copy has grown old.
    assert!(asked <= 2, "{asked} questions for 200 lookers");
}

#[tokio::test]
async fn whoever_waits_for_what_another_has_asked_takes_nobodys_place() {
    let house = House::furnished(Config {
        max_in_flight: 2,
        ..config()
    })
    .await;
    house.get(DAY).await;
    let gate = &house.fake.gate;
    let permits = u32::try_from(gate.available_permits()).unwrap();
    let held = gate.acquire_many(permits).await.unwrap();
    let in_flight = || house.door.in_flight.now();
    let asking = join_all((0..200).map(|_| house.get(DAY)));
    let others = async {
        // The first of them is counted, and none of those who joined it.
        while in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
            assert_eq!(in_flight(), 1);
        }
        assert_eq!(house.get("/problems").await.status, 200);
        drop(held);
    };
    let (answers, ()) = tokio::join!(asking, others);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(in_flight(), 0);
}

#[tokio::test]
async fn whether_a_party_fits_is_what_its_hold_would_be_told() {
    let house = watching().await;
    let fits = |answer: &Answer, slot: &str| -> Value {
        let body = answer.json();
        let slots = body["slots"].as_array().unwrap();
        slots.iter().find(|found| found["id"] == slot).unwrap()["fits"].clone()
    };
    let slot = "general@2026-12-01T10:00+00:00";
    let parties = [
        "adult:1",
        "adult:2,child:1",
        "child:1",
        "adult:10",
        "adult:11",
        "adult:40",
        "family:1",
        "family:3",
    ];
    for (n, party) in (1..).zip(parties) {
        let answer = house.get(&format!("{DAY}&units={party}")).await;
        if answer.status == 404 {
            continue; // The product has no such unit.
        }
        let lines: Vec<String> = party
            .split(',')
            .map(|part| {
                let (unit, quantity) = part.split_once(':').unwrap();
                format!(r#"{{"slot":"{slot}","unit":"{unit}","quantity":{quantity}}}"#)
            })
            .collect();
        let body = format!(r#"{{"venue":"lisbon-tides","lines":[{}]}}"#, lines.join(","));
        let held = house.post("/v1/bookings", &key(n), &body).await;
        assert_eq!(fits(&answer, slot), held.status == 201, "{party}: {}", held.status);
        if held.status == 201 {
            let path = format!("/v1/bookings/{}/release", held.json()["id"].as_str().unwrap());
            assert_eq!(house.post(&path, &key(100 + n), "{}").await.status, 200);
            let index: u64 = held
                .header("rotunda-commit")
                .split_once(':')
                .unwrap()
                .1
                .parse()
                .unwrap();
            until(&house, DAY, |answer| {
                is_live(answer) && answer.json()["as_of"]["index"].as_u64() > Some(index)
            })
            .await;
        }
    }
}

#[tokio::test]
async fn the_feed_tells_everything_once_however_it_is_cut_and_opens_no_booking() {
    let house = House::furnished(config()).await;
    let mut secrets = Vec::new();
    for n in 0..7 {
        let held = house.post("/v1/bookings", &key(n), &hold(1)).await;
        secrets.push(held.json()["id"].as_str().unwrap().to_owned());
    }
    let confirm = format!("/v1/bookings/{}/confirm", secrets[0]);
    assert_eq!(house.post(&confirm, &key(50), "{}").await.status, 200);
    house.fake.advance(11);
    let token = [("authorization", "Bearer boss-secret")];
    let read = async |limit: u32| {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let after = if cursor.is_empty() {
                String::new()
            } else {
                format!("&after={cursor}")
            };
            let path = format!("/v1/events?limit={limit}{after}");
            let answer = house.request("GET", &path, &token, String::new()).await;
            assert_eq!(answer.status, 200);
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(secrets.iter().all(|secret| !text.contains(secret)));
            let page = answer.json();
            for event in page["data"].as_array().unwrap() {
                ids.push((event["id"].clone(), event["type"].clone(), event["booking"].clone()));
            }
            cursor = page["next_cursor"].as_str().unwrap().to_owned();
            if page["has_more"] == false {
                return (ids, cursor);
            }
        }
    };
    let (whole, cursor) = read(1_000).await;
    for limit in [1, 2, 3, 5] {
        assert_eq!(read(limit).await, (whole.clone(), cursor.clone()), "{limit} at a time");
    }
    let of = |booking: &Value| -> Vec<&str> {
        let events = whole.iter().filter(|(_, _, of)| of == booking);
        events.map(|(_, kind, _)| kind.as_str().unwrap()).collect()
    };
    let first = &whole.iter().find(|(_, kind, _)| kind == "booking.confirmed").unwrap().2;
    assert_eq!(of(first), ["booking.held", "booking.confirmed"]);
    assert_eq!(whole.iter().filter(|(_, kind, _)| kind == "booking.expired").count(), 6);
    // The cursor waits for what comes next.
    assert_eq!(house.post("/v1/bookings", &key(60), &hold(1)).await.status, 201);
    let path = format!("/v1/events?after={cursor}");
    let page = house.request("GET", &path, &token, String::new()).await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 1, "{page}");
}
