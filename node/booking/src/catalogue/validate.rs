//! From what people wrote to what may enter the log, or everything that is wrong with it.
//!
//! The importer (the router's door, tests) calls [`validate()`] on the whole file before anything changes. All problems
//! are found in one go, each with a JSON pointer into the file and with what to write instead. This is the only part of
//! the catalogue that opens tables (zones, currencies): what it finds there is written into the definition.
//!
//! The checks of a field report and give a stand-in value, so that the checks behind them go on; a definition with a
//! stand-in in it is never handed out.

mod bundles;
mod fields;
mod opening;
mod products;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeMap;

use self::fields::Report;
use super::bounds::{
    DEFAULT_HOLD_MINUTES, DEFAULT_MAX_UNITS_PER_BOOKING, MAX_BUNDLES, MAX_CAPACITY, MAX_CLOSED, MAX_HOLD_MINUTES,
    MAX_PRODUCTS, MAX_TAX_BASIS_POINTS, MAX_UNITS_PER_BOOKING, MAX_VENUES,
};
use super::{NetworkDefinition, NetworkDescription, NetworkHeader, VenueDefinition, VenueDescription};
use crate::calendar::zone::Zone;
use crate::money::currency_digits;

/// One thing that is wrong with a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file, as an RFC 6901 pointer: `/venues/3/products/0/units/1/price`.
    pub pointer: String,
    /// For people: what is wrong and what to write instead.
    pub detail: String,
}

/// What the network says for venues and products that say nothing.
#[derive(Clone)]
struct Defaults {
    language: String,
    hold_minutes: u32,
    max_units_per_booking: u32,
}

/// Checks a whole network and fills in its defaults.
///
/// # Errors
/// Every problem; nothing of the file may enter the log then.
pub fn validate(description: &NetworkDescription) -> Result<NetworkDefinition, Vec<Problem>> {
    let mut report = Report::default();
    let defaults = header(&description.network, &mut report);
    if description.venues.is_empty() {
        report.say(
            "/venues",
            "a network without venues sells nothing; describe at least one venue",
        );
    }
    report.at_most("/venues", description.venues.len(), MAX_VENUES, "venues");
    let venue_ids = description.venues.iter().map(|venue| venue.id.as_str());
    report.ids("/venues", venue_ids, "venue");
    let venues: Vec<VenueDefinition> = (0..)
        .zip(description.venues.iter().take(MAX_VENUES))
        .map(|(at, description)| venue(&format!("/venues/{at}"), description, &defaults, &mut report))
        .collect();
    report.at_most("/bundles", description.bundles.len(), MAX_BUNDLES, "bundles");
    report.ids(
        "/bundles",
        description.bundles.iter().map(|bundle| bundle.id.as_str()),
        "bundle",
    );
    let by_id: BTreeMap<&str, &VenueDescription> = description
        .venues
        .iter()
        .map(|venue| (venue.id.as_str(), venue))
        .collect();
    let bundles = (0..)
        .zip(description.bundles.iter().take(MAX_BUNDLES))
        .map(|(at, description)| bundles::bundle(&format!("/bundles/{at}"), description, &by_id, &mut report))
        .collect();
    report.finish(NetworkDefinition {
        id: description.network.id.clone(),
        name: description.network.name.clone(),
        venues,
        bundles,
    })
}

fn header(header: &NetworkHeader, report: &mut Report) -> Defaults {
    report.id("/network/id", &header.id);
    report.name("/network/name", &header.name);
    Defaults {
        language: texts::language("/network/language", header.language.as_deref(), "", report),
        hold_minutes: report.number(
            "/network/hold_minutes",
            header.hold_minutes.unwrap_or(DEFAULT_HOLD_MINUTES),
            1..=MAX_HOLD_MINUTES,
        ),
        max_units_per_booking: report.number(
            "/network/max_units_per_booking",
            header.max_units_per_booking.unwrap_or(DEFAULT_MAX_UNITS_PER_BOOKING),
            1..=MAX_UNITS_PER_BOOKING,
        ),
    }
}

fn venue(at: &str, venue: &VenueDescription, defaults: &Defaults, report: &mut Report) -> VenueDefinition {
    report.name(format!("{at}/name"), &venue.name);
    let language = texts::language(
        &format!("{at}/language"),
        venue.language.as_deref(),
        &defaults.language,
        report,
    );
    let texts = texts::texts(at, venue.description.as_deref(), &venue.translations, &language, report);
    report.name(format!("{at}/city"), &venue.city);
    let zone = Zone::open(&venue.time_zone);
    if zone.is_none() {
        report.say(
            format!("{at}/time_zone"),
            format!(
                "there is no time zone {:?}; use a name of the IANA database, as Europe/Lisbon",
                venue.time_zone
            ),
        );
    }
    let currency_digits = currency(&format!("{at}/currency"), &venue.currency, report);
    let tax_basis_points = report.number(
        format!("{at}/tax_basis_points"),
        venue.tax_basis_points,
        0..=MAX_TAX_BASIS_POINTS,
    );
    let building_capacity = report.number(
        format!("{at}/building_capacity"),
        venue.building_capacity,
        1..=MAX_CAPACITY,
    );
    let opening = opening::weekly(&format!("{at}/opening"), &venue.opening, report);
    report.at_most(format!("{at}/closed"), venue.closed.len(), MAX_CLOSED, "closed days");
    let mut closed: Vec<_> = (0..)
        .zip(venue.closed.iter().take(MAX_CLOSED))
        .filter_map(|(index, date)| report.date(format!("{at}/closed/{index}"), date))
        .collect();
    // In one order and once each, so that a file that lists them otherwise is the same catalogue.
    closed.sort_unstable();
    closed.dedup();
    let products_at = format!("{at}/products");
    report.at_most(&products_at, venue.products.len(), MAX_PRODUCTS, "products");
    report.ids(
        &products_at,
        venue.products.iter().map(|product| product.id.as_str()),
        "product",
    );
    let products = (0..)
        .zip(venue.products.iter().take(MAX_PRODUCTS))
        .map(|(index, description)| {
            products::product(
                &format!("{products_at}/{index}"),
                description,
                zone.as_ref(),
                &language,
                defaults,
                report,
            )
        })
        .collect();
    VenueDefinition {
        slug: venue.id.clone(),
        name: venue.name.clone(),
        language,
        texts,
        city: venue.city.clone(),
        time_zone: zone.as_ref().map(Zone::name).unwrap_or_default().to_owned(),
        currency: venue.currency.clone(),
        currency_digits,
        tax_basis_points,
        building_capacity,
        opening,
        closed,
        products,
    }
}

/// Digits of the minor unit.
fn currency(at: &str, code: &str, report: &mut Report) -> u8 {
    currency_digits(code).unwrap_or_else(|| {
        report.say(
            at,
            format!("there is no currency {code:?}; use a code of ISO 4217 in capitals, as EUR"),
        );
        0
    })
}
