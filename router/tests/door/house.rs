//! A door over the fake cluster, and a client that speaks to it without a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use rotunda_booking::claim::Claim;
use rotunda_booking::ticket_key::public_key;
use rotunda_booking::time::Timestamp;
use rotunda_router::api::{self, App};
use rotunda_router::auth::{RoleName, TokenSetting};
use rotunda_router::claim_keys::{ClaimKeySetting, PublicKey};
use rotunda_router::config::{Config, Span};
use rotunda_router::server::Door;
use tower::ServiceExt;

use crate::fake::{CountingDraw, Fake};

pub(crate) const NETWORK: &str = include_str!("../../../deploy/config/meridian.yaml");
pub(crate) const ADMIN: &str = "Bearer open-sesame";
/// A manager of all venues.
pub(crate) const BOSS: &str = "Bearer boss-secret";

/// The private key of whoever keeps the members.
const MEMBERS: [u8; 32] = [7; 32];

/// Settings of most tests: an admin token, a named token, no limits that a test could meet by accident.
pub(crate) fn config() -> Config {
    Config {
        admin_token: vec!["open-sesame".to_owned()],
        token: vec![
            TokenSetting {
                name: "shop".to_owned(),
                secret: Some("shop-secret".to_owned()),
                sha256: None,
                admin: false,
                role: None,
                network: None,
                venues: Vec::new(),
            },
            TokenSetting {
                name: "boss".to_owned(),
                secret: Some("boss-secret".to_owned()),
                sha256: None,
                admin: false,
                role: Some(RoleName::Manager),
                network: None,
                venues: Vec::new(),
            },
        ],
        claim_key: vec![ClaimKeySetting {
            name: "members".to_owned(),
            public: PublicKey(public_key(&MEMBERS)),
        }],
        request_deadline: Span(Duration::from_secs(5)),
        ..Config::default()
    }
}

pub(crate) struct House {
    pub(crate) fake: Arc<Fake>,
    pub(crate) door: Arc<Door>,
    pub(crate) app: App,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl House {
    pub(crate) fn empty(config: Config) -> Self {
        let fake = Fake::empty();
        let door = Door::new(&config, fake.clone(), Arc::new(CountingDraw::default())).unwrap();
        let app = api::app(door.clone());
        Self { fake, door, app }
    }

    /// With the Meridian network in place.
    pub(crate) async fn furnished(config: Config) -> Self {
        let house = Self::empty(config);
        let answer = house
            .put("/v1/admin/network", &[("authorization", ADMIN)], NETWORK.to_owned())
            .await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        house
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from("127.0.0.1:40000", request).await
    }

    pub(crate) async fn send_from(&self, peer: &str, mut request: Request<Body>) -> Answer {
        request
            .extensions_mut()
            .insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        self.send(request(method, path, headers, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &str) -> Answer {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        self.request("POST", path, &headers, body.to_owned()).await
    }

    pub(crate) async fn put(&self, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        self.request("PUT", path, headers, body).await
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(if body.is_empty() {
            Body::empty()
        } else {
            Body::from(body)
        })
        .unwrap()
}

/// A hold of so many adults.
pub(crate) fn hold(quantity: u32) -> String {
    format!(
        r#"{{"venue":"lisbon-tides","lines":[{{"slot":"general@2026-12-01T10:00+00:00","unit":"adult","quantity":{quantity}}}]}}"#
    )
}

/// A claim of membership that ends then.
pub(crate) fn claim(until: &str) -> String {
    let claim = Claim {
        until: Timestamp::parse_rfc3339(until).unwrap(),
        kind: "membership".to_owned(),
        holder: "4711".to_owned(),
    };
    claim.sign(&MEMBERS)
}

/// A key as a client draws it.
pub(crate) fn key(n: u32) -> String {
    format!("0b6b0c1e-1111-4222-8333-{n:012}")
}
