//! Quotas: how much one caller may ask for. A token has its own quota, everybody else is counted by address.
//!
//! The stack runs [`spend`] after `auth::identify` and before anything has an effect, so a limited request changes
//! nothing. Written on governor directly: `tower_governor` sends outdated headers and believes forged ones. Answers carry
//! `RateLimit-Policy` and `RateLimit`; 429 is the caller's own quota, never our overload (that is 503, see `stack`).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{InsufficientCapacity, RateLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::api::error::{Code, Problem};
use crate::api::header_value;
use crate::auth::{Caller, Credential};
use crate::server::Door;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Callers counted one by one, to within a tenth. Beyond it callers share [`CROWD`] buckets until [`Limits::tidy`] has made
/// room: a flood of addresses costs strangers some of their quota, never our memory.
const MAX_CALLERS: usize = 100_000;

/// Buckets that callers share when there are too many of them.
const CROWD: u16 = 1_024;

/// So many requests in so long; the burst is the whole count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quota(Option<(NonZeroU32, Duration)>);

impl Quota {
    /// `count` requests in `time`; unlimited where either is nothing.
    #[must_use]
    pub fn per(count: u32, time: Duration) -> Self {
        Self(
            NonZeroU32::new(count)
                .filter(|_| !time.is_zero())
                .map(|count| (count, time)),
        )
    }

    /// No limit.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }
}

impl std::str::FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::off());
        }
        let wrong = || format!("`{text}` is not a quota; write 1000/10s, or off");
        let (count, time) = text.split_once('/').ok_or_else(wrong)?;
        let count: NonZeroU32 = count.parse().map_err(|_| wrong())?;
        let time = time.parse::<crate::config::Span>().map_err(|_| wrong())?.0;
        // One request must cost at least a nanosecond, or governor could not count it.
        if time.as_nanos() < u128::from(count.get()) {
            return Err(wrong());
        }
        Ok(Self(Some((count, time))))
    }
}

impl TryFrom<String> for Quota {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Quota> for String {
    fn from(quota: Quota) -> Self {
        match quota.0 {
            Some((count, time)) => format!("{count}/{}ms", time.as_millis()),
            None => "off".to_owned(),
        }
    }
}

/// What a quota is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Token(Arc<str>),
    Address(IpAddr),
    Crowd(u16),
}

type Keyed = RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// One quota and its callers.
struct Limit {
    keyed: Keyed,
    clock: DefaultClock,
    /// Time that one request costs.
    cost: Duration,
    /// `RateLimit-Policy`.
    policy: HeaderValue,
    /// See [`MAX_CALLERS`].
    most: usize,
    crowded: AtomicBool,
    /// Requests since the callers were counted last: at most so many callers are new. Counting locks the whole map.
    uncounted: AtomicUsize,
}

impl Limit {
    fn new(quota: Quota) -> Option<Self> {
        let (count, time) = quota.0?;
        let cost = time / count.get();
        let governor_quota = governor::Quota::with_period(cost)?.allow_burst(count);
        let seconds = time.as_secs().max(1);
        Some(Self {
            keyed: RateLimiter::keyed(governor_quota).with_middleware(),
            clock: DefaultClock::default(),
            cost,
            policy: HeaderValue::from_str(&format!("\"burst\";q={count};w={seconds}")).ok()?,
            most: MAX_CALLERS,
            crowded: AtomicBool::new(false),
            uncounted: AtomicUsize::new(0),
        })
    }

    fn key(&self, caller: &Caller) -> Key {
        match &caller.credential {
            Credential::Token { holder, .. } => Key::Token(holder.name.clone()),
            Credential::None | Credential::Unknown => {
                let address = network_of(caller.address);
                if self.uncounted.fetch_add(1, Ordering::Relaxed) >= self.most / 10 {
                    self.count();
                }
                if self.crowded.load(Ordering::Relaxed) {
                    Key::Crowd(bucket_of(address))
                } else {
                    Key::Address(address)
                }
            }
        }
    }

    fn spend(&self, caller: &Caller, count: NonZeroU32) -> Decision {
        match self.keyed.check_key_n(&self.key(caller), count) {
            Ok(Ok(state)) => {
                let left = state.remaining_burst_capacity();
                let spent = state.quota().burst_size().get().saturating_sub(left);
                Decision::Go {
                    left,
                    full_in: self.cost.saturating_mul(spent),
                }
            }
            Ok(Err(until)) => Decision::Wait(until.wait_time_from(self.clock.now())),
            Err(InsufficientCapacity(_)) => Decision::Wait(Duration::from_secs(60)),
        }
    }

    fn count(&self) {
        self.uncounted.store(0, Ordering::Relaxed);
        self.crowded.store(self.keyed.len() >= self.most, Ordering::Relaxed);
    }

    fn tidy(&self) {
        self.keyed.retain_recent();
        self.keyed.shrink_to_fit();
        self.count();
    }
}

enum Decision {
    Go { left: u32, full_in: Duration },
    Wait(Duration),
}

/// The quotas of the door: one for tokens, one for this machine, one for everybody else.
pub struct Limits {
    token: Option<Limit>,
    loopback: Option<Limit>,
    address: Option<Limit>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// Quotas of tokens, of callers on this machine, of all other callers.
    #[must_use]
    pub fn new(token: Quota, loopback: Quota, address: Quota) -> Self {
        Self {
            token: Limit::new(token),
            loopback: Limit::new(loopback),
            address: Limit::new(address),
        }
    }

    fn of(&self, caller: &Caller) -> Option<&Limit> {
        if caller.has_token() {
            self.token.as_ref()
        } else if caller.address.is_loopback() {
            self.loopback.as_ref()
        } else {
            self.address.as_ref()
        }
    }

    /// Forgets callers whose quota is whole again. Called every second.
    pub fn tidy(&self) {
        for limit in [&self.token, &self.loopback, &self.address].into_iter().flatten() {
            limit.tidy();
        }
    }
}

/// What is left of a caller's quota after a request.
pub(crate) struct Quoted {
    policy: HeaderValue,
    left: u32,
    full_in: Duration,
}

impl Quoted {
    /// Writes it into the answer's head.
    pub(crate) fn show(self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(POLICY, self.policy);
        headers.insert(STATE, state_header(self.left, self.full_in));
    }
}

/// Spends one request of the caller's quota, where it has one, or refuses.
pub(crate) fn spend(door: &Door, caller: &Caller) -> Result<Option<Quoted>, Problem> {
    let Some(limit) = door.limits.of(caller) else {
        return Ok(None);
    };
    match limit.spend(caller, NonZeroU32::MIN) {
        Decision::Go { left, full_in } => Ok(Some(Quoted {
            policy: limit.policy.clone(),
            left,
            full_in,
        })),
        Decision::Wait(wait) => {
            door.metrics.rate_limited();
            let seconds = whole_seconds(wait);
            let detail =
                format!("Your quota is used up. Send the request again in {seconds} s; this one had no effect.");
            Err(Problem::new(Code::RateLimited, detail)
                .header(RETRY_AFTER, HeaderValue::from(seconds))
                .header(POLICY, limit.policy.clone())
                .header(STATE, state_header(0, wait)))
        }
    }
}

fn state_header(left: u32, reset: Duration) -> HeaderValue {
    let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
    header_value(&[
        "\"burst\";r=",
        first.format(left),
        ";t=",
        second.format(whole_seconds(reset)),
    ])
}

/// Rounded up, and at least one: a client that comes back too early is refused again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}

/// One household or company has one IPv4 address, but a whole /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
    }
}

fn bucket_of(address: IpAddr) -> u16 {
    let mixed = match address {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64,
    }
    .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 48) as u16 % CROWD
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn stranger(address: &str) -> Caller {
        Caller {
            address: address.parse().unwrap(),
            credential: Credential::None,
        }
    }

    fn limit(text: &str) -> Limit {
        Limit::new(text.parse().unwrap()).unwrap()
    }

    fn allowed(limit: &Limit, caller: &Caller) -> bool {
        matches!(limit.spend(caller, NonZeroU32::MIN), Decision::Go { .. })
    }

    #[test]
    fn each_caller_has_its_own_quota() {
        let limit = limit("3/1000m");
        let (one, other) = (stranger("203.0.113.1"), stranger("203.0.113.2"));
        assert!((0..3).all(|_| allowed(&limit, &one)));
        assert!(!allowed(&limit, &one));
        assert!(allowed(&limit, &other));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_caller() {
        let limit = limit("1/1000m");
        assert!(allowed(&limit, &stranger("2001:db8:1:2::1")));
        assert!(!allowed(&limit, &stranger("2001:db8:1:2:ffff::2")));
        assert!(allowed(&limit, &stranger("2001:db8:1:3::1")));
    }

    #[test]
    fn what_is_left_counts_down_and_the_time_to_full_up() {
        let limit = limit("4/4m");
        let one = stranger("203.0.113.1");
        let left: Vec<(u32, u64)> = (0..4)
            .map(|_| match limit.spend(&one, NonZeroU32::MIN) {
                Decision::Go { left, full_in } => (left, full_in.as_secs()),
                Decision::Wait(_) => unreachable!(),
            })
            .collect();
        assert_eq!(left, [(3, 60), (2, 120), (1, 180), (0, 240)]);
    }

    #[test]
    fn a_flood_of_addresses_shares_buckets_and_stays_bounded() {
        let mut limit = limit("5/1000m");
        limit.most = 1_000;
        // Nobody tidies meanwhile: the bound does not depend on it.
        for n in 0..20_000_u32 {
            allowed(
                &limit,
                &stranger(&std::net::Ipv4Addr::from(n + 0x0b00_0000).to_string()),
            );
        }
        let most = limit.most + limit.most / 10 + 1 + usize::from(CROWD);
        assert!(limit.keyed.len() <= most, "{} callers", limit.keyed.len());
    }

    #[test]
    fn after_the_flood_callers_are_told_apart_again() {
        let mut limit = limit("1/1ms");
        limit.most = 10;
        for n in 0..100_u32 {
            allowed(&limit, &stranger(&std::net::Ipv4Addr::from(n).to_string()));
        }
        assert!(matches!(limit.key(&stranger("203.0.113.1")), Key::Crowd(_)));
        while !limit.keyed.is_empty() {
            limit.tidy();
        }
        limit.tidy();
        assert!(matches!(limit.key(&stranger("203.0.113.1")), Key::Address(_)));
    }

    #[test]
    fn quotas_are_read_as_people_write_them() {
        assert_eq!(
            "100/60s".parse::<Quota>().unwrap(),
            Quota::per(100, Duration::from_secs(60))
        );
        assert_eq!("off".parse::<Quota>().unwrap(), Quota::off());
        for wrong in ["", "100", "0/1s", "-1/1s", "5/0s", "4000000000/1ms", "5/1h"] {
            assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
        }
    }
}
