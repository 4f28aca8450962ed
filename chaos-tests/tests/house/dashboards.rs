//! The dashboards are what their source makes of the constants, and each panel tells its reader what it shows.

use std::collections::BTreeSet;
use std::io::Write as _;

use rotunda_metrics::Kind;
use serde_json::Value;

use crate::tree::{self, File};
use crate::{outside_tools, promql, rules};

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
fn the_committed_dashboards_are_what_their_source_says() {
    let made: Vec<(String, String)> = rotunda_dashboards::all()
        .iter()
        .map(|board| (format!("dashboards/{}.json", board.name), board.text().unwrap()))
        .collect();
    let mut stale = Vec::new();
    for (path, text) in &made {
        if std::fs::read_to_string(tree::root().join(path)).ok().as_ref() != Some(text) {
            stale.push(path.clone());
        }
    }
    let others = tree::files("dashboards", "json").into_iter().map(|file| file.path);
    stale.extend(others.filter(|path| made.iter().all(|(made, _)| made != path)));
    tree::none("Run `make dashboards`, and remove what it does not write:", &stale);
}

#[test]
fn every_expression_on_a_panel_asks_for_what_is_there() {
    let recorded = rules::recorded();
    let mut wrong = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for expression in expressions(panel) {
                let complaints = promql::complaints(expression, &recorded).into_iter();
                wrong.extend(complaints.map(|complaint| format!("{}: {}: {complaint}", file.path, panel["title"])));
            }
        }
    }
    tree::none("Panels that show nothing or nonsense:", &wrong);
}

#[test]
fn counters_follow_the_width_of_their_panel() {
    let mut fixed = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for expression in expressions(panel) {
                let Ok(asked) = promql::read(expression) else { continue };
                let counts = asked.selectors.iter().filter(|selector| {
                    promql::metric_of(&selector.name).is_some_and(|metric| metric.kind != Kind::Gauge)
                });
                let not_so = counts.filter(|selector| selector.range != Some(promql::RATE_INTERVAL));
                fixed.extend(not_so.map(|selector| format!("{}: {}: {}", file.path, panel["title"], selector.name)));
            }
        }
    }
    tree::none("Panels whose rates are not over $__rate_interval:", &fixed);
}

#[test]
fn every_panel_asks_for_the_chosen_processes() {
    let mut everywhere = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for expression in expressions(panel) {
                let Ok(asked) = promql::read(expression) else { continue };
                for selector in asked.selectors {
                    // A recorded series has lost what its rule summed over.
                    let needed: &[&str] = if selector.name.contains(':') {
                        &["job"]
                    } else {
                        &["job", "instance"]
                    };
                    if !needed.iter().all(|label| selector.labels.contains(*label)) {
                        everywhere.push(format!("{}: {}: {}", file.path, panel["title"], selector.name));
                    }
                }
            }
        }
    }
    tree::none("Panels that leave the variables `job` and `instance` out:", &everywhere);
}

#[test]
fn every_metric_in_the_documents_is_there() {
    let recorded = rules::recorded();
    let mut unknown = Vec::new();
    for document in tree::files(".", "md") {
        for (index, line) in document.text.lines().enumerate() {
            for quote in line.split('`').skip(1).step_by(2) {
                let name = quote.split('{').next().unwrap_or_default();
                let is_name = |name: &str| {
                    name.chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
                };
                // A crate's name in code (`rotunda_booking`) is no metric's.
                let is_crate = [
                    "rotunda_booking",
                    "rotunda_protocol",
                    "rotunda_node",
                    "rotunda_raft_storage",
                ]
                .contains(&name);
                let is_series = !name.contains("::") && (name.starts_with("rotunda_") || name.contains(":rotunda_"));
                if is_series && is_name(name) && !is_crate {
                    let is_there = recorded.contains(name)
                        || promql::metric_of(name).is_some()
                        || rotunda_metrics::all().iter().any(|metric| metric.name == name);
                    if !is_there {
                        unknown.push(format!("{}:{}: {name}", document.path, index + 1));
                    }
                }
            }
        }
    }
    tree::none("Documents name metrics that are not there:", &unknown);
}

#[test]
fn every_panel_says_what_it_shows_and_in_what_unit() {
    let mut silent = Vec::new();
    for (file, dashboard) in dashboards() {
        let mut titles = BTreeSet::new();
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
            if !titles.insert(panel["title"].to_string()) {
                silent.push(format!("{}: two panels are called {}", file.path, panel["title"]));
            }
        }
    }
    tree::none("Panels that leave the reader alone:", &silent);
}

/// Prometheus itself reads every expression too, as rules of a file that it would load.
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
    outside_tools::is_content(
        "promtool",
        ["check".as_ref(), "rules".as_ref(), file.path().as_os_str()],
    );
}
