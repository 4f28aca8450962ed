//! A visitor's HTTP: one request, or the same request again and again under one key until its fate is known.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use crate::balancer::Balancer;
use crate::cluster;

/// Longer than a request's deadline in the router, so that it is the router who gives up first.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a visitor keeps asking after a fate. A cluster that heals answers long before.
const PERSISTENCE: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(30);

/// What a visitor asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// `/v1/bookings`.
    pub path: String,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// JSON body.
    pub body: Option<Value>,
}

impl Request {
    /// A GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Request {
            method: Method::GET,
            path: path.into(),
            key: None,
            body: None,
        }
    }

    /// The booking in the path `/v1/bookings/{booking}/...`.
    #[must_use]
    pub fn booking(&self) -> Option<String> {
        self.path
            .strip_prefix("/v1/bookings/")?
            .split('/')
            .next()
            .map(str::to_owned)
    }

    /// A POST under a fresh key.
    #[must_use]
    pub fn post(path: impl Into<String>, body: Option<Value>) -> Self {
        Request {
            method: Method::POST,
            path: path.into(),
            key: Some(uuid::Uuid::new_v4().to_string()),
            body,
        }
    }
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Rotunda-Commit`: shard and index.
    pub commit: Option<(u64, u64)>,
    /// `Idempotency-Replayed: true`.
    pub replayed: bool,
    /// As it was sent.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `code` of a problem; empty where there is none.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// True for 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// True where the same request, under the same key, should be sent again.
    fn passing(&self) -> bool {
        matches!(self.status, 429 | 500 | 502..=504)
    }
}

/// What became of a request that was repeated until its fate was known.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The definite answer.
    Answered(Answer),
    /// None before the visitor gave up. It may have taken effect.
    Unknown,
}

/// A request with all its attempts.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What became of it.
    pub fate: Fate,
    /// Times it was sent.
    pub attempts: u32,
    /// When it was first sent.
    pub invoked: Instant,
    /// When its fate was known.
    pub returned: Instant,
}

impl Settled {
    /// The definite answer, if there was one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.fate {
            Fate::Answered(answer) => Some(answer),
            Fate::Unknown => None,
        }
    }
}

/// Where a visitor's requests go.
#[derive(Clone, Debug)]
enum Doors {
    One(String),
    Several(Balancer),
}

impl Doors {
    /// That of the next request.
    fn next(&self) -> String {
        match self {
            Doors::One(door) => door.clone(),
            Doors::Several(balancer) => balancer.door(),
        }
    }
}

/// One visitor, with connections of its own.
#[derive(Clone, Debug)]
pub struct Visitor {
    http: reqwest::Client,
    door: Doors,
    /// `X-Forwarded-For`, believed where the router trusts us as a proxy.
    address: Option<String>,
    /// Of somebody of the staff.
    token: Option<String>,
}

impl Visitor {
    /// A visitor at `door`.
    #[must_use]
    pub fn new(door: &str) -> Self {
        Visitor {
            http: cluster::http(),
            door: Doors::One(door.to_owned()),
            address: None,
            token: None,
        }
    }

    /// A visitor at the doors behind a balancer, which hears of each request that fails.
    #[must_use]
    pub fn behind(balancer: &Balancer) -> Self {
        Visitor {
            http: cluster::http(),
            door: Doors::Several(balancer.clone()),
            address: None,
            token: None,
        }
    }

    /// Somebody of the staff.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Visitor {
            token: Some(token.into()),
            ..self.clone()
        }
    }

    /// The same person at another address.
    #[must_use]
    pub fn from_address(&self, address: impl Into<String>) -> Self {
        Visitor {
            address: Some(address.into()),
            ..self.clone()
        }
    }

    /// The same person with new connections, as after a change of network.
    #[must_use]
    pub fn reconnected(&self) -> Self {
        Visitor {
            http: cluster::http(),
            ..self.clone()
        }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// Where no answer came; the text says why.
    pub async fn send(&self, request: &Request) -> Result<Answer, String> {
        let door = self.door.next();
        let sent = self.send_to(&door, request).await;
        if let Doors::Several(balancer) = &self.door {
            match &sent {
                Err(error) => balancer.failed(|| format!("{} {} at {door}: {error}", request.method, request.path)),
                Ok(answer) if answer.passing() => balancer.failed(|| {
                    let body = String::from_utf8_lossy(&answer.body);
                    format!(
                        "{} {} at {door}: {} {body}",
                        request.method, request.path, answer.status
                    )
                }),
                Ok(_) => {}
            }
        }
        sent
    }

    async fn send_to(&self, door: &str, request: &Request) -> Result<Answer, String> {
        let mut builder = self
            .http
            .request(request.method.clone(), format!("{door}{}", request.path))
            .timeout(ANSWER);
        if let Some(key) = &request.key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(address) = &self.address {
            builder = builder.header("x-forwarded-for", address);
        }
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(|error| format!("{error:?}"))?;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let commit = header("rotunda-commit").and_then(|token| {
            let (shard, index) = token.split_once(':')?;
            Some((shard.parse().ok()?, index.parse().ok()?))
        });
        let replayed = header("idempotency-replayed").as_deref() == Some("true");
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| format!("{error:?}"))?;
        Ok(Answer {
            status,
            commit,
            replayed,
            body,
        })
    }

    /// Sends a request under its key until the answer is definite: no answer, 429 and 5xx are not.
    pub async fn settle(&self, request: &Request) -> Settled {
        let invoked = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Ok(answer) = self.send(request).await
                && !answer.passing()
            {
                return Settled {
                    fate: Fate::Answered(answer),
                    attempts,
                    invoked,
                    returned: Instant::now(),
                };
            }
            if invoked.elapsed() > PERSISTENCE {
                return Settled {
                    fate: Fate::Unknown,
                    attempts,
                    invoked,
                    returned: Instant::now(),
                };
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
