//! What `rotunda certs` takes.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

const STEPS: &str = "\
A folder for each process is made in DIR: copy it to that process's machine as it is, readable by its user alone. \
DIR/authority stays where it is: with its key anybody can be made a node. Servers take new files up by themselves, within \
seconds, or at once on SIGHUP; no connection is dropped.

Example:
  rotunda certs init certs --cluster meridian
  rotunda certs add node 1
  rotunda certs add router a
  rotunda certs show

To replace the authority, each step on all machines before the next:
  rotunda certs rotate --ca           all believe the old and the new one
  rotunda certs rotate                all show certificates of the new one
  rotunda certs rotate --retire-ca    all believe the new one alone

Exit codes: 0 done, 1 refused or not possible (the message says why), 2 wrong usage.";

#[derive(Args, Debug)]
#[command(after_help = STEPS)]
pub(crate) struct CertsArguments {
    #[command(subcommand)]
    pub(crate) command: CertsCommand,
}

/// Where the authority is.
#[derive(Args, Debug)]
pub(crate) struct CertsFolder {
    /// The authority's folder, as `init` has made it.
    #[arg(long, env = "ROTUNDA_CERTS", default_value = "certs", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertsCommand {
    /// Make a cluster's own authority.
    Init {
        /// Folder for it; made where it is missing.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Name of the cluster, as in its nodes' settings.
        #[arg(long, value_name = "NAME")]
        cluster: String,
        /// Also certificates for nodes 1 to N.
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
        nodes: u32,
        /// Also certificates for routers 1 to N.
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
        routers: u32,
        /// Make only what is not there yet, for a step that runs at each start.
        #[arg(long)]
        if_missing: bool,
    },
    /// Make a certificate for a node, a router, a tool or a door.
    Add(HolderArguments),
    /// Make all certificates anew; or replace the authority, a step at a time.
    Rotate(RotateArguments),
    /// Show all certificates and until when they are good.
    Show {
        #[command(flatten)]
        folder: CertsFolder,
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

#[derive(Args, Debug)]
pub(crate) struct HolderArguments {
    #[command(subcommand)]
    pub(crate) holder: HolderCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HolderCommand {
    /// For a node: it passes for this node and for no other.
    Node {
        /// The node's id.
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        id: u32,
        #[command(flatten)]
        more: MoreArguments,
    },
    /// For a router: it books and reads, and does not open the Raft port.
    Router {
        /// A name of its own, as `a`.
        name: String,
        #[command(flatten)]
        more: MoreArguments,
    },
    /// For a tool: as a router, and it may read logs and move leaders besides.
    Client {
        /// A name of its own, as `audit`.
        name: String,
        #[command(flatten)]
        more: MoreArguments,
    },
    /// For the door under TLS, where visitors' machines believe this authority; in public take a public one's certificate.
    Door {
        /// A name of its own, as `a`.
        name: String,
        #[command(flatten)]
        more: MoreArguments,
    },
}

#[derive(Args, Debug)]
pub(crate) struct MoreArguments {
    /// Also good for this DNS name; repeat for more. Processes of the cluster need none.
    #[arg(long, value_name = "NAME")]
    pub(crate) dns: Vec<String>,
    /// Also good for this address; repeat for more.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: Vec<IpAddr>,
    /// How long it is good.
    #[arg(long, value_name = "DAYS", default_value_t = rotunda_tls::authority::LEAF_DAYS)]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) folder: CertsFolder,
}

#[derive(Args, Debug)]
pub(crate) struct RotateArguments {
    /// The first step to another authority: it is made, and all are to believe both.
    #[arg(long, conflicts_with = "retire_ca")]
    pub(crate) ca: bool,
    /// The last step: all are to believe the newest authority alone.
    #[arg(long)]
    pub(crate) retire_ca: bool,
    #[command(flatten)]
    pub(crate) folder: CertsFolder,
}
