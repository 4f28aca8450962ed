//! `--ready-file`: what programs need to use the demo, written in one move once bookings work.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::fleet::{Fleet, Kind};
use crate::failure::Failure;

#[derive(Serialize)]
struct Ready<'a> {
    router: String,
    token: &'a str,
    nodes: Vec<ReadyNode>,
    routers: Vec<ReadyRouter>,
}

#[derive(Serialize)]
struct ReadyNode {
    id: u32,
    /// `null` while it is dead.
    pid: Option<u32>,
    grpc: String,
    admin: String,
    data: String,
}

#[derive(Serialize)]
struct ReadyRouter {
    pid: Option<u32>,
    http: String,
    admin: String,
}

/// Writes the file. Readers see the whole of it or none: it is renamed into place.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn write(path: &Path, fleet: &Fleet, token: &str) -> Result<(), Failure> {
    let ready = Ready {
        router: fleet
            .of_kind(Kind::Router)
            .next()
            .map(|member| member.plan.url())
            .unwrap_or_default(),
        token,
        nodes: fleet
            .of_kind(Kind::Node)
            .map(|member| ReadyNode {
                id: member.plan.id,
                pid: member.pid(),
                grpc: member.plan.url(),
                admin: member.plan.admin_url(),
                data: member
                    .plan
                    .data
                    .as_deref()
                    .unwrap_or(Path::new(""))
                    .display()
                    .to_string(),
            })
            .collect(),
        routers: fleet
            .of_kind(Kind::Router)
            .map(|member| ReadyRouter {
                pid: member.pid(),
                http: member.plan.url(),
                admin: member.plan.admin_url(),
            })
            .collect(),
    };
    put(path, &ready).map_err(|error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
            .next("name a file in a folder that exists and that you may write to: --ready-file FILE")
    })
}

fn put(path: &Path, ready: &Ready<'_>) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, ready)?;
    file.write_all(b"\n")?;
    file.persist(path)?;
    Ok(())
}
