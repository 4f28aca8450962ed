//! `rotunda token`: issues, lists and revokes the cluster's tokens, by the router's door.
//!
//! A request to issue is not repeated by itself: its answer has the secret, which nobody can ask for again.

use serde_json::{Value, json};

use crate::args::{Output, TokenArguments, TokenCommand};
use crate::door::{Door, DoorError};
use crate::failure::Failure;
use crate::paint;

/// Runs the command.
pub(crate) async fn run(arguments: TokenArguments) -> Result<(), Failure> {
    match arguments.command {
        TokenCommand::Create(create) => {
            let door = Door::from_arguments(&create.door)?;
            let grant = json!({
                "name": create.name, "role": create.role.as_str(), "network": create.network, "venues": create.venue,
            });
            let what = format!("issuing the token {}", create.name);
            let issued = door.create_token(grant.to_string()).await;
            let issued = issued.map_err(|error| unclear(error, &door, &what, &create.name))?;
            match create.output {
                Output::Json => println!("{issued:#}"),
                Output::Table => {
                    println!("{}", table(std::slice::from_ref(&issued)));
                    let secret = issued.get("secret").and_then(Value::as_str).unwrap_or("-");
                    println!("secret, shown this once: {secret}");
                }
            }
        }
        TokenCommand::List(list) => {
            let door = Door::from_arguments(&list.door)?;
            let tokens = door.tokens().await;
            let tokens = tokens.map_err(|error| error.into_failure(&door, "listing the tokens"))?;
            match list.output {
                Output::Json => println!("{tokens:#}"),
                Output::Table => {
                    let listed = tokens.get("tokens").and_then(Value::as_array);
                    println!("{}", table(listed.map_or(&[], Vec::as_slice)));
                }
            }
        }
        TokenCommand::Revoke(revoke) => {
            let door = Door::from_arguments(&revoke.door)?;
            let revoked = door.revoke_token(&revoke.name).await;
            let what = format!("revoking the token {}", revoke.name);
            let revoked = revoked.map_err(|error| error.into_failure(&door, &what))?;
            match revoke.output {
                Output::Json => println!("{revoked:#}"),
                Output::Table => println!("{}", table(&[revoked])),
            }
        }
    }
    Ok(())
}

/// Where no answer came, the token may be there, with a secret that nobody knows.
fn unclear(error: DoorError, door: &Door, what: &str, name: &str) -> Failure {
    let is_unclear = error.passing();
    let failure = error.into_failure(door, what);
    if is_unclear {
        failure.next(format!(
            "rotunda token list; where `{name}` is there, revoke it and issue one of another name"
        ))
    } else {
        failure
    }
}

fn table(tokens: &[Value]) -> comfy_table::Table {
    let mut table = paint::table(["token", "role", "network", "venues", "state", "issued", "revoked"]);
    for token in tokens {
        let field = |name: &str| token.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let from = |by: &str| {
            let name = by.replace("_by", "_from");
            let address = token.get(&name).and_then(Value::as_str);
            address.map_or_else(String::new, |address| format!(" from {address}"))
        };
        let mark = |by: &str, at: &str| match token.get(at).and_then(Value::as_str) {
            Some(at) => format!("{at} by {}{}", field(by), from(by)),
            None => "-".to_owned(),
        };
        let is_good = token.get("revoked_at").is_none_or(Value::is_null);
        let network = match token.get("network").and_then(Value::as_str) {
            Some(network) => network.to_owned(),
            None => if is_good { "all" } else { "-" }.to_owned(),
        };
        let venues: Vec<&str> = token
            .get("venues")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let venues = match (is_good, venues.is_empty()) {
            (true, true) => "all".to_owned(),
            (false, true) => "-".to_owned(),
            _ => venues.join("\n"),
        };
        table.add_row(vec![
            field("name").into(),
            field("role").into(),
            network.into(),
            venues.into(),
            paint::good_or_bad(if is_good { "good" } else { "revoked" }, is_good),
            mark("created_by", "created_at").into(),
            mark("revoked_by", "revoked_at").into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_token_is_shown_with_who_revoked_it() {
        let tokens = [
            json!({ "name": "gate-1", "role": "gate", "network": "meridian", "venues": ["lisbon-tides"], "created_by": "admin",
                    "created_at": "2027-01-15T10:00:00+00:00", "revoked_by": null, "revoked_at": null }),
            json!({ "name": "anna", "role": "counter", "venues": [], "created_by": "admin",
                    "created_at": "2027-01-15T10:00:00+00:00", "revoked_by": "max", "revoked_from": "192.0.2.7", "revoked_at": "2027-01-16T10:00:00+00:00" }),
        ];
        let text = table(&tokens).to_string();
        for wanted in [
            "meridian",
            "lisbon-tides",
            "good",
            "revoked",
            "2027-01-16T10:00:00+00:00 by max from 192.0.2.7",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }
}
