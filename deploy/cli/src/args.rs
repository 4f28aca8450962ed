//! What the command line takes. Values that also come from the environment name their variable here.

mod backup;
mod certs;
mod node;

use std::path::PathBuf;

pub(crate) use self::backup::{
    BackupArguments, BackupCommand, BackupCreateArguments, BackupListArguments, BackupRestoreArguments,
    BackupVerifyArguments,
};
pub(crate) use self::node::{
    NodeAddArguments, NodeArguments, NodeCommand, NodeDrainArguments, NodeReadyArguments, NodeRemoveArguments,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rotunda_tls::files::TlsSettings;

pub(crate) use self::certs::{CertsArguments, CertsCommand, HolderArguments, HolderCommand, RotateArguments};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: what was asked for did not happen; the message says why and what to run next
  2  wrong usage: nothing was tried
  3  unreachable: no answer from the router or the nodes in time

Output is for people; `--output json` is for programs. Progress goes to stderr. NO_COLOR is honoured.";

/// The operator's command of a Rotunda booking cluster.
#[derive(Debug, Parser)]
#[command(name = "rotunda", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a cluster of real processes on this machine, with a museum network to sell.
    Demo(DemoArguments),
    /// Load a catalogue into a running cluster; sending it again changes nothing.
    Import(ImportArguments),
    /// Show nodes, shards, leaders, terms and lag.
    Status(StatusArguments),
    /// Show what a router or a node does, from second to second: KPIs, shards, hot slots.
    Top(TopArguments),
    /// Look into the ledgers of venues.
    Ledger(LedgerArguments),
    /// Issue, list and revoke tokens: who may do what.
    Token(TokenArguments),
    /// Show and set quotas: how much callers may ask for, at all routers.
    Limits(LimitsArguments),
    /// Drain a node before it is stopped, wait for it afterwards, and replace one whose disk is lost.
    Node(NodeArguments),
    /// See and raise the version of the cluster.
    Cluster(ClusterArguments),
    /// Show and change what nodes and routers log, while they run.
    Log(LogArguments),
    /// Back a cluster up while it sells, verify backups, and make a new cluster of one.
    Backup(BackupArguments),
    /// Ask one process whether it is ready, or alive; for health checks of containers.
    Health(HealthArguments),
    /// Look into files of settings before a server reads them.
    Config(ConfigArguments),
    /// Make and renew the certificates by which a cluster's processes know each other.
    Certs(CertsArguments),
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 yes, 1 no or no answer (the message says which), 2 wrong usage. Nothing but these, as Docker wants it."
)]
pub(crate) struct HealthArguments {
    /// Admin address of a node or a router, as 127.0.0.1:7101 or a URL. What a server listens on may be given as it is: of
    /// 0.0.0.0 this machine is asked.
    #[arg(
        long,
        env = "ROTUNDA_ADMIN",
        default_value = "127.0.0.1:7101",
        value_name = "ADDRESS"
    )]
    pub(crate) admin: String,
    /// Only whether it is alive: `/livez`, which does not depend on the cluster.
    #[arg(long)]
    pub(crate) live: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether a server would take a file of settings, else the line that is wrong and what to write there.
    Check(ConfigCheckArguments),
}

#[derive(Args, Debug)]
#[command(
    after_help = "The server's own program reads the file, with the ROTUNDA_* variables of this shell, and starts nothing.\n\nExit codes: 0 it can be used, 1 it cannot, 2 wrong usage."
)]
pub(crate) struct ConfigCheckArguments {
    /// The file, TOML.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// It is a node's. Where neither is said, its settings tell.
    #[arg(long, conflicts_with = "router")]
    pub(crate) node: bool,
    /// It is a router's.
    #[arg(long)]
    pub(crate) router: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TokenArguments {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue a token. Its secret is printed this once.
    Create(TokenCreateArguments),
    /// List all tokens of the cluster, revoked ones too.
    List(TokenListArguments),
    /// Take a token back. Its name stays taken.
    Revoke(TokenRevokeArguments),
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 issued, 1 refused or not known, 2 wrong usage, 3 unreachable.")]
pub(crate) struct TokenCreateArguments {
    /// Whom it stands for: 1 to 40 of a-z, 0-9 and -. No token may have had the name.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it may do.
    #[arg(long, value_enum)]
    pub(crate) role: TokenRole,
    /// Network that it is good for. Where it is left out: for an operator all of them, else the only one that there is.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Option<String>,
    /// Venue that it is good for; repeat for more. All venues of the network where there is none.
    #[arg(long, value_name = "VENUE")]
    pub(crate) venue: Vec<String>,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 listed, 1 refused, 2 wrong usage, 3 unreachable.")]
pub(crate) struct TokenListArguments {
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 revoked, 1 refused, 2 wrong usage, 3 unreachable.")]
pub(crate) struct TokenRevokeArguments {
    /// Of the token.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Sells where nobody sits.
    Kiosk,
    /// Sells what has begun, and for cash.
    Counter,
    /// Admits.
    Gate,
    /// Sells for others.
    Reseller,
    /// Runs venues.
    Manager,
    /// Runs the cluster.
    Operator,
}

impl TokenRole {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kiosk => "kiosk",
            Self::Counter => "counter",
            Self::Gate => "gate",
            Self::Reseller => "reseller",
            Self::Manager => "manager",
            Self::Operator => "operator",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ClusterArguments {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Which version the cluster is at, and which each node reads.
    Version(VersionArguments),
}

#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 shown or raised, 1 refused, 2 wrong usage, 3 unreachable."
)]
pub(crate) struct VersionArguments {
    #[command(subcommand)]
    pub(crate) command: Option<VersionCommand>,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VersionCommand {
    /// Raise it, for ever: no binary that does not read it can be started on the cluster's data afterwards.
    Finalize(FinalizeArguments),
}

#[derive(Args, Debug)]
pub(crate) struct FinalizeArguments {
    /// To this one, where not to the newest that any node reads.
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<u32>,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct LimitsArguments {
    #[command(subcommand)]
    pub(crate) command: LimitsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Show the quotas in force at the router that is asked, and where each comes from.
    Show(LimitsShowArguments),
    /// Set one quota of the cluster, for all routers; the others stay as they are.
    Set(LimitsSetArguments),
    /// Take quotas of the cluster back: one of them, or all; what the routers' settings say counts again.
    Reset(LimitsResetArguments),
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 shown, 1 refused, 2 wrong usage, 3 unreachable.")]
pub(crate) struct LimitsShowArguments {
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// What a quota is of.
#[derive(Args, Debug)]
pub(crate) struct LimitSubject {
    /// Whose: visitor, kiosk, counter, gate, reseller, manager or operator.
    #[arg(long, value_name = "ROLE", conflicts_with = "venue")]
    pub(crate) role: Option<String>,
    /// For what: look, hold, change, admit, report or admin.
    #[arg(long, value_name = "CLASS", conflicts_with = "venue")]
    pub(crate) routes: Option<String>,
    /// Of this venue, for all callers together.
    #[arg(long, value_name = "VENUE")]
    pub(crate) venue: Option<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example: rotunda limits set --role visitor --routes hold --quota 5/1s\n\nExit codes: 0 set, 1 refused, 2 wrong usage, 3 unreachable."
)]
pub(crate) struct LimitsSetArguments {
    #[command(flatten)]
    pub(crate) subject: LimitSubject,
    /// So many requests in so long, as 100/10s, or off.
    #[arg(long, value_name = "QUOTA")]
    pub(crate) quota: String,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print what is in force then.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 taken back, 1 refused or not there, 2 wrong usage, 3 unreachable.")]
pub(crate) struct LimitsResetArguments {
    #[command(flatten)]
    pub(crate) subject: LimitSubject,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print what is in force then.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct LogArguments {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show what each process logs.
    Show(LogShowArguments),
    /// Change a level, or that of a part; the other parts stay as they are. Until the process ends, or a reset.
    Set(LogSetArguments),
    /// Go back to what each process's settings say; SIGHUP does the same.
    Reset(LogShowArguments),
}

/// Whose log.
#[derive(Args, Debug)]
pub(crate) struct LogSubject {
    /// Admin address of a process, as 127.0.0.1:7101 or a URL; repeat for more. Where there is none: of all nodes, and of the
    /// router that says where they are. Routers do not know of each other.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) at: Vec<String>,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print what is logged then.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 a process did not answer.")]
pub(crate) struct LogShowArguments {
    #[command(flatten)]
    pub(crate) subject: LogSubject,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples: rotunda log set node=debug\n          rotunda log set warn,raft=info --at 127.0.0.1:7101\n\nShort names: node, router, protocol, storage, telemetry, raft.\nExit codes: 0 set, 1 refused, 2 wrong usage, 3 a process did not answer."
)]
pub(crate) struct LogSetArguments {
    /// A level (error, warn, info, debug, trace, off), or PART=LEVEL; several with commas.
    #[arg(value_name = "LEVELS")]
    pub(crate) levels: String,
    #[command(flatten)]
    pub(crate) subject: LogSubject,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Ctrl-C stops every process and removes what the demo made.\nA node that ends by itself, or by your kill -9, is reported and started again.\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 unreachable."
)]
pub(crate) struct DemoArguments {
    /// Nodes to start. Three lose none of their bookings when one dies.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(crate) nodes: u32,
    /// Routers to start.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
    pub(crate) routers: u32,
    /// Shards that the venues are spread over.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) shards: u32,
    /// Catalogue to import instead of the built-in Meridian Museums (YAML or JSON).
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// Keep data and logs under this directory instead of a temporary one. It must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Written, as JSON, once bookings work: addresses, process ids and the token.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Stop by itself this long after it is ready.
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) run_for: Option<u64>,
    /// Leave a node that ended dead instead of starting it again.
    #[arg(long)]
    pub(crate) no_restart: bool,
    /// Leave data and logs behind when the demo ends.
    #[arg(long)]
    pub(crate) keep: bool,
    /// No TLS between the processes; only to measure what it costs.
    #[arg(long)]
    pub(crate) plain_inside: bool,
}

/// Which cluster, for what is asked of the nodes themselves.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodesArguments {
    /// gRPC address of a node; repeat, or separate by commas, for more. One that answers is enough.
    #[arg(
        long = "seed",
        env = "ROTUNDA_NODES",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7001",
        value_name = "URL"
    )]
    pub(crate) seeds: Vec<String>,
    /// Certificates, where the cluster has some: of a client (`rotunda certs add client`).
    #[command(flatten)]
    pub(crate) tls: TlsSettings,
}

/// Which cluster, and by what right.
#[derive(Args, Clone, Debug)]
pub(crate) struct DoorArguments {
    /// The router's address.
    #[arg(
        long,
        env = "ROTUNDA_ROUTER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub(crate) router: String,
    /// A token that may, as the router's admin token.
    #[arg(long, env = "ROTUNDA_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 imported, 1 refused or broken off (the message says what is in place), 2 wrong usage, 3 unreachable."
)]
pub(crate) struct ImportArguments {
    /// The catalogue, YAML or JSON; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 shown, 1 refused, 2 wrong usage, 3 unreachable.")]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// Draw it again every second until Ctrl-C.
    #[arg(long)]
    pub(crate) watch: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Keys: q quits, p pauses, s sorts the slots, m sorts the shards. A lost connection is said and opened again.\n\nExit codes: 0 shown, 1 not understood, 2 wrong usage, 3 unreachable."
)]
pub(crate) struct TopArguments {
    /// Admin address of a router or a node, as 127.0.0.1:9090 or a URL; a router's knows of all nodes.
    #[arg(
        long,
        env = "ROTUNDA_ADMIN",
        visible_aliases = ["router", "node"],
        default_value = "127.0.0.1:9090",
        value_name = "ADDRESS"
    )]
    pub(crate) admin: String,
    /// Print it once and be done; for scripts.
    #[arg(long)]
    pub(crate) once: bool,
    /// How to print it, with --once.
    #[arg(long, value_enum, default_value_t = Output::Table, requires = "once")]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct LedgerArguments {
    #[command(subcommand)]
    pub(crate) command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Recompute the chain of a venue's ledger, line by line, and say the first line that does not fit.
    Verify(VerifyArguments),
}

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 every line fits, 1 a line does not fit (the message says which) or refused, 2 wrong usage, 3 unreachable."
)]
pub(crate) struct VerifyArguments {
    /// Venue id; every venue where it is left out.
    #[arg(value_name = "VENUE")]
    pub(crate) venue: Option<String>,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}
