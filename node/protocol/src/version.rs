//! The cluster's version: which formats its log entries, rows and snapshots may have. One number, kept by the meta group and
//! told with the shard map; a data directory says the same number as its format.
//!
//! Each binary reads a range of versions, [`Formats::OURS`]. A node tells its range in the version of its binary, as build
//! metadata (`0.1.0+formats.3-4`): that text passes through binaries of before there were ranges, in their logs, rows and
//! maps. A binary that tells none is one of those, and reads [`BEFORE`] alone.
//!
//! What writes a new format asks the cluster's version first; it is raised once every node can read it, and never goes back.

use std::fmt;

/// The version of a cluster that says none: that of the last binaries without one. Their directories are of format 3.
pub const BEFORE: u32 = 3;

/// From here on the meta group's row of the version may be written, and commands that came with it.
pub const CLUSTER_VERSION: u32 = 4;

/// From here on shards take probes: commands that older nodes cannot read.
pub const PROBES: u32 = CLUSTER_VERSION;

/// What precedes the range in a binary's version.
const METADATA: &str = "+formats.";

/// The versions that a binary can read; it writes the one that the cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Formats {
    /// The oldest.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
}

impl Formats {
    /// Those of this binary.
    pub const OURS: Self = Self {
        oldest: BEFORE,
        newest: CLUSTER_VERSION,
    };

    /// Those of the binaries from before there were ranges.
    pub const UNSTATED: Self = Self {
        oldest: BEFORE,
        newest: BEFORE,
    };

    /// The range that a binary's version tells. A range that makes no sense counts as none: it must not raise anything.
    #[must_use]
    pub fn of(version: &str) -> Self {
        let stated = version.split_once(METADATA).and_then(|(_, range)| {
            let (oldest, newest) = range.split_once('-')?;
            let (oldest, newest) = (oldest.parse().ok()?, newest.parse().ok()?);
            (oldest <= newest).then_some(Self { oldest, newest })
        });
        stated.unwrap_or(Self::UNSTATED)
    }

    /// A binary's version with this range in it.
    #[must_use]
    pub fn stated_with(self, release: &str) -> String {
        format!("{release}{METADATA}{}-{}", self.oldest, self.newest)
    }

    /// True where a cluster of this version can be read.
    #[must_use]
    pub const fn reads(self, version: u32) -> bool {
        self.oldest <= version && version <= self.newest
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.oldest == self.newest {
            write!(f, "{}", self.newest)
        } else {
            write!(f, "{} to {}", self.oldest, self.newest)
        }
    }
}

/// A binary's version without its range: `0.1.0`.
#[must_use]
pub fn release(version: &str) -> &str {
    version.split_once(METADATA).map_or(version, |(release, _)| release)
}

/// A node that keeps the cluster's version where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The node.
    pub node: u32,
    /// What it runs, and what it reads; `None` where it does not answer.
    pub runs: Option<(String, Formats)>,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.runs {
            Some((release, formats)) => write!(f, "node {} runs {release}, which reads {formats}", self.node),
            None => write!(f, "node {} does not say what it runs", self.node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_comes_back_as_it_was_told_and_nonsense_raises_nothing() {
        let told = Formats::OURS.stated_with("0.1.0");
        assert_eq!(told, "0.1.0+formats.3-4");
        assert_eq!((Formats::of(&told), release(&told)), (Formats::OURS, "0.1.0"));
        for version in [
            "",
            "0.1.0",
            "0.1.0+formats.",
            "0.1.0+formats.9-4",
            "0.1.0+formats.4-x",
            "1+formats.-4",
        ] {
            assert_eq!(Formats::of(version), Formats::UNSTATED, "{version}");
        }
        assert_eq!(release("0.1.0"), "0.1.0");
    }

    #[test]
    fn a_range_reads_what_lies_in_it() {
        let formats = Formats { oldest: 4, newest: 6 };
        assert_eq!(
            [3, 4, 6, 7].map(|version| formats.reads(version)),
            [false, true, true, false]
        );
    }
}
