//! The listening side: what a router consists of ([`Door`]), its ports, and how it stops.
//!
//! Straight on hyper, because what matters at a public door is not in `axum::serve`: a bound on connections in all and of
//! one address (`places`), a deadline for request heads and for answers that nobody takes, a bound on a head's size,
//! nodelay, and a drain that ends (`accept`). A connection speaks HTTP/1.1, or HTTP/2 where it begins with that
//! ([`crate::http2`]) or, under TLS, asks for it.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::DefaultDirectRateLimiter;
use parking_lot::Mutex;
use rotunda_overview::HotSlots;
use rotunda_tls::door::DoorTrust;
use rotunda_tls::files::Problem;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::accept::Accept;
use crate::auth::{Cidr, TokenError, Tokens};
use crate::backend::Backend;
use crate::catalogue_cache::CatalogueCache;
use crate::claim_keys::ClaimKeys;
use crate::config::Config;
use crate::live::Live;
use crate::metrics::{Metrics, Page};
use crate::places::Places;
use crate::rate_limit::{Limits, QuotaSettings};
use crate::stack::InFlight;
use crate::ticket_key_cache::TicketKeyCache;
use crate::trace::Draw;
use crate::{admin_http, api};

/// Connections that the admin port serves at once; more are closed.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// Connections that wait to be accepted; the kernel has a bound of its own (`net.core.somaxconn`). When an on-sale opens
/// thousands come at once, and whoever finds no place tries again after one second, three and seven.
const BACKLOG: u32 = 4_096;

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
    leaving: CancellationToken,
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
            leaving: CancellationToken::new(),
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

    /// From now on `/readyz` says 503, answers say that their connection closes, and event streams end with a word: they would
    /// outlast any drain.
    pub fn drain(&self) {
        self.leaving.cancel();
        self.live.close();
    }

    /// Done once [`Door::drain`] was called.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// True once [`Door::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.leaving.is_cancelled()
    }
}

/// Why a port cannot be had.
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

/// Why the router cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot have a port.
    #[error("{0}")]
    Port(BindError),
    /// Its certificate cannot be used any more.
    #[error("the door's certificate cannot be used: {0}")]
    Certificate(Problem),
}

/// A router that has its ports and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    http: TcpListener,
    https: Option<(TcpListener, Arc<DoorTrust>)>,
    admin: TcpListener,
    http_address: SocketAddr,
    admin_address: SocketAddr,
    header_timeout: Duration,
    drain_delay: Duration,
    drain_timeout: Duration,
    places: Arc<Places>,
}

impl Bound {
    /// Takes all ports. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where one of them cannot be had; the error says which and what to do.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = |address: SocketAddr, flag| {
            let listening = listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
            listening.map_err(|cause| StartError::Port(BindError::new(address, flag, cause)))
        };
        let (http_address, http) = bind(config.http, "--http")?;
        let (admin_address, admin) = bind(config.admin, "--admin")?;
        let https = match config.https.door() {
            None => None,
            Some((address, files)) => {
                let trust = DoorTrust::read(files).map_err(StartError::Certificate)?;
                Some((bind(address, "--https")?.1, trust))
            }
        };
        Ok(Self {
            http,
            https,
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

    /// Where they come in under TLS.
    #[must_use]
    pub fn https(&self) -> Option<SocketAddr> {
        self.https.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// The door's certificate: to look at the files when told to.
    #[must_use]
    pub fn trust(&self) -> Option<Arc<DoorTrust>> {
        self.https.as_ref().map(|(_, trust)| Arc::clone(trust))
    }

    /// Where health and metrics are answered.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop`, then drains: `/readyz` turns 503, and whoever is answered is told to come back on another connection;
    /// after the drain delay the port closes, requests in flight finish within the drain timeout. The admin port answers until the end.
    pub async fn serve(self, door: Arc<Door>, page: Option<Page>, stop: CancellationToken) {
        let admin_stop = CancellationToken::new();
        let admin = tokio::spawn(
            Accept {
                listener: self.admin,
                app: admin_http::admin(door.clone(), page),
                door: door.clone(),
                trust: None,
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
                        _ = tidy.tick() => {
                            door.limits.load().tidy();
                            door.live.measure();
                        }
                        _ = take.tick() => door.take_limits(),
                    }
                }
            }
        });
        let close = CancellationToken::new();
        let public = |listener, trust| {
            let accept = Accept {
                listener,
                app: api::app(door.clone()),
                door: door.clone(),
                trust,
                header_timeout: self.header_timeout,
                // One bound for both doors.
                places: self.places.clone(),
                drain_timeout: self.drain_timeout,
            };
            tokio::spawn(accept.run(close.clone()))
        };
        let mut doors = vec![public(self.http, None)];
        if let Some((listener, trust)) = self.https {
            trust.publish();
            tokio::spawn(trust.clone().follow());
            doors.push(public(listener, Some(trust)));
        }
        stop.cancelled().await;
        door.drain();
        tracing::info!(in_flight = door.in_flight.now(), "draining");
        tokio::time::sleep(self.drain_delay).await;
        close.cancel();
        for door in doors {
            let _ = door.await;
        }
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
