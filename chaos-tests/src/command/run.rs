//! `rotunda-chaos run`: a cluster of real processes, broken on purpose and audited; or visitors and checks for one that
//! somebody else runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rotunda_chaos::binaries;
use rotunda_chaos::lab::capabilities::Capabilities;
use rotunda_chaos::lab::leftovers;
use rotunda_chaos::scenarios::attach::{self, Attach};
use rotunda_chaos::scenarios::run::{self as real, Outcome, Plan};
use rotunda_chaos::scenarios::{ALL, Scenario};
use tokio::signal::unix::{SignalKind, signal};

use super::{Output, run_table};

/// What is told by the shell of a process that ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rotunda-chaos run --list
  rotunda-chaos run --scenario leader-killed --times 500
  rotunda-chaos run --scenario all
  rotunda-chaos run --random --seed 7 --for 30 --nodes 5
  rotunda-chaos run --attach http://tickets.example.org --for 10

As root, every node has a network and a disk of its own; without, what the machine permits is run, and what is NOT
COVERED is listed. All of it is taken away at the end, by ctrl-C too.

Exit codes: 0 sound; 1 an invariant was violated, the cluster did not heal in time, or a fault that was asked for did not
happen; 2 wrong usage, or nothing can be said.")]
pub(crate) struct RunArguments {
    /// Which scenario; `all` runs each once. See --list.
    #[arg(long, value_name = "NAME", value_parser = scenarios, required_unless_present_any = ["random", "attach", "list"])]
    scenario: Option<Asked>,
    /// Overlapping faults drawn from the seed: the same as `--scenario random`.
    #[arg(long, conflicts_with_all = ["scenario", "attach"])]
    random: bool,
    /// Visitors and checks for the router at this address, which somebody else runs and breaks.
    #[arg(long, value_name = "URL", conflicts_with = "scenario")]
    attach: Option<String>,
    /// A node of the cluster that is attached to, whose logs are then read; repeat for more.
    #[arg(long, value_name = "URL", requires = "attach")]
    node: Vec<String>,
    /// Where nodes are https://: a folder that `rotunda certs add client` has made.
    #[arg(long, value_name = "DIR", requires = "attach")]
    certs: Option<PathBuf>,
    /// Print the scenarios.
    #[arg(long)]
    list: bool,
    /// What random faults are drawn from; drawn itself where it is left out.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Minutes of random faults, or of being attached.
    #[arg(long = "for", value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// How often a scenario's cycle of faults runs within the run.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,
    /// Nodes: 3 or 5. Each shard has as many replicas.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = three_or_five)]
    nodes: u32,
    /// Shards.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    shards: u64,
    /// Visitors at once.
    #[arg(long, value_name = "N", default_value_t = 32)]
    visitors: usize,
    /// Where rotunda-node and rotunda-router are [default: ROTUNDA_BIN_DIR, else beside this program].
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Where each run makes its folder [default: chaos-runs].
    #[arg(long, value_name = "DIR", default_value = "chaos-runs")]
    dir: PathBuf,
    /// How to print what came of it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What `--scenario` names.
#[derive(Clone, Debug)]
struct Asked(Vec<Scenario>);

fn scenarios(name: &str) -> Result<Asked, String> {
    if name == "all" {
        return Ok(Asked(ALL.to_vec()));
    }
    let found = Scenario::named(name).map(|scenario| Asked(vec![scenario]));
    found.ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|scenario| scenario.name()).collect();
        format!("no such scenario; there are: all, {}", known.join(", "))
    })
}

fn three_or_five(text: &str) -> Result<u32, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("expected 3 or 5".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &RunArguments) -> ExitCode {
    let able = Capabilities::probe();
    if arguments.list {
        print!("{}", run_table::list(&able));
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return wrong(&format!("no runtime: {error}")),
    };
    let code = runtime.block_on(async {
        // What ctrl-C or a service manager ends is taken down in order: dropping the run takes away what it made.
        let interrupted = async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::select! {
            code = everything(arguments, &able) => code,
            () = interrupted => {
                eprintln!("interrupted: taking down what was made");
                ExitCode::from(INTERRUPTED)
            }
        }
    });
    // Waits for the tasks that hold processes, networks and mounts.
    drop(runtime);
    code
}

async fn everything(arguments: &RunArguments, able: &Capabilities) -> ExitCode {
    for removed in leftovers::remove() {
        eprintln!("left behind by an earlier run and removed: {removed}");
    }
    if let Some(door) = &arguments.attach {
        return attached(arguments, door).await;
    }
    for (what, why) in able.not_covered() {
        eprintln!("NOT COVERED: {what}: {why}");
    }
    let programs = arguments.bin_dir.clone().unwrap_or_else(binaries::folder);
    for program in ["rotunda-node", "rotunda-router"] {
        if let Err(missing) = binaries::path_in(&programs, program) {
            return wrong(&missing);
        }
    }
    let asked = match &arguments.scenario {
        Some(Asked(asked)) if !arguments.random => asked.clone(),
        _ => vec![Scenario::Random],
    };
    let mut outcomes = Vec::new();
    let mut left_out = Vec::new();
    for scenario in &asked {
        if let Some(why) = real::cannot(*scenario, able) {
            left_out.push((*scenario, why));
            continue;
        }
        let plan = match plan(arguments, *scenario, &programs) {
            Ok(plan) => plan,
            Err(error) => return wrong(&error),
        };
        eprintln!("{scenario}: {} -> {}", scenario.about(), plan.folder.display());
        match real::run(&plan, able).await {
            Ok(outcome) => {
                if arguments.output == Output::Table {
                    print!("{}", run_table::text(&outcome));
                }
                outcomes.push(outcome);
            }
            Err(error) => return wrong(&error),
        }
    }
    let sound = outcomes.iter().all(Outcome::is_sound);
    match arguments.output {
        Output::Table => print!("{}", run_table::summary(&outcomes, &left_out, able)),
        Output::Json => println!("{:#}", run_table::as_json(&outcomes, &left_out, able)),
    }
    // One that was asked for by name and could not be run did not happen.
    if sound && (left_out.is_empty() || asked.len() > 1) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn plan(arguments: &RunArguments, scenario: Scenario, programs: &Path) -> Result<Plan, String> {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let mut command = format!("rotunda-chaos run --scenario {scenario}");
    if scenario == Scenario::Random {
        command = format!("rotunda-chaos run --random --seed {seed} --for {}", arguments.minutes);
    } else if arguments.times > 1 {
        command += &format!(" --times {}", arguments.times);
    }
    for (flag, value, default) in [
        ("--nodes", u64::from(arguments.nodes), 3),
        ("--shards", arguments.shards, 4),
        ("--visitors", arguments.visitors as u64, 32),
    ] {
        if value != default {
            command += &format!(" {flag} {value}");
        }
    }
    Ok(Plan {
        scenario,
        seed,
        span: Duration::from_secs(arguments.minutes * 60),
        times: arguments.times,
        nodes: arguments.nodes,
        shards: arguments.shards,
        visitors: arguments.visitors,
        programs: programs.to_owned(),
        folder: folder(&arguments.dir, scenario.name())?,
        command,
    })
}

/// A new folder for a run, named after when it began.
fn folder(parent: &Path, name: &str) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", parent.display());
    std::fs::create_dir_all(parent).map_err(failed)?;
    let parent = parent.canonicalize().map_err(failed)?;
    let began = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    for number in 1..100 {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let folder = parent.join(format!("{began}-{name}{suffix}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(format!("{} is full of runs that began now", parent.display()))
}

async fn attached(arguments: &RunArguments, door: &str) -> ExitCode {
    let folder = match folder(&arguments.dir, "attach") {
        Ok(folder) => folder,
        Err(error) => return wrong(&error),
    };
    let nodes: String = arguments.node.iter().map(|node| format!(" --node {node}")).collect();
    let attach = Attach {
        door: door.to_owned(),
        nodes: arguments.node.clone(),
        certs: arguments.certs.clone(),
        span: Duration::from_secs(arguments.minutes * 60),
        visitors: arguments.visitors,
        command: format!("rotunda-chaos run --attach {door}{nodes} --for {}", arguments.minutes),
        folder,
    };
    match attach::run(&attach).await {
        Ok(came) => {
            match arguments.output {
                Output::Table => print!("{}", run_table::attached(&attach, &came)),
                Output::Json => println!("{:#}", run_table::attached_json(&attach, &came)),
            }
            if rotunda_chaos::invariants::is_sound(&came.verdicts) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => wrong(&error),
    }
}

fn wrong(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(2)
}
