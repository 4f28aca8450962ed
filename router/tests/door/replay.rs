//! The same request under the same key: the same answer, byte for byte, and one effect.

use crate::fake::Trouble;
use crate::house::{ADMIN, House, config, hold, key};

#[tokio::test]
async fn replays_are_the_same_byte_for_byte() {
    let house = House::furnished(config()).await;
    let held = house.post("/v1/bookings", &key(1), &hold(3)).await;
    let id = held.json()["id"].as_str().unwrap().to_owned();
    let confirm = format!("/v1/bookings/{id}/confirm");
    let requests = [
        ("/v1/bookings".to_owned(), key(2), hold(2)),
        ("/v1/bookings".to_owned(), key(3), hold(99)),
        ("/v1/bookings".to_owned(), key(4), hold(1).replace("general", "moon")),
        (confirm.clone(), key(5), String::new()),
        (confirm, key(6), "{}".to_owned()),
        (format!("/v1/bookings/{id}/cancel"), key(7), String::new()),
    ];
    let mut first = Vec::new();
    for (path, key, body) in &requests {
        first.push(house.post(path, key, body).await);
    }
    house.fake.advance(3);
    for ((path, key, body), first) in requests.iter().zip(first) {
        assert_eq!(first.header("idempotency-replayed"), "");
        let again = house.post(path, key, body).await;
        assert_eq!(again.status, first.status);
        assert_eq!(again.body, first.body, "{}", String::from_utf8_lossy(&again.body));
        assert_eq!(again.header("idempotency-replayed"), "true");
        for name in ["rotunda-commit", "location", "content-type"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn a_replay_of_a_booking_spelt_otherwise_is_the_same() {
    let house = House::furnished(config()).await;
    let held = house.post("/v1/bookings", &key(1), &hold(1)).await;
    let id = held.json()["id"].as_str().unwrap().to_owned();
    // Not confirmed: a stored refusal, whose body names the path.
    let first = house.post(&format!("/v1/bookings/{id}/cancel"), &key(2), "").await;
    assert_eq!(first.code(), "not_confirmed");
    let misread = id.to_lowercase().replace('0', "o");
    let again = house
        .post(&format!("/v1/bookings/{misread}/cancel"), &key(2), "{}")
        .await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn one_key_takes_places_once() {
    let house = House::furnished(config()).await;
    let vacancies = async || {
        let path = "/v1/venues/lisbon-tides/availability?product=general&from=2026-12-01";
        let slots = house.get(path).await.json()["slots"].as_array().unwrap().clone();
        let slot = slots
            .iter()
            .find(|slot| slot["id"] == "general@2026-12-01T10:00+00:00")
            .unwrap();
        slot["vacancies"].as_u64().unwrap()
    };
    let before = vacancies().await;
    for _ in 0..5 {
        assert_eq!(house.post("/v1/bookings", &key(1), &hold(4)).await.status, 201);
    }
    assert_eq!(vacancies().await, before - 4);
}

#[tokio::test]
async fn when_the_answer_is_lost_the_retry_has_it() {
    let house = House::furnished(config()).await;
    house.fake.meet(Trouble::AnswerLost);
    let lost = house.post("/v1/bookings", &key(1), &hold(2)).await;
    assert_eq!((lost.status.as_u16(), lost.code().as_str()), (504, "outcome_unknown"));
    assert_eq!(lost.json()["retryable"], true);
    assert!(lost.json()["detail"].as_str().unwrap().contains("same Idempotency-Key"));
    let retry = house.post("/v1/bookings", &key(1), &hold(2)).await;
    assert_eq!(retry.status, 201);
    assert_eq!(retry.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn tickets_admit_one_person_each_and_reveal_nothing_of_the_booking() {
    let house = House::furnished(config()).await;
    let family = r#"{"venue":"lisbon-azulejo","lines":[{"slot":"general@2026-12-02T10:00+00:00","unit":"family","quantity":1}]}"#;
    let held = house.post("/v1/bookings", &key(1), family).await;
    assert_eq!(held.status, 201, "{}", String::from_utf8_lossy(&held.body));
    let id = held.json()["id"].as_str().unwrap().to_owned();
    let confirmed = house
        .post(&format!("/v1/bookings/{id}/confirm"), &key(2), "")
        .await
        .json();
    let tickets = confirmed["tickets"].as_array().unwrap();
    assert_eq!(tickets.len(), 4, "a family of four");
    let secret = &id[id.len() - 12..];
    assert!(
        tickets
            .iter()
            .all(|ticket| !ticket["id"].as_str().unwrap().contains(secret))
    );
}

#[tokio::test]
async fn a_reused_key_is_a_matter_of_its_own_request_on_every_route() {
    let house = House::furnished(config()).await;
    let change = async |capacity: u32, trace: &str| {
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let headers = [
            ("authorization", ADMIN),
            ("idempotency-key", "change-17"),
            ("content-type", "application/json"),
            ("traceparent", parent.as_str()),
        ];
        let path = "/v1/admin/venues/lisbon-tides/slots/general@2026-12-01T10:00+00:00";
        house.put(path, &headers, format!(r#"{{"capacity":{capacity}}}"#)).await
    };
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(change(100, trace).await.status, 200);
    let reused = change(101, trace).await;
    assert_eq!(
        (reused.status.as_u16(), reused.code().as_str()),
        (422, "idempotency_key_reused")
    );
    assert_eq!(reused.json()["trace_id"], trace);
}
