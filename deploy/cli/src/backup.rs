//! `rotunda backup`: what `rotunda-backup` does, with arguments, a bar while it works, and words for what came of it.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use rotunda_backup::{BackupError, Keys, Manifest, NewCluster, Place, Progress, create, list, newest, restore, verify};
use serde_json::json;

use crate::args::{
    BackupArguments, BackupCommand, BackupCreateArguments, BackupListArguments, BackupRestoreArguments,
    BackupVerifyArguments, Output,
};
use crate::failure::Failure;
use crate::nodes;
use crate::paint::{good_or_bad, table};

/// Runs the command.
pub(crate) async fn run(arguments: BackupArguments) -> Result<(), Failure> {
    match arguments.command {
        BackupCommand::Create(create) => make(create).await,
        BackupCommand::List(list) => show(list).await,
        BackupCommand::Verify(verify) => look_through(verify).await,
        BackupCommand::Restore(restore) => write(restore).await,
    }
}

fn failure(error: BackupError) -> Failure {
    let text = error.to_string();
    match error {
        BackupError::NoPlace { .. } | BackupError::Plan(_) => Failure::usage(text),
        BackupError::Cluster { .. } => Failure::unreachable(text).next("rotunda status; every group needs a leader"),
        BackupError::Place { .. } => Failure::failed(text)
            .next("check that the place may be written and read, and the credentials: rotunda backup --help"),
        BackupError::NoManifest { .. } | BackupError::Nothing { .. } => {
            Failure::failed(text).next("rotunda backup list")
        }
        BackupError::Chunk { .. } | BackupError::StateHash { .. } | BackupError::Manifest { .. } => {
            Failure::failed(text).next("use an older backup, and make a new one: rotunda backup create")
        }
        _ => Failure::failed(text),
    }
}

/// A bar on a terminal; else nothing.
fn bar(doing: &'static str) -> Option<ProgressBar> {
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(1))?;
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} groups {prefix}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(doing);
    Some(bar)
}

/// What a bar is told.
fn moves(bar: Option<&ProgressBar>) -> impl Fn(Progress) + Send + Sync + '_ {
    move |progress| {
        if let Some(bar) = bar {
            bar.set_length(progress.groups as u64);
            bar.set_position(progress.groups_done as u64);
            bar.set_prefix(size(progress.bytes));
        }
    }
}

fn end(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

async fn make(arguments: BackupCreateArguments) -> Result<(), Failure> {
    let place = Place::open(&arguments.to, true).map_err(failure)?;
    let client = nodes::connect(&arguments.nodes).await?;
    let bar = bar("backing up");
    let created = create(&client, &place, &moves(bar.as_ref())).await;
    end(bar);
    let created = created.map_err(failure)?;
    let manifest = &created.manifest;
    match arguments.output {
        Output::Table => {
            println!("{}", groups(manifest));
            println!(
                "{}: complete, {} rows, {}, in {}",
                manifest.id,
                manifest.rows(),
                size(manifest.bytes()),
                place.name()
            );
        }
        Output::Json => println!(
            "{}",
            json!({ "place": place.name(), "recorded": created.untold.is_none(), "backup": manifest })
        ),
    }
    if let Some(error) = created.untold {
        eprintln!(
            "warning: the backup is complete, but the cluster could not be told ({error}): BackupTooOld may fire until the next"
        );
    }
    Ok(())
}

/// What a backup says of its groups.
fn groups(manifest: &Manifest) -> comfy_table::Table {
    let mut drawn = table(["group", "index", "term", "rows", "bytes", "read from", "state hash"]);
    for group in &manifest.groups {
        drawn.add_row(vec![
            match group.group {
                0 => "meta".to_owned(),
                shard => shard.to_string(),
            },
            group.index.to_string(),
            group.term.to_string(),
            group.rows.to_string(),
            size(group.bytes),
            format!("node {}", group.node),
            group.state_hash.clone(),
        ]);
    }
    drawn
}

async fn show(arguments: BackupListArguments) -> Result<(), Failure> {
    let place = Place::open(&arguments.from, false).map_err(failure)?;
    let listed = list(&place).await.map_err(failure)?;
    if arguments.output == Output::Json {
        let all: Vec<_> = listed
            .iter()
            .map(|listed| match &listed.manifest {
                Some(Ok(manifest)) => json!({ "id": listed.id, "complete": true, "backup": manifest }),
                Some(Err(error)) => json!({ "id": listed.id, "complete": false, "problem": error.to_string() }),
                None => json!({ "id": listed.id, "complete": false, "problem": "no manifest: it was broken off" }),
            })
            .collect();
        println!("{}", json!(all));
        return Ok(());
    }
    let mut drawn = table(["backup", "state", "cluster", "finished", "rows", "bytes"]);
    for listed in &listed {
        let rest = |text: [String; 4]| text.map(comfy_table::Cell::new);
        let dash = || rest(["-", "-", "-", "-"].map(str::to_owned));
        let (state, rest) = match &listed.manifest {
            Some(Ok(manifest)) => (
                good_or_bad("complete", true),
                rest([
                    manifest.cluster.clone(),
                    manifest.finished.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
                    manifest.rows().to_string(),
                    size(manifest.bytes()),
                ]),
            ),
            Some(Err(_)) => (good_or_bad("damaged manifest", false), dash()),
            None => (good_or_bad("broken off", false), dash()),
        };
        drawn.add_row(
            [comfy_table::Cell::new(&listed.id), state]
                .into_iter()
                .chain(rest)
                .collect::<Vec<_>>(),
        );
    }
    println!("{drawn}");
    Ok(())
}

/// The one that was named, or the newest.
async fn chosen(place: &Place, id: Option<String>) -> Result<String, Failure> {
    match id {
        Some(id) => Ok(id),
        None => Ok(newest(place).await.map_err(failure)?.id),
    }
}

async fn look_through(arguments: BackupVerifyArguments) -> Result<(), Failure> {
    let place = Place::open(&arguments.from, false).map_err(failure)?;
    let id = chosen(&place, arguments.id).await?;
    let bar = bar("verifying");
    let verified = verify(&place, &id, &moves(bar.as_ref())).await;
    end(bar);
    let verified = verified.map_err(failure)?;
    let manifest = &verified.manifest;
    let damage: Vec<String> = verified.damage.iter().map(ToString::to_string).collect();
    if arguments.output == Output::Json {
        println!(
            "{}",
            json!({ "id": id, "whole": damage.is_empty(), "damage": damage, "backup": manifest })
        );
    }
    if !damage.is_empty() {
        let failed = Failure::failed(format!("{id} is damaged and cannot be restored"))
            .next("use an older backup, and make a new one: rotunda backup create");
        return Err(damage.into_iter().fold(failed, Failure::detail));
    }
    if arguments.output == Output::Table {
        println!("{}", groups(manifest));
        println!(
            "{id}: whole. {} chunks match their checksums, and the rows of all {} groups their state hashes",
            manifest.groups.iter().map(|group| group.chunks.len()).sum::<usize>(),
            manifest.groups.len()
        );
    }
    Ok(())
}

async fn write(arguments: BackupRestoreArguments) -> Result<(), Failure> {
    let nodes: BTreeMap<u32, String> = arguments.nodes.iter().cloned().collect();
    if nodes.len() < arguments.nodes.len() {
        return Err(Failure::usage("a node is named twice").next("give each id once: --node 1=URL --node 2=URL"));
    }
    let place = Place::open(&arguments.from, false).map_err(failure)?;
    let id = chosen(&place, arguments.id).await?;
    let keys = arguments.encryption_keys.as_deref().map(Keys::from_file);
    let keys = keys.transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let new = NewCluster {
        keys: keys.map(Arc::new),
        cluster: arguments.cluster,
        nodes,
        replication: arguments.replication,
        into: arguments.into,
        only: arguments.only,
    };
    let bar = bar("restoring");
    let restored = restore(&place, &id, &new, &moves(bar.as_ref())).await;
    end(bar);
    let restored = restored.map_err(failure)?;
    if arguments.output == Output::Json {
        println!(
            "{}",
            json!({
                "id": id,
                "cluster": new.cluster,
                "directories": restored.directories,
                "meta_state_hash": restored.meta_hash,
                "backup": restored.manifest,
            })
        );
        return Ok(());
    }
    println!("{}", groups(&restored.manifest));
    for (node, directory) in &restored.directories {
        println!("node {node}: {}", directory.display());
    }
    println!(
        "Start each node on its directory with --cluster {} and every --peer as above. The routers of the old cluster must not \
         be led here: give routers the new nodes' addresses.",
        new.cluster
    );
    Ok(())
}
