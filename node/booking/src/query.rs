//! Questions to a venue's state. They read rows, change nothing, and never free capacity.

use crate::admission::{FootfallView, TicketScans};
use crate::audit_log::AuditLine;
use crate::catalogue::VenueDefinition;
use crate::command::Channel;
use crate::ids::{BookingId, SlotRef, TicketId, VenueNo};
use crate::ledger::LedgerLine;
use crate::outcome::{BookingView, DrawerView, SlotView};
use crate::ticket_key::TicketKeyView;
use crate::time::{ServiceDay, Timestamp};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The venue's catalogue.
    Venue {
        /// Which venue.
        venue: VenueNo,
    },
    /// One booking.
    Booking {
        /// Which booking.
        booking: BookingId,
    },
    /// Slots with what is left.
    Availability {
        /// Which venue.
        venue: VenueNo,
        /// Only this product.
        product: Option<String>,
        /// First service day.
        from: ServiceDay,
        /// Last service day, included.
        to: ServiceDay,
    },
    /// One ticket, with its signed claims and its scans.
    Ticket {
        /// Which ticket.
        ticket: TicketId,
    },
    /// The keys that the venue's tickets are signed with.
    TicketKeys {
        /// Which venue.
        venue: VenueNo,
    },
    /// What a gate needs to know to work by itself: keys and void tickets, as a signed text.
    GateBundle {
        /// Which venue.
        venue: VenueNo,
        /// First service day of the tickets.
        from: ServiceDay,
        /// Last service day, included.
        to: ServiceDay,
    },
    /// Who came and went, by service day, hour and product.
    Footfall {
        /// Which venue.
        venue: VenueNo,
        /// First service day.
        from: ServiceDay,
        /// Last service day, included.
        to: ServiceDay,
    },
    /// The journal, from after a line.
    Ledger {
        /// Which venue.
        venue: VenueNo,
        /// Number of the last line that the caller has.
        after: u64,
        /// At most so many lines.
        limit: u32,
    },
    /// What the journal says was sold in a time, by product, unit and channel.
    Sales {
        /// Which venue.
        venue: VenueNo,
        /// Log time from which on.
        from: Timestamp,
        /// Log time before which.
        to: Timestamp,
    },
    /// Who had a ticket and did not come, by service day and product.
    NoShows {
        /// Which venue.
        venue: VenueNo,
        /// First service day.
        from: ServiceDay,
        /// Last service day, included.
        to: ServiceDay,
    },
    /// A cash drawer.
    Drawer {
        /// Which venue.
        venue: VenueNo,
        /// Id of the drawer.
        drawer: String,
    },
    /// What the staff did, from after a line of the audit log.
    Audit {
        /// Which venue.
        venue: VenueNo,
        /// Number of the last line that the caller has.
        after: u64,
        /// At most so many lines.
        limit: u32,
    },
    /// What happened at the venue, from after an event.
    Events {
        /// Which venue.
        venue: VenueNo,
        /// The last event that the caller has.
        after: EventPosition,
        /// At most so many events.
        limit: u32,
    },
}

impl Query {
    /// The venue that it is about, and with it the shard.
    #[must_use]
    pub const fn venue(&self) -> VenueNo {
        match self {
            Self::Venue { venue }
            | Self::Availability { venue, .. }
            | Self::TicketKeys { venue }
            | Self::GateBundle { venue, .. }
            | Self::Footfall { venue, .. }
            | Self::Ledger { venue, .. }
            | Self::Sales { venue, .. }
            | Self::NoShows { venue, .. }
            | Self::Drawer { venue, .. }
            | Self::Audit { venue, .. }
            | Self::Events { venue, .. } => *venue,
            Self::Booking { booking } => booking.venue,
            Self::Ticket { ticket } => ticket.venue,
        }
    }
}

/// Service days that one report spans at most; what lies beyond is left out.
pub const MAX_REPORT_DAYS: i32 = 366;

/// Lines of the journal in one answer at most.
pub const MAX_LEDGER_LINES: u32 = 1_000;

/// Events in one answer at most.
pub const MAX_EVENTS: u32 = 1_000;

/// How far a reader of the events has come. They are numbered from 1 within the venue and lie in rows, one for each entry:
/// both numbers find the next event without looking at those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventPosition {
    /// Number of the first event in the row of the next event, or 0.
    pub row: u64,
    /// Number of the next event.
    pub next: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The catalogue in force, with its revision.
    Venue {
        /// Digest of the definition.
        revision: u64,
        /// Last service day whose slots are in place, per product in catalogue order.
        planned_through: Vec<Option<ServiceDay>>,
        /// The definition.
        definition: Box<VenueDefinition>,
    },
    /// The booking as it is.
    Booking(BookingView),
    /// The slots, in order of product and start.
    Availability {
        /// Log time of the state.
        time: Timestamp,
        /// The slots.
        slots: Vec<SlotView>,
    },
    /// No such venue, booking, product, ticket or drawer.
    NotFound,
    /// The ticket.
    Ticket(Box<TicketScans>),
    /// The venue's keys, oldest first.
    TicketKeys(Vec<TicketKeyView>),
    /// A text (see [`crate::ticket_key`]), and the newest key's signature of its bytes.
    GateBundle {
        /// For gates to read.
        text: String,
        /// Which key signed.
        key: u16,
        /// Ed25519.
        signature: [u8; 64],
    },
    /// In order of day, hour and product.
    Footfall {
        /// Log time of the state.
        time: Timestamp,
        /// People that the building may hold.
        building_capacity: u32,
        /// Rows.
        rows: Vec<FootfallView>,
    },
    /// Lines in order of number.
    Ledger {
        /// ISO 4217 code.
        currency: String,
        /// Digits of the currency's minor unit.
        currency_digits: u8,
        /// Lines.
        lines: Vec<LedgerLine>,
        /// Number of the newest line that there is.
        last: u64,
        /// Log time of the state.
        time: Timestamp,
    },
    /// In order of product, unit and channel.
    Sales {
        /// ISO 4217 code.
        currency: String,
        /// Rows.
        rows: Vec<SalesRow>,
        /// Log time of the state.
        time: Timestamp,
    },
    /// In order of day and product.
    NoShows {
        /// Rows.
        rows: Vec<NoShowRow>,
        /// Log time of the state.
        time: Timestamp,
    },
    /// The drawer as it is, or as it was closed last.
    Drawer(DrawerView),
    /// Lines in order of number.
    Audit {
        /// Lines.
        lines: Vec<AuditLine>,
        /// Number of the newest line that there is.
        last: u64,
        /// Log time of the state.
        time: Timestamp,
    },
    /// In order of number.
    Events {
        /// Events.
        events: Vec<EventView>,
        /// Behind the last of them.
        end: EventPosition,
        /// True where there are more behind it.
        more: bool,
        /// Log time of the state.
        time: Timestamp,
    },
}

/// Something that happened. It names the booking by its reference, which finds a booking and does not open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// Counts from 1 within the venue.
    pub number: u64,
    /// Behind it.
    pub end: EventPosition,
    /// Log time of the entry.
    pub at: Timestamp,
    /// Log index of the entry.
    pub index: u64,
    /// What.
    pub kind: EventKind,
    /// Reference of the booking that it is about.
    pub booking: Option<String>,
    /// Number of the booking's ticket that it is about.
    pub ticket: Option<u16>,
    /// The slot that it is about. One that is no more is named by the offset 0.
    pub slot: Option<SlotRef>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// Places were taken for a while.
    Held = 0,
    /// The hold was made longer.
    Extended = 1,
    /// The hold was sold.
    Confirmed = 2,
    /// The hold was given back.
    Released = 3,
    /// The hold ran out.
    Expired = 4,
    /// A confirmed booking was cancelled.
    Cancelled = 5,
    /// Capacity or closing of a slot.
    SlotChanged = 6,
    /// A ticket was let in.
    Admitted = 7,
    /// Its visitor left.
    Left = 8,
    /// What its scans had come to is no longer so.
    AdmissionChanged = 9,
    /// The booking got other places.
    Rebooked = 10,
    /// Some of its lines were cancelled.
    PartCancelled = 11,
}

/// What was sold of one unit through one channel, less what was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalesRow {
    /// Product id.
    pub product: String,
    /// Unit id.
    pub unit: String,
    /// Who sold.
    pub channel: Channel,
    /// Units.
    pub quantity: i64,
    /// Minor units, tax included.
    pub gross: i64,
    /// Tax contained in `gross`.
    pub tax: i64,
}

/// Tickets of a product for a service day, and how many were used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoShowRow {
    /// Service day.
    pub day: ServiceDay,
    /// Product id.
    pub product: String,
    /// Places sold in slots that are over.
    pub sold: u64,
    /// Tickets that were admitted.
    pub admitted: u64,
}
