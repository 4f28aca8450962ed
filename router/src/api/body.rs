//! JSON bodies, taken strictly: what is wrong is said with its place, and nothing is guessed or passed over.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::api::error::{Code, Issue, Problem};

/// The media type of a request, in small letters and without parameters; empty where none is given.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

/// True for `application/json` and whatever is written the same way.
pub(crate) fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// A body that must be there.
pub(crate) fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    // As nearly everybody writes it.
    if headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "application/json")
    {
        return parse(body);
    }
    let media_type = media_type(headers);
    if !is_json(&media_type) {
        let given = if media_type.is_empty() {
            "none was given".to_owned()
        } else {
            format!("this is `{media_type}`")
        };
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("Send `Content-Type: application/json`; {given}."),
        )
        .issue("Content-Type:", "must be application/json"));
    }
    parse(body)
}

/// A body that may be left out, or null.
pub(crate) fn read_optional<T: DeserializeOwned + Default>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() {
        Ok(T::default())
    } else {
        Ok(read::<Option<T>>(headers, body)?.unwrap_or_default())
    }
}

/// JSON, whatever the header says.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(Problem::new(
            Code::MalformedJson,
            "The body is empty; /openapi.json says what belongs there.",
        ));
    }
    // As text from the start, so that it is not looked at for UTF-8 string by string.
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    // What is wrong is worth a second look, that keeps track of where it is.
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => {
            let pointer = pointer(error.path());
            return Err(problem(error.inner(), pointer));
        }
    };
    deserializer.end().map_err(|error| problem(&error, String::new()))?;
    Ok(value)
}

fn problem(error: &serde_json::Error, pointer: String) -> Problem {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => {
            let text = error.to_string();
            // serde_json appends the place; the pointer is the better one.
            let detail = in_words(
                text.rsplit_once(" at line ")
                    .map_or(text.as_str(), |(detail, _)| detail),
            );
            let place = if pointer.is_empty() {
                "the body".to_owned()
            } else {
                format!("`{pointer}`")
            };
            Problem::new(Code::InvalidBody, format!("In {place}: {detail}.")).issues(vec![Issue::new(pointer, detail)])
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(Code::MalformedJson, format!("The body is not JSON: {error}."))
        }
    }
}

/// serde names Rust's types, which mean nothing to whoever sent the body.
pub(crate) fn in_words(detail: &str) -> String {
    detail
        .replace("expected u32", "expected a whole number from 0 to 4294967295")
        .replace("expected u16", "expected a whole number from 0 to 65535")
        .replace("expected u64", "expected a whole number from 0 to 18446744073709551615")
        .replace("expected i64", "expected a whole number")
        .replace("invalid i64", "not a whole number")
        .replace("expected struct Hold", "expected a booking")
}

/// The place as a JSON pointer (RFC 6901).
pub(crate) fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code, reason = "only its shape matters")]
        lines: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "only its shape matters")]
        quantity: u32,
    }

    fn fails(body: &str) -> (Code, String) {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
        let body: serde_json::Value = serde_json::from_slice(&problem.body("/", "t")).unwrap();
        (
            problem.code(),
            body["errors"][0]["pointer"].as_str().unwrap_or("-").to_owned(),
        )
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        assert_eq!(
            fails(r#"{"lines":[{"quantity":1},{"quantity":"two"}]}"#),
            (Code::InvalidBody, "/lines/1/quantity".into())
        );
        assert_eq!(
            fails(r#"{"lines":[{"quantity":-1}]}"#),
            (Code::InvalidBody, "/lines/0/quantity".into())
        );
        assert_eq!(
            fails(r#"{"lines":[{"quantity":1,"qty/x":1}]}"#),
            (Code::InvalidBody, "/lines/0/qty~1x".into())
        );
        assert_eq!(fails(r#"{"lines":[{}]}"#), (Code::InvalidBody, "/lines/0".into()));
        assert_eq!(fails("7").0, Code::InvalidBody);
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for body in ["", "  ", "{", r#"{"lines":[]} x"#, "{'lines':[]}", "\u{feff}{}", "nul"] {
            assert_eq!(fails(body).0, Code::MalformedJson, "{body}");
        }
        assert_eq!(
            parse::<Outer>(b"{\"lines\":\xff}").unwrap_err().code(),
            Code::MalformedJson
        );
    }

    #[test]
    fn a_malformed_body_is_said_to_be_so_with_line_and_column() {
        let problem = parse::<Outer>(b"{\n  \"lines\": [}").unwrap_err();
        assert!(problem.detail().contains("line 2 column"), "{}", problem.detail());
    }
}
