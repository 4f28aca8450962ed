//! What many simulations came to: what was exercised, what was violated and how to see it again.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use rotunda_chaos::sim::faults::Class;

use super::SimulateArguments;
use super::summary::Summary;

/// See the module.
pub(super) struct Report {
    pub(super) seen: BTreeMap<u64, Summary>,
    /// Seeds whose process did not come to an end.
    pub(super) broken: Vec<(u64, String)>,
    /// Seeds that gave two traces.
    pub(super) different: Vec<(u64, String, String)>,
    pub(super) reruns: u64,
    pub(super) missing: Vec<Class>,
    pub(super) wall: Duration,
}

impl Report {
    pub(super) fn is_sound(&self) -> bool {
        self.seen.values().all(Summary::is_sound)
            && self.broken.is_empty()
            && self.different.is_empty()
            && self.missing.is_empty()
    }

    fn sums(&self, of: impl Fn(&Summary) -> &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for summary in self.seen.values() {
            for (name, count) in of(summary) {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
        sums
    }

    pub(super) fn print(&self, arguments: &SimulateArguments) {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(["what was exercised", "times"]);
        for (name, count) in self.sums(|summary| &summary.faults) {
            table.add_row([format!("fault: {name}"), count.to_string()]);
        }
        for (name, count) in self.sums(|summary| &summary.counts) {
            table.add_row([name, count.to_string()]);
        }
        println!("{table}");
        let simulated: u64 = self.seen.values().map(|summary| summary.simulated_ms).sum();
        let busy: u64 = self.seen.values().map(|summary| summary.cpu_ms).sum();
        println!(
            "{} runs, {:.1} simulated hours in {:.1} s: {:.0} times real time a core; {} run twice, {} differed",
            self.seen.len(),
            seconds(simulated) / 3_600.0,
            self.wall.as_secs_f64(),
            seconds(simulated) / seconds(busy.max(1)),
            self.reruns,
            self.different.len(),
        );
        for (seed, summary) in self.seen.iter().filter(|(_, summary)| !summary.is_sound()) {
            println!("\nseed {seed}");
            if let Some(stuck) = &summary.stuck {
                println!("  stuck: {stuck}");
            }
            for (invariant, findings) in &summary.violations {
                println!("  {invariant}");
                for finding in findings {
                    println!("    {finding}");
                }
            }
            let flags = arguments.flags(*seed).join(" ");
            println!("  again:   rotunda-chaos simulate {flags} --history seed-{seed}.jsonl");
            println!("  smaller: rotunda-chaos shrink {flags} --out seed-{seed}.json");
        }
        for (seed, why) in &self.broken {
            println!(
                "\nseed {seed}: {why}\n  again: rotunda-chaos simulate {}",
                arguments.flags(*seed).join(" ")
            );
        }
        for (seed, one, other) in &self.different {
            println!("\nseed {seed} is not repeatable: {one}, then {other}");
        }
        for class in &self.missing {
            println!("\nfault {class} was asked for and never felt: more seeds, or more --minutes");
        }
        println!("\n{}", if self.is_sound() { "sound" } else { "NOT SOUND" });
    }

    pub(super) fn print_json(&self) {
        let missing: Vec<&str> = self.missing.iter().map(|class| class.name()).collect();
        let report = serde_json::json!({
            "sound": self.is_sound(),
            "seeds": self.seen,
            "broken": self.broken,
            "not_repeatable": self.different,
            "run_twice": self.reruns,
            "missing_faults": missing,
            "wall_seconds": self.wall.as_secs_f64(),
        });
        println!("{report:#}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}
