//! How fast the checkers are. Prints and asserts no duration:
//! `cargo test -p rotunda-chaos --test checker_speed -- --ignored --nocapture`; `OPERATIONS=n` for another number,
//! `KEEP=file` to have the history afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::BufReader;
use std::time::Instant;

use rotunda_chaos::history::reader::Saved;
use rotunda_chaos::invariants::{Evidence, Ruling, check_all, registry};
use rotunda_chaos::model_cluster::{Plan, history};
use rotunda_chaos::report::tell;

#[test]
#[ignore = "a measurement"]
fn a_million_operations() {
    let operations = std::env::var("OPERATIONS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(1_000_000);
    let clock = Instant::now();
    let made = history(Plan {
        operations,
        clients: 200,
        shards: 8,
        fault_every_ms: 10_000,
        ..Plan::default()
    });
    tell(format!(
        "{:7.2} s to make {} operations",
        clock.elapsed().as_secs_f64(),
        made.operations.len()
    ));
    let clock = Instant::now();
    let bytes = made.write(Vec::new()).unwrap();
    drop(made);
    if let Ok(file) = std::env::var("KEEP") {
        std::fs::write(file, &bytes).unwrap();
    }
    tell(format!(
        "{:7.2} s to write {} MiB",
        clock.elapsed().as_secs_f64(),
        bytes.len() >> 20
    ));
    let whole = Instant::now();
    let clock = Instant::now();
    let saved = Saved::read(BufReader::new(bytes.as_slice())).unwrap();
    tell(format!(
        "{:7.2} s to read {} lines",
        clock.elapsed().as_secs_f64(),
        saved.lines
    ));
    drop(bytes);
    let clock = Instant::now();
    let evidence = Evidence::new(&saved).unwrap();
    tell(format!(
        "{:7.2} s to decode and replay the logs",
        clock.elapsed().as_secs_f64()
    ));
    let clock = Instant::now();
    let verdicts = check_all(&evidence, &registry());
    tell(format!(
        "{:7.2} s for all {} invariants",
        clock.elapsed().as_secs_f64(),
        verdicts.len()
    ));
    tell(format!(
        "{:7.2} s from the file to the verdicts; one invariant after the other:",
        whole.elapsed().as_secs_f64()
    ));
    for invariant in registry() {
        let clock = Instant::now();
        let verdict = check_all(&evidence, &[invariant]).remove(0);
        let seconds = clock.elapsed().as_secs_f64();
        tell(format!(
            "{seconds:7.2} s {:12} {} {:?}",
            verdict.id,
            verdict.ruling(),
            verdict.looked_at
        ));
        assert_ne!(verdict.ruling(), Ruling::Violated, "{verdict:#?}");
    }
}
