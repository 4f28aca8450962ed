//! The reserve: a pool of places in every shard that belongs to no venue, so that a prober can book as visitors do and take
//! nothing from them. One row a shard, of bounded length: probers that are not heard of any more are forgotten.

use crate::codec::wire::wire_struct;
use crate::keys::Key;
use crate::state::Row;
use crate::time::Timestamp;

/// Places, and probers that are remembered.
pub(crate) const RESERVE_PLACES: usize = 64;

/// A prober that was heard of lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prober {
    pub(crate) prober: u64,
    /// The last of its rounds.
    pub(crate) turn: u64,
    /// It has a place.
    pub(crate) held: bool,
    /// Log time at which it was last heard of.
    pub(crate) heard: Timestamp,
}

/// All of them, in order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserve {
    pub(crate) probers: Vec<Prober>,
}

wire_struct!(Prober {
    prober,
    turn,
    held,
    heard
});
wire_struct!(Reserve { probers });

impl Row for Reserve {
    type Id = ();

    fn key((): ()) -> Key {
        Key::reserve()
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.probers.len() > RESERVE_PLACES {
            return Err("overbooked: more probers than the reserve has places");
        }
        if !self.probers.is_sorted_by(|one, next| one.prober < next.prober) {
            return Err("probers out of order, or one of them twice");
        }
        Ok(())
    }
}
