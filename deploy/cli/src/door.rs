//! The router's HTTP door as this command uses it: catalogue in, availability out, one booking to see that it works.
//!
//! Answers are read leniently (`serde_json::Value` where the command only passes them on), so that an older command
//! still shows what a newer router says.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::DoorArguments;
use crate::failure::Failure;

/// An import plans ninety days of slots for every venue before it answers.
const IMPORT_DEADLINE: Duration = Duration::from_secs(120);
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// One router.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

/// Why a request did not do what it should.
#[derive(Debug)]
pub(crate) enum DoorError {
    /// No answer.
    Unreachable(String),
    /// An answer, and it is no.
    Refused(Box<Problem>),
    /// An answer that makes no sense.
    Nonsense(String),
}

/// `application/problem+json` as the router writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) title: String,
    pub(crate) status: u16,
    pub(crate) detail: String,
    pub(crate) code: String,
    pub(crate) errors: Vec<PlacedProblem>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PlacedProblem {
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

/// A venue in the list of venues.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct VenueSummary {
    pub(crate) id: String,
}

/// A product as far as a first booking needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) min_units_per_booking: Option<u32>,
    #[serde(default)]
    pub(crate) units: Vec<Unit>,
}

/// A ticket type as far as a first booking needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Unit {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) pax: Option<u32>,
    #[serde(default)]
    pub(crate) accompanied_by: Vec<String>,
}

/// A slot as far as a first booking needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Slot {
    pub(crate) id: String,
    pub(crate) starts_at: String,
    pub(crate) status: String,
    pub(crate) vacancies: u32,
}

impl Door {
    /// A client of the router at `base`.
    ///
    /// # Errors
    /// Where `base` is not an address.
    pub(crate) fn new(base: &str, token: Option<String>) -> Result<Self, Failure> {
        let base = base.trim_end_matches('/').to_owned();
        let url = reqwest::Url::parse(&base)
            .map_err(|error| Failure::usage(format!("`{base}` is not an address: {error}")).next(NAME_A_ROUTER))?;
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_DEADLINE);
        if url.host_str().is_some_and(is_loopback) {
            // A proxy set up for the outside world knows nothing of this machine's own ports.
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Failure::failed(format!("no HTTP client: {error}")))?;
        Ok(Door { base, token, http })
    }

    /// A client of the router that the command line names.
    ///
    /// # Errors
    /// Where the address is none.
    pub(crate) fn from_arguments(arguments: &DoorArguments) -> Result<Self, Failure> {
        Door::new(&arguments.router, arguments.token.clone())
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends the whole catalogue. The router validates all of it before it changes anything.
    pub(crate) async fn import(&self, catalogue: Vec<u8>) -> Result<Value, DoorError> {
        let media = if catalogue.trim_ascii_start().starts_with(b"{") {
            "application/json"
        } else {
            "application/yaml"
        };
        let request = self
            .request(Method::PUT, "/v1/admin/network")
            .timeout(IMPORT_DEADLINE)
            .header("content-type", media)
            .body(catalogue);
        answer(request).await
    }

    /// Nodes, shards and routers, as `rotunda status --output json` prints them.
    pub(crate) async fn cluster(&self) -> Result<Value, DoorError> {
        answer(self.request(Method::GET, "/v1/admin/cluster")).await
    }

    pub(crate) async fn venues(&self) -> Result<Vec<VenueSummary>, DoorError> {
        #[derive(Deserialize)]
        struct Venues {
            data: Vec<VenueSummary>,
        }
        let found: Venues = answer(self.request(Method::GET, "/v1/venues?limit=200")).await?;
        Ok(found.data)
    }

    pub(crate) async fn products(&self, venue: &str) -> Result<Vec<Product>, DoorError> {
        #[derive(Deserialize)]
        struct Products {
            products: Vec<Product>,
        }
        let found: Products = answer(self.request(Method::GET, &format!("/v1/venues/{venue}/products"))).await?;
        Ok(found.products)
    }

    /// Slots of `product` on the service days `from..=to`, as `2027-01-15`.
    pub(crate) async fn availability(
        &self,
        venue: &str,
        product: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<Slot>, DoorError> {
        #[derive(Deserialize)]
        struct Availability {
            slots: Vec<Slot>,
        }
        let path = format!("/v1/venues/{venue}/availability?product={product}&from={from}&to={to}");
        let found: Availability = answer(self.request(Method::GET, &path)).await?;
        Ok(found.slots)
    }

    /// Holds places; gives the booking's id.
    pub(crate) async fn hold(&self, body: String) -> Result<String, DoorError> {
        #[derive(Deserialize)]
        struct Booking {
            id: String,
        }
        let booking: Booking = answer(
            self.keyed("/v1/bookings")
                .header("content-type", "application/json")
                .body(body),
        )
        .await?;
        Ok(booking.id)
    }

    /// Gives a hold back.
    pub(crate) async fn release(&self, booking: &str) -> Result<(), DoorError> {
        let _: Value = answer(self.keyed(&format!("/v1/bookings/{booking}/release")).json(&json!({}))).await?;
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(REQUEST_DEADLINE);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn keyed(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
    }
}

const NAME_A_ROUTER: &str = "name the router: --router http://HOST:PORT, or ROTUNDA_ROUTER";

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, DoorError> {
    let response = request
        .send()
        .await
        .map_err(|error| DoorError::Unreachable(chain(&error)))?;
    let status = response.status();
    let body = response
        .bytes()
        .await
        .map_err(|error| DoorError::Unreachable(chain(&error)))?;
    if !status.is_success() {
        return Err(refusal(status, &body));
    }
    serde_json::from_slice(&body).map_err(|error| DoorError::Nonsense(format!("HTTP {status}: {error}")))
}

fn refusal(status: StatusCode, body: &[u8]) -> DoorError {
    let mut problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    problem.status = status.as_u16();
    if problem.title.is_empty() {
        problem.title = status.canonical_reason().unwrap_or("refused").to_owned();
    }
    DoorError::Refused(Box::new(problem))
}

/// An error with its causes: reqwest keeps "connection refused" two levels down.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl DoorError {
    /// True where the same request may work later.
    pub(crate) fn passing(&self) -> bool {
        match self {
            DoorError::Unreachable(_) => true,
            DoorError::Refused(problem) => matches!(problem.status, 429 | 502..=504),
            DoorError::Nonsense(_) => false,
        }
    }

    /// For the caller of the command.
    pub(crate) fn into_failure(self, door: &Door, what: &str) -> Failure {
        match self {
            DoorError::Unreachable(detail) => Failure::unreachable(format!("{what}: no answer from {}", door.base()))
                .detail(detail)
                .next(NAME_A_ROUTER),
            DoorError::Nonsense(detail) => Failure::failed(format!("{what}: {} gave a strange answer", door.base()))
                .detail(detail)
                .next("check that the address is a Rotunda router's public door, not its admin port"),
            DoorError::Refused(problem) => problem.into_failure(what),
        }
    }
}

impl Problem {
    fn into_failure(self, what: &str) -> Failure {
        let code = if self.code.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.code)
        };
        let mut failure = Failure::failed(format!("{what}: {} {}{code}", self.status, self.title));
        if !self.detail.is_empty() {
            failure = failure.detail(self.detail);
        }
        for placed in self.errors {
            failure = failure.detail(format!("{}: {}", placed.pointer, placed.detail));
        }
        match self.status {
            401 | 403 => failure.next("give the router's admin token: --token TOKEN, or ROTUNDA_TOKEN"),
            404 => failure.next("rotunda --version, and upgrade the router: it does not know this route"),
            422 | 400 => failure.next("mend what is listed and run the same command again; nothing was changed"),
            429 | 503 => failure.next("run the same command again in a moment; it is safe to repeat"),
            _ => failure.next("rotunda status"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_refusal_shows_every_problem_with_its_place() {
        let body = br#"{"title":"Unprocessable","status":422,"code":"invalid_catalogue","detail":"2 problems",
            "errors":[{"pointer":"/venues/3/products/0/price","detail":"is negative"},{"pointer":"/venues/4","detail":"unknown zone"}]}"#;
        let door = Door::new("http://127.0.0.1:1/", None).unwrap();
        let failure = refusal(StatusCode::UNPROCESSABLE_ENTITY, body).into_failure(&door, "import");
        let text = format!("{failure:?}");
        assert!(text.contains("/venues/3/products/0/price: is negative"), "{text}");
        assert!(text.contains("/venues/4: unknown zone"), "{text}");
        assert!(text.contains("nothing was changed"), "{text}");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_still_says_its_status() {
        let DoorError::Refused(problem) = refusal(StatusCode::BAD_GATEWAY, b"<html>") else {
            panic!("a refusal")
        };
        assert_eq!((problem.status, problem.title.as_str()), (502, "Bad Gateway"));
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        assert!(is_loopback("127.0.0.1") && is_loopback("localhost") && is_loopback("[::1]"));
        assert!(!is_loopback("rotunda.example"));
    }
}
