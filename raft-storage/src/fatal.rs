//! The latch behind the first failed write. After a failed fsync the kernel may have dropped the dirty pages and report
//! success to the next fsync, so the first failure is final: it is reported once, and every later write fails.

use std::io;
use std::sync::OnceLock;

use crate::error::FatalHook;

/// Shared by everything that writes.
pub(crate) struct Latch {
    hook: FatalHook,
    failed: OnceLock<String>,
}

impl Latch {
    pub(crate) fn new(hook: FatalHook) -> Self {
        Self {
            hook,
            failed: OnceLock::new(),
        }
    }

    /// Closes the latch and calls the hook, which normally does not return.
    pub(crate) fn close(&self, what: String) -> io::Error {
        let error = io::Error::other(what.clone());
        if self.failed.set(what.clone()).is_ok() {
            (self.hook)(&what);
        }
        error
    }

    /// Fails when an earlier write failed.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(what) => Err(io::Error::other(format!("an earlier write failed: {what}"))),
        }
    }
}
