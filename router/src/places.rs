//! Places for connections: so many in all, and so many of one address.
//!
//! The accept loop takes a [`Place`] for each connection and drops it with it. Without the second bound one client could hold
//! all of the first. Connections of trusted proxies are those of everybody behind them and count only as a whole; a /64 of
//! IPv6 is one address. The table has at most as many entries as there are connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::auth::Cidr;
use crate::config::Config;
use crate::rate_limit::network_of;

/// The places of a port.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    per_address: usize,
    loopback: usize,
    trusted: Vec<Cidr>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

impl Places {
    /// Those that visitors have by the settings.
    pub(crate) fn of_visitors(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            all: config.max_connections,
            per_address: config.max_connections_per_address,
            loopback: config.max_connections_loopback,
            trusted: config.trusted_proxy.clone(),
            taken: Mutex::default(),
        })
    }

    /// So many, for whoever comes.
    pub(crate) fn plain(all: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            per_address: all,
            loopback: all,
            trusted: Vec::new(),
            taken: Mutex::default(),
        })
    }

    /// A place for a connection from there, where there is one.
    pub(crate) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        // A socket for both families shows IPv4 as IPv6.
        let peer = peer.to_canonical();
        let is_trusted = self.trusted.iter().any(|range| range.contains(peer));
        let most = if peer.is_loopback() {
            self.loopback
        } else {
            self.per_address
        };
        let counted = (!is_trusted).then(|| network_of(peer));
        let mut taken = self.taken.lock();
        if taken.all >= self.all {
            return None;
        }
        if let Some(address) = counted {
            let of_address = taken.of.get(&address).copied().unwrap_or_default();
            if of_address >= most {
                return None;
            }
            taken.of.insert(address, of_address + 1);
        }
        taken.all += 1;
        drop(taken);
        Some(Place {
            places: self.clone(),
            counted,
        })
    }
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    counted: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
        if let Some(address) = self.counted
            && let Some(count) = taken.of.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                taken.of.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn places() -> Arc<Places> {
        Places::of_visitors(&Config {
            max_connections: 6,
            max_connections_per_address: 2,
            trusted_proxy: vec!["10.0.0.0/8".parse().unwrap()],
            ..Config::default()
        })
    }

    fn take(places: &Arc<Places>, peer: &str) -> Option<Place> {
        places.take(peer.parse().unwrap())
    }

    #[test]
    fn one_address_does_not_take_the_places_of_others() {
        let places = places();
        let mut first = vec![
            take(&places, "203.0.113.1").unwrap(),
            take(&places, "203.0.113.1").unwrap(),
        ];
        assert!(take(&places, "203.0.113.1").is_none());
        assert!(take(&places, "::ffff:203.0.113.1").is_none());
        let other = take(&places, "203.0.113.2").unwrap();
        first.pop();
        first.push(take(&places, "203.0.113.1").unwrap());
        drop((first, other));
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.of.len()), (0, 0));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let places = places();
        let _two = (
            take(&places, "2001:db8:1:2::1").unwrap(),
            take(&places, "2001:db8:1:2::2").unwrap(),
        );
        assert!(take(&places, "2001:db8:1:2:ffff::3").is_none());
        assert!(take(&places, "2001:db8:1:3::1").is_some());
    }

    #[test]
    fn proxies_and_this_machine_are_bound_by_the_whole_only() {
        let places = places();
        let proxied: Vec<_> = (0..3).map(|_| take(&places, "10.0.0.1").unwrap()).collect();
        let local: Vec<_> = (0..3).map(|_| take(&places, "127.0.0.1").unwrap()).collect();
        assert!(take(&places, "203.0.113.1").is_none());
        drop((proxied, local));
        assert!(take(&places, "203.0.113.1").is_some());
    }
}
