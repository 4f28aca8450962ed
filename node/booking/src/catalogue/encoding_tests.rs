//! Every definition comes back as it went, the bytes of versions 2 and 3 stay as they are, and no bytes make decoding panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::catalogue::revision;

fn texts() -> impl Strategy<Value = Texts> {
    let text = || prop::option::of(".{0,8}");
    let translation = (".{0,8}", text(), text()).prop_map(|(language, name, description)| Translation {
        language,
        name,
        description,
    });
    (".{0,8}", prop::collection::vec(translation, 0..3)).prop_map(|(description, translations)| Texts {
        description,
        translations,
    })
}

fn unit() -> impl Strategy<Value = UnitDefinition> {
    let ages = (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>());
    let texts = (
        ".{0,8}",
        ".{0,8}",
        prop::collection::vec(".{0,8}", 0..3),
        prop::option::of(".{0,8}"),
    );
    let numbers = (any::<i64>(), any::<u32>(), ages, any::<bool>());
    (texts, numbers, prop::option::of(".{0,8}"), self::texts()).prop_map(
        |((slug, kind, accompanied_by, requires), (price, pax, ages, id_required), name, texts)| {
            let (min_age, max_age, max_quantity) = ages;
            UnitDefinition {
                slug,
                name,
                texts,
                kind,
                price,
                pax,
                min_age,
                max_age,
                accompanied_by,
                max_quantity,
                requires,
                id_required,
            }
        },
    )
}

fn product() -> impl Strategy<Value = ProductDefinition> {
    let numbers = any::<[u32; 6]>();
    let options = (
        any::<Option<u32>>(),
        any::<Option<i64>>(),
        any::<Option<u32>>(),
        any::<Option<u32>>(),
    );
    (
        ".{0,8}",
        ".{0,8}",
        texts(),
        0..4_u8,
        numbers,
        options,
        prop::collection::vec(unit(), 0..3),
    )
        .prop_map(
            |(slug, name, texts, kind, numbers, (last_entry, on_sale, min_to_run, guides), units)| ProductDefinition {
                slug,
                name,
                texts,
                kind: ProductKind::from_number(kind).unwrap(),
                slot_minutes: numbers[0],
                visit_minutes: numbers[1],
                capacity: numbers[2],
                last_entry_before_close_minutes: last_entry,
                on_sale: on_sale.map(Timestamp),
                hold_minutes: numbers[3],
                min_units_per_booking: numbers[4],
                max_units_per_booking: numbers[5],
                min_to_run,
                cutoff_minutes: numbers[0],
                guides,
                re_entry: numbers[1] % 2 == 0,
                early_entry_minutes: numbers[2],
                units,
            },
        )
}

/// Without and with what version 3 is for.
fn venue() -> impl Strategy<Value = VenueDefinition> {
    (any::<bool>(), spoken()).prop_map(|(plain, venue)| if plain { silenced(venue) } else { venue })
}

fn silenced(mut venue: VenueDefinition) -> VenueDefinition {
    (venue.language, venue.texts) = Default::default();
    for product in &mut venue.products {
        product.texts = Texts::default();
        for unit in &mut product.units {
            (unit.name, unit.texts) = Default::default();
        }
    }
    venue
}

fn spoken() -> impl Strategy<Value = VenueDefinition> {
    let opening = any::<(u8, u16, u16)>().prop_map(|(days, from_minute, to_minute)| Opening {
        days,
        from_minute,
        to_minute,
    });
    (
        prop::array::uniform6(".{0,8}"),
        texts(),
        any::<(u8, u32, u32)>(),
        prop::collection::vec(opening, 0..4),
        prop::collection::vec(any::<i32>().prop_map(ServiceDay), 0..4),
        prop::collection::vec(product(), 0..4),
    )
        .prop_map(
            |([slug, name, city, time_zone, currency, language], texts, numbers, opening, closed, products)| {
                VenueDefinition {
                    slug,
                    name,
                    language,
                    texts,
                    city,
                    time_zone,
                    currency,
                    currency_digits: numbers.0,
                    tax_basis_points: numbers.1,
                    building_capacity: numbers.2,
                    opening,
                    closed,
                    products,
                }
            },
        )
}

fn encoded(venue: &VenueDefinition) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_venue(venue, &mut bytes);
    bytes
}

/// Of everything something.
fn plain_venue() -> VenueDefinition {
    VenueDefinition {
        slug: "a".into(),
        name: "\u{e9}".into(),
        language: String::new(),
        texts: Texts::default(),
        city: String::new(),
        time_zone: "UTC".into(),
        currency: "EUR".into(),
        currency_digits: 2,
        tax_basis_points: 600,
        building_capacity: 900,
        opening: vec![Opening {
            days: 0b100_0001,
            from_minute: 600,
            to_minute: 1440,
        }],
        closed: vec![ServiceDay(-1)],
        products: vec![ProductDefinition {
            slug: "p".into(),
            name: "P".into(),
            texts: Texts::default(),
            kind: ProductKind::Guided,
            slot_minutes: 60,
            visit_minutes: 65,
            capacity: 12,
            last_entry_before_close_minutes: None,
            on_sale: Some(Timestamp(1_800_007_200_000)),
            hold_minutes: 10,
            min_units_per_booking: 1,
            max_units_per_booking: 20,
            min_to_run: Some(4),
            cutoff_minutes: 60,
            guides: Some(2),
            re_entry: false,
            early_entry_minutes: 15,
            units: vec![UnitDefinition {
                slug: "u".into(),
                name: None,
                texts: Texts::default(),
                kind: "ADULT".into(),
                price: 1400,
                pax: 1,
                min_age: Some(18),
                max_age: None,
                accompanied_by: vec!["v".into()],
                max_quantity: None,
                requires: Some("m".into()),
                id_required: true,
            }],
        }],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_form_of_version_2_does_not_change() {
    let venue = plain_venue();
    assert_eq!(
        hex(&encoded(&venue)),
        concat!(
            "02", // version
            "0100000061",
            "02000000c3a9",
            "00000000", // slug, name, city
            "03000000555443",
            "03000000455552",
            "02",
            "58020000",
            "84030000", // zone, currency, digits, tax, building
            "01000000",
            "41",
            "5802",
            "a005", // opening
            "01000000",
            "ffffffff", // closed
            "01000000",
            "0100000070",
            "0100000050",
            "01", // product: slug, name, kind
            "3c000000",
            "41000000",
            "0c000000",
            "00",
            "01",
            "002dca18a3010000", // slot, visit, capacity, last entry, on sale
            "0a000000",
            "01000000",
            "14000000",
            "0104000000",
            "3c000000", // hold, min, max, min to run, cutoff
            "0102000000",
            "00",
            "0f000000", // guides, re-entry, early entry
            "01000000",
            "0100000075",
            "050000004144554c54", // unit: slug, kind
            "7805000000000000",
            "01000000",
            "0112000000",
            "00", // price, pax, ages
            "01000000",
            "0100000076",
            "00",
            "01010000006d",
            "01", // accompanied by, max quantity, requires, id
        )
    );
    assert_eq!(
        decode_venue(&encoded(&venue)),
        Ok((venue.clone(), encoded(&venue).len()))
    );
    // Slot plans and rows of yesterday carry it.
    assert_eq!(revision(&venue), 6_220_274_583_778_257_116);
}

#[test]
fn the_form_of_version_3_does_not_change() {
    let mut venue = plain_venue();
    venue.language = "en".into();
    venue.texts.description = "D".into();
    let translation = |name: Option<&str>, description: Option<&str>| Translation {
        language: "pt-BR".into(),
        name: name.map(str::to_owned),
        description: description.map(str::to_owned),
    };
    venue.products[0].texts.translations = vec![translation(Some("N"), None)];
    venue.products[0].units[0].name = Some("U".into());
    venue.products[0].units[0].texts.translations = vec![translation(None, Some("E"))];
    let (plain, spoken) = (hex(&encoded(&plain_venue())), hex(&encoded(&venue)));
    let tag = "0500000070742d4252";
    let texts = [
        "010100000055", // unit: name
        "00000000",
        "01000000",
        tag,
        "00",
        "010100000045", // description, translations
        "00000000",
        "01000000",
        tag,
        "01010000004e",
        "00", // product: description, translations
        "02000000656e",
        "0100000044",
        "00000000", // venue: language, description, translations
    ];
    assert_eq!(spoken, format!("03{}{}", &plain[2..], texts.concat()));
    assert_eq!(
        decode_venue(&encoded(&venue)),
        Ok((venue.clone(), encoded(&venue).len()))
    );
    assert_ne!(revision(&venue), revision(&plain_venue()));
}

#[test]
fn version_3_without_what_it_is_for_is_not_canonical() {
    let mut bytes = encoded(&plain_venue());
    bytes[0] = VENUE_VERSION;
    // The unit's name and texts, the product's texts, the language and the venue's texts: none.
    bytes.extend([0; 1 + 8 + 8 + 4 + 8]);
    assert_eq!(
        decode_venue(&bytes),
        Err(CatalogueDecodeError::Invalid {
            at: bytes.len(),
            field: "version"
        })
    );
}

#[test]
fn a_venue_of_a_newer_version_is_refused() {
    assert_eq!(
        decode_venue(&[4, 0, 0]),
        Err(CatalogueDecodeError::Version { found: 4 })
    );
    // Nothing keeps what was written before format 3 of the data.
    assert_eq!(
        decode_venue(&[1, 0, 0]),
        Err(CatalogueDecodeError::Version { found: 1 })
    );
    assert_eq!(
        decode_venue(&[]),
        Err(CatalogueDecodeError::Truncated {
            at: 0,
            field: "version"
        })
    );
}

#[test]
fn a_count_beyond_the_bytes_reserves_nothing() {
    // A name of 4 GiB.
    let bytes = [VENUE_VERSION, 0xff, 0xff, 0xff, 0xff, b'a'];
    assert_eq!(
        decode_venue(&bytes),
        Err(CatalogueDecodeError::Truncated { at: 6, field: "text" })
    );
}

proptest! {
    #[test]
    fn a_venue_survives_encoding(venue in venue(), behind in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = encoded(&venue);
        let length = bytes.len();
        bytes.extend(behind);
        prop_assert_eq!(decode_venue(&bytes), Ok((venue, length)));
    }

    #[test]
    fn a_venue_that_says_nothing_in_a_language_is_read_by_binaries_that_know_none(venue in spoken()) {
        let plain = silenced(venue.clone());
        prop_assert_eq!(encoded(&plain)[0], PLAIN_VERSION);
        prop_assert_eq!(encoded(&venue)[0], if venue == plain { PLAIN_VERSION } else { VENUE_VERSION });
    }

    #[test]
    fn a_venue_cut_short_is_refused(venue in venue(), cut: prop::sample::Index) {
        let bytes = encoded(&venue);
        let cut = cut.index(bytes.len());
        let refused = matches!(decode_venue(&bytes[..cut]), Err(CatalogueDecodeError::Truncated { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(venue in venue(), at: prop::sample::Index, xor in 1..=255_u8) {
        let mut bytes = encoded(&venue);
        let at = at.index(bytes.len());
        bytes[at] ^= xor;
        if let Ok((other, length)) = decode_venue(&bytes) {
            prop_assert_ne!(&other, &venue);
            prop_assert_eq!(encoded(&other), &bytes[..length]);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_venue(&bytes);
        for version in [PLAIN_VERSION, VENUE_VERSION] {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            let _ = decode_venue(&bytes);
        }
    }

    #[test]
    fn another_definition_has_another_revision(a in venue(), b in venue()) {
        prop_assert_eq!(revision(&a) == revision(&b), a == b);
    }
}
