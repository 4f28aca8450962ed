//! `rotunda certs`: a cluster's own authority, in a folder. It asks no server; what it makes is copied to machines by whatever
//! copies settings there.

use std::path::Path;

use jiff::Timestamp;
use rotunda_tls::authority::{Authority, AuthorityError, Holder, Holding, LEAF_DAYS};
use rotunda_tls::identity::Role;
use serde::Serialize;

use crate::args::{CertsArguments, CertsCommand, HolderArguments, HolderCommand, Output, RotateArguments};
use crate::failure::Failure;
use crate::paint;

const DAY_SECONDS: i64 = 86_400;

/// What lasts less long is shown in red: the alert says so then too.
const SOON_DAYS: i64 = 14;

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        Failure::failed(error.problem).next(error.next)
    }
}

/// Runs the command.
pub(crate) fn run(arguments: CertsArguments) -> Result<(), Failure> {
    match arguments.command {
        CertsCommand::Init {
            dir,
            cluster,
            nodes,
            routers,
            if_missing,
        } => {
            let nodes = (1..=nodes).map(Role::Node);
            let routers = (1..=routers).map(|id| Role::Router(id.to_string()));
            init(&dir, &cluster, if_missing, nodes.chain(routers))
        }
        CertsCommand::Add(add) => self::add(add),
        CertsCommand::Rotate(rotate) => self::rotate(&rotate),
        CertsCommand::Show { folder, output } => show(&Authority::open(&folder.dir)?, output),
    }
}

fn init(folder: &Path, cluster: &str, if_missing: bool, with: impl Iterator<Item = Role>) -> Result<(), Failure> {
    let authority = match Authority::open(folder) {
        Ok(there) if if_missing && there.cluster().eq_ignore_ascii_case(cluster) => there,
        Ok(there) if if_missing => {
            let other = format!(
                "{} has the authority of {}, not of {cluster}",
                folder.display(),
                there.cluster()
            );
            return Err(Failure::failed(other).next("name another folder"));
        }
        _ => Authority::found(folder, cluster)?,
    };
    for role in with {
        let holder = Holder::Process(role);
        if !authority.folder_of(&holder).exists() {
            authority.add(&holder, &[], LEAF_DAYS)?;
            println!("{holder} has {}", authority.folder_of(&holder).display());
        }
    }
    println!(
        "the authority of {} is in {}: keep its folder `authority` to yourself",
        authority.cluster(),
        folder.display()
    );
    println!(
        "next: rotunda certs show --dir {0}, or rotunda certs add --dir {0}",
        folder.display()
    );
    Ok(())
}

fn add(arguments: HolderArguments) -> Result<(), Failure> {
    let (holder, more) = match arguments.holder {
        HolderCommand::Node { id, more } => (Holder::Process(Role::Node(id)), more),
        HolderCommand::Router { name, more } => (Holder::Process(Role::Router(name)), more),
        HolderCommand::Client { name, more } => (Holder::Process(Role::Client(name)), more),
        HolderCommand::Door { name, more } => (Holder::Door(name), more),
    };
    let addresses = more.ip.iter().map(ToString::to_string);
    let names: Vec<String> = more.dns.iter().cloned().chain(addresses).collect();
    let made = Authority::open(&more.folder.dir)?.add(&holder, &names, more.days)?;
    println!("{holder} has {}: copy that folder to its machine", made.display());
    Ok(())
}

fn rotate(arguments: &RotateArguments) -> Result<(), Failure> {
    let mut authority = Authority::open(&arguments.folder.dir)?;
    let folder = arguments.folder.dir.display();
    if arguments.ca {
        authority.succeed()?;
        println!("a new authority signs from now on; the ca.pem of all holds both");
        println!("next: copy the folders to their machines, then rotunda certs rotate --dir {folder}");
    } else if arguments.retire_ca {
        authority.retire()?;
        println!("the ca.pem of all holds the newest authority alone; copy the folders to their machines");
    } else {
        let renewed = authority.renew()?;
        println!("made anew: {}", renewed.join(", "));
        let left = authority
            .show()?
            .iter()
            .filter(|shown| shown.name == "authority")
            .count();
        println!("next: copy the folders to their machines");
        if left > 1 {
            println!("then: rotunda certs rotate --retire-ca --dir {folder}");
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    names: &'a [String],
    not_before: String,
    not_after: String,
    days_left: i64,
    /// Whether the authority that signs now has signed it.
    current: bool,
}

impl<'a> Shown<'a> {
    fn of(holding: &'a Holding, now: Timestamp) -> Self {
        Self {
            name: &holding.name,
            names: &holding.names,
            not_before: holding.not_before.to_string(),
            not_after: holding.not_after.to_string(),
            days_left: (holding.not_after.as_second() - now.as_second()).div_euclid(DAY_SECONDS),
            current: holding.is_current,
        }
    }
}

fn show(authority: &Authority, output: Output) -> Result<(), Failure> {
    let now = Timestamp::now();
    let holdings = authority.show()?;
    let shown: Vec<Shown> = holdings.iter().map(|holding| Shown::of(holding, now)).collect();
    match output {
        Output::Json => {
            let whole = serde_json::json!({ "cluster": authority.cluster(), "certificates": shown });
            println!("{whole:#}");
        }
        Output::Table => {
            let mut table = paint::table(["CERTIFICATE", "GOOD UNTIL", "DAYS LEFT", "AUTHORITY", "NAMES"]);
            for line in &shown {
                table.add_row([
                    line.name.into(),
                    line.not_after.as_str().into(),
                    paint::good_or_bad(line.days_left, line.days_left >= SOON_DAYS),
                    paint::good_or_bad(if line.current { "newest" } else { "older" }, line.current),
                    line.names.join(" ").into(),
                ]);
            }
            println!("{table}");
        }
    }
    Ok(())
}
