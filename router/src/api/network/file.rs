//! The file as it is written: the same fields as the rules' own description, with a format. What is well-formed but wrong
//! (an unknown zone, a negative price) is found by the rules, all of it at once.
//!
//! The shape stands only here. The rules know no format, so their tests, which want real networks, compile this very file
//! (`node/booking/tests/support/meridian.rs`): it names nothing of this crate.

use rotunda_booking::catalogue::{
    BundleDescription, BundleUnitDescription, LegDescription, NetworkDescription, NetworkHeader, OpeningDescription,
    ProductDescription, TranslationDescription, UnitDescription, VenueDescription,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A network's catalogue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFile {
    network: Header,
    venues: Vec<Venue>,
    #[serde(default)]
    bundles: Vec<Bundle>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileHeader)]
struct Header {
    id: String,
    name: String,
    /// Language of all texts that are no translation, unless a venue says otherwise: a tag of BCP 47.
    #[schema(example = "en")]
    language: Option<String>,
    hold_minutes: Option<i64>,
    max_units_per_booking: Option<i64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileVenue)]
struct Venue {
    id: String,
    name: String,
    /// Language of the venue's texts and those of its products; the network's where left out.
    language: Option<String>,
    description: Option<String>,
    /// By tag of BCP 47.
    #[serde(default)]
    translations: BTreeMap<String, Translation>,
    city: String,
    time_zone: String,
    currency: String,
    tax_basis_points: i64,
    building_capacity: i64,
    opening: Vec<Opening>,
    #[serde(default)]
    closed: Vec<String>,
    products: Vec<Product>,
}

/// Texts in another language. What is left out is shown as the venue's language has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileTranslation)]
struct Translation {
    name: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileOpening)]
struct Opening {
    days: Vec<String>,
    from: String,
    to: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileProduct)]
struct Product {
    id: String,
    name: String,
    description: Option<String>,
    /// By tag of BCP 47.
    #[serde(default)]
    translations: BTreeMap<String, Translation>,
    kind: String,
    slot_minutes: Option<i64>,
    visit_minutes: Option<i64>,
    capacity_per_slot: Option<i64>,
    capacity_per_day: Option<i64>,
    last_entry_before_close_minutes: Option<i64>,
    on_sale: Option<String>,
    hold_minutes: Option<i64>,
    min_units_per_booking: Option<i64>,
    max_units_per_booking: Option<i64>,
    min_to_run: Option<i64>,
    cutoff_minutes: Option<i64>,
    guides: Option<i64>,
    re_entry: Option<bool>,
    early_entry_minutes: Option<i64>,
    units: Vec<Unit>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileUnit)]
struct Unit {
    id: String,
    name: Option<String>,
    description: Option<String>,
    /// By tag of BCP 47.
    #[serde(default)]
    translations: BTreeMap<String, Translation>,
    #[serde(rename = "type")]
    kind: String,
    price: i64,
    pax: Option<i64>,
    min_age: Option<i64>,
    max_age: Option<i64>,
    #[serde(default)]
    accompanied_by: Vec<String>,
    max_quantity: Option<i64>,
    requires: Option<String>,
    id_required: Option<bool>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileBundle)]
struct Bundle {
    id: String,
    name: String,
    legs: Vec<Leg>,
    units: Vec<BundleUnit>,
    currency: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileLeg)]
struct Leg {
    venue: String,
    product: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkFileBundleUnit)]
struct BundleUnit {
    id: String,
    /// Venue id to unit id.
    legs: BTreeMap<String, String>,
    price: i64,
}

impl From<NetworkFile> for NetworkDescription {
    fn from(file: NetworkFile) -> Self {
        Self {
            network: NetworkHeader {
                id: file.network.id,
                name: file.network.name,
                language: file.network.language,
                hold_minutes: file.network.hold_minutes,
                max_units_per_booking: file.network.max_units_per_booking,
            },
            venues: file.venues.into_iter().map(Into::into).collect(),
            bundles: file.bundles.into_iter().map(Into::into).collect(),
        }
    }
}

fn translations(of: BTreeMap<String, Translation>) -> Vec<TranslationDescription> {
    of.into_iter()
        .map(|(language, texts)| TranslationDescription {
            language,
            name: texts.name,
            description: texts.description,
        })
        .collect()
}

impl From<Venue> for VenueDescription {
    fn from(venue: Venue) -> Self {
        let opening = |opening: Opening| OpeningDescription {
            days: opening.days,
            from: opening.from,
            to: opening.to,
        };
        Self {
            id: venue.id,
            name: venue.name,
            language: venue.language,
            description: venue.description,
            translations: translations(venue.translations),
            city: venue.city,
            time_zone: venue.time_zone,
            currency: venue.currency,
            tax_basis_points: venue.tax_basis_points,
            building_capacity: venue.building_capacity,
            opening: venue.opening.into_iter().map(opening).collect(),
            closed: venue.closed,
            products: venue.products.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Product> for ProductDescription {
    fn from(product: Product) -> Self {
        Self {
            id: product.id,
            name: product.name,
            description: product.description,
            translations: translations(product.translations),
            kind: product.kind,
            slot_minutes: product.slot_minutes,
            visit_minutes: product.visit_minutes,
            capacity_per_slot: product.capacity_per_slot,
            capacity_per_day: product.capacity_per_day,
            last_entry_before_close_minutes: product.last_entry_before_close_minutes,
            on_sale: product.on_sale,
            hold_minutes: product.hold_minutes,
            min_units_per_booking: product.min_units_per_booking,
            max_units_per_booking: product.max_units_per_booking,
            min_to_run: product.min_to_run,
            cutoff_minutes: product.cutoff_minutes,
            guides: product.guides,
            re_entry: product.re_entry,
            early_entry_minutes: product.early_entry_minutes,
            units: product.units.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Unit> for UnitDescription {
    fn from(unit: Unit) -> Self {
        Self {
            id: unit.id,
            name: unit.name,
            description: unit.description,
            translations: translations(unit.translations),
            kind: unit.kind,
            price: unit.price,
            pax: unit.pax,
            min_age: unit.min_age,
            max_age: unit.max_age,
            accompanied_by: unit.accompanied_by,
            max_quantity: unit.max_quantity,
            requires: unit.requires,
            id_required: unit.id_required,
        }
    }
}

impl From<Bundle> for BundleDescription {
    fn from(bundle: Bundle) -> Self {
        let leg = |leg: Leg| LegDescription {
            venue: leg.venue,
            product: leg.product,
        };
        let unit = |unit: BundleUnit| BundleUnitDescription {
            id: unit.id,
            legs: unit.legs.into_iter().collect(),
            price: unit.price,
        };
        Self {
            id: bundle.id,
            name: bundle.name,
            legs: bundle.legs.into_iter().map(leg).collect(),
            units: bundle.units.into_iter().map(unit).collect(),
            currency: bundle.currency,
        }
    }
}
