//! What a museum might otherwise pick, on the same machine and in the same run, each at its best honest setting: PostgreSQL
//! and Redis under the load generators that come with them (`pgbench`, `redis-benchmark`, both in C and light), etcd under
//! a small client of our own, for Debian has none.
//!
//! None of them does what Rotunda does: see [`Figure::promise`] with each figure.

mod etcd;
mod postgres;
mod redis;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;

/// One measurement of one peer.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// `PostgreSQL 15.18`.
    pub who: String,
    /// What an answer means there.
    pub promise: &'static str,
    /// What was asked.
    pub work: String,
    /// How many asked at once.
    pub clients: usize,
    /// Done a second.
    pub rate: f64,
    /// Half of the answers took no longer, in microseconds.
    pub p50_us: Option<u64>,
    /// All but one of a hundred took no longer.
    pub p99_us: Option<u64>,
}

/// A peer that was not measured, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Which.
    pub who: &'static str,
    /// Why, with what to do.
    pub why: String,
}

/// Measures all of them, one after the other, each in a folder of its own under `place`, `span` for each figure.
pub async fn measure(place: &Path, span: Duration, progress: impl Fn(&str)) -> (Vec<Figure>, Vec<Missing>) {
    let (mut figures, mut missing) = (Vec::new(), Vec::new());
    progress("PostgreSQL");
    match postgres::measure(&place.join("postgres"), span) {
        Ok(mut measured) => figures.append(&mut measured),
        Err(why) => missing.push(Missing { who: "PostgreSQL", why }),
    }
    progress("Redis");
    match redis::measure(&place.join("redis"), span) {
        Ok(mut measured) => figures.append(&mut measured),
        Err(why) => missing.push(Missing { who: "Redis", why }),
    }
    progress("etcd");
    match etcd::measure(&place.join("etcd"), span).await {
        Ok(mut measured) => figures.append(&mut measured),
        Err(why) => missing.push(Missing { who: "etcd", why }),
    }
    (figures, missing)
}

/// Runs a program to its end and gives what it printed.
fn output(command: &mut Command) -> Result<String, String> {
    let name = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name}: {error}; `make bench-peers` installs what is missing"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}: {}", said.trim()))
}

/// As [`output`], of a program that says what is wanted on its standard error.
pub(super) fn said(command: &mut Command) -> Result<String, String> {
    let name = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name}: {error}; `make bench-peers` installs what is missing"))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn seconds(span: Duration) -> String {
    span.as_secs().max(1).to_string()
}
