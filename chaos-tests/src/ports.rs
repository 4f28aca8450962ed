//! Free loopback ports, for processes that must know each other's addresses before they start.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

/// Below the range from which Linux takes ports for outgoing connections (32768 and up): a node that is started again
/// after a minute must still find its own port free.
const PORTS: std::ops::Range<u16> = 17_000..29_000;
const ATTEMPTS: usize = 1_000;

/// Handed out already: between two tests of one process a port must not be found free twice.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A loopback address that nobody listens on.
///
/// # Panics
/// Where the machine has no free port.
#[must_use]
pub fn free() -> SocketAddr {
    let mut taken = TAKEN.lock().expect("no panic under this lock");
    for _ in 0..ATTEMPTS {
        let port = rand::random_range(PORTS);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !taken.contains(&port) && TcpListener::bind(address).is_ok() {
            taken.insert(port);
            return address;
        }
    }
    panic!("no free port on 127.0.0.1 between {} and {}", PORTS.start, PORTS.end);
}
