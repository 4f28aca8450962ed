//! Waiting for a condition, with a deadline that only a broken cluster meets.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Far longer than anything here takes on a busy machine; whoever waits this long has found a bug.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at `condition` until it gives a value. It says why there is none yet.
///
/// # Panics
/// After [`PATIENCE`], with `what` and the last reason.
pub async fn until<T, F>(what: &str, condition: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    until_within(what, PATIENCE, condition).await
}

/// As [`until`], with another deadline.
///
/// # Panics
/// After `patience`, with `what` and the last reason.
pub async fn until_within<T, F>(what: &str, patience: Duration, condition: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    within(what, patience, condition)
        .await
        .unwrap_or_else(|given_up| panic!("{given_up}"))
}

/// As [`until_within`], for whoever goes on without.
///
/// # Errors
/// After `patience`: what was waited for, and the last reason.
pub async fn within<T, F>(what: &str, patience: Duration, mut condition: F) -> Result<T, String>
where
    F: AsyncFnMut() -> Result<T, String>,
{
    let deadline = Instant::now() + patience;
    loop {
        let reason = match condition().await {
            Ok(value) => return Ok(value),
            Err(reason) => reason,
        };
        if Instant::now() >= deadline {
            return Err(format!("waited {} s for: {what}\nstill: {reason}", patience.as_secs()));
        }
        tokio::time::sleep(POLL).await;
    }
}
