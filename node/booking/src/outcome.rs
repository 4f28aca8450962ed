//! What comes of a command. A refusal is an outcome, replicated, stored and answered like a success.

use crate::admission::AdmissionView;
use crate::command::Channel;
use crate::ids::{BookingId, SlotRef, TicketId};
use crate::ticket_key::TicketKeyView;
use crate::time::Timestamp;

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Index of the entry in which the command took effect (of the first time, for a replay).
    pub index: u64,
    /// True where this is the stored answer of an earlier entry.
    pub replayed: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The booking as this command left it.
    Booking(BookingView),
    /// Nothing changed, and why.
    Refused(Refusal),
    /// The catalogue is in place.
    Imported {
        /// Digest of the definition now in force.
        revision: u64,
        /// False where it was there already.
        changed: bool,
    },
    /// The slots of a day are in place.
    SlotsSet {
        /// New slots.
        added: u32,
        /// Unsold slots that the plan no longer has.
        removed: u32,
        /// Slots that the plan no longer has but that are sold; closed to further sales.
        kept: u32,
    },
    /// The slot as it is now.
    SlotChanged(SlotView),
    /// Holds expired by this command, and whether more are due.
    Expired {
        /// How many.
        count: u32,
        /// True where more are due than the limit allowed, or than one entry looks for: it stops where it has gone through
        /// the reminders of so many bookings that were confirmed or given back.
        more: bool,
    },
    /// The booking as an exchange left it.
    Rebooked {
        /// With the new lines and tickets.
        booking: BookingView,
        /// What the buyer owes (or, negative, is owed) for the exchange, in minor units.
        difference: i64,
    },
    /// What a gate is told.
    Admission(AdmissionView),
    /// What came of scans that gates had made by themselves.
    Merged {
        /// For each scan as it was sent, how it stands now.
        scans: Vec<AdmissionView>,
        /// All scans, of now and before, of the same tickets that are not accepted.
        conflicts: Vec<AdmissionView>,
    },
    /// The venue's keys, after a change.
    TicketKeys(Vec<TicketKeyView>),
    /// A cash drawer, after a change.
    Drawer(DrawerView),
    /// The reserve, after a step of a prober.
    Probed {
        /// The prober has its place.
        held: bool,
    },
}

/// A cash drawer as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawerView {
    /// Id of the drawer.
    pub drawer: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Log time at which it was opened.
    pub opened_at: Timestamp,
    /// Log time at which it was closed, if it was.
    pub closed_at: Option<Timestamp>,
    /// Cash at its opening, in minor units.
    pub float: i64,
    /// Cash taken since.
    pub sales: i64,
    /// Bookings that it was taken for.
    pub bookings: u64,
    /// Cash counted at its closing.
    pub counted: Option<i64>,
}

/// A booking as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookingView {
    /// Id.
    pub id: BookingId,
    /// For people: `TIDES-7QK2-M9`.
    pub reference: String,
    /// State.
    pub status: BookingStatus,
    /// Venue id.
    pub venue: String,
    /// Who sold it.
    pub channel: Channel,
    /// ISO 4217 code.
    pub currency: String,
    /// In order of request.
    pub lines: Vec<LineView>,
    /// Sum of the totals of the lines that were not cancelled by themselves, in minor units.
    pub total: i64,
    /// Log time of the hold.
    pub created_at: Timestamp,
    /// While held: when the hold ends.
    pub expires_at: Option<Timestamp>,
    /// Log time of confirm.
    pub confirmed_at: Option<Timestamp>,
    /// Log time of release, expiry or cancel.
    pub ended_at: Option<Timestamp>,
    /// Offset of the venue's local time at the first line's slot, in minutes: times are shown with it.
    pub offset_minutes: i16,
    /// Once confirmed: one for each person.
    pub tickets: Vec<TicketView>,
}

/// One line of a booking, priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineView {
    /// Slot.
    pub slot: SlotRef,
    /// Unit id.
    pub unit: String,
    /// How many.
    pub quantity: u32,
    /// Minor units, tax included.
    pub unit_price: i64,
    /// Tax contained in `total`, minor units.
    pub tax: i64,
    /// `quantity x unit_price`.
    pub total: i64,
    /// It was cancelled by itself: its places are given back, and it is no part of the booking's total.
    pub cancelled: bool,
}

/// A ticket as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketView {
    /// Id.
    pub id: TicketId,
    /// Serial within the venue, from 1.
    pub serial: u64,
    /// Unit id.
    pub unit: String,
    /// Slot.
    pub slot: SlotRef,
    /// State.
    pub status: TicketStatus,
}

/// States of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BookingStatus {
    /// Places are taken until `expires_at`.
    Held = 0,
    /// Sold.
    Confirmed = 1,
    /// The hold ran out.
    Expired = 2,
    /// The hold was given back.
    Released = 3,
    /// Was confirmed, then cancelled.
    Cancelled = 4,
    /// Was confirmed, and all its visitors have been admitted. Shown, never stored: admissions say it.
    Redeemed = 5,
}

/// States of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TicketStatus {
    /// Admits.
    Valid = 0,
    /// Does not: cancelled or exchanged.
    Void = 1,
    /// Its visitor is in the building.
    Inside = 2,
    /// Its visitor has left and may come back.
    Outside = 3,
    /// Its visitor has been there.
    Used = 4,
    /// Its time is over and nobody came.
    NoShow = 5,
}

/// A slot as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotView {
    /// Slot.
    pub slot: SlotRef,
    /// Entry ends.
    pub end: Timestamp,
    /// Day on which the opening began.
    pub day: crate::time::ServiceDay,
    /// How it stands.
    pub status: SlotStatus,
    /// Places.
    pub capacity: u32,
    /// Held.
    pub held: u32,
    /// Confirmed.
    pub confirmed: u32,
    /// What a booking of one could get, over all pools of the slot.
    pub vacancies: u32,
}

/// How a slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotStatus {
    /// Places are there.
    Available = 0,
    /// Less than a fifth of the capacity is left.
    Limited = 1,
    /// Nothing is left.
    SoldOut = 2,
    /// Closed by the operator, dropped by the catalogue, or over.
    Closed = 3,
    /// Sale has not begun.
    NotOnSale = 4,
}

/// Why nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From the closed list.
    pub code: RefusalCode,
    /// For people, in English: what is wrong and what to do.
    pub detail: String,
    /// Which lines of the request, where it is about lines.
    pub lines: Vec<LineProblem>,
}

impl Refusal {
    /// A refusal of the whole command.
    #[must_use]
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self::about(code, detail, Vec::new())
    }

    /// A refusal for what is wrong with some lines.
    #[must_use]
    pub fn about(code: RefusalCode, detail: impl Into<String>, lines: Vec<LineProblem>) -> Self {
        Self {
            code,
            detail: detail.into(),
            lines,
        }
    }
}

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProblem {
    /// Index into the request's lines.
    pub line: u16,
    /// Places left, for `sold_out`; the bound, for quantities.
    pub left: Option<u32>,
    /// For people.
    pub detail: String,
}

macro_rules! codes {
    ($( $(#[$doc:meta])* $name:ident = $number:literal, $text:literal; )*) => {
        /// The closed list of refusals. The numbers are stored and never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum RefusalCode { $( $(#[$doc])* $name = $number, )* }

        impl RefusalCode {
            /// Every code.
            pub const ALL: &'static [RefusalCode] = &[ $( RefusalCode::$name, )* ];

            /// As it stands in answers: `sold_out`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( RefusalCode::$name => $text, )* }
            }

            /// The code stored under `number`.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $( $number => Some(RefusalCode::$name), )* _ => None }
            }
        }
    };
}

codes! {
    /// A pool of the slot has too few places left.
    SoldOut = 1, "sold_out";
    /// The slot has begun (for the counter: entry is over).
    SlotInPast = 2, "slot_in_past";
    /// The product's sale has not begun.
    NotOnSale = 3, "not_on_sale";
    /// Closed by the operator or dropped by the catalogue.
    SlotClosed = 4, "slot_closed";
    /// No such slot.
    UnknownSlot = 5, "unknown_slot";
    /// No such product at the venue.
    UnknownProduct = 6, "unknown_product";
    /// No such unit in the product.
    UnknownUnit = 7, "unknown_unit";
    /// The venue is not in the catalogue.
    UnknownVenue = 8, "unknown_venue";
    /// Zero, too few or too many.
    QuantityOutOfRange = 9, "quantity_out_of_range";
    /// A unit needs another one beside it (child without adult).
    NotAccompanied = 10, "not_accompanied";
    /// No such booking, or the secret is wrong.
    UnknownBooking = 11, "unknown_booking";
    /// The hold ran out.
    HoldExpired = 12, "hold_expired";
    /// Confirmed already (by another key).
    AlreadyConfirmed = 13, "already_confirmed";
    /// Released already.
    AlreadyReleased = 14, "already_released";
    /// Cancelled already.
    AlreadyCancelled = 15, "already_cancelled";
    /// Only a confirmed booking can be cancelled; release a hold.
    NotConfirmed = 16, "not_confirmed";
    /// The same key was used with another body.
    IdempotencyKeyReused = 17, "idempotency_key_reused";
    /// The slot plan was made from another catalogue.
    StalePlan = 18, "stale_plan";
    /// The booking has more lines or persons than one booking may have.
    TooLarge = 19, "too_large";
    /// The hold has been extended as often as it may be.
    ExtendLimit = 20, "extend_limit";
    /// The catalogue contradicts what is stored (a changed currency, say).
    CatalogueConflict = 21, "catalogue_conflict";
    /// The booking has no such line, or it was cancelled already.
    UnknownLine = 22, "unknown_line";
    /// A visitor of the booking has been admitted.
    AlreadyAdmitted = 23, "already_admitted";
    /// The unit requires a claim (a membership) that was not shown.
    ClaimRequired = 24, "claim_required";
    /// No such scan of the device.
    UnknownScan = 25, "unknown_scan";
    /// The device used the number for another scan.
    DeviceSeqReused = 26, "device_seq_reused";
    /// The venue has no such key.
    UnknownKey = 27, "unknown_key";
    /// A venue must keep one key, and has room for so many.
    KeyLimit = 28, "key_limit";
    /// The drawer is open already.
    DrawerOpen = 29, "drawer_open";
    /// The drawer is not open.
    DrawerClosed = 30, "drawer_closed";
    /// The slot has more scans than one ticket can have.
    TooManyScans = 31, "too_many_scans";
    /// Rebooking is to the same places.
    NothingToRebook = 32, "nothing_to_rebook";
}
