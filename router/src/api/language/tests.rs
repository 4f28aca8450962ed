//! What is negotiated, and that nothing a caller sends makes it fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::response::IntoResponse;
use proptest::prelude::*;

use super::*;

fn headers(values: &[&str]) -> HeaderMap {
    let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
    values.map(|value| (ACCEPT_LANGUAGE, value)).collect()
}

fn chosen(header: &str, original: &'static str, offered: &[&'static str]) -> &'static str {
    let ranges = ranges(&headers(&[header])).unwrap_or_default();
    negotiate(&ranges, original, offered)
}

#[test]
fn the_most_wanted_that_is_there_is_shown() {
    let offered = ["de", "ja", "pt"];
    for (header, wanted) in [
        ("", "en"),
        ("de", "de"),
        ("DE", "de"),
        ("fr, de;q=0.5", "de"),
        ("de;q=0.5, ja;q=0.7", "ja"),
        ("de;q=0.5,ja;q=0.5", "de"),
        ("ja;q=0.501 , de ; q=0.5", "ja"),
        ("fr", "en"),
        ("en, de", "en"),
        (",, de ,", "de"),
        ("de;q=1.000, ja", "de"),
        ("de;Q=0.1", "de"),
    ] {
        assert_eq!(chosen(header, "en", &offered), wanted, "{header:?}");
    }
}

#[test]
fn a_range_is_cut_from_its_end() {
    assert_eq!(chosen("pt-BR, ja;q=0.9", "en", &["ja", "pt"]), "pt");
    assert_eq!(chosen("pt-BR", "en", &["pt", "pt-BR"]), "pt-BR");
    // The example of RFC 4647: the single letter goes with what it announces.
    assert_eq!(
        chosen("zh-Hant-CN-x-private1-private2", "en", &["zh", "zh-Hant"]),
        "zh-Hant"
    );
    assert_eq!(shortened("zh-Hant-CN-x-private1"), Some("zh-Hant-CN"));
    assert_eq!(chosen("en-GB", "en", &["de"]), "en");
    // Not by letters: `p` is no beginning of `pt`.
    assert_eq!(chosen("p", "en", &["pt"]), "en");
}

#[test]
fn who_reads_a_language_reads_that_of_a_country() {
    assert_eq!(chosen("pt", "en", &["pt-BR"]), "pt-BR");
    assert_eq!(chosen("pt, de", "en", &["de", "pt-BR"]), "pt-BR");
    // But not that of another country.
    assert_eq!(chosen("zh-TW", "en", &["zh-Hans"]), "en");
}

#[test]
fn what_is_refused_is_not_shown_where_there_is_anything_else() {
    assert_eq!(chosen("en;q=0, *", "en", &["de"]), "de");
    assert_eq!(chosen("*, en;q=0.1", "en", &["de"]), "de");
    assert_eq!(chosen("*", "en", &["de"]), "en");
    assert_eq!(chosen("pt-BR, pt;q=0", "en", &["pt"]), "en");
    assert_eq!(chosen("pt-BR;q=0, pt", "en", &["pt-BR", "pt-PT"]), "pt-PT");
    // There is nothing else.
    assert_eq!(chosen("en;q=0", "en", &[]), "en");
    assert_eq!(chosen("*;q=0", "en", &["de"]), "en");
    assert_eq!(chosen("de;q=0, *;q=0", "", &["de"]), "");
}

#[test]
fn what_cannot_be_read_asks_for_nothing() {
    for header in [
        "de;q=2",
        "de;q=1.001",
        "de;q=0.1234",
        "de;q=",
        "de;q",
        "de;level=1",
        "de;q=0.5;x=1",
        "de_DE",
        "deutschland-",
        "de;q=-1",
        "de;q=+1",
        "1de",
        "de de",
        "*-DE",
        "de, ;q=1",
        "de;q=0,5",
        "de;q=.5",
        "languages",
    ] {
        assert_eq!(ranges(&headers(&[header])), None, "{header:?}");
        assert_eq!(chosen(header, "en", &["de"]), "en", "{header:?}");
    }
    let mut not_text = HeaderMap::new();
    not_text.insert(ACCEPT_LANGUAGE, HeaderValue::from_bytes(b"d\xe9").unwrap());
    assert_eq!(ranges(&not_text), None);
}

#[test]
fn several_lines_are_one_list() {
    let ranges = ranges(&headers(&["ja;q=0.5", "de"])).unwrap();
    assert_eq!(negotiate(&ranges, "en", &["de", "ja"]), "de");
}

#[test]
fn the_list_of_ranges_has_a_bound() {
    let long = vec!["fr"; MAX_RANGES].join(",") + ",de";
    assert_eq!(ranges(&headers(&[&long])).unwrap().len(), MAX_RANGES);
    assert_eq!(chosen(&long, "en", &["de"]), "en");
}

fn texts(translations: &[(&str, Option<&str>, Option<&str>)]) -> Texts {
    let translation = |(language, name, description): &(&str, Option<&str>, Option<&str>)| Translation {
        language: (*language).to_owned(),
        name: name.map(str::to_owned),
        description: description.map(str::to_owned),
    };
    Texts {
        description: "By the river".to_owned(),
        translations: translations.iter().map(translation).collect(),
    }
}

#[test]
fn what_is_not_translated_is_shown_as_it_is_and_named() {
    let whole = texts(&[("pt", Some("Marés"), Some("À beira do rio"))]);
    let part = texts(&[("pt", Some("Marés"), None)]);
    let mut interpreter = Interpreter::of(&headers(&["pt-PT"]));
    let shown = interpreter.show("en", "Tides", &whole);
    assert_eq!(
        (shown.language, shown.name, shown.description),
        (Some("pt"), "Marés", Some("À beira do rio"))
    );
    assert_eq!(interpreter.spoken, ["pt"]);
    let shown = interpreter.show("en", "Tides", &part);
    assert_eq!((shown.name, shown.description), ("Marés", Some("By the river")));
    let response = interpreter.sign(StatusCode::OK.into_response());
    assert_eq!(response.headers()[CONTENT_LANGUAGE], "pt, en");
    assert_eq!(response.headers()[VARY], "Accept-Language");
}

#[test]
fn a_catalogue_that_does_not_say_its_language_names_none() {
    let mut interpreter = Interpreter::of(&headers(&["pt"]));
    let nothing = Texts::default();
    let shown = interpreter.show("", "Tides", &nothing);
    assert_eq!((shown.language, shown.name, shown.description), (None, "Tides", None));
    let response = interpreter.sign(StatusCode::OK.into_response());
    assert!(!response.headers().contains_key(CONTENT_LANGUAGE));
}

#[test]
fn other_choices_have_another_digest() {
    let texts = texts(&[("pt", Some("Marés"), None)]);
    let digest = |header: &str| {
        let mut interpreter = Interpreter::of(&headers(&[header]));
        interpreter.name("en", "Tides", &texts);
        interpreter.chosen()
    };
    assert_eq!(digest("pt"), digest("fr, pt-BR"));
    assert_ne!(digest("pt"), digest("en"));
}

fn tag() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "en",
        "de",
        "pt",
        "pt-BR",
        "zh-Hant-TW",
        "zh-Hans",
        "sl-rozaj",
        "ja",
    ])
    .prop_map(str::to_owned)
}

/// Headers that are well-formed, nearly so, and not at all.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let range = prop_oneof![tag(), Just("*".to_owned()), "[a-zA-Z]{1,9}(-[a-zA-Z0-9]{1,9}){0,3}"];
    let weight = prop_oneof![Just(String::new()), "; ?q=(0|1)(\\.[0-9]{0,4})?", ";.{0,4}"];
    let member = (range, weight).prop_map(|(range, weight)| range + &weight);
    prop_oneof![
        4 => prop::collection::vec(member, 0..6).prop_map(|members| members.join(", ").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #[test]
    fn what_is_chosen_is_offered(
        bytes in header(),
        original in prop_oneof![tag(), Just(String::new())],
        offered in prop::collection::btree_set(tag(), 0..5),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.insert(ACCEPT_LANGUAGE, value);
        }
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        let ranges = ranges(&headers).unwrap_or_default();
        let chosen = negotiate(&ranges, &original, &offered);
        prop_assert!(chosen == original || offered.contains(&chosen), "{}", chosen);
        // What the caller refuses is only ever the catalogue's own, as the last resort.
        prop_assert!(chosen == original || !is_refused(&ranges, chosen), "{}", chosen);
    }

    #[test]
    fn a_language_by_its_name_is_got_where_it_is_offered(
        wanted in tag(),
        others in prop::collection::btree_set(tag(), 0..5),
        less in 0..1_000_u16,
    ) {
        let header = format!("ja;q=0.{less:03}, {}", wanted.to_uppercase());
        let ranges = ranges(&self::headers(&[&header])).unwrap();
        let mut offered: Vec<&str> = others.iter().map(String::as_str).filter(|tag| *tag != "en").collect();
        offered.push(&wanted);
        if wanted != "ja" {
            prop_assert_eq!(negotiate(&ranges, "en", &offered), &wanted);
        }
    }
}
