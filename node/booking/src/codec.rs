//! Entries, commands, replies, queries and answers as bytes, and back.
//!
//! The layout is written by hand: a version byte, then big-endian fields in a fixed order. A command is encoded once,
//! by the router, and stays as it is: [`EntryBuilder`] lays encoded commands side by side and [`split_replies`] hands
//! encoded replies on, so a node decodes neither on behalf of somebody else. Decoders take any bytes without a panic
//! and allocate no more than a small multiple of what they were given.
//!
//! The same layouts, without the version byte, are the values of rows (see `state`).

mod domain;
mod entry;
mod outcome;
mod question;
pub(crate) mod wire;

use bytes::Bytes;

pub(crate) use self::entry::RepliesBuilder;
pub use self::entry::{EntryBuilder, decode_entry, encode_entry, encode_replies, split_replies};
pub(crate) use self::outcome::OUTCOME_BOOKING;
use self::wire::{Reader, Wire, Writer};
use crate::command::{Command, Operation};
use crate::ids::VenueNo;
use crate::live::News;
use crate::outcome::Reply;
use crate::query::{Answer, Query};

/// First byte of everything that this module encodes.
pub const VERSION: u8 = 1;

/// Why bytes do not decode. They never will: asking again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end too early, or claim a length beyond their end.
    #[error("the bytes end too early")]
    Truncated,
    /// Written by another version.
    #[error("layout version {found}, and this binary knows {known}")]
    Version {
        /// First byte.
        found: u8,
        /// What it should be.
        known: u8,
    },
    /// A field holds what it cannot.
    #[error("not a valid {what}")]
    Value {
        /// Which field.
        what: &'static str,
    },
    /// Bytes are left over.
    #[error("{bytes} bytes too many")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

fn encode<T: Wire>(value: &T, capacity: usize) -> Bytes {
    let mut writer = Writer::versioned(VERSION, capacity);
    writer.put(value);
    writer.finish().into()
}

fn decode<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = Reader::versioned(VERSION, bytes)?;
    let value = reader.take()?;
    reader.end()?;
    Ok(value)
}

/// A command as the router sends it and as it stands in an entry.
#[must_use]
pub fn encode_command(command: &Command) -> Bytes {
    encode(command, 160)
}

/// The venue of a command, after a look at all of it: a node checks with it what came from outside before proposing it, for an
/// entry that does not decode would stop every replica. Of a hold nothing is copied.
///
/// # Errors
/// Where [`decode_command`] would give one.
pub fn check_command(bytes: &[u8]) -> Result<VenueNo, CodecError> {
    let mut reader = Reader::versioned(VERSION, bytes)?;
    let (venue, is_probe) = domain::check_command(&mut reader)?;
    reader.end()?;
    check_reserve(venue, is_probe)?;
    Ok(venue)
}

/// What is booked in the reserve is booked by probers, and they book nothing else.
fn check_reserve(venue: VenueNo, is_probe: bool) -> Result<(), CodecError> {
    if is_probe == (venue == VenueNo::RESERVE) {
        Ok(())
    } else {
        Err(CodecError::Value {
            what: "venue of the operation",
        })
    }
}

/// The inverse of [`encode_command`].
///
/// # Errors
/// Where the bytes are no command.
pub fn decode_command(bytes: &[u8]) -> Result<Command, CodecError> {
    let command: Command = decode(bytes)?;
    check_reserve(command.venue, matches!(command.operation, Operation::Probe(_)))?;
    Ok(command)
}

/// A reply as a node sends it.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Bytes {
    encode(reply, 256)
}

/// The inverse of [`encode_reply`].
///
/// # Errors
/// Where the bytes are no reply.
pub fn decode_reply(bytes: &[u8]) -> Result<Reply, CodecError> {
    decode(bytes)
}

/// A query as the router sends it.
#[must_use]
pub fn encode_query(query: &Query) -> Bytes {
    encode(query, 64)
}

/// The inverse of [`encode_query`].
///
/// # Errors
/// Where the bytes are no query.
pub fn decode_query(bytes: &[u8]) -> Result<Query, CodecError> {
    decode(bytes)
}

/// An answer as a node sends it.
#[must_use]
pub fn encode_answer(answer: &Answer) -> Bytes {
    encode(answer, 256)
}

/// The inverse of [`encode_answer`].
///
/// # Errors
/// Where the bytes are no answer.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, CodecError> {
    decode(bytes)
}

/// News of a venue as a node sends them.
#[must_use]
pub fn encode_news(news: &News) -> Bytes {
    encode(news, 4_096)
}

/// The inverse of [`encode_news`].
///
/// # Errors
/// Where the bytes are no news.
pub fn decode_news(bytes: &[u8]) -> Result<News, CodecError> {
    decode(bytes)
}
