//! `rotunda-bench`: how fast places are sold, with an audit of what was sold. The library's `bench` does the work.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rotunda_chaos::bench::goals::{self, Goal};
use rotunda_chaos::bench::report::{self, Comparison};
use rotunda_chaos::bench::run::{self, Plan, Way};
use rotunda_chaos::bench::shopper::Workload;
use rotunda_chaos::bench::{onsale, page, peers};
use tempfile::TempDir;

// As in the router, whose client library it uses.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures a Rotunda cluster that it starts on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "rotunda-bench",
    version,
    after_help = "Exit codes: 0 sound, 1 the audit found something, 2 wrong usage or nothing could be measured. Goals that are missed are told, and change no exit code."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one workload, audit it, and tell rates, latencies and processor time.
    Run(Box<RunArguments>),
    /// Measure PostgreSQL, Redis, etcd and Rotunda, one after the other on this machine, and tell the ratios.
    Peers(PeersArguments),
    /// Measure the goals for speed, S1 to S9, in one run, and tell which are met.
    Goals(GoalsArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Args, Debug)]
struct RunArguments {
    /// What clients do.
    #[arg(value_enum)]
    workload: Workload,
    /// How they buy.
    #[arg(long, value_enum, default_value_t = Way::Http)]
    door: Way,
    /// Clients at once: connections by HTTP, commands in flight by gRPC [default: 256 by HTTP, 2048 by gRPC].
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
    /// Runs, each on a fresh cluster; the median is told.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// More flags for each node, in one word.
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    node_flags: String,
    /// More flags for the router, in one word.
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    router_flags: String,
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
        let arrivals = onsale::arrivals(self.scale);
        Plan {
            warm_up: Duration::ZERO,
            span: Duration::from_secs(arrivals.len() as u64 + 10),
            arrivals: Some(arrivals.into()),
            ..plan
        }
    }
}

#[derive(Args, Debug)]
struct PeersArguments {
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

#[derive(Args, Debug)]
struct GoalsArguments {
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

// One thread for all clients: the others of the machine are for what is measured. Of the multi-threaded runtime all the same,
// for whoever kills a node waits for its end.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run(&arguments).await,
        Command::Peers(arguments) => peers(&arguments).await,
        Command::Goals(arguments) => goals(&arguments).await,
    }
}

/// A folder that others' servers can use too, which run as other users.
fn open_folder(data: Option<&PathBuf>) -> Result<TempDir, ExitCode> {
    let folder = match data {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    folder
        .and_then(|folder| std::fs::set_permissions(folder.path(), open).map(|()| folder))
        .map_err(|error| {
            eprintln!("error: no folder for data: {error}\n  next: name another one with --data");
            ExitCode::from(2)
        })
}

async fn goals(arguments: &GoalsArguments) -> ExitCode {
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

async fn peers(arguments: &PeersArguments) -> ExitCode {
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

async fn run(arguments: &RunArguments) -> ExitCode {
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
