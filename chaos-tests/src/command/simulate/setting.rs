//! What seeds are run with: how large, how long, and which faults.

use std::time::Duration;

use clap::Args;
use rotunda_chaos::sim::faults::{CLASSES, Class};
use rotunda_chaos::sim::plan::Plan;

/// See the module.
#[derive(Args, Clone, Debug)]
pub(crate) struct Setting {
    /// Simulated minutes in which faults come.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Nodes: an odd number from 3 up.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = odd)]
    nodes: u32,
    /// Shards.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    shards: u64,
    /// Only these faults, separated by commas; all of them where it is left out.
    #[arg(long, value_delimiter = ',', value_name = "FAULT", value_parser = class)]
    faults: Vec<Class>,
}

impl Setting {
    /// The faults that are drawn from.
    pub(crate) fn classes(&self) -> Vec<Class> {
        if self.faults.is_empty() {
            CLASSES.to_vec()
        } else {
            self.faults.clone()
        }
    }

    /// What a seed does.
    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let span = Duration::from_secs(self.minutes.saturating_mul(60));
        Plan::of_seed(seed, span, self.nodes, self.shards, &self.classes())
    }

    /// The flags that repeat a seed.
    pub(crate) fn flags(&self, seed: u64) -> Vec<String> {
        let mut flags = vec![
            format!("--seed={seed}"),
            format!("--minutes={}", self.minutes),
            format!("--nodes={}", self.nodes),
            format!("--shards={}", self.shards),
        ];
        if !self.faults.is_empty() {
            let names: Vec<&str> = self.faults.iter().map(|class| class.name()).collect();
            flags.push(format!("--faults={}", names.join(",")));
        }
        flags
    }
}

fn odd(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|nodes| *nodes >= 3 && nodes % 2 == 1 && *nodes <= 9)
        .ok_or_else(|| "expected 3, 5, 7 or 9".to_owned())
}

fn class(name: &str) -> Result<Class, String> {
    Class::named(name).ok_or_else(|| {
        let known: Vec<&str> = CLASSES.iter().map(|class| class.name()).collect();
        format!("no such fault; there are: {}", known.join(", "))
    })
}
