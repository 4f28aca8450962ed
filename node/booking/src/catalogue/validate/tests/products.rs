//! What may be wrong with products and their units.

use super::*;

#[test]
fn a_number_out_of_bounds_is_refused() {
    for minutes in [0, -1, 1_441, i64::MIN, i64::MAX] {
        finds("/network/hold_minutes", "use 1 to 1440", |network| {
            network.network.hold_minutes = Some(minutes)
        });
        product_finds("/hold_minutes", "use 1 to 1440", |product| {
            product.hold_minutes = Some(minutes)
        });
    }
    for units in [0, -1, 501] {
        finds("/network/max_units_per_booking", "use 1 to 500", |network| {
            network.network.max_units_per_booking = Some(units);
            for product in network.venues.iter_mut().flat_map(|venue| &mut venue.products) {
                product.max_units_per_booking = Some(10);
            }
        });
        product_finds("/max_units_per_booking", "use 1 to 500", |product| {
            product.max_units_per_booking = Some(units)
        });
        unit_finds("/max_quantity", "use 1 to 500", |unit| unit.max_quantity = Some(units));
    }
    product_finds("/min_units_per_booking", "use 1 to 500", |product| {
        product.min_units_per_booking = Some(0)
    });
    for capacity in [0, -5, 100_000_001] {
        venue_finds("/building_capacity", "use 1 to 100000000", |venue| {
            venue.building_capacity = capacity
        });
        product_finds("/capacity_per_slot", "use 1 to 100000000", |product| {
            product.capacity_per_slot = Some(capacity)
        });
        venue_finds("/products/2/capacity_per_day", "use 1 to 100000000", |venue| {
            venue.products[2].capacity_per_day = Some(capacity);
        });
    }
    for tax in [-1, 10_001] {
        venue_finds("/tax_basis_points", "use 0 to 10000", |venue| {
            venue.tax_basis_points = tax
        });
    }
    for pax in [0, 101] {
        unit_finds("/pax", "use 1 to 100", |unit| unit.pax = Some(pax));
    }
    unit_finds("/min_age", "use 0 to 150", |unit| unit.min_age = Some(-1));
    unit_finds("/max_age", "use 0 to 150", |unit| unit.max_age = Some(151));
    venue_finds("/products/1/guides", "use 1 to 1000", |venue| {
        venue.products[1].guides = Some(0)
    });
    venue_finds("/products/1/min_to_run", "use 1 to 100000000", |venue| {
        venue.products[1].min_to_run = Some(0)
    });
}

#[test]
fn a_price_that_is_negative_or_absurd_is_refused() {
    unit_finds("/price", "-1400 is negative; use 0 or more", |unit| unit.price = -1_400);
    unit_finds("/price", "is negative", |unit| unit.price = i64::MIN);
    unit_finds("/price", "too high", |unit| unit.price = 1_000_000_000_001);
    finds("/bundles/0/units/0/price", "out of bounds", |network| {
        network.bundles[0].units[0].price = -1
    });
    good(|network| network.venues[0].products[0].units[0].price = 0);
}

#[test]
fn minutes_off_the_grid_are_refused() {
    product_finds("/slot_minutes", "use 10 or 15", |product| {
        product.slot_minutes = Some(12)
    });
    product_finds("/visit_minutes", "use 85 or 90", |product| {
        product.visit_minutes = Some(88)
    });
    product_finds("/last_entry_before_close_minutes", "use 0 or 5", |product| {
        product.last_entry_before_close_minutes = Some(1);
    });
    venue_finds("/opening/0/from", "step of 5 minutes", |venue| {
        venue.opening[0].from = "10:01".into()
    });
    venue_finds("/opening/0/to", "step of 5 minutes", |venue| {
        venue.opening[0].to = "18:59".into()
    });
}

#[test]
fn spans_that_are_zero_or_longer_than_a_day_are_refused() {
    for minutes in [0, -15, 3, 1_445] {
        product_finds("/slot_minutes", "use 5 to 1440", |product| {
            product.slot_minutes = Some(minutes)
        });
        product_finds("/visit_minutes", "use 5 to 1440", |product| {
            product.visit_minutes = Some(minutes)
        });
    }
    for minutes in [-5, -7, 1_445] {
        product_finds("/last_entry_before_close_minutes", "use 0 to 1440", |product| {
            product.last_entry_before_close_minutes = Some(minutes);
        });
    }
}

#[test]
fn a_kind_has_its_own_fields() {
    product_finds("/kind", "use timed, guided, group or day", |product| {
        product.kind = "Timed".into()
    });
    for kind in ["timed", "group"] {
        product_finds(
            "/slot_minutes",
            &format!("a product of kind {kind} needs slot_minutes"),
            |product| {
                product.kind = kind.into();
                product.slot_minutes = None;
            },
        );
        product_finds(
            "/guides",
            &format!("only guided products have guides, this one is {kind}"),
            |product| {
                product.kind = kind.into();
                product.guides = Some(2);
            },
        );
    }
    product_finds("/visit_minutes", "needs visit_minutes", |product| {
        product.visit_minutes = None
    });
    product_finds("/capacity_per_slot", "needs capacity_per_slot", |product| {
        product.capacity_per_slot = None
    });
    product_finds("/capacity_per_day", "has no capacity_per_day", |product| {
        product.capacity_per_day = Some(9)
    });
    product_finds("/min_to_run", "only guided products have min_to_run", |product| {
        product.min_to_run = Some(4)
    });
    let pass = |detail: &str, field: &str, spoil: &dyn Fn(&mut ProductDescription)| {
        venue_finds(&format!("/products/2/{field}"), detail, |venue| {
            spoil(&mut venue.products[2])
        });
    };
    pass("needs capacity_per_day", "capacity_per_day", &|product| {
        product.capacity_per_day = None
    });
    pass("has no slot_minutes", "slot_minutes", &|product| {
        product.slot_minutes = Some(15)
    });
    pass("has no visit_minutes", "visit_minutes", &|product| {
        product.visit_minutes = Some(60)
    });
    pass("has no capacity_per_slot", "capacity_per_slot", &|product| {
        product.capacity_per_slot = Some(9)
    });
    pass("only guided products have guides", "guides", &|product| {
        product.guides = Some(1)
    });
}

#[test]
fn a_minimum_above_its_maximum_is_refused() {
    product_finds("/min_units_per_booking", "(the product's maximum)", |product| {
        product.min_units_per_booking = Some(10);
        product.max_units_per_booking = Some(9);
    });
    product_finds(
        "/min_units_per_booking",
        "at most 30 units (the network's maximum)",
        |product| {
            product.min_units_per_booking = Some(31);
        },
    );
    unit_finds("/min_age", "nobody is at least 18 and at most 12", |unit| {
        unit.min_age = Some(18);
        unit.max_age = Some(12);
    });
    venue_finds("/products/1/min_to_run", "never has 51 visitors", |venue| {
        venue.products[1].min_to_run = Some(51)
    });
    good(|network| network.venues[0].products[0].units[0].min_age = Some(18));
}

#[test]
fn a_unit_is_accompanied_by_another_one_of_its_product() {
    unit_finds("/accompanied_by/1", "has no unit \"teacher\"", |unit| {
        unit.accompanied_by.push("teacher".into())
    });
    unit_finds("/accompanied_by/0", "cannot accompany itself", |unit| {
        unit.accompanied_by = vec!["child".into()]
    });
    unit_finds("/accompanied_by/1", "a second time", |unit| {
        unit.accompanied_by.push("adult".into())
    });
}

#[test]
fn a_type_of_unit_that_resellers_do_not_know_is_refused() {
    unit_finds("/type", "use one of ADULT, YOUTH", |unit| unit.kind = "adult".into());
}

#[test]
fn a_sale_begins_at_a_time_of_the_venues_clock() {
    let at = |text: &str| {
        let network = good(|network| network.venues[0].products[0].on_sale = Some(text.into()));
        network.venues[0].products[0].on_sale.unwrap().to_rfc3339(0)
    };
    assert_eq!(at("2027-01-15T10:00"), "2027-01-15T10:00:00+00:00");
    assert_eq!(at("2027-07-15T10:00:30"), "2027-07-15T09:00:30+00:00");
    // One o'clock comes twice on the last Sunday of October: the first counts.
    assert_eq!(at("2026-10-25T01:30"), "2026-10-25T00:30:00+00:00");
    // On the last Sunday of March it does not come at all.
    for text in ["2027-03-28T01:00", "2027-03-28T01:30", "2027-03-28T01:59:59"] {
        product_finds("/on_sale", "the clocks of Europe/Lisbon skip", |product| {
            product.on_sale = Some(text.into())
        });
    }
    assert_eq!(at("2027-03-28T02:00"), "2027-03-28T01:00:00+00:00");
    for text in [
        "",
        "2027-01-15",
        "2027-01-15 10:00",
        "2027-01-15T10:00Z",
        "2027-01-15T25:00",
        "2027-02-30T10:00",
    ] {
        product_finds("/on_sale", "is not a local time", |product| {
            product.on_sale = Some(text.into())
        });
    }
}

#[test]
fn a_sale_with_seconds_is_an_instant_like_any_other() {
    let network = good(|network| network.venues[0].products[0].on_sale = Some("1970-01-01T01:00:00.250".into()));
    // Lisbon was an hour ahead then.
    assert_eq!(network.venues[0].products[0].on_sale, Some(Timestamp(250)));
}
