//! Descriptions, and names in other languages.

use super::fields::Report;
use crate::catalogue::bounds::{MAX_DESCRIPTION, MAX_TRANSLATIONS};
use crate::catalogue::{Texts, Translation, TranslationDescription};

pub(super) fn texts(
    at: &str,
    name: &str,
    description: Option<&str>,
    translations: &[TranslationDescription],
    report: &mut Report,
) -> Texts {
    let description = of_people(format!("{at}/description"), description, report);
    let translations_at = format!("{at}/translations");
    report.at_most(&translations_at, translations.len(), MAX_TRANSLATIONS, "translations");
    let mut translated: Vec<Translation> = Vec::new();
    for translation in translations.iter().take(MAX_TRANSLATIONS) {
        let at = format!("{translations_at}/{}", super::fields::step(&translation.language));
        let language = translation.language.to_ascii_lowercase();
        if !is_language(&language) {
            let detail = format!(
                "{:?} is not a language; write a tag of BCP 47, as de or pt-BR",
                translation.language
            );
            report.say(&at, detail);
        } else if translated.iter().any(|other| other.language == language) {
            report.say(&at, "the language is there already; each once");
        }
        if let Some(name) = &translation.name {
            report.name(format!("{at}/name"), name);
        }
        translated.push(Translation {
            language,
            name: translation.name.clone().unwrap_or_else(|| name.to_owned()),
            description: of_people(format!("{at}/description"), translation.description.as_deref(), report),
        });
    }
    // In one order, so that a file that lists them otherwise is the same catalogue.
    translated.sort_by(|one, other| one.language.cmp(&other.language));
    Texts {
        description,
        translations: translated,
    }
}

/// A text of some lines.
fn of_people(at: String, text: Option<&str>, report: &mut Report) -> String {
    let text = text.unwrap_or_default();
    let length = text.chars().count();
    if length > MAX_DESCRIPTION {
        report.say(at, format!("has {length} characters; shorten it to {MAX_DESCRIPTION}"));
    } else if text.chars().any(|character| character.is_control() && character != '\n') {
        report.say(at, "contains a control character other than a line break; leave it out");
    }
    text.to_owned()
}

/// A tag of BCP 47 as far as its shape goes: a language of two or three letters, then subtags of one to eight letters and
/// digits.
fn is_language(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && tag.len() <= 35
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}
