//! Houses that are open when their clocks change, seen from the door: real nodes whose wall clocks are put to the day, a
//! real router, and everything that visitors, gates and managers do around an hour that comes twice or not at all.
//!
//! The nodes' clocks only ever go on, from one change to the next, and every node is started anew with its clock there: a
//! clock that jumps under a running node is the business of `clock_jump`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use rotunda_chaos::cluster::{Cluster, http};
use rotunda_chaos::faults::{library, not_covered};
use rotunda_chaos::visitor::{Answer, Request, Visitor};
use rotunda_chaos::wait;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Slots of half an hour, five places each, and tickets that admit from the slot's start until its end.
const HOUSES: &str = include_str!("clocks.yaml");
const LISBON: &str = "lisbon-night";
const LORD_HOWE: &str = "lord-howe-night";
const NEW_YORK: &str = "new-york-late";
const PLACES: u64 = 5;

/// A stretch of one day on the wall: from, to (excluded) and the offset that its slots carry.
type Stretch = (&'static str, &'static str, &'static str);

/// The ids of all slots that begin within these stretches.
fn slots(stretches: &[(&str, &[Stretch])]) -> Vec<String> {
    let minutes = |time: &str| -> u32 {
        let (hour, minute) = time.split_once(':').unwrap();
        hour.parse::<u32>().unwrap() * 60 + minute.parse::<u32>().unwrap()
    };
    let mut ids = Vec::new();
    for (day, stretches) in stretches {
        for (from, to, offset) in *stretches {
            for minute in (minutes(from)..minutes(to)).step_by(30) {
                ids.push(format!("general@{day}T{:02}:{:02}{offset}", minute / 60, minute % 60));
            }
        }
    }
    ids
}

struct Night {
    cluster: Cluster,
    visitor: Visitor,
    /// Scans so far.
    scans: u64,
}

impl Night {
    /// Starts every node anew with its wall clock at this time.
    async fn put_clocks_to(&mut self, time: &str) {
        let there: Timestamp = time.parse().unwrap();
        let nodes = self.cluster.nodes();
        nodes.iter().for_each(|node| self.cluster.kill(*node));
        let off = there.as_millisecond() - Timestamp::now().as_millisecond();
        for node in nodes {
            self.cluster.orders(node).put_clock_off(off);
            self.cluster.start_node(node);
        }
        self.cluster.until_led().await;
        for (_, venue) in self.cluster.venues() {
            let deadline = Instant::now() + wait::PATIENCE;
            let filled = self.cluster.client().fill_calendar(venue, deadline).await;
            filled.expect("slots of the days to come");
        }
    }

    async fn available(&self, venue: &str, from: &str, to: &str) -> Value {
        let path = format!("/v1/venues/{venue}/availability?product=general&from={from}&to={to}");
        let settled = self.visitor.settle(&Request::get(path)).await;
        let answer = settled.answer().expect("availability");
        assert!(answer.is_success(), "{answer:?}");
        answer.json()
    }

    /// Waits until these are the slots from one service day to another, all of them and no other.
    async fn until_listed(&self, venue: &str, (from, to): (&str, &str), wanted: &[String]) {
        wait::until(&format!("the slots of {venue} from {from} to {to}"), async || {
            let shown = self.available(venue, from, to).await;
            let shown = shown["slots"].as_array().unwrap();
            let ids: Vec<&str> = shown.iter().map(|slot| slot["id"].as_str().unwrap()).collect();
            if ids == wanted {
                Ok(())
            } else {
                let missing: Vec<&String> = wanted.iter().filter(|id| !ids.contains(&id.as_str())).collect();
                let others: Vec<&&str> = ids.iter().filter(|id| !wanted.contains(&(**id).to_owned())).collect();
                Err(format!("{} slots, without {missing:?}, with {others:?}", ids.len()))
            }
        })
        .await;
    }

    async fn until_vacancies(&self, venue: &str, day: &str, slot: &str, wanted: u64) {
        wait::until(&format!("{wanted} vacancies in {slot}"), async || {
            let shown = self.available(venue, day, day).await;
            let slots = shown["slots"].as_array().unwrap();
            let found = slots.iter().find(|known| known["id"] == slot);
            match found.and_then(|slot| slot["vacancies"].as_u64()) {
                Some(left) if left == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    async fn hold(&self, venue: &str, slot: &str, quantity: u64) -> Answer {
        let line = json!({ "slot": slot, "unit": "adult", "quantity": quantity });
        let body = json!({ "venue": venue, "lines": [line], "channel": "web" });
        let settled = self.visitor.settle(&Request::post("/v1/bookings", Some(body))).await;
        settled.answer().expect("an answer to the hold").clone()
    }

    /// Buys so many places; gives the tickets.
    async fn buy(&self, venue: &str, slot: &str, quantity: u64) -> Vec<String> {
        let held = self.hold(venue, slot, quantity).await;
        assert!(held.is_success(), "{slot}: {held:?}");
        assert_eq!(held.json()["lines"][0]["slot"], slot);
        let id = held.json()["id"].as_str().unwrap().to_owned();
        let confirm = Request::post(format!("/v1/bookings/{id}/confirm"), None);
        let settled = self.visitor.settle(&confirm).await;
        let sold = settled.answer().expect("an answer to the confirm").json();
        assert_eq!(sold["status"], "confirmed", "{sold}");
        let tickets = sold["tickets"].as_array().unwrap();
        assert!(tickets.iter().all(|ticket| ticket["slot"] == slot), "{sold}");
        let ids = tickets.iter().map(|ticket| ticket["id"].as_str().unwrap().to_owned());
        ids.collect()
    }

    async fn refused(&self, venue: &str, slot: &str, quantity: u64, code: &str) {
        let answer = self.hold(venue, slot, quantity).await;
        assert_eq!(answer.code(), code, "{slot}: {answer:?}");
    }

    /// Somebody of the staff asks.
    async fn staff(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = http()
            .request(method, format!("{}{path}", self.cluster.door()))
            .bearer_auth(self.cluster.token())
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .timeout(Duration::from_secs(15));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer to the staff");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    /// What a gate that asks is told: `accepted`, or why not.
    async fn admit(&mut self, venue: &str, ticket: &str) -> String {
        self.scans += 1;
        let scan = json!({
            "venue": venue, "ticket": ticket, "gate": "main", "device": "asks", "device_seq": self.scans,
        });
        told(&self.staff(Method::POST, "/v1/admissions", Some(scan)).await)
    }

    /// What a gate that scanned by itself, by this time on its own clock, is told later.
    async fn merge(&mut self, venue: &str, ticket: &str, scanned_at: &str) -> String {
        self.scans += 1;
        let scan = json!({
            "ticket": ticket, "gate": "main", "device": "alone", "device_seq": self.scans, "scanned_at": scanned_at,
        });
        let batch = json!({ "venue": venue, "scans": [scan] });
        told(&self.staff(Method::POST, "/v1/admissions/batch", Some(batch)).await["scans"][0])
    }

    /// The hours in which somebody came on a service day, as the report on footfall has them.
    async fn hours(&self, venue: &str, day: &str) -> Vec<(String, u64)> {
        let path = format!("/v1/venues/{venue}/reports/footfall?from={day}");
        let report = self.staff(Method::GET, &path, None).await;
        let hours = report["hours"].as_array().unwrap();
        hours
            .iter()
            .map(|hour| {
                assert_eq!(hour["day"], day, "{report}");
                (
                    hour["hour"].as_str().unwrap().to_owned(),
                    hour["entered"].as_u64().unwrap(),
                )
            })
            .collect()
    }
}

fn told(admission: &Value) -> String {
    let result = admission["result"].as_str().unwrap();
    admission["reason"].as_str().unwrap_or(result).to_owned()
}

fn at(hour: &str, entered: u64) -> (String, u64) {
    (hour.to_owned(), entered)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_that_come_twice_and_hours_that_do_not_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = match library(folder.path()) {
        Ok(library) => library,
        Err(reason) => return not_covered("a clock put to the day", reason, true),
    };
    let cluster = Cluster::builder()
        .shards(1)
        .faults(&library)
        .router_flags("--trusted-proxy 127.0.0.0/8 --rate-limit 10000/60s")
        .start()
        .await;
    if !cluster.orders(1).are_heard() {
        return not_covered("a clock put to the day", "the node did not load the library", false);
    }
    cluster.import(HOUSES).await;
    let visitor = Visitor::new(&cluster.door());
    let mut night = Night {
        cluster,
        visitor,
        scans: 0,
    };
    new_york_after_midnight(&mut night).await;
    lisbon_in_spring(&mut night).await;
    lord_howe_in_autumn(&mut night).await;
    lord_howe_in_spring(&mut night).await;
    lisbon_in_autumn(&mut night).await;
    night.cluster.check_processes();
}

/// What begins after midnight is of the day on which the doors opened: for whoever looks, for gates, for reports.
async fn new_york_after_midnight(night: &mut Night) {
    night.put_clocks_to("2027-03-05T12:00:00-05:00").await;
    let friday = slots(&[
        ("2027-03-05", &[("10:00", "24:00", "-05:00")]),
        ("2027-03-06", &[("00:00", "01:00", "-05:00")]),
    ]);
    let saturday = slots(&[
        ("2027-03-06", &[("10:00", "24:00", "-05:00")]),
        ("2027-03-07", &[("00:00", "01:00", "-05:00")]),
    ]);
    night
        .until_listed(NEW_YORK, ("2027-03-05", "2027-03-05"), &friday)
        .await;
    night
        .until_listed(NEW_YORK, ("2027-03-06", "2027-03-06"), &saturday)
        .await;
    night.until_listed(NEW_YORK, ("2027-03-07", "2027-03-11"), &[]).await;
    let both = [friday, saturday].concat();
    night.until_listed(NEW_YORK, ("2027-03-05", "2027-03-06"), &both).await;
    let (twelve, half_past) = ("general@2027-03-06T00:00-05:00", "general@2027-03-06T00:30-05:00");
    let early = night.buy(NEW_YORK, twelve, 2).await;
    let late = night.buy(NEW_YORK, half_past, 1).await;
    assert_eq!(night.admit(NEW_YORK, &early[0]).await, "outside_window", "at noon");

    // Ten past midnight. What has begun is sold by the counter alone, what has not by everybody.
    night.put_clocks_to("2027-03-06T00:10:00-05:00").await;
    night
        .until_vacancies(NEW_YORK, "2027-03-05", half_past, PLACES - 1)
        .await;
    night.refused(NEW_YORK, twelve, 1, "slot_in_past").await;
    night.buy(NEW_YORK, half_past, 1).await;
    let line = json!({ "slot": twelve, "unit": "adult", "quantity": 1 });
    let walk_in = json!({ "venue": NEW_YORK, "lines": [line], "channel": "counter" });
    let sold = night.staff(Method::POST, "/v1/bookings", Some(walk_in)).await;
    assert_eq!(sold["status"], "held", "{sold}");
    assert_eq!(night.admit(NEW_YORK, &early[0]).await, "accepted");
    assert_eq!(night.admit(NEW_YORK, &early[0]).await, "duplicate");
    assert_eq!(night.admit(NEW_YORK, &late[0]).await, "outside_window");
    assert_eq!(
        night.merge(NEW_YORK, &late[0], "2027-03-06T00:40:00-05:00").await,
        "accepted"
    );
    assert_eq!(
        night.merge(NEW_YORK, &early[1], "2027-03-05T23:59:00-05:00").await,
        "outside_window"
    );
    assert_eq!(
        night.merge(NEW_YORK, &early[1], "2027-03-04T00:10:00-05:00").await,
        "wrong_day"
    );
    assert_eq!(
        night.hours(NEW_YORK, "2027-03-05").await,
        [at("2027-03-06T00:00:00-05:00", 2)],
        "Friday's, though it is Saturday"
    );
    assert_eq!(night.hours(NEW_YORK, "2027-03-06").await, []);
}

/// From one o'clock it is two o'clock: a day of 23 hours, and nobody can ask for what is not there.
async fn lisbon_in_spring(night: &mut Night) {
    night.put_clocks_to("2027-03-27T12:00:00+00:00").await;
    let change: &[Stretch] = &[("00:00", "01:00", "+00:00"), ("02:00", "24:00", "+01:00")];
    let day = slots(&[("2027-03-28", change)]);
    assert_eq!(day.len(), 46);
    night.until_listed(LISBON, ("2027-03-28", "2027-03-28"), &day).await;
    let before = slots(&[("2027-03-27", &[("00:00", "24:00", "+00:00")])]);
    let after = slots(&[("2027-03-29", &[("00:00", "24:00", "+01:00")])]);
    let around = [before, day, after].concat();
    night.until_listed(LISBON, ("2027-03-27", "2027-03-29"), &around).await;
    until_month(night, LISBON, ("2027-03-27", "2027-04-26"), 30 * 48 + 46).await;
    // The skipped hour, with either offset.
    for skipped in ["general@2027-03-28T01:00+00:00", "general@2027-03-28T01:30+01:00"] {
        night.refused(LISBON, skipped, 1, "unknown_slot").await;
    }
    // Half an hour after half past twelve it is two.
    let last = night.buy(LISBON, "general@2027-03-28T00:30+00:00", 1).await;
    let first = night.buy(LISBON, "general@2027-03-28T02:00+01:00", 1).await;
    assert_eq!(
        night.merge(LISBON, &last[0], "2027-03-28T00:59:00+00:00").await,
        "accepted"
    );
    assert_eq!(
        night.merge(LISBON, &first[0], "2027-03-28T00:59:59+00:00").await,
        "outside_window"
    );
    let first = night.buy(LISBON, "general@2027-03-28T02:00+01:00", 1).await;
    assert_eq!(
        night.merge(LISBON, &first[0], "2027-03-28T02:00:00+01:00").await,
        "accepted"
    );
    assert_eq!(
        night.hours(LISBON, "2027-03-28").await,
        [at("2027-03-28T00:00:00+00:00", 1), at("2027-03-28T02:00:00+01:00", 1)]
    );
}

/// From two o'clock it is half past one again: a day of 24 and a half hours.
async fn lord_howe_in_autumn(night: &mut Night) {
    night.put_clocks_to("2027-04-03T12:00:00+11:00").await;
    let change: &[Stretch] = &[("00:00", "02:00", "+11:00"), ("01:30", "24:00", "+10:30")];
    let day = slots(&[("2027-04-04", change)]);
    assert_eq!(day.len(), 49);
    night.until_listed(LORD_HOWE, ("2027-04-04", "2027-04-04"), &day).await;
    until_month(night, LORD_HOWE, ("2027-04-03", "2027-05-02"), 29 * 48 + 49).await;
    let twice = ("general@2027-04-04T01:30+11:00", "general@2027-04-04T01:30+10:30");
    let (first, second) = sell_twice(night, LORD_HOWE, "2027-04-04", twice).await;

    // Ten to two, for the first time.
    night.put_clocks_to("2027-04-04T01:50:00+11:00").await;
    assert_eq!(night.admit(LORD_HOWE, &first[0]).await, "accepted");
    assert_eq!(night.admit(LORD_HOWE, &second[0]).await, "outside_window");
    assert_eq!(
        night.merge(LORD_HOWE, &second[0], "2027-04-04T01:50:00+10:30").await,
        "accepted"
    );
    assert_eq!(
        night.merge(LORD_HOWE, &second[1], "2027-04-04T01:50:00+11:00").await,
        "outside_window"
    );
    // And for the second time.
    night.put_clocks_to("2027-04-04T01:50:00+10:30").await;
    assert_eq!(night.admit(LORD_HOWE, &first[1]).await, "outside_window");
    assert_eq!(night.admit(LORD_HOWE, &second[2]).await, "accepted");
    assert_eq!(
        night.hours(LORD_HOWE, "2027-04-04").await,
        [at("2027-04-04T01:00:00+11:00", 1), at("2027-04-04T01:30:00+10:30", 2)]
    );
}

/// From two o'clock it is half past two: a day of 23 and a half hours.
async fn lord_howe_in_spring(night: &mut Night) {
    night.put_clocks_to("2027-10-02T12:00:00+10:30").await;
    let change: &[Stretch] = &[("00:00", "02:00", "+10:30"), ("02:30", "24:00", "+11:00")];
    let day = slots(&[("2027-10-03", change)]);
    assert_eq!(day.len(), 47);
    night.until_listed(LORD_HOWE, ("2027-10-03", "2027-10-03"), &day).await;
    until_month(night, LORD_HOWE, ("2027-10-02", "2027-10-31"), 29 * 48 + 47).await;
    for skipped in ["general@2027-10-03T02:00+10:30", "general@2027-10-03T02:00+11:00"] {
        night.refused(LORD_HOWE, skipped, 1, "unknown_slot").await;
    }
    let after = night.buy(LORD_HOWE, "general@2027-10-03T02:30+11:00", 1).await;
    assert_eq!(
        night.merge(LORD_HOWE, &after[0], "2027-10-03T02:30:00+11:00").await,
        "accepted"
    );
    // Hours are whole ones of UTC: this one began before the change.
    assert_eq!(
        night.hours(LORD_HOWE, "2027-10-03").await,
        [at("2027-10-03T01:30:00+10:30", 1)]
    );
}

/// From two o'clock it is one again: a day of 25 hours.
async fn lisbon_in_autumn(night: &mut Night) {
    night.put_clocks_to("2027-10-30T12:00:00+01:00").await;
    let change: &[Stretch] = &[("00:00", "02:00", "+01:00"), ("01:00", "24:00", "+00:00")];
    let day = slots(&[("2027-10-31", change)]);
    assert_eq!(day.len(), 50);
    night.until_listed(LISBON, ("2027-10-31", "2027-10-31"), &day).await;
    until_month(night, LISBON, ("2027-10-30", "2027-11-28"), 29 * 48 + 50).await;
    let twice = ("general@2027-10-31T01:30+01:00", "general@2027-10-31T01:30+00:00");
    let (first, second) = sell_twice(night, LISBON, "2027-10-31", twice).await;

    night.put_clocks_to("2027-10-31T01:40:00+01:00").await;
    assert_eq!(night.admit(LISBON, &first[0]).await, "accepted");
    assert_eq!(night.admit(LISBON, &second[0]).await, "outside_window");
    night.put_clocks_to("2027-10-31T01:40:00+00:00").await;
    assert_eq!(night.admit(LISBON, &second[0]).await, "accepted");
    assert_eq!(night.admit(LISBON, &first[1]).await, "outside_window");
    // A gate that was cut off an hour ago hands in what it saw.
    assert_eq!(
        night.merge(LISBON, &first[1], "2027-10-31T01:45:00+01:00").await,
        "accepted"
    );
    assert_eq!(
        night.hours(LISBON, "2027-10-31").await,
        [at("2027-10-31T01:00:00+01:00", 2), at("2027-10-31T01:00:00+00:00", 1)]
    );
}

/// Waits until a month that a change falls into has so many slots, no two of one id.
async fn until_month(night: &Night, venue: &str, (from, to): (&str, &str), wanted: usize) {
    wait::until(&format!("the month of {venue} from {from}"), async || {
        let shown = night.available(venue, from, to).await;
        let slots = shown["slots"].as_array().unwrap();
        let mut ids: Vec<&str> = slots.iter().map(|slot| slot["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        if (slots.len(), ids.len()) == (wanted, wanted) {
            Ok(())
        } else {
            Err(format!("{} slots with {} ids, not {wanted}", slots.len(), ids.len()))
        }
    })
    .await;
}

/// The same time on the wall twice: the first is sold out and the second has all its places, then that is sold out too.
/// Gives the tickets of both.
async fn sell_twice(
    night: &Night,
    venue: &str,
    day: &str,
    (first, second): (&str, &str),
) -> (Vec<String>, Vec<String>) {
    let of_first = night.buy(venue, first, PLACES).await;
    night.until_vacancies(venue, day, first, 0).await;
    night.until_vacancies(venue, day, second, PLACES).await;
    night.refused(venue, first, 1, "sold_out").await;
    let of_second = night.buy(venue, second, PLACES).await;
    night.until_vacancies(venue, day, second, 0).await;
    night.refused(venue, second, 1, "sold_out").await;
    (of_first, of_second)
}
