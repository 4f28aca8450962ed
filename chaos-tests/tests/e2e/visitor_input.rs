//! What visitors get wrong, at the real door: each is answered with what is wrong and how to mend it, and the log shows
//! that nothing changed.

use jiff::Timestamp;
use reqwest::Method;
use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::history::{Deed, Record, Recorder};
use rotunda_chaos::visitor::{Answer, Request, Visitor};
use rotunda_chaos::wait;
use serde_json::{Value, json};

use crate::day;

const HOUSE: &str = include_str!("house.yaml");

/// The small museum, in a zone in which it is about noon: some of today's slots have begun, none is near midnight.
fn house() -> String {
    let hour: i64 = Timestamp::now().strftime("%H").to_string().parse().unwrap();
    // Etc/GMT-3 is three hours ahead of Greenwich.
    let ahead = 13 - hour;
    let zone = if ahead >= 0 {
        format!("Etc/GMT-{ahead}")
    } else {
        format!("Etc/GMT+{}", -ahead)
    };
    HOUSE.replace("ZONE", &zone)
}

/// A door at which everything that is acknowledged is recorded, for the audit.
struct Door {
    cluster: Cluster,
    visitor: Visitor,
    recorder: Recorder,
}

impl Door {
    async fn open() -> Self {
        let cluster = Cluster::builder().shards(2).start().await;
        cluster.import(&house()).await;
        let visitor = Visitor::new(&cluster.door());
        Door {
            cluster,
            visitor,
            recorder: Recorder::default(),
        }
    }

    /// Slots of a product on the days `from..=to`, in order.
    async fn slots(&self, product: &str, from: i64, to: i64) -> Vec<Value> {
        let path = format!(
            "/v1/venues/house/availability?product={product}&from={}&to={}",
            day(from),
            day(to)
        );
        let answer = self.visitor.send(&Request::get(path)).await.unwrap();
        assert!(answer.is_success(), "{answer:?}");
        answer.json()["slots"].as_array().unwrap().clone()
    }

    /// A slot of a product in two days.
    async fn slot(&self, product: &str) -> String {
        self.slots(product, 2, 2).await[3]["id"].as_str().unwrap().to_owned()
    }

    /// A request that the cluster decides about: whatever it says is in the log and will be audited.
    async fn decided(&self, deed: Deed, request: &Request) -> Answer {
        let settled = self.visitor.settle(request).await;
        let answer = settled.answer().expect("an answer").clone();
        let key = request.key.clone().unwrap();
        let booking = request.booking();
        self.recorder.write(|history| {
            history.records.push(Record {
                client: "visitor".to_owned(),
                deed,
                key,
                venue: "house".to_owned(),
                booking,
                request: request.body.clone(),
                settled,
            });
        });
        answer
    }

    async fn held(&self, slot: &str) -> String {
        let answer = self.decided(Deed::Hold, &hold(&[(slot, "adult", 1)])).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

fn hold(lines: &[(&str, &str, i64)]) -> Request {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(slot, unit, quantity)| json!({ "slot": slot, "unit": unit, "quantity": quantity }))
        .collect();
    Request::post(
        "/v1/bookings",
        Some(json!({ "venue": "house", "lines": lines, "channel": "web" })),
    )
}

fn operate(booking: &str, operation: &str) -> Request {
    Request::post(format!("/v1/bookings/{booking}/{operation}"), None)
}

/// A problem document with this status and code, that says something.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let body = answer.json();
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body:#}");
    for field in ["type", "title", "detail", "instance", "trace_id"] {
        assert!(
            body[field].as_str().is_some_and(|text| !text.is_empty()),
            "no {field} in {body:#}"
        );
    }
    assert_eq!(body["status"], status, "{body:#}");
    assert!(body["retryable"].is_boolean(), "{body:#}");
}

#[track_caller]
fn points_at(answer: &Answer, pointer: &str) {
    let body = answer.json();
    let pointers: Vec<&str> = body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["pointer"].as_str())
        .collect();
    assert!(
        pointers.contains(&pointer),
        "{pointer} is not among {pointers:?}: {body:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_of_a_visitor_is_answered_and_changes_nothing() {
    let mut door = Door::open().await;
    let slot = door.slot("general").await;
    // Expires while everything else is tried.
    let brief = door.held(&door.slot("brief").await).await;

    what_the_door_refuses(&door, &slot).await;
    what_the_rules_refuse(&door, &slot).await;
    keys(&door, &slot).await;
    confirmed_twice(&door, &slot).await;
    ran_out(&door, &brief).await;

    let history = door.recorder.history();
    let audit = Audit::run(&mut door.cluster, &history).await;
    audit.assert_sound();
}

async fn what_the_door_refuses(door: &Door, slot: &str) {
    let raw = |body: String| {
        http()
            .post(format!("{}/v1/bookings", door.cluster.door()))
            .header("content-type", "application/json")
            .header("idempotency-key", uuid_like())
            .body(body)
    };
    let answer = answer_of(raw("{ \"venue\": \"house\", ".to_owned())).await;
    refused(&answer, 400, "malformed_json");

    let answer = answer_of(raw("x".repeat(10 << 20))).await;
    refused(&answer, 413, "body_too_large");

    // Deeper than a parser that recurses could go.
    let answer = answer_of(raw("[".repeat(200_000))).await;
    refused(&answer, 422, "invalid_body");

    let mut wrong_type = hold(&[(slot, "adult", 1)]);
    wrong_type.body.as_mut().unwrap()["lines"][0]["quantity"] = json!("two");
    let answer = door.visitor.send(&wrong_type).await.unwrap();
    refused(&answer, 422, "invalid_body");
    points_at(&answer, "/lines/0/quantity");

    let mut unknown_field = hold(&[(slot, "adult", 1)]);
    unknown_field.body.as_mut().unwrap()["lines"][0]["quanttiy"] = json!(2);
    let answer = door.visitor.send(&unknown_field).await.unwrap();
    refused(&answer, 422, "invalid_body");
    points_at(&answer, "/lines/0/quanttiy");

    let mut unknown_venue = hold(&[(slot, "adult", 1)]);
    unknown_venue.body.as_mut().unwrap()["venue"] = json!("louvre");
    let answer = door.visitor.send(&unknown_venue).await.unwrap();
    refused(&answer, 404, "unknown_venue");
    points_at(&answer, "/venue");

    let answer = door
        .visitor
        .send(&Request::get("/v1/bookings/not-an-id"))
        .await
        .unwrap();
    refused(&answer, 404, "unknown_booking");
}

async fn what_the_rules_refuse(door: &Door, slot: &str) {
    let past = door.slots("general", -1, 0).await;
    let mut begun = past
        .iter()
        .filter(|slot| slot["starts_at"].as_str().unwrap().parse::<Timestamp>().unwrap() < Timestamp::now());
    let begun = begun.next_back().expect("a slot of today that has begun")["id"]
        .as_str()
        .unwrap();
    let answer = door.decided(Deed::Hold, &hold(&[(begun, "adult", 1)])).await;
    refused(&answer, 409, "slot_in_past");
    points_at(&answer, "/lines/0/slot");

    let later = door.slot("later").await;
    let answer = door.decided(Deed::Hold, &hold(&[(&later, "adult", 1)])).await;
    refused(&answer, 409, "not_on_sale");

    for quantity in [0, 9] {
        let answer = door.decided(Deed::Hold, &hold(&[(slot, "adult", quantity)])).await;
        refused(&answer, 422, "quantity_out_of_range");
        points_at(&answer, "/lines/0/quantity");
    }
    let answer = door.decided(Deed::Hold, &hold(&[(slot, "child", 1)])).await;
    refused(&answer, 422, "not_accompanied");

    let answer = door.decided(Deed::Hold, &hold(&[(slot, "pensioner", 1)])).await;
    refused(&answer, 404, "unknown_unit");

    let answer = door
        .decided(Deed::Hold, &hold(&[("general@2020-01-15T10:00+00:00", "adult", 1)]))
        .await;
    refused(&answer, 404, "unknown_slot");

    let answer = door.decided(Deed::Hold, &hold(&[(slot, "adult", 6)])).await;
    refused(&answer, 409, "sold_out");
    assert_eq!(
        answer.json()["errors"][0]["left"],
        5,
        "it says what is left: {:#}",
        answer.json()
    );
}

async fn keys(door: &Door, slot: &str) {
    let without = Request {
        key: None,
        ..hold(&[(slot, "adult", 1)])
    };
    let answer = door.visitor.send(&without).await.unwrap();
    refused(&answer, 400, "idempotency_key_required");

    let guessable = Request {
        key: Some("1".to_owned()),
        ..hold(&[(slot, "adult", 1)])
    };
    let answer = door.visitor.send(&guessable).await.unwrap();
    refused(&answer, 400, "idempotency_key_invalid");

    let first = hold(&[(slot, "adult", 1)]);
    let held = door.decided(Deed::Hold, &first).await;
    assert_eq!(held.status, 201, "{held:?}");
    let other_body = Request {
        key: first.key.clone(),
        ..hold(&[(slot, "adult", 2)])
    };
    let answer = door.visitor.send(&other_body).await.unwrap();
    refused(&answer, 422, "idempotency_key_reused");
    let again = door.visitor.reconnected().send(&first).await.unwrap();
    assert_eq!(
        (again.status, &again.body, again.replayed),
        (201, &held.body, true),
        "byte for byte"
    );
    let id = held.json()["id"].as_str().unwrap().to_owned();
    let released = door.decided(Deed::Release, &operate(&id, "release")).await;
    assert_eq!(released.json()["status"], "released", "{released:?}");
}

async fn confirmed_twice(door: &Door, slot: &str) {
    let id = door.held(slot).await;
    let confirmed = door.decided(Deed::Confirm, &operate(&id, "confirm")).await;
    assert_eq!(
        confirmed.json()["tickets"].as_array().map(Vec::len),
        Some(1),
        "{confirmed:?}"
    );
    let answer = door.decided(Deed::Confirm, &operate(&id, "confirm")).await;
    refused(&answer, 409, "already_confirmed");
}

async fn ran_out(door: &Door, booking: &str) {
    let path = format!("/v1/bookings/{booking}");
    wait::until_within("the hold of one minute to run out", 3 * wait::PATIENCE, async || {
        let answer = door.visitor.send(&Request::get(path.clone())).await?;
        if answer.json()["status"] == "expired" {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    })
    .await;
    let answer = door.decided(Deed::Confirm, &operate(booking, "confirm")).await;
    refused(&answer, 409, "hold_expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_in_a_catalogue_is_listed_and_changes_nothing() {
    let cluster = Cluster::builder().nodes(1).shards(2).start().await;
    let good = house();
    cluster.import(&good).await;
    let url = format!("{}/v1/admin/network", cluster.door());
    let put = |body: String| {
        http()
            .request(Method::PUT, &url)
            .header("content-type", "application/yaml")
            .body(body)
    };
    let before = venue(&cluster).await;

    for (from, to, pointer) in [
        ("price: 1000", "price: -1", "/venues/0/products/0/units/0/price"),
        (
            "city: Town\n    time_zone: Etc/",
            "city: Town\n    time_zone: Nowhere/",
            "/venues/0/time_zone",
        ),
        (
            "from: \"08:00\", to: \"18:00\" }",
            "from: \"08:00\", to: \"18:00\" }\n      - { days: [mon], from: \"17:00\", to: \"20:00\" }",
            "/venues/0/opening/1",
        ),
        ("currency: EUR", "currency: XYZ", "/venues/0/currency"),
        (
            "accompanied_by: [adult]",
            "accompanied_by: [nanny]",
            "/venues/0/products/0/units/1/accompanied_by/0",
        ),
    ] {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good, "{from} is in the file");
        let answer = answer_of(put(broken).bearer_auth(cluster.token())).await;
        refused(&answer, 422, "invalid_catalogue");
        points_at(&answer, pointer);
    }
    let answer = answer_of(put("venues: [".to_owned()).bearer_auth(cluster.token())).await;
    refused(&answer, 400, "malformed_yaml");
    let answer = answer_of(put(good.clone())).await;
    refused(&answer, 401, "unauthorized");

    assert_eq!(venue(&cluster).await, before);
}

async fn venue(cluster: &Cluster) -> Value {
    http()
        .get(format!("{}/v1/venues/house", cluster.door()))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

async fn answer_of(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer, not a reset");
    Answer {
        status: response.status().as_u16(),
        commit: None,
        replayed: false,
        body: response.bytes().await.unwrap(),
    }
}

/// A key that nobody guesses.
fn uuid_like() -> String {
    format!("{}-{}", Timestamp::now().as_nanosecond(), std::process::id())
}
