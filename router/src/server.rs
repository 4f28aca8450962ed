//! The listening side: what a router consists of ([`Door`]), its two ports, and how it stops.
//!
//! Straight on hyper, because what matters at a public door is not in `axum::serve`: a bound on connections in all and of
//! one address (`places`), a deadline for request heads and for answers that nobody takes, a bound on a head's size,
//! nodelay, and a drain that ends. A connection speaks HTTP/1.1, or HTTP/2 where it begins with that ([`crate::http2`]).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::response::Response;
use governor::DefaultDirectRateLimiter;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use rotunda_overview::HotSlots;
use rotunda_protocol::alarm::Alarms;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::api::App;
use crate::auth::{Cidr, TokenError, Tokens};
use crate::backend::Backend;
use crate::catalogue_cache::CatalogueCache;
use crate::claim_keys::ClaimKeys;
use crate::config::Config;
use crate::header_timer::HeaderTimer;
use crate::live::Live;
use crate::metrics::{Metrics, Page, ShedReason};
use crate::places::Places;
use crate::rate_limit::{Limits, QuotaSettings};
use crate::stack::{InFlight, Origin};
use crate::ticket_key_cache::TicketKeyCache;
use crate::trace::Draw;
use crate::write_deadline::WriteDeadline;
use crate::{admin_http, api, http2};

/// Bytes of a request's head, and of the connection's read buffer. A longer head is answered with 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Headers of one request. More are answered with 431.
const MAX_HEADERS: usize = 100;

/// Connections that the admin port serves at once; more are closed.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// Timers that a connection keeps: one of a head that is awaited, one of a request that is worked on.
const ALARMS: usize = 2;

/// Connections that wait to be accepted; the kernel has a bound of its own (`net.core.somaxconn`). When an on-sale opens
/// thousands come at once, and whoever finds no place tries again after one second, three and seven.
const BACKLOG: u32 = 4_096;

/// How long to wait before accepting again when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often callers whose quota is whole again are forgotten.
const TIDY: Duration = Duration::from_secs(1);

/// How often the map is looked at for other quotas.
const TAKE_LIMITS: Duration = Duration::from_millis(100);

/// See [`Door::complaints`].
const COMPLAINTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// What a router consists of; every handler and layer has it as its state.
pub struct Door {
    /// The cluster.
    pub backend: Arc<dyn Backend>,
    /// Configured tokens.
    pub tokens: Tokens,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Quotas. Changed as a whole, by [`Door::set_quotas`] and [`Door::take_limits`].
    pub(crate) limits: ArcSwap<Limits>,
    /// What the settings say of them. Locked while they are changed.
    quota_settings: Mutex<QuotaSettings>,
    /// Counters.
    pub metrics: Metrics,
    /// Requests being worked on.
    pub in_flight: InFlight,
    /// Definitions of venues, for a second.
    pub catalogue: CatalogueCache,
    /// Keys of venues' tickets, for a second.
    pub ticket_keys: TicketKeyCache,
    /// Whose claims of membership are believed.
    pub claim_keys: ClaimKeys,
    /// Which slots most holds ask for.
    pub(crate) hot_slots: HotSlots,
    /// How venues stand that somebody looks at.
    pub live: Arc<Live>,
    /// Where booking secrets come from.
    pub draw: Arc<dyn Draw>,
    /// How long a request may take.
    pub request_deadline: Duration,
    /// How long an import may take.
    pub import_deadline: Duration,
    /// Where it listens, as configured.
    pub addresses: Addresses,
    /// Lines about failed requests that the log takes. When a shard has no quorum, thousands of requests a second fail
    /// alike; the metrics count them all.
    pub(crate) complaints: DefaultDirectRateLimiter,
    draining: AtomicBool,
}

/// A router's two ports.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Visitors' requests.
    pub http: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    /// A door to `backend` with these settings.
    ///
    /// # Errors
    /// Where a configured token cannot be used.
    pub fn new(config: &Config, backend: Arc<dyn Backend>, draw: Arc<dyn Draw>) -> Result<Arc<Self>, TokenError> {
        let live = Live::new(
            backend.clone(),
            config.live_venues,
            config.live_streams,
            config.live_streams_per_caller,
        );
        Ok(Arc::new(Self {
            live,
            backend,
            tokens: Tokens::new(config)?,
            trusted_proxies: config.trusted_proxy.clone(),
            limits: ArcSwap::from_pointee(Limits::new(&config.into(), &Arc::default(), None)),
            quota_settings: Mutex::new(config.into()),
            metrics: Metrics::new(config.max_in_flight),
            in_flight: InFlight::new(config.max_in_flight),
            catalogue: CatalogueCache::default(),
            ticket_keys: TicketKeyCache::default(),
            claim_keys: ClaimKeys::new(&config.claim_key),
            hot_slots: HotSlots::default(),
            draw,
            request_deadline: config.request_deadline.0,
            import_deadline: config.import_deadline.0,
            addresses: Addresses {
                http: config.http,
                admin: config.admin,
            },
            complaints: DefaultDirectRateLimiter::direct(governor::Quota::per_second(COMPLAINTS_PER_SECOND)),
            draining: AtomicBool::new(false),
        }))
    }

    /// From now on the quotas of these settings count. Where one is another than before, every caller begins with a whole
    /// one.
    pub fn set_quotas(&self, config: &Config) {
        let mut settings = self.quota_settings.lock();
        *settings = config.into();
        self.renew(&settings);
    }

    /// Takes the cluster's quotas out of the map, where they are others than before.
    pub fn take_limits(&self) {
        let is_known = |door: &Self| door.limits.load().in_force().cluster == *door.backend.map().limits();
        if is_known(self) {
            return;
        }
        let settings = self.quota_settings.lock();
        self.renew(&settings);
        tracing::info!("the cluster's quotas have changed");
    }

    fn renew(&self, settings: &QuotaSettings) {
        let map = self.backend.map();
        let before = self.limits.load();
        self.limits
            .store(Arc::new(Limits::new(settings, map.limits(), Some(&before))));
    }

    /// From now on `/readyz` says 503, and event streams end with a word: they would outlast any drain.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.live.close();
    }

    /// True once [`Door::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Why the router cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({flag}): {cause}. {remedy}")]
pub struct BindError {
    address: SocketAddr,
    flag: &'static str,
    // Not called `source`: it is in the message already, and whoever prints the chain of sources would say it twice.
    cause: io::Error,
    remedy: String,
}

impl BindError {
    fn new(address: SocketAddr, flag: &'static str, cause: io::Error) -> Self {
        let port = address.port();
        let remedy = match cause.kind() {
            io::ErrorKind::AddrInUse => format!(
                "Another process holds the port; `ss -ltnp 'sport = :{port}'` names it. Stop it, or choose another port with {flag}"
            ),
            io::ErrorKind::PermissionDenied => {
                format!("Ports below 1024 need a privilege; choose another one with {flag}")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("No network interface here has that address; `ip address` lists them, {flag} chooses one")
            }
            _ => format!("Choose another address with {flag}"),
        };
        Self {
            address,
            flag,
            cause,
            remedy,
        }
    }
}

/// A router that has its ports and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    http: TcpListener,
    admin: TcpListener,
    http_address: SocketAddr,
    admin_address: SocketAddr,
    header_timeout: Duration,
    drain_delay: Duration,
    drain_timeout: Duration,
    places: Arc<Places>,
}

impl Bound {
    /// Takes both ports. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where one of them cannot be had; the error says which and what to do.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let bind = |address: SocketAddr, flag| {
            let listening = listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
            listening.map_err(|cause| BindError::new(address, flag, cause))
        };
        let (http_address, http) = bind(config.http, "--http")?;
        let (admin_address, admin) = bind(config.admin, "--admin")?;
        Ok(Self {
            http,
            admin,
            http_address,
            admin_address,
            header_timeout: config.header_timeout.0,
            drain_delay: config.drain_delay.0,
            drain_timeout: config.drain_timeout.0,
            places: Places::of_visitors(config),
        })
    }

    /// Where visitors' requests come in.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http_address
    }

    /// Where health and metrics are answered.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop`, then drains: `/readyz` turns 503, after the drain delay the port closes, requests in flight
    /// finish within the drain timeout. The admin port answers until the end.
    pub async fn serve(self, door: Arc<Door>, page: Option<Page>, stop: CancellationToken) {
        let admin_stop = CancellationToken::new();
        let admin = tokio::spawn(
            Accept {
                listener: self.admin,
                app: admin_http::admin(door.clone(), page),
                door: door.clone(),
                header_timeout: self.header_timeout,
                places: Places::plain(MAX_ADMIN_CONNECTIONS),
                drain_timeout: Duration::ZERO,
            }
            .run(admin_stop.clone()),
        );
        let tidy = tokio::spawn({
            let door = door.clone();
            async move {
                let (mut tidy, mut take) = (interval(TIDY), interval(TAKE_LIMITS));
                loop {
                    tokio::select! {
                        _ = tidy.tick() => door.limits.load().tidy(),
                        _ = take.tick() => door.take_limits(),
                    }
                }
            }
        });
        let close = CancellationToken::new();
        let public = Accept {
            listener: self.http,
            app: api::app(door.clone()),
            door: door.clone(),
            header_timeout: self.header_timeout,
            places: self.places,
            drain_timeout: self.drain_timeout,
        };
        let public = tokio::spawn(public.run(close.clone()));
        stop.cancelled().await;
        door.drain();
        tracing::info!(in_flight = door.in_flight.now(), "draining");
        tokio::time::sleep(self.drain_delay).await;
        close.cancel();
        let _ = public.await;
        admin_stop.cancel();
        let _ = admin.await;
        tidy.abort();
    }
}

/// As tokio's `TcpListener::bind`, with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A router that comes back takes its port at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What answers the requests of a port.
trait Answer: Clone + Send + 'static {
    fn answer(self, origin: Origin, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static;
}

impl Answer for App {
    fn answer(self, origin: Origin, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        App::answer(self, origin, request)
    }
}

impl Answer for Router {
    async fn answer(self, _: Origin, request: Request<Incoming>) -> Response {
        let Ok(response) = self.oneshot(request).await;
        response
    }
}

/// One port.
struct Accept<A> {
    listener: TcpListener,
    app: A,
    door: Arc<Door>,
    header_timeout: Duration,
    places: Arc<Places>,
    drain_timeout: Duration,
}

impl<A: Answer> Accept<A> {
    async fn run(self, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let mut builder = http1::Builder::new();
        builder
            .header_read_timeout(self.header_timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            // No `pipeline_flush`: with it hyper drops its answer (400, 431) to a head that it cannot read.
            .max_headers(MAX_HEADERS);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // No descriptor left, or the client is gone again: either way the listener itself is fine.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = self.places.take(peer.ip()) else {
                self.door.metrics.shed(ShedReason::Connections);
                turn_away(&stream);
                continue;
            };
            let _ = stream.set_nodelay(true);
            let app = self.app.clone();
            let alarms = Alarms::keeping(ALARMS);
            let mut builder = builder.clone();
            builder.timer(HeaderTimer::new(alarms.clone()));
            let origin = Origin {
                peer: peer.ip(),
                alarms,
            };
            let patience = self.header_timeout;
            let (watcher, stop) = (graceful.watcher(), stop.clone());
            tokio::spawn(async move {
                let many = tokio::select! {
                    many = http2::is_begun(&stream, patience) => many,
                    () = stop.cancelled() => return,
                };
                // Whoever says nothing, or has gone, has no place here.
                let Some(many) = many else { return };
                let stream = WriteDeadline::new(stream, patience);
                let ended = if many {
                    // Side by side they cannot share what is kept for one request after the other.
                    let answer = move |request| {
                        let origin = Origin {
                            peer: origin.peer,
                            alarms: Alarms::keeping(0),
                        };
                        app.clone().answer(origin, request)
                    };
                    let ended = http2::serve(stream, &stop, answer).await;
                    drop(watcher);
                    ended
                } else {
                    let service = service_fn(move |request| {
                        let answer = app.clone().answer(origin.clone(), request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    watcher
                        .watch(builder.serve_connection(TokioIo::new(stream), service))
                        .await
                };
                // What ends a connection (a head that came too slowly, a reset) is the client's affair.
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                drop(place);
            });
        }
        drop(self.listener);
        if tokio::time::timeout(self.drain_timeout, graceful.shutdown())
            .await
            .is_err()
            && !self.drain_timeout.is_zero()
        {
            tracing::warn!(
                in_flight = self.door.in_flight.now(),
                "drain timeout: what is left is cut off"
            );
        }
    }
}

/// Tells a connection above the limit why it is closed, without waiting for it.
fn turn_away(stream: &TcpStream) {
    const BODY: &str = "{\"type\":\"/problems/overloaded\",\"title\":\"Too much is going on\",\"status\":503,\"detail\":\"No more \
connections here. Nothing was done; come back in a second.\",\"code\":\"overloaded\",\"errors\":[],\"retryable\":true}";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let _ = stream.try_write(answer.as_bytes());
}
