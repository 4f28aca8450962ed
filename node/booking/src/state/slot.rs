//! Slots: places of one product at one start.

use crate::codec::wire::wire_struct;
use crate::ids::VenueNo;
use crate::keys::Key;
use crate::mutant::mutant;
use crate::state::{Row, Span};
use crate::time::{ServiceDay, Timestamp};

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotId {
    pub(crate) venue: VenueNo,
    /// Number of the product's name.
    pub(crate) product: u16,
    pub(crate) start: Timestamp,
}

/// A slot with its sales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Entry ends.
    pub(crate) end: Timestamp,
    /// The visit occupies the building up to here. Never changes while a place is taken, so that what is given back
    /// is what was taken.
    pub(crate) occupies_until: Timestamp,
    /// The day on which the opening began.
    pub(crate) day: ServiceDay,
    /// Offset of local time at the start, in minutes.
    pub(crate) offset_minutes: i16,
    /// Places by the catalogue.
    pub(crate) planned: u32,
    /// Places by the operator, who outranks the catalogue.
    pub(crate) operators: Option<u32>,
    /// Closed by the operator.
    pub(crate) closed: bool,
    /// Sold, but no longer in the catalogue's plan.
    pub(crate) dropped: bool,
    /// The capacity was lowered below what is sold. Else a slot that has more taken than places is damage.
    pub(crate) lowered: bool,
    /// Places held.
    pub(crate) held: u32,
    /// Places sold.
    pub(crate) confirmed: u32,
}

wire_struct!(Slot {
    end,
    occupies_until,
    day,
    offset_minutes,
    planned,
    operators,
    closed,
    dropped,
    lowered,
    held,
    confirmed,
});

impl Slot {
    /// Places.
    pub(crate) fn capacity(&self) -> u32 {
        let places = self.operators.unwrap_or(self.planned);
        if mutant!(OneTooMany) { places + 1 } else { places }
    }

    /// Places held or sold.
    pub(crate) fn used(&self) -> u32 {
        self.held.saturating_add(self.confirmed)
    }

    /// Places of the slot's own pool that are left.
    pub(crate) fn left(&self) -> u32 {
        self.capacity().saturating_sub(self.used())
    }

    /// Closed for sale, by whomever.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed || self.dropped
    }

    /// What a visit that begins at `start` occupies.
    pub(crate) fn span(&self, start: Timestamp) -> Span {
        Span::new(start, self.occupies_until)
    }

    /// Notes whether a change of capacity left more taken than there are places.
    pub(crate) fn note_lowered(&mut self) {
        self.lowered = self.used() > self.capacity();
    }
}

impl Row for Slot {
    type Id = SlotId;

    fn key(id: SlotId) -> Key {
        Key::slot(id)
    }

    fn check(&self) -> Result<(), &'static str> {
        let used = self
            .held
            .checked_add(self.confirmed)
            .ok_or("more places taken than can be counted")?;
        if used > self.capacity() && !self.lowered {
            return Err("overbooked: more places taken than there are");
        }
        Ok(())
    }
}
