//! The Grafana dashboards, made from the constants that register the metrics (`dashboards/metrics`): a panel cannot name a
//! metric that is not there, and a counter gets onto a panel as a rate only. `make dashboards` writes them, `make check`
//! holds the committed files against what this makes.
//!
//! [`expression`] builds PromQL, [`board`] lays panels out, `boards/` says what is on them, a file a dashboard. Left out: the
//! rules and alerts, which are written by hand (`deploy/prometheus/rules`) and held against the same constants by the house
//! tests.

pub mod board;
pub mod expression;

mod boards;

pub use boards::all;
