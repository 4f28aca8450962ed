//! The one place where the store leaves the async runtime. RocksDB stalls, reads from disk and large applies block for as long
//! as they like; none of it may happen on a tokio worker. What is small and has been quick so far stays there
//! (`state_machine` says what).

use std::io;
use std::panic::AssertUnwindSafe;

/// Where blocking work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blocking {
    /// On tokio's pool of blocking threads: servers.
    #[default]
    Pool,
    /// On the calling task: single-threaded simulations, where a thread of its own would make the order of events depend
    /// on the machine.
    Inline,
}

impl Blocking {
    /// Runs `work`, and waits for it.
    ///
    /// # Errors
    /// Where it panicked, or the runtime is shutting down.
    pub async fn run<T, F>(self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Inline => Ok(work()),
            // The work itself is not cancelled when the caller is: a half-applied entry would be worse.
            Self::Pool => tokio::task::spawn_blocking(work)
                .await
                .map_err(|error| io::Error::other(format!("storage work did not finish: {error}"))),
        }
    }

    /// Runs `work` on the calling thread, and answers to a panic as [`Blocking::run`] does: openraft's task would end of it and
    /// tell nobody.
    ///
    /// # Errors
    /// Where it panicked.
    pub fn here<T>(work: impl FnOnce() -> T) -> io::Result<T> {
        std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| io::Error::other("storage work panicked"))
    }
}
