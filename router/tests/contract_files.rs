//! The contract that is committed beside the code, `openapi.json` and `PROBLEMS.md`, is what the code says: a change of the
//! door shows in a diff that a reviewer reads. `make contract-files` writes both anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use rotunda_router::api;
use serde_json::Value;

fn holds(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed != made {
        let line = committed
            .lines()
            .zip(made.lines())
            .position(|(committed, made)| committed != made);
        panic!(
            "router/{name} is not what the code says (first difference in line {}). Run `make contract-files` and read the \
             difference.",
            line.unwrap_or_else(|| committed.lines().count().min(made.lines().count())) + 1
        );
    }
}

#[test]
fn the_openapi_document_is_the_codes() {
    holds("openapi.json", &(api::openapi() + "\n"));
}

#[test]
fn the_page_of_problems_is_the_codes() {
    holds("PROBLEMS.md", &api::problems_page());
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_who_may() {
    let document: Value = serde_json::from_str(&api::openapi()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{method} {path}: the name {name} is taken");
            // What utoipa derives is the name of a function, which says nothing by itself.
            assert!(
                name.chars().any(char::is_uppercase) || name == "admit",
                "{method} {path} has no row in NAMES: {name}"
            );
            assert!(operation["x-roles"].is_array(), "{method} {path}");
        }
    }
    // What links lead to is there.
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
    {
        for response in operation["responses"].as_object().unwrap().values() {
            for link in response["links"]
                .as_object()
                .into_iter()
                .flat_map(|links| links.values())
            {
                assert!(names.contains(link["operationId"].as_str().unwrap()), "{link}");
            }
        }
    }
}
