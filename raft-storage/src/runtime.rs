//! The runtime that openraft runs on: tokio's, with its random numbers from a seed where a simulator has given one. openraft
//! draws the time-outs of elections and the phase of its ticks from there, and nothing else.
//!
//! Sleeps until a moment are rounded up so that the ticks of many groups fall together, as the slack of Linux's timers lets
//! theirs: a node with 64 groups is woken a few dozen times a second instead of thousands, and the heartbeats of one moment
//! leave in one write. openraft draws a phase for every group's ticks to keep them apart; what it avoids, a burst of work,
//! is a millisecond here, and what that costs is most of an idle node.
//!
//! A thread without a seed draws from the system, so a server that was built together with a simulator, and with the
//! simulator's features, behaves like one that was not.

#![allow(deprecated, reason = "upstream wants its own crate named; it is the same type")]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use openraft::impls::TokioRuntime;
use openraft::rt::{AsyncRuntime, Instant as _, OptionalSend, Select2, Select3, Select4};
use rand::rngs::{SmallRng, ThreadRng};
use rand::{Rng, SeedableRng, TryRng};

type Moment = <TokioRuntime as AsyncRuntime>::Instant;

thread_local! {
    static SEEDED: RefCell<Option<Seeded>> = const { RefCell::new(None) };
}

/// What a simulator's thread has of its own.
struct Seeded {
    random: SmallRng,
    /// When the first sleep was asked for: the simulated clock starts at another moment in every run.
    origin: Option<Moment>,
}

/// From where rounded moments are counted.
fn origin() -> Moment {
    static ORIGIN: OnceLock<Moment> = OnceLock::new();
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => *seeded.origin.get_or_insert_with(Moment::now),
        None => *ORIGIN.get_or_init(Moment::now),
    })
}

/// Sleeps shorter than this are not rounded: somebody may wait for them.
const SHORTEST_ROUNDED: Duration = Duration::from_millis(8);

/// The moment at which a sleep ends that was asked to last until `deadline`: at most half of it later.
fn rounded_up(origin: Moment, now: Moment, deadline: Moment) -> Moment {
    let wait = deadline - now;
    if wait < SHORTEST_ROUNDED {
        return deadline;
    }
    // A power of two, so that the moments of longer sleeps are moments of shorter ones too.
    let half = u64::try_from(wait.as_millis() / 2).unwrap_or(u64::MAX);
    let grid = 1_u64 << half.ilog2().min(6);
    let grid = Duration::from_millis(grid).as_nanos();
    let beyond = (deadline - origin).as_nanos() % grid;
    match u64::try_from(grid - beyond) {
        Ok(missing) if beyond > 0 => deadline + Duration::from_nanos(missing),
        _ => deadline,
    }
}

/// Whatever openraft draws on this thread comes from `seed` from now on, in the order in which it is drawn. A simulator
/// calls it before its single-threaded runtime runs.
pub fn seed_this_thread(seed: u64) {
    SEEDED.with_borrow_mut(|seeded| {
        *seeded = Some(Seeded {
            random: SmallRng::seed_from_u64(seed),
            origin: None,
        });
    });
}

/// tokio's runtime with [`Random`] and with moments rounded up.
#[derive(Debug)]
pub struct SeededRuntime(TokioRuntime);

/// From the thread's seed, or from the system where there is none.
#[derive(Debug)]
pub struct Random(ThreadRng);

impl Random {
    fn draw<T>(&mut self, draw: impl FnOnce(&mut dyn Rng) -> T) -> T {
        SEEDED.with_borrow_mut(|seeded| match seeded {
            Some(seeded) => draw(&mut seeded.random),
            None => draw(&mut self.0),
        })
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.draw(|from| from.next_u32()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw(|from| from.next_u64()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.draw(|from| from.fill_bytes(bytes));
        Ok(())
    }
}

impl AsyncRuntime for SeededRuntime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Random;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        crate::scope::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(rounded_up(origin(), Moment::now(), deadline))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn select2<A, B>(a: A, b: B) -> impl Future<Output = Select2<A::Output, B::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
    {
        TokioRuntime::select2(a, b)
    }

    fn select3<A, B, C>(
        a: A,
        b: B,
        c: C,
    ) -> impl Future<Output = Select3<A::Output, B::Output, C::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
        C: Future + OptionalSend,
    {
        TokioRuntime::select3(a, b, c)
    }

    fn select4<A, B, C, D>(
        a: A,
        b: B,
        c: C,
        d: D,
    ) -> impl Future<Output = Select4<A::Output, B::Output, C::Output, D::Output>> + OptionalSend
    where
        A: Future + OptionalSend,
        B: Future + OptionalSend,
        C: Future + OptionalSend,
        D: Future + OptionalSend,
    {
        TokioRuntime::select4(a, b, c, d)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> Random {
        Random(TokioRuntime::thread_rng())
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        TokioRuntime::spawn_blocking(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn ticks_of_many_groups_fall_together() {
        let origin = Moment::now();
        let ends: std::collections::BTreeSet<_> = (0..64)
            .map(|phase| {
                rounded_up(
                    origin,
                    origin + ms(1_000),
                    origin + ms(1_040) + Duration::from_micros(phase * 635),
                )
            })
            .collect();
        assert!(ends.len() <= 4, "{} moments for 64 ticks within 40 ms", ends.len());
    }

    #[test]
    fn a_sleep_is_never_cut_short_and_grows_by_half_at_most() {
        let origin = Moment::now();
        for wait in [0, 1, 7, 8, 9, 40, 61, 200, 5_000, 3_600_000] {
            for now in [0, 3, 64, 100_001] {
                let (now, deadline) = (origin + ms(now), origin + ms(now + wait));
                let end = rounded_up(origin, now, deadline);
                assert!(end >= deadline);
                assert!(end - deadline <= ms(wait) / 2, "{wait} ms became {:?}", end - now);
            }
        }
    }
}
