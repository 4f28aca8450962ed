//! Texts as a search compares them: without case, accents and the many ways to write one character.
//!
//! The catalogue's texts are folded once for each copy that `catalogue_cache` keeps, and what a visitor looks for at each
//! question. Nothing that is folded leaves the router or enters the log, so another router may have other tables.

use std::sync::{Arc, OnceLock};

use icu_normalizer::DecomposingNormalizerBorrowed;
use rotunda_booking::catalogue::{Texts, VenueDefinition};

/// A venue's texts, folded.
#[derive(Debug)]
pub(crate) struct FoldedVenue {
    /// The city.
    pub(crate) city: String,
    /// Id, city, names and descriptions of the venue, in all languages.
    pub(crate) all: String,
    /// Each product's id, names and descriptions in all languages, and by what the venue is called; in order of the
    /// definition.
    pub(crate) products: Vec<String>,
}

/// A venue's texts, folded when they are first asked for. Copies of one definition share them.
pub(crate) type Folded = Arc<OnceLock<FoldedVenue>>;

impl FoldedVenue {
    pub(crate) fn of(venue: &VenueDefinition) -> Self {
        let mut called = vec![venue.slug.as_str(), &venue.name, &venue.city];
        called.extend(names(&venue.texts));
        let mut all = called.clone();
        all.extend(descriptions(&venue.texts));
        let product_texts = |product: &_| {
            let rotunda_booking::catalogue::ProductDefinition { slug, name, texts, .. } = product;
            let mut of_product = vec![slug.as_str(), name];
            of_product.extend(names(texts));
            of_product.extend(descriptions(texts));
            of_product.extend(&called);
            folded(&of_product.join("\n"))
        };
        Self {
            city: folded(&venue.city),
            all: folded(&all.join("\n")),
            products: venue.products.iter().map(product_texts).collect(),
        }
    }
}

fn names(texts: &Texts) -> impl Iterator<Item = &str> {
    texts
        .translations
        .iter()
        .filter_map(|translation| translation.name.as_deref())
}

fn descriptions(texts: &Texts) -> impl Iterator<Item = &str> {
    let translated = texts.translations.iter();
    std::iter::once(texts.description.as_str())
        .chain(translated.filter_map(|translation| translation.description.as_deref()))
}

/// What stays of a text when case and accents do not matter.
pub(crate) fn folded(text: &str) -> String {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    decomposed
        .chars()
        .filter(|&character| !is_accent(character))
        // By capitals to small letters, character by character: so the two small sigmas meet, and `ß` is `ss`.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .fold(String::with_capacity(text.len()), |mut folded, character| {
            match character {
                // Letters that Unicode takes for others and readers without them do not have on their keyboards.
                'ø' => folded.push('o'),
                'đ' | 'ð' => folded.push('d'),
                'ł' => folded.push('l'),
                'ħ' => folded.push('h'),
                'æ' => folded.push_str("ae"),
                'œ' => folded.push_str("oe"),
                'þ' => folded.push_str("th"),
                other => folded.push(other),
            }
            folded
        })
}

/// Marks of Latin, Greek and Cyrillic letters, the points of Hebrew and the vowel signs of Arabic. In other scripts, as
/// Devanagari, a mark is a letter, and a text without it says something else.
const fn is_accent(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{64b}'..='\u{65f}' | '\u{670}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_and_accents_do_not_matter() {
        for (one, other) in [
            ("Museu das Marés", "MUSEU DAS MARES"),
            ("São Paulo", "sao paulo"),
            ("Maréchal", "Mare\u{301}chal"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσευς"),
            ("İstanbul", "istanbul"),
            ("Ørsted Łódź", "orsted lodz"),
            ("Ёлка", "елка"),
            ("ＰＡＰＥＲ", "paper"),
            ("ﬁligree №", "filigree no"),
            ("مُتْحَف", "متحف"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
    }

    #[test]
    fn a_mark_that_is_a_letter_stays() {
        assert_ne!(folded("नेपाली"), folded("नपल"));
        assert_ne!(folded("かみ"), folded("がみ"));
        assert_eq!(folded("紙と光"), "紙と光");
    }

    proptest! {
        #[test]
        fn folding_again_changes_nothing(text in "\\PC{0,40}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }
    }
}
