//! The catalogue as a venue keeps it: validated, defaults filled in, instants resolved.
//!
//! A file of a whole network is read into a [`NetworkDescription`], which mirrors it field by field; [`validate()`] turns
//! that into a [`NetworkDefinition`] or into everything that is wrong with it. The definitions enter the log, venue by
//! venue, so apply never sees a name of a zone that it would have to look up.

pub mod bounds;
mod description;
pub mod encoding;
pub mod language;
mod texts;
mod validate;

pub use description::{
    BundleDescription, BundleUnitDescription, LegDescription, NetworkDescription, NetworkHeader, OpeningDescription,
    ProductDescription, TranslationDescription, UnitDescription, VenueDescription,
};
pub use texts::{Texts, Translation};
pub use validate::{Problem, validate};

use crate::time::{ServiceDay, Timestamp};

/// Digest of a definition: the same for equal definitions on every machine and in every version that knows the fields.
/// Slot plans carry it, so a plan made from an older catalogue is noticed.
#[must_use]
pub fn revision(definition: &VenueDefinition) -> u64 {
    let mut bytes = Vec::new();
    encoding::encode_venue(definition, &mut bytes);
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// A whole network as a file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkDefinition {
    /// Network id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// In order of the file.
    pub venues: Vec<VenueDefinition>,
    /// Offers over several venues. Kept for orders, which are not sold yet.
    pub bundles: Vec<BundleDefinition>,
}

/// One venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueDefinition {
    /// Venue id (`lisbon-tides`).
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Language of all texts of the venue that are no translation: a tag of BCP 47; empty where nobody said.
    pub language: String,
    /// What else is said of it, and in which languages.
    pub texts: Texts,
    /// City.
    pub city: String,
    /// IANA zone.
    pub time_zone: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Digits of the currency's minor unit, resolved by the importer: apply opens no table.
    pub currency_digits: u8,
    /// Tax included in prices, in basis points.
    pub tax_basis_points: u32,
    /// People inside at once, over all products.
    pub building_capacity: u32,
    /// Weekly opening hours.
    pub opening: Vec<Opening>,
    /// Days without opening.
    pub closed: Vec<ServiceDay>,
    /// Products in order of the file.
    pub products: Vec<ProductDefinition>,
}

/// Open on these weekdays between these local times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Bit 0 is Monday.
    pub days: u8,
    /// Minutes after local midnight.
    pub from_minute: u16,
    /// Minutes after local midnight, up to 1440; at or before `from_minute` it is the next day's.
    pub to_minute: u16,
}

/// How a product is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ProductKind {
    /// Visitors enter in a time slot.
    Timed = 0,
    /// A tour with a guide.
    Guided = 1,
    /// Groups, as schools.
    Group = 2,
    /// Any time within opening hours of a day; draws on the building limit at the gate, not in advance.
    Day = 3,
}

impl ProductKind {
    /// Every kind.
    pub const ALL: &'static [ProductKind] = &[Self::Timed, Self::Guided, Self::Group, Self::Day];

    /// As it stands in catalogues: `timed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timed => "timed",
            Self::Guided => "guided",
            Self::Group => "group",
            Self::Day => "day",
        }
    }

    /// The kind stored under `number`.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Timed),
            1 => Some(Self::Guided),
            2 => Some(Self::Group),
            3 => Some(Self::Day),
            _ => None,
        }
    }
}

/// One product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDefinition {
    /// Product id.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// What else is said of it, and in which languages.
    pub texts: Texts,
    /// How it is visited.
    pub kind: ProductKind,
    /// Minutes from slot to slot (0 for a day pass).
    pub slot_minutes: u32,
    /// Minutes that a visitor occupies the building (0 for a day pass).
    pub visit_minutes: u32,
    /// Places per slot (day pass: per day).
    pub capacity: u32,
    /// Where given, the last slot starts no later than this many minutes before closing.
    pub last_entry_before_close_minutes: Option<u32>,
    /// Sale begins.
    pub on_sale: Option<Timestamp>,
    /// How long a hold lives.
    pub hold_minutes: u32,
    /// Fewest units in one booking.
    pub min_units_per_booking: u32,
    /// Most units in one booking.
    pub max_units_per_booking: u32,
    /// A tour below this is cancelled at its cutoff, with all that was sold of it.
    pub min_to_run: Option<u32>,
    /// The cutoff lies so many minutes before the start.
    pub cutoff_minutes: u32,
    /// At most so many tours at once.
    pub guides: Option<u32>,
    /// Who has left may come back on the same ticket.
    pub re_entry: bool,
    /// The gates admit so many minutes before the start.
    pub early_entry_minutes: u32,
    /// Ticket types.
    pub units: Vec<UnitDefinition>,
}

/// A ticket type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitDefinition {
    /// Unit id.
    pub slug: String,
    /// Name for people, where the catalogue has one.
    pub name: Option<String>,
    /// What else is said of it, and in which languages.
    pub texts: Texts,
    /// Kind as resellers know it: `ADULT`.
    pub kind: String,
    /// Minor units, tax included.
    pub price: i64,
    /// Persons that one of it admits.
    pub pax: u32,
    /// Carried, shown, checked by people.
    pub min_age: Option<u32>,
    /// Carried, shown, checked by people.
    pub max_age: Option<u32>,
    /// At least one of these must be in the booking for the same slot.
    pub accompanied_by: Vec<String>,
    /// Most of it in one booking.
    pub max_quantity: Option<u32>,
    /// What the visitor must hold (`membership`). Carried.
    pub requires: Option<String>,
    /// An identity card is looked at. Carried.
    pub id_required: bool,
}

/// An offer over several venues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleDefinition {
    /// Bundle id.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// (venue, product) of each leg.
    pub legs: Vec<(String, String)>,
    /// ISO 4217 code.
    pub currency: String,
    /// (bundle unit, price in minor units, unit of each leg in order of `legs`).
    pub units: Vec<(String, i64, Vec<String>)>,
}
