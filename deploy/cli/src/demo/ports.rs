//! Free ports for processes that must know each other's addresses before they start.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::Failure;

/// Below the range from which Linux takes ports for outgoing connections (32768 and up): a node that is started again
/// minutes later must still find its own port free.
const PORTS: std::ops::Range<u16> = 17_000..29_000;
const ATTEMPTS: usize = 2_000;

/// `count` loopback addresses that nobody listens on right now.
///
/// # Errors
/// Where the machine has no free ports.
pub(crate) fn free(count: usize) -> Result<Vec<SocketAddr>, Failure> {
    let mut found = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        if found.len() == count {
            break;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        if TcpListener::bind(address).is_ok() {
            found.insert(address);
        }
    }
    if found.len() < count {
        return Err(Failure::failed(format!(
            "no {count} free ports on 127.0.0.1 between {} and {}",
            PORTS.start, PORTS.end
        ))
        .next("ss -ltn, and stop what listens there"));
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_ports_are_free_and_all_different() {
        let found = free(8).unwrap();
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 8);
        let held: Vec<_> = found
            .iter()
            .map(|address| TcpListener::bind(address).unwrap())
            .collect();
        assert_eq!(held.len(), 8);
    }
}
