//! The router's HTTP door as this command uses it: catalogue in, availability out, one booking to see that it works.
//!
//! Answers are read leniently (`serde_json::Value` where the command only passes them on), so that an older command
//! still shows what a newer router says.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::args::DoorArguments;
use crate::failure::Failure;

/// An import plans ninety days of slots for every venue before it answers. Longer than the router's own deadline of two
/// minutes: it knows how far it came.
const IMPORT_DEADLINE: Duration = Duration::from_secs(130);
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Between two attempts under one key.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

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
        if url.scheme() != "http" {
            return Err(Failure::usage(format!("`{base}` does not begin with http://")).next(NAME_A_ROUTER));
        }
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

    /// Issues a token; the answer has its secret.
    pub(crate) async fn create_token(&self, grant: String) -> Result<Value, DoorError> {
        let request = self.request(Method::POST, "/v1/admin/tokens");
        answer(request.header("content-type", "application/json").body(grant)).await
    }

    /// All tokens of the cluster.
    pub(crate) async fn tokens(&self) -> Result<Value, DoorError> {
        answer(self.request(Method::GET, "/v1/admin/tokens")).await
    }

    /// Takes a token back.
    pub(crate) async fn revoke_token(&self, name: &str) -> Result<Value, DoorError> {
        // A name with other characters is no token's, and must not become another path.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(DoorError::Refused(Box::new(Problem {
                title: "No such token".to_owned(),
                status: 404,
                detail: format!("`{name}` cannot be the name of a token"),
                code: "unknown_token".to_owned(),
                errors: Vec::new(),
            })));
        }
        answer(self.request(Method::DELETE, &format!("/v1/admin/tokens/{name}"))).await
    }

    /// Has a node give its leaderships away; answers with how many it has left.
    pub(crate) async fn drain_node(&self, node: u32) -> Result<Value, DoorError> {
        answer(self.request(Method::POST, &format!("/v1/admin/nodes/{node}/drain"))).await
    }

    /// Lets a node lead again.
    pub(crate) async fn resume_node(&self, node: u32) -> Result<Value, DoorError> {
        answer(self.request(Method::DELETE, &format!("/v1/admin/nodes/{node}/drain"))).await
    }

    /// Raises the cluster's version.
    pub(crate) async fn finalize_version(&self, version: String) -> Result<Value, DoorError> {
        let request = self.request(Method::POST, "/v1/admin/cluster/version");
        answer(request.header("content-type", "application/json").body(version)).await
    }

    /// The quotas in force at this router.
    pub(crate) async fn limits(&self) -> Result<Value, DoorError> {
        answer(self.request(Method::GET, "/v1/admin/limits")).await
    }

    /// Sets all quotas of the cluster. To repeat it changes nothing.
    pub(crate) async fn set_limits(&self, limits: String) -> Result<Value, DoorError> {
        let request = self.request(Method::PUT, "/v1/admin/limits");
        answer(request.header("content-type", "application/json").body(limits)).await
    }

    /// Takes all quotas of the cluster back.
    pub(crate) async fn reset_limits(&self) -> Result<Value, DoorError> {
        answer(self.request(Method::DELETE, "/v1/admin/limits")).await
    }

    pub(crate) async fn venues(&self) -> Result<Vec<VenueSummary>, DoorError> {
        #[derive(Deserialize)]
        struct Venues {
            data: Vec<VenueSummary>,
            #[serde(default)]
            next_cursor: String,
        }
        let mut venues = Vec::new();
        let mut path = "/v1/venues?limit=200".to_owned();
        loop {
            let page: Venues = answer(self.request(Method::GET, &path)).await?;
            venues.extend(page.data);
            if page.next_cursor.is_empty() {
                return Ok(venues);
            }
            path = format!("/v1/venues?limit=200&cursor={}", page.next_cursor);
        }
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

    /// A page of a venue's ledger, from after a line, at most a thousand. Asked again while the cluster cannot answer.
    pub(crate) async fn ledger<T: DeserializeOwned>(&self, venue: &str, after: u64) -> Result<T, DoorError> {
        let path = format!("/v1/venues/{venue}/ledger?limit=1000&after={after}");
        let give_up = Instant::now() + REQUEST_DEADLINE;
        loop {
            match answer(self.request(Method::GET, &path)).await {
                Err(error) if error.passing() && Instant::now() < give_up => tokio::time::sleep(RETRY_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    /// Holds places; gives the booking's id.
    pub(crate) async fn hold(&self, body: String) -> Result<String, DoorError> {
        #[derive(Deserialize)]
        struct Booking {
            id: String,
        }
        let booking: Booking = self.post("/v1/bookings", body).await?;
        Ok(booking.id)
    }

    /// Gives a hold back.
    pub(crate) async fn release(&self, booking: &str) -> Result<(), DoorError> {
        let path = format!("/v1/bookings/{booking}/release");
        let _: Value = self.post(&path, "{}".to_owned()).await?;
        Ok(())
    }

    /// Sends a request that takes effect once, as often as it takes to learn what came of it: the key stays the same.
    async fn post<T: DeserializeOwned>(&self, path: &str, body: String) -> Result<T, DoorError> {
        let key = uuid::Uuid::new_v4().to_string();
        let give_up = Instant::now() + REQUEST_DEADLINE;
        loop {
            let request = self
                .request(Method::POST, path)
                .header("idempotency-key", &key)
                .header("content-type", "application/json")
                .body(body.clone());
            match answer(request).await {
                Err(error) if error.passing() && Instant::now() < give_up => tokio::time::sleep(RETRY_PAUSE).await,
                outcome => return outcome,
            }
        }
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
            404 if self.code == "unknown_node" => failure.next("rotunda status"),
            404 if self.code == "unknown_token" => failure.next("rotunda token list"),
            404 if self.code == "unknown_venue" => {
                failure.next("name a venue of the catalogue; GET /v1/venues lists them")
            }
            401 | 403 => {
                failure.next("give a token that may, as the router's admin token: --token TOKEN, or ROTUNDA_TOKEN")
            }
            404 => failure.next("rotunda --version, and upgrade the router: it does not know this route"),
            422 | 400 => failure.next("mend what is listed and run the same command again; nothing was changed"),
            409 if self.code == "nodes_behind" => {
                failure.next("rotunda cluster version: upgrade the nodes that are behind, then the same command again")
            }
            409 => failure.next("mend what is listed and run the same command again; what is not listed is in place"),
            429 | 502..=504 => failure.next("run the same command again in a moment; it is safe to repeat"),
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
    fn an_address_without_its_scheme_is_wrong_usage() {
        for wrong in ["localhost:8080", "127.0.0.1:8080", "https://rotunda.example"] {
            let failure = Door::new(wrong, None).expect_err(wrong);
            let text = format!("{failure:?}");
            assert!(text.contains("code: 2") && text.contains("http://HOST:PORT"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_request_whose_answer_is_lost_is_repeated_under_its_key() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Door::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let router = async {
            let mut keys = Vec::new();
            for answer in ["504 Gateway Timeout", "201 Created"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = String::new();
                while !request.ends_with("{}") {
                    let mut bytes = [0; 1024];
                    let read = stream.read(&mut bytes).await.unwrap();
                    request.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                }
                let key = request.lines().find(|line| line.starts_with("idempotency-key: "));
                keys.push(key.unwrap().to_owned());
                let answer =
                    format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{{\"id\":\"b\"}}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            keys
        };
        let (booking, keys) = tokio::join!(door.hold("{}".to_owned()), router);
        assert_eq!(booking.unwrap(), "b");
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        assert!(is_loopback("127.0.0.1") && is_loopback("localhost") && is_loopback("[::1]"));
        assert!(!is_loopback("rotunda.example"));
    }
}
