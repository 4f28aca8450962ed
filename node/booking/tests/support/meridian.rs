//! The network of `deploy/config/meridian.yaml`, as every test that wants real input uses it.
//!
//! The rules know no file format, so the format lives here: a mirror of the file with serde, as the router has one.

#![allow(dead_code, reason = "each test that includes this uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use rotunda_booking::catalogue::{
    BundleDescription, BundleUnitDescription, LegDescription, NetworkDefinition, NetworkDescription, NetworkHeader,
    OpeningDescription, ProductDefinition, ProductDescription, UnitDescription, VenueDefinition, VenueDescription,
    validate,
};
use serde::Deserialize;

/// The file as it stands in the repository.
pub(crate) const YAML: &str = include_str!("../../../../deploy/config/meridian.yaml");

/// The file, read and not yet validated.
pub(crate) fn description() -> NetworkDescription {
    read(YAML)
}

/// The file, validated.
pub(crate) fn definition() -> NetworkDefinition {
    validate(&description()).expect("meridian.yaml is a good network")
}

/// One of its venues.
pub(crate) fn venue(slug: &str) -> VenueDefinition {
    definition()
        .venues
        .into_iter()
        .find(|venue| venue.slug == slug)
        .expect("the venue is in the file")
}

/// One product of a venue.
pub(crate) fn product<'a>(venue: &'a VenueDefinition, slug: &str) -> &'a ProductDefinition {
    venue
        .products
        .iter()
        .find(|product| product.slug == slug)
        .expect("the product is in the venue")
}

/// A network's file, read and not yet validated.
pub(crate) fn read(yaml: &str) -> NetworkDescription {
    serde_saphyr::from_str::<File>(yaml)
        .expect("the file has the shape of a network")
        .into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    network: Header,
    venues: Vec<Venue>,
    #[serde(default)]
    bundles: Vec<Bundle>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    id: String,
    name: String,
    hold_minutes: Option<i64>,
    max_units_per_booking: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Venue {
    id: String,
    name: String,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    days: Vec<String>,
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    id: String,
    name: String,
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
    guides: Option<i64>,
    units: Vec<Unit>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    id: String,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    id: String,
    name: String,
    legs: Vec<Leg>,
    units: Vec<BundleUnit>,
    currency: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leg {
    venue: String,
    product: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleUnit {
    id: String,
    legs: BTreeMap<String, String>,
    price: i64,
}

impl From<File> for NetworkDescription {
    fn from(file: File) -> Self {
        Self {
            network: NetworkHeader {
                id: file.network.id,
                name: file.network.name,
                hold_minutes: file.network.hold_minutes,
                max_units_per_booking: file.network.max_units_per_booking,
            },
            venues: file.venues.into_iter().map(Into::into).collect(),
            bundles: file.bundles.into_iter().map(Into::into).collect(),
        }
    }
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
        let unit = |unit: Unit| UnitDescription {
            id: unit.id,
            kind: unit.kind,
            price: unit.price,
            pax: unit.pax,
            min_age: unit.min_age,
            max_age: unit.max_age,
            accompanied_by: unit.accompanied_by,
            max_quantity: unit.max_quantity,
            requires: unit.requires,
            id_required: unit.id_required,
        };
        Self {
            id: product.id,
            name: product.name,
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
            guides: product.guides,
            units: product.units.into_iter().map(unit).collect(),
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
