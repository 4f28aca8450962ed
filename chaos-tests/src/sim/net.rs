//! The simulated network: connections between hosts that delay, stall and break, under the real clients and servers.
//!
//! [`SimDial`] stands in for TCP. A call goes straight into the other host's services, in the same process; what it
//! carries passes through [`Carried`] bodies, frame by frame in order, as bytes do in a TCP stream. So a network fault is
//! what a program sees of one: a frame that comes late, a stream that stands still, a connection that is refused or breaks.
//! Calls overtake each other; frames of one stream do not. A call with one message may arrive twice, as behind a proxy
//! that sends again.

mod body;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use rotunda_protocol::dial::{BadAddress, Callee, Dial, Line, LineError};
use rotunda_protocol::{KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT};
use rotunda_raft_storage::scope::Scope;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Service as _, service_fn};

use self::body::Carried;
use super::chance::Chance;

/// A host: nodes from 1, clients from 101.
pub type HostId = u32;

/// How long a connection attempt waits for an answer that is cut off.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// What is lost is sent again after so long, as TCP does.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// How one direction between two hosts behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Shortest delay of a frame.
    pub delay_min: Duration,
    /// Longest.
    pub delay_max: Duration,
    /// So many frames in a thousand are lost and come again later.
    pub loss: u32,
    /// So many calls in a thousand arrive twice.
    pub twice: u32,
    /// Bytes a second; `None` where they take no time.
    pub bytes_per_second: Option<u32>,
    /// Nothing gets through.
    pub cut: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            delay_min: Duration::from_micros(50),
            delay_max: Duration::from_micros(400),
            loss: 0,
            twice: 0,
            bytes_per_second: None,
            cut: false,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetCounts {
    /// Calls that reached a host.
    pub calls: u64,
    /// Frames carried.
    pub frames: u64,
    /// Frames lost and sent again.
    pub lost: u64,
    /// Calls that arrived twice.
    pub twice: u64,
    /// Attempts to connect that failed.
    pub refused: u64,
    /// Connections that broke.
    pub broken: u64,
    /// Snapshots that one node sent another.
    pub snapshots: u64,
}

struct Host {
    scope: Scope,
    routes: Routes,
}

struct Connection {
    from: HostId,
    to: HostId,
    broken: watch::Sender<bool>,
}

struct State {
    chance: Chance,
    addresses: BTreeMap<String, HostId>,
    hosts: BTreeMap<HostId, Host>,
    weather: BTreeMap<(HostId, HostId), Weather>,
    usual: Weather,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    counts: NetCounts,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Net {
    state: Arc<Mutex<State>>,
    /// Moves when the weather does: frames that stand still look again.
    changes: watch::Sender<u64>,
}

impl fmt::Debug for Net {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Net").finish_non_exhaustive()
    }
}

impl Net {
    /// Without hosts, in usual weather everywhere.
    #[must_use]
    pub fn new(chance: Chance, usual: Weather) -> Self {
        let state = State {
            chance,
            addresses: BTreeMap::new(),
            hosts: BTreeMap::new(),
            weather: BTreeMap::new(),
            usual,
            connections: BTreeMap::new(),
            next_connection: 0,
            counts: NetCounts::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            changes: watch::Sender::new(0),
        }
    }

    /// The address of a host.
    #[must_use]
    pub fn address(host: HostId) -> String {
        format!("http://host-{host}:7001")
    }

    /// How `host` reaches others.
    #[must_use]
    pub fn dial(&self, from: HostId) -> Arc<dyn Dial> {
        Arc::new(SimDial {
            net: self.clone(),
            from,
        })
    }

    /// A host begins to listen.
    pub fn up(&self, host: HostId, scope: Scope, routes: Routes) {
        let mut state = self.state.lock();
        state.addresses.insert(Self::address(host), host);
        state.hosts.insert(host, Host { scope, routes });
    }

    /// A host is gone, and all connections from and to it with it.
    pub fn down(&self, host: HostId) {
        self.state.lock().hosts.remove(&host);
        self.break_where(|connection| connection.from == host || connection.to == host);
    }

    /// Sets the weather of one direction; `None` for the usual one.
    pub fn set_weather(&self, from: HostId, to: HostId, weather: Option<Weather>) {
        {
            let mut state = self.state.lock();
            match weather {
                Some(weather) => state.weather.insert((from, to), weather),
                None => state.weather.remove(&(from, to)),
            };
        }
        self.changes.send_modify(|version| *version += 1);
    }

    /// The usual weather everywhere.
    pub fn clear_up(&self) {
        self.state.lock().weather.clear();
        self.changes.send_modify(|version| *version += 1);
    }

    /// Breaks every connection between the two, as a firewall that forgets or a cable that is pulled and put back.
    pub fn reset(&self, one: HostId, other: HostId) {
        self.break_where(|connection| {
            (connection.from, connection.to) == (one, other) || (connection.from, connection.to) == (other, one)
        });
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> NetCounts {
        self.state.lock().counts
    }

    fn break_where(&self, which: impl Fn(&Connection) -> bool) {
        let broken: Vec<watch::Sender<bool>> = {
            let mut state = self.state.lock();
            let numbers: Vec<u64> = state
                .connections
                .iter()
                .filter(|(_, connection)| which(connection))
                .map(|(number, _)| *number)
                .collect();
            state.counts.broken += numbers.len() as u64;
            numbers
                .iter()
                .filter_map(|number| state.connections.remove(number))
                .map(|connection| connection.broken)
                .collect()
        };
        for connection in broken {
            connection.send_replace(true);
        }
    }

    fn weather(&self, from: HostId, to: HostId) -> Weather {
        let state = self.state.lock();
        state.weather.get(&(from, to)).copied().unwrap_or(state.usual)
    }

    /// How long a frame of `bytes` takes now, and counts it.
    fn delay(&self, from: HostId, to: HostId, bytes: usize) -> Duration {
        let mut state = self.state.lock();
        let weather = state.weather.get(&(from, to)).copied().unwrap_or(state.usual);
        state.counts.frames += 1;
        let mut delay = state.chance.time(weather.delay_min, weather.delay_max);
        if state.chance.per_mille(weather.loss) {
            state.counts.lost += 1;
            delay += RETRANSMIT;
        }
        if let Some(rate) = weather.bytes_per_second {
            let nanos = (bytes as u64).saturating_mul(1_000_000_000) / u64::from(rate.max(1));
            delay += Duration::from_nanos(nanos);
        }
        delay
    }

    /// Lets a call with one message reach the host once more, some time later; nobody waits for that answer.
    async fn maybe_twice(
        &self,
        from: HostId,
        to: HostId,
        scope: &Scope,
        routes: &Routes,
        request: http::Request<Body>,
    ) -> Result<http::Request<Body>, LineError> {
        if !ONE_MESSAGE.iter().any(|call| request.uri().path().ends_with(call)) {
            return Ok(request);
        }
        let twice = {
            let mut state = self.state.lock();
            let weather = state.weather.get(&(from, to)).copied().unwrap_or(state.usual);
            let twice = state.chance.per_mille(weather.twice);
            state.counts.twice += u64::from(twice);
            twice
        };
        if !twice {
            return Ok(request);
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(LineError::because)?.to_bytes();
        let again = http::Request::from_parts(head.clone(), Body::new(Full::new(body.clone())));
        let (mut routes, delay) = (routes.clone(), self.delay(from, to, body.len()));
        scope.spawn(async move {
            sleep(delay).await;
            // Whatever it answers, the caller has its answer from the first.
            let _ = routes.call(again).await;
        });
        Ok(http::Request::from_parts(head, Body::new(Full::new(body))))
    }

    fn refuse(&self, why: &str) -> LineError {
        self.state.lock().counts.refused += 1;
        LineError::because(why.to_owned())
    }

    fn connect(&self, from: HostId, to: HostId) -> Wire {
        let broken = watch::Sender::new(false);
        let mut state = self.state.lock();
        state.counts.calls += 1;
        let number = state.next_connection;
        state.next_connection += 1;
        let watched = broken.subscribe();
        state.connections.insert(number, Connection { from, to, broken });
        Wire(Arc::new(Ends {
            net: self.clone(),
            number,
            from,
            to,
            broken: watched,
        }))
    }

    async fn call(
        self,
        from: HostId,
        address: String,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, LineError> {
        let to = self.state.lock().addresses.get(&address).copied();
        let Some(to) = to else {
            return Err(self.refuse("no such host"));
        };
        if self.weather(from, to).cut || self.weather(to, from).cut {
            sleep(CONNECT_TIMEOUT).await;
            return Err(self.refuse("timed out while connecting"));
        }
        sleep(self.delay(from, to, 0)).await;
        let found = {
            let state = self.state.lock();
            state
                .hosts
                .get(&to)
                .map(|host| (host.scope.clone(), host.routes.clone()))
        };
        let Some((scope, mut routes)) = found else {
            return Err(self.refuse("connection refused"));
        };
        let wire = self.connect(from, to);
        if request.uri().path().ends_with("/Snapshot") {
            self.state.lock().counts.snapshots += 1;
        }
        let request = self.maybe_twice(from, to, &scope, &routes, request).await?;
        let request = request.map(|body| Body::new(Carried::new(body, wire.clone(), false)));
        // The other host's work, though it is done in the caller's task.
        let answer = scope.hold(async move { routes.call(request).await });
        let response = tokio::select! {
            biased;
            () = wire.broken() => return Err(LineError::because("the connection broke")),
            answer = answer => answer.map_err(LineError::because)?,
        };
        wire.pass(true, 0).await?;
        Ok(response.map(|body| Body::new(Carried::new(body, wire, true))))
    }
}

/// Calls whose request is one message: they can be sent again as they are.
const ONE_MESSAGE: [&str; 9] = [
    "/Query",
    "/Status",
    "/AssignVenues",
    "/SetLimits",
    "/RaiseVersion",
    "/Drain",
    "/FillCalendar",
    "/RegisterNode",
    "/TransferLeader",
];

/// One connection, while somebody holds an end of it.
#[derive(Clone)]
struct Wire(Arc<Ends>);

struct Ends {
    net: Net,
    number: u64,
    from: HostId,
    to: HostId,
    broken: watch::Receiver<bool>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.net.state.lock().connections.remove(&self.number);
    }
}

impl Wire {
    /// Who sends and who receives; `back` is from the called to the caller.
    fn direction(&self, back: bool) -> (HostId, HostId) {
        if back {
            (self.0.to, self.0.from)
        } else {
            (self.0.from, self.0.to)
        }
    }

    async fn broken(&self) {
        let mut broken = self.0.broken.clone();
        // An error means that the network is gone, which breaks it as well.
        let _ = broken.wait_for(|broken| *broken).await;
    }

    /// When a frame that is sent now arrives, at the earliest.
    fn arrival(&self, back: bool, bytes: usize) -> Instant {
        let (from, to) = self.direction(back);
        Instant::now() + self.0.net.delay(from, to, bytes)
    }

    /// Returns once nothing is cut; breaks where that lasts for longer than a keep-alive.
    async fn open(&self, back: bool) -> Result<(), LineError> {
        let (from, to) = self.direction(back);
        let mut changes = self.0.net.changes.subscribe();
        let patience = sleep(KEEP_ALIVE_INTERVAL + KEEP_ALIVE_TIMEOUT);
        let mut patience = std::pin::pin!(patience);
        loop {
            // The other direction may be cut: then what arrives here is not acknowledged, which the sender learns later.
            if !self.0.net.weather(from, to).cut {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.broken() => return Err(LineError::because("the connection broke")),
                _ = changes.changed() => {}
                () = &mut patience => {
                    let number = self.0.number;
                    let connection = self.0.net.state.lock().connections.remove(&number);
                    if let Some(connection) = connection {
                        self.0.net.state.lock().counts.broken += 1;
                        connection.broken.send_replace(true);
                    }
                    return Err(LineError::because("keep-alive timed out"));
                }
            }
        }
    }

    /// Carries something of its own, as the head of an answer.
    async fn pass(&self, back: bool, bytes: usize) -> Result<(), LineError> {
        let arrival = self.arrival(back, bytes);
        tokio::time::sleep_until(arrival).await;
        self.open(back).await
    }
}

/// [`Dial`] over a [`Net`].
#[derive(Clone, Debug)]
struct SimDial {
    net: Net,
    from: HostId,
}

impl Dial for SimDial {
    fn line(&self, callee: Callee<'_>, _window_bytes: u32) -> Result<Line, BadAddress> {
        let (net, from, address) = (self.net.clone(), self.from, callee.address.to_owned());
        Ok(Line::new(service_fn(move |request| {
            net.clone().call(from, address.clone(), request)
        })))
    }
}
