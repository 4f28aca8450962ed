//! `rotunda-bench strangers`: a million addresses ask one router, whose limiter has to stay small.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rotunda_chaos::bench::strangers::{self, Strange};

use crate::Output;

#[derive(Args, Debug)]
pub(crate) struct StrangersArguments {
    /// Addresses, each of which asks once.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    addresses: usize,
    /// Connections that they come over.
    #[arg(long, value_name = "N", default_value_t = 64)]
    connections: usize,
    /// The quota of each. One that takes long to fill up again, as the default, keeps every caller in memory, up to the bound.
    #[arg(long, value_name = "COUNT/TIME", default_value = "20/1000s")]
    quota: String,
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

/// Measures it, and tells what it cost.
pub(crate) async fn strangers(arguments: &StrangersArguments) -> ExitCode {
    let strange = Strange {
        addresses: arguments.addresses,
        connections: arguments.connections,
        quota: arguments.quota.clone(),
        programs: arguments.bin_dir.clone(),
        place: arguments.data.clone(),
    };
    let outcome = match strangers::measure(&strange).await {
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
