//! A bound that many share and nobody waits for: who finds no room is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes and no more.
#[derive(Debug)]
pub struct Ceiling {
    limit: usize,
    taken: AtomicUsize,
}

impl Ceiling {
    /// Of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: AtomicUsize::new(0),
        })
    }

    /// Takes `bytes` until the share is dropped; `None` where they do not fit. One that is alone always fits, or what is
    /// larger than the whole could never be done.
    #[must_use]
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let share = Share {
            ceiling: Arc::clone(self),
            bytes,
        };
        (before == 0 || before.saturating_add(bytes) <= self.limit).then_some(share)
    }

    /// Bytes taken now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Bytes in all.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// Gives its bytes back when dropped.
#[derive(Debug)]
pub struct Share {
    ceiling: Arc<Ceiling>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.ceiling.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_limit_and_come_back() {
        let ceiling = Ceiling::new(10);
        let shares: Vec<_> = (0..5).map(|_| ceiling.take(2)).collect();
        assert!(shares.iter().all(Option::is_some));
        assert!(ceiling.take(1).is_none());
        assert_eq!(ceiling.taken(), 10, "what was refused takes nothing");
        drop(shares);
        assert_eq!(ceiling.taken(), 0);
    }

    #[test]
    fn one_that_is_larger_than_all_is_taken_alone() {
        let ceiling = Ceiling::new(10);
        let small = ceiling.take(1);
        assert!(ceiling.take(11).is_none());
        drop(small);
        let large = ceiling.take(11);
        assert!(large.is_some());
        assert!(ceiling.take(1).is_none());
    }
}
