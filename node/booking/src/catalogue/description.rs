//! The catalogue as people write it: the fields of the file under their names, nothing checked, nothing filled in.
//!
//! Days, dates and times are texts and numbers are wide and signed, so that a wrong one gets as far as
//! [`super::validate()`] and is reported together with all the others. Whoever reads a file (the router's door, a test)
//! deserialises into types of its own and fills these; this crate knows no file format.

/// A whole network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkDescription {
    /// `network`: what holds for all venues.
    pub network: NetworkHeader,
    /// `venues`.
    pub venues: Vec<VenueDescription>,
    /// `bundles`.
    pub bundles: Vec<BundleDescription>,
}

/// What holds for all venues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkHeader {
    /// Network id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Language of all texts that are no translation, unless a venue says otherwise: a tag of BCP 47, as `en`.
    pub language: Option<String>,
    /// How long a hold lives unless the product says otherwise; 10 where left out.
    pub hold_minutes: Option<i64>,
    /// Most units in one booking unless the product says otherwise; 20 where left out.
    pub max_units_per_booking: Option<i64>,
}

/// One venue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VenueDescription {
    /// Venue id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Language of the venue's texts and those of its products; the network's where left out.
    pub language: Option<String>,
    /// What visitors should know of it, in some lines.
    pub description: Option<String>,
    /// Name and description in other languages.
    pub translations: Vec<TranslationDescription>,
    /// City.
    pub city: String,
    /// IANA zone: `Europe/Lisbon`.
    pub time_zone: String,
    /// ISO 4217 code: `EUR`.
    pub currency: String,
    /// Tax included in prices.
    pub tax_basis_points: i64,
    /// People inside at once, over all products.
    pub building_capacity: i64,
    /// Weekly opening hours.
    pub opening: Vec<OpeningDescription>,
    /// Days without opening: `2026-12-25`.
    pub closed: Vec<String>,
    /// Products.
    pub products: Vec<ProductDescription>,
}

/// Texts in another language, which the file has as the key of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranslationDescription {
    /// Tag of BCP 47: `pt-BR`.
    pub language: String,
    /// The same as in the venue's language where left out.
    pub name: Option<String>,
    /// The one in the venue's language is shown where left out.
    pub description: Option<String>,
}

/// Open on some weekdays between two local times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpeningDescription {
    /// `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
    pub days: Vec<String>,
    /// `10:00`.
    pub from: String,
    /// `18:00`, up to `24:00`; at or before `from` it is the next day's.
    pub to: String,
}

/// One product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductDescription {
    /// Product id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What visitors should know of it, in some lines.
    pub description: Option<String>,
    /// Name and description in other languages.
    pub translations: Vec<TranslationDescription>,
    /// `timed`, `guided`, `group` or `day`.
    pub kind: String,
    /// Minutes from slot to slot; not for `day`.
    pub slot_minutes: Option<i64>,
    /// Minutes that a visitor occupies the building; not for `day`.
    pub visit_minutes: Option<i64>,
    /// Places of each slot; not for `day`.
    pub capacity_per_slot: Option<i64>,
    /// Places of each day; only for `day`.
    pub capacity_per_day: Option<i64>,
    /// The last slot starts no later than so many minutes before closing.
    pub last_entry_before_close_minutes: Option<i64>,
    /// Sale begins at this local time of the venue: `2027-01-15T10:00`.
    pub on_sale: Option<String>,
    /// How long a hold lives; the network's where left out.
    pub hold_minutes: Option<i64>,
    /// Fewest units in one booking; 1 where left out.
    pub min_units_per_booking: Option<i64>,
    /// Most units in one booking; the network's where left out.
    pub max_units_per_booking: Option<i64>,
    /// A tour with fewer is cancelled; only for `guided`.
    pub min_to_run: Option<i64>,
    /// The cutoff lies so many minutes before the start; 60 where left out; only with `min_to_run`.
    pub cutoff_minutes: Option<i64>,
    /// At most so many tours at once; only for `guided`.
    pub guides: Option<i64>,
    /// Who has left may come back on the same ticket; no where left out.
    pub re_entry: Option<bool>,
    /// The gates admit so many minutes before the start; 15 where left out.
    pub early_entry_minutes: Option<i64>,
    /// Ticket types.
    pub units: Vec<UnitDescription>,
}

/// A ticket type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitDescription {
    /// Unit id.
    pub id: String,
    /// Name for people; where left out, shops show one of their own for the type.
    pub name: Option<String>,
    /// What visitors should know of it.
    pub description: Option<String>,
    /// Name and description in other languages.
    pub translations: Vec<TranslationDescription>,
    /// `type` in the file; as resellers know it: `ADULT`.
    pub kind: String,
    /// Minor units, tax included.
    pub price: i64,
    /// Persons that one of it admits; 1 where left out.
    pub pax: Option<i64>,
    /// Youngest, in years.
    pub min_age: Option<i64>,
    /// Oldest, in years.
    pub max_age: Option<i64>,
    /// At least one of these units of the same product must be in the booking for the same slot.
    pub accompanied_by: Vec<String>,
    /// Most of it in one booking.
    pub max_quantity: Option<i64>,
    /// What the visitor must hold: `membership`.
    pub requires: Option<String>,
    /// An identity card is looked at; no where left out.
    pub id_required: Option<bool>,
}

/// An offer over several venues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleDescription {
    /// Bundle id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What it consists of.
    pub legs: Vec<LegDescription>,
    /// What it costs, for whom.
    pub units: Vec<BundleUnitDescription>,
    /// ISO 4217 code.
    pub currency: String,
}

/// One leg of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegDescription {
    /// Venue id.
    pub venue: String,
    /// Product id within it.
    pub product: String,
}

/// A ticket type of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleUnitDescription {
    /// Unit id within the bundle.
    pub id: String,
    /// Which unit of the leg's product it is at each venue: (venue id, unit id), in any order.
    pub legs: Vec<(String, String)>,
    /// Minor units of the bundle's currency, tax included, for all legs together.
    pub price: i64,
}
