//! A venue: its names, its definition, and the numbers that it hands out.

use crate::catalogue::{ProductDefinition, VenueDefinition};
use crate::codec::wire::{wire_newtype, wire_struct};
use crate::ids::VenueNo;
use crate::keys::Key;
use crate::state::Row;
use crate::time::{ServiceDay, Timestamp};

/// What is needed of a venue to show its bookings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VenueRow {
    /// Venue id.
    pub(crate) slug: String,
    /// ISO 4217 code.
    pub(crate) currency: String,
    /// Digest of the definition in force.
    pub(crate) revision: u64,
    /// Ids of all products and units that the venue ever had. Rows hold positions in this list, so it only grows.
    pub(crate) names: Vec<String>,
}

wire_struct!(VenueRow {
    slug,
    currency,
    revision,
    names
});

impl VenueRow {
    /// The name under `number`.
    pub(crate) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }

    /// The number of `name`, given to it now where it has none. `None` where all numbers are given.
    pub(crate) fn number(&mut self, name: &str) -> Option<u16> {
        if let Some(number) = self.find(name) {
            return Some(number);
        }
        let number = u16::try_from(self.names.len()).ok()?;
        self.names.push(name.to_owned());
        Some(number)
    }

    /// The number of `name`, where it has one.
    pub(crate) fn find(&self, name: &str) -> Option<u16> {
        self.names
            .iter()
            .position(|known| known == name)
            .and_then(|number| u16::try_from(number).ok())
    }
}

impl Row for VenueRow {
    type Id = VenueNo;

    fn key(id: VenueNo) -> Key {
        Key::venue_row(id)
    }
}

/// The definition in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueRow(pub(crate) VenueDefinition);

wire_newtype!(CatalogueRow);

impl Row for CatalogueRow {
    type Id = VenueNo;

    fn key(id: VenueNo) -> Key {
        Key::catalogue(id)
    }
}

/// A venue's rows, put together for looking up.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    pub(crate) row: VenueRow,
    pub(crate) definition: VenueDefinition,
    /// Number of each product's name, in order of the definition.
    pub(crate) product_numbers: Vec<u16>,
    /// Number of each unit's name, by product.
    pub(crate) unit_numbers: Vec<Vec<u16>>,
}

impl Catalogue {
    /// Puts the rows together, giving numbers to names that have none. `None` where the numbers do not suffice.
    pub(crate) fn new(mut row: VenueRow, definition: VenueDefinition) -> Option<Self> {
        let mut product_numbers = Vec::with_capacity(definition.products.len());
        let mut unit_numbers = Vec::with_capacity(definition.products.len());
        for product in &definition.products {
            product_numbers.push(row.number(&product.slug)?);
            let units: Option<Vec<u16>> = product.units.iter().map(|unit| row.number(&unit.slug)).collect();
            unit_numbers.push(units?);
        }
        Some(Self {
            row,
            definition,
            product_numbers,
            unit_numbers,
        })
    }

    /// Position of a product in the definition.
    pub(crate) fn product(&self, slug: &str) -> Option<usize> {
        self.definition.products.iter().position(|product| product.slug == slug)
    }

    /// The product whose name has this number, unless the catalogue dropped it.
    pub(crate) fn product_of(&self, number: u16) -> Option<&ProductDefinition> {
        let position = self.product_numbers.iter().position(|known| *known == number)?;
        self.definition.products.get(position)
    }

    /// Position of a unit in the product at `product`.
    pub(crate) fn unit(&self, product: usize, slug: &str) -> Option<usize> {
        self.definition.products[product]
            .units
            .iter()
            .position(|unit| unit.slug == slug)
    }
}

/// The numbers that a venue hands out, and how far its upkeep has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Next record.
    pub(crate) next_seq: u64,
    /// Next ticket.
    pub(crate) next_serial: u64,
    /// Next journal entry.
    pub(crate) next_journal: u64,
    /// Digest of the newest journal entry; zeros before the first.
    pub(crate) journal_hash: [u8; 32],
    /// Next event of the outbox.
    pub(crate) next_event: u64,
    /// Bookings ever made.
    pub(crate) bookings: u64,
    /// Keys of records below this are on disk; the others are in memory.
    pub(crate) window_from: u64,
    /// Keys in memory.
    pub(crate) window_keys: u64,
    /// Keys on disk.
    pub(crate) spilled_keys: u64,
    /// How often keys went to disk.
    pub(crate) spills: u64,
    /// No hold ends before this: a scan for due holds starts here and skips the graves of those before.
    pub(crate) expired_through: Timestamp,
    /// Next line of the audit log.
    pub(crate) next_audit: u64,
}

wire_struct!(Counters {
    next_seq,
    next_serial,
    next_journal,
    journal_hash,
    next_event,
    bookings,
    window_from,
    window_keys,
    spilled_keys,
    spills,
    expired_through,
    next_audit,
});

impl Default for Counters {
    fn default() -> Self {
        Self {
            next_seq: 1,
            next_serial: 1,
            next_journal: 1,
            journal_hash: [0; 32],
            next_event: 1,
            bookings: 0,
            window_from: 1,
            window_keys: 0,
            spilled_keys: 0,
            spills: 0,
            expired_through: Timestamp(i64::MIN),
            next_audit: 1,
        }
    }
}

impl Row for Counters {
    type Id = VenueNo;

    fn key(id: VenueNo) -> Key {
        Key::counters(id)
    }
}

/// How far the slots of a product are in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanRow {
    /// The catalogue that they were planned from. By any other they are not in place.
    pub(crate) revision: u64,
    /// Last service day.
    pub(crate) through: ServiceDay,
}

wire_struct!(PlanRow { revision, through });

impl Row for PlanRow {
    type Id = (VenueNo, u16);

    fn key((venue, product): (VenueNo, u16)) -> Key {
        Key::plan(venue, product)
    }
}
