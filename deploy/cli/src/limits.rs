//! `rotunda limits`: the quotas of the cluster, by the router's door.
//!
//! The door takes all quotas of the cluster at once. To change one, those that there are are read, changed and sent back: two
//! operators who do so at the same moment may undo each other's, which the table that is printed then shows.

use serde_json::{Value, json};

use crate::args::{LimitSubject, LimitsArguments, LimitsCommand, Output};
use crate::door::Door;
use crate::failure::Failure;
use crate::paint;

/// Runs the command.
pub(crate) async fn run(arguments: LimitsArguments) -> Result<(), Failure> {
    let (limits, output) = match arguments.command {
        LimitsCommand::Show(show) => (read(&Door::from_arguments(&show.door)?).await?, show.output),
        LimitsCommand::Set(set) => {
            let mut limit = subject(&set.subject);
            if limit == json!({}) {
                return Err(
                    Failure::usage("a quota is of a role, of a class of routes, or of a venue")
                        .next("rotunda limits set --role visitor --routes hold --quota 5/1s"),
                );
            }
            let door = Door::from_arguments(&set.door)?;
            let mut limits = of_cluster(&read(&door).await?);
            limits.retain(|known| !is_of(known, &limit));
            limit["quota"] = set.quota.into();
            limits.push(limit);
            (write(&door, &limits).await?, set.output)
        }
        LimitsCommand::Reset(reset) => {
            let door = Door::from_arguments(&reset.door)?;
            let limit = subject(&reset.subject);
            let limits = if limit == json!({}) {
                let limits = door.reset_limits().await;
                limits.map_err(|error| error.into_failure(&door, "taking the quotas back"))?
            } else {
                let before = of_cluster(&read(&door).await?);
                let after: Vec<Value> = before.iter().filter(|known| !is_of(known, &limit)).cloned().collect();
                if after.len() == before.len() {
                    return Err(Failure::failed("the cluster has no such quota").next("rotunda limits show"));
                }
                write(&door, &after).await?
            };
            (limits, reset.output)
        }
    };
    match output {
        Output::Json => println!("{limits:#}"),
        Output::Table => println!("{}", table(&limits)),
    }
    Ok(())
}

async fn read(door: &Door) -> Result<Value, Failure> {
    let limits = door.limits().await;
    limits.map_err(|error| error.into_failure(door, "reading the quotas"))
}

async fn write(door: &Door, limits: &[Value]) -> Result<Value, Failure> {
    let set = door.set_limits(json!({ "limits": limits }).to_string()).await;
    set.map_err(|error| error.into_failure(door, "setting the quotas"))
}

/// What the arguments name, as the door writes it.
fn subject(subject: &LimitSubject) -> Value {
    let mut limit = json!({});
    for (name, value) in [
        ("role", &subject.role),
        ("routes", &subject.routes),
        ("venue", &subject.venue),
    ] {
        if let Some(value) = value {
            limit[name] = value.as_str().into();
        }
    }
    limit
}

fn is_of(known: &Value, subject: &Value) -> bool {
    ["role", "routes", "venue"]
        .iter()
        .all(|name| known.get(name).and_then(Value::as_str) == subject.get(name).and_then(Value::as_str))
}

/// Those in force that are the cluster's, as they are sent.
fn of_cluster(limits: &Value) -> Vec<Value> {
    let listed = limits.get("limits").and_then(Value::as_array).into_iter().flatten();
    let own = listed.filter(|limit| limit.get("origin").and_then(Value::as_str) == Some("cluster"));
    let sent = own.map(|limit| {
        let mut limit = limit.clone();
        if let Some(members) = limit.as_object_mut() {
            members.remove("origin");
        }
        limit
    });
    sent.collect()
}

fn table(limits: &Value) -> comfy_table::Table {
    let mut table = paint::table(["of", "routes", "quota", "from"]);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    for limit in limits.get("limits").and_then(Value::as_array).into_iter().flatten() {
        let of = match (text(limit.get("venue")), text(limit.get("role"))) {
            (Some(venue), _) => format!("all callers of {venue}"),
            (None, Some(role)) => role,
            (None, None) => "everybody".to_owned(),
        };
        let origin = match (text(limit.get("origin")).as_deref(), text(limits.get("set_by"))) {
            (Some("cluster"), Some(by)) => {
                let at = text(limits.get("set_at")).unwrap_or_default();
                let from = text(limits.get("set_from")).map_or_else(String::new, |from| format!(" from {from}"));
                format!("cluster, last set {at} by {by}{from}")
            }
            _ => "settings".to_owned(),
        };
        table.add_row(vec![
            of,
            text(limit.get("routes")).unwrap_or_else(|| "all".to_owned()),
            text(limit.get("quota")).unwrap_or_default(),
            origin,
        ]);
    }
    for (of, name) in [
        ("any other token", "rate_limit_token"),
        ("any other address", "rate_limit"),
        ("the router's own machine", "rate_limit_loopback"),
        ("all callers of any other venue", "rate_limit_venue"),
    ] {
        let quota = text(limits.get(name)).unwrap_or_default();
        table.add_row(vec![of.to_owned(), "all".to_owned(), quota, "settings".to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Value {
        json!({
            "rate_limit": "20/2000ms", "rate_limit_token": "100000/10000ms", "rate_limit_loopback": "off",
            "rate_limit_venue": "off", "set_by": "admin", "set_at": "2027-01-15T10:00:00+00:00",
            "limits": [
                { "role": "visitor", "routes": "hold", "venue": null, "quota": "5/1000ms", "origin": "cluster" },
                { "role": "kiosk", "routes": null, "venue": null, "quota": "50/1000ms", "origin": "settings" },
                { "role": null, "routes": null, "venue": "lisbon-tides", "quota": "off", "origin": "cluster" }
            ]
        })
    }

    #[test]
    fn only_the_clusters_own_are_sent_back() {
        let own = of_cluster(&shown());
        assert_eq!(own.len(), 2);
        assert!(own.iter().all(|limit| limit.get("origin").is_none()));
        assert!(is_of(&own[0], &json!({ "role": "visitor", "routes": "hold" })));
        assert!(!is_of(&own[0], &json!({ "role": "visitor" })));
        assert!(is_of(&own[1], &json!({ "venue": "lisbon-tides" })));
    }

    #[test]
    fn the_table_says_where_each_comes_from() {
        let text = table(&shown()).to_string();
        for wanted in [
            "all callers of lisbon-tides",
            "by admin",
            "settings",
            "any other token",
            "20/2000ms",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }
}
