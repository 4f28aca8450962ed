//! What goes into the log: entries of commands. The leader stamps an entry's time; everything else a command
//! needs (ids, secrets, slots as instants) is in it, so apply needs nothing from outside.

use crate::catalogue::VenueDefinition;
use crate::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use crate::time::{ServiceDay, Timestamp};

/// One log entry: commands of any venues of the shard, applied in order under one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The leader's stamp. Apply uses `max(last, stamp)`.
    pub stamp: Timestamp,
    /// Applied one after the other.
    pub commands: Vec<Command>,
}

/// One command with what makes its retry safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Identifies the command. `None` for the proposer's own (slots, expiry) and for imports, which are idempotent by content.
    pub key: Option<CommandKey>,
    /// Digest of the request's body: the same key with another fingerprint is refused.
    pub fingerprint: u64,
    /// The venue that it is about.
    pub venue: VenueNo,
    /// What to do.
    pub operation: Operation,
}

/// What can be done to a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Create or replace the venue's catalogue. The same definition again changes nothing.
    ImportVenue(Box<VenueDefinition>),
    /// The slots of one product on one service day, as the proposer worked them out.
    SetSlots(SlotPlan),
    /// The operator changes one slot.
    ChangeSlot {
        /// Which slot.
        slot: SlotRef,
        /// What about it.
        change: SlotChange,
    },
    /// Take places for a while.
    Hold(HoldRequest),
    /// Start the hold's time again.
    Extend {
        /// Which booking.
        booking: BookingId,
    },
    /// Sell what is held; issues the tickets.
    Confirm {
        /// Which booking.
        booking: BookingId,
        /// Drawn by the router; the tickets' secrets are derived from it.
        nonce: u64,
    },
    /// Give a hold back.
    Release {
        /// Which booking.
        booking: BookingId,
    },
    /// Cancel a confirmed booking.
    Cancel {
        /// Which booking.
        booking: BookingId,
    },
    /// Expire up to `limit` holds of the venue that are due at the entry's time.
    Expire {
        /// At most so many in this entry.
        limit: u32,
    },
}

/// See [`Operation::Hold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// Becomes part of the booking's id.
    pub secret: u64,
    /// Who sells.
    pub channel: Channel,
    /// What is wanted.
    pub lines: Vec<LineRequest>,
}

/// So many of one unit in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRequest {
    /// Which slot.
    pub slot: SlotRef,
    /// Unit id within the product.
    pub unit: String,
    /// How many; zero is refused.
    pub quantity: u32,
}

/// All slots of one product on one service day. Apply keeps slots with sales, adds the new, removes the unsold others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotPlan {
    /// Digest of the catalogue that the plan was made from; a plan from another one is refused as stale.
    pub revision: u64,
    /// Product id.
    pub product: String,
    /// The day on which the openings began.
    pub day: ServiceDay,
    /// In order of start.
    pub slots: Vec<SlotSpec>,
}

/// One slot as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSpec {
    /// Visitors may enter from here.
    pub start: Timestamp,
    /// Entry ends here (day pass: closing or last entry).
    pub end: Timestamp,
    /// The visit occupies the building up to here; equal to `start` where the product does not draw on it.
    pub occupies_until: Timestamp,
    /// Offset of local time at the start, in minutes.
    pub offset_minutes: i16,
    /// Places.
    pub capacity: u32,
}

/// See [`Operation::ChangeSlot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotChange {
    /// New capacity. Below what is sold it stops sales and cancels nobody.
    Capacity(u32),
    /// Close or reopen for sale.
    Closed(bool),
}

/// Who sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// The web shop.
    Web = 0,
    /// A kiosk in the hall.
    Kiosk = 1,
    /// The counter; may sell a slot that has begun.
    Counter = 2,
    /// A reseller.
    Reseller = 3,
    /// By telephone.
    Phone = 4,
}
