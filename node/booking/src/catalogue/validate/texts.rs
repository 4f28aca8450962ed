//! Descriptions, and texts in other languages.

use super::fields::{Report, step};
use crate::catalogue::bounds::{MAX_DESCRIPTION, MAX_TRANSLATIONS};
use crate::catalogue::language::canonical;
use crate::catalogue::{Texts, Translation, TranslationDescription};

/// The language of the texts that are no translation: the venue's, or the network's where it does not say; empty where
/// nobody says.
pub(super) fn language(at: &str, own: Option<&str>, inherited: &str, report: &mut Report) -> String {
    own.map_or_else(|| inherited.to_owned(), |tag| read(at, tag, report).unwrap_or_default())
}

/// `original` is the language of what is not translated.
pub(super) fn texts(
    at: &str,
    description: Option<&str>,
    translations: &[TranslationDescription],
    original: &str,
    report: &mut Report,
) -> Texts {
    let description = description.map(|text| prose(format!("{at}/description"), text, report));
    let at = format!("{at}/translations");
    report.at_most(&at, translations.len(), MAX_TRANSLATIONS, "translations");
    if original.is_empty() && !translations.is_empty() {
        report.say(
            &at,
            "nobody says which language the texts are in that these translate; give the venue or the network a \
             `language`, as en",
        );
    }
    let mut translated: Vec<Translation> = Vec::new();
    for description in translations.iter().take(MAX_TRANSLATIONS) {
        let at = format!("{at}/{}", step(&description.language));
        if let Some(translation) = translation(&at, description, original, report) {
            if translated.iter().any(|other| other.language == translation.language) {
                let detail = format!(
                    "there are two for {}; capitals make no difference",
                    translation.language
                );
                report.say(&at, detail);
            }
            translated.push(translation);
        }
    }
    // In one order, so that a file that lists them otherwise is the same catalogue.
    translated.sort_by(|one, other| one.language.cmp(&other.language));
    Texts {
        description: description.unwrap_or_default(),
        translations: translated,
    }
}

fn translation(
    at: &str,
    description: &TranslationDescription,
    original: &str,
    report: &mut Report,
) -> Option<Translation> {
    let language = read(at, &description.language, report);
    if language.as_deref().is_some_and(|language| language == original) {
        report.say(
            at,
            format!("{original} is the language of the texts themselves; change them instead"),
        );
    }
    let (name, text) = (description.name.as_deref(), description.description.as_deref());
    if name.is_none() && text.is_none() {
        report.say(at, "says nothing; write a name or a description, or leave it out");
    }
    if let Some(name) = name {
        report.name(format!("{at}/name"), name);
    }
    let text = text.map(|text| prose(format!("{at}/description"), text, report));
    Some(Translation {
        language: language?,
        name: name.map(str::to_owned),
        description: text,
    })
}

fn read(at: &str, tag: &str, report: &mut Report) -> Option<String> {
    let canonical = canonical(tag);
    if canonical.is_none() {
        report.say(
            at,
            format!("{tag:?} is not a language; write a tag of BCP 47, as de, pt-BR or zh-Hant"),
        );
    }
    canonical
}

/// A text of some lines, without the white space around it, as the block of a YAML file brings it.
fn prose(at: String, text: &str, report: &mut Report) -> String {
    let text = text.trim();
    let length = text.chars().count();
    if text.is_empty() {
        report.say(at, "is empty; write what a visitor should know, or leave it out");
    } else if length > MAX_DESCRIPTION {
        report.say(at, format!("has {length} characters; shorten it to {MAX_DESCRIPTION}"));
    } else if text
        .chars()
        .any(|character| character.is_control() && character != '\n')
    {
        report.say(at, "contains a control character other than a line break; leave it out");
    }
    text.to_owned()
}
