//! How an operation's line comes to be: sent, then answered, turned away or given up on. Whoever drives clients calls these.

use std::fmt;

use rotunda_booking::codec;
use rotunda_booking::command::{Command, Operation};
use rotunda_booking::ids::{BookingId, CommandKey};
use rotunda_booking::outcome::{Outcome, Reply};
use sha2::{Digest as _, Sha256};

use super::answers::{Asked, Told};
use super::lines::{Act, Ended, Op};
use super::text::Digest;

impl Act {
    /// What a command asks for.
    #[must_use]
    pub fn of_operation(operation: &Operation) -> Self {
        match operation {
            Operation::Hold(_) => Act::Hold,
            Operation::Extend { .. } => Act::Extend,
            Operation::Confirm { .. } => Act::Confirm,
            Operation::Release { .. } => Act::Release,
            Operation::Cancel { .. } => Act::Cancel,
            Operation::ImportVenue(_) => Act::Import,
            Operation::ChangeSlot { .. } => Act::ChangeSlot,
            Operation::Rebook { .. } => Act::Rebook,
            Operation::Admit(_) => Act::Admit,
            Operation::MergeScans { .. } => Act::Merge,
            Operation::Annul { .. }
            | Operation::SetSlots(_)
            | Operation::Expire { .. }
            | Operation::AddTicketKey { .. }
            | Operation::RetireTicketKey { .. }
            | Operation::OpenDrawer { .. }
            | Operation::CloseDrawer { .. }
            | Operation::Probe(_) => Act::Other,
        }
    }

    /// True where it changes nothing.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, Act::Read | Act::Availability)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Act::Hold => "hold",
            Act::Extend => "extend",
            Act::Confirm => "confirm",
            Act::Release => "release",
            Act::Cancel => "cancel",
            Act::Read => "read",
            Act::Availability => "availability",
            Act::Import => "import",
            Act::ChangeSlot => "change_slot",
            Act::Rebook => "rebook",
            Act::Admit => "admit",
            Act::Merge => "merge",
            Act::Other => "other",
        })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ended::Ok => "ok",
            Ended::Fail => "fail",
            Ended::Unknown => "unknown",
        })
    }
}

impl Op {
    /// A command that was sent at a time; nobody knows yet what came of it.
    #[must_use]
    pub fn sent(client: impl Into<String>, command: &Command, invoked_ns: u64) -> Self {
        Op {
            command: command.key.map(|CommandKey(key)| Digest(key)),
            ..Op::asked(
                client,
                Act::of_operation(&command.operation),
                Asked::of_operation(&command.operation),
                invoked_ns,
            )
        }
    }

    /// A request of any kind, a read say, that was sent at a time; nobody has answered yet.
    #[must_use]
    pub fn asked(client: impl Into<String>, op: Act, request: Asked, invoked_ns: u64) -> Self {
        Op {
            line: 0,
            client: client.into(),
            op,
            key: None,
            command: None,
            invoked_ns,
            returned_ns: invoked_ns,
            outcome: Ended::Unknown,
            shard: None,
            index: None,
            replayed: false,
            attempts: 1,
            status: None,
            digest: None,
            request,
            response: None,
        }
    }

    /// The same, answered by a shard's reply.
    #[must_use]
    pub fn replied(self, shard: u64, reply: &Reply, returned_ns: u64) -> Self {
        let refused = matches!(reply.outcome, Outcome::Refused(_));
        let told = codec::encode_reply(&Reply {
            replayed: false,
            ..reply.clone()
        });
        Op {
            returned_ns,
            outcome: if refused { Ended::Fail } else { Ended::Ok },
            shard: Some(shard),
            index: Some(reply.index),
            replayed: reply.replayed,
            digest: Some(digest(&[&told])),
            response: Some(Told::of_outcome(&reply.outcome)),
            ..self
        }
    }

    /// The same, a read that was answered with what a shard has at an index.
    #[must_use]
    pub fn shown(self, shard: u64, index: u64, told: Told, returned_ns: u64) -> Self {
        Op {
            returned_ns,
            outcome: Ended::Ok,
            shard: Some(shard),
            index: Some(index),
            response: Some(told),
            ..self
        }
    }

    /// The same, refused before any shard could decide it. Only where no attempt can have reached a log.
    #[must_use]
    pub fn turned_away(self, code: impl Into<String>, returned_ns: u64) -> Self {
        Op {
            returned_ns,
            outcome: Ended::Fail,
            response: Some(Told {
                code: Some(code.into()),
                ..Told::default()
            }),
            ..self
        }
    }

    /// The same, given up on at a time.
    #[must_use]
    pub fn given_up(self, returned_ns: u64) -> Self {
        Op { returned_ns, ..self }
    }

    /// The key that it has in the log.
    #[must_use]
    pub fn command_key(&self) -> Option<CommandKey> {
        self.command.map(|digest| CommandKey(digest.0))
    }

    /// The booking that it is about: the one asked for, or the one that a hold was given.
    #[must_use]
    pub fn booking(&self) -> Option<BookingId> {
        self.request
            .booking
            .or_else(|| self.response.as_ref().and_then(|told| told.id))
    }

    /// The code of a refusal; empty where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.response
            .as_ref()
            .and_then(|told| told.code.as_deref())
            .unwrap_or_default()
    }
}

/// Of an answer as it came: the first eight bytes of SHA-256 over its parts.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> Digest<8> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let bytes: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 8];
    short.copy_from_slice(&bytes[..8]);
    Digest(short)
}
