//! Every problem has its story here. The fixture is a good network that each story spoils in one place.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod bundles;
mod opening;
mod products;
mod texts;

use super::*;
use crate::catalogue::{
    BundleDescription, BundleUnitDescription, LegDescription, Opening, OpeningDescription, ProductDescription,
    ProductKind, UnitDescription,
};
use crate::time::Timestamp;

fn unit(id: &str) -> UnitDescription {
    UnitDescription {
        id: id.into(),
        kind: "ADULT".into(),
        price: 1_000,
        ..Default::default()
    }
}

fn timed(id: &str) -> ProductDescription {
    ProductDescription {
        id: id.into(),
        name: "General admission".into(),
        kind: "timed".into(),
        slot_minutes: Some(15),
        visit_minutes: Some(60),
        capacity_per_slot: Some(50),
        units: vec![
            unit("adult"),
            UnitDescription {
                kind: "CHILD".into(),
                accompanied_by: vec!["adult".into()],
                ..unit("child")
            },
        ],
        ..Default::default()
    }
}

fn guided(id: &str) -> ProductDescription {
    ProductDescription {
        kind: "guided".into(),
        min_to_run: Some(4),
        guides: Some(2),
        ..timed(id)
    }
}

fn day_pass(id: &str) -> ProductDescription {
    ProductDescription {
        kind: "day".into(),
        slot_minutes: None,
        visit_minutes: None,
        capacity_per_slot: None,
        capacity_per_day: Some(150),
        ..timed(id)
    }
}

fn opening(days: &[&str], from: &str, to: &str) -> OpeningDescription {
    OpeningDescription {
        days: days.iter().map(|day| (*day).to_owned()).collect(),
        from: from.into(),
        to: to.into(),
    }
}

fn venue(id: &str) -> VenueDescription {
    VenueDescription {
        id: id.into(),
        name: "Museum of Tides".into(),
        city: "Lisbon".into(),
        time_zone: "Europe/Lisbon".into(),
        currency: "EUR".into(),
        tax_basis_points: 600,
        building_capacity: 900,
        opening: vec![
            opening(&["mon", "tue"], "10:00", "18:00"),
            opening(&["fri", "sat"], "10:00", "01:00"),
        ],
        closed: vec!["2027-01-01".into(), "2026-12-25".into(), "2027-01-01".into()],
        products: vec![timed("general"), guided("tour"), day_pass("day-pass")],
        ..Default::default()
    }
}

fn network() -> NetworkDescription {
    NetworkDescription {
        network: NetworkHeader {
            id: "meridian".into(),
            name: "Meridian Museums".into(),
            language: Some("en".into()),
            hold_minutes: Some(12),
            max_units_per_booking: Some(30),
        },
        venues: vec![venue("tides"), venue("azulejo")],
        bundles: vec![BundleDescription {
            id: "pass".into(),
            name: "Lisbon Pass".into(),
            legs: vec![leg("tides"), leg("azulejo")],
            units: vec![BundleUnitDescription {
                id: "adult".into(),
                legs: vec![("azulejo".into(), "child".into()), ("tides".into(), "adult".into())],
                price: 1_900,
            }],
            currency: "EUR".into(),
        }],
    }
}

fn leg(venue: &str) -> LegDescription {
    LegDescription {
        venue: venue.into(),
        product: "general".into(),
    }
}

/// Applies `spoil` to a good network and asserts that exactly one thing is wrong with it: at `pointer`, with `detail`
/// as a part of the text.
#[track_caller]
fn finds(pointer: &str, detail: &str, spoil: impl Fn(&mut NetworkDescription)) {
    let mut description = network();
    spoil(&mut description);
    let problems = validate(&description).unwrap_err();
    let [problem] = &problems[..] else {
        panic!("one problem is expected, not {problems:#?}")
    };
    assert_eq!(problem.pointer, pointer, "{problem:?}");
    assert!(problem.detail.contains(detail), "{problem:?} does not say {detail:?}");
}

/// As [`finds`] for the first venue.
#[track_caller]
fn venue_finds(pointer: &str, detail: &str, spoil: impl Fn(&mut VenueDescription)) {
    finds(&format!("/venues/0{pointer}"), detail, |network| {
        spoil(&mut network.venues[0])
    });
}

/// As [`finds`] for the first venue's first product, which is timed.
#[track_caller]
fn product_finds(pointer: &str, detail: &str, spoil: impl Fn(&mut ProductDescription)) {
    venue_finds(&format!("/products/0{pointer}"), detail, |venue| {
        spoil(&mut venue.products[0])
    });
}

/// As [`finds`] for the first venue's first product's second unit, a child accompanied by adults.
#[track_caller]
fn unit_finds(pointer: &str, detail: &str, spoil: impl Fn(&mut UnitDescription)) {
    product_finds(&format!("/units/1{pointer}"), detail, |product| {
        spoil(&mut product.units[1])
    });
}

#[track_caller]
fn good(change: impl Fn(&mut NetworkDescription)) -> NetworkDefinition {
    let mut description = network();
    change(&mut description);
    validate(&description).unwrap()
}

#[test]
fn a_good_network_has_its_defaults_filled_in() {
    let network = good(|network| network.venues[0].products[1].hold_minutes = Some(8));
    let venue = &network.venues[0];
    assert_eq!(
        (venue.currency_digits, venue.closed.len()),
        (2, 2),
        "closed days are listed once"
    );
    assert!(venue.closed[0] < venue.closed[1]);
    assert_eq!(
        venue.opening[1],
        Opening {
            days: 0b011_0000,
            from_minute: 600,
            to_minute: 60
        }
    );
    let [general, tour, pass] = &venue.products[..] else {
        panic!()
    };
    assert_eq!(
        (general.kind, general.slot_minutes, general.capacity),
        (ProductKind::Timed, 15, 50)
    );
    assert_eq!((general.hold_minutes, tour.hold_minutes), (12, 8));
    assert_eq!((general.min_units_per_booking, general.max_units_per_booking), (1, 30));
    assert_eq!((tour.min_to_run, tour.guides), (Some(4), Some(2)));
    assert_eq!(
        (pass.kind, pass.slot_minutes, pass.visit_minutes, pass.capacity),
        (ProductKind::Day, 0, 0, 150)
    );
    assert_eq!((general.units[0].pax, general.units[0].id_required), (1, false));
    assert_eq!(
        network.bundles[0].units[0].2,
        ["adult", "child"],
        "in order of the legs"
    );
}

#[test]
fn a_network_that_says_nothing_has_ten_minutes_and_twenty_units() {
    let network = good(|network| {
        network.network.hold_minutes = None;
        network.network.max_units_per_booking = None;
    });
    let product = &network.venues[0].products[0];
    assert_eq!((product.hold_minutes, product.max_units_per_booking), (10, 20));
}

#[test]
fn all_problems_are_found_in_one_go() {
    let mut description = network();
    description.venues[0].time_zone = "Europe/Lissabon".into();
    description.venues[0].products[0].units[0].price = -1;
    description.venues[1].currency = "EURO".into();
    description.venues[1].products[2].slot_minutes = Some(15);
    description.bundles[0].legs[1].product = "special".into();
    let problems = validate(&description).unwrap_err();
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/venues/0/time_zone",
            "/venues/0/products/0/units/0/price",
            "/venues/1/currency",
            "/venues/1/products/2/slot_minutes",
            "/bundles/0/legs/1/product",
        ]
    );
}

#[test]
fn an_id_of_other_characters_is_refused() {
    for id in [
        "",
        "Tides",
        "ti des",
        "tid\u{e9}s",
        "tides/2",
        "a23456789-123456789-123456789-123456789-1",
    ] {
        finds("/network/id", "is not an id", |network| network.network.id = id.into());
    }
    venue_finds("/products/1/id", "small letters", |venue| {
        venue.products[1].id = "Tour".into()
    });
    product_finds("/units/2/id", "small letters", |product| {
        product.units.push(unit("Teacher"))
    });
    finds("/bundles/0/id", "small letters", |network| {
        network.bundles[0].id = "a_b".into()
    });
    good(|network| network.network.id = "a23456789-123456789-123456789-1234567890".into());
}

#[test]
fn an_id_that_is_there_already_is_refused() {
    finds("/venues/2/id", "at /venues/0", |network| {
        network.venues.push(venue("tides"))
    });
    venue_finds("/products/3/id", "at /venues/0/products/0", |venue| {
        venue.products.push(timed("general"))
    });
    product_finds("/units/2/id", "is there already", |product| {
        product.units.push(unit("adult"))
    });
    finds("/bundles/1/id", "is there already", |network| {
        network.bundles.push(network.bundles[0].clone())
    });
    finds("/bundles/0/units/1/id", "is there already", |network| {
        let unit = network.bundles[0].units[0].clone();
        network.bundles[0].units.push(unit);
    });
}

#[test]
fn a_name_that_is_none_is_refused() {
    finds("/network/name", "is empty", |network| network.network.name = " ".into());
    venue_finds("/name", "has 201 characters; shorten it to 200", |venue| {
        venue.name = "\u{e9}".repeat(201)
    });
    venue_finds("/city", "control character", |venue| venue.city = "Lis\nbon".into());
    product_finds("/name", "is empty", |product| product.name.clear());
    unit_finds("/requires", "is empty", |unit| unit.requires = Some(String::new()));
    finds("/bundles/0/name", "is empty", |network| network.bundles[0].name.clear());
    good(|network| network.venues[0].name = "\u{e9}".repeat(200));
}

#[test]
fn a_list_that_is_too_long_is_refused() {
    finds("/venues", "1001 venues are too many", |network| {
        network.bundles.clear();
        network.venues = (0..1_001).map(|number| venue(&format!("venue-{number}"))).collect();
    });
    venue_finds("/products", "101 products are too many; at most 100", |venue| {
        venue
            .products
            .extend((3..101).map(|number| timed(&format!("product-{number}"))));
    });
    product_finds("/units", "51 units are too many", |product| {
        product
            .units
            .extend((2..51).map(|number| unit(&format!("unit-{number}"))));
    });
    venue_finds("/closed", "1001 closed days are too many", |venue| {
        venue.closed = vec!["2027-01-01".into(); 1_001]
    });
    venue_finds("/opening", "51 openings are too many", |venue| {
        let minute = |minute: usize| format!("{:02}:{:02}", minute / 60, minute % 60);
        venue.opening = (0..51)
            .map(|number| opening(&["wed"], &minute(number * 20), &minute(number * 20 + 20)))
            .collect();
    });
    finds("/bundles", "1001 bundles are too many", |network| {
        let bundle = |number| BundleDescription {
            id: format!("bundle-{number}"),
            ..network.bundles[0].clone()
        };
        network.bundles = (0..1_001).map(bundle).collect();
    });
}

#[test]
fn what_sells_nothing_is_refused() {
    finds("/venues", "at least one venue", |network| {
        network.venues.clear();
        network.bundles.clear();
    });
    venue_finds("/products/1/units", "at least one", |venue| {
        venue.products[1].units.clear()
    });
    finds("/bundles/0/units", "at least one", |network| {
        network.bundles[0].units.clear()
    });
}

#[test]
fn an_unknown_zone_is_refused() {
    for zone in [
        "",
        "Europe/Lissabon",
        "Etc/Unknown",
        "+01:00",
        "EST5EDT,M3.2.0,M11.1.0",
        "/etc/localtime",
    ] {
        venue_finds("/time_zone", "IANA", |venue| venue.time_zone = zone.into());
    }
    let spelled = good(|network| network.venues[0].time_zone = "europe/LISBON".into());
    assert_eq!(spelled.venues[0].time_zone, "Europe/Lisbon");
}

#[test]
fn an_unknown_currency_is_refused() {
    for code in ["", "eur", "EURO", "XXX", "XAU"] {
        venue_finds("/currency", "ISO 4217", |venue| venue.currency = code.into());
    }
    finds("/bundles/0/currency", "ISO 4217", |network| {
        network.bundles[0].currency = "LIS".into()
    });
    let yen = good(|network| network.venues[0].currency = "JPY".into());
    assert_eq!(yen.venues[0].currency_digits, 0);
}
