//! From what visitors of a real cluster remember to the lines of a saved history.

use std::collections::BTreeMap;
use std::time::Instant;

use rotunda_booking::ids::VenueNo;
use rotunda_protocol::client::LogEntry;

use super::answers::{Asked, Told};
use super::keys::{command_key, scan_key};
use super::lines::{Act, Ended, LogLine, Op, digest};
use super::text::{Bytes, Digest};
use super::{Deed, History, Record};
use crate::visitor::{Answer, Fate};

/// The numbers that the shard map gives to venues.
pub type Venues = BTreeMap<String, VenueNo>;

impl From<Deed> for Act {
    fn from(deed: Deed) -> Self {
        match deed {
            Deed::Hold => Act::Hold,
            Deed::Confirm => Act::Confirm,
            Deed::Release => Act::Release,
            Deed::Extend => Act::Extend,
            Deed::Cancel => Act::Cancel,
            Deed::Rebook => Act::Rebook,
            Deed::Admit => Act::Admit,
            Deed::Merge => Act::Merge,
        }
    }
}

impl History {
    /// When the first request was sent; none where nothing was.
    #[must_use]
    pub fn began(&self) -> Option<Instant> {
        let settled = self.records.iter().map(|record| record.settled.invoked);
        let turned = self.turned_away.iter().map(|turned| turned.invoked);
        settled.chain(turned).min()
    }

    /// All of it as lines, their times counted from `epoch`. A venue without a number gives lines without a command key,
    /// which the checks cannot look up in the log.
    #[must_use]
    pub fn operations(&self, venues: &Venues, epoch: Instant) -> Vec<Op> {
        let nanos = |at: Instant| u64::try_from(at.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX);
        let op = |client: String, deed: Deed, key: &str, venue: &str, invoked: Instant, returned: Instant| {
            let number = venues.get(venue).copied();
            // A scan's key is its device and number, and a batch of them has none.
            let known = number.filter(|_| !matches!(deed, Deed::Admit | Deed::Merge));
            let command = known.map(|number| Digest(command_key(deed, number, key).0));
            Op {
                key: Some(key.to_owned()),
                command,
                returned_ns: nanos(returned),
                ..Op::asked(client, deed.into(), Asked::default(), nanos(invoked))
            }
        };
        let mut by_key: BTreeMap<&str, &Record> = BTreeMap::new();
        let mut operations = Vec::with_capacity(self.records.len() + self.replays.len() + self.turned_away.len());
        for record in &self.records {
            by_key.insert(&record.key, record);
            let settled = &record.settled;
            let client = record.client.clone();
            let sent = op(
                client,
                record.deed,
                &record.key,
                &record.venue,
                settled.invoked,
                settled.returned,
            );
            let sent = Op {
                attempts: settled.attempts,
                ..asking(sent, record, venues)
            };
            operations.push(match &settled.fate {
                Fate::Answered(answer) => answered(sent, answer),
                Fate::Unknown => sent,
            });
        }
        for replay in &self.replays {
            let Some(record) = by_key.get(replay.key.as_str()) else {
                continue;
            };
            let client = format!("{}/again", record.client);
            let sent = op(
                client,
                record.deed,
                &record.key,
                &record.venue,
                replay.invoked,
                replay.returned,
            );
            operations.push(answered(asking(sent, record, venues), &replay.again));
        }
        for (number, turned) in self.turned_away.iter().enumerate() {
            let client = format!("turned away {number}");
            let sent = op(
                client,
                turned.deed,
                &turned.key,
                &turned.venue,
                turned.invoked,
                turned.returned,
            );
            operations.push(Op {
                outcome: Ended::Fail,
                status: Some(turned.status),
                ..sent
            });
        }
        for read in &self.reads {
            let asked = Asked {
                venue: Some(read.venue.clone()),
                booking: read.booking.as_deref().and_then(|id| id.parse().ok()),
                ..Asked::default()
            };
            let op = Op::asked(read.client.clone(), read.act, asked, nanos(read.settled.invoked));
            let sent = Op {
                returned_ns: nanos(read.settled.returned),
                attempts: read.settled.attempts,
                ..op
            };
            operations.push(match &read.settled.fate {
                Fate::Answered(answer) => answered(sent, answer),
                Fate::Unknown => sent,
            });
        }
        operations.sort_by_key(|op| op.invoked_ns);
        operations
    }
}

/// The operation with what was asked for; a scan with its key.
fn asking(sent: Op, record: &Record, venues: &Venues) -> Op {
    let request = asked(record);
    let venue = venues.get(&record.venue);
    let scan = request.scan.as_ref().zip(venue);
    let scan = scan.map(|(scan, venue)| Digest(scan_key(*venue, &scan.device, scan.device_seq).0));
    Op {
        command: sent.command.or(scan),
        request,
        ..sent
    }
}

fn asked(record: &Record) -> Asked {
    let body = record.request.clone().unwrap_or_default();
    let asked = match record.deed {
        Deed::Admit => Asked {
            scan: serde_json::from_value(body).ok(),
            ..Asked::default()
        },
        Deed::Cancel => Asked {
            cancel: serde_json::from_value(body["lines"].clone()).unwrap_or_default(),
            ..Asked::default()
        },
        _ => serde_json::from_value(body).unwrap_or_default(),
    };
    Asked {
        venue: Some(record.venue.clone()),
        booking: record.booking.as_deref().and_then(|id| id.parse().ok()),
        ..asked
    }
}

/// The operation with the answer that HTTP gave it.
#[must_use]
pub fn answered(sent: Op, answer: &Answer) -> Op {
    Op {
        outcome: if answer.is_success() { Ended::Ok } else { Ended::Fail },
        shard: answer.commit.map(|(shard, _)| shard),
        index: answer.commit.map(|(_, index)| index),
        replayed: answer.replayed,
        status: Some(answer.status),
        digest: Some(digest(&[&answer.status.to_be_bytes(), &answer.body])),
        response: Some(Told {
            // By the contract of the route: it is at most a second old.
            stale: sent.op == Act::Availability,
            ..Told::of_body(&answer.body)
        }),
        ..sent
    }
}

impl LogLine {
    /// An entry as a node hands it to auditors.
    #[must_use]
    pub fn of_log(shard: u64, entry: &LogEntry) -> Self {
        LogLine {
            line: 0,
            shard,
            index: entry.index,
            term: entry.term,
            node: None,
            payload: Bytes(entry.payload.to_vec()),
            replies: None,
        }
    }
}
