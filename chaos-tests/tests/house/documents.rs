//! The documents name files and routes; both have to exist.

use std::collections::BTreeSet;
use std::fs;

use crate::tree;

/// The stretches between backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|quote| (index + 1, quote)));
        }
    }
    found
}

/// Whether a quotation means a file of the repository: it has a folder, an ending that we use, and nothing of a pattern.
fn is_path(quote: &str) -> bool {
    let endings = [".rs", ".md", ".toml", ".yaml", ".yml", ".proto", ".json"];
    quote.contains('/')
        && endings.iter().any(|ending| quote.ends_with(ending))
        && quote.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !quote.starts_with('/')
}

#[test]
fn every_file_that_a_document_names_exists() {
    let root = tree::root();
    let mut missing = Vec::new();
    for document in tree::files(".", "md") {
        let folder = root.join(&document.path).parent().expect("a folder").to_path_buf();
        let links = document.text.lines().enumerate().flat_map(|(index, line)| {
            line.split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
                .map(move |link| (index + 1, link))
        });
        let links = links.filter(|(_, link)| !link.contains("://") && !link.starts_with('#'));
        let links = links.map(|(number, link)| (number, link.split('#').next().unwrap_or_default()));
        for (number, path) in quoted(&document.text)
            .into_iter()
            .filter(|(_, quote)| is_path(quote))
            .chain(links)
        {
            if !root.join(path).exists() && !folder.join(path).exists() {
                missing.push(format!("{}:{number}: {path}", document.path));
            }
        }
    }
    tree::none("Documents name files that are not there:", &missing);
}

/// `/v1/bookings/{id}/confirm` with whatever stands in braces made alike; a query is cut off.
fn shape(route: &str) -> String {
    let path = route
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', ',', ';', ':', ')']);
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_that_a_document_names_exists() {
    let mut served = BTreeSet::new();
    for file in tree::files("router/src", "rs") {
        for (_, line) in file.code() {
            served.extend(
                line.split('"')
                    .skip(1)
                    .step_by(2)
                    .filter(|text| text.starts_with("/v1/"))
                    .map(shape),
            );
        }
    }
    assert!(
        served.contains("/v1/bookings"),
        "the routes were not found in the router's sources: {served:?}"
    );

    let mut missing = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "deploy/README.md",
        "dashboards/README.md",
    ] {
        let text = fs::read_to_string(tree::root().join(document)).expect(document);
        for (index, line) in text.lines().enumerate() {
            // A route is named by its method: `POST /v1/bookings`.
            for method in ["GET ", "POST ", "PUT ", "DELETE "] {
                for (at, _) in line.match_indices(&format!("{method}/v1/")) {
                    let route = line[at + method.len()..]
                        .split(['`', ' ', '"', '\''])
                        .next()
                        .unwrap_or_default();
                    if !served.contains(&shape(route)) {
                        missing.push(format!("{document}:{}: {method}{route}", index + 1));
                    }
                }
            }
        }
    }
    tree::none("Documents name routes that the router does not serve:", &missing);
}
