//! `rotunda log`: what processes log, and other levels from now on, by `/log` on their admin ports.
//!
//! Which processes there are a router says. Each is asked for itself, so one that does not answer keeps nobody else's log as it
//! was; the exit code tells.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{LogArguments, LogCommand, LogSubject, Output};
use crate::door::Door;
use crate::failure::Failure;
use crate::health;
use crate::paint;

const DEADLINE: Duration = Duration::from_secs(3);

/// What is done to each log.
enum Change {
    Show,
    Set(String),
    Reset,
}

/// Runs the command.
pub(crate) async fn run(arguments: LogArguments) -> Result<(), Failure> {
    let (subject, change) = match arguments.command {
        LogCommand::Show(show) => (show.subject, Change::Show),
        LogCommand::Set(set) => (set.subject, Change::Set(set.levels)),
        LogCommand::Reset(reset) => (reset.subject, Change::Reset),
    };
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .map_err(|error| Failure::failed(format!("no HTTP client: {error}")))?;
    let mut shown = Vec::new();
    let mut failure = None;
    for admin in processes(&subject).await? {
        match changed(&http, &admin, &change).await {
            Ok(levels) => {
                shown.push(json!({ "admin": admin, "filter": levels["filter"], "configured": levels["configured"] }))
            }
            // The others are still asked.
            Err(error) => failure = Some(error),
        }
    }
    match subject.output {
        Output::Json => println!("{:#}", json!({ "logs": shown })),
        Output::Table => println!("{}", table(&shown)),
    }
    failure.map_or(Ok(()), Err)
}

/// Admin URLs: those that are named, else all that a router knows.
async fn processes(subject: &LogSubject) -> Result<Vec<String>, Failure> {
    if !subject.at.is_empty() {
        return subject.at.iter().map(|admin| health::base(admin)).collect();
    }
    let door = Door::from_arguments(&subject.door)?;
    let cluster = door.cluster().await;
    let cluster = cluster.map_err(|error| error.into_failure(&door, "asking for nodes and routers"))?;
    let listed = ["nodes", "routers"].map(|kind| cluster.get(kind).and_then(Value::as_array).into_iter().flatten());
    let admins = listed
        .into_iter()
        .flatten()
        .filter_map(|process| process.get("admin")?.as_str());
    Ok(admins.map(str::to_owned).collect())
}

async fn changed(http: &reqwest::Client, admin: &str, change: &Change) -> Result<Value, Failure> {
    match change {
        Change::Show => asked(http, Method::GET, admin, None).await,
        Change::Reset => asked(http, Method::DELETE, admin, None).await,
        Change::Set(levels) => {
            let now = asked(http, Method::GET, admin, None).await?;
            let filter = merged(now["filter"].as_str().unwrap_or_default(), levels);
            asked(http, Method::PUT, admin, Some(json!({ "filter": filter }))).await
        }
    }
}

async fn asked(http: &reqwest::Client, method: Method, admin: &str, body: Option<Value>) -> Result<Value, Failure> {
    let url = format!("{admin}/log");
    let mut request = http.request(method, &url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answered = async {
        let response = request.send().await?;
        Ok::<_, reqwest::Error>((response.status(), response.text().await?))
    };
    let (status, text) = answered.await.map_err(|error| {
        Failure::unreachable(format!("no answer from {url}: {}", health::cause(&error)))
            .next("check that the process runs, and that its admin port can be reached from here; --at names one")
    })?;
    if !status.is_success() {
        return Err(Failure::failed(format!("{url} says {status}: {}", text.trim())));
    }
    serde_json::from_str(&text).map_err(|error| {
        Failure::failed(format!("{url} answers what is no level of a log: {error}"))
            .next("is it the admin port of a node or a router, of this version?")
    })
}

/// The filter with these levels in place of those of the same parts.
fn merged(filter: &str, levels: &str) -> String {
    let parts = |text: &str| -> Vec<String> {
        let parts = text.split(',').map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    let part_of = |directive: &str| directive.split_once('=').map(|(part, _)| part.to_owned());
    let wanted = parts(levels);
    let mut merged = parts(filter);
    merged.retain(|known| wanted.iter().all(|wanted| part_of(wanted) != part_of(known)));
    merged.extend(wanted);
    merged.join(",")
}

fn table(logs: &[Value]) -> comfy_table::Table {
    let mut table = paint::table(["process", "logs", "its settings say"]);
    for log in logs {
        let text = |name: &str| log[name].as_str().unwrap_or_default().to_owned();
        table.add_row(vec![text("admin"), text("filter"), text("configured")]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_takes_the_place_of_that_of_the_same_part() {
        for (filter, levels, expected) in [
            ("info", "node=debug", "info,node=debug"),
            ("info,node=debug", "node=trace", "info,node=trace"),
            ("info,node=debug", "warn", "node=debug,warn"),
            ("info, raft=error", "raft=debug,debug", "raft=debug,debug"),
            ("", "info", "info"),
        ] {
            assert_eq!(merged(filter, levels), expected);
        }
    }
}
