//! The kinds of lines of a saved history, as `HISTORY.md` describes them. One struct a kind; [`Line`] is any of them.

use std::collections::BTreeMap;

use rotunda_booking::ids::{BookingId, SlotRef};
use rotunda_booking::outcome::BookingStatus;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::answers::{Asked, Told, status};
pub use super::operations::digest;
use super::text::{Bytes, Digest, word};

/// The version of the format that this crate writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// Any line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "most lines are operations, and none is kept")]
pub enum Line {
    /// The first line.
    Header(Header),
    /// A request and what came of it.
    Op(Op),
    /// An entry of a shard's log.
    Entry(LogLine),
    /// A replica's whole log, by digest.
    Log(LogDigest),
    /// A replica's state at an index.
    Hash(StateHash),
    /// A booking as a replica has it at the end.
    FinalBooking(FinalBooking),
    /// A slot as a replica has it at the end.
    FinalSlot(FinalSlot),
    /// Something that was broken, or mended.
    Fault(Fault),
    /// After the last fault.
    Heal(Heal),
    /// The last line.
    End(End),
}

/// What the run was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// What the run is called: a scenario's name, say.
    #[serde(default)]
    pub name: String,
    /// What every choice was drawn from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What repeats the run.
    #[serde(default)]
    pub command: String,
    /// Where it ran: versions, numbers of nodes and shards, the machine.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// True where others used the cluster too: an effect that no operation here asked for is then nothing wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// `recent` and `spill` of the cluster's `KeyWindow`, where it is not the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_window: Option<(u64, u64)>,
    /// Milliseconds within which the cluster has to serve again; 15,000 where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal_within_ms: Option<u64>,
}

/// What kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Take places.
    Hold,
    /// Start the hold's time again.
    Extend,
    /// Sell them.
    Confirm,
    /// Give them back.
    Release,
    /// Undo a sale, or a part of it.
    Cancel,
    /// Exchange what was bought for other places.
    Rebook,
    /// See a booking.
    Read,
    /// See slots.
    Availability,
    /// Load a catalogue.
    Import,
    /// Change a slot.
    ChangeSlot,
    /// Let the holder of a ticket in.
    Admit,
    /// Add what gates scanned while they could not ask.
    Merge,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Done.
    Ok,
    /// Refused: nothing was changed by it.
    Fail,
    /// Nobody knows: it may have had its effect, and may yet have it.
    Unknown,
}

/// One request, with all its attempts, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Number of the line; 0 before it was written.
    #[serde(skip)]
    pub line: u64,
    /// Who asked. One client asks for one thing at a time.
    pub client: String,
    /// For what.
    pub op: Act,
    /// `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The command's key in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Digest<16>>,
    /// When it was first sent.
    pub invoked_ns: u64,
    /// When its fate was known, or the client gave up.
    pub returned_ns: u64,
    /// How it ended.
    pub outcome: Ended,
    /// The shard that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u64>,
    /// Where it took effect, or which state a read shows. A refusal without one was not decided by the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// True where the answer says that it is the stored one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Times it was sent.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub attempts: u32,
    /// HTTP's number, where HTTP was spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of the answer as it came, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest<8>>,
    /// What was asked for.
    #[serde(default)]
    pub request: Asked,
    /// What was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Told>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

/// An entry of a shard's log, as `rotunda_booking::codec` lays it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// Which shard.
    pub shard: u64,
    /// Index in its log.
    pub index: u64,
    /// Raft term.
    #[serde(default)]
    pub term: u64,
    /// The node that it was read from; none where it is the same on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// The encoded entry; empty for entries of consensus itself.
    #[serde(default)]
    pub payload: Bytes,
    /// The encoded replies, where they were seen. Left out, the checks work them out by the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies: Option<Bytes>,
}

/// A replica's log from `first` to `last`: SHA-256 over index, term (8 bytes each, most significant first), length of the
/// payload (the same) and payload of each entry, cut to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDigest {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// Whose log.
    pub node: u32,
    /// Which shard.
    pub shard: u64,
    /// First index.
    pub first: u64,
    /// Last index.
    pub last: u64,
    /// See above.
    pub digest: Digest<16>,
}

/// A replica's state after it applied an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHash {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// Whose state.
    pub node: u32,
    /// Which shard.
    pub shard: u64,
    /// The last applied index.
    pub index: u64,
    /// The state hash.
    pub hash: Digest<16>,
}

/// A booking as a replica has it after the run. A replica that was read has a line for each of its bookings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalBooking {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// Which replica; 0 where the cluster as a whole was asked.
    pub node: u32,
    /// Which shard.
    pub shard: u64,
    /// The state that was read.
    pub index: u64,
    /// Which booking.
    #[serde(with = "word")]
    pub booking: BookingId,
    /// Its state; none where it is not there.
    #[serde(default, with = "status")]
    pub status: Option<BookingStatus>,
    /// What it costs, in minor units.
    #[serde(default)]
    pub total: i64,
}

/// A slot as a replica has it after the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalSlot {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// Which replica; 0 where the cluster as a whole was asked.
    pub node: u32,
    /// Which shard.
    pub shard: u64,
    /// The state that was read.
    pub index: u64,
    /// The venue's number.
    pub venue: u32,
    /// Which slot.
    #[serde(with = "word")]
    pub slot: SlotRef,
    /// Places.
    pub capacity: u32,
    /// Held.
    pub held: u32,
    /// Sold.
    pub confirmed: u32,
}

/// Begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It was broken.
    Begin,
    /// It was mended.
    End,
}

/// Something that was broken, or mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// The same in the lines that begin and end it.
    pub id: u64,
    /// Its class: `kill`, `pause`, `partition`, `slow_fsync`.
    pub fault: String,
    /// What it was done to.
    #[serde(default)]
    pub target: String,
    /// Begin or end. A fault that has no length has a beginning only.
    pub phase: Phase,
    /// When.
    pub at_ns: u64,
}

/// See [`Heal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Healing {
    /// All faults are off.
    Begin,
    /// Every shard has served.
    Served,
}

/// After the last fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// Number of the line.
    #[serde(skip)]
    pub line: u64,
    /// What was reached.
    pub phase: Healing,
    /// When.
    pub at_ns: u64,
}

/// The last line: a history without it was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at_ns: u64,
    /// Lines before this one.
    pub lines: u64,
}

impl LogDigest {
    /// The digest of a log's entries: index, term, payload.
    pub fn over<'a>(node: u32, shard: u64, entries: impl IntoIterator<Item = (u64, u64, &'a [u8])>) -> Self {
        let mut hasher = Sha256::new();
        let (mut first, mut last) = (None, 0);
        for (index, term, payload) in entries {
            first.get_or_insert(index);
            last = index;
            for number in [index, term, payload.len() as u64] {
                hasher.update(number.to_be_bytes());
            }
            hasher.update(payload);
        }
        let bytes: [u8; 32] = hasher.finalize().into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&bytes[..16]);
        LogDigest {
            line: 0,
            node,
            shard,
            first: first.unwrap_or(0),
            last,
            digest: Digest(digest),
        }
    }
}
