//! Pages of lists: how long they are, and the cursor that says where one ended.

use super::call::parameter;
use super::error::Problem;

/// Entries of a page where the caller does not say.
const DEFAULT_LIMIT: usize = 50;

/// Most entries of a page.
const MAX_LIMIT: usize = 200;

/// Longest cursor, in bytes.
const MAX_CURSOR: usize = 1_024;

/// The parameter `limit`.
pub(super) fn limit(text: Option<&str>) -> Result<usize, Problem> {
    match text.map(str::parse) {
        None => Ok(DEFAULT_LIMIT),
        Some(Ok(limit @ 1..=MAX_LIMIT)) => Ok(limit),
        Some(_) => Err(parameter("limit", format!("it must be a number from 1 to {MAX_LIMIT}"))),
    }
}

/// The parameter `cursor`: what was last on the page before.
pub(super) fn after(cursor: Option<&str>) -> Result<Option<String>, Problem> {
    cursor
        .map(|text| unseal(text).ok_or_else(|| parameter("cursor", "send back `next_cursor` as it came")))
        .transpose()
}

/// A cursor behind this. In hexadecimal, so that nobody is tempted to write one by hand.
pub(super) fn seal(last: &str) -> String {
    use std::fmt::Write as _;
    last.bytes().fold(String::from("v1"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unseal(cursor: &str) -> Option<String> {
    let hex = cursor
        .strip_prefix("v1")
        .filter(|hex| hex.len() % 2 == 0 && hex.is_ascii() && hex.len() <= MAX_CURSOR)?;
    let bytes: Result<Vec<u8>, _> = (0..hex.len())
        .step_by(2)
        .map(|n| u8::from_str_radix(&hex[n..n + 2], 16))
        .collect();
    String::from_utf8(bytes.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        assert_eq!(unseal(&seal("lisbon-tides")).as_deref(), Some("lisbon-tides"));
        for wrong in ["", "lisbon-tides", "v1zz", "v1f", "v1ff", "v2aa"] {
            assert_eq!(unseal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_page_has_a_bound() {
        assert_eq!(limit(None).ok(), Some(50));
        assert_eq!(limit(Some("200")).ok(), Some(200));
        for wrong in ["0", "201", "-1", "many", ""] {
            assert!(limit(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
