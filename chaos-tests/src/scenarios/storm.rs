//! Callers who do not wait: the same request from many connections at once, again and again, and somebody who asks far more
//! often than the limiter lets them. Nobody may get anything twice, and who was turned away has had no effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::history::{Deed, Record, Recorder, Replay};
use crate::selling::{Offer, greedy};
use crate::visitor::{Request, Visitor};

/// Who repeat themselves at the same time.
const REPEATERS: usize = 6;
/// Times that each request is sent at once.
const COPIES: usize = 12;
/// Requests of the greedy one, in a row.
const GREEDY: usize = 150;

/// See the module.
#[derive(Debug)]
pub(super) struct Storm {
    stop: Arc<AtomicBool>,
    copies: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Storm {
    pub(super) fn start(door: &str, offer: &Offer, recorder: &Recorder) -> Self {
        let (stop, copies) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..REPEATERS {
            let repeater = Repeater {
                crowd: (0..COPIES).map(|_| Visitor::new(door)).collect(),
                recorder: recorder.clone(),
                copies: Arc::clone(&copies),
            };
            let (stop, offer) = (Arc::clone(&stop), offer.clone());
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    repeater.go(&offer).await;
                }
            }));
        }
        let (stopped, door, offer, recorder) = (Arc::clone(&stop), door.to_owned(), offer.clone(), recorder.clone());
        tasks.push(tokio::spawn(async move {
            let address = format!("192.0.2.{}", rand::random::<u8>());
            while !stopped.load(Ordering::Relaxed) {
                greedy(&door, &address, &offer, GREEDY, &recorder).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
        Storm { stop, copies, tasks }
    }

    /// Lets everybody finish; gives the number of copies that were answered.
    pub(super) async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in std::mem::take(&mut self.tasks) {
            // Who panicked has said so.
            let _ = task.await;
        }
        self.copies.load(Ordering::Relaxed)
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Repeater {
    crowd: Vec<Visitor>,
    recorder: Recorder,
    copies: Arc<AtomicU64>,
}

impl Repeater {
    async fn go(&self, offer: &Offer) {
        let [a, b, c] = rand::random::<[u8; 3]>();
        let address = format!("10.{a}.{b}.{c}");
        let hold = offer.hold(offer.least);
        let Some(body) = self.at_once(Deed::Hold, &address, offer, &hold).await else {
            return;
        };
        let Some(booking) = body["id"].as_str() else { return };
        let release = Request::post(format!("/v1/bookings/{booking}/release"), None);
        self.at_once(Deed::Release, &address, offer, &release).await;
    }

    /// The same request from everybody at once. The first one's answer is the request's, the others' are replays of it.
    async fn at_once(&self, deed: Deed, address: &str, offer: &Offer, request: &Request) -> Option<serde_json::Value> {
        let key = request.key.clone()?;
        let crowd: Vec<Visitor> = self.crowd.iter().map(|visitor| visitor.from_address(address)).collect();
        let mut settled = join_all(crowd.iter().map(|visitor| visitor.settle(request))).await;
        let known = settled.iter().position(|settled| settled.answer().is_some())?;
        let settled_first = settled.swap_remove(known);
        let first = settled_first.answer()?.clone();
        let replays: Vec<Replay> = settled
            .iter()
            .filter_map(|copy| {
                Some(Replay {
                    key: key.clone(),
                    first: first.clone(),
                    again: copy.answer()?.clone(),
                    invoked: copy.invoked,
                    returned: copy.returned,
                })
            })
            .collect();
        self.copies.fetch_add(replays.len() as u64, Ordering::Relaxed);
        let record = Record {
            client: address.to_owned(),
            deed,
            key,
            venue: offer.venue.clone(),
            booking: request.booking(),
            request: request.body.clone(),
            settled: settled_first,
        };
        self.recorder.settled(record, replays);
        Some(first.json())
    }
}
