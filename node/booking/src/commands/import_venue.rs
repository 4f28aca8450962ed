//! Import: a venue's catalogue is created or replaced. The importer has validated it (`catalogue`); here is checked
//! what only the state knows, and what apply's arithmetic relies on.

use super::MAX_PERSONS;
use crate::catalogue::bounds::MAX_PRICE;
use crate::catalogue::{self, VenueDefinition};
use crate::ids::VenueNo;
use crate::inventory::{Halt, Transaction};
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::state::{Catalogue, VenueRow};

pub(super) fn import_venue(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    definition: &VenueDefinition,
) -> Result<Outcome, Halt> {
    let revision = catalogue::revision(definition);
    let before = transaction.catalogue(venue)?;
    if before.as_ref().is_some_and(|before| before.row.revision == revision) {
        return Ok(Outcome::Imported {
            revision,
            changed: false,
        });
    }
    check_definition(definition)?;
    let mut row = VenueRow {
        slug: definition.slug.clone(),
        currency: definition.currency.clone(),
        revision,
        names: Vec::new(),
    };
    if let Some(before) = before {
        let sold = transaction.counters(venue).bookings > 0;
        check_change(&before.definition, definition, sold)?;
        row.names.clone_from(&before.row.names);
    }
    let catalogue = Catalogue::new(row, definition.clone())
        .ok_or_else(|| conflict("the venue has had more product and unit ids than can be numbered"))?;
    transaction.set_catalogue(venue, catalogue)?;
    Ok(Outcome::Imported {
        revision,
        changed: true,
    })
}

fn conflict(detail: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::CatalogueConflict, detail)
}

/// What may not change from one catalogue to the next.
fn check_change(before: &VenueDefinition, after: &VenueDefinition, sold: bool) -> Result<(), Refusal> {
    if before.slug != after.slug {
        return Err(conflict(format!(
            "this is venue {}, and the catalogue is of {}",
            before.slug, after.slug
        )));
    }
    let currency = (&before.currency, before.currency_digits) != (&after.currency, after.currency_digits);
    if sold && currency {
        let detail = format!(
            "{} has bookings in {}; its currency can no longer change",
            before.slug, before.currency
        );
        return Err(conflict(detail));
    }
    if sold && before.time_zone != after.time_zone {
        let detail = format!("{} has bookings; its time zone can no longer change", before.slug);
        return Err(conflict(detail));
    }
    Ok(())
}

/// What apply relies on. A definition that the importer has validated passes.
fn check_definition(definition: &VenueDefinition) -> Result<(), Refusal> {
    let distinct = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1])
    };
    if !distinct(
        definition
            .products
            .iter()
            .map(|product| product.slug.as_str())
            .collect(),
    ) {
        return Err(conflict("two products have the same id"));
    }
    for product in &definition.products {
        if !distinct(product.units.iter().map(|unit| unit.slug.as_str()).collect()) {
            return Err(conflict(format!("two units of {} have the same id", product.slug)));
        }
        for unit in &product.units {
            if !(0..=MAX_PRICE).contains(&unit.price) {
                return Err(conflict(format!(
                    "the price of {}/{} is out of range",
                    product.slug, unit.slug
                )));
            }
            if unit.pax == 0 || u64::from(unit.pax) > MAX_PERSONS {
                return Err(conflict(format!(
                    "{}/{} admits nobody, or too many",
                    product.slug, unit.slug
                )));
            }
        }
    }
    Ok(())
}
