//! `rotunda-bench peers`: PostgreSQL, Redis, etcd and Rotunda, one after the other.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rotunda_chaos::bench::peers;
use rotunda_chaos::bench::report::Comparison;
use rotunda_chaos::bench::run::{self, Plan, Way};
use rotunda_chaos::bench::shopper::Workload;

use crate::{Output, open_folder};

#[derive(Args, Debug)]
pub(crate) struct PeersArguments {
    /// Seconds that count, of each figure.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    seconds: u64,
    /// Where rotunda-node and rotunda-router are, where not beside this program.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Where all of them keep their data: the disk that is measured. A temporary folder where left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print what was measured.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Measures all of them and tells the ratios.
pub(crate) async fn peers(arguments: &PeersArguments) -> ExitCode {
    let folder = match open_folder(arguments.data.as_ref()) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    let span = Duration::from_secs(arguments.seconds.max(1));
    let (figures, missing) = peers::measure(folder.path(), span, |who| eprintln!("measuring {who}")).await;
    let mut own = Vec::new();
    for way in [Way::Http, Way::Grpc] {
        for workload in [Workload::Hot, Workload::Spread] {
            eprintln!("measuring Rotunda: {workload}, {way:?}");
            let plan = Plan::new(workload, way, span, arguments.bin_dir.clone());
            match run::run(&plan).await {
                Ok(outcome) => own.push((plan, outcome)),
                Err(error) => {
                    eprintln!("error: {error}");
                    return ExitCode::from(2);
                }
            }
        }
    }
    let compared = Comparison { figures, missing, own };
    match arguments.output {
        Output::Table => print!("{}", compared.text()),
        Output::Json => println!("{:#}", compared.as_json()),
    }
    if compared.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
