//! Every route, on one screen. Each module below is one noun: it turns JSON into a command or a question and the outcome
//! back into JSON. What is the same for all of them is in `stack` (before) and in [`call`] (around).
//!
//! The OpenAPI document is made from the same functions that serve the routes.

pub mod error;

mod availability;
mod body;
mod bookings;
mod call;
mod cluster;
mod docs;
mod network;
mod slots;
mod venues;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::server::Door;
use crate::{admin_http, stack};
use error::{Code, Problem};

/// Bound of a body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// Bound of a whole network's catalogue, in bytes.
pub(crate) const MAX_NETWORK_BYTES: usize = 1024 * 1024;

/// The import has bounds of its own.
pub(crate) const ADMIN_NETWORK: &str = "/v1/admin/network";

/// Whatever is below is for admin tokens.
pub(crate) const ADMIN: &str = "/v1/admin/";

/// The public port: routes, layers, and what answers when no route fits.
pub fn app(door: Arc<Door>) -> Router {
    let (v1, openapi) = OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(venues::list)) //                GET  /v1/venues
        .routes(routes!(venues::one)) //                 GET  /v1/venues/{venue}
        .routes(routes!(venues::products)) //            GET  /v1/venues/{venue}/products
        .routes(routes!(availability::slots)) //         GET  /v1/venues/{venue}/availability
        .routes(routes!(bookings::hold)) //              POST /v1/bookings
        .routes(routes!(bookings::one)) //               GET  /v1/bookings/{booking}
        .routes(routes!(bookings::extend)) //            POST /v1/bookings/{booking}/extend
        .routes(routes!(bookings::confirm)) //           POST /v1/bookings/{booking}/confirm
        .routes(routes!(bookings::release)) //           POST /v1/bookings/{booking}/release
        .routes(routes!(bookings::cancel)) //            POST /v1/bookings/{booking}/cancel
        .routes(routes!(network::import)) //             PUT  /v1/admin/network
        .routes(routes!(cluster::status)) //             GET  /v1/admin/cluster
        .routes(routes!(slots::change)) //               PUT  /v1/admin/venues/{venue}/slots/{slot}
        .routes(routes!(docs::problems)) //              GET  /problems
        .routes(routes!(docs::problem)) //               GET  /problems/{code}
        .split_for_parts();
    let routes = v1
        .merge(docs::pages(openapi)) //                  GET  /openapi.json, /docs
        .fallback(async || Problem::new(Code::NotFound, "There is no such route; /docs lists them."))
        .method_not_allowed_fallback(async || {
            Problem::new(
                Code::MethodNotAllowed,
                "The route does not take this method; the Allow header lists those it does.",
            )
        });
    // Balancers ask every second and must hear even from an overrun door.
    let open = Router::new().route("/", get(docs::root)).merge(admin_http::health());
    stack::around(routes, open, door)
}
