//! Every route, on one screen. Each module below is one noun: it turns JSON into a command or a question and the outcome
//! back into JSON. What is the same for all of them is in `stack` (before) and in [`call`] (around).
//!
//! The OpenAPI document is made from the same functions that serve the routes. Who may do what is the matrix in
//! [`crate::access`]: each route stands here with its row, and there is no other way to register one.

pub mod error;

mod admissions;
mod audit;
mod availability;
mod body;
mod booking_json;
mod bookings;
mod call;
pub(crate) mod cluster;
mod docs;
mod drawers;
mod events;
mod gates;
mod language;
mod ledger;
mod limits;
mod network;
mod paging;
mod products;
mod qr;
mod rebook;
mod reports;
mod search;
mod service_days;
mod slots;
mod ticket_keys;
mod tickets;
mod tokens;
mod upgrades;
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
use utoipa_axum::routes;

use crate::access::{Routes, Rules};
use crate::request_body::Incoming;
use crate::server::Door;
use crate::stack::{Origin, Route};
use crate::{access, admin_http, stack};
use call::Call;
pub(crate) use call::header_value;
pub use docs::problems_page;
use error::{Code, Problem};

/// Bound of a body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// Bound of a whole network's catalogue, in bytes.
pub(crate) const MAX_NETWORK_BYTES: usize = 1024 * 1024;

/// Where a sale begins.
pub(crate) const BOOKINGS: &str = "/v1/bookings";

/// The import has bounds of its own.
pub(crate) const ADMIN_NETWORK: &str = "/v1/admin/network";

/// The public port.
#[derive(Clone, Debug)]
pub struct App {
    door: Arc<Door>,
    routes: Router,
    rules: Arc<Rules>,
}

impl App {
    /// The row of each route.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Answers a request. A hold is answered by the function that axum would call in the end, between the same checks:
    /// what axum does on the way to it (looking for the route, copies of the layers, boxes, extensions) costs as much as
    /// all that the hold itself needs.
    pub(crate) async fn answer(self, origin: Origin, request: http::Request<impl Incoming>) -> Response {
        if request.method() == Method::POST && request.uri().path() == BOOKINGS {
            let Self { door, .. } = self;
            return stack::observed(&door, Route::Hold, request, async |request| {
                let hold = |admitted, parts: Parts, bytes| {
                    let call = Call::new(door.clone(), admitted, access::HOLD, parts.headers, &parts.uri);
                    // In a box, for what is around it moves its future three times.
                    Box::pin(async move { bookings::hold(call, bytes).await.into_response() })
                };
                stack::guarded(&door, &Route::Hold, Some(access::HOLD), &origin, request, hold)
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

/// Every route that the document speaks of, with its row.
fn documented() -> Routes {
    Routes::documented_in(docs::Document::openapi())
        .route(access::LIST_VENUES, routes!(venues::list)) //      GET  /v1/venues
        .route(access::SEE_VENUE, routes!(venues::one)) //         GET  /v1/venues/{venue}
        .route(access::LIST_PRODUCTS, routes!(products::of_venue)) // GET /v1/venues/{venue}/products
        .route(access::LIST_PRODUCTS, routes!(products::list)) //  GET  /v1/products
        .route(access::SEE_SLOTS, routes!(availability::slots)) // GET  /v1/venues/{venue}/availability
        .route(access::SEE_SLOTS, routes!(availability::stream::stream)) // GET /v1/venues/{venue}/availability/stream
        .route(access::SEE_EVENTS, routes!(events::list)) //       GET  /v1/events
        .route(access::SEE_AUDIT, routes!(audit::lines)) //        GET  /v1/venues/{venue}/audit
        .route(access::HOLD, routes!(bookings::hold)) //           POST /v1/bookings
        .route(access::SEE_BOOKING, routes!(bookings::one)) //     GET  /v1/bookings/{booking}
        .route(access::EXTEND, routes!(bookings::extend)) //       POST /v1/bookings/{booking}/extend
        .route(access::CONFIRM, routes!(bookings::confirm)) //     POST /v1/bookings/{booking}/confirm
        .route(access::RELEASE, routes!(bookings::release)) //     POST /v1/bookings/{booking}/release
        .route(access::CANCEL, routes!(bookings::cancel)) //       POST /v1/bookings/{booking}/cancel
        .route(access::REBOOK, routes!(rebook::rebook)) // POST /v1/bookings/{booking}/rebook
        .route(access::SEE_TICKET, routes!(tickets::one)) // GET  /v1/tickets/{ticket}
        .route(access::SEE_TICKET, routes!(tickets::svg)) // GET  /v1/tickets/{ticket}/qr.svg
        .route(access::SEE_TICKET, routes!(tickets::png)) // GET  /v1/tickets/{ticket}/qr.png
        .route(access::ADMIT, routes!(admissions::ask)) // POST /v1/admissions
        .route(access::MERGE_SCANS, routes!(admissions::batch)) // POST /v1/admissions/batch
        .route(access::ANNUL, routes!(admissions::annul)) // POST /v1/admissions/annul
        .route(access::GATE_BUNDLE, routes!(gates::bundle)) // GET  /v1/venues/{venue}/gate-bundle
        .route(access::OCCUPANCY, routes!(gates::occupancy)) // GET  /v1/venues/{venue}/occupancy
        .route(access::SEE_KEYS, routes!(ticket_keys::list)) // GET  /v1/venues/{venue}/ticket-keys
        .route(access::SEE_LEDGER, routes!(ledger::lines)) // GET  /v1/venues/{venue}/ledger
        .route(access::SEE_REPORTS, routes!(reports::footfall)) // GET  /v1/venues/{venue}/reports/footfall
        .route(access::SEE_REPORTS, routes!(reports::revenue)) // GET  /v1/venues/{venue}/reports/revenue
        .route(access::SEE_REPORTS, routes!(reports::channels)) // GET  /v1/venues/{venue}/reports/channels
        .route(access::SEE_REPORTS, routes!(reports::no_shows)) // GET  /v1/venues/{venue}/reports/no-shows
        .route(access::SEE_DRAWER, routes!(drawers::one)) // GET  /v1/venues/{venue}/drawers/{drawer}
        .route(access::DRAWERS, routes!(drawers::open)) // POST /v1/venues/{venue}/drawers/{drawer}/open
        .route(access::DRAWERS, routes!(drawers::close)) // POST /v1/venues/{venue}/drawers/{drawer}/close
        .route(access::CHANGE_KEYS, routes!(ticket_keys::rotate)) // POST /v1/admin/venues/{venue}/ticket-keys
        .route(access::CHANGE_KEYS, routes!(ticket_keys::retire)) // POST /v1/admin/venues/{venue}/ticket-keys/{key}/retire
        .route(access::IMPORT, routes!(network::import)) //        PUT  /v1/admin/network
        .route(access::SEE_CLUSTER, routes!(cluster::status)) //   GET  /v1/admin/cluster
        .route(access::UPGRADE, routes!(upgrades::finalize)) //    POST /v1/admin/cluster/version
        .route(access::UPGRADE, routes!(upgrades::drain)) //       POST /v1/admin/nodes/{node}/drain
        .route(access::UPGRADE, routes!(upgrades::resume)) //      DELETE /v1/admin/nodes/{node}/drain
        .route(access::CHANGE_SLOT, routes!(slots::change)) //     PUT  /v1/admin/venues/{venue}/slots/{slot}
        .route(access::CREATE_TOKEN, routes!(tokens::create)) //   POST /v1/admin/tokens
        .route(access::LIST_TOKENS, routes!(tokens::list)) //      GET  /v1/admin/tokens
        .route(access::REVOKE_TOKEN, routes!(tokens::revoke)) //   DELETE /v1/admin/tokens/{name}
        .route(access::SEE_LIMITS, routes!(limits::show)) //       GET  /v1/admin/limits
        .route(access::SET_LIMITS, routes!(limits::set)) //        PUT  /v1/admin/limits
        .route(access::SET_LIMITS, routes!(limits::reset)) //      DELETE /v1/admin/limits
        .route(access::ABOUT, routes!(docs::problems)) //          GET  /problems
        .route(access::ABOUT, routes!(docs::problem)) //           GET  /problems/{code}
}

/// The OpenAPI document, as `/openapi.json` answers it and as it is committed beside the code.
#[must_use]
pub fn openapi() -> String {
    let (pages, document) = documented().finish();
    docs::openapi(&pages, &document)
}

/// The public port: routes, layers, and what answers when no route fits.
pub fn app(door: Arc<Door>) -> App {
    let (pages, document) = documented().finish();
    let (routes, rules) = docs::pages(pages, &document).finish(); // GET  /openapi.json, /docs
    let routes = routes
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
        routes: stack::around(routes, rules.clone(), open, door.clone()),
        rules,
        door,
    }
}
