//! `rotunda import FILE`: the catalogue into a running cluster.
//!
//! The file goes to the router as it is: there is one validator, and it is the router's. An import that broke off is
//! simply sent again.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use crate::args::{ImportArguments, Output};
use crate::door::Door;
use crate::failure::Failure;
use crate::paint;

/// Runs the command.
pub(crate) async fn run(arguments: ImportArguments) -> Result<(), Failure> {
    let catalogue = read(&arguments.file)?;
    let door = Door::from_arguments(&arguments.door)?;
    let report = door
        .import(catalogue)
        .await
        .map_err(|error| error.into_failure(&door, &format!("importing {}", arguments.file.display())))?;
    match arguments.output {
        Output::Json => println!("{report:#}"),
        Output::Table => println!("{}", table(&report)),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| {
        Failure::failed(format!("cannot read {}: {error}", path.display()))
            .next("rotunda import FILE, with a catalogue in YAML or JSON (deploy/config/meridian.yaml is one)")
    })
}

/// One line per venue, from the router's report.
fn table(report: &Value) -> comfy_table::Table {
    let mut table = paint::table(["venue", "shard", "changed", "slots added", "slots removed", "revision"]);
    for venue in report.get("venues").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| match venue.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        };
        let changed = match venue.get("changed").and_then(Value::as_bool) {
            Some(true) => "yes",
            Some(false) => "no, as it was",
            None => "-",
        };
        table.add_row([
            field("id"),
            field("shard"),
            changed.to_owned(),
            field("slots_added"),
            field("slots_removed"),
            field("revision"),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_of_the_same_file_says_that_nothing_changed() {
        let report = serde_json::json!({ "venues": [
            { "id": "lisbon-tides", "shard": 3, "changed": false, "slots_added": 0, "slots_removed": 0, "revision": "1f" }
        ] });
        let text = table(&report).to_string();
        assert!(
            text.contains("lisbon-tides") && text.contains("no, as it was"),
            "{text}"
        );
    }
}
