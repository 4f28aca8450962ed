//! What `rotunda backup` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{NodesArguments, Output};

const PLACES: &str = "\
A place is a directory, or s3://BUCKET/PREFIX of whatever speaks S3. Its credentials are those of the environment: AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT for another store than Amazon's, AWS_ALLOW_HTTP=true where that has no TLS.

A backup is not encrypted and holds secrets: the keys that tickets are signed with, and visitors' names. Keep it like them.";

#[derive(Args, Debug)]
pub(crate) struct BackupArguments {
    #[command(subcommand)]
    pub(crate) command: BackupCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy all groups of a running cluster; selling goes on.
    Create(BackupCreateArguments),
    /// List what a place holds, broken-off backups too.
    List(BackupListArguments),
    /// Read a backup through: every checksum, and the state hash of every group worked out anew.
    Verify(BackupVerifyArguments),
    /// Write the data directories of a new cluster. Nodes with these settings are then started on them.
    Restore(BackupRestoreArguments),
}

#[derive(Args, Debug)]
#[command(after_help = format!("{PLACES}\n\nExit codes: 0 complete, 1 failed, 2 wrong usage, 3 the cluster does not answer."))]
pub(crate) struct BackupCreateArguments {
    /// Where to.
    #[arg(long, env = "ROTUNDA_BACKUP", value_name = "PLACE")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) nodes: NodesArguments,
    /// How to print what was made.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{PLACES}\n\nExit codes: 0 listed, 1 failed, 2 wrong usage."))]
pub(crate) struct BackupListArguments {
    /// Of which place.
    #[arg(long, env = "ROTUNDA_BACKUP", value_name = "PLACE")]
    pub(crate) from: String,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = format!("{PLACES}\n\nExit codes: 0 whole, 1 damaged (the message names each chunk) or failed, 2 wrong usage."))]
pub(crate) struct BackupVerifyArguments {
    /// Which backup; the newest where it is left out.
    #[arg(value_name = "BACKUP")]
    pub(crate) id: Option<String>,
    /// Of which place.
    #[arg(long, env = "ROTUNDA_BACKUP", value_name = "PLACE")]
    pub(crate) from: String,
    /// How to print the outcome.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Args, Debug)]
#[command(after_help = format!(
    "Example: rotunda backup restore --from /backups --cluster museums-2 --into /var/lib/rotunda \\\n    \
     --node 1=http://10.0.0.1:7001 --node 2=http://10.0.0.2:7001 --node 3=http://10.0.0.3:7001\n\n\
     On three machines: the same on each, with --only and its own id.\n\n{PLACES}\n\n\
     Exit codes: 0 written, 1 refused, damaged or failed, 2 wrong usage."
))]
pub(crate) struct BackupRestoreArguments {
    /// Which backup; the newest where it is left out.
    #[arg(value_name = "BACKUP")]
    pub(crate) id: Option<String>,
    /// Of which place.
    #[arg(long, env = "ROTUNDA_BACKUP", value_name = "PLACE")]
    pub(crate) from: String,
    /// Name of the new cluster; never that of the old one.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: String,
    /// A node of the new cluster and its gRPC address; repeat for each.
    #[arg(long = "node", value_name = "ID=URL", required = true, value_parser = node)]
    pub(crate) nodes: Vec<(u32, String)>,
    /// Replicas of each shard.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) replication: usize,
    /// Directory in which the data directories are made: DIR/node-1, DIR/node-2 and so on. It must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) into: PathBuf,
    /// File with the keys that the directories are encrypted with; the nodes have to be started with the same.
    #[arg(long, value_name = "FILE")]
    pub(crate) encryption_keys: Option<PathBuf>,
    /// Write only this node's directory; others may be there already.
    #[arg(long, value_name = "ID")]
    pub(crate) only: Option<u32>,
    /// How to print what was written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

fn node(text: &str) -> Result<(u32, String), String> {
    let (id, url) = text
        .split_once('=')
        .ok_or("expected ID=URL, as 1=http://10.0.0.1:7001")?;
    let id = id
        .parse()
        .map_err(|_| format!("{id:?} is no node id: expected a number from 1"))?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!("{url:?} is no address: expected one as http://10.0.0.1:7001"));
    }
    Ok((id, url.to_owned()))
}
