//! Quotas, shedding, deadlines and sizes: what is refused has no effect and says so.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::Request;
use rotunda_booking::command::Role;
use rotunda_router::access::RouteClass;
use rotunda_router::backend::{Backend, ClusterLimit};
use rotunda_router::config::{Config, Span};
use rotunda_router::rate_limit::{LimitSetting, LimitedRole, VenueLimitSetting};

use crate::house::{ADMIN, BOSS, House, NETWORK, config, hold, key, request};

fn strict(rate_limit: &str) -> Config {
    Config {
        rate_limit: rate_limit.parse().unwrap(),
        ..config()
    }
}

fn hold_request(n: u32, headers: &[(&str, &str)]) -> Request<Body> {
    let key = key(n);
    let mut all = vec![("idempotency-key", key.as_str()), ("content-type", "application/json")];
    all.extend_from_slice(headers);
    request("POST", "/v1/bookings", &all, hold(1))
}

#[tokio::test]
async fn a_limited_request_has_no_effect() {
    let house = House::furnished(strict("3/1000m")).await;
    for n in 0..3 {
        let answer = house.send_from("203.0.113.5:1000", hold_request(n, &[])).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("ratelimit-policy"), "\"burst\";q=3;w=60000");
        assert!(
            answer
                .header("ratelimit")
                .starts_with(&format!("\"burst\";r={};t=", 2 - n)),
            "{:?}",
            answer.headers
        );
    }
    let before = house.fake.state_hash();
    let answer = house.send_from("203.0.113.5:2000", hold_request(9, &[])).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "rate_limited"));
    assert!(
        answer.header("retry-after").parse::<u64>().unwrap() > 19_000,
        "{:?}",
        answer.headers
    );
    assert!(answer.header("ratelimit").starts_with("\"burst\";r=0;t="));
    assert_eq!(answer.json()["retryable"], true);
    assert_eq!(house.fake.state_hash(), before);
    // Somebody else, somebody with a token, and whoever looks after the router, are not held up.
    assert_eq!(
        house.send_from("203.0.113.6:1000", hold_request(10, &[])).await.status,
        201
    );
    let token = [("authorization", "Bearer shop-secret")];
    assert_eq!(
        house
            .send_from("203.0.113.5:1000", hold_request(11, &token))
            .await
            .status,
        201
    );
    assert_eq!(
        house
            .send_from("203.0.113.5:1000", request("GET", "/livez", &[], String::new()))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_forged_forwarded_header_buys_no_quota() {
    let house = House::furnished(strict("1/1000m")).await;
    let from = async |n: u32, forwarded: &str| {
        house
            .send_from("203.0.113.5:1000", hold_request(n, &[("x-forwarded-for", forwarded)]))
            .await
            .status
            .as_u16()
    };
    assert_eq!(from(1, "198.51.100.1").await, 201);
    assert_eq!(from(2, "198.51.100.2").await, 429);
}

#[tokio::test]
async fn ten_thousand_forged_addresses_share_one_bucket() {
    let house = House::furnished(strict("3/1000m")).await;
    let mut allowed = 0;
    for n in 0..10_000_u32 {
        let forged = std::net::Ipv4Addr::from(0x0b00_0000 + n).to_string();
        let look = request("GET", "/v1/venues", &[("x-forwarded-for", &forged)], String::new());
        let answer = house.send_from("203.0.113.5:1000", look).await;
        allowed += u32::from(answer.status == 200);
    }
    assert_eq!(allowed, 3);
    let look = request("GET", "/v1/venues", &[], String::new());
    assert_eq!(house.send_from("203.0.113.6:1000", look).await.status, 200);
}

fn own(role: Option<Role>, routes: Option<RouteClass>, quota: &str) -> LimitSetting {
    LimitSetting {
        role: role.map(LimitedRole),
        routes,
        quota: quota.parse().unwrap(),
    }
}

#[tokio::test]
async fn by_default_a_visitor_has_ten_a_second_and_a_burst_of_twenty() {
    let house = House::furnished(config()).await;
    let look = || request("GET", "/v1/venues", &[], String::new());
    let answer = house.send_from("203.0.113.5:1000", look()).await;
    assert_eq!(answer.header("ratelimit-policy"), "\"burst\";q=20;w=2");
    assert!(answer.header("ratelimit").starts_with("\"burst\";r=19;"));
}

#[tokio::test]
async fn the_most_exact_quota_counts_and_no_other() {
    let house = House::furnished(Config {
        limit: vec![
            own(Some(Role::Visitor), Some(RouteClass::Hold), "1/1000m"),
            own(Some(Role::Visitor), None, "2/1000m"),
            own(None, Some(RouteClass::Hold), "3/1000m"),
        ],
        ..strict("9/1000m")
    })
    .await;
    let token = [("authorization", "Bearer shop-secret")];
    let look = || request("GET", "/v1/venues", &[], String::new());
    let visitor = "203.0.113.5:1000";
    let seen = house.send_from(visitor, hold_request(1, &[])).await;
    assert_eq!(seen.header("ratelimit-policy"), "\"visitor-hold\";q=1;w=60000");
    assert_eq!(house.send_from(visitor, hold_request(2, &[])).await.status, 429);
    // Who has held all that he may, still looks.
    for status in [200, 200, 429] {
        let answer = house.send_from(visitor, look()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("ratelimit-policy"), "\"visitor\";q=2;w=60000");
    }
    // A counter has the quota of all who hold, and the general one of tokens for the rest.
    for (n, status) in [(3, 201), (4, 201), (5, 201), (6, 429)] {
        let answer = house.send_from(visitor, hold_request(n, &token)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("ratelimit-policy"), "\"hold\";q=3;w=60000");
    }
    let answer = house
        .send_from(visitor, request("GET", "/v1/venues", &token, String::new()))
        .await;
    assert_eq!(answer.header("ratelimit-policy"), "\"burst\";q=100000;w=10");
}

#[tokio::test]
async fn a_crowd_at_one_venue_holds_up_neither_others_nor_its_gates() {
    let house = House::furnished(Config {
        venue_limit: vec![VenueLimitSetting {
            venue: "lisbon-tides".to_owned(),
            quota: "2/1000m".parse().unwrap(),
        }],
        ..strict("off")
    })
    .await;
    for n in 1..=2 {
        let from = format!("203.0.113.{n}:1000");
        assert_eq!(house.send_from(&from, hold_request(n, &[])).await.status, 201);
    }
    let before = house.fake.state_hash();
    let answer = house.send_from("203.0.113.3:1000", hold_request(3, &[])).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (429, "venue_rate_limited")
    );
    assert_eq!(answer.header("ratelimit-policy"), "\"venue\";q=2;w=60000");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 29_000);
    assert_eq!(house.fake.state_hash(), before);
    let boss = [("authorization", BOSS)];
    let occupancy = |venue: &str| request("GET", &format!("/v1/venues/{venue}/occupancy"), &boss, String::new());
    assert_eq!(house.send(occupancy("lisbon-tides")).await.status, 200);
    let drawer = |venue: &str| request("GET", &format!("/v1/venues/{venue}/ledger"), &boss, String::new());
    assert_eq!(house.send(drawer("lisbon-tides")).await.status, 429);
    assert_eq!(house.send(drawer("tokyo-paper")).await.status, 200);
}

#[tokio::test]
async fn a_packed_body_is_refused_and_one_that_is_plain_by_name_is_taken() {
    let house = House::furnished(config()).await;
    for (n, encoding) in ["gzip", "br", "identity, gzip", "zstd"].into_iter().enumerate() {
        let packed = hold_request(n as u32, &[("content-encoding", encoding)]);
        let answer = house.send(packed).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (415, "unsupported_encoding")
        );
        assert_eq!(answer.header("accept-encoding"), "identity");
        assert_eq!(house.send(hold_request(10 + n as u32, &[])).await.status, 201);
    }
    let plain = hold_request(20, &[("content-encoding", "identity")]);
    assert_eq!(house.send(plain).await.status, 201);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_quota() {
    let config = Config {
        trusted_proxy: vec!["10.0.0.0/8".parse().unwrap()],
        ..strict("1/1000m")
    };
    let house = House::furnished(config).await;
    let from = async |n: u32, forwarded: &str| {
        house
            .send_from("10.0.0.1:1000", hold_request(n, &[("x-forwarded-for", forwarded)]))
            .await
            .status
            .as_u16()
    };
    assert_eq!(from(1, "198.51.100.1").await, 201);
    assert_eq!(from(2, "198.51.100.2").await, 201);
    // What the client itself wrote stands further left and changes nothing.
    assert_eq!(from(3, "192.0.2.77, 198.51.100.2").await, 429);
}

#[tokio::test]
async fn guessing_tokens_spends_the_guessers_quota() {
    let house = House::furnished(strict("2/1000m")).await;
    let guess = async |n: u32| {
        let headers = [("authorization", &*format!("Bearer guess-{n}"))];
        house
            .send_from("203.0.113.5:1000", hold_request(n, &headers))
            .await
            .status
            .as_u16()
    };
    assert_eq!([guess(1).await, guess(2).await, guess(3).await], [401, 401, 429]);
}

#[tokio::test]
async fn the_request_above_the_limit_is_refused_at_once_and_health_is_not() {
    let house = House::furnished(Config {
        max_in_flight: 2,
        ..config()
    })
    .await;
    let all = house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let (first, second) = (house.post_later(1), house.post_later(2));
    let waited = async {
        while house.door.in_flight.now() < 2 {
            tokio::task::yield_now().await;
        }
        let before = house.fake.state_hash();
        let third = house.post("/v1/bookings", &key(3), &hold(1)).await;
        assert_eq!((third.status.as_u16(), third.code().as_str()), (503, "overloaded"));
        assert_eq!(third.header("retry-after"), "1");
        assert_eq!(house.fake.state_hash(), before);
        assert_eq!(house.get("/livez").await.status, 200);
        assert_eq!(house.get("/readyz").await.status, 200);
        drop(all);
    };
    let (first, second, ()) = tokio::join!(first, second, waited);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(house.door.in_flight.now(), 0);
    assert_eq!(house.post("/v1/bookings", &key(3), &hold(1)).await.status, 201);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_place() {
    let house = House::furnished(Config {
        max_in_flight: 1,
        ..config()
    })
    .await;
    let all = house.fake.gate.acquire_many(1_000_000).await.unwrap();
    {
        let mut gone = Box::pin(house.post_later(1));
        assert!(futures::poll!(&mut gone).is_pending());
        assert_eq!(house.door.in_flight.now(), 1);
    }
    assert_eq!(house.door.in_flight.now(), 0);
    drop(all);
}

#[tokio::test]
async fn at_the_deadline_the_caller_is_told_that_nothing_was_done() {
    let house = House::furnished(Config {
        request_deadline: "100ms".parse().unwrap(),
        ..config()
    })
    .await;
    let _all = house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let answer = house.post("/v1/bookings", &key(1), &hold(1)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn what_forgets_its_deadline_is_cut_off_and_the_caller_told_to_ask_again() {
    // The fake's import pays no heed to the deadline.
    let house = House::empty(Config {
        import_deadline: "50ms".parse().unwrap(),
        ..config()
    });
    let _all = house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let answer = house
        .put("/v1/admin/network", &[("authorization", ADMIN)], NETWORK.to_owned())
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (504, "outcome_unknown")
    );
    assert_eq!(answer.json()["retryable"], true);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_read() {
    let house = House::furnished(config()).await;
    let mut request = hold_request(1, &[("content-length", "10485760")]);
    *request.body_mut() = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = house.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (413, "body_too_large")
    );
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_not_kept() {
    let house = House::furnished(config()).await;
    let mut request = hold_request(1, &[]);
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    *request.body_mut() = Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())));
    let answer = house.send(request).await;
    assert_eq!(answer.status, 413);
    assert!(answer.json()["detail"].as_str().unwrap().contains("256 KiB"));
}

#[tokio::test]
async fn an_import_may_be_larger_than_a_booking() {
    let house = House::empty(config());
    let padded = format!("{NETWORK}\n{}", "# padding\n".repeat(40_000));
    assert!(padded.len() > 256 * 1024);
    let answer = house
        .put("/v1/admin/network", &[("authorization", ADMIN)], padded.clone())
        .await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let answer = house
        .put("/v1/admin/network", &[("authorization", ADMIN)], padded.repeat(4))
        .await;
    assert_eq!(answer.status, 413);
    // And only for those who may import.
    let answer = house.put("/v1/admin/network", &[], padded).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let house = House::furnished(Config {
        request_deadline: Span(Duration::from_millis(100)),
        ..config()
    })
    .await;
    let mut request = hold_request(1, &[("content-length", "1000")]);
    *request.body_mut() = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = house.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (408, "request_timeout")
    );
}

impl House {
    async fn post_later(&self, n: u32) -> crate::house::Answer {
        self.post("/v1/bookings", &key(n), &hold(1)).await
    }
}

#[tokio::test]
async fn quotas_change_while_requests_come() {
    let house = House::furnished(strict("1/1000m")).await;
    let from = async |n: u32| {
        let answer = house.send_from("203.0.113.5:1000", hold_request(n, &[])).await;
        answer.status.as_u16()
    };
    assert_eq!([from(1).await, from(2).await], [201, 429]);
    house.door.set_quotas(&strict("off"));
    assert_eq!([from(3).await, from(4).await, from(5).await], [201, 201, 201]);
    house.door.set_quotas(&strict("2/1000m"));
    assert_eq!([from(6).await, from(7).await, from(8).await], [201, 201, 429]);
}

fn of_cluster(role: &str, quota: &str) -> String {
    format!("{{\"limits\":[{{\"role\":\"{role}\",\"quota\":\"{quota}\"}}]}}")
}

#[tokio::test]
async fn the_clusters_quotas_count_over_those_of_the_settings_and_leave_the_others_alone() {
    let mut settings = strict("3/1000m");
    settings.limit = vec![LimitSetting {
        role: Some(LimitedRole(Role::Counter)),
        routes: None,
        quota: "2/1000m".parse().unwrap(),
    }];
    let house = House::furnished(settings).await;
    let set = async |body: String| {
        let headers = [("authorization", ADMIN), ("content-type", "application/json")];
        house.put("/v1/admin/limits", &headers, body).await.status.as_u16()
    };
    let from = async |n: u32| {
        let answer = house.send_from("203.0.113.5:1000", hold_request(n, &[])).await;
        answer.status.as_u16()
    };
    let shop = async |n: u32| {
        let headers = [("authorization", "Bearer shop-secret")];
        house
            .send_from("203.0.113.5:1000", hold_request(n, &headers))
            .await
            .status
            .as_u16()
    };
    assert_eq!([from(1).await, from(2).await], [201, 201]);
    assert_eq!([shop(3).await, shop(4).await, shop(5).await], [201, 201, 429]);
    // The counter has more now; a stranger what was left to him.
    assert_eq!(set(of_cluster("counter", "3/1000m")).await, 200);
    assert_eq!(
        [shop(6).await, shop(7).await, shop(8).await, shop(9).await],
        [201, 201, 201, 429]
    );
    assert_eq!([from(10).await, from(11).await], [201, 429]);
    // The same again gives nobody anything, and neither does a change of another.
    assert_eq!(set(of_cluster("counter", "3/1000m")).await, 200);
    assert_eq!([shop(12).await, from(13).await], [429, 429]);
    house.door.set_quotas(&strict("3/1000m"));
    assert_eq!([shop(14).await, from(15).await], [429, 429]);
    // Not even the operator's own can keep him from taking it back.
    assert_eq!(set(of_cluster("operator", "1/1000m")).await, 200);
    assert_eq!(
        [
            set(of_cluster("operator", "2/1000m")).await,
            set(of_cluster("kiosk", "1/1s")).await
        ],
        [200, 200]
    );
    let shut_out = "{\"limits\":[{\"routes\":\"admin\",\"quota\":\"1/1000m\"}]}";
    assert_eq!(set(shut_out.to_owned()).await, 422);
    // Back to the settings, which have no quota of counters any more.
    let headers = [("authorization", ADMIN)];
    let reset = house
        .request("DELETE", "/v1/admin/limits", &headers, String::new())
        .await;
    assert_eq!(reset.status, 200);
    assert_eq!(
        [shop(16).await, shop(17).await, shop(18).await, shop(19).await],
        [201; 4]
    );
}

#[tokio::test]
async fn what_another_router_has_set_counts_here_too() {
    let house = House::furnished(strict("off")).await;
    let limit = ClusterLimit {
        role: "visitor".to_owned(),
        routes: "hold".to_owned(),
        quota: "1/1000m".to_owned(),
        ..ClusterLimit::default()
    };
    // And what only a newer one can read does not.
    let newer = ClusterLimit {
        role: "curator".to_owned(),
        quota: "1/1000m".to_owned(),
        ..ClusterLimit::default()
    };
    let soon = tokio::time::Instant::now() + Duration::from_secs(5);
    house.fake.set_limits(&[newer, limit], "another", soon).await.unwrap();
    let from = async |n: u32| {
        let answer = house.send_from("203.0.113.5:1000", hold_request(n, &[])).await;
        answer.status.as_u16()
    };
    assert_eq!([from(1).await, from(2).await], [201, 201], "not taken yet");
    house.door.take_limits();
    assert_eq!([from(3).await, from(4).await], [201, 429]);
}
