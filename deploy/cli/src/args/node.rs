//! What `rotunda node` takes.

use clap::{Args, Subcommand};

use super::{DoorArguments, NodesArguments, Output};

#[derive(Args, Debug)]
pub(crate) struct NodeArguments {
    #[command(subcommand)]
    pub(crate) command: NodeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Have a node give its leaderships away, and wait until it leads nothing. Refused while another node is down or lags.
    Drain(NodeDrainArguments),
    /// Wait until a node is as good as the others again; one that is drained and was not restarted may lead again.
    Ready(NodeReadyArguments),
    /// Let go of a node that is stopped or dead: its replicas count no more, and its id may be added again.
    Remove(NodeRemoveArguments),
    /// Let a node with an empty data directory in: it is filled from the others, and votes once it has what they have.
    Add(NodeAddArguments),
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 it leads nothing, 1 refused or not in time, 2 wrong usage, 3 unreachable.")]
pub(crate) struct NodeDrainArguments {
    /// Id of the node.
    pub(crate) node: u32,
    /// Also where another node is down or lags: then some shard may be without a leader when this one is stopped.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) patience: PatienceArguments,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
}

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 it is ready, 1 not in time, 2 wrong usage, 3 unreachable.")]
pub(crate) struct NodeReadyArguments {
    /// Id of the node.
    pub(crate) node: u32,
    #[command(flatten)]
    pub(crate) patience: PatienceArguments,
    #[command(flatten)]
    pub(crate) door: DoorArguments,
}

/// What is waited for, and how long.
#[derive(Args, Debug)]
pub(crate) struct PatienceArguments {
    /// Entries that a replica may be behind and still count as level: under load it is never quite.
    #[arg(long, value_name = "ENTRIES", default_value_t = 100)]
    pub(crate) lag: u64,
    /// Seconds to wait at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) timeout: u64,
}

const ORDER: &str = "\
After the loss of a disk: stop the node, `rotunda node remove 3`, start it on an empty data directory (it waits and says so),
`rotunda node add 3 --addr http://10.0.0.3:7001`. Either command may be broken off and given again: it goes on where it stood.";

#[derive(Args, Debug)]
#[command(after_help = format!("{ORDER}\n\nExit codes: 0 gone, 1 refused or not finished (the message says why), 2 wrong usage, 3 unreachable."))]
pub(crate) struct NodeRemoveArguments {
    /// The node's id.
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) id: u32,
    #[command(flatten)]
    pub(crate) nodes: NodesArguments,
    /// How long to wait until no group counts on it.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) wait: u64,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{ORDER}\n\nExit codes: 0 it votes in all its groups, 1 refused or not finished (the message says why), 2 wrong usage, 3 unreachable."))]
pub(crate) struct NodeAddArguments {
    /// The node's id.
    #[arg(value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) id: u32,
    /// gRPC address by which the other nodes reach it, as http://10.0.0.3:7001.
    #[arg(long, value_name = "URL")]
    pub(crate) addr: String,
    #[command(flatten)]
    pub(crate) nodes: NodesArguments,
    /// How long to wait until it has caught up and votes.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) wait: u64,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}
