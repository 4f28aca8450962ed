//! What goes into the log: entries of commands. The leader stamps an entry's time; everything else a command
//! needs (ids, secrets, slots as instants) is in it, so apply needs nothing from outside.

use crate::admission::{Admit, Scan};
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
    /// Which member of the staff does it, for the venue's audit log; `None` for visitors, for machines, and for what the
    /// proposer does by itself.
    pub actor: Option<Box<Actor>>,
    /// What to do.
    pub operation: Operation,
}

/// Who of the staff sent a command. The door has checked that they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Name of the token.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Address that the request came from.
    pub address: String,
}

/// What a caller may do. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Nobody in particular: looks, holds, buys; changes a booking by the secret in its id.
    Visitor = 0,
    /// A kiosk in the hall.
    Kiosk = 1,
    /// The counter: sells what has begun, takes cash.
    Counter = 2,
    /// A gate: admits.
    Gate = 3,
    /// A reseller.
    Reseller = 4,
    /// Runs venues: slots, reports, ledger, keys.
    Manager = 5,
    /// Runs the cluster.
    Operator = 6,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] = &[
        Self::Visitor,
        Self::Kiosk,
        Self::Counter,
        Self::Gate,
        Self::Reseller,
        Self::Manager,
        Self::Operator,
    ];

    /// As it stands in tokens: `counter`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Visitor => "visitor",
            Self::Kiosk => "kiosk",
            Self::Counter => "counter",
            Self::Gate => "gate",
            Self::Reseller => "reseller",
            Self::Manager => "manager",
            Self::Operator => "operator",
        }
    }
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
        /// How it was paid at a counter; `None` where the money takes another way.
        payment: Option<Payment>,
    },
    /// Give a hold back.
    Release {
        /// Which booking.
        booking: BookingId,
    },
    /// Cancel a confirmed booking, or some of its lines.
    Cancel {
        /// Which booking.
        booking: BookingId,
        /// Which of its lines; all that are left where none is named.
        lines: Vec<u16>,
    },
    /// Expire up to `limit` holds of the venue that are due at the entry's time, and cancel the tours that are due for it.
    Expire {
        /// At most so many in this entry.
        limit: u32,
    },
    /// Exchange all that a confirmed booking has for other places of the venue, old for new in one entry.
    Rebook {
        /// Which booking.
        booking: BookingId,
        /// As in a confirm.
        nonce: u64,
        /// What it shall have.
        lines: Vec<LineRequest>,
    },
    /// A gate asks whether a ticket admits.
    Admit(Admit),
    /// Scans that gates made while they could not ask.
    MergeScans {
        /// In any order, and as often as one likes.
        scans: Vec<Scan>,
    },
    /// The staff take a scan back: the visitor did not go through.
    Annul {
        /// Which device scanned.
        device: String,
        /// Its number of the scan.
        device_seq: u64,
    },
    /// Give the venue another key to sign tickets with; older ones stay valid until they are retired.
    AddTicketKey {
        /// Drawn by the router: the private key (RFC 8032).
        seed: [u8; 32],
        /// Only where the venue has none yet.
        first_only: bool,
    },
    /// Tickets signed with this key are no longer valid offline.
    RetireTicketKey {
        /// Which key.
        key: u16,
    },
    /// The counter opens a cash drawer.
    OpenDrawer {
        /// Id of the drawer.
        drawer: String,
        /// Cash that is in it, in minor units.
        float: i64,
    },
    /// The counter counts a cash drawer and closes it.
    CloseDrawer {
        /// Id of the drawer.
        drawer: String,
        /// Cash that was found in it, in minor units.
        counted: i64,
    },
    /// A prober books or releases its place in the shard's reserve, of which no visitor knows.
    Probe(Probe),
}

/// See [`Operation::Probe`]. Its command's venue is [`VenueNo::RESERVE`]; it has no key, for it is idempotent by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Who probes: drawn by each prober for itself.
    pub prober: u64,
    /// Grows with each of its rounds.
    pub turn: u64,
    /// Which half of the round.
    pub step: ProbeStep,
}

/// What a round of a prober consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ProbeStep {
    /// Take a place.
    Hold = 0,
    /// Give it back.
    Release = 1,
}

impl Operation {
    /// As it stands in audit lines: `change_slot`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ImportVenue(_) => "import_venue",
            Self::SetSlots(_) => "set_slots",
            Self::ChangeSlot { .. } => "change_slot",
            Self::Hold(_) => "hold",
            Self::Extend { .. } => "extend",
            Self::Confirm { .. } => "confirm",
            Self::Release { .. } => "release",
            Self::Cancel { .. } => "cancel",
            Self::Expire { .. } => "expire",
            Self::Rebook { .. } => "rebook",
            Self::Admit(_) => "admit",
            Self::MergeScans { .. } => "merge_scans",
            Self::Annul { .. } => "annul",
            Self::AddTicketKey { .. } => "add_ticket_key",
            Self::RetireTicketKey { .. } => "retire_ticket_key",
            Self::OpenDrawer { .. } => "open_drawer",
            Self::CloseDrawer { .. } => "close_drawer",
            Self::Probe(_) => "probe",
        }
    }
}

/// How a booking was paid at a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payment {
    /// In cash, into an open drawer.
    Cash {
        /// Id of the drawer.
        drawer: String,
    },
    /// By card, at the counter's terminal.
    Card,
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
    /// Where the unit requires something of the visitor: what a signed claim, which the door has checked, says of it
    /// (`membership:4711`).
    pub claim: Option<String>,
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
