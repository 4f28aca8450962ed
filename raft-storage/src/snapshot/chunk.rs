//! The bytes of a snapshot, without a store: what one chunk holds, whether all of them fit together, and chunks of rows that
//! lie in memory. Receivers use it, and whoever keeps snapshots elsewhere, as a backup does.

use std::io;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::{CHUNK_BYTES, END, FORMAT, HEADER, ROWS};

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot is refused: {why}"))
}

fn checksum(kind: u8, body: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(&[kind]), body).to_be_bytes()
}

pub(super) fn seal(mut chunk: Vec<u8>, kind: u8) -> Bytes {
    let crc = checksum(kind, &chunk[HEADER..]);
    chunk[0] = kind;
    chunk[1..HEADER].copy_from_slice(&crc);
    Bytes::from(chunk)
}

pub(super) fn put_row(chunk: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for length in [key.len(), value.len()] {
        // RocksDB's own limit for either is 4 GiB.
        chunk.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    chunk.extend_from_slice(key);
    chunk.extend_from_slice(value);
}

pub(super) fn end(rows: u64, digest: &Xxh3, state_hash: [u8; 16]) -> Bytes {
    let mut chunk = vec![0; HEADER];
    chunk.push(FORMAT);
    chunk.extend_from_slice(&rows.to_be_bytes());
    chunk.extend_from_slice(&digest.digest().to_be_bytes());
    chunk.extend_from_slice(&state_hash);
    seal(chunk, END)
}

/// Rows in order of their keys as a snapshot's chunks, the end included.
#[must_use]
pub fn chunks_of_rows<'a>(rows: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, state_hash: [u8; 16]) -> Vec<Bytes> {
    let (mut chunks, mut count, mut digest) = (Vec::new(), 0, Xxh3::new());
    let mut chunk = vec![0; HEADER];
    for (key, value) in rows {
        put_row(&mut chunk, key, value);
        count += 1;
        if chunk.len() >= CHUNK_BYTES {
            digest.update(&chunk[HEADER..]);
            chunks.push(seal(std::mem::replace(&mut chunk, vec![0; HEADER]), ROWS));
        }
    }
    if chunk.len() > HEADER {
        digest.update(&chunk[HEADER..]);
        chunks.push(seal(chunk, ROWS));
    }
    chunks.push(end(count, &digest, state_hash));
    chunks
}

/// Takes a snapshot's chunks in order and says whether they are whole.
#[derive(Default)]
pub struct SnapshotCheck {
    rows: u64,
    digest: Xxh3,
    hash: Option<[u8; 16]>,
}

impl SnapshotCheck {
    /// The next chunk. `row` is called with each of its rows: key, without shard and generation, and value.
    ///
    /// # Errors
    /// Where the chunk is damaged, or does not follow those before it.
    pub fn push(&mut self, chunk: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> io::Result<()> {
        let (header, body) = chunk
            .split_first_chunk::<HEADER>()
            .ok_or_else(|| refused("a chunk is too short"))?;
        let [kind, crc @ ..] = *header;
        if checksum(kind, body) != crc {
            return Err(refused("a chunk's checksum does not match"));
        }
        if self.hash.is_some() {
            return Err(refused("a chunk follows its end"));
        }
        match kind {
            ROWS => {
                self.rows += each_row(body, row).ok_or_else(|| refused("a row does not fit its chunk"))?;
                self.digest.update(body);
                Ok(())
            }
            END => {
                self.hash = Some(self.check_end(body)?);
                Ok(())
            }
            other => Err(refused(&format!("chunk kind {other} is not known"))),
        }
    }

    fn check_end(&self, body: &[u8]) -> io::Result<[u8; 16]> {
        let body: &[u8; 33] = body.try_into().map_err(|_| refused("its end has another length"))?;
        if body[0] != FORMAT {
            return Err(refused(&format!("format {} is not known", body[0])));
        }
        if body[1..9] != self.rows.to_be_bytes() {
            return Err(refused("rows are missing"));
        }
        if body[9..17] != self.digest.digest().to_be_bytes() {
            return Err(refused("the checksum over its rows does not match"));
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&body[17..]);
        Ok(hash)
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The state hash that its end names.
    ///
    /// # Errors
    /// Where the end is missing.
    pub fn finish(&self) -> io::Result<[u8; 16]> {
        self.hash.ok_or_else(|| refused("its end is missing"))
    }
}

/// The number of rows; `None` where the last one is cut off, or one is of the table that is the store's own: whoever sent it
/// has no business there.
fn each_row(mut body: &[u8], row: &mut dyn FnMut(&[u8], &[u8])) -> Option<u64> {
    let mut rows = 0;
    while !body.is_empty() {
        let (key_length, rest) = body.split_first_chunk::<4>()?;
        let (value_length, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*key_length)).ok()?)?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*value_length)).ok()?)?;
        key.first().filter(|table| **table > 0)?;
        row(key, value);
        rows += 1;
        body = rest;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn rows() -> Vec<(Vec<u8>, Vec<u8>)> {
        let row = |n: u32| {
            let mut key = vec![9];
            key.extend_from_slice(&n.to_be_bytes());
            (key, vec![7; 4096])
        };
        (0..200).map(row).collect()
    }

    fn chunks() -> Vec<Bytes> {
        chunks_of_rows(rows().iter().map(|(key, value)| (&key[..], &value[..])), [3; 16])
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let (mut check, mut back) = (SnapshotCheck::default(), Vec::new());
        assert!(chunks().len() > 2);
        for chunk in chunks() {
            check
                .push(&chunk, &mut |key, value| back.push((key.to_vec(), value.to_vec())))
                .unwrap();
        }
        assert_eq!(back, rows());
        assert_eq!((check.rows(), check.finish().unwrap()), (200, [3; 16]));
    }

    #[test]
    fn a_chunk_that_is_damaged_missing_or_out_of_place_is_refused() {
        let whole = chunks();
        let told = |chunks: &[Bytes]| {
            let mut check = SnapshotCheck::default();
            for chunk in chunks {
                check.push(chunk, &mut |_, _| {})?;
            }
            check.finish()
        };
        let mut flipped = whole[0].to_vec();
        flipped[100] ^= 1;
        let cases = [
            (
                vec![flipped.into(), whole[1].clone()],
                "a chunk's checksum does not match",
            ),
            (whole[1..].to_vec(), "rows are missing"),
            (whole[..1].to_vec(), "its end is missing"),
            (vec![Bytes::from_static(&[1, 2])], "a chunk is too short"),
            ([&whole[..], &whole[..1]].concat(), "a chunk follows its end"),
        ];
        for (chunks, why) in cases {
            let error = told(&chunks).unwrap_err().to_string();
            assert!(error.ends_with(why), "{error} instead of {why}");
        }
    }
}
