//! The records inside `CommandFrame.records` and `ReplyFrame.records`: fixed headers, big-endian, back to back.
//!
//! ```text
//! command   call u64 | shard u64 | epoch u64 | length u32 | encoded booking command
//! reply     call u64 | status u8 | index u64 | leader_node u32 | epoch u64 | length u32 | body
//! ```
//!
//! A reply's status is 0 for an answer (the body is the encoded `Reply`) or the number of a
//! [`RejectionKind`] (the body is its detail in UTF-8). Written by the client's streams and by the node's door; bodies
//! are slices of the frame, never copied. Decoding accepts any bytes and never panics; what is wrong with them ends the
//! frame with a [`FrameError`], and whoever gets one should close the stream, since records behind it are lost.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::rejection::{Rejection, RejectionKind};

/// Bytes of a command record before its body.
pub const COMMAND_HEADER_BYTES: usize = 8 + 8 + 8 + 4;

/// Bytes of a reply record before its body.
pub const REPLY_HEADER_BYTES: usize = 8 + 1 + 8 + 4 + 8 + 4;

/// Longest body of one record, in bytes. The largest command is the import of one venue.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A sender closes a frame once it holds so many bytes. With the longest body behind it a frame is still far below
/// [`crate::MAX_MESSAGE_BYTES`].
pub const FRAME_TARGET_BYTES: usize = 1024 * 1024;

const STATUS_REPLY: u8 = 0;

/// A command on its way to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// Joins the reply to it; unique within the stream.
    pub call: u64,
    /// Which shard it is for.
    pub shard: u64,
    /// The shard's epoch in the map that it was routed by.
    pub epoch: u64,
    /// As `rotunda_booking::codec` encodes it.
    pub command: Bytes,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyRecord {
    /// The command's `call`.
    pub call: u64,
    /// Log index whose application gave the reply; 0 with a rejection.
    pub index: u64,
    /// The encoded `Reply`, or why the node did not take the command.
    pub result: Result<Bytes, Rejection>,
}

/// Bytes that are not records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A header or body is cut off.
    #[error("a record needs {needed} bytes and the frame has {left} left")]
    Truncated {
        /// What the record needs.
        needed: usize,
        /// What is there.
        left: usize,
    },
    /// A body is longer than [`MAX_BODY_BYTES`].
    #[error("a record's body of {length} bytes is over the limit of {MAX_BODY_BYTES}")]
    TooLong {
        /// The length that it claims.
        length: usize,
    },
    /// A reply has a status that this version does not know.
    #[error("a reply has the unknown status {0}")]
    Status(u8),
}

/// Appends a command record.
///
/// # Errors
/// [`FrameError::TooLong`], and nothing is appended.
pub fn put_command(frame: &mut BytesMut, call: u64, shard: u64, epoch: u64, command: &[u8]) -> Result<(), FrameError> {
    let length = body_length(command)?;
    frame.reserve(COMMAND_HEADER_BYTES + command.len());
    frame.put_u64(call);
    frame.put_u64(shard);
    frame.put_u64(epoch);
    frame.put_u32(length);
    frame.put_slice(command);
    Ok(())
}

/// Appends the reply to a command: `reply` is an encoded booking `Reply`.
///
/// # Errors
/// [`FrameError::TooLong`], and nothing is appended.
pub fn put_reply(frame: &mut BytesMut, call: u64, index: u64, reply: &[u8]) -> Result<(), FrameError> {
    let length = body_length(reply)?;
    put_reply_header(frame, call, STATUS_REPLY, index, 0, 0, length);
    frame.put_slice(reply);
    Ok(())
}

/// Appends a rejection. A detail beyond [`MAX_BODY_BYTES`] is cut.
pub fn put_rejection(frame: &mut BytesMut, call: u64, rejection: &Rejection) {
    let mut end = rejection.detail.len().min(MAX_BODY_BYTES);
    while !rejection.detail.is_char_boundary(end) {
        end -= 1;
    }
    let detail = &rejection.detail.as_bytes()[..end];
    let leader_node = rejection.leader_node.unwrap_or(0);
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_BODY_BYTES")]
    put_reply_header(
        frame,
        call,
        rejection.kind as u8,
        0,
        leader_node,
        rejection.epoch,
        detail.len() as u32,
    );
    frame.put_slice(detail);
}

fn put_reply_header(
    frame: &mut BytesMut,
    call: u64,
    status: u8,
    index: u64,
    leader_node: u32,
    epoch: u64,
    length: u32,
) {
    frame.reserve(REPLY_HEADER_BYTES + length as usize);
    frame.put_u64(call);
    frame.put_u8(status);
    frame.put_u64(index);
    frame.put_u32(leader_node);
    frame.put_u64(epoch);
    frame.put_u32(length);
}

fn body_length(body: &[u8]) -> Result<u32, FrameError> {
    match u32::try_from(body.len()) {
        Ok(length) if body.len() <= MAX_BODY_BYTES => Ok(length),
        _ => Err(FrameError::TooLong { length: body.len() }),
    }
}

/// The command records of a frame, in order. Ends after the first error.
#[must_use]
pub fn commands(records: Bytes) -> Commands {
    Commands { rest: records }
}

/// The reply records of a frame, in order. Ends after the first error.
#[must_use]
pub fn replies(records: Bytes) -> Replies {
    Replies { rest: records }
}

/// See [`commands`].
#[derive(Clone, Debug)]
pub struct Commands {
    rest: Bytes,
}

/// See [`replies`].
#[derive(Clone, Debug)]
pub struct Replies {
    rest: Bytes,
}

impl Iterator for Commands {
    type Item = Result<CommandRecord, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_record(&mut self.rest, |rest| {
            let mut header = header(rest, COMMAND_HEADER_BYTES)?;
            let (call, shard, epoch) = (header.get_u64(), header.get_u64(), header.get_u64());
            let command = body(rest, header.get_u32())?;
            Ok(CommandRecord {
                call,
                shard,
                epoch,
                command,
            })
        })
    }
}

impl Iterator for Replies {
    type Item = Result<ReplyRecord, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_record(&mut self.rest, |rest| {
            let mut header = header(rest, REPLY_HEADER_BYTES)?;
            let (call, status, index) = (header.get_u64(), header.get_u8(), header.get_u64());
            let (leader_node, epoch) = (header.get_u32(), header.get_u64());
            let body = body(rest, header.get_u32())?;
            let result = if status == STATUS_REPLY {
                Ok(body)
            } else {
                let kind = RejectionKind::from_number(status).ok_or(FrameError::Status(status))?;
                Err(Rejection {
                    kind,
                    leader_node: (leader_node != 0).then_some(leader_node),
                    epoch,
                    // Only ever shown to people, so damaged text is shown as such instead of losing the record.
                    detail: String::from_utf8_lossy(&body).into_owned(),
                })
            };
            Ok(ReplyRecord { call, index, result })
        })
    }
}

fn next_record<R>(
    rest: &mut Bytes,
    read: impl FnOnce(&mut Bytes) -> Result<R, FrameError>,
) -> Option<Result<R, FrameError>> {
    if rest.is_empty() {
        return None;
    }
    let record = read(rest);
    if record.is_err() {
        rest.clear();
    }
    Some(record)
}

fn header(rest: &mut Bytes, needed: usize) -> Result<Bytes, FrameError> {
    if rest.len() < needed {
        return Err(FrameError::Truncated {
            needed,
            left: rest.len(),
        });
    }
    Ok(rest.split_to(needed))
}

fn body(rest: &mut Bytes, length: u32) -> Result<Bytes, FrameError> {
    let length = length as usize;
    if length > MAX_BODY_BYTES {
        return Err(FrameError::TooLong { length });
    }
    if rest.len() < length {
        return Err(FrameError::Truncated {
            needed: length,
            left: rest.len(),
        });
    }
    Ok(rest.split_to(length))
}

#[cfg(test)]
mod tests;
