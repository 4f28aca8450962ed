//! Visitors and checks for a cluster that somebody else runs and breaks: all it takes is a router's address. With addresses
//! of nodes, the logs are read too; without, what cannot be judged is said.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use rotunda_protocol::client::{ClientConfig, ClusterClient};
use rotunda_protocol::dial::{Secured, Tcp};
use rotunda_tls::files::Files;
use rotunda_tls::mutual::Trust;
use tokio::time::Instant;

use super::notes::{Counts, Notes};
use crate::audit::Observer;
use crate::history::Recorder;
use crate::history::lines::{Header, VERSION};
use crate::history::reader::Saved;
use crate::history::visitors::Venues;
use crate::invariants::{self, Verdict};
use crate::report::html;
use crate::selling::{self, Manner, Selling};
use crate::visitor::{Request, Visitor};

/// How often what visitors remember is saved, and logs are read.
const SAVE: Duration = Duration::from_secs(1);
/// How long the nodes may take to tell the shard map.
const MAP: Duration = Duration::from_secs(10);

/// What to attach to.
#[derive(Clone, Debug)]
pub struct Attach {
    /// The router's door.
    pub door: String,
    /// Nodes' gRPC addresses; may be none.
    pub nodes: Vec<String>,
    /// Folder with a client's certificate, where nodes ask for one.
    pub certs: Option<PathBuf>,
    /// How long.
    pub span: Duration,
    /// Visitors at once.
    pub visitors: usize,
    /// The run's own folder, which is there and empty.
    pub folder: PathBuf,
    /// What repeats it.
    pub command: String,
}

/// What it came to.
#[derive(Debug)]
pub struct Attached {
    /// Requests.
    pub counts: Counts,
    /// What each invariant says.
    pub verdicts: Vec<Verdict>,
    /// What could not be looked at, and why.
    pub not_covered: Vec<String>,
}

/// Sends visitors for the time, and audits what they were told.
///
/// # Errors
/// Where nobody answers at the door, nothing is for sale, or the folder cannot be written.
pub async fn run(attach: &Attach) -> Result<Attached, String> {
    let door = attach.door.trim_end_matches('/').to_owned();
    let visitor = Visitor::new(&door);
    let answer = visitor.send(&Request::get("/v1/venues?limit=200")).await;
    match answer {
        Ok(answer) if answer.is_success() => {}
        Ok(answer) => return Err(format!("{door}/v1/venues answers {}: {}", answer.status, answer.code())),
        Err(error) => return Err(format!("nobody answers at {door}: {error}")),
    }
    let day = |days: i64| {
        (Timestamp::now() + (days * 24).hours())
            .strftime("%Y-%m-%d")
            .to_string()
    };
    let offers = selling::offers(&visitor, &day(2), &day(9)).await;
    let Some(hot) = offers.first().cloned() else {
        return Err(format!(
            "nothing is for sale at {door} between {} and {}",
            day(2),
            day(9)
        ));
    };
    let history = attach.folder.join("history.jsonl");
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", history.display());
    let notes = Notes::begin(&history, header(attach)).map_err(|error| failed(&error))?;
    let mut not_covered = Vec::new();
    let client = match nodes(attach).await {
        Ok(client) => Some(client),
        Err(why) => {
            not_covered.push(format!("the logs and states of the replicas: {why}"));
            None
        }
    };
    let mut venues = Venues::new();
    if let Some(client) = &client {
        let map = client.map();
        venues.extend(map.venues().iter().map(|venue| (venue.slug.clone(), venue.number)));
    }
    let recorder = Recorder::default();
    // Without a token of the staff nobody stands at a gate.
    let (visitors, living) = (attach.visitors, Manner::Living);
    let selling = Selling::start_with(recorder.clone(), &door, None, visitors, living, &hot, &offers);
    let mut observer = Observer::default();
    let end = Instant::now() + attach.span;
    while Instant::now() < end {
        tokio::time::sleep(SAVE.min(end - Instant::now())).await;
        if let Some(client) = &client {
            observer.read(client).await;
        }
        notes.save(&recorder, &venues);
    }
    selling.stop().await;
    notes.save(&recorder, &venues);
    if let Some(client) = &client {
        observer.read(client).await;
    }
    notes.add(&observer.into_saved());
    notes.end()?;
    let file = File::open(&history).map_err(|error| failed(&error))?;
    let saved = Saved::read(BufReader::new(file)).map_err(|error| failed(&error))?;
    let verdicts = invariants::check(&saved).map_err(|error| failed(&error))?;
    let page = attach.folder.join("report.html");
    fs::write(&page, html::page(&saved, &verdicts)).map_err(|error| format!("{}: {error}", page.display()))?;
    not_covered.push("healing (I12): who breaks the cluster knows when it is whole again".to_owned());
    Ok(Attached {
        counts: notes.counts(),
        verdicts,
        not_covered,
    })
}

async fn nodes(attach: &Attach) -> Result<ClusterClient, String> {
    if attach.nodes.is_empty() {
        return Err("no node's address was given: name some with --node http://HOST:PORT".to_owned());
    }
    let dial = match &attach.certs {
        Some(folder) => Secured::with(Trust::read(Files::within(folder)).map_err(|problem| problem.to_string())?),
        None => Tcp::shared(),
    };
    let client = ClusterClient::connect(ClientConfig {
        seeds: attach.nodes.clone(),
        dial,
        ..ClientConfig::default()
    });
    match client.ready(Instant::now() + MAP).await {
        Ok(()) => Ok(client),
        Err(error) => Err(format!(
            "none of {} tells the shard map: {error}",
            attach.nodes.join(", ")
        )),
    }
}

fn header(attach: &Attach) -> Header {
    Header {
        version: VERSION,
        name: "attach".to_owned(),
        command: attach.command.clone(),
        environment: BTreeMap::from([
            ("router".to_owned(), attach.door.clone()),
            ("nodes".to_owned(), attach.nodes.join(", ")),
            ("visitors".to_owned(), attach.visitors.to_string()),
            ("began".to_owned(), Timestamp::now().to_string()),
        ]),
        others: true,
        ..Header::default()
    }
}
