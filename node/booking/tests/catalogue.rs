//! The network that the demo sells validates, and a spoiled one says everything that is wrong with it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/meridian.rs"]
mod meridian;

use std::collections::BTreeSet;

use rotunda_booking::catalogue::encoding::{decode_venue, encode_venue};
use rotunda_booking::catalogue::{ProductKind, revision, validate};

#[test]
fn meridian_is_a_good_network() {
    let network = meridian::definition();
    assert_eq!((network.venues.len(), network.bundles.len()), (10, 2));
    let digits = |slug| meridian::venue(slug).currency_digits;
    assert_eq!(
        (digits("tokyo-paper"), digits("lisbon-tides"), digits("kuwait-dhow")),
        (0, 2, 3)
    );
    let tides = meridian::venue("lisbon-tides");
    assert_eq!((tides.opening[0].days, tides.opening[1].days), (0b100_1110, 0b011_0000));
    let blockbuster = meridian::product(&tides, "deep-water");
    assert_eq!(blockbuster.on_sale.unwrap().to_rfc3339(0), "2027-01-15T10:00:00+00:00");
    assert_eq!((blockbuster.hold_minutes, blockbuster.max_units_per_booking), (8, 6));
    let general = meridian::product(&tides, "general");
    assert_eq!(
        (
            general.hold_minutes,
            general.min_units_per_booking,
            general.max_units_per_booking
        ),
        (10, 1, 20)
    );
    assert_eq!(general.units[2].accompanied_by, ["adult", "senior", "member"]);
    let azulejo = meridian::venue("lisbon-azulejo");
    assert_eq!(meridian::product(&azulejo, "general").units[1].pax, 4);
    let reef = meridian::venue("lord-howe-reef");
    assert_eq!(
        (
            reef.opening[0].days,
            reef.opening[0].from_minute,
            reef.opening[0].to_minute
        ),
        (0b111_1111, 0, 1_440)
    );
    let albatross = meridian::venue("chatham-albatross");
    assert_eq!(
        (albatross.products[0].kind, albatross.products[0].capacity),
        (ProductKind::Day, 150)
    );
    assert_eq!(network.bundles[1].units[0].2, ["adult", "adult", "adult"]);
}

#[test]
fn reading_the_file_twice_gives_the_same_revisions() {
    let (once, again) = (meridian::definition(), meridian::definition());
    assert_eq!(once, again);
    let revisions: BTreeSet<u64> = once.venues.iter().map(revision).collect();
    assert_eq!(revisions.len(), 10);
    assert_eq!(revisions, again.venues.iter().map(revision).collect());
}

#[test]
fn every_venue_survives_encoding() {
    for venue in meridian::definition().venues {
        let mut bytes = Vec::new();
        encode_venue(&venue, &mut bytes);
        let length = bytes.len();
        assert_eq!(decode_venue(&bytes), Ok((venue, length)));
    }
}

#[test]
fn a_spoiled_file_says_everything_that_is_wrong() {
    let spoiled = meridian::YAML
        .replace("Asia/Tokyo", "Asia/Edo")
        .replace("price: 3500 ", "price: -3500 ")
        .replace("from: \"16:30\"", "from: \"12:30\"")
        .replace("2027-01-15T10:00", "2027-03-28T01:30")
        .replace("accompanied_by: [teacher]", "accompanied_by: [parent]");
    let problems = validate(&meridian::read(&spoiled)).unwrap_err();
    let found: Vec<(&str, &str)> = problems
        .iter()
        .map(|problem| (problem.pointer.as_str(), problem.detail.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                "/venues/0/products/1/on_sale",
                "the clocks of Europe/Lisbon skip 2027-03-28T01:30 (they go forward then); choose an earlier or later time"
            ),
            (
                "/venues/0/products/2/units/0/price",
                "a price of -3500 is negative; use 0 or more minor units"
            ),
            (
                "/venues/2/products/1/units/0/accompanied_by/0",
                "this product has no unit \"parent\"; name one of its units"
            ),
            (
                "/venues/3/time_zone",
                "there is no time zone \"Asia/Edo\"; use a name of the IANA database, as Europe/Lisbon"
            ),
            (
                "/venues/7/opening/1",
                "overlaps on mon with the opening at /venues/7/opening/0, from 09:00 to 13:00, so slots would overlap; \
                 let one end before the other begins, or join them"
            ),
        ]
    );
}
