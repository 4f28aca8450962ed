//! Metrics are named in one place, `dashboards/metrics`: nothing else writes a name down, and nothing there is dead.

use rotunda_metrics::{Metric, process};

use crate::tree::{self, File};

/// Where processes count. The harness of chaos-tests looks at them from outside, by name.
const COUNTING: &[&str] = &["deploy/tls/src/", "node/", "router/", "raft-storage/", "deploy/cli/"];

fn counting() -> impl Iterator<Item = File> {
    let files = tree::sources().into_iter();
    files.filter(|file| !file.is_test() && COUNTING.iter().any(|folder| file.path.starts_with(folder)))
}

#[test]
fn no_source_names_a_metric_by_itself() {
    let metrics = rotunda_metrics::all();
    let mut literals = Vec::new();
    for file in counting() {
        for (number, line) in file.code() {
            for text in line.split('"').skip(1).step_by(2) {
                if metrics
                    .iter()
                    .any(|metric| metric.name == text && text != process::UP.name)
                {
                    literals.push(format!("{}:{number}: {text}", file.path));
                }
            }
        }
    }
    tree::none("These metrics are to be named by their constants:", &literals);
}

/// The macro around each use of a constant: `gauge` for `gauge!(names::RAFT_TERM.name, ..)`.
fn registered_as<'a>(text: &'a str, constant: &str) -> Vec<&'a str> {
    let used = format!("::{constant}.name");
    let plain = format!("({constant}.name");
    let uses = text.match_indices(&used).chain(text.match_indices(&plain));
    uses.filter_map(|(at, _)| {
        let before = &text[..=at];
        let call = before.rfind('(')?;
        let name = before[..call].strip_suffix('!')?;
        name.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()
    })
    .collect()
}

#[test]
fn every_metric_is_registered_and_as_what_it_is() {
    let constants = tree::files("dashboards/metrics/src", "rs");
    let constant_of = |metric: &Metric| {
        let quoted = format!("\"{}\"", metric.name);
        let lines = constants.iter().flat_map(|file| file.text.lines());
        let line = lines
            .clone()
            .find(|line| line.contains(&quoted))
            .expect("a line of the constants");
        line.split_whitespace().next().expect("a constant").to_owned()
    };
    let sources: Vec<File> = counting().collect();
    let mut wrong = Vec::new();
    for metric in rotunda_metrics::all() {
        if process::FOREIGN.iter().any(|foreign| foreign.name == metric.name) {
            continue;
        }
        let constant = constant_of(&metric);
        let mut uses = 0;
        for file in &sources {
            uses += file.text.matches(&format!("{constant}.name")).count();
            for macro_name in registered_as(&file.text, &constant) {
                if ["counter", "gauge", "histogram"].contains(&macro_name) && macro_name != metric.kind.as_str() {
                    wrong.push(format!("{}: {constant} is no {macro_name}", file.path));
                }
            }
        }
        if uses == 0 {
            wrong.push(format!("{constant}: nobody registers {}", metric.name));
        }
    }
    tree::none("Constants that do not tell the truth:", &wrong);
}

#[test]
fn a_use_as_something_else_is_found() {
    let text =
        "counter!(\n    names::TERM.name,\n    \"shard\" => 1); metrics::gauge!(TERM.name).set(1.0); set(TERM.name, 1)";
    assert_eq!(registered_as(text, "TERM"), ["counter", "gauge"]);
}
