//! Bundles: offers over several venues, each leg a product of one.

use std::collections::BTreeMap;

use super::currency;
use super::fields::{Report, step};
use crate::catalogue::bounds::{MAX_LEGS, MAX_PRICE, MAX_UNITS};
use crate::catalogue::{
    BundleDefinition, BundleDescription, BundleUnitDescription, ProductDescription, VenueDescription,
};

pub(super) fn bundle(
    at: &str,
    bundle: &BundleDescription,
    venues: &BTreeMap<&str, &VenueDescription>,
    report: &mut Report,
) -> BundleDefinition {
    report.name(format!("{at}/name"), &bundle.name);
    let legs_at = format!("{at}/legs");
    if bundle.legs.len() < 2 {
        report.say(
            &legs_at,
            "a bundle joins at least two venues; describe two legs, or sell a product instead",
        );
    }
    report.at_most(&legs_at, bundle.legs.len(), MAX_LEGS, "legs");
    // The product of each leg, where there is one.
    let mut products: BTreeMap<&str, Option<&ProductDescription>> = BTreeMap::new();
    for (index, leg) in bundle.legs.iter().take(MAX_LEGS).enumerate() {
        let at = format!("{legs_at}/{index}");
        if products.contains_key(leg.venue.as_str()) {
            report.say(
                format!("{at}/venue"),
                format!("{:?} has a leg already; a bundle visits a venue once", leg.venue),
            );
            continue;
        }
        let venue = venues.get(leg.venue.as_str());
        let product = venue.and_then(|venue| venue.products.iter().find(|product| product.id == leg.product));
        if venue.is_none() {
            report.say(
                format!("{at}/venue"),
                format!("this file has no venue {:?}; name one of its venues", leg.venue),
            );
        } else if product.is_none() {
            let detail = format!(
                "venue {:?} has no product {:?}; name one of its products",
                leg.venue, leg.product
            );
            report.say(format!("{at}/product"), detail);
        }
        products.insert(&leg.venue, product);
    }
    currency(&format!("{at}/currency"), &bundle.currency, report);
    let units_at = format!("{at}/units");
    if bundle.units.is_empty() {
        report.say(&units_at, "without a unit nothing can be sold; describe at least one");
    }
    report.at_most(&units_at, bundle.units.len(), MAX_UNITS, "units");
    report.ids(&units_at, bundle.units.iter().map(|unit| unit.id.as_str()), "unit");
    let units = (0..)
        .zip(bundle.units.iter().take(MAX_UNITS))
        .map(|(index, description)| unit(&format!("{units_at}/{index}"), description, bundle, &products, report))
        .collect();
    BundleDefinition {
        slug: bundle.id.clone(),
        name: bundle.name.clone(),
        legs: bundle
            .legs
            .iter()
            .map(|leg| (leg.venue.clone(), leg.product.clone()))
            .collect(),
        currency: bundle.currency.clone(),
        units,
    }
}

/// The unit with the legs' units in order of the bundle's legs.
fn unit(
    at: &str,
    unit: &BundleUnitDescription,
    bundle: &BundleDescription,
    products: &BTreeMap<&str, Option<&ProductDescription>>,
    report: &mut Report,
) -> (String, i64, Vec<String>) {
    let legs_at = format!("{at}/legs");
    for (index, (venue, unit_of_leg)) in unit.legs.iter().enumerate() {
        let at = format!("{legs_at}/{}", step(venue));
        if unit.legs[..index].iter().any(|(earlier, _)| earlier == venue) {
            report.say(at, format!("names {venue:?} a second time; leave it out"));
            continue;
        }
        match products.get(venue.as_str()) {
            // One of the legs that were not looked at.
            None if bundle.legs.iter().any(|leg| leg.venue == *venue) => {}
            None => report.say(
                at,
                format!("the bundle has no leg at {venue:?}; leave it out, or describe the leg"),
            ),
            // A leg without a product is reported where it stands.
            Some(None) => {}
            Some(Some(product)) if product.units.iter().any(|unit| unit.id == *unit_of_leg) => {}
            Some(Some(product)) => report.say(
                at,
                format!(
                    "product {:?} of {venue:?} has no unit {unit_of_leg:?}; name one of its units",
                    product.id
                ),
            ),
        }
    }
    let mut units = Vec::new();
    for leg in &bundle.legs {
        match unit.legs.iter().find(|(venue, _)| *venue == leg.venue) {
            Some((_, unit)) => units.push(unit.clone()),
            None => {
                report.say(
                    &legs_at,
                    format!("does not say which unit it is at {:?}; add it", leg.venue),
                );
            }
        }
    }
    if !(0..=MAX_PRICE).contains(&unit.price) {
        let detail = format!(
            "a price of {} is out of bounds; use 0 to {MAX_PRICE} minor units",
            unit.price
        );
        report.say(format!("{at}/price"), detail);
    }
    (unit.id.clone(), unit.price, units)
}
