//! Notices to the supervisor, by the protocol of `sd_notify`: a line to the socket that `NOTIFY_SOCKET` names. Where it
//! names none (a terminal, a container, a test) all of this does nothing.
//!
//! A supervisor that does not read holds whoever writes to it, so a thread of its own does that: a server serves and drains
//! whether or not anybody listens.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use sd_notify::NotifyState;

/// Notices that wait for a supervisor which does not read. Beyond them they are dropped: the next sign of life says as much.
const WAITING: usize = 4;

/// The server serves: its ports are taken and answered. A unit of `Type=notify` counts as started from here on. Said once: a
/// node that had to wait until it was let in has said so already.
pub fn ready() {
    static SAID: Once = Once::new();
    SAID.call_once(|| tell(NotifyState::Ready));
}

/// The server drains and will end by itself.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// How often life has to be shown: twice in the time after which the supervisor gives the process up. `None` where nobody
/// waits for it (`WATCHDOG_USEC` is not set, or meant for another process).
#[must_use]
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

/// Shows life for as long as `turns` comes back: it waits for something that a stuck process would not get done. Returns
/// only where nobody waits for a sign of life.
pub async fn watchdog<F, T>(turns: F)
where
    F: Fn() -> T,
    T: Future<Output = ()>,
{
    let Some(period) = watchdog_period() else { return };
    let mut beat = tokio::time::interval(period);
    // After a pause one sign is enough.
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        turns().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState<'static>) {
    static MESSENGER: OnceLock<Option<SyncSender<NotifyState<'static>>>> = OnceLock::new();
    if let Some(messenger) = MESSENGER.get_or_init(messenger) {
        let _ = messenger.try_send(state);
    }
}

/// The thread that writes, where there is somebody to write to.
fn messenger() -> Option<SyncSender<NotifyState<'static>>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (notices, waiting) = sync_channel(WAITING);
    let write = move || {
        for state in waiting {
            if let Err(error) = sd_notify::notify(&[state]) {
                tracing::warn!(%error, "the supervisor cannot be told, and may think that this process hangs: see NOTIFY_SOCKET");
            }
        }
    };
    let thread = std::thread::Builder::new().name("notices".to_owned()).spawn(write);
    if let Err(error) = thread {
        tracing::warn!(%error, "the supervisor cannot be told: no thread for it. Check the limits on threads: ulimit -u");
        return None;
    }
    Some(notices)
}
