//! `rotunda-bench run`: one workload, a few times.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rotunda_chaos::bench::report;
use rotunda_chaos::bench::run::{self, Plan, Way};
use rotunda_chaos::bench::shopper::Workload;
use rotunda_chaos::bench::{onsale, page};

use crate::Output;

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// What clients do.
    #[arg(value_enum)]
    workload: Workload,
    /// How they buy.
    #[arg(long, value_enum, default_value_t = Way::Http)]
    door: Way,
    /// Clients at once: connections by HTTP, commands in flight by gRPC [default: 256 by HTTP and 8192 of `onsale`, 2048 by gRPC].
    #[arg(long, value_name = "N")]
    clients: Option<usize>,
    /// Streams to each node that gRPC's clients share [default: 4].
    #[arg(long, value_name = "N")]
    streams: Option<usize>,
    /// Shards of the cluster [default: 4].
    #[arg(long, value_name = "N")]
    shards: Option<u64>,
    /// Seconds that do not count [default: 3, and none of `sellout` and `onsale`].
    #[arg(long, value_name = "SECONDS")]
    warm_up: Option<u64>,
    /// Seconds that count.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    seconds: u64,
    /// Steps a second at random times, instead of each client's next one when it has its answer.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Of `onsale`: how many arrive for each one in the file (3,000 a second at the peak).
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    scale: f64,
    /// Of `onsale`: the minute of the opening alone.
    #[arg(long)]
    rush: bool,
    /// Runs, each on a fresh cluster; the median is told.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// More flags for each node, in one word.
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    node_flags: String,
    /// More flags for the router, in one word.
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    router_flags: String,
    /// No TLS between the processes: what it costs, or with programs that are too old for it.
    #[arg(long)]
    plain_inside: bool,
    /// Where rotunda-node and rotunda-router are, where not beside this program.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Where data and logs go: the disk that is measured. A temporary folder where left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also write a page with rate and latency over time, in one file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How to print what was measured.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl RunArguments {
    fn plan(&self) -> Plan {
        let span = Duration::from_secs(self.seconds);
        let plan = Plan::new(self.workload, self.door, span, self.bin_dir.clone());
        let plan = Plan {
            clients: self.clients.unwrap_or(plan.clients),
            streams: self.streams.unwrap_or(plan.streams),
            shards: self.shards.unwrap_or(plan.shards),
            rate: self.rate,
            node_flags: self.node_flags.clone(),
            router_flags: self.router_flags.clone(),
            plain_inside: self.plain_inside,
            place: self.data.clone(),
            ..plan
        };
        if plan.workload != Workload::Onsale || self.rate.is_some() {
            return Plan {
                warm_up: self.warm_up.map_or(plan.warm_up, Duration::from_secs),
                ..plan
            };
        }
        // From the quiet to the end of the decay, and until the last who came has gone.
        let arrivals = if self.rush {
            onsale::rush(self.scale)
        } else {
            onsale::arrivals(self.scale)
        };
        Plan {
            warm_up: Duration::ZERO,
            span: Duration::from_secs(arrivals.len() as u64 + 10),
            arrivals: Some(arrivals.into()),
            ..plan
        }
    }
}

/// Measures, tells, and writes the page.
pub(crate) async fn run(arguments: &RunArguments) -> ExitCode {
    let plan = arguments.plan();
    let mut outcomes = Vec::new();
    for number in 1..=arguments.runs.max(1) {
        eprintln!("run {number} of {}", arguments.runs.max(1));
        match run::run(&plan).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if let Some(path) = &arguments.html {
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        if let Err(error) = std::fs::write(path, page::page(&plan, &outcomes, &command)) {
            eprintln!(
                "error: {}: {error}\n  next: name a file that can be written",
                path.display()
            );
            return ExitCode::from(2);
        }
    }
    match arguments.output {
        Output::Table => print!("{}", report::text(&plan, &outcomes)),
        Output::Json => println!("{:#}", report::as_json(&plan, &outcomes)),
    }
    if outcomes.iter().all(|outcome| outcome.audit.is_sound()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
