//! Every choice of a simulation comes from its seed through here. Streams of choices are named, so that a new kind of
//! choice leaves those of the others as they were, and a shrunk scenario stays the one that failed.

use std::time::Duration;

use fastrand::Rng;

/// A stream of choices.
#[derive(Clone, Debug)]
pub struct Chance(Rng);

impl Chance {
    /// The stream `name` of a seed.
    #[must_use]
    pub fn of(seed: u64, name: &str) -> Self {
        // FNV-1a: it need not be strong, it must never change.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(Rng::with_seed(hash))
    }

    /// The stream of step `number` of this one: what other steps draw leaves it as it is.
    #[must_use]
    pub fn step(&self, number: u64) -> Self {
        Self::of(self.0.get_seed(), &number.to_string())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Below `limit`, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit.max(1))
    }

    /// True `of` times in a thousand.
    pub fn per_mille(&mut self, of: u32) -> bool {
        self.0.u32(..1000) < of
    }

    /// From the one to the other, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.u64(from..=to.max(from))
    }

    /// Between the two.
    pub fn time(&mut self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from).as_nanos();
        let span = u64::try_from(span).unwrap_or(u64::MAX);
        from + Duration::from_nanos(self.0.u64(..=span))
    }

    /// One of them; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.0.usize(..of.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_each_time_and_unlike_its_neighbours() {
        let draw = |seed, name| -> Vec<u64> {
            let mut chance = Chance::of(seed, name);
            (0..8).map(|_| chance.number()).collect()
        };
        assert_eq!(draw(1, "net"), draw(1, "net"));
        assert_ne!(draw(1, "net"), draw(1, "disk"));
        assert_ne!(draw(1, "net"), draw(2, "net"));
        let chance = Chance::of(1, "net");
        assert_eq!(chance.step(1).number(), chance.step(1).number());
        assert_ne!(chance.step(1).number(), chance.step(2).number());
    }
}
