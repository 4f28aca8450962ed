//! One quota, and what each caller has left of it: a table of callers that is bounded.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use http::HeaderValue;
use rotunda_booking::ids::VenueNo;

use super::Quota;
use crate::api::header_value;
use crate::auth::{Caller, Credential};

/// Buckets that callers share when there are too many of them.
const CROWD: u16 = 1_024;

/// What a quota is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Token(Arc<str>),
    Address(IpAddr),
    Crowd(u16),
    Venue(VenueNo),
}

type Keyed = RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// One quota and its callers.
pub(super) struct Limit {
    keyed: Keyed,
    clock: DefaultClock,
    /// Time that one request costs.
    cost: Duration,
    /// As headers name it.
    name: String,
    /// `RateLimit-Policy`.
    pub(super) policy: HeaderValue,
    quota: Quota,
    /// Callers counted one by one; see [`super::MAX_CALLERS`].
    most: AtomicUsize,
    crowded: AtomicBool,
    /// Requests since the callers were counted last: at most so many callers are new. Counting locks the whole map.
    uncounted: AtomicUsize,
}

impl Limit {
    /// A quota that headers call so, for at most so many callers; nothing where there is no limit.
    pub(super) fn new(name: &str, quota: Quota, most: usize) -> Option<Self> {
        let (count, time) = quota.0?;
        let cost = time / count.get();
        let governor_quota = governor::Quota::with_period(cost)?.allow_burst(count);
        let seconds = time.as_secs().max(1);
        Some(Self {
            keyed: RateLimiter::keyed(governor_quota).with_middleware(),
            clock: DefaultClock::default(),
            cost,
            name: name.to_owned(),
            policy: HeaderValue::from_str(&format!("\"{name}\";q={count};w={seconds}")).ok()?,
            quota,
            most: AtomicUsize::new(most),
            crowded: AtomicBool::new(false),
            uncounted: AtomicUsize::new(0),
        })
    }

    /// The same quota, of which callers have spent already, for at most so many of them from now on.
    pub(super) fn go_on(&self, quota: Quota, most: usize) -> bool {
        let is_same = self.quota == quota;
        if is_same {
            self.most.store(most, Ordering::Relaxed);
        }
        is_same
    }

    /// What the caller is counted by.
    pub(super) fn key(&self, caller: &Caller) -> Key {
        match &caller.credential {
            Credential::Token { holder, .. } => Key::Token(holder.name.clone()),
            Credential::None | Credential::Unknown => {
                let address = network_of(caller.address);
                if self.uncounted.fetch_add(1, Ordering::Relaxed) >= self.most.load(Ordering::Relaxed) / 10 {
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

    /// Spends one request.
    pub(super) fn spend(&self, key: &Key) -> Decision {
        match self.keyed.check_key(key) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let spent = state.quota().burst_size().get().saturating_sub(left);
                Decision::Go {
                    left,
                    full_in: self.cost.saturating_mul(spent),
                }
            }
            Err(until) => Decision::Wait(until.wait_time_from(self.clock.now())),
        }
    }

    fn count(&self) {
        self.uncounted.store(0, Ordering::Relaxed);
        self.crowded
            .store(self.keyed.len() >= self.most.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Forgets callers whose quota is whole again.
    pub(super) fn tidy(&self) {
        self.keyed.retain_recent();
        self.keyed.shrink_to_fit();
        self.count();
    }

    /// `RateLimit`.
    pub(super) fn state(&self, left: u32, reset: Duration) -> HeaderValue {
        let (mut first, mut second) = (itoa::Buffer::new(), itoa::Buffer::new());
        header_value(&[
            "\"",
            &self.name,
            "\";r=",
            first.format(left),
            ";t=",
            second.format(whole_seconds(reset)),
        ])
    }
}

/// What became of a request.
pub(super) enum Decision {
    Go { left: u32, full_in: Duration },
    Wait(Duration),
}

/// Rounded up, and at least one: a client that comes back too early is refused again.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}

/// One household or company has one IPv4 address, but a whole /64 of IPv6.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
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
        Limit::new("burst", text.parse().unwrap(), 1_000_000).unwrap()
    }

    fn allowed(limit: &Limit, caller: &Caller) -> bool {
        matches!(limit.spend(&limit.key(caller)), Decision::Go { .. })
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
            .map(|_| match limit.spend(&limit.key(&one)) {
                Decision::Go { left, full_in } => (left, full_in.as_secs()),
                Decision::Wait(_) => unreachable!(),
            })
            .collect();
        assert_eq!(left, [(3, 60), (2, 120), (1, 180), (0, 240)]);
    }

    #[test]
    fn a_flood_of_addresses_shares_buckets_and_stays_bounded() {
        let limit = limit("5/1000m");
        let limit_most = 1_000;
        assert!(limit.go_on("5/1000m".parse().unwrap(), limit_most));
        // Nobody tidies meanwhile: the bound does not depend on it.
        for n in 0..20_000_u32 {
            allowed(
                &limit,
                &stranger(&std::net::Ipv4Addr::from(n + 0x0b00_0000).to_string()),
            );
        }
        let most = limit_most + limit_most / 10 + 1 + usize::from(CROWD);
        assert!(limit.keyed.len() <= most, "{} callers", limit.keyed.len());
    }

    #[test]
    fn after_the_flood_callers_are_told_apart_again() {
        let limit = limit("1/1ms");
        assert!(limit.go_on("1/1ms".parse().unwrap(), 10));
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
}
