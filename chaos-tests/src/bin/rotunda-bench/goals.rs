//! `rotunda-bench goals`: the goals for speed, beside what is reached.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rotunda_chaos::bench::goals::{self, Goal};

use crate::{Output, open_folder};

#[derive(Args, Debug)]
pub(crate) struct GoalsArguments {
    /// These goals and no others: s1,s4
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', value_name = "GOALS")]
    only: Vec<Goal>,
    /// Seconds that count, of each rate.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Bookings of S7.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    bookings: u64,
    /// Minutes into which S9 presses twelve hours.
    #[arg(long, value_name = "MINUTES", default_value_t = 6)]
    day: u64,
    /// Visitors a second at the peak of S9.
    #[arg(long, value_name = "N", default_value_t = 1_000.0)]
    peak: f64,
    /// Of S6: how many arrive for each one in the file (3,000 a second at the peak).
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    scale: f64,
    /// Where rotunda-node and rotunda-router are, where not beside this program.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Where all of it keeps its data: the disk that is measured. A temporary folder where left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print what was measured.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Measures the goals that are wanted.
pub(crate) async fn goals(arguments: &GoalsArguments) -> ExitCode {
    let folder = match open_folder(arguments.data.as_ref()) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    let options = goals::Options {
        only: arguments.only.iter().copied().collect::<BTreeSet<_>>(),
        span: Duration::from_secs(arguments.seconds.max(1)),
        bookings: arguments.bookings,
        day: Duration::from_secs(60 * arguments.day.max(1)),
        peak: arguments.peak,
        scale: arguments.scale,
        place: folder.path().to_owned(),
        programs: arguments.bin_dir.clone(),
    };
    let report = match goals::measure(&options, |what| eprintln!("measuring {what}")).await {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match arguments.output {
        Output::Table => print!("{}", report.text()),
        Output::Json => println!("{:#}", serde_json::json!(report)),
    }
    if report.unsound.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
