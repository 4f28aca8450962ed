//! `rotunda-bench look`: ten thousand visitors look at one museum's month, at the router and at nginx.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rotunda_chaos::bench::look::{self, Looking};

use crate::Output;

#[derive(Args, Debug)]
pub(crate) struct LookArguments {
    /// Connections, each of which asks again when it has its answer.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// Addresses that the requests come from, in turn.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    visitors: usize,
    /// Days of one answer.
    #[arg(long, value_name = "N", default_value_t = 31)]
    days: u16,
    /// Seconds that do not count.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    warm_up: u64,
    /// Seconds that count, of each server.
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

/// Measures both and tells the ratio.
pub(crate) async fn look(arguments: &LookArguments) -> ExitCode {
    let looking = Looking {
        connections: arguments.connections,
        visitors: arguments.visitors,
        days: arguments.days,
        warm_up: Duration::from_secs(arguments.warm_up),
        span: Duration::from_secs(arguments.seconds.max(1)),
        programs: arguments.bin_dir.clone(),
        place: arguments.data.clone(),
    };
    let outcome = match look::measure(&looking, |what| eprintln!("measuring {what}")).await {
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
