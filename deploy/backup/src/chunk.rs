//! An object of a backup: some of a group's snapshot chunks, framed. Which group it belongs to and where it stands stand in it,
//! so that two that were exchanged are told apart even without the manifest.
//!
//! ```text
//! [magic 16][group u64][number u32] then, for each: [length u32][snapshot chunk]
//! ```

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};

/// The last byte is the format.
const MAGIC: [u8; 16] = *b"rotunda backup\0\x01";

const HEADER: usize = MAGIC.len() + 8 + 4;

/// Size at which an object is closed.
pub(crate) const OBJECT_BYTES: usize = 8 << 20;

/// An object that is being filled.
pub(crate) struct Filling {
    bytes: Vec<u8>,
}

impl Filling {
    pub(crate) fn new(group: u64, number: u32) -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&group.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        Self { bytes }
    }

    /// One more snapshot chunk; a longer one than any is, is none.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Option<()> {
        self.bytes
            .extend_from_slice(&u32::try_from(chunk.len()).ok()?.to_be_bytes());
        self.bytes.extend_from_slice(chunk);
        Some(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= OBJECT_BYTES
    }

    pub(crate) fn finish(self) -> Bytes {
        self.bytes.into()
    }
}

/// The snapshot chunks of an object.
pub(crate) fn open(object: Bytes, group: u64, number: u32) -> Result<Vec<Bytes>, String> {
    let expected = Filling::new(group, number).finish();
    let mut rest = object;
    if rest.len() < HEADER || rest[..MAGIC.len()] != MAGIC {
        return Err("it is no chunk of a backup".to_owned());
    }
    if rest[..HEADER] != expected[..] {
        return Err("it is another chunk than its name says".to_owned());
    }
    rest.advance(HEADER);
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let cut_off = || "it is cut off".to_owned();
        if rest.len() < 4 {
            return Err(cut_off());
        }
        let length = usize::try_from(rest.get_u32()).map_err(|_| cut_off())?;
        if rest.len() < length {
            return Err(cut_off());
        }
        chunks.push(rest.split_to(length));
    }
    Ok(chunks)
}

/// SHA-256, in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn chunks_come_back_and_what_is_exchanged_or_cut_off_is_refused() {
        let mut filling = Filling::new(3, 1);
        assert!(filling.is_empty());
        filling.push(b"one").unwrap();
        filling.push(b"").unwrap();
        let object = filling.finish();
        assert_eq!(open(object.clone(), 3, 1).unwrap(), ["one", ""]);
        for (group, number) in [(2, 1), (3, 2)] {
            assert!(
                open(object.clone(), group, number)
                    .unwrap_err()
                    .contains("another chunk")
            );
        }
        assert!(
            open(object.slice(..object.len() - 5), 3, 1)
                .unwrap_err()
                .contains("cut off")
        );
        assert!(open(Bytes::from_static(b"{}"), 3, 1).unwrap_err().contains("no chunk"));
    }
}
