//! How many event streams are open, over all and for each caller. A stream holds a connection and a timer for as long as its
//! reader likes, so both numbers have a bound; one more is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use metrics::{counter, gauge};
use parking_lot::Mutex;

use crate::auth::{Caller, Credential};

/// Why a stream was ended or refused by this router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// As many are open here as may be.
    Full,
    /// As many are open to this caller as may be.
    CallersShare,
    /// Its reader took nothing for too long.
    SlowReader,
    /// The router is about to stop.
    Draining,
}

impl Reason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::CallersShare => "callers_share",
            Self::SlowReader => "slow_reader",
            Self::Draining => "draining",
        }
    }
}

/// Counts an ended or refused stream.
pub(crate) fn count(reason: Reason) {
    counter!(rotunda_metrics::router::EVENT_STREAMS_DROPPED.name, "reason" => reason.as_str()).increment(1);
}

/// Whom a stream is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Token(Arc<str>),
    /// An IPv4 address, or a whole /64 of IPv6.
    Network(IpAddr),
}

impl Whose {
    fn of(caller: &Caller) -> Self {
        match (&caller.credential, caller.address) {
            (Credential::Token { holder, .. }, _) => Self::Token(holder.name.clone()),
            (_, IpAddr::V4(address)) => Self::Network(address.into()),
            (_, IpAddr::V6(address)) => Self::Network(IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes())),
        }
    }
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// Those who have at least one: no more than there are streams.
    by_caller: HashMap<Whose, usize>,
}

/// The open streams.
#[derive(Clone, Debug)]
pub struct Streams {
    open: Arc<Mutex<Open>>,
    most: usize,
    per_caller: usize,
}

impl Streams {
    pub(super) fn new(most: usize, per_caller: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
            per_caller,
        }
    }

    /// How many are open.
    #[must_use]
    pub fn now(&self) -> usize {
        self.open.lock().all
    }

    /// How many one caller may have open.
    pub(crate) fn per_caller(&self) -> usize {
        self.per_caller
    }

    /// A place for one more, until it is dropped.
    pub(crate) fn enter(&self, caller: &Caller) -> Result<Place, Reason> {
        let whose = Whose::of(caller);
        let mut open = self.open.lock();
        let refused = if open.all >= self.most {
            Some(Reason::Full)
        } else if open
            .by_caller
            .get(&whose)
            .is_some_and(|count| *count >= self.per_caller)
        {
            Some(Reason::CallersShare)
        } else {
            None
        };
        if let Some(reason) = refused {
            count(reason);
            return Err(reason);
        }
        open.all += 1;
        *open.by_caller.entry(whose.clone()).or_default() += 1;
        gauge!(rotunda_metrics::router::EVENT_STREAMS.name).set(open.all as f64);
        Ok(Place {
            open: self.open.clone(),
            whose,
        })
    }
}

/// The place of an open stream.
#[derive(Debug)]
pub(crate) struct Place {
    open: Arc<Mutex<Open>>,
    whose: Whose,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.all -= 1;
        if let Some(count) = open.by_caller.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                open.by_caller.remove(&self.whose);
            }
        }
        gauge!(rotunda_metrics::router::EVENT_STREAMS.name).set(open.all as f64);
    }
}
