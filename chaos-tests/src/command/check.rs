//! `rotunda-chaos check`: audits a saved history, without a cluster.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use rotunda_chaos::history::reader::{Saved, Unreadable};
use rotunda_chaos::invariants::{self, Verdict, is_sound};
use rotunda_chaos::report::html;
use serde_json::json;

use super::{Output, table, verdicts};

#[derive(Args, Debug)]
#[command(
    after_help = "The format is described in chaos-tests/HISTORY.md.\n\nExit codes: 0 sound, 1 violated, 2 unreadable or wrong usage."
)]
pub(crate) struct CheckArguments {
    /// The history, JSON lines; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Also write a page about the run, in one file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Audit a history that was cut off as far as it goes.
    #[arg(long)]
    unfinished: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let name = arguments.file.display().to_string();
    let audited = match read(&arguments.file, arguments.unfinished) {
        Ok(Ok(saved)) => invariants::check(&saved).map(|verdicts| (saved, verdicts)),
        Ok(Err(unreadable)) => Err(unreadable),
        Err(error) => return failed(&format!("{name}: {error}"), "check the name and the rights of the file"),
    };
    let (saved, verdicts) = match audited {
        Ok(audited) => audited,
        Err(unreadable) => {
            return failed(
                &format!("{name}: {unreadable}"),
                "write the history anew; chaos-tests/HISTORY.md describes the format",
            );
        }
    };
    if let Some(path) = &arguments.html
        && let Err(error) = std::fs::write(path, html::page(&saved, &verdicts))
    {
        let message = format!("{}: {error}", path.display());
        return failed(&message, "name a file that can be written");
    }
    let text = match arguments.output {
        Output::Table => table::text(&saved, &verdicts),
        Output::Json => format!("{:#}\n", as_json(&saved, &verdicts)),
    };
    // Whoever read the pipe may have gone; the exit code still says it.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if is_sound(&verdicts) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn read(path: &Path, unfinished: bool) -> io::Result<Result<Saved, Unreadable>> {
    fn all(input: impl io::BufRead, unfinished: bool) -> Result<Saved, Unreadable> {
        if unfinished {
            Saved::read_unfinished(input)
        } else {
            Saved::read(input)
        }
    }
    if path == Path::new("-") {
        return Ok(all(io::stdin().lock(), unfinished));
    }
    Ok(all(BufReader::with_capacity(1 << 20, File::open(path)?), unfinished))
}

fn failed(message: &str, next: &str) -> ExitCode {
    eprintln!("error: {message}\n  next: {next}");
    ExitCode::from(2)
}

fn as_json(saved: &Saved, verdicts: &[Verdict]) -> serde_json::Value {
    json!({
        "header": saved.header,
        "sound": is_sound(verdicts),
        "operations": saved.operations.len(),
        "log_entries": saved.entries.len(),
        "lines_left_out": saved.left_out,
        "invariants": verdicts::as_json(verdicts),
    })
}
