//! What the model cluster sells: an exhibition where the slot alone decides, and in every other venue a tight building
//! with guided tours.

use rotunda_booking::catalogue::{ProductDefinition, ProductKind, UnitDefinition, VenueDefinition, revision};
use rotunda_booking::command::{SlotPlan, SlotSpec};
use rotunda_booking::ids::{SlotRef, VenueNo};
use rotunda_booking::time::{ServiceDay, Timestamp};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// Log time when the run begins.
pub(super) const BEGIN: i64 = 20_000 * DAY;
const FIRST_DAY: i32 = 20_030;
const SLOTS_A_DAY: i64 = 8;
/// More minutes than lie between the beginning and the last day of any run.
const EARLY: u32 = 4 * 365 * 24 * 60;

pub(super) const PRODUCTS: [&str; 2] = ["general", "tour"];
pub(super) const UNITS: [&str; 2] = ["adult", "family"];

pub(super) fn slug(venue: VenueNo) -> String {
    format!("house-{venue}")
}

pub(crate) fn unit(slug: &str, price: i64, pax: u32) -> UnitDefinition {
    UnitDefinition {
        slug: slug.to_owned(),
        name: None,
        texts: Default::default(),
        kind: slug.to_uppercase(),
        price,
        pax,
        min_age: None,
        max_age: None,
        accompanied_by: Vec::new(),
        max_quantity: None,
        requires: None,
        id_required: false,
    }
}

fn product(slug: &str, capacity: u32, guides: Option<u32>) -> ProductDefinition {
    ProductDefinition {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        texts: Default::default(),
        kind: if guides.is_some() {
            ProductKind::Guided
        } else {
            ProductKind::Timed
        },
        slot_minutes: 60,
        visit_minutes: 90,
        capacity,
        last_entry_before_close_minutes: None,
        on_sale: None,
        hold_minutes: 1,
        min_units_per_booking: 1,
        max_units_per_booking: 10,
        min_to_run: None,
        cutoff_minutes: 60,
        guides,
        re_entry: false,
        // Tickets admit from the beginning of the run on, weeks ahead.
        early_entry_minutes: EARLY,
        units: vec![unit(UNITS[0], 1_400, 1), unit(UNITS[1], 3_100, 4)],
    }
}

pub(super) fn definition(venue: VenueNo) -> VenueDefinition {
    let tight = venue.0.is_multiple_of(2);
    let mut products = vec![product(PRODUCTS[0], 14, None)];
    if tight {
        products.push(product(PRODUCTS[1], 8, Some(1)));
    }
    VenueDefinition {
        slug: slug(venue),
        name: "House".to_owned(),
        language: String::new(),
        texts: Default::default(),
        city: "Town".to_owned(),
        time_zone: "UTC".to_owned(),
        currency: "EUR".to_owned(),
        currency_digits: 2,
        tax_basis_points: 600,
        building_capacity: if tight { 20 } else { 5_000 },
        opening: Vec::new(),
        closed: Vec::new(),
        products,
    }
}

pub(super) fn plans(definition: &VenueDefinition, days: i32) -> Vec<SlotPlan> {
    let mut plans = Vec::new();
    for day in (0..days).map(|day| ServiceDay(FIRST_DAY + day)) {
        for product in &definition.products {
            let starts = (0..SLOTS_A_DAY).map(|n| Timestamp(i64::from(day.0) * DAY + (540 + 60 * n) * MINUTE));
            let slots = starts.map(|start| SlotSpec {
                start,
                end: start.plus_minutes(60),
                occupies_until: start.plus_minutes(90),
                offset_minutes: 0,
                capacity: product.capacity,
            });
            plans.push(SlotPlan {
                revision: revision(definition),
                product: product.slug.clone(),
                day,
                slots: slots.collect(),
            });
        }
    }
    plans
}

/// The slots of a plan, as callers name them.
pub(super) fn names(plan: &SlotPlan) -> impl Iterator<Item = SlotRef> {
    plan.slots.iter().map(|spec| SlotRef {
        product: plan.product.clone(),
        start: spec.start,
        offset_minutes: spec.offset_minutes,
    })
}

/// The days that are planned.
pub(super) fn days(days: i32) -> (ServiceDay, ServiceDay) {
    (ServiceDay(FIRST_DAY), ServiceDay(FIRST_DAY + days - 1))
}
