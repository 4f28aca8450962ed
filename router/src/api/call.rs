//! What every handler needs: who calls, until when, with what headers; and the two ways to the cluster, with its errors
//! turned into problems that say what the caller can do.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use rotunda_booking::command::{Actor, Command};
use rotunda_booking::ids::{BookingId, TicketId, VenueNo};
use rotunda_booking::outcome::{Outcome, RefusalCode};
use rotunda_booking::query::Query;
use rotunda_protocol::error::ClientError;
use rotunda_protocol::shard_map::{ShardMap, VenueInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::access::Rule;
use crate::api::error::{Code, Problem};
use crate::auth::{self, Caller};
use crate::backend::{Answered, Submitted};
use crate::catalogue_cache::Known;
use crate::metrics::ShedReason;
use crate::rate_limit;
use crate::server::Door;
use crate::stack::Admitted;

/// The commit token: `<shard>:<index>`, several separated by commas.
pub(crate) const COMMIT: HeaderName = HeaderName::from_static("rotunda-commit");

/// `true` where the answer was stored under the caller's key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What the log made of a command; a refusal is a problem instead.
pub(crate) struct Decided {
    pub(crate) outcome: Outcome,
    pub(crate) replayed: bool,
    shard: u64,
    index: u64,
}

impl Decided {
    /// The answer, with where it stands in the log.
    pub(crate) fn answer(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(COMMIT, commit(self.shard, self.index));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }

    /// The outcome is of a kind that this command cannot have.
    pub(crate) fn misfit(&self) -> Problem {
        misfit(&self.outcome)
    }
}

/// The cluster answered a command with an outcome of another kind.
pub(crate) fn misfit(outcome: &Outcome) -> Problem {
    tracing::error!(?outcome, "a command came back with an outcome of another kind");
    Problem::new(Code::Internal, "The cluster answered with something else.")
}

/// One request, seen from its handler.
pub(crate) struct Call {
    pub(crate) door: Arc<Door>,
    pub(crate) caller: Caller,
    /// The route's row of the matrix.
    rule: Rule,
    pub(crate) deadline: Instant,
    pub(crate) headers: HeaderMap,
    query: String,
}

impl FromRequestParts<Arc<Door>> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Problem> {
        let admitted = parts.extensions.remove::<Admitted>();
        let Some((admitted, rule)) = admitted.and_then(|admitted| admitted.rule.map(|rule| (admitted, rule))) else {
            return Err(Problem::new(
                Code::Internal,
                "The request came past the layers that name its caller and what they may.",
            ));
        };
        // Nothing that comes after this looks at the headers there.
        let headers = std::mem::take(&mut parts.headers);
        Ok(Self::new(door.clone(), admitted, rule, headers, &parts.uri))
    }
}

impl Call {
    pub(crate) fn new(door: Arc<Door>, admitted: Admitted, rule: Rule, headers: HeaderMap, uri: &Uri) -> Self {
        let Admitted { caller, deadline, .. } = admitted;
        Self {
            door,
            caller,
            rule,
            deadline,
            headers,
            query: uri.query().unwrap_or_default().to_owned(),
        }
    }

    /// The query's parameters by name. Each may be there once, and no others: a misspelt `form=` must not answer as if
    /// nothing had been asked for.
    pub(crate) fn parameters<const N: usize>(&self, names: [&'static str; N]) -> Result<[Option<String>; N], Problem> {
        let mut values = [const { None }; N];
        let uri = http::Uri::builder()
            .path_and_query(format!("/?{}", self.query))
            .build()
            .ok();
        let pairs = uri.and_then(|uri| axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
        let Some(axum::extract::Query(pairs)) = pairs else {
            return Err(Problem::new(
                Code::InvalidParameter,
                "The query cannot be read; is it percent-encoded UTF-8?",
            ));
        };
        for (name, value) in pairs {
            let Some(n) = names.iter().position(|known| *known == name) else {
                let known = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                };
                return Err(parameter(
                    &name,
                    format!("there is no such parameter; there are: {known}"),
                ));
            };
            if values[n].replace(value).is_some() {
                return Err(parameter(&name, "the parameter is there twice"));
            }
        }
        Ok(values)
    }

    /// The shard map, where one has arrived.
    pub(crate) fn map(&self) -> Result<Arc<ShardMap>, Problem> {
        let map = self.door.backend.map();
        if map.version() == 0 {
            return Err(unavailable("This router has not heard from the cluster yet."));
        }
        Ok(map)
    }

    /// The venue of this id.
    pub(crate) fn venue(&self, slug: &str, pointer: &str) -> Result<VenueInfo, Problem> {
        self.map()?
            .venue(slug)
            .cloned()
            .ok_or_else(|| unknown_venue(slug, pointer))
    }

    /// The booking that a path names, and its venue.
    pub(crate) fn booking(&self, text: &str) -> Result<(BookingId, VenueInfo), Problem> {
        let unknown = |detail: String| Problem::new(Code::UnknownBooking, detail).issue("{booking}", "no such booking");
        let id: BookingId = text
            .parse()
            .map_err(|error| unknown(format!("That is no booking's id: {error}.")))?;
        let venue = self.map()?.venue_no(id.venue).cloned();
        Ok((
            id,
            venue.ok_or_else(|| unknown("There is no booking with this id.".to_owned()))?,
        ))
    }

    /// The ticket that a path names, and its venue.
    pub(crate) fn ticket(&self, text: &str) -> Result<(TicketId, VenueInfo), Problem> {
        let unknown = |detail: String| Problem::new(Code::UnknownTicket, detail).issue("{ticket}", "no such ticket");
        let id: TicketId = text
            .parse()
            .map_err(|error| unknown(format!("That is no ticket's id: {error}.")))?;
        let venue = self.map()?.venue_no(id.venue).cloned();
        Ok((
            id,
            venue.ok_or_else(|| unknown("There is no ticket with this id.".to_owned()))?,
        ))
    }

    /// The log index of `shard` that the caller has seen and wants to see again.
    pub(crate) fn at_least(&self, shard: u64) -> Result<Option<u64>, Problem> {
        let mut index = None;
        for value in self.headers.get_all(COMMIT) {
            // A list may have empty members (RFC 9110, 5.6.1).
            let tokens = value.as_bytes().split(|&byte| byte == b',');
            for token in tokens.filter(|token| !token.trim_ascii().is_empty()) {
                let token = std::str::from_utf8(token).ok().and_then(|token| {
                    let (shard, index) = token.trim().split_once(':')?;
                    Some((shard.parse::<u64>().ok()?, index.parse::<u64>().ok()?))
                });
                let Some((token_shard, token_index)) = token else {
                    return Err(Problem::new(
                        Code::InvalidParameter,
                        "Send back the Rotunda-Commit header as it came, or leave it out.",
                    )
                    .issue("Rotunda-Commit:", "not of the form <shard>:<index>"));
                };
                if token_shard == shard {
                    index = index.max(Some(token_index));
                }
            }
        }
        Ok(index)
    }

    /// Turns the caller away where its token is not good for this venue. Commands and questions are held against it by
    /// themselves; this is for what takes another way.
    pub(crate) fn admit_at(&self, venue: VenueNo) -> Result<(), Problem> {
        if self.caller.holder().is_none_or(|holder| holder.is_unbound()) {
            return Ok(());
        }
        match self.map()?.venue_no(venue) {
            Some(venue) => auth::admit_at(&self.caller, self.rule, venue),
            // It belongs to nobody, so nobody's token is bound to it.
            None => Err(Problem::new(
                Code::Forbidden,
                "The token is bound to venues, and this is about none that there is.",
            )),
        }
    }

    /// Spends one request of the venue's quota, where it has one: before its shard is asked, and not for what the router
    /// knows by itself.
    fn spend_at(&self, venue: VenueNo) -> Result<(), Problem> {
        if !self.door.limits.load().has_venues() {
            return Ok(());
        }
        match self.door.backend.map().venue_no(venue) {
            Some(venue) => rate_limit::spend_at(&self.door, &self.caller, self.rule, venue),
            // The cluster has no such venue, and says so.
            None => Ok(()),
        }
    }

    /// Who does it, where that is to stand in the audit log.
    fn actor(&self) -> Option<Box<Actor>> {
        let holder = self.caller.holder()?;
        self.rule.records(holder.role).then(|| {
            Box::new(Actor {
                name: holder.name.to_string(),
                role: holder.role,
                address: self.caller.address.to_string(),
            })
        })
    }

    /// Has a command applied, under the caller's name where the route's row says so.
    pub(crate) async fn submit(&self, command: &Command) -> Result<Submitted, Problem> {
        self.admit_at(command.venue)?;
        self.spend_at(command.venue)?;
        let named = self.actor().map(|actor| Command {
            actor: Some(actor),
            ..command.clone()
        });
        self.door
            .backend
            .submit(named.as_ref().unwrap_or(command), self.deadline)
            .await
            .map_err(|error| self.problem(error))
    }

    /// Has a command applied that the log decides about. A refusal comes back as a problem; `place` says where line `n` of
    /// the command stands in the request. `instance` is the request's path in its one spelling: what is rendered of an
    /// outcome must come out the same for every replay, so nothing of this very request may get into it.
    pub(crate) async fn decide(
        &self,
        command: &Command,
        instance: &str,
        place: impl Fn(RefusalCode, u16) -> String,
    ) -> Result<Decided, Problem> {
        let Submitted { shard, reply } = self.submit(command).await?;
        let refusal = match reply.outcome {
            Outcome::Refused(refusal) => refusal,
            outcome => {
                return Ok(Decided {
                    outcome,
                    shard,
                    index: reply.index,
                    replayed: reply.replayed,
                });
            }
        };
        let code = refusal.code;
        let mut problem =
            Problem::refused(refusal, |line| place(code, line)).header(COMMIT, commit(shard, reply.index));
        if reply.replayed {
            problem = problem.header(REPLAYED, HeaderValue::from_static("true"));
        }
        // What is not stored under the key is about this request alone.
        if let Some(key) = command.key.filter(|_| code != RefusalCode::IdempotencyKeyReused) {
            problem = problem.of_command(key.to_string(), instance.to_owned());
        }
        Err(problem)
    }

    /// Asks a question of a state that the caller's commit token is in.
    pub(crate) async fn query(&self, query: &Query, shard: u64) -> Result<Answered, Problem> {
        self.admit_at(query.venue())?;
        self.spend_at(query.venue())?;
        let at_least = self.at_least(shard)?;
        self.door
            .backend
            .query(query, at_least, self.deadline)
            .await
            .map_err(|error| self.read_problem(error))
    }

    /// The venue's catalogue.
    pub(crate) async fn catalogue(&self, venue: &VenueInfo) -> Result<Option<Arc<Known>>, Problem> {
        let at_least = self.at_least(venue.shard)?;
        let known = self
            .door
            .catalogue
            .get(&*self.door.backend, venue.number, at_least, self.deadline)
            .await;
        known.map_err(|error| self.read_problem(error))
    }

    /// As [`Call::problem`], of a question: there was nothing to do that could have been left undone.
    pub(crate) fn read_problem(&self, error: ClientError) -> Problem {
        match error {
            ClientError::Unavailable | ClientError::Unknown => {
                unavailable("The venue's shard did not answer in time. Ask again.")
            }
            other => self.problem(other),
        }
    }

    /// What the caller can do about an error of the cluster's.
    pub(crate) fn problem(&self, error: ClientError) -> Problem {
        match error {
            ClientError::Unavailable => unavailable("The venue's shard took no request in time. Nothing was done."),
            ClientError::Unknown => Problem::new(
                Code::OutcomeUnknown,
                "The deadline passed while the request was under way; it may have taken effect. Retry with the same \
                 Idempotency-Key: it takes effect at most once, and you get its answer.",
            )
            .header(RETRY_AFTER, HeaderValue::from_static("1")),
            ClientError::UnknownVenue => Problem::new(Code::UnknownVenue, "The cluster has no such venue."),
            ClientError::Overloaded => {
                self.door.metrics.shed(ShedReason::Cluster);
                Problem::new(
                    Code::Overloaded,
                    "The venue's shard has too much to do. Nothing was done.",
                )
                .header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            ClientError::NotYet(detail) => Problem::new(Code::NodesBehind, format!("{detail}. Nothing was done.")),
            ClientError::Rejected(detail) => {
                tracing::error!(detail, "the cluster rejected a call as malformed");
                Problem::new(
                    Code::Internal,
                    "Router and cluster do not understand each other. Nothing was done.",
                )
            }
        }
    }

    /// True where the caller has what the entity tag names.
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .map(str::trim)
                    .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
            })
    }
}

pub(crate) fn unavailable(detail: &'static str) -> Problem {
    Problem::new(Code::Unavailable, detail).header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// One query parameter is wrong.
pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    Problem::new(
        Code::InvalidParameter,
        format!("The parameter `{name}` is wrong: {detail}."),
    )
    .issue(format!("?{name}"), detail)
}

/// The catalogue has no such venue.
pub(crate) fn unknown_venue(slug: &str, pointer: &str) -> Problem {
    Problem::new(
        Code::UnknownVenue,
        format!("There is no venue `{slug}`; GET /v1/venues lists them."),
    )
    .issue(pointer, "no such venue")
}

/// Parts of a path; one that cannot be decoded is a problem like any other.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Door>> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Problem> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, door).await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Problem::new(Code::NotFound, "The path is not percent-encoded UTF-8."))
    }
}

/// Headers that an answer is given on its way out, and a few that hyper adds: the map need not grow.
const HEADERS: usize = 12;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(1024);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => written(status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Problem::new(Code::Internal, "The answer cannot be written as JSON.").into_response()
        }
    }
}

/// An answer of JSON that is written already.
pub(crate) fn written(status: StatusCode, json: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(json.into()));
    *response.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.headers_mut() = headers;
    response
}

/// A JSON answer to a question, of the state at this log index, that no cache keeps.
pub(crate) fn current(shard: u64, index: u64, body: &impl Serialize) -> Response {
    uncached(shard, index, json(StatusCode::OK, body))
}

/// An answer to a question, of the state at this log index, that no cache keeps.
pub(crate) fn uncached(shard: u64, index: u64, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(COMMIT, commit(shard, index));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who asks, as the meta group keeps it: by which token, and from where.
pub(crate) fn author(call: &Call) -> String {
    let name = call.caller.holder().map_or("", |holder| &holder.name);
    rotunda_protocol::token::author(name, Some(&call.caller.address.to_string()))
}

/// An answer that no cache keeps.
pub(crate) fn unstored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A JSON answer that a cache may keep and must ask about; 304 where the caller has it.
pub(crate) fn tagged(call: &Call, tag: String, body: &impl Serialize) -> Response {
    tagged_as(call, tag, || json(StatusCode::OK, body))
}

/// The same of an answer that is put together only where the caller has not got it.
pub(crate) fn tagged_as(call: &Call, tag: String, answer: impl FnOnce() -> Response) -> Response {
    let mut response = if call.has(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        answer()
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// `<shard>:<index>`.
pub(crate) fn commit(shard: u64, index: u64) -> HeaderValue {
    let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
    header_value(&[first.format(shard), ":", second.format(index)])
}

/// The parts as one value, in one allocation of its size. They are short, and of characters that a header may have.
pub(crate) fn header_value(parts: &[&str]) -> HeaderValue {
    let mut text = [0; 96];
    let mut length = 0;
    for part in parts {
        if let Some(place) = text.get_mut(length..length + part.len()) {
            place.copy_from_slice(part.as_bytes());
            length += part.len();
        }
    }
    HeaderValue::from_bytes(&text[..length]).unwrap_or(HeaderValue::from_static("-"))
}
