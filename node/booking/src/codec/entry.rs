//! Whole entries and the replies to them: lists of records that are joined and split without being decoded.
//!
//! An entry is the version byte, the stamp, the number of commands, and each command behind its length. Replies are
//! the version byte, their number, and each reply behind its length.

use std::convert::Infallible;

use bytes::{Buf, Bytes};

use super::wire::{Reader, Writer};
use super::{CodecError, VERSION, decode_command, encode_command};
use crate::command::Entry;
use crate::outcome::Reply;
use crate::time::Timestamp;

/// Version, stamp, count.
const HEADER: usize = 1 + 8 + 4;

/// Bytes of the length before each command and reply.
const LENGTH: usize = 4;

/// Lays encoded commands side by side until they are proposed.
#[derive(Debug)]
pub struct EntryBuilder {
    bytes: Vec<u8>,
    count: u32,
}

impl Default for EntryBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl EntryBuilder {
    /// An entry without commands.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; HEADER],
            count: 0,
        }
    }

    /// Adds a command as [`encode_command`] gave it. The builder does not look inside.
    ///
    /// # Panics
    /// Where a single command is 4 GiB long, which no transport delivers.
    #[expect(
        clippy::expect_used,
        reason = "commands are bounded by the transport, far below 4 GiB"
    )]
    pub fn push(&mut self, encoded_command: &[u8]) -> &mut Self {
        let length = u32::try_from(encoded_command.len()).expect("a command is below 4 GiB");
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(encoded_command);
        self.count += 1;
        self
    }

    /// Commands so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True where there is none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the entry so far, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The entry under the leader's stamp.
    #[must_use]
    pub fn finish(mut self, stamp: Timestamp) -> Bytes {
        self.bytes[0] = VERSION;
        self.bytes[1..9].copy_from_slice(&stamp.0.to_be_bytes());
        self.bytes[9..HEADER].copy_from_slice(&self.count.to_be_bytes());
        self.bytes.into()
    }
}

/// An entry as it stands in the log.
#[must_use]
pub fn encode_entry(entry: &Entry) -> Bytes {
    let mut builder = EntryBuilder::new();
    for command in &entry.commands {
        builder.push(&encode_command(command));
    }
    builder.finish(entry.stamp)
}

/// The inverse of [`encode_entry`].
///
/// # Errors
/// Where the bytes are no entry, or one of the commands is none.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, CodecError> {
    let mut reader = Reader::versioned(VERSION, bytes)?;
    let stamp = reader.take()?;
    let count = reader.take::<u32>()? as usize;
    if count > reader.remaining() / LENGTH {
        return Err(CodecError::Truncated);
    }
    let mut commands = Vec::with_capacity(count.min(4096));
    for _ in 0..count {
        let length = reader.take::<u32>()? as usize;
        commands.push(decode_command(reader.raw(length)?)?);
    }
    reader.end()?;
    Ok(Entry { stamp, commands })
}

/// Lays encoded replies side by side as they are made.
#[derive(Debug)]
pub(crate) struct RepliesBuilder {
    writer: Writer,
    count: u32,
}

impl RepliesBuilder {
    /// No replies, with room for so many.
    pub(crate) fn for_commands(commands: usize) -> Self {
        let mut writer = Writer::versioned(VERSION, 1 + LENGTH + commands * 256);
        writer.put(&0u32);
        Self { writer, count: 0 }
    }

    /// Adds a reply that `write` writes as [`super::encode_reply`] would, without the version.
    ///
    /// # Errors
    /// That of `write`; the replies are then of no use.
    pub(crate) fn add<E>(&mut self, write: impl FnOnce(&mut Writer) -> Result<(), E>) -> Result<(), E> {
        let at = self.writer.position();
        self.writer.put(&0u32);
        self.writer.put(&VERSION);
        write(&mut self.writer)?;
        let length = self.writer.position() - at - LENGTH;
        self.writer
            .patch(at, &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.count += 1;
        Ok(())
    }

    /// All of them.
    pub(crate) fn finish(mut self) -> Bytes {
        self.writer.patch(1, &self.count.to_be_bytes());
        self.writer.finish().into()
    }
}

/// The replies to an entry, in order, each as [`super::encode_reply`] gives it.
#[must_use]
pub fn encode_replies(replies: &[Reply]) -> Bytes {
    let mut builder = RepliesBuilder::for_commands(replies.len());
    for reply in replies {
        let Ok(()) = builder.add::<Infallible>(|writer| {
            writer.put(reply);
            Ok(())
        });
    }
    builder.finish()
}

/// The encoded replies one by one; they share the memory of `bytes`.
///
/// # Errors
/// Where the lengths do not add up. The replies themselves are not looked at.
pub fn split_replies(mut bytes: Bytes) -> Result<Vec<Bytes>, CodecError> {
    let mut reader = Reader::versioned(VERSION, &bytes)?;
    let count = reader.take::<u32>()? as usize;
    if count > reader.remaining() / LENGTH {
        return Err(CodecError::Truncated);
    }
    bytes.advance(1 + 4);
    let mut replies = Vec::with_capacity(count);
    for _ in 0..count {
        let length = bytes.try_get_u32().map_err(|_| CodecError::Truncated)? as usize;
        if length > bytes.len() {
            return Err(CodecError::Truncated);
        }
        replies.push(bytes.split_to(length));
    }
    if bytes.is_empty() {
        Ok(replies)
    } else {
        Err(CodecError::Trailing { bytes: bytes.len() })
    }
}
