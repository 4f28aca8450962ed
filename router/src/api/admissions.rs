//! Admissions: a gate asks about a ticket, sends what it scanned by itself, or the staff take a scan back.
//!
//! A scan is named by its venue, device and the device's number of it, so a gate that hears no answer sends the same again
//! and needs no Idempotency-Key. What a code says of itself is checked here; whether its ticket admits, the log decides.

use axum::body::Bytes;
use axum::response::Response;
use http::StatusCode;
use rotunda_booking::admission::{
    AdmissionView, Admit, Direction, FirstAdmission, MAX_GATE, MAX_MERGED, Scan, Verdict,
};
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::{CommandKey, TicketId, VenueNo};
use rotunda_booking::outcome::{Outcome, RefusalCode};
use rotunda_booking::ticket_key::{self, Claims, PREFIX};
use rotunda_booking::time::Timestamp;
use rotunda_protocol::shard_map::VenueInfo;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::body;
use super::call::{Call, json};
use super::error::{Code, Issue, Problem, ProblemBody};
use crate::idempotency::Fingerprint;

/// Through the gate which way.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Direction)]
pub(crate) enum DirectionName {
    /// Into the building.
    #[default]
    Entry,
    /// Out of it.
    Exit,
}

impl From<DirectionName> for Direction {
    fn from(name: DirectionName) -> Self {
        match name {
            DirectionName::Entry => Self::Entry,
            DirectionName::Exit => Self::Exit,
        }
    }
}

/// A scan at a gate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// The gate's venue.
    #[schema(example = "lisbon-tides")]
    venue: String,
    /// A ticket's id, or the text of its QR code as it was read.
    ticket: String,
    /// Which gate, for people.
    #[schema(example = "north-door", min_length = 1, max_length = 64)]
    gate: String,
    /// Which device.
    #[schema(example = "scanner-7", min_length = 1, max_length = 64)]
    device: String,
    /// The device's number of the scan: no two scans of a device have the same.
    device_seq: u64,
    #[serde(default)]
    direction: DirectionName,
}

/// Scans that a gate made while it could not ask.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// The gate's venue.
    venue: String,
    /// In any order, at most 1,024.
    #[schema(max_items = 1024)]
    scans: Vec<OfflineScan>,
}

/// One of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfflineScan {
    /// A ticket's id, or the text of its QR code as it was read.
    ticket: String,
    gate: String,
    device: String,
    device_seq: u64,
    #[serde(default)]
    direction: DirectionName,
    /// By the device's clock.
    #[schema(format = DateTime)]
    scanned_at: String,
}

/// A scan that is taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Annul {
    /// The gate's venue.
    venue: String,
    device: String,
    device_seq: u64,
}

/// What a scan comes to.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AdmissionResult {
    /// Goes through.
    Accepted,
    /// The ticket was admitted before; `first` says when and where.
    Duplicate,
    /// Does not go through; `reason` says why.
    Rejected,
    /// The staff took the scan back.
    Annulled,
}

/// A scan with what it comes to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Admission {
    result: AdmissionResult,
    /// Of what was rejected: `wrong_venue`, `wrong_day`, `outside_window`, `void`, `unknown`, `not_inside`; `forged` where
    /// the signature does not fit; `unreadable` where the text is no ticket's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "wrong_day")]
    reason: Option<&'static str>,
    /// Id.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    gate: String,
    device: String,
    device_seq: u64,
    direction: DirectionName,
    /// Log time for a gate that asked, the device's for one that did not. Not of what was forged or unreadable, which no
    /// log has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    at: Option<String>,
    /// The admission that made a duplicate of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<First>,
    /// What the ticket is for, where it is one of the venue's.
    #[serde(skip_serializing_if = "Option::is_none")]
    admits: Option<Admits>,
}

/// When and where a ticket was admitted before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct First {
    #[schema(format = DateTime)]
    at: String,
    gate: String,
    device: String,
    device_seq: u64,
}

/// What somebody at a gate looks at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Admits {
    #[schema(example = "adult")]
    unit: String,
    #[schema(example = "general@2027-01-15T10:00+00:00")]
    slot: String,
    serial: u64,
    /// An identity card is looked at.
    id_required: bool,
}

/// What came of scans that were sent late.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Merged {
    /// For each scan as it was sent, how it stands now.
    scans: Vec<Admission>,
    /// All scans, of now and before, of the same tickets that are not accepted; and what was forged or unreadable.
    conflicts: Vec<Admission>,
}

impl Admission {
    pub(super) fn of(view: &AdmissionView) -> Self {
        let time = |at: Timestamp| at.to_rfc3339(view.offset_minutes);
        let first = |first: &FirstAdmission| First {
            at: time(first.at),
            gate: first.gate.clone(),
            device: first.device.clone(),
            device_seq: first.device_seq,
        };
        let (result, reason) = match view.verdict {
            Verdict::Accepted => (AdmissionResult::Accepted, None),
            Verdict::Duplicate => (AdmissionResult::Duplicate, None),
            Verdict::Annulled => (AdmissionResult::Annulled, None),
            Verdict::WrongVenue
            | Verdict::WrongDay
            | Verdict::OutsideWindow
            | Verdict::Void
            | Verdict::Unknown
            | Verdict::NotInside => (AdmissionResult::Rejected, Some(view.verdict.as_str())),
        };
        Self {
            result,
            reason,
            ticket: Some(view.ticket.to_string()),
            gate: view.gate.clone(),
            device: view.device.clone(),
            device_seq: view.device_seq,
            direction: match view.direction {
                Direction::Entry => DirectionName::Entry,
                Direction::Exit => DirectionName::Exit,
            },
            at: Some(time(view.at)),
            first: view.first.as_ref().map(first),
            admits: view.admits.as_ref().map(|admits| Admits {
                unit: admits.unit.clone(),
                slot: admits.slot.to_text(),
                serial: admits.serial,
                id_required: admits.id_required,
            }),
        }
    }

    /// Beside a ticket, which says it all itself.
    pub(super) fn without_admits(mut self) -> Self {
        self.admits = None;
        self
    }
}

/// What is wrong with the names of a gate and its device.
fn nameless(place: &str, gate: &str, device: &str) -> Option<Issue> {
    let fits = |text: &str| (1..=MAX_GATE).contains(&text.len());
    let detail = || format!("it has 1 to {MAX_GATE} bytes");
    if !fits(gate) {
        Some(Issue::new(format!("{place}/gate"), detail()))
    } else if !fits(device) {
        Some(Issue::new(format!("{place}/device"), detail()))
    } else {
        None
    }
}

/// What a gate read, and which ticket it says it is.
enum Read {
    Ticket(TicketId),
    /// Not a ticket, and why.
    Not(&'static str),
}

/// Ask whether a ticket admits.
///
/// The scan is kept under its venue, device and `device_seq`: sent again it gets the same answer, and no Idempotency-Key is
/// needed. A rejected scan is answered with 200 too; the answer is in `result`.
#[utoipa::path(
    post, path = "/v1/admissions", tag = "gates", request_body = Ask,
    responses(
        (status = 200, body = Admission),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn ask(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    let asked: Ask = body::read(&call.headers, &bytes)?;
    let venue = call.venue(&asked.venue, "/venue")?;
    if let Some(issue) = nameless("", &asked.gate, &asked.device) {
        return Err(Problem::new(Code::InvalidBody, "Name the gate and its device.").issues(vec![issue]));
    }
    let ticket = match read(&call, &venue, &asked.ticket).await? {
        Read::Ticket(ticket) => ticket,
        Read::Not(reason) => {
            let (gate, device) = (asked.gate, asked.device);
            let answer = not_a_ticket(reason, gate, device, asked.device_seq, asked.direction);
            return Ok(json(StatusCode::OK, &answer));
        }
    };
    let direction: Direction = asked.direction.into();
    let mut fingerprint = Fingerprint::of("admit");
    fingerprint.text(&ticket.to_string()).number(direction as u64);
    let command = Command {
        key: Some(scan_key(venue.number, &asked.device, asked.device_seq)),
        fingerprint: fingerprint.short(),
        venue: venue.number,
        actor: None,
        operation: Operation::Admit(Admit {
            ticket,
            gate: asked.gate,
            device: asked.device,
            device_seq: asked.device_seq,
            direction,
        }),
    };
    let decided = call
        .decide(&command, "/v1/admissions", |_, _| "/ticket".to_owned())
        .await;
    // The scan's name is its key: used for another scan, it is the device that does not count on.
    let decided = decided.map_err(|problem| match problem.code() {
        Code::IdempotencyKeyReused => Problem::new(
            Code::DeviceSeqReused,
            "The device used this device_seq for another scan; count on.",
        )
        .issue("/device_seq", "used before"),
        _ => problem,
    })?;
    let Outcome::Admission(view) = &decided.outcome else {
        return Err(decided.misfit());
    };
    Ok(decided.answer(json(StatusCode::OK, &Admission::of(view))))
}

/// Send what a gate scanned by itself.
///
/// Scans are merged with all others of their tickets, by set union: in any order and as often as they are sent they come to
/// the same. The earliest that was allowed is accepted, the others are told as duplicates and none is dropped.
#[utoipa::path(
    post, path = "/v1/admissions/batch", tag = "gates", request_body = Batch,
    responses(
        (status = 200, body = Merged),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn batch(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    let Batch { venue, scans: sent } = body::read(&call.headers, &bytes)?;
    let venue = call.venue(&venue, "/venue")?;
    if sent.len() > MAX_MERGED {
        let detail = format!("at most {MAX_MERGED} scans at once; send them in parts");
        return Err(Problem::new(Code::InvalidBody, format!("In `/scans`: {detail}.")).issue("/scans", detail));
    }
    let mut issues = Vec::new();
    let mut scans = Vec::with_capacity(sent.len());
    // Where each scan of the command stands in the request; and what is answered for the others.
    let mut places = Vec::with_capacity(sent.len());
    let mut refused = Vec::new();
    for (n, scan) in sent.into_iter().enumerate() {
        if let Some(issue) = nameless(&format!("/scans/{n}"), &scan.gate, &scan.device) {
            issues.push(issue);
            continue;
        }
        let at = match Timestamp::parse_rfc3339(&scan.scanned_at) {
            Ok(at) => at,
            Err(error) => {
                issues.push(Issue::new(format!("/scans/{n}/scanned_at"), error.to_string()));
                continue;
            }
        };
        match read(&call, &venue, &scan.ticket).await? {
            Read::Ticket(ticket) => {
                places.push(n);
                scans.push(Scan {
                    admit: Admit {
                        ticket,
                        gate: scan.gate,
                        device: scan.device,
                        device_seq: scan.device_seq,
                        direction: scan.direction.into(),
                    },
                    at,
                });
            }
            Read::Not(reason) => refused.push((n, reason, scan)),
        }
    }
    if !issues.is_empty() {
        return Err(Problem::new(
            Code::InvalidBody,
            "Mend what `errors` points at; a time is written as 2027-01-15T10:03:00+00:00. Nothing was merged.",
        )
        .issues(issues));
    }
    let command = Command {
        // Idempotent by content: the same scans again come to the same.
        key: None,
        fingerprint: 0,
        venue: venue.number,
        actor: None,
        operation: Operation::MergeScans { scans },
    };
    let place = |code, line: u16| {
        let n = places.get(usize::from(line)).copied().unwrap_or_default();
        match code {
            RefusalCode::DeviceSeqReused => format!("/scans/{n}/device_seq"),
            _ => format!("/scans/{n}"),
        }
    };
    let decided = call.decide(&command, "/v1/admissions/batch", place).await?;
    let Outcome::Merged { scans, conflicts } = &decided.outcome else {
        return Err(decided.misfit());
    };
    let mut answered: Vec<(usize, Admission)> = places.iter().copied().zip(scans.iter().map(Admission::of)).collect();
    let mut conflicts: Vec<Admission> = conflicts.iter().map(Admission::of).collect();
    for (n, reason, scan) in refused {
        let answer = || {
            let (gate, device) = (scan.gate.clone(), scan.device.clone());
            not_a_ticket(reason, gate, device, scan.device_seq, scan.direction)
        };
        answered.push((n, answer()));
        conflicts.push(answer());
    }
    answered.sort_by_key(|(n, _)| *n);
    let body = Merged {
        scans: answered.into_iter().map(|(_, scan)| scan).collect(),
        conflicts,
    };
    Ok(decided.answer(json(StatusCode::OK, &body)))
}

/// Take a scan back: the visitor did not go through.
///
/// The ticket's other scans are judged anew. Once annulled a scan stays annulled; a repeat changes nothing.
#[utoipa::path(
    post, path = "/v1/admissions/annul", tag = "gates", request_body = Annul,
    responses(
        (status = 200, body = Admission),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn annul(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    let Annul {
        venue,
        device,
        device_seq,
    } = body::read(&call.headers, &bytes)?;
    let venue = call.venue(&venue, "/venue")?;
    let command = Command {
        // Idempotent by content.
        key: None,
        fingerprint: 0,
        venue: venue.number,
        actor: None,
        operation: Operation::Annul { device, device_seq },
    };
    let place = |_, _| "/device_seq".to_owned();
    let decided = call.decide(&command, "/v1/admissions/annul", place).await?;
    let Outcome::Admission(view) = &decided.outcome else {
        return Err(decided.misfit());
    };
    Ok(decided.answer(json(StatusCode::OK, &Admission::of(view))))
}

/// What a gate read. A code of this venue must have been signed with one of its keys; a retired one will do here, for the
/// id in the code has a secret that the cluster knows, and it is asked. A code of another venue is that venue's to check:
/// the log says that it is the wrong one.
async fn read(call: &Call, venue: &VenueInfo, text: &str) -> Result<Read, Problem> {
    let text = text.trim();
    if !text.starts_with(PREFIX) {
        return Ok(text.parse().map_or(Read::Not("unreadable"), Read::Ticket));
    }
    let Ok(payload) = ticket_key::from_text(text) else {
        return Ok(Read::Not("unreadable"));
    };
    let Ok(Claims { key, ticket, .. }) = Claims::read(&payload) else {
        return Ok(Read::Not("unreadable"));
    };
    if ticket.venue != venue.number {
        return Ok(Read::Ticket(ticket));
    }
    let keys = call
        .door
        .ticket_keys
        .with(&*call.door.backend, venue.number, key, call.deadline)
        .await
        .map_err(|error| call.read_problem(error))?;
    let mut signed = keys.iter().filter(|known| known.key == key);
    let verified = signed.any(|known| ticket_key::verify(&payload, &known.public).is_ok());
    Ok(if verified {
        Read::Ticket(ticket)
    } else {
        Read::Not("forged")
    })
}

/// The command's id: of a cryptographic digest, so that nobody finds two scans that meet.
fn scan_key(venue: VenueNo, device: &str, device_seq: u64) -> CommandKey {
    let mut digest = Sha256::new();
    digest.update(b"rotunda scan 1\0");
    digest.update(venue.0.to_be_bytes());
    digest.update(device_seq.to_be_bytes());
    digest.update(device.as_bytes());
    let bytes: [u8; 32] = digest.finalize().into();
    let mut key = [0; 16];
    key.copy_from_slice(&bytes[..16]);
    CommandKey(key)
}

fn not_a_ticket(
    reason: &'static str,
    gate: String,
    device: String,
    device_seq: u64,
    direction: DirectionName,
) -> Admission {
    Admission {
        result: AdmissionResult::Rejected,
        reason: Some(reason),
        ticket: None,
        gate,
        device,
        device_seq,
        direction,
        at: None,
        first: None,
        admits: None,
    }
}
