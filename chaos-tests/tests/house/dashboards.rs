//! A panel cannot name a metric that nobody registers.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::tree::{self, File};

/// Names that libraries register or Prometheus makes: `process_*` comes from metrics-process, `up` from the scrape.
fn is_foreign(name: &str) -> bool {
    name.starts_with("process_") || name == "up"
}

/// Metric names that the sources write down: `rotunda_*` string literals outside of tests.
fn registered() -> BTreeSet<String> {
    let files = tree::sources()
        .into_iter()
        .filter(|file| !file.is_test() && !file.path.starts_with("chaos-tests/"));
    files
        .flat_map(|file| {
            let literals = |line: &str| {
                let texts = line
                    .split('"')
                    .skip(1)
                    .step_by(2)
                    .filter(|text| text.starts_with("rotunda_"));
                texts.map(str::to_owned).collect::<Vec<_>>()
            };
            file.code().flat_map(|(_, line)| literals(line)).collect::<Vec<_>>()
        })
        .collect()
}

/// Words of a PromQL expression that look like metrics of ours.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words
        .filter(|word| word.starts_with("rotunda_") || is_foreign(word))
        .map(str::to_owned)
        .collect()
}

/// A histogram is one name in the sources and three series in Prometheus.
fn is_registered(metric: &str, registered: &BTreeSet<String>) -> bool {
    is_foreign(metric)
        || registered.contains(metric)
        || ["_bucket", "_sum", "_count"].iter().any(|ending| {
            metric
                .strip_suffix(ending)
                .is_some_and(|name| registered.contains(name))
        })
}

/// All panels, those inside rows included.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = dashboard["panels"].as_array().expect("panels");
    top.iter()
        .flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()))
        .collect()
}

fn expressions(panel: &Value) -> Vec<&str> {
    panel["targets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|target| target["expr"].as_str())
        .collect()
}

fn dashboards() -> Vec<(File, Value)> {
    let found: Vec<_> = tree::files("dashboards", "json")
        .into_iter()
        .map(|file| {
            let value = serde_json::from_str(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            (file, value)
        })
        .collect();
    assert!(!found.is_empty(), "there are no dashboards");
    found
}

#[test]
fn every_metric_on_a_panel_is_registered() {
    let registered = registered();
    assert!(
        registered.len() > 5,
        "the sources register next to nothing: {registered:?}"
    );
    let mut unknown = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for expression in expressions(panel) {
                let strangers = metrics(expression)
                    .into_iter()
                    .filter(|metric| !is_registered(metric, &registered));
                unknown.extend(strangers.map(|metric| format!("{}: {}: {metric}", file.path, panel["title"])));
            }
        }
    }
    tree::none("Panels show metrics that no source registers:", &unknown);
}

#[test]
fn every_metric_in_the_documents_is_registered() {
    let registered = registered();
    let mut unknown = Vec::new();
    for document in tree::files(".", "md") {
        for (index, line) in document.text.lines().enumerate() {
            for quote in line.split('`').skip(1).step_by(2) {
                let name = quote.split('{').next().unwrap_or_default();
                let is_name = name.starts_with("rotunda_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                // A crate's name in code (`rotunda_booking`) has no unit behind it.
                let endings = [
                    "_total",
                    "_seconds",
                    "_bytes",
                    "_ratio",
                    "_info",
                    "_requests",
                    "_limit",
                    "_index",
                    "_leader",
                    "_flight",
                ];
                if is_name && endings.iter().any(|ending| name.ends_with(ending)) && !is_registered(name, &registered) {
                    unknown.push(format!("{}:{}: {name}", document.path, index + 1));
                }
            }
        }
    }
    tree::none("Documents name metrics that no source registers:", &unknown);
}

#[test]
fn every_panel_says_what_it_shows_and_in_what_unit() {
    let mut silent = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard).into_iter().filter(|panel| panel["type"] != "row") {
            for field in ["/title", "/description", "/fieldConfig/defaults/unit"] {
                if panel.pointer(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                    silent.push(format!(
                        "{}: panel {} {}: no {field}",
                        file.path, panel["id"], panel["title"]
                    ));
                }
            }
            if panel.pointer("/datasource/uid").and_then(Value::as_str) != Some("${datasource}") {
                silent.push(format!(
                    "{}: {}: its data source is not a variable",
                    file.path, panel["title"]
                ));
            }
        }
    }
    tree::none("Panels that leave the reader alone:", &silent);
}

#[test]
fn counters_are_shown_as_rates() {
    let mut raw = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for expression in expressions(panel) {
                let counts = metrics(expression)
                    .iter()
                    .any(|name| name.ends_with("_total") || name.ends_with("_bucket"));
                if counts && !(expression.contains("rate(") || expression.contains("increase(")) {
                    raw.push(format!("{}: {}: {expression}", file.path, panel["title"]));
                }
            }
        }
    }
    tree::none("A counter by itself only says how long ago its process started:", &raw);
}

/// Prometheus itself reads every expression, as rules of a file that it would load.
#[test]
fn every_expression_is_promql() {
    let mut rules = String::from("groups:\n- name: panels\n  rules:\n");
    for (_, dashboard) in dashboards() {
        for expression in panels(&dashboard).into_iter().flat_map(expressions) {
            let expression = expression
                .replace("$__rate_interval", "5m")
                .replace("$job", ".*")
                .replace("$instance", ".*");
            rules.push_str(&format!(
                "  - record: panel:{}:read\n    expr: '{}'\n",
                rules.len(),
                expression.replace('\'', "''")
            ));
        }
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(rules.as_bytes()).unwrap();
    let output = match Command::new("promtool")
        .args(["check", "rules"])
        .arg(file.path())
        .output()
    {
        Ok(output) => output,
        Err(error) if std::env::var_os("CI").is_some() => panic!("promtool: {error}"),
        Err(error) => {
            eprintln!("NOT CHECKED: promtool does not run here ({error}); `.ci/setup promtool DIR` fetches it");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{rules}");
}
