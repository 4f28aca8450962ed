//! Strangers: a million addresses ask a router for something, each as often as it may and then once more, while its limiter
//! counts them one by one up to its bound. Told are the rate, what became of the requests, and what the router's memory grew
//! by: for each address that would be counted by itself, and in all.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::cpu;
use super::door::Http;
use super::market::{Kind, NotOnOffer};
use super::run::{self, Plan, Way};
use super::samples::Ending;
use super::shopper::Workload;

/// What they ask for: it costs the router as little as anything.
const PATH: &str = "/problems/sold_out";

/// What is measured.
#[derive(Clone, Debug)]
pub struct Strange {
    /// Addresses, each of which asks once in turn.
    pub addresses: usize,
    /// Connections that they come over, as through a proxy that the router trusts.
    pub connections: usize,
    /// The quota of each, as the router reads it.
    pub quota: String,
    /// Where the programs are; beside this one where nobody says.
    pub programs: Option<PathBuf>,
    /// Where data and logs go; where temporary files go where nobody says.
    pub place: Option<PathBuf>,
}

/// What it came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Addresses that asked.
    pub addresses: usize,
    /// The quota of each.
    pub quota: String,
    /// Requests a second.
    pub rate: f64,
    /// Answered as asked.
    pub answered: u64,
    /// Told that the quota is used up: strangers who share a bucket with too many.
    pub limited: u64,
    /// Neither.
    pub failed: u64,
    /// The router's resident memory before the first, the most meanwhile, and some seconds after the last.
    pub resident_bytes: (u64, u64, u64),
}

impl Outcome {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let (before, most, after) = self.resident_bytes;
        let mebi = |bytes: u64| bytes >> 20;
        format!(
            "{} addresses, a quota of {} each: {:.0} requests a second\n\
             answered {}, told to wait {} (429), failed {}\n\
             the router's memory: {} MiB before, {} MiB at most, {} MiB after; {} bytes an address\n",
            self.addresses,
            self.quota,
            self.rate,
            self.answered,
            self.limited,
            self.failed,
            mebi(before),
            mebi(most),
            mebi(after),
            most.saturating_sub(before) / (self.addresses.max(1) as u64),
        )
    }

    /// True where every request was answered one way or the other.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.failed == 0 && self.answered > 0
    }
}

/// Measures it.
///
/// # Errors
/// Where nothing can be measured.
///
/// # Panics
/// Where the cluster does not come up, or ends.
pub async fn measure(strange: &Strange) -> Result<Outcome, NotOnOffer> {
    let plan = Plan {
        market: Kind::WholeNetwork,
        place: strange.place.clone(),
        router_flags: format!("--rate-limit {}", strange.quota),
        ..Plan::new(
            Workload::Spread,
            Way::Http,
            Duration::from_secs(1),
            strange.programs.clone(),
        )
    };
    let mut ground = run::found(&plan).await?;
    let (door, router) = (ground.cluster.http_address(), ground.cluster.router().pid());
    let resident = || cpu::resident(router).unwrap_or(0);

    let connections = strange.connections.max(1);
    let told: Arc<[AtomicU64; 3]> = Arc::default();
    let open = Arc::new(AtomicUsize::new(connections));
    let mut random = fastrand::Rng::with_seed(1);
    let before = resident();
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for first in 0..connections {
        let mut http = Http::new(door, first, random.fork());
        let (told, open, addresses) = (Arc::clone(&told), Arc::clone(&open), strange.addresses);
        tasks.spawn(async move {
            for address in (first..addresses).step_by(connections) {
                http.call_from(address);
                let which = match http.get(PATH).await {
                    Some(Ending::Done) => 0,
                    Some(Ending::Shed) => 1,
                    _ => 2,
                };
                told[which].fetch_add(1, Ordering::Relaxed);
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    let mut most = before;
    while open.load(Ordering::Relaxed) > 0 {
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    tasks.join_all().await;
    // The limiter tidies every second, the allocator gives back after some.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let after = resident();
    ground.cluster.check_processes();
    let [answered, limited, failed] = [0, 1, 2].map(|which: usize| told[which].load(Ordering::Relaxed));
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let rate = (answered + limited + failed) as f64 / took;
    Ok(Outcome {
        addresses: strange.addresses,
        quota: strange.quota.clone(),
        rate,
        answered,
        limited,
        failed,
        resident_bytes: (before, most, after),
    })
}
