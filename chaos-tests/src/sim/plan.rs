//! What a simulation is to do, all of it drawn before it begins: a seed's plan, or a scenario in a file, which is a plan that
//! was made smaller and kept.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::faults::{self, Class, Planned};
use super::world::Size;

/// The format of scenario files that this reads and writes.
const FORMAT: u32 = 1;

/// Times in a thousand that a plan purges early, so that who was away needs a snapshot.
const PURGE_EARLY: u32 = 500;

/// What is simulated. As JSON, a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Of the file.
    pub format: u32,
    /// What it showed, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Every choice comes from it.
    pub seed: u64,
    /// How long faults come, in milliseconds of simulated time.
    pub span_ms: u64,
    /// Nodes, shards.
    #[serde(flatten)]
    pub size: Size,
    /// Who comes, and what they do.
    pub visits: Vec<Visits>,
    /// The faults, in order of time.
    pub faults: Vec<Planned>,
}

/// What one visitor does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visits {
    /// Its number, from 0. What its steps are comes from the seed and this number.
    pub visitor: u32,
    /// The steps that it takes: from, and to which it does not take.
    pub steps: Vec<(u64, u64)>,
}

impl Plan {
    /// The run of a seed.
    #[must_use]
    pub fn of_seed(seed: u64, span: Duration, nodes: u32, shards: u64, classes: &[Class]) -> Self {
        let mut chance = Chance::of(seed, "plan");
        let keep_log_entries = if chance.per_mille(PURGE_EARLY) { 20 } else { 1_000_000 };
        let visitors = 3 + u32::try_from(chance.below(6)).unwrap_or(0);
        Self {
            format: FORMAT,
            about: String::new(),
            seed,
            span_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            size: Size {
                nodes,
                shards,
                keep_log_entries,
            },
            visits: (0..visitors)
                .map(|visitor| Visits {
                    visitor,
                    steps: vec![(0, u64::MAX)],
                })
                .collect(),
            faults: faults::schedule(Chance::of(seed, "faults"), span, nodes, classes),
        }
    }

    /// How long faults come.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_millis(self.span_ms)
    }

    /// Reads a scenario file.
    ///
    /// # Errors
    /// In words, where it is none.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let plan: Self = serde_json::from_str(&text).map_err(|error| told(&error))?;
        plan.sensible().map_err(|error| told(&error))?;
        Ok(plan)
    }

    /// Writes it as a scenario file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        std::fs::write(path, text + "\n")
    }

    fn sensible(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "format {} is not known; this program reads {FORMAT}",
                self.format
            ));
        }
        if !(3..=9).contains(&self.size.nodes) || self.size.nodes.is_multiple_of(2) {
            return Err(format!("nodes: 3, 5, 7 or 9, not {}", self.size.nodes));
        }
        if !(1..=64).contains(&self.size.shards) {
            return Err(format!("shards: 1 to 64, not {}", self.size.shards));
        }
        let nobody = |node| node < 1 || node > self.size.nodes;
        match self
            .faults
            .iter()
            .find(|fault| nobody(fault.node) || nobody(fault.other))
        {
            Some(fault) => Err(format!(
                "the {} at {} ms is about node {} or {}, and there are {}",
                fault.class, fault.at_ms, fault.node, fault.other, self.size.nodes
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::sim::faults::CLASSES;

    #[test]
    fn a_plan_is_the_same_each_time_and_survives_its_file() {
        let of = |seed| Plan::of_seed(seed, Duration::from_secs(300), 5, 3, &CLASSES);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7).faults, of(8).faults);
        assert!(!of(7).faults.is_empty());
        let file = tempfile::NamedTempFile::new().unwrap();
        of(7).write(file.path()).unwrap();
        assert_eq!(Plan::read(file.path()).unwrap(), of(7));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_with_the_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut plan = Plan::of_seed(7, Duration::from_secs(300), 3, 3, &[Class::Kill]);
        plan.faults[0].node = 4;
        plan.write(file.path()).unwrap();
        let told = Plan::read(file.path()).unwrap_err();
        assert!(told.contains("kill at") && told.contains("there are 3"), "{told}");
        std::fs::write(file.path(), "{").unwrap();
        assert!(Plan::read(file.path()).unwrap_err().contains("line 1"));
    }
}
