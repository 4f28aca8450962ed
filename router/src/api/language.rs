//! Which language of the catalogue a caller reads: `Accept-Language` (RFC 9110, 12.5.4) by the lookup of RFC 4647 (3.4).
//!
//! Each text is negotiated by itself, for each has translations of its own: of two museums in a list one may speak the
//! visitor's language and the other not. A range that no tag fits is cut from its end (`pt-BR`, then `pt`); where
//! that finds nothing either, a tag that goes on from the range will do (`pt` is content with `pt-BR`). Where nothing that is
//! wanted is there, the catalogue's own text is shown: a museum that the visitor cannot read of is better than none. For
//! the same reason a header that is not well-formed is as good as none, and never an error.

use axum::response::Response;
use http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use rotunda_booking::catalogue::{Texts, Translation};

use crate::idempotency::Fingerprint;

/// Ranges that are looked at, of those that a caller sends. Browsers send a handful; each is held against each tag.
const MAX_RANGES: usize = 32;

/// Languages that `Content-Language` names. Longer lists name the first.
const MAX_SPOKEN: usize = 16;

/// Thousandths.
type Weight = u16;

/// What a caller reads, and what they were told in.
pub(crate) struct Interpreter {
    /// In order of the caller's preference.
    ranges: Vec<(String, Weight)>,
    /// What the answer speaks, each once.
    spoken: Vec<String>,
    chosen: Fingerprint,
}

/// A thing's texts as a caller reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    /// `None` where the catalogue does not say.
    pub(crate) language: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
}

impl Interpreter {
    /// For the caller with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            ranges: ranges(headers).unwrap_or_default(),
            spoken: Vec::new(),
            chosen: Fingerprint::of("languages"),
        }
    }

    /// The texts of a thing. `original` is the language of what is not translated, empty where nobody knows it.
    pub(crate) fn show<'a>(&mut self, original: &'a str, name: &'a str, texts: &'a Texts) -> Shown<'a> {
        let (language, translation) = self.choose(original, texts);
        let own = Some(texts.description.as_str()).filter(|text| !text.is_empty());
        let translated = translation.and_then(|translation| translation.description.as_deref());
        if translation.is_some() && translated.is_none() && own.is_some() {
            self.speak(original);
        }
        Shown {
            language: Some(language).filter(|language| !language.is_empty()),
            name: translation
                .and_then(|translation| translation.name.as_deref())
                .unwrap_or(name),
            description: translated.or(own),
        }
    }

    /// As [`Interpreter::show`], where only the name is shown.
    pub(crate) fn name<'a>(&mut self, original: &'a str, name: &'a str, texts: &'a Texts) -> &'a str {
        let (_, translation) = self.choose(original, texts);
        translation
            .and_then(|translation| translation.name.as_deref())
            .unwrap_or(name)
    }

    /// All that was chosen so far: two answers of the same state differ by it.
    pub(crate) fn chosen(&self) -> u64 {
        self.chosen.clone().short()
    }

    /// The answer, with what it speaks and that others may get another.
    pub(crate) fn sign(self, mut response: Response) -> Response {
        let has_body = response.status() != StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Accept-Language"));
        let spoken = self.spoken.join(", ");
        if let Some(spoken) = HeaderValue::try_from(spoken)
            .ok()
            .filter(|spoken| !spoken.is_empty() && has_body)
        {
            headers.insert(CONTENT_LANGUAGE, spoken);
        }
        response
    }

    fn choose<'a>(&mut self, original: &'a str, texts: &'a Texts) -> (&'a str, Option<&'a Translation>) {
        let offered: Vec<&str> = texts
            .translations
            .iter()
            .map(|translation| translation.language.as_str())
            .collect();
        let language = negotiate(&self.ranges, original, &offered);
        self.chosen.text(language);
        self.speak(language);
        (language, texts.translation(language))
    }

    fn speak(&mut self, language: &str) {
        let is_news = !language.is_empty() && !self.spoken.iter().any(|spoken| spoken == language);
        if is_news && self.spoken.len() < MAX_SPOKEN {
            self.spoken.push(language.to_owned());
        }
    }
}

/// One of `offered`, or `original`.
fn negotiate<'a>(ranges: &[(String, Weight)], original: &'a str, offered: &[&'a str]) -> &'a str {
    let candidates = || {
        std::iter::once(original)
            .chain(offered.iter().copied())
            .filter(|tag| !tag.is_empty() && !is_refused(ranges, tag))
    };
    for (range, _) in ranges.iter().filter(|(_, weight)| *weight > 0) {
        if range == "*" {
            // Every language that no other range speaks of.
            if let Some(tag) = candidates().find(|tag| closest(ranges, tag).is_none()) {
                return tag;
            }
            continue;
        }
        let mut rest = Some(range.as_str());
        while let Some(prefix) = rest {
            if let Some(tag) = candidates().find(|tag| tag.eq_ignore_ascii_case(prefix)) {
                return tag;
            }
            rest = shortened(prefix);
        }
        if let Some(tag) = candidates().find(|tag| fits(range, tag)) {
            return tag;
        }
    }
    original
}

/// Without its last subtag, and without a single letter before that, which only announces it.
fn shortened(range: &str) -> Option<&str> {
    let (rest, _) = range.rsplit_once('-')?;
    match rest.rsplit_once('-') {
        Some((shorter, single)) if single.len() == 1 => Some(shorter),
        _ => Some(rest),
    }
}

/// The tag is the range or goes on from it: basic filtering (RFC 4647, 3.3.1).
fn fits(range: &str, tag: &str) -> bool {
    let (Some(head), rest) = (tag.get(..range.len()), tag.get(range.len()..).unwrap_or_default()) else {
        return false;
    };
    head.eq_ignore_ascii_case(range) && (rest.is_empty() || rest.starts_with('-'))
}

/// The weight of the longest range that the tag fits.
fn closest(ranges: &[(String, Weight)], tag: &str) -> Option<Weight> {
    let fitting = ranges.iter().filter(|(range, _)| fits(range, tag));
    fitting.max_by_key(|(range, _)| range.len()).map(|(_, weight)| *weight)
}

/// The caller said that they do not want it.
fn is_refused(ranges: &[(String, Weight)], tag: &str) -> bool {
    let any = || ranges.iter().find(|(range, _)| range == "*").map(|(_, weight)| *weight);
    closest(ranges, tag).or_else(any) == Some(0)
}

/// What the headers ask for, most wanted first and otherwise as it came. `None` where they cannot be read.
fn ranges(headers: &HeaderMap) -> Option<Vec<(String, Weight)>> {
    let mut ranges = Vec::new();
    for value in headers.get_all(ACCEPT_LANGUAGE) {
        // An empty member of a list is to be passed over (RFC 9110, 5.6.1).
        let members = value
            .to_str()
            .ok()?
            .split(',')
            .map(trimmed)
            .filter(|member| !member.is_empty());
        for member in members {
            let (range, weight) = match member.split_once(';') {
                None => (member, 1_000),
                Some((range, parameter)) => (trimmed(range), weight(trimmed(parameter))?),
            };
            if !is_range(range) {
                return None;
            }
            if ranges.len() < MAX_RANGES {
                ranges.push((range.to_owned(), weight));
            }
        }
    }
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    Some(ranges)
}

/// The white space that a header may have.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `*`, or subtags of one to eight letters and, after the first, digits.
fn is_range(range: &str) -> bool {
    let mut subtags = range.split('-');
    let language = subtags.next().unwrap_or_default();
    let length = |subtag: &str| (1..=8).contains(&subtag.len());
    range == "*"
        || length(language)
            && language.bytes().all(|byte| byte.is_ascii_alphabetic())
            && subtags.all(|subtag| length(subtag) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `q=0.8`, in thousandths.
fn weight(parameter: &str) -> Option<Weight> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, digits) = value.split_once('.').unwrap_or((value, ""));
    if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
