//! What gates and counters leave: scans, footfall, void tickets, tours that may not take place, ticket keys, drawers.

use crate::admission::{Direction, Fact, Judgement, Terms, judge};
use crate::codec::wire::{wire_newtype, wire_struct};
use crate::ids::{TicketId, VenueNo};
use crate::keys::Key;
use crate::state::Row;
use crate::time::{ServiceDay, Timestamp};

/// A ticket by its place: what a ticket's id says without its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TicketNo {
    pub(crate) venue: VenueNo,
    /// The booking's.
    pub(crate) seq: u64,
    pub(crate) number: u16,
}

impl From<TicketId> for TicketNo {
    fn from(id: TicketId) -> Self {
        Self {
            venue: id.venue,
            seq: id.seq,
            number: id.number,
        }
    }
}

wire_struct!(TicketNo { venue, seq, number });

/// All scans of a ticket, and what they were judged by and came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scans {
    /// What the ticket allowed when it was first scanned: a later catalogue changes no verdict.
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) re_entry: bool,
    /// In the order in which they came.
    pub(crate) facts: Vec<Fact>,
    /// What they count for in [`Footfall`].
    pub(crate) passages: Vec<Passage>,
}

wire_struct!(Scans {
    from,
    until,
    re_entry,
    facts,
    passages
});
wire_struct!(Fact {
    device,
    device_seq,
    gate,
    direction,
    at,
    annulled
});

impl Scans {
    /// No scans yet.
    pub(crate) fn none(terms: Terms) -> Self {
        Self {
            from: terms.from,
            until: terms.until,
            re_entry: terms.re_entry,
            facts: Vec::new(),
            passages: Vec::new(),
        }
    }

    /// What they are judged by.
    pub(crate) fn terms(&self, void: bool) -> Terms {
        Terms {
            from: self.from,
            until: self.until,
            re_entry: self.re_entry,
            void,
        }
    }

    /// What they come to.
    pub(crate) fn judged(&self, void: bool) -> Judgement {
        judge(self.terms(void), &self.facts)
    }
}

/// Somebody went through a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) day: ServiceDay,
    /// Hours since 1970.
    pub(crate) hour: i64,
    pub(crate) direction: Direction,
    /// For the first time on this ticket.
    pub(crate) new: bool,
}

wire_struct!(Passage {
    day,
    hour,
    direction,
    new
});

impl Row for Scans {
    type Id = TicketNo;

    fn key(id: TicketNo) -> Key {
        Key::scans(id)
    }
}

/// Which scan of which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceScanId {
    pub(crate) venue: VenueNo,
    /// Digest of the device's id.
    pub(crate) device: u64,
    pub(crate) device_seq: u64,
}

/// What a device used a number for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceScan {
    /// As it was scanned: perhaps no ticket at all, or one of another venue.
    pub(crate) ticket: TicketId,
    pub(crate) direction: Direction,
    /// It is among the ticket's scans.
    pub(crate) counted: bool,
}

wire_struct!(DeviceScan {
    ticket,
    direction,
    counted
});

impl Row for DeviceScan {
    type Id = DeviceScanId;

    fn key(id: DeviceScanId) -> Key {
        Key::device(id.venue, id.device, id.device_seq)
    }
}

/// An hour of a service day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FootfallId {
    pub(crate) venue: VenueNo,
    /// Service day of the tickets.
    pub(crate) day: ServiceDay,
    /// Hours since 1970.
    pub(crate) hour: i64,
}

/// Who came and went in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footfall(pub(crate) Vec<Passed>);

wire_newtype!(Footfall);

/// Of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Number of the product's name.
    pub(crate) product: u16,
    pub(crate) entered: u32,
    pub(crate) left: u32,
    /// Tickets admitted for the first time.
    pub(crate) visitors: u32,
}

wire_struct!(Passed {
    product,
    entered,
    left,
    visitors
});

impl Passed {
    /// Nobody came or went.
    pub(crate) fn nobody(product: u16) -> Self {
        Self {
            product,
            entered: 0,
            left: 0,
            visitors: 0,
        }
    }
}

impl Row for Footfall {
    type Id = FootfallId;

    fn key(id: FootfallId) -> Key {
        Key::footfall(id.venue, id.day, id.hour)
    }

    fn is_void(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which booking's void tickets of which day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VoidId {
    pub(crate) venue: VenueNo,
    pub(crate) day: ServiceDay,
    pub(crate) seq: u64,
}

/// Their numbers, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VoidTickets(pub(crate) Vec<u16>);

wire_newtype!(VoidTickets);

impl Row for VoidTickets {
    type Id = VoidId;

    fn key(id: VoidId) -> Key {
        Key::void(id.venue, id.day, id.seq)
    }

    fn is_void(&self) -> bool {
        self.0.is_empty()
    }
}

/// A tour by the time at which it is decided whether it takes place: a product has one start for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TourId {
    pub(crate) venue: VenueNo,
    pub(crate) due: Timestamp,
    /// Number of the product's name.
    pub(crate) product: u16,
}

/// A tour that is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tour {
    pub(crate) start: Timestamp,
    /// Bookings that have, or had, places of it, in order.
    pub(crate) bookings: Vec<u64>,
}

wire_struct!(Tour { start, bookings });

impl Row for Tour {
    type Id = TourId;

    fn key(id: TourId) -> Key {
        Key::tour(id.venue, id.due, id.product)
    }
}

/// The keys that a venue's tickets are signed with, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TicketKeys(pub(crate) Vec<TicketKey>);

wire_newtype!(TicketKeys);

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TicketKey {
    pub(crate) key: u16,
    /// The private half.
    pub(crate) seed: [u8; 32],
    pub(crate) created_at: Timestamp,
    pub(crate) retired_at: Option<Timestamp>,
}

/// Without the private half: rows are printed where they do not make sense.
impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

wire_struct!(TicketKey {
    key,
    seed,
    created_at,
    retired_at
});

impl TicketKeys {
    /// The one that signs.
    pub(crate) fn signing(&self) -> Option<&TicketKey> {
        self.0.iter().rev().find(|key| key.retired_at.is_none())
    }
}

impl Row for TicketKeys {
    type Id = VenueNo;

    fn key(id: VenueNo) -> Key {
        Key::ticket_keys(id)
    }

    fn is_void(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which drawer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DrawerId {
    pub(crate) venue: VenueNo,
    /// Digest of the drawer's id.
    pub(crate) drawer: u64,
}

/// A drawer, since it was opened last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drawer {
    pub(crate) name: String,
    pub(crate) opened_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    pub(crate) float: i64,
    pub(crate) sales: i64,
    pub(crate) bookings: u64,
    pub(crate) counted: Option<i64>,
}

wire_struct!(Drawer {
    name,
    opened_at,
    closed_at,
    float,
    sales,
    bookings,
    counted
});

impl Row for Drawer {
    type Id = DrawerId;

    fn key(id: DrawerId) -> Key {
        Key::drawer(id.venue, id.drawer)
    }
}
