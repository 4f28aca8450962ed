//! Rules and alerts: they ask for what is there, each alert can be acted on and has been seen to fire and to stay silent, and
//! Prometheus and Alertmanager take the files as they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::tree::{self, File};
use crate::{outside_tools, promql};

const RULES: &str = "deploy/prometheus/rules";
const RUNBOOKS: &str = "deploy/runbooks";

/// What each runbook page tells, in this order.
const SECTIONS: &[&str] = &[
    "## What it means",
    "## How to see it",
    "## What to do",
    "## How to know it is over",
];

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    alert_rule_test: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    exp_labels: BTreeMap<String, String>,
}

fn parsed<T: for<'a> Deserialize<'a>>(file: &File) -> T {
    serde_saphyr::from_str(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

fn is_test(file: &File) -> bool {
    file.path.starts_with("deploy/prometheus/rules/tests/")
}

fn rules() -> Vec<(String, Rule)> {
    let files = tree::files(RULES, "yml");
    let found: Vec<_> = files
        .iter()
        .filter(|file| !is_test(file))
        .flat_map(|file| {
            let rules = parsed::<RuleFile>(file)
                .groups
                .into_iter()
                .flat_map(|group| group.rules);
            rules.map(|rule| (file.path.clone(), rule)).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.len() > 20, "the rules were not found below {RULES}");
    found
}

fn alerts() -> Vec<(String, Rule)> {
    rules()
        .into_iter()
        .filter_map(|(_, rule)| Some((rule.alert.clone()?, rule)))
        .collect()
}

/// Series that rules make.
pub(crate) fn recorded() -> BTreeSet<String> {
    rules().into_iter().filter_map(|(_, rule)| rule.record).collect()
}

fn files(paths: impl Fn(&File) -> bool) -> Vec<String> {
    let files = tree::files(RULES, "yml").into_iter();
    files.filter(paths).map(|file| file.path).collect()
}

#[test]
fn every_rule_asks_for_what_is_there() {
    let recorded = recorded();
    let mut wrong = Vec::new();
    for (path, rule) in rules() {
        let name = rule.alert.as_ref().or(rule.record.as_ref()).expect("a name");
        let complaints = promql::complaints(&rule.expr, &recorded).into_iter();
        wrong.extend(complaints.map(|complaint| format!("{path}: {name}: {complaint}")));
        if let Some(record) = &rule.record
            && record.split(':').count() != 3
        {
            wrong.push(format!("{path}: {record} is not called level:metric:operation"));
        }
    }
    tree::none("Rules that would never say anything:", &wrong);
}

#[test]
fn every_alert_says_what_it_is_and_what_to_do() {
    let mut silent = Vec::new();
    for (name, rule) in alerts() {
        for field in ["summary", "description"] {
            if rule.annotations.get(field).is_none_or(String::is_empty) {
                silent.push(format!("{name}: no {field}"));
            }
        }
        let page = format!("{RUNBOOKS}/{name}.md");
        if rule.annotations.get("runbook_url") != Some(&page) {
            silent.push(format!("{name}: its runbook_url is not {page}"));
        }
        if !matches!(
            rule.labels.get("severity").map(String::as_str),
            Some("critical" | "warning")
        ) {
            silent.push(format!("{name}: its severity is neither critical nor warning"));
        }
    }
    tree::none("Alerts that leave the reader alone:", &silent);
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let names: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    let index = std::fs::read_to_string(tree::root().join(RUNBOOKS).join("README.md")).expect("the index of runbooks");
    let mut wrong = Vec::new();
    let mut pages = BTreeSet::new();
    for page in tree::files(RUNBOOKS, "md") {
        let name = page.path[RUNBOOKS.len() + 1..].trim_end_matches(".md").to_owned();
        if name == "README" {
            continue;
        }
        let sections: Vec<&str> = page.text.lines().filter(|line| line.starts_with("## ")).collect();
        if sections != SECTIONS {
            wrong.push(format!("{}: its sections are {sections:?}", page.path));
        }
        if !names.contains(&name) {
            wrong.push(format!("{}: no alert is called so", page.path));
        }
        if !index.contains(&format!("[{name}]({name}.md)")) {
            wrong.push(format!("{}: the index leaves it out", page.path));
        }
        pages.insert(name);
    }
    wrong.extend(names.difference(&pages).map(|name| format!("{name} has no page")));
    tree::none("Runbooks and alerts do not match:", &wrong);
}

/// Commands in fenced blocks of the runbooks are ones that the command line takes.
#[test]
fn every_command_in_a_runbook_exists() {
    let arguments = std::fs::read_to_string(tree::root().join("deploy/cli/src/args.rs")).unwrap();
    let enumerated = arguments
        .split("pub(crate) enum Command {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next());
    let known: BTreeSet<String> = enumerated
        .expect("the commands")
        .lines()
        .filter_map(|line| line.trim().split_once('(').filter(|_| !line.contains("//")))
        .map(|(variant, _)| variant.to_lowercase())
        .collect();
    assert!(known.contains("status"), "the commands were not found: {known:?}");
    let mut unknown = Vec::new();
    for page in tree::files(RUNBOOKS, "md") {
        for line in page.text.lines().map(str::trim) {
            let Some(rest) = line.strip_prefix("rotunda ") else {
                continue;
            };
            let command = rest.split_whitespace().next().unwrap_or_default();
            if !known.contains(command) {
                unknown.push(format!("{}: {line}", page.path));
            }
        }
    }
    tree::none("Runbooks with commands that do not exist:", &unknown);
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_stays_silent() {
    let expected: Vec<Expected> = tree::files(RULES, "yml")
        .iter()
        .filter(|file| is_test(file))
        .flat_map(|file| parsed::<TestFile>(file).tests)
        .flat_map(|case| case.alert_rule_test)
        .collect();
    let mut untried = Vec::new();
    for (name, rule) in alerts() {
        let mut cases = expected.iter().filter(|expected| expected.alertname == name);
        // An alert may have several rules: each is told apart by its labels.
        let fires = cases.clone().flat_map(|case| &case.exp_alerts).any(|alert| {
            rule.labels
                .iter()
                .all(|(label, value)| alert.exp_labels.get(label) == Some(value))
        });
        if !fires {
            untried.push(format!("{name} {:?}: no case fires", rule.labels));
        }
        if !cases.any(|case| case.exp_alerts.is_empty()) {
            untried.push(format!("{name}: no case stays silent"));
        }
    }
    tree::none("Alerts that nobody has tried:", &untried);
}

#[test]
fn prometheus_takes_the_rules_and_their_cases() {
    let rules = files(|file| !is_test(file));
    outside_tools::is_content(
        "promtool",
        ["check", "rules"].into_iter().chain(rules.iter().map(String::as_str)),
    );
    let tests = files(is_test);
    outside_tools::is_content(
        "promtool",
        ["test", "rules"].into_iter().chain(tests.iter().map(String::as_str)),
    );
    outside_tools::is_content("promtool", ["check", "config", "deploy/prometheus/prometheus.yml"]);
}

#[test]
fn alertmanager_takes_its_configuration_and_wakes_somebody_for_what_is_critical() {
    const CONFIGURATION: &str = "deploy/alertmanager/alertmanager.yml";
    outside_tools::is_content("amtool", ["check-config", CONFIGURATION]);
    for (severity, receiver) in [("critical", "page"), ("warning", "ticket")] {
        let file = format!("--config.file={CONFIGURATION}");
        let label = format!("severity={severity}");
        let said = outside_tools::is_content("amtool", ["config", "routes", "test", &file, &label]);
        if let Some(said) = said {
            // Behind it may stand what amtool thinks of the settings of the machine.
            assert_eq!(said.lines().next().map(str::trim), Some(receiver), "{severity}");
        }
    }
}
