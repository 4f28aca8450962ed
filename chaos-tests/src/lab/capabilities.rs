//! What this machine lets the harness do, tried at the start. What it does not is said aloud with what to install; it is
//! never passed over in silence.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::network::{Host, Network, Rule};
use super::tag::Tag;
use super::tools;
use super::volume::{MOUNTS, Volume};
use crate::faults;

/// Why something cannot be done here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// In words, with what to do about it.
    pub reason: String,
    /// A tool or a right is missing that could be given; else the machine does not permit it.
    pub could_be: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A group of faults that the machine has to permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Cut, lossy, late and narrow links.
    Network,
    /// Disks that lose power and fill up.
    Volumes,
    /// Failing and slow syncs, jumping clocks.
    Preload,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// [`Need::Network`].
    pub network: Result<(), Missing>,
    /// [`Need::Volumes`].
    pub volumes: Result<(), Missing>,
    /// [`Need::Preload`]: the library to load.
    pub preload: Result<PathBuf, Missing>,
    /// Keeps the library.
    folder: std::sync::Arc<tempfile::TempDir>,
}

impl Capabilities {
    /// Tries everything once, and takes it away again.
    ///
    /// # Panics
    /// Where the machine has no room for a temporary folder.
    #[must_use]
    pub fn probe() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Capabilities {
            network: try_network(),
            volumes: try_volumes(folder.path()),
            preload: faults::library(folder.path()).map_err(|reason| Missing {
                reason: format!("{reason}; apt-get install gcc"),
                could_be: true,
            }),
            folder: std::sync::Arc::new(folder),
        }
    }

    /// What a machine without root and without tools can do: only to see what is said of it.
    #[must_use]
    pub fn without(&self, needs: &[Need]) -> Self {
        let taken = || Missing {
            reason: "left out on purpose".to_owned(),
            could_be: true,
        };
        let mut less = self.clone();
        for need in needs {
            match need {
                Need::Network => less.network = Err(taken()),
                Need::Volumes => less.volumes = Err(taken()),
                Need::Preload => less.preload = Err(taken()),
            }
        }
        less
    }

    /// Why a need is not met; none where it is.
    #[must_use]
    pub fn missing(&self, need: Need) -> Option<&Missing> {
        match need {
            Need::Network => self.network.as_ref().err(),
            Need::Volumes => self.volumes.as_ref().err(),
            Need::Preload => self.preload.as_ref().err(),
        }
    }

    /// A line for each thing that cannot be done here: what, and why.
    #[must_use]
    pub fn not_covered(&self) -> Vec<(&'static str, String)> {
        let what = |need| match need {
            Need::Network => "partitions, lossy, late and narrow links",
            Need::Volumes => "loss of power, full disks",
            Need::Preload => "failing and slow syncs, jumps of the clock",
        };
        [Need::Network, Need::Volumes, Need::Preload]
            .into_iter()
            .filter_map(|need| Some((what(need), self.missing(need)?.reason.clone())))
            .collect()
    }

    /// Where the library is kept while this lives.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn missing(reason: impl Into<String>, could_be: bool) -> Missing {
    Missing {
        reason: reason.into(),
        could_be,
    }
}

fn tools_there(wanted: &[(&str, &str)]) -> Result<(), Missing> {
    if !nix::unistd::geteuid().is_root() {
        return Err(missing("it takes root: run it as root, or with sudo", false));
    }
    for (tool, package) in wanted {
        if !tools::is_there(tool) {
            return Err(missing(format!("{tool} is missing: apt-get install {package}"), true));
        }
    }
    Ok(())
}

fn try_network() -> Result<(), Missing> {
    tools_there(&[
        ("ip", "iproute2"),
        ("tc", "iproute2"),
        ("nft", "nftables"),
        ("nsenter", "util-linux"),
    ])?;
    // Numbers that no node has, so that it does not meet a network that this process has made.
    let [one, two] = [Host::Node(98), Host::Node(99)];
    let tried = Network::make(&[one, two]).and_then(|mut network| {
        let to = (network.address(two), 9).into();
        let via = (network.harness(), 9).into();
        let rules = vec![
            Rule::Lose {
                from: one,
                at: two,
                percent: 10,
            },
            Rule::Detour { from: one, to, via },
            Rule::Narrow {
                host: one,
                kilobits: 512,
            },
        ];
        network.apply(1, rules)?;
        network.lift(1).map(drop)
    });
    tried.map_err(|error| missing(format!("this machine permits no networks of one's own: {error}"), false))
}

fn try_volumes(folder: &Path) -> Result<(), Missing> {
    tools_there(&[("mkfs.ext4", "e2fsprogs"), ("mount", "mount"), ("losetup", "mount")])?;
    let place = Path::new(MOUNTS)
        .join(Tag::own().to_string())
        .join(format!("probe-{}", uuid::Uuid::new_v4()));
    let tried = Volume::make(&folder.join("probe.img"), &place, 16 << 20).and_then(|volume| {
        volume.power_off()?;
        volume.power_on()
    });
    tried.map_err(|error| missing(format!("this machine permits no disks of one's own: {error}"), false))
}
