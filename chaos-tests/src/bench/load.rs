//! Many clients at once. Closed: each asks again when it has its answer. Open: requests are due at times that nobody's
//! slowness moves, and whoever is free takes the next; one that waits for a free client waits on its own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::samples::Samples;

/// When requests are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    /// Each client when it has its answer.
    Closed,
    /// At these times after the begin, in order.
    Open(Arc<[Duration]>),
}

impl Pace {
    /// Requests at random, independent of each other, so many a second (a Poisson process).
    #[must_use]
    pub fn at_rate(rate: f64, length: Duration, random: &mut fastrand::Rng) -> Self {
        let mut due = Vec::new();
        let mut at = 0.0;
        loop {
            // The time between two arrivals is distributed exponentially.
            at -= (1.0 - random.f64()).ln() / rate;
            if at >= length.as_secs_f64() {
                return Pace::Open(due.into());
            }
            due.push(Duration::from_secs_f64(at));
        }
    }

    /// So many in each second, at random within it.
    #[must_use]
    pub fn by_the_second(arrivals: &[u64], random: &mut fastrand::Rng) -> Self {
        let mut due = Vec::new();
        for (second, count) in arrivals.iter().enumerate() {
            let mut within: Vec<f64> = (0..*count).map(|_| random.f64()).collect();
            within.sort_by(f64::total_cmp);
            let begin = Duration::from_secs(second as u64);
            due.extend(within.into_iter().map(|part| begin + Duration::from_secs_f64(part)));
        }
        Pace::Open(due.into())
    }
}

/// How long, and when.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Requests that end in it do not count.
    pub warm_up: Duration,
    /// What counts.
    pub span: Duration,
    /// When requests are sent.
    pub pace: Pace,
}

/// Whether a client goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    Again,
    /// There is nothing left that anybody could buy.
    Enough,
}

/// One client.
pub trait Client: Send + 'static {
    /// One step, due at a time; notes what it measured.
    fn step(&mut self, due: Instant, samples: &Mutex<Samples>) -> impl Future<Output = Next> + Send;
}

/// Runs clients; gives them back with what all of them measured, and whether they came to the end of what there was.
pub async fn run<C: Client>(clients: Vec<C>, shape: &Shape) -> (Vec<C>, Samples) {
    let begin = Instant::now();
    let (from, until) = (begin + shape.warm_up, begin + shape.warm_up + shape.span);
    // One for all: a histogram takes a hundred kilobytes, and there may be thousands of clients.
    let samples = Arc::new(Mutex::new(Samples::new(from, until)));
    let enough = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let (pace, samples) = (shape.pace.clone(), Arc::clone(&samples));
        let (enough, next) = (Arc::clone(&enough), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let due = match &pace {
                    Pace::Closed => Instant::now(),
                    Pace::Open(times) => {
                        let Some(after) = times.get(next.fetch_add(1, Ordering::Relaxed)) else {
                            break;
                        };
                        tokio::time::sleep_until((begin + *after).into()).await;
                        begin + *after
                    }
                };
                if due >= until || enough.load(Ordering::Relaxed) {
                    break;
                }
                if client.step(due, &samples).await == Next::Enough {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            client
        });
    }
    let mut clients = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        // A client that panicked is a bug of the benchmark, and says so itself.
        clients.extend(ended);
    }
    let mut samples = samples.lock().clone();
    if enough.load(Ordering::Relaxed) {
        samples.end_at(Instant::now());
    }
    (clients, samples)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Deed, Ending};
    use super::*;

    /// Takes a while for its first request.
    struct Slow(bool);

    impl Client for Slow {
        async fn step(&mut self, due: Instant, samples: &Mutex<Samples>) -> Next {
            if !std::mem::replace(&mut self.0, true) {
                // A thread's sleep, for latencies are by the machine's clock.
                tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(300)))
                    .await
                    .expect("a sleep");
            }
            samples.lock().note(Deed::Hold, Ending::Done, due);
            Next::Again
        }
    }

    #[tokio::test]
    async fn an_open_loop_measures_from_when_a_request_was_due() {
        let due: Vec<Duration> = (0..100).map(Duration::from_millis).collect();
        let shape = Shape {
            warm_up: Duration::ZERO,
            span: Duration::from_secs(30),
            pace: Pace::Open(due.into()),
        };
        let (_, samples) = run(vec![Slow(false)], &shape).await;
        let hold = samples.of(Deed::Hold);
        assert_eq!(hold.counts.done, 100);
        assert!(
            hold.decided.value_at_quantile(0.5) > 150_000,
            "those who came during the pause waited: {}",
            hold.decided.value_at_quantile(0.5)
        );
    }

    #[test]
    fn arrivals_keep_their_rate() {
        let mut random = fastrand::Rng::with_seed(7);
        let Pace::Open(due) = Pace::at_rate(1_000.0, Duration::from_secs(20), &mut random) else {
            panic!("open")
        };
        assert!((19_000..21_000).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        let Pace::Open(due) = Pace::by_the_second(&[3, 0, 2], &mut random) else {
            panic!("open")
        };
        let seconds: Vec<u64> = due.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds, [0, 0, 0, 2, 2]);
    }
}
