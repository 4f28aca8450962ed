//! Each route stands in the golden scripts twice at least: answered as asked, and turned away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rotunda_router::api;

/// What no script can show, with the reason.
const EXCEPT: &[(&str, bool, &str)] = &[
    ("GET /problems", false, "nothing about it can be wrong"),
    (
        "GET /v1/venues/{venue}/availability/stream",
        true,
        "its answer does not end; live_streams.rs reads from it",
    ),
    (
        "GET /problems",
        true,
        "its answer is router/PROBLEMS.md, held by contract_files.rs",
    ),
];

/// Whether the path is one of the template's.
fn fits(template: &str, path: &str) -> bool {
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted
            .iter()
            .zip(&given)
            .all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

/// Method, path and status of each exchange in a script.
fn exchanges(text: &str) -> impl Iterator<Item = (&str, &str, u16)> {
    text.split("\n===\n").filter_map(|exchange| {
        let (asked, answer) = exchange.split_once("\n---\n")?;
        let line = asked
            .lines()
            .find(|line| !line.is_empty() && !line.starts_with(['#', '>']))?;
        let (method, target) = line.split_once(' ')?;
        let path = target.split('?').next()?;
        Some((method, path, answer.split(' ').next()?.parse().ok()?))
    })
}

#[test]
fn every_route_is_answered_and_refused_in_a_script() {
    let document: serde_json::Value = serde_json::from_str(&api::openapi()).unwrap();
    let items = document["paths"].as_object().unwrap().iter();
    let routes: Vec<(String, String)> = items
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let mut seen: BTreeMap<&(String, String), BTreeSet<bool>> = BTreeMap::new();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    for file in std::fs::read_dir(scripts).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (method, path, status) in exchanges(&text) {
            // A word in its place is more than a part that may be anything.
            let route = routes
                .iter()
                .filter(|(known, template)| known == method && fits(template, path))
                .min_by_key(|(_, template)| template.matches('{').count());
            if let Some(route) = route {
                seen.entry(route).or_default().insert(status < 400);
            }
        }
    }
    let mut missing = Vec::new();
    for route in &routes {
        for happy in [true, false] {
            let name = format!("{} {}", route.0, route.1);
            let excepted = EXCEPT.iter().any(|(known, which, _)| *known == name && *which == happy);
            if !excepted && !seen.get(route).is_some_and(|seen| seen.contains(&happy)) {
                missing.push(format!("{name} {}", if happy { "answered" } else { "refused" }));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "in no script under router/testscripts: {missing:#?}"
    );
}
