//! `rotunda-dashboards` writes the dashboards into a folder, or with `--check` says which of those there are not what it would
//! write. Called by `make dashboards` and `make check`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

/// Writes the Grafana dashboards.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder.
    #[arg(default_value = "dashboards")]
    folder: PathBuf,
    /// Write nothing; fail where a file is not what would be written.
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut stale = 0;
    for board in rotunda_dashboards::all() {
        let path = arguments.folder.join(format!("{}.json", board.name));
        let text = board.text()?;
        if arguments.check {
            if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                eprintln!("{} is not what its source says: run `make dashboards`", path.display());
                stale += 1;
            }
        } else {
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    Ok(if stale == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
