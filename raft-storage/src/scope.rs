//! Which node a task belongs to, where several live in one process: a simulator pauses and kills them one by one.
//!
//! [`spawn`] stands for `tokio::spawn` in everything that a node runs. A task begun within a [`Scope`] belongs to it, and
//! so do the tasks that it begins. Without one, as in a server, the two are the same.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle};

tokio::task_local! {
    static SCOPE: Scope;
}

/// Begins a task, in the scope of the one that begins it.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match SCOPE.try_with(Clone::clone) {
        Ok(scope) => scope.spawn(future),
        Err(_) => tokio::spawn(future),
    }
}

/// The tasks of one node.
#[derive(Clone, Debug, Default)]
pub struct Scope(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    paused: bool,
    killed: bool,
    /// Tasks that were to run while paused.
    waiting: BTreeMap<u64, Waker>,
    next: u64,
    tasks: Vec<AbortHandle>,
    /// Finished tasks are forgotten when there are so many.
    sweep_at: usize,
}

impl Scope {
    /// Begins a task of this scope. Where the scope was killed it never runs.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(self.clone().hold(future));
        let mut state = self.0.lock();
        if state.killed {
            task.abort();
        } else {
            state.tasks.push(task.abort_handle());
            if state.tasks.len() >= state.sweep_at {
                state.tasks.retain(|task| !task.is_finished());
                state.sweep_at = 64.max(2 * state.tasks.len());
            }
        }
        task
    }

    /// Runs `future` as part of this scope, in whatever task polls it: it stands still while the scope does, and for
    /// ever once that is killed.
    pub fn hold<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        Held {
            future: Box::pin(SCOPE.scope(self.clone(), future)),
            scope: self,
            number: None,
        }
    }

    /// None of its tasks runs until [`Scope::resume`], like a process that was stopped. Its timers go on.
    pub fn pause(&self) {
        self.0.lock().paused = true;
    }

    /// Its tasks go on.
    pub fn resume(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.paused = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Ends all of its tasks where they are, like a process that was killed.
    pub fn kill(&self) {
        let tasks = {
            let mut state = self.0.lock();
            state.killed = true;
            state.waiting.clear();
            std::mem::take(&mut state.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// True once it was killed.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.0.lock().killed
    }
}

struct Held<F> {
    future: Pin<Box<F>>,
    scope: Scope,
    /// Of the waker that waits for the end of a pause.
    number: Option<u64>,
}

impl<F: Future> Future for Held<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        {
            let mut state = this.scope.0.lock();
            if state.killed {
                return Poll::Pending;
            }
            if state.paused {
                let number = *this.number.get_or_insert_with(|| {
                    state.next += 1;
                    state.next
                });
                state.waiting.insert(number, context.waker().clone());
                return Poll::Pending;
            }
        }
        this.future.as_mut().poll(context)
    }
}

impl<F> Drop for Held<F> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.scope.0.lock().waiting.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    fn count(scope: &Scope) -> Arc<AtomicU64> {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        scope.spawn(async move {
            // In a task of the task: it belongs to the scope as well.
            spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        count
    }

    async fn after(count: &AtomicU64) -> u64 {
        let before = count.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        count.load(Ordering::Relaxed) - before
    }

    #[tokio::test(start_paused = true)]
    async fn a_scope_is_paused_and_killed_with_all_its_tasks_and_no_others() {
        let (scope, other) = (Scope::default(), Scope::default());
        let (counted, others) = (count(&scope), count(&other));
        assert!(after(&counted).await >= 9);
        scope.pause();
        assert_eq!(after(&counted).await, 0);
        scope.resume();
        assert!(after(&counted).await >= 9);
        scope.kill();
        assert_eq!(after(&counted).await, 0);
        assert!(after(&others).await >= 9);
        let late = scope.spawn(std::future::pending::<()>());
        assert!(late.await.unwrap_err().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_future_that_a_stranger_polls_stands_still_with_its_scope() {
        let scope = Scope::default();
        let mut held = Box::pin(scope.clone().hold(async { 7 }));
        scope.pause();
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut held).await.is_err());
        scope.resume();
        assert_eq!(held.await, 7);
    }
}
