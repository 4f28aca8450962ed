//! What the door says about itself: the OpenAPI document, a page to browse it that needs no network, and the list of codes.

mod document;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::availability::stream::Event as AvailabilityEvent;
use super::call::{Segments, json};
use super::error::{Code, Problem, ProblemBody};
use crate::access::{ABOUT, Pages};

/// What is not said beside the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rotunda",
        description = "Books museum slots that cannot be overbooked.\n\n\
            Errors are `application/problem+json` with a `code` from a closed list (`GET /problems`). Every POST takes an \
            `Idempotency-Key`: send the same request with the same key as often as you like, it takes effect once and \
            you get the same answer, byte for byte. Writes answer with `Rotunda-Commit`; a read that sends it back sees \
            at least that write. Times are RFC 3339 with the venue's offset, money is in minor units.",
        license(name = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "catalogue", description = "What there is and what is left"),
        (name = "bookings", description = "Hold, confirm, give back"),
        (name = "tickets", description = "What a confirmed booking has for each person"),
        (name = "gates", description = "Who goes through; needs a token"),
        (name = "counter", description = "Cash drawers; needs a token"),
        (name = "reports", description = "What happened, for managers; needs a token"),
        (name = "operator", description = "Needs a token of an operator, or of a manager where the route says so"),
        (name = "about", description = "This document's friends"),
    ),
    // What the data of an event is; no route answers with it by itself.
    components(schemas(AvailabilityEvent)),
    modifiers(&Token),
)]
pub(crate) struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A token of the cluster (POST /v1/admin/tokens) or of the router's configuration. `x-roles` of a route says \
             whose roles may; what takes the role `visitor` is open to everybody.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

/// A code of the closed list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CodeEntry {
    #[schema(example = "sold_out")]
    code: &'static str,
    #[schema(example = 409)]
    status: u16,
    title: &'static str,
    /// Why a request is answered with it.
    cause: &'static str,
    /// What to do about it.
    remedy: &'static str,
    /// True where the same request, under the same key, may succeed later.
    retryable: bool,
}

impl From<Code> for CodeEntry {
    fn from(code: Code) -> Self {
        Self {
            code: code.as_str(),
            status: code.status(),
            title: code.title(),
            cause: code.cause(),
            remedy: code.remedy(),
            retryable: code.retryable(),
        }
    }
}

/// Every code that an error can have.
#[utoipa::path(get, path = "/problems", tag = "about", responses((status = 200, body = [CodeEntry])))]
pub(crate) async fn problems() -> Response {
    json(
        StatusCode::OK,
        &Code::ALL.iter().map(|&code| CodeEntry::from(code)).collect::<Vec<_>>(),
    )
}

/// What one code means.
#[utoipa::path(
    get, path = "/problems/{code}", tag = "about",
    params(("code" = String, Path, description = "A code")),
    responses(
        (status = 200, body = CodeEntry),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn problem(Segments(text): Segments<String>) -> Result<Response, Problem> {
    match Code::ALL.iter().find(|code| code.as_str() == text) {
        Some(&code) => Ok(json(StatusCode::OK, &CodeEntry::from(code))),
        None => Err(Problem::new(
            Code::NotFound,
            "There is no such code; GET /problems lists them.",
        )),
    }
}

/// Somebody looks with a browser.
pub(crate) async fn root() -> Redirect {
    Redirect::temporary("/docs/")
}

/// The OpenAPI document of these routes.
pub(crate) fn openapi(pages: &Pages, document: &utoipa::openapi::OpenApi) -> String {
    // Only what no JSON can say fails, and the document says nothing of the kind.
    document::complete(document, pages.rules()).unwrap_or_else(|_| "{}".to_owned())
}

/// The list of codes for people, as `router/PROBLEMS.md` has it.
#[must_use]
pub fn problems_page() -> String {
    let mut page = "# Problems\n\nEvery `code` that an error can have, with what causes it and what to do. `make contract-files` \
                    writes this page from `router/src/api/error/code.rs`;\n`GET /problems` of a router has the same as JSON. \
                    Where a code is marked with *again*, the same request under the same key may succeed later.\n\n\
                    | code | status | what | cause | remedy |\n|---|---|---|---|---|\n"
        .to_owned();
    for code in Code::ALL {
        let again = if code.retryable() { ", *again*" } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {}{again} | {} | {} | {} |",
            code.as_str(),
            code.status(),
            code.title(),
            code.cause(),
            code.remedy()
        );
    }
    page
}

/// `/openapi.json` and `/docs`.
pub(crate) fn pages(pages: Pages, document: &utoipa::openapi::OpenApi) -> Pages {
    let text = Bytes::from(openapi(&pages, document));
    let openapi = async move || {
        (
            [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            text.clone(),
        )
    };
    let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json"));
    let index = config.clone();
    pages
        .page(ABOUT, "/openapi.json", openapi)
        .page(ABOUT, "/docs", async || Redirect::permanent("/docs/"))
        .page(ABOUT, "/docs/", async move || page("", index.clone()))
        .page(ABOUT, "/docs/{*file}", async move |Segments(file): Segments<String>| {
            page(&file, config.clone())
        })
}

fn page(file: &str, config: Arc<utoipa_swagger_ui::Config<'static>>) -> Result<Response, Problem> {
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(file)) => {
            let mut response = file.bytes.into_owned().into_response();
            let headers = response.headers_mut();
            if let Ok(content_type) = HeaderValue::try_from(file.content_type) {
                headers.insert(CONTENT_TYPE, content_type);
            }
            if file.gzpipped {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            Ok(response)
        }
        _ => Err(Problem::new(
            Code::NotFound,
            "There is no such page; /docs/ is the first.",
        )),
    }
}
