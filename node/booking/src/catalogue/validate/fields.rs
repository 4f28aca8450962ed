//! The list of problems, and the checks that any field may need.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Problem;
use crate::catalogue::NetworkDefinition;
use crate::catalogue::bounds::{GRID_MINUTES, MAX_NAME};
use crate::ids::{MAX_SLUG, is_slug};
use crate::time::{ServiceDay, TimeError};

/// What was found so far.
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
}

impl Report {
    /// Adds a problem.
    pub(super) fn say(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.problems.push(Problem {
            pointer: pointer.into(),
            detail: detail.into(),
        });
    }

    /// The definition, where nothing was found.
    pub(super) fn finish(self, definition: NetworkDefinition) -> Result<NetworkDefinition, Vec<Problem>> {
        if self.problems.is_empty() {
            Ok(definition)
        } else {
            Err(self.problems)
        }
    }

    /// A number within bounds, or the lower bound and a problem.
    pub(super) fn number(&mut self, at: impl Into<String>, number: i64, bounds: RangeInclusive<i64>) -> u32 {
        if !bounds.contains(&number) {
            self.say(
                at,
                format!("{number} is out of bounds; use {} to {}", bounds.start(), bounds.end()),
            );
        }
        u32::try_from(number.clamp(*bounds.start(), *bounds.end())).unwrap_or_default()
    }

    /// As [`Report::number`] for one that may be left out.
    pub(super) fn optional(
        &mut self,
        at: impl Into<String>,
        number: Option<i64>,
        bounds: RangeInclusive<i64>,
    ) -> Option<u32> {
        number.map(|number| self.number(at, number, bounds))
    }

    /// As [`Report::number`] for minutes, which also fall on the grid of the building limit.
    pub(super) fn span(&mut self, at: impl Into<String>, minutes: i64, bounds: RangeInclusive<i64>) -> u32 {
        if !bounds.contains(&minutes) || minutes % GRID_MINUTES == 0 {
            return self.number(at, minutes, bounds);
        }
        let (below, above) = (
            minutes - minutes % GRID_MINUTES,
            minutes - minutes % GRID_MINUTES + GRID_MINUTES,
        );
        self.say(
            at,
            format!("{minutes} minutes are not a multiple of {GRID_MINUTES}; use {below} or {above}"),
        );
        u32::try_from(minutes).unwrap_or_default()
    }

    /// A list within its bound.
    pub(super) fn at_most(&mut self, at: impl Into<String>, count: usize, bound: usize, what: &str) {
        if count > bound {
            self.say(
                at,
                format!("{count} {what} are too many; at most {bound} fit, the rest was not looked at"),
            );
        }
    }

    /// An id.
    pub(super) fn id(&mut self, at: impl Into<String>, id: &str) {
        if !is_slug(id) {
            self.say(
                at,
                format!("{id:?} is not an id; use 1 to {MAX_SLUG} small letters a-z, digits and hyphens"),
            );
        }
    }

    /// The ids of a list: each one well formed and there once.
    pub(super) fn ids<'a>(&mut self, at: &str, ids: impl Iterator<Item = &'a str>, what: &str) {
        let mut seen = BTreeMap::new();
        for (index, id) in ids.enumerate() {
            self.id(format!("{at}/{index}/id"), id);
            if let Some(first) = seen.get(id) {
                let detail = format!("{what} {id:?} is there already, at {at}/{first}; give each its own id");
                self.say(format!("{at}/{index}/id"), detail);
            } else {
                seen.insert(id, index);
            }
        }
    }

    /// A text for people.
    pub(super) fn name(&mut self, at: impl Into<String>, name: &str) {
        let length = name.chars().count();
        if name.trim().is_empty() {
            self.say(at, "is empty; write what people call it");
        } else if length > MAX_NAME {
            self.say(at, format!("has {length} characters; shorten it to {MAX_NAME}"));
        } else if name.chars().any(char::is_control) {
            self.say(at, "contains a control character, as a line break; leave it out");
        }
    }

    /// A date.
    pub(super) fn date(&mut self, at: impl Into<String>, text: &str) -> Option<ServiceDay> {
        match text.parse() {
            Ok(day) => Some(day),
            Err(TimeError::NoSuchDay) => {
                self.say(at, format!("the calendar has no {text:?}; check month and day"));
                None
            }
            Err(_) => {
                self.say(at, format!("{text:?} is not a date; write it as 2027-01-15"));
                None
            }
        }
    }
}

/// One step of an RFC 6901 pointer.
pub(super) fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
