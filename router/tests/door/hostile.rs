//! Nothing that a client can send makes a 500, and whatever is refused is refused in the one form.

use std::sync::LazyLock;

use axum::body::Body;
use http::Request;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::house::{ADMIN, Answer, House, NETWORK, config, key};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static HOUSE: LazyLock<House> = LazyLock::new(|| RUNTIME.block_on(House::furnished(config())));

fn send(method: &str, path: &str, headers: &[(&str, &[u8])], body: Vec<u8>) -> Option<Answer> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // What the http crate refuses, hyper refuses before it gets here.
    let request = request.body(Body::from(body)).ok()?;
    Some(RUNTIME.block_on(HOUSE.send(request)))
}

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    let status = answer.status.as_u16();
    prop_assert!(status < 500, "{status}: {}", String::from_utf8_lossy(&answer.body));
    if status >= 400 {
        prop_assert_eq!(answer.header("content-type"), "application/problem+json");
        prop_assert!(answer.json()["code"].is_string());
    }
    Ok(())
}

/// A body that is nearly right: one that is, with some of its bytes changed.
fn bent(good: &'static str, changes: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((0..good.len(), any::<u8>()), 0..changes).prop_map(move |changes| {
        let mut body = good.as_bytes().to_vec();
        for (at, byte) in changes {
            body[at] = byte;
        }
        body
    })
}

const GOOD: &str =
    r#"{"venue":"lisbon-tides","lines":[{"slot":"general@2026-12-01T10:00+00:00","unit":"adult","quantity":1}]}"#;

const PATHS: &[&str] = &[
    "/v1/venues",
    "/v1/venues/lisbon-tides",
    "/v1/venues/lisbon-tides/products",
    "/v1/venues/lisbon-tides/availability?from=2026-12-01",
    "/v1/bookings",
    "/v1/bookings/0000000000000000000000000000Z",
    "/v1/bookings/0000000000000000000000000000Z/confirm",
    "/v1/admin/network",
    "/v1/admin/venues/lisbon-tides/slots/general@2026-12-01T10:00+00:00",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_of_a_hold_makes_a_500(body in prop_oneof![bent(GOOD, 4), proptest::collection::vec(any::<u8>(), 0..200)], n in 0..1_000_000_u32) {
        let key = key(n);
        let headers = [("content-type", &b"application/json"[..]), ("idempotency-key", key.as_bytes())];
        if let Some(answer) = send("POST", "/v1/bookings", &headers, body) {
            check(&answer)?;
        }
    }

    #[test]
    fn no_path_makes_a_500(path in "/v1/(venues|bookings|admin)(/[ -~]{0,40}){0,4}([?][ -~]{0,60})?", method in prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("BREW")]) {
        let headers = [("authorization", ADMIN.as_bytes()), ("idempotency-key", &b"0b6b0c1e-1111-4222-8333-123456789abc"[..])];
        if let Some(answer) = send(method, &path, &headers, Vec::new()) {
            check(&answer)?;
        }
    }

    #[test]
    fn no_query_makes_a_500(query in "(from|to|product|limit|cursor|q|city|open_on)=[ -~]{0,30}(&(from|to|limit)=[0-9%+&=-]{0,12}){0,3}") {
        for path in ["/v1/venues", "/v1/venues/lisbon-tides/availability"] {
            if let Some(answer) = send("GET", &format!("{path}?{query}"), &[], Vec::new()) {
                check(&answer)?;
            }
        }
    }

    #[test]
    fn no_header_makes_a_500(
        name in prop_oneof![
            Just("idempotency-key"), Just("authorization"), Just("content-type"), Just("x-forwarded-for"), Just("traceparent"),
            Just("x-request-id"), Just("if-none-match"), Just("content-length"), Just("rotunda-commit"),
        ],
        value in proptest::collection::vec(prop_oneof![4 => 0x20_u8..0x7f, 1 => any::<u8>()], 0..300),
        path in proptest::sample::select(PATHS),
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT")],
    ) {
        if let Some(answer) = send(method, path, &[(name, &value)], GOOD.as_bytes().to_vec()) {
            check(&answer)?;
        }
    }

    #[test]
    fn no_catalogue_makes_a_500(body in prop_oneof![3 => bent(NETWORK, 6), 1 => proptest::collection::vec(any::<u8>(), 0..400)], json in any::<bool>()) {
        let content_type = if json { &b"application/json"[..] } else { b"application/yaml" };
        let headers = [("authorization", ADMIN.as_bytes()), ("content-type", content_type)];
        if let Some(answer) = send("PUT", "/v1/admin/network", &headers, body) {
            check(&answer)?;
        }
    }
}
