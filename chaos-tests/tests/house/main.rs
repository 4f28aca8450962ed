//! Holds the house in order: what may depend on what, what may be named where, and that the documents tell the truth.
//! Reads the sources and asks `cargo metadata`; starts nothing. `make check` runs it by itself, `make test` with the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's panic is its report")]

mod crate_edges;
mod dashboards;
mod deployment;
mod documents;
mod metrics;
mod names;
mod outside_tools;
mod promql;
mod rules;
mod tree;
