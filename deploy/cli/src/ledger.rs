//! `rotunda ledger verify`: pages through the ledgers of a running cluster and recomputes their chains.
//!
//! Each line has a digest of itself and of the line before, so one digest that somebody kept vouches for all before it. A
//! line fits where its number counts on, its postings sum to zero and its digest is the one that comes out here. What this
//! cannot see is a ledger that was written anew from some line to its end: for that, keep the last digest that was printed
//! and look for it again.

use serde::Deserialize;
use serde_json::json;

use rotunda_protocol::ledger::{Account, Channel, LedgerItem, LedgerLine, Posting, Reason, Timestamp, chain};

use crate::args::{LedgerArguments, LedgerCommand, Output, VerifyArguments};
use crate::door::Door;
use crate::failure::Failure;
use crate::paint;

/// Runs the command.
pub(crate) async fn run(arguments: LedgerArguments) -> Result<(), Failure> {
    match arguments.command {
        LedgerCommand::Verify(arguments) => verify(arguments).await,
    }
}

async fn verify(arguments: VerifyArguments) -> Result<(), Failure> {
    let door = Door::from_arguments(&arguments.door)?;
    let venues = match arguments.venue {
        Some(venue) => vec![venue],
        None => {
            let venues = door.venues().await;
            let venues = venues.map_err(|error| error.into_failure(&door, "listing the venues"))?;
            venues.into_iter().map(|venue| venue.id).collect()
        }
    };
    let mut verified = Vec::with_capacity(venues.len());
    for venue in venues {
        let chain = read(&door, &venue).await?;
        verified.push((venue, chain));
    }
    match arguments.output {
        Output::Json => println!("{:#}", report(&verified)),
        Output::Table => println!("{}", table(&verified)),
    }
    let broken: Vec<String> = verified
        .iter()
        .filter_map(|(venue, chain)| chain.misfit.as_ref().map(|misfit| format!("{venue}: {misfit}")))
        .collect();
    if broken.is_empty() {
        return Ok(());
    }
    let failure = Failure::failed("a ledger does not fit its own chain");
    Err(broken
        .into_iter()
        .fold(failure, Failure::detail)
        .next("leave the venue's data as it is, and compare that line with a backup or an export from before"))
}

/// Pages through one ledger, up to its end or its first line that does not fit.
async fn read(door: &Door, venue: &str) -> Result<Chain, Failure> {
    let mut chain = Chain::default();
    loop {
        let page: Page = door
            .ledger(venue, chain.lines)
            .await
            .map_err(|error| error.into_failure(door, &format!("reading the ledger of {venue}")))?;
        let is_last = page.data.is_empty() || !page.has_more;
        for line in page.data {
            if !chain.takes(line) {
                return Ok(chain);
            }
        }
        if is_last {
            return Ok(chain);
        }
    }
}

/// What was read of a ledger so far.
#[derive(Debug, Default)]
struct Chain {
    /// Lines that fit.
    lines: u64,
    /// Digest of the last of them; zeros where there is none.
    last: [u8; 32],
    /// What is wrong with the first line that does not.
    misfit: Option<String>,
}

impl Chain {
    /// Takes the next line; false where it does not fit.
    fn takes(&mut self, line: Line) -> bool {
        let expected = self.lines + 1;
        let number = line.number;
        let misfit = match LedgerLine::try_from(line) {
            Err(detail) => Some(format!("line {number} cannot be read: {detail}")),
            Ok(line) => self.misfit_of(&line, expected),
        };
        self.misfit = misfit;
        self.misfit.is_none()
    }

    fn misfit_of(&mut self, line: &LedgerLine, expected: u64) -> Option<String> {
        let number = line.number;
        if number != expected {
            return Some(format!("line {expected} is missing; line {number} stands in its place"));
        }
        let sum: i128 = line.postings.iter().map(|posting| i128::from(posting.amount)).sum();
        if sum != 0 {
            return Some(format!("the postings of line {number} sum to {sum}, not to zero"));
        }
        let digest = chain(&self.last, line);
        if digest != line.hash {
            return Some(format!(
                "line {number} has the digest {}, and {} comes out of it and the line before",
                hex(&line.hash),
                hex(&digest)
            ));
        }
        (self.lines, self.last) = (number, digest);
        None
    }
}

/// A page as the router answers it.
#[derive(Debug, Deserialize)]
struct Page {
    data: Vec<Line>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Debug, Deserialize)]
struct Line {
    number: u64,
    at: String,
    reason: String,
    booking: u64,
    channel: String,
    places: i64,
    items: Vec<Item>,
    postings: Vec<Entry>,
    hash: String,
}

#[derive(Debug, Deserialize)]
struct Item {
    product: String,
    unit: String,
    quantity: i64,
    total: i64,
    tax: i64,
}

#[derive(Debug, Deserialize)]
struct Entry {
    item: u16,
    account: String,
    amount: i64,
}

impl TryFrom<Line> for LedgerLine {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let unknown =
            |what: &str, text: &str| format!("this command knows no {what} `{text}`; use one as new as the cluster");
        let posting = |entry: &Entry| {
            let account = Account::ALL.iter().find(|account| account.as_str() == entry.account);
            Ok(Posting {
                item: entry.item,
                account: *account.ok_or_else(|| unknown("account", &entry.account))?,
                amount: entry.amount,
            })
        };
        let postings: Result<Vec<Posting>, String> = line.postings.iter().map(posting).collect();
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == line.reason);
        let items = line.items.into_iter().map(|item| LedgerItem {
            product: item.product,
            unit: item.unit,
            quantity: item.quantity,
            total: item.total,
            tax: item.tax,
        });
        Ok(Self {
            number: line.number,
            at: Timestamp::parse_rfc3339(&line.at).map_err(|error| error.to_string())?,
            reason: *reason.ok_or_else(|| unknown("reason", &line.reason))?,
            booking: line.booking,
            channel: channel(&line.channel).ok_or_else(|| unknown("channel", &line.channel))?,
            places: line.places,
            items: items.collect(),
            postings: postings?,
            hash: unhex(&line.hash).ok_or("its digest is not 64 hexadecimal digits")?,
        })
    }
}

fn channel(name: &str) -> Option<Channel> {
    Some(match name {
        "web" => Channel::Web,
        "kiosk" => Channel::Kiosk,
        "counter" => Channel::Counter,
        "reseller" => Channel::Reseller,
        "phone" => Channel::Phone,
        _ => return None,
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn report(verified: &[(String, Chain)]) -> serde_json::Value {
    let venues = verified.iter().map(|(venue, chain)| {
        json!({
            "venue": venue,
            "fits": chain.misfit.is_none(),
            "lines": chain.lines,
            "last_hash": hex(&chain.last),
            "misfit": chain.misfit,
        })
    });
    json!({ "venues": venues.collect::<Vec<_>>() })
}

fn table(verified: &[(String, Chain)]) -> comfy_table::Table {
    let mut table = paint::table(["venue", "fits", "lines that fit", "digest of the last"]);
    for (venue, chain) in verified {
        let fits = if chain.misfit.is_none() { "yes" } else { "NO" };
        table.add_row([
            venue.clone(),
            fits.to_owned(),
            chain.lines.to_string(),
            hex(&chain.last),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Three sales, as the router shows them.
    fn page() -> serde_json::Value {
        let mut before = [0; 32];
        let lines = (1..=3).map(|number| {
            let mut line = LedgerLine {
                number,
                at: Timestamp(1_800_000_000_123 + number as i64),
                reason: Reason::Sale,
                booking: number,
                channel: Channel::Web,
                places: 1,
                items: vec![LedgerItem {
                    product: "general".to_owned(),
                    unit: "adult".to_owned(),
                    quantity: 1,
                    total: 1400,
                    tax: 79,
                }],
                postings: [(Account::Takings, 1400), (Account::Sales, -1321), (Account::Tax, -79)]
                    .map(|(account, amount)| Posting {
                        item: 0,
                        account,
                        amount,
                    })
                    .to_vec(),
                hash: [0; 32],
            };
            line.hash = chain(&before, &line);
            before = line.hash;
            let posting = |posting: &Posting| {
                json!({ "item": posting.item, "account": posting.account.as_str(), "amount": posting.amount })
            };
            json!({
                "number": number, "at": line.at.to_rfc3339(0), "reason": "sale", "booking": number, "channel": "web",
                "places": 1, "postings": line.postings.iter().map(posting).collect::<Vec<_>>(),
                "items": [{ "product": "general", "unit": "adult", "quantity": 1, "total": 1400, "tax": 79 }],
                "hash": hex(&line.hash),
            })
        });
        json!(lines.collect::<Vec<_>>())
    }

    fn verified(lines: serde_json::Value) -> Chain {
        let mut chain = Chain::default();
        let lines: Vec<Line> = serde_json::from_value(lines).unwrap();
        let _ = lines.into_iter().all(|line| chain.takes(line));
        chain
    }

    #[test]
    fn a_ledger_that_nobody_touched_fits() {
        let chain = verified(page());
        assert_eq!((chain.lines, chain.misfit), (3, None));
    }

    #[test]
    fn the_first_line_that_does_not_fit_is_named() {
        let changes: [(&str, serde_json::Value, &str); 5] = [
            ("/1/items/0/total", json!(1300), "line 2 has the digest"),
            ("/1/at", json!("2027-01-15T08:00:00.126+00:00"), "line 2 has the digest"),
            ("/1/postings/0/amount", json!(1401), "the postings of line 2 sum to 1"),
            ("/1/number", json!(3), "line 2 is missing"),
            ("/1/reason", json!("gift"), "line 2 cannot be read"),
        ];
        for (place, value, says) in changes {
            let mut lines = page();
            *lines.pointer_mut(place).unwrap() = value;
            let chain = verified(lines);
            let misfit = chain.misfit.unwrap();
            assert!(chain.lines == 1 && misfit.starts_with(says), "{place}: {misfit}");
        }
    }

    #[test]
    fn a_line_that_was_taken_out_is_missed() {
        let mut lines = page();
        lines.as_array_mut().unwrap().remove(0);
        assert_eq!(
            verified(lines).misfit.as_deref(),
            Some("line 1 is missing; line 2 stands in its place")
        );
    }
}
