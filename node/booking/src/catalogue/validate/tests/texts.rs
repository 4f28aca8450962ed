//! Descriptions and translations, and what can be wrong with them.

use super::*;
use crate::catalogue::{Texts, Translation, TranslationDescription};

fn translation(language: &str, name: Option<&str>, description: Option<&str>) -> TranslationDescription {
    TranslationDescription {
        language: language.into(),
        name: name.map(str::to_owned),
        description: description.map(str::to_owned),
    }
}

fn named(language: &str) -> TranslationDescription {
    translation(language, Some("Museu das Marés"), None)
}

#[test]
fn texts_are_kept_by_their_tags_in_one_order() {
    let mut description = network();
    description.venues[0].translations = vec![named("PT-br"), translation("de", None, Some("Am Fluss.\n"))];
    description.venues[0].description = Some("By the river.\nBring a coat.\n".into());
    description.venues[1].language = Some("pt".into());
    description.venues[1].products[0].units[0].name = Some("Adulto".into());
    description.venues[1].products[0].units[0].translations = vec![translation("en", Some("Adult"), None)];
    let network = validate(&description).unwrap();
    assert_eq!(
        network.venues[0].texts,
        Texts {
            description: "By the river.\nBring a coat.".into(),
            translations: vec![
                Translation {
                    language: "de".into(),
                    name: None,
                    description: Some("Am Fluss.".into())
                },
                Translation {
                    language: "pt-BR".into(),
                    name: Some("Museu das Marés".into()),
                    description: None
                },
            ],
        }
    );
    let languages: Vec<&str> = network.venues.iter().map(|venue| venue.language.as_str()).collect();
    assert_eq!(languages, ["en", "pt"], "the network's unless the venue has its own");
    let unit = &network.venues[1].products[0].units[0];
    assert_eq!(
        (unit.name.as_deref(), unit.texts.translations[0].language.as_str()),
        (Some("Adulto"), "en")
    );
    // The order in the file makes no other catalogue.
    description.venues[0].translations.reverse();
    assert_eq!(validate(&description).unwrap(), network);
}

#[test]
fn a_catalogue_need_not_say_its_language() {
    let mut description = network();
    description.network.language = None;
    assert_eq!(validate(&description).unwrap().venues[0].language, "");
}

#[test]
fn a_language_is_a_tag() {
    finds("/network/language", "\"english please\" is not a language", |network| {
        network.network.language = Some("english please".into());
    });
    venue_finds("/language", "\"\" is not a language", |venue| {
        venue.language = Some(String::new())
    });
    venue_finds("/translations/pt_BR", "write a tag of BCP 47", |venue| {
        venue.translations = vec![named("pt_BR")];
    });
    // As a step of a pointer.
    product_finds("/translations/a~1b", "is not a language", |product| {
        product.translations = vec![named("a/b")];
    });
}

#[test]
fn a_language_is_there_once() {
    product_finds("/translations/pt-br", "there are two for pt-BR", |product| {
        product.translations = vec![named("pt-BR"), named("pt-br")];
    });
    venue_finds(
        "/translations/EN",
        "en is the language of the texts themselves",
        |venue| {
            venue.translations = vec![named("EN")];
        },
    );
}

#[test]
fn translations_need_the_language_of_what_they_translate() {
    finds(
        "/venues/0/products/0/translations",
        "nobody says which language the texts are in",
        |network| {
            network.network.language = None;
            network.venues[0].products[0].translations = vec![named("pt")];
        },
    );
}

#[test]
fn a_translation_says_something_of_the_size_of_what_it_translates() {
    product_finds("/translations/pt", "says nothing", |product| {
        product.translations = vec![translation("pt", None, None)];
    });
    product_finds("/translations/pt/name", "is empty", |product| {
        product.translations = vec![translation("pt", Some(" "), None)];
    });
    product_finds("/units/1/translations/pt/description", "is empty", |product| {
        product.units[1].translations = vec![translation("pt", None, Some("\n"))];
    });
    product_finds("/units/1/name", "is empty", |product| {
        product.units[1].name = Some(String::new())
    });
    venue_finds("/description", "has 2001 characters; shorten it to 2000", |venue| {
        venue.description = Some("é".repeat(2_001));
    });
    venue_finds("/translations/pt/description", "control character", |venue| {
        venue.translations = vec![translation("pt", None, Some("a\tb"))];
    });
    venue_finds("/translations", "41 translations are too many; at most 40", |venue| {
        let tag = |n: u8| format!("a{}", char::from(b'a' + n % 26)) + if n < 26 { "" } else { "-PT" };
        venue.translations = (0..41).map(|n| named(&tag(n))).collect();
    });
}

#[test]
fn the_longest_texts_fit() {
    let mut description = network();
    description.venues[0].description = Some("é".repeat(2_000));
    assert!(validate(&description).is_ok());
}
