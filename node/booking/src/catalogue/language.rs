//! Tags of languages, as `pt-BR`: well-formed by BCP 47 (RFC 5646), in the one spelling of each.
//!
//! The validation of a catalogue writes them; the door compares what a visitor asks for with them. What a tag means is
//! nobody's business here: there is no registry, so no table that two binaries could carry in two versions.

/// Longest tag, in bytes. RFC 5646 (4.4.1) asks for at least 35.
pub const MAX_TAG: usize = 35;

/// The tag in its canonical spelling (RFC 5646, 2.1.1): `PT-br` is `pt-BR`, `ZH-HANT-tw` is `zh-Hant-TW`. `None` where it
/// is not a language, then perhaps a script, a region and variants. Extensions and private use (`-u-`, `-x-`) say
/// nothing of the language that a text is in, and are none either.
#[must_use]
pub fn canonical(tag: &str) -> Option<String> {
    if tag.len() > MAX_TAG {
        return None;
    }
    let mut subtags = tag.split('-').peekable();
    let language = subtags.next()?;
    // The standard has room for languages of up to eight letters and knows none: who writes `english` is mistaken.
    if !matches!(language.len(), 2 | 3) || !is_alphabetic(language) {
        return None;
    }
    let mut canonical = language.to_ascii_lowercase();
    if let Some(script) = subtags.next_if(|subtag| subtag.len() == 4 && is_alphabetic(subtag)) {
        canonical.push('-');
        canonical.push_str(&script[..1].to_ascii_uppercase());
        canonical.push_str(&script[1..].to_ascii_lowercase());
    }
    if let Some(region) = subtags.next_if(|subtag| is_region(subtag)) {
        canonical.push('-');
        canonical.push_str(&region.to_ascii_uppercase());
    }
    let mut variants: Vec<String> = Vec::new();
    for subtag in subtags {
        let variant = subtag.to_ascii_lowercase();
        if !is_variant(&variant) || variants.contains(&variant) {
            return None;
        }
        canonical.push('-');
        canonical.push_str(&variant);
        variants.push(variant);
    }
    Some(canonical)
}

fn is_alphabetic(subtag: &str) -> bool {
    subtag.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_region(subtag: &str) -> bool {
    match subtag.len() {
        2 => is_alphabetic(subtag),
        3 => subtag.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

fn is_variant(subtag: &str) -> bool {
    let begins_with_digit = subtag.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (matches!(subtag.len(), 5..=8) || subtag.len() == 4 && begins_with_digit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tag_has_one_spelling() {
        for (tag, spelling) in [
            ("pt", "pt"),
            ("PT-br", "pt-BR"),
            ("ZH-hANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("CA-es-VALENCIA", "ca-ES-valencia"),
            ("sl-ROZAJ-biske-1994", "sl-rozaj-biske-1994"),
            ("yue", "yue"),
        ] {
            assert_eq!(canonical(tag).as_deref(), Some(spelling), "{tag}");
        }
    }

    #[test]
    fn what_names_no_language_is_none() {
        for tag in [
            "",
            "-",
            "p",
            "pt-",
            "-pt",
            "pt--BR",
            "pt_BR",
            "p1",
            "abcd",
            "english",
            "english please",
            "português",
            "pt-BR-PT",
            "en-x-museum",
            "en-u-ca-gregory",
            "sl-rozaj-ROZAJ",
            "de-1",
            "deutschland",
            "de-abcdefgh-ijklmnop-qrstuvwx-yzabcdef",
        ] {
            assert_eq!(canonical(tag), None, "{tag:?}");
        }
    }

    proptest! {
        #[test]
        fn a_spelling_is_its_own(tag in "[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-[a-zA-Z]{2}|-[0-9]{3})?(-[a-z0-9]{5,8})?") {
            let once = canonical(&tag).unwrap();
            prop_assert!(once.eq_ignore_ascii_case(&tag));
            prop_assert_eq!(canonical(&once), Some(once));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", tag in "[a-zA-Z0-9-]{0,40}") {
            let _ = (canonical(&text), canonical(&tag));
        }
    }
}
