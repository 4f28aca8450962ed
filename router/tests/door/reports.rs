//! Reports say what the ledger says, to the cent; and what the staff send twice is done once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use crate::house::{Answer, BOSS, House, config, key};

impl House {
    async fn staff_get(&self, path: &str) -> Answer {
        let answer = self
            .request("GET", path, &[("authorization", BOSS)], String::new())
            .await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer
    }

    async fn staff_post(&self, path: &str, key: &str, body: &str) -> Answer {
        let headers = [
            ("authorization", BOSS),
            ("idempotency-key", key),
            ("content-type", "application/json"),
        ];
        self.request("POST", path, &headers, body.to_owned()).await
    }

    async fn ledger(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let path = format!("/v1/venues/lisbon-tides/ledger?limit=3&after={}", lines.len());
            let page = self.staff_get(&path).await.json();
            lines.extend(page["data"].as_array().unwrap().iter().cloned());
            if page["has_more"] == false {
                assert_eq!(page["last"], lines.len());
                return lines;
            }
        }
    }
}

/// What somebody does in the shop.
#[derive(Clone, Debug)]
enum Act {
    Sell { channel: usize, units: [u32; 3] },
    CancelLine { booking: usize, line: u16 },
    Cancel { booking: usize },
    Rebook { booking: usize },
    Wait { minutes: i64 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..5_usize, [0..4_u32, 0..3, 0..3]).prop_map(|(channel, units)| Act::Sell { channel, units }),
        2 => (0..8_usize, 0..3_u16).prop_map(|(booking, line)| Act::CancelLine { booking, line }),
        1 => (0..8_usize).prop_map(|booking| Act::Cancel { booking }),
        2 => (0..8_usize).prop_map(|booking| Act::Rebook { booking }),
        2 => (1..900_i64).prop_map(|minutes| Act::Wait { minutes }),
    ];
    prop::collection::vec(act, 1..24)
}

async fn perform(house: &House, acts: &[Act]) {
    let mut sold: Vec<String> = Vec::new();
    for (n, act) in acts.iter().enumerate() {
        let (first, second) = (key(2 * n as u32), key(2 * n as u32 + 1));
        match act {
            Act::Sell { channel, units } => {
                let channel = ["web", "kiosk", "counter", "reseller", "phone"][*channel];
                let lines: Vec<String> = ["adult", "youth", "senior"]
                    .iter()
                    .zip(units)
                    .filter(|(_, quantity)| **quantity > 0)
                    .map(|(unit, quantity)| {
                        format!(r#"{{"slot":"general@2026-12-01T10:00+00:00","unit":"{unit}","quantity":{quantity}}}"#)
                    })
                    .collect();
                let body = format!(
                    r#"{{"venue":"lisbon-tides","channel":"{channel}","lines":[{}]}}"#,
                    lines.join(",")
                );
                let held = house.staff_post("/v1/bookings", &first, &body).await;
                if held.status == 201 {
                    let id = held.json()["id"].as_str().unwrap().to_owned();
                    let confirmed = house
                        .staff_post(&format!("/v1/bookings/{id}/confirm"), &second, "")
                        .await;
                    assert_eq!(confirmed.status, 200);
                    sold.push(id);
                }
            }
            Act::Wait { minutes } => house.fake.advance(*minutes),
            Act::CancelLine { booking, .. } | Act::Cancel { booking } | Act::Rebook { booking } => {
                let Some(id) = sold.get(*booking) else { continue };
                let (name, body) = match act {
                    Act::CancelLine { line, .. } => ("cancel", format!(r#"{{"lines":[{line}]}}"#)),
                    Act::Rebook { .. } => (
                        "rebook",
                        format!(r#"{{"slot":"general@2026-12-02T1{}:00+00:00"}}"#, n % 6),
                    ),
                    _ => ("cancel", String::new()),
                };
                let path = format!("/v1/bookings/{id}/{name}");
                let status = house.staff_post(&path, &first, &body).await.status;
                assert!(!status.is_server_error(), "{path}: {status}");
            }
        }
    }
}

/// By what a report's rows are named, and what they come to: quantity, gross, tax.
type Sums = BTreeMap<String, (i64, i64, i64)>;

fn add(sums: &mut Sums, name: &str, of: (i64, i64, i64)) {
    let sum = sums.entry(name.to_owned()).or_default();
    *sum = (sum.0 + of.0, sum.1 + of.1, sum.2 + of.2);
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn reported(row: &Value) -> (i64, i64, i64) {
    let amount = |name: &str| number(&row[name]["amount"]);
    assert_eq!(amount("net"), amount("gross") - amount("tax"), "{row}");
    (number(&row["quantity"]), amount("gross"), amount("tax"))
}

/// The ledger, the two reports, and the sheets, all of the same days, held against each other.
async fn agree(house: &House, days: &str, within: impl Fn(&str) -> bool) {
    let lines = house.ledger().await;
    let (mut types, mut channels, mut total) = (Sums::new(), Sums::new(), (0, 0, 0));
    for line in lines.iter().filter(|line| within(line["at"].as_str().unwrap())) {
        let postings = line["postings"].as_array().unwrap();
        let sum = |accounts: &[&str]| -> i64 {
            let of = postings
                .iter()
                .filter(|posting| accounts.contains(&posting["account"].as_str().unwrap()));
            of.map(|posting| number(&posting["amount"])).sum()
        };
        assert_eq!(
            postings.iter().map(|posting| number(&posting["amount"])).sum::<i64>(),
            0
        );
        // From the postings, not from the items that the report is made of.
        total.1 -= sum(&["sales", "tax"]);
        total.2 -= sum(&["tax"]);
        for item in line["items"].as_array().unwrap() {
            let of = (number(&item["quantity"]), number(&item["total"]), number(&item["tax"]));
            total.0 += of.0;
            let name = format!(
                "{}/{}",
                item["product"].as_str().unwrap(),
                item["unit"].as_str().unwrap()
            );
            add(&mut types, &name, of);
            add(&mut channels, line["channel"].as_str().unwrap(), of);
        }
    }
    for (report, expected) in [("revenue", &types), ("channels", &channels)] {
        let path = format!("/v1/venues/lisbon-tides/reports/{report}{days}");
        let shown = house.staff_get(&path).await.json();
        let mut rows = Sums::new();
        for row in shown["rows"].as_array().unwrap() {
            let name = match row["channel"].as_str() {
                Some(channel) => channel.to_owned(),
                None => format!("{}/{}", row["product"].as_str().unwrap(), row["unit"].as_str().unwrap()),
            };
            add(&mut rows, &name, reported(row));
        }
        assert_eq!(&rows, expected, "{report}");
        assert_eq!(reported(&shown["total"]), total, "{report}");

        let sheet = house.staff_get(&format!("{path}&format=csv")).await;
        let text = String::from_utf8(sheet.body.to_vec()).unwrap();
        let mut of_sheet = Sums::new();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split(',').collect();
            let names = columns.len() - 8;
            let count = |n: usize| columns[names + n].parse::<i64>().unwrap();
            add(
                &mut of_sheet,
                &columns[..names].join("/"),
                (count(0), count(1), count(2)),
            );
        }
        assert_eq!(&of_sheet, expected, "the sheet of {report}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sold_is_what_the_ledger_says_to_the_cent(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::furnished(config()).await;
            perform(&house, &acts).await;
            agree(&house, "?from=2026-11-22&to=2027-11-22", |_| true).await;
            // In Lisbon it is winter: midnight is that of UTC.
            agree(&house, "?from=2026-11-23&to=2026-11-23", |at| at.starts_with("2026-11-23")).await;
        });
    }
}

#[tokio::test]
async fn what_the_staff_send_twice_is_done_once_and_answered_the_same() {
    let house = House::furnished(config()).await;
    let till = "/v1/venues/lisbon-tides/drawers/till-1";
    let general = r#"[{"slot":"general@2026-12-01T10:00+00:00","unit":"adult","quantity":2}]"#;
    let held = house
        .post(
            "/v1/bookings",
            &key(1),
            &format!(r#"{{"venue":"lisbon-tides","lines":{general}}}"#),
        )
        .await;
    let booking = format!("/v1/bookings/{}", held.json()["id"].as_str().unwrap());
    let confirmed = house
        .staff_post(&format!("{booking}/confirm"), &key(2), "")
        .await
        .json();
    let ticket = confirmed["tickets"][0]["id"].as_str().unwrap().to_owned();
    let scan =
        format!(r#"{{"venue":"lisbon-tides","ticket":"{ticket}","gate":"north","device":"scanner-1","device_seq":1}}"#);
    let requests = [
        (
            format!("{till}/open"),
            key(3),
            r#"{"float":{"amount":5000,"currency":"EUR"}}"#.to_owned(),
        ),
        (
            format!("{till}/open"),
            key(4),
            r#"{"float":{"amount":5000,"currency":"EUR"}}"#.to_owned(),
        ),
        (
            format!("{till}/close"),
            key(5),
            r#"{"counted":{"amount":4990,"currency":"EUR"}}"#.to_owned(),
        ),
        (
            format!("{booking}/rebook"),
            key(6),
            r#"{"slot":"general@2026-12-02T10:00+00:00"}"#.to_owned(),
        ),
        (
            format!("{booking}/rebook"),
            key(7),
            r#"{"slot":"general@2026-12-02T10:00+00:00"}"#.to_owned(),
        ),
        (format!("{booking}/cancel"), key(8), r#"{"lines":[3]}"#.to_owned()),
        (format!("{booking}/cancel"), key(9), r#"{"lines":[0]}"#.to_owned()),
        ("/v1/admissions".to_owned(), key(10), scan),
    ];
    let mut first = Vec::new();
    for (path, key, body) in &requests {
        first.push(house.staff_post(path, key, body).await);
    }
    let statuses: Vec<u16> = first.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 409, 200, 200, 409, 404, 200, 200]);
    let hash = house.fake.state_hash();
    for ((path, key, body), first) in requests.iter().zip(first) {
        let again = house.staff_post(path, key, body).await;
        assert_eq!(again.status, first.status, "{path}");
        assert_eq!(
            again.body,
            first.body,
            "{path}: {}",
            String::from_utf8_lossy(&again.body)
        );
        assert_eq!(again.header("idempotency-replayed"), "true", "{path}");
        assert_eq!(again.header("rotunda-commit"), first.header("rotunda-commit"), "{path}");
    }
    assert_eq!(house.fake.state_hash(), hash, "a replay changed something");
}
