//! `rotunda-bench streams`: five thousand event streams are open on one router while places are sold.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rotunda_chaos::bench::streams::{self, Onlooking};

use crate::Output;

#[derive(Args, Debug)]
pub(crate) struct StreamsArguments {
    /// Streams, each on a connection and from an address of its own.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    streams: usize,
    /// Readers beside them that take nothing and have to be dropped.
    #[arg(long, value_name = "N", default_value_t = 50)]
    slow: usize,
    /// Sales a second.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rate: u32,
    /// Seconds in which it is sold.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    seconds: u64,
    /// Where rotunda-node and rotunda-router are, where not beside this program.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Where data and logs go. A temporary folder where left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print what was measured.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Opens them, sells, and tells what each saw and what it cost.
pub(crate) async fn streams(arguments: &StreamsArguments) -> ExitCode {
    let onlooking = Onlooking {
        streams: arguments.streams,
        slow: arguments.slow,
        rate: arguments.rate.max(1),
        span: Duration::from_secs(arguments.seconds.max(1)),
        programs: arguments.bin_dir.clone(),
        place: arguments.data.clone(),
    };
    let outcome = match streams::measure(&onlooking, |what| eprintln!("measuring: {what}")).await {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match arguments.output {
        Output::Table => print!("{}", outcome.text()),
        Output::Json => println!("{:#}", serde_json::json!(outcome)),
    }
    if outcome.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
