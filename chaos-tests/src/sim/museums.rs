//! The small network that simulations sell: few slots and few places, so that many visitors want the same ones.

use rotunda_booking::catalogue::{Opening, ProductDefinition, ProductKind, VenueDefinition};

use crate::model_cluster::catalogue::unit;

/// Venues of a simulation: so many shards are busy.
pub const VENUES: usize = 3;

fn product(slug: &str, kind: ProductKind, capacity: u32, guides: Option<u32>) -> ProductDefinition {
    ProductDefinition {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        texts: Default::default(),
        kind,
        slot_minutes: 120,
        visit_minutes: 180,
        capacity,
        last_entry_before_close_minutes: None,
        on_sale: None,
        hold_minutes: 1,
        min_units_per_booking: 1,
        max_units_per_booking: 6,
        min_to_run: None,
        cutoff_minutes: 60,
        guides,
        re_entry: false,
        // What is sold is of tomorrow, and its gates are open already.
        early_entry_minutes: 2 * 24 * 60,
        units: vec![unit("adult", 1_400, 1), unit("family", 3_200, 4)],
    }
}

/// The venue of this number, from 0.
#[must_use]
pub fn venue(number: usize) -> VenueDefinition {
    let zones = ["Europe/Lisbon", "Asia/Kathmandu", "America/St_Johns"];
    VenueDefinition {
        slug: format!("sim-{number}"),
        name: format!("Sim {number}"),
        language: String::new(),
        texts: Default::default(),
        city: "Sim".to_owned(),
        time_zone: zones[number % zones.len()].to_owned(),
        currency: "EUR".to_owned(),
        currency_digits: 2,
        tax_basis_points: 600,
        building_capacity: 40,
        opening: vec![Opening {
            days: 127,
            from_minute: 600,
            to_minute: 1_080,
        }],
        closed: Vec::new(),
        products: vec![
            product("general", ProductKind::Timed, 24, None),
            product("tour", ProductKind::Guided, 10, Some(1)),
        ],
    }
}
