//! Every route, on one screen. Each module below is one noun: it turns JSON into a command or a question and the outcome
//! back into JSON. What is the same for all of them is in `stack` (before) and in [`call`] (around).
//!
//! The OpenAPI document is made from the same functions that serve the routes.

pub mod error;

mod availability;
mod body;
mod booking_json;
mod bookings;
mod call;
mod cluster;
mod docs;
mod events;
mod network;
mod slots;
mod venues;
mod views;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::Method;
use http::request::Parts;
use rotunda_protocol::alarm::Alarms;
use tower::{Service, ServiceExt};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::request_body::Incoming;
use crate::server::Door;
use crate::stack::{Origin, Route};
use crate::{admin_http, stack};
use call::Call;
pub(crate) use call::header_value;
use error::{Code, Problem};

/// Bound of a body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// Bound of a whole network's catalogue, in bytes.
pub(crate) const MAX_NETWORK_BYTES: usize = 1024 * 1024;

/// Where a sale begins.
pub(crate) const BOOKINGS: &str = "/v1/bookings";

/// The import has bounds of its own.
pub(crate) const ADMIN_NETWORK: &str = "/v1/admin/network";

/// Whatever is below is for admin tokens.
pub(crate) const ADMIN: &str = "/v1/admin/";

/// The public port.
#[derive(Clone, Debug)]
pub struct App {
    door: Arc<Door>,
    routes: Router,
}

impl App {
    /// Answers a request. A hold is answered by the function that axum would call in the end, between the same checks:
    /// what axum does on the way to it (looking for the route, copies of the layers, boxes, extensions) costs as much as
    /// all that the hold itself needs.
    pub(crate) async fn answer(self, origin: Origin, request: http::Request<impl Incoming>) -> Response {
        if request.method() == Method::POST && request.uri().path() == BOOKINGS {
            let Self { door, .. } = self;
            return stack::observed(&door, Route::Hold, request, async |request| {
                let hold = |admitted, parts: Parts, bytes| {
                    let call = Call::new(door.clone(), admitted, parts.headers, &parts.uri);
                    // In a box, for what is around it moves its future three times.
                    Box::pin(async move { bookings::hold(call, bytes).await.into_response() })
                };
                stack::guarded(&door, &Route::Hold, &origin, request, hold)
                    .await
                    .into_response()
            })
            .await;
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(origin);
        let Ok(response) = self.routes.oneshot(request).await;
        response
    }
}

/// As a service of tower's, for whoever has a request and no connection. The peer is in the extension
/// `ConnectInfo<SocketAddr>`, if anywhere.
impl Service<http::Request<Body>> for App {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let origin = Origin {
            peer: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip()),
            alarms: Alarms::keeping(0),
        };
        self.clone().answer(origin, request).map(Ok).boxed()
    }
}

/// The public port: routes, layers, and what answers when no route fits.
pub fn app(door: Arc<Door>) -> App {
    let (v1, openapi) = OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(venues::list)) //                GET  /v1/venues
        .routes(routes!(venues::one)) //                 GET  /v1/venues/{venue}
        .routes(routes!(venues::products)) //            GET  /v1/venues/{venue}/products
        .routes(routes!(availability::slots)) //         GET  /v1/venues/{venue}/availability
        .routes(routes!(availability::stream::stream)) // GET  /v1/venues/{venue}/availability/stream
        .routes(routes!(events::list)) //                GET  /v1/events
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
    App {
        routes: stack::around(routes, open, door.clone()),
        door,
    }
}
