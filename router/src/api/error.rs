//! Every way in which a request can fail, as RFC 9457 `application/problem+json`.
//!
//! [`Code`] is the closed list. Handlers and layers return a [`Problem`]; it travels as a response extension until `stack::observe`, the outermost
//! layer, writes the body, for only there are the request's path and trace id at hand. The list is answered by
//! `GET /problems`, one entry by `GET /problems/{code}`, which is also where a problem's `type` points.
//!
//! A refusal that the cluster decided (and stored under the caller's `Idempotency-Key`) must replay byte for byte, so its
//! `trace_id` names the command rather than the request; `x-request-id` always names the request.

mod code;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};
use rotunda_booking::outcome::Refusal;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use self::code::{Code, Outcome};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Issue {
    /// Where: a JSON pointer into the body (`/lines/0/quantity`), `?name` for a query parameter, `{name}` for a part of
    /// the path, `Name:` for a header.
    #[schema(example = "/lines/0/quantity")]
    pub pointer: String,
    /// What, for people.
    pub detail: String,
    /// Places left where it is about places; the bound where it is about quantities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
}

impl Issue {
    /// `detail` is wrong at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
            left: None,
        }
    }
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Where the code is described.
    #[serde(rename = "type")]
    #[schema(example = "/problems/sold_out")]
    type_uri: &'a str,
    /// The code in a few words.
    title: &'a str,
    /// HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// The request's path.
    instance: &'a str,
    /// From the closed list (`GET /problems`).
    #[schema(example = "sold_out")]
    code: &'a str,
    /// What exactly is wrong, each with its place.
    errors: &'a [Issue],
    /// Names the request in our logs; for a refusal by the cluster, the command, so that a replay is the same.
    trace_id: &'a str,
    /// True where the same request, under the same key, may succeed later.
    retryable: bool,
    #[serde(flatten)]
    #[schema(ignore)]
    more: &'a Map<String, Value>,
}

/// A failed request on its way out.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<Issue>,
    headers: Vec<(HeaderName, HeaderValue)>,
    trace_id: Option<String>,
    instance: Option<String>,
    more: Map<String, Value>,
}

impl Problem {
    /// A problem with no more than its code and detail.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            trace_id: None,
            instance: None,
            more: Map::new(),
        }))
    }

    /// What the cluster refused. `pointer` says where line `n` of the command stands in the request.
    #[must_use]
    pub fn refused(refusal: Refusal, pointer: impl Fn(u16) -> String) -> Self {
        let errors = refusal
            .lines
            .into_iter()
            .map(|line| Issue {
                pointer: pointer(line.line),
                detail: line.detail,
                left: line.left,
            })
            .collect();
        Self::new(Code::of_refusal(refusal.code), refusal.detail).issues(errors)
    }

    /// Sets the list of what is wrong.
    #[must_use]
    pub fn issues(mut self, errors: Vec<Issue>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds one thing that is wrong.
    #[must_use]
    pub fn issue(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(Issue::new(pointer, detail));
        self
    }

    /// Adds a header. A value that no header can carry is left out.
    #[must_use]
    pub fn header<V>(mut self, name: HeaderName, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        if let Ok(value) = value.try_into() {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Names the command instead of the request, so that a replay is the same byte for byte.
    #[must_use]
    pub fn of_command(mut self, trace_id: String, instance: String) -> Self {
        self.0.trace_id = Some(trace_id);
        self.0.instance = Some(instance);
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.0.more.insert(name.to_owned(), value);
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// For people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The body, for the request at `path`.
    #[must_use]
    pub(crate) fn body(&self, path: &str, trace_id: &str) -> Bytes {
        let Inner {
            code,
            detail,
            errors,
            trace_id: own_trace,
            instance,
            more,
            ..
        } = &*self.0;
        let body = ProblemBody {
            type_uri: code.type_uri(),
            title: code.title(),
            status: code.status(),
            detail,
            instance: instance.as_deref().unwrap_or(path),
            code: code.as_str(),
            errors,
            trace_id: own_trace.as_deref().unwrap_or(trace_id),
            retryable: code.retryable(),
            more,
        };
        serde_json::to_vec(&body).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status_code().into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            headers.append(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}
