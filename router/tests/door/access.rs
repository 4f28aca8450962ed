//! Who may: every route as every role, by the matrix that the door itself goes by, and what the matrix must say.

use std::sync::Arc;

use http::Method;
use rotunda_booking::command::Role;
use rotunda_router::access::{MATRIX, Rule, Scope};
use rotunda_router::api;
use rotunda_router::auth::{RoleName, TokenSetting};
use rotunda_router::config::Config;
use rotunda_router::server::Door;

use crate::fake::CountingDraw;
use crate::house::{ADMIN, Answer, House, NETWORK, config, hold, key};

/// Where requests are about, and where the bound tokens are not.
const HERE: &str = "lisbon-tides";
const ELSEWHERE: &str = "tokyo-paper";

/// What a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Not,
    /// To another venue.
    Venue,
    /// To another network.
    Network,
}

/// With tokens for each role, bound and not.
fn staffed() -> Config {
    let roles = [
        RoleName::Kiosk,
        RoleName::Counter,
        RoleName::Gate,
        RoleName::Reseller,
        RoleName::Manager,
        RoleName::Operator,
    ];
    let mut config = config();
    for role in roles {
        for bound in [Bound::Not, Bound::Venue, Bound::Network] {
            let (name, _) = credentials(role.into(), bound);
            config.token.push(TokenSetting {
                secret: Some(format!("{name}-secret")),
                sha256: None,
                admin: false,
                role: Some(role),
                network: (bound == Bound::Network).then(|| "another".to_owned()),
                venues: match bound {
                    Bound::Venue => vec![ELSEWHERE.to_owned()],
                    Bound::Not | Bound::Network => Vec::new(),
                },
                name,
            });
        }
    }
    config
}

/// Name and header of a role's token.
fn credentials(role: Role, bound: Bound) -> (String, String) {
    let suffix = match bound {
        Bound::Not => "",
        Bound::Venue => "-elsewhere",
        Bound::Network => "-abroad",
    };
    let name = format!("{}{suffix}", role.as_str());
    let header = format!("Bearer {name}-secret");
    (name, header)
}

/// The path with something in place of each of its names.
fn example(path: &str, booking: &str) -> String {
    [
        ("{venue}", HERE),
        ("{booking}", booking),
        ("{slot}", "general@2026-12-01T10:00+00:00"),
        ("{name}", "nobody"),
        ("{code}", "sold_out"),
        ("{ticket}", "00000400000000000000000000000000"),
        ("{drawer}", "till-1"),
        ("{node}", "1"),
        ("{key}", "1"),
        ("{*file}", "index.html"),
    ]
    .iter()
    .fold(path.to_owned() + query(path), |path, (name, value)| {
        path.replace(name, value)
    })
}

/// What a path is not asked for without.
fn query(path: &str) -> &'static str {
    if path.contains("/reports/") || path.ends_with("/gate-bundle") {
        "?from=2026-12-01"
    } else {
        ""
    }
}

/// A scan of a ticket that is none.
const SCAN: &str = r#""ticket":"00000400000000000000000000000000","gate":"main","device":"north","device_seq":1"#;

/// A body that gets as far as the venue, where the path does not name it.
fn body(method: &Method, path: &str) -> String {
    match (method.as_str(), path) {
        ("POST", "/v1/bookings") => hold(1),
        ("POST", "/v1/admissions") => format!("{{\"venue\":\"{HERE}\",{SCAN}}}"),
        ("POST", "/v1/admissions/batch") => {
            format!("{{\"venue\":\"{HERE}\",\"scans\":[{{{SCAN},\"scanned_at\":\"2026-12-01T10:00:00Z\"}}]}}")
        }
        ("POST", "/v1/admissions/annul") => format!("{{\"venue\":\"{HERE}\",\"device\":\"north\",\"device_seq\":1}}"),
        ("POST", "/v1/venues/{venue}/drawers/{drawer}/open") => r#"{"float":{"amount":0,"currency":"EUR"}}"#.to_owned(),
        ("POST", "/v1/venues/{venue}/drawers/{drawer}/close") => {
            r#"{"counted":{"amount":0,"currency":"EUR"}}"#.to_owned()
        }
        ("POST", "/v1/bookings/{booking}/rebook") => r#"{"slot":"general@2026-12-01T10:15+00:00"}"#.to_owned(),
        ("PUT", "/v1/admin/venues/{venue}/slots/{slot}") => r#"{"capacity":150}"#.to_owned(),
        ("GET" | "DELETE", _) => String::new(),
        _ => "{}".to_owned(),
    }
}

async fn send(house: &House, method: &Method, path: &str, booking: &str, token: Option<&str>) -> Answer {
    let drawn = uuid_like(house);
    let mut headers = vec![
        ("content-type", "application/json"),
        ("idempotency-key", drawn.as_str()),
    ];
    headers.extend(token.map(|token| ("authorization", token)));
    let example = example(path, booking);
    assert!(
        !example.contains('{'),
        "say in `example` what stands for the names in {path}"
    );
    house
        .request(method.as_str(), &example, &headers, body(method, path))
        .await
}

/// A new key for each request.
fn uuid_like(house: &House) -> String {
    key(u32::try_from(house.fake.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).unwrap())
}

async fn booked(house: &House) -> String {
    let held = house.post("/v1/bookings", &key(9_999), &hold(1)).await;
    held.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_route_admits_the_roles_of_its_row_and_nobody_else() {
    let house = House::furnished(staffed()).await;
    let booking = booked(&house).await;
    let mut tried = 0;
    for (method, path, rule) in house.app.rules().iter() {
        for role in Role::ALL {
            let (_, token) = credentials(*role, Bound::Not);
            let token = Some(token.as_str()).filter(|_| *role != Role::Visitor);
            let answer = send(&house, method, path, &booking, token).await;
            let status = answer.status.as_u16();
            let what = format!("{method} {path} as {}: {status}", role.as_str());
            match (rule.may(*role), role) {
                (true, _) => assert!(status != 401 && status != 403, "{what}"),
                (false, Role::Visitor) => assert_eq!((status, answer.code().as_str()), (401, "unauthorized"), "{what}"),
                (false, _) => assert_eq!((status, answer.code().as_str()), (403, "forbidden"), "{what}"),
            }
            tried += 1;
        }
    }
    assert!(tried >= 18 * Role::ALL.len(), "{tried}");
}

#[tokio::test]
async fn a_token_of_another_venue_is_good_only_for_what_everybody_sees() {
    let house = House::furnished(staffed()).await;
    let booking = booked(&house).await;
    for (method, path, rule) in house.app.rules().iter() {
        for role in Role::ALL
            .iter()
            .filter(|role| **role != Role::Visitor && rule.may(**role))
        {
            let (_, token) = credentials(*role, Bound::Venue);
            let status = send(&house, method, path, &booking, Some(&token)).await.status.as_u16();
            let what = format!("{method} {path} as {} of another venue: {status}", role.as_str());
            match rule.scope {
                Scope::Any => assert!(status != 401 && status != 403, "{what}"),
                Scope::Venue | Scope::Network | Scope::Cluster => assert_eq!(status, 403, "{what}"),
            }
        }
    }
}

#[tokio::test]
async fn a_token_of_another_network_is_good_only_for_what_everybody_sees_and_for_its_own() {
    let house = House::furnished(staffed()).await;
    let booking = booked(&house).await;
    for (method, path, rule) in house.app.rules().iter() {
        for role in Role::ALL
            .iter()
            .filter(|role| **role != Role::Visitor && rule.may(**role))
        {
            let (_, token) = credentials(*role, Bound::Network);
            let status = send(&house, method, path, &booking, Some(&token)).await.status.as_u16();
            let what = format!("{method} {path} as {} of another network: {status}", role.as_str());
            match rule.scope {
                // What is the network's own is below.
                Scope::Any | Scope::Network => assert!(status != 401 && status != 403, "{what}"),
                Scope::Venue | Scope::Cluster => assert_eq!(status, 403, "{what}"),
            }
        }
    }
}

/// A network of one venue, beside that of the house.
const ANOTHER: &str = "
network: { id: another, name: Another }
venues:
  - id: porto-light
    name: Light
    city: Porto
    time_zone: Europe/Lisbon
    currency: EUR
    tax_basis_points: 600
    building_capacity: 100
    opening: [{ days: [mon], from: '10:00', to: '12:00' }]
    products:
      - id: general
        name: General admission
        kind: timed
        slot_minutes: 60
        visit_minutes: 60
        capacity_per_slot: 5
        units: [{ id: adult, type: ADULT, price: 1000 }]
";

#[tokio::test]
async fn what_is_about_all_venues_keeps_to_the_tokens_network() {
    let house = House::furnished(staffed()).await;
    let (_, abroad) = credentials(Role::Operator, Bound::Network);
    let ask = async |token: &str, method: &str, path: &str, body: &str| {
        let headers = [("authorization", token), ("content-type", "application/json")];
        house.request(method, path, &headers, body.to_owned()).await
    };
    let put = async |token: &str, file: &str| {
        let headers = [("authorization", token), ("content-type", "application/yaml")];
        house.put("/v1/admin/network", &headers, file.to_owned()).await
    };
    // Another network's file is not its own; its own is.
    assert_eq!(put(&abroad, NETWORK).await.status, 403);
    let imported = put(&abroad, ANOTHER).await;
    assert_eq!(imported.status, 200, "{}", String::from_utf8_lossy(&imported.body));
    let stolen = ANOTHER.replace("porto-light", HERE);
    let before = house.fake.state_hash();
    let refused = put(&abroad, &stolen).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (409, "venue_of_another_network")
    );
    assert_eq!(refused.json()["errors"][0]["pointer"], "/venues/0/id");
    let beside = put(ADMIN, &ANOTHER.replace("id: another", "id: third")).await;
    assert_eq!(beside.code(), "venue_of_another_network");
    assert_eq!(house.fake.state_hash(), before);

    // Events are those of its venues.
    assert_eq!(house.post("/v1/bookings", &key(1), &hold(1)).await.status, 201);
    let events = async |token: &str| {
        let page = ask(token, "GET", "/v1/events", "").await.json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!((events(ADMIN).await, events(&abroad).await), (1, 0));

    // So are tokens.
    let grant = |name: &str, more: &str| format!("{{\"name\":\"{name}\",\"role\":\"gate\"{more}}}");
    let issued = ask(&abroad, "POST", "/v1/admin/tokens", &grant("gate-1", "")).await;
    assert_eq!(
        (issued.status.as_u16(), &issued.json()["network"]),
        (201, &"another".into())
    );
    let other = grant("gate-2", ",\"network\":\"meridian\"");
    assert_eq!(ask(&abroad, "POST", "/v1/admin/tokens", &other).await.status, 403);
    let wrong = grant("gate-2", ",\"venues\":[\"lisbon-tides\"]");
    assert_eq!(ask(&abroad, "POST", "/v1/admin/tokens", &wrong).await.status, 422);
    // With two networks it must be said of which.
    assert_eq!(
        ask(ADMIN, "POST", "/v1/admin/tokens", &grant("gate-2", ""))
            .await
            .status,
        422
    );
    assert_eq!(ask(ADMIN, "POST", "/v1/admin/tokens", &other).await.status, 201);
    let listed = async |token: &str| {
        let list = ask(token, "GET", "/v1/admin/tokens", "").await.json();
        list["tokens"].as_array().unwrap().len()
    };
    assert_eq!((listed(ADMIN).await, listed(&abroad).await), (2, 1));
    assert_eq!(ask(&abroad, "DELETE", "/v1/admin/tokens/gate-2", "").await.status, 403);
    for _ in 0..2 {
        // Whoever had no answer asks again.
        let revoked = ask(&abroad, "DELETE", "/v1/admin/tokens/gate-1", "").await;
        assert_eq!(
            (revoked.status.as_u16(), &revoked.json()["network"]),
            (200, &"another".into())
        );
    }
    // An operator of all networks is made by one.
    let boss = r#"{"name":"boss-2","role":"operator"}"#;
    let (of_network, of_all) = (
        ask(&abroad, "POST", "/v1/admin/tokens", boss).await.json(),
        ask(ADMIN, "POST", "/v1/admin/tokens", &boss.replace("boss-2", "boss-3"))
            .await
            .json(),
    );
    assert_eq!(
        (&of_network["network"], &of_all["network"]),
        (&"another".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn every_row_has_a_route() {
    let house = House::empty(config());
    for row in MATRIX {
        assert!(house.app.rules().iter().any(|(_, _, rule)| rule == row), "{}", row.name);
    }
}

/// By hand: a slip in the matrix is not found by tests that go by it.
#[tokio::test]
async fn what_the_matrix_must_say() {
    let house = House::empty(config());
    let row = |wanted: &str| -> Rule {
        let mut rows = house.app.rules().iter();
        let found = rows.find(|(method, path, _)| format!("{method} {path}") == wanted);
        *found.unwrap_or_else(|| panic!("no route {wanted}")).2
    };
    for wanted in [
        "PUT /v1/admin/network",
        "GET /v1/admin/cluster",
        "POST /v1/admin/tokens",
        "GET /v1/admin/tokens",
        "DELETE /v1/admin/tokens/{name}",
        "GET /v1/admin/limits",
        "PUT /v1/admin/limits",
        "DELETE /v1/admin/limits",
        "POST /v1/admin/cluster/version",
        "POST /v1/admin/nodes/{node}/drain",
        "DELETE /v1/admin/nodes/{node}/drain",
    ] {
        assert_eq!(row(wanted).roles(), "operator", "{wanted}");
    }
    assert!(!row("POST /v1/bookings").may(Role::Gate));
    for buyer in [Role::Visitor, Role::Kiosk, Role::Counter, Role::Reseller] {
        for wanted in [
            "POST /v1/bookings",
            "POST /v1/bookings/{booking}/confirm",
            "GET /v1/venues",
        ] {
            assert!(row(wanted).may(buyer), "{wanted} as {}", buyer.as_str());
        }
        assert!(!row("PUT /v1/admin/venues/{venue}/slots/{slot}").may(buyer));
        assert!(!row("GET /v1/venues/{venue}/audit").may(buyer));
    }
}

#[tokio::test]
async fn head_is_held_against_the_row_of_get() {
    let house = House::furnished(staffed()).await;
    let head = async |token: &str| {
        let headers = [("authorization", token)];
        let answer = house.request("HEAD", "/v1/admin/tokens", &headers, String::new()).await;
        answer.status.as_u16()
    };
    assert_eq!((head("Bearer gate-secret").await, head(ADMIN).await), (403, 200));
}

#[tokio::test]
async fn a_revoked_token_is_unknown_on_every_router() {
    let house = House::furnished(config()).await;
    let neighbour = Door::new(&config(), house.fake.clone(), Arc::new(CountingDraw::default())).unwrap();
    let neighbour = House {
        fake: house.fake.clone(),
        app: api::app(neighbour.clone()),
        door: neighbour,
    };
    let admin = [("authorization", ADMIN), ("content-type", "application/json")];
    let grant = r#"{"name":"gate-1","role":"gate"}"#.to_owned();
    let issued = house.request("POST", "/v1/admin/tokens", &admin, grant).await;
    assert_eq!(issued.status, 201);
    let secret = issued.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("rt_") && secret.len() >= 3 + 32, "at least 128 bits");
    let header = format!("Bearer {secret}");
    let looks = async |house: &House| {
        let headers = [("authorization", header.as_str())];
        let answer = house.request("GET", "/v1/venues", &headers, String::new()).await;
        answer.status.as_u16()
    };
    assert_eq!((looks(&house).await, looks(&neighbour).await), (200, 200));
    let revoked = house
        .request("DELETE", "/v1/admin/tokens/gate-1", &admin, String::new())
        .await;
    assert_eq!(revoked.status, 200);
    assert_eq!((looks(&house).await, looks(&neighbour).await), (401, 401));
    let list = neighbour
        .request("GET", "/v1/admin/tokens", &admin, String::new())
        .await;
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(text.contains("gate-1") && !text.contains(&secret), "{text}");
}

#[tokio::test]
async fn an_issued_token_does_not_share_the_keys_of_a_configured_one_of_its_name() {
    let house = House::furnished(config()).await;
    // Another router, whose settings know nothing of `shop`, issues one.
    let mut settings = config();
    settings.token.clear();
    let neighbour = Door::new(&settings, house.fake.clone(), Arc::new(CountingDraw::default())).unwrap();
    let neighbour = House {
        fake: house.fake.clone(),
        app: api::app(neighbour.clone()),
        door: neighbour,
    };
    let admin = [("authorization", ADMIN), ("content-type", "application/json")];
    let grant = r#"{"name":"shop","role":"counter"}"#.to_owned();
    let here = house.request("POST", "/v1/admin/tokens", &admin, grant.clone()).await;
    assert_eq!((here.status.as_u16(), here.code().as_str()), (409, "token_name_taken"));
    let issued = neighbour.request("POST", "/v1/admin/tokens", &admin, grant).await;
    let secret = issued.json()["secret"].as_str().unwrap().to_owned();
    let book = async |secret: &str| {
        let authorization = format!("Bearer {secret}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "order-1"),
        ];
        let booked = house.request("POST", "/v1/bookings", &headers, hold(1)).await;
        booked.json()["id"].as_str().unwrap().to_owned()
    };
    assert_ne!(book("shop-secret").await, book(&secret).await);
    assert_eq!(book(&secret).await, book(&secret).await);
}
