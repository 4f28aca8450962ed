//! Where a file of settings is wrong: a line, what stands there, and what to write instead.
//!
//! The servers lay flags and variables over the file with figment, which names a key and never a line. So the file is read
//! by itself first ([`read`]), and what only shows once all sources are together is put back on its line with [`line_of`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// How unlike a known setting a word may be and still be taken for a slip of it: 0 nothing in common, 1 the same.
const ALIKE: f64 = 0.7;

/// What is wrong with a file of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    file: PathBuf,
    /// Counted from 1; none where the file as a whole is wrong.
    line: Option<usize>,
    problem: String,
    /// What stands there.
    text: Option<String>,
}

impl Mistake {
    /// `problem` with the setting `key` (see [`line_of`]) of a file that was read as `text`.
    #[must_use]
    pub fn at_key(file: &Path, text: &str, key: &str, problem: impl Into<String>) -> Self {
        Self::at(file, text, line_of(text, key), problem.into())
    }

    fn at(file: &Path, text: &str, line: Option<usize>, problem: String) -> Self {
        let shown = line.and_then(|line| text.lines().nth(line - 1));
        Self {
            file: file.to_owned(),
            line,
            problem,
            text: shown.map(|shown| shown.trim_end().to_owned()),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)?;
        if let (Some(line), Some(text)) = (self.line, &self.text) {
            write!(f, "\n  {line} | {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistake {}

/// The settings in `text`, which was read from `file`.
///
/// # Errors
/// The first mistake: what is no TOML, a setting that does not exist, a value of the wrong kind.
pub fn read<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Mistake> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        Mistake::at(file, text, line, remedy(error.message()))
    })
}

/// The line of a setting, counted from 1: of `key`, or of `table.key` where it stands in a table. A table itself is found by
/// its name; `limit[1]` is the second of those that begin with `[[limit]]`. None where the file does not have it.
#[must_use]
pub fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut table = String::new();
    let mut before: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let name = header
                .trim_start_matches('[')
                .split(']')
                .next()
                .unwrap_or_default()
                .trim();
            table = if header.starts_with('[') {
                let count = before.entry(name).or_default();
                *count += 1;
                format!("{name}[{}]", *count - 1)
            } else {
                name.to_owned()
            };
            if table == key {
                return Some(index + 1);
            }
            continue;
        }
        let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let name = name.trim().trim_matches('"');
        let matches = if table.is_empty() {
            name == key
        } else {
            key.strip_prefix(&table).and_then(|rest| rest.strip_prefix('.')) == Some(name)
        };
        if matches {
            return Some(index + 1);
        }
    }
    None
}

fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// The parser's words, with what to do where they say only what is wrong.
fn remedy(message: &str) -> String {
    let message = message.trim_end().replace('\n', ", ");
    if let Some((wrong, known)) = unknown_field(&message) {
        let alike = known
            .iter()
            .map(|known| (strsim::normalized_damerau_levenshtein(wrong, known), *known))
            .filter(|(alike, _)| *alike >= ALIKE)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        return match alike {
            Some((_, known)) => format!("there is no setting `{wrong}`; `{known}` is meant?"),
            None => format!(
                "there is no setting `{wrong}`; take the line out. There are {}",
                known.join(", ")
            ),
        };
    }
    if message.contains("invalid socket address syntax") {
        return "this is no address: write IP:PORT, as 0.0.0.0:7001".to_owned();
    }
    if message.starts_with("invalid type: string") && ["u32", "u64", "usize"].iter().any(|kind| message.ends_with(kind))
    {
        return "a whole number belongs here, without quotes".to_owned();
    }
    if message.starts_with("expected newline") {
        return "the value goes on where none can; texts stand in quotes".to_owned();
    }
    if let Some(key) = message.strip_prefix("duplicate key `") {
        let key = key.split('`').next().unwrap_or_default();
        return format!("`{key}` stands here a second time; take one of the two lines out");
    }
    message
}

/// Of "unknown field `x`, expected one of `a`, `b`": the one and the others.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (wrong, rest) = rest.split_once('`')?;
    Some((wrong, rest.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde::Deserialize;
    use std::net::SocketAddr;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[allow(dead_code, reason = "only read from a file")]
    struct Settings {
        shards: u64,
        address: Option<SocketAddr>,
        peers: BTreeMap<String, String>,
    }

    fn said(text: &str) -> String {
        read::<Settings>(Path::new("a.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_has_its_line_and_a_remedy() {
        assert_eq!(
            said("# ours\n\nshrads = 4\n"),
            "a.toml:3: there is no setting `shrads`; `shards` is meant?\n  3 | shrads = 4"
        );
        assert_eq!(
            said("shards = 4\naddress = \"7001\"\n"),
            "a.toml:2: this is no address: write IP:PORT, as 0.0.0.0:7001\n  2 | address = \"7001\""
        );
        assert!(said("shards = \"4\"").starts_with("a.toml:1: a whole number belongs here"));
        assert!(said("colour = 1").contains("There are shards, address, peers"));
        assert!(said("shards = 1\nshards = 2\n").contains("a second time"));
        assert!(said("shards = \n").starts_with("a.toml:1: "));
    }

    #[test]
    fn a_setting_is_found_where_it_stands() {
        let text = "# shards = 1\nshards = 2\n[peers]\n1 = \"a\"\n\"2\" = \"b\"\nshards = \"no\"\n[[limit]]\nrole = \"x\"\n[[limit]]\nrole = 1\n";
        for (key, line) in [
            ("shards", Some(2)),
            ("peers", Some(3)),
            ("peers.1", Some(4)),
            ("peers.2", Some(5)),
            ("limit[0]", Some(7)),
            ("limit[0].role", Some(8)),
            ("limit[1].role", Some(10)),
            ("limit[2]", None),
            ("role", None),
            ("nothing", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
