//! The old command keys of a venue, on disk: pairs of a key's hash and the record that it stands for.
//!
//! Hashes come in no order, and a store that keeps rows sorted would have to move all of them about for ever, one by one. So
//! they lie some hundreds to a row, and in levels (O'Neil et al.: The Log-Structured Merge-Tree, 1996). A **spill** writes what
//! leaves the memory to level 0, a row for each **partition** of the hashes: those that begin with the same six bits. Of each
//! level one partition's rows are then merged and written to the level below, where partitions are narrower, so that rows stay
//! as large as they were. Every spill moves about as much as every other, however many keys there are, and all of it follows
//! from rows and the number of the spill, so replicas write the same.
//!
//! A look-up reads at most [`FAN_OUT`] rows of each level, which lie side by side.

use std::ops::ControlFlow;

use crate::codec::CodecError;
use crate::codec::wire::{Reader, Wire, Writer};
use crate::ids::VenueNo;
use crate::inventory::Transaction;
use crate::keys::Key;
use crate::rows::{ReadRows, RowsError};
use crate::state::decode_row;

/// Rows of a partition before they are merged.
const FAN_OUT: u64 = 16;

/// Leading bits of a hash that name its partition, by level. A spill of 4,096 keys makes rows of 64; from level 1 on they have
/// 256. What is on the last level stays there: it is reached after 268 million keys.
const BITS: [u32; 5] = [6, 8, 12, 16, 20];

/// Partitions of the first level.
pub(super) const PARTITIONS: usize = 1 << BITS[0];

/// Partitions of a level that a spill merges: all of them get their turn before they have more than [`FAN_OUT`] rows.
const fn merges(level: usize) -> u64 {
    let rounds = FAN_OUT.pow(level as u32 + 1);
    (1u64 << BITS[level]).div_ceil(rounds)
}

/// One old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Old {
    /// Of the key, as the window has it.
    pub(crate) hash: u64,
    /// Sequence number of the record.
    pub(crate) seq: u64,
}

/// One row: keys of a partition, in order of hash.
#[derive(Debug, PartialEq, Eq)]
struct Chunk(Vec<Old>);

/// Bytes of a key in a row.
const OLD_BYTES: usize = 16;

impl Wire for Chunk {
    fn write(&self, writer: &mut Writer) {
        writer.length(self.0.len());
        for old in &self.0 {
            writer.put(&old.hash);
            writer.put(&old.seq);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = reader.length()?;
        let bytes = reader.raw(length.checked_mul(OLD_BYTES).ok_or(CodecError::Truncated)?)?;
        let (pairs, _) = bytes.as_chunks::<OLD_BYTES>();
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let old = |pair: &[u8; OLD_BYTES]| Old {
            hash: number(&pair[..8]),
            seq: number(&pair[8..]),
        };
        Ok(Self(pairs.iter().map(old).collect()))
    }
}

/// The partition of `hash` at `level`: its leading bits, the others zero.
fn partition(hash: u64, level: usize) -> u32 {
    let leading = (hash >> 32) as u32;
    leading & !(u32::MAX >> BITS[level])
}

/// The partition of the first level, counted from 0.
pub(super) fn partition_of(hash: u64) -> usize {
    (hash >> (64 - BITS[0])) as usize
}

/// The first key beyond a partition.
fn partition_end(venue: VenueNo, level: usize, partition: u32) -> Key {
    match partition.checked_add(1 << (32 - BITS[level])) {
        Some(next) => Key::old_keys(venue, level as u8, next, 0),
        None => Key::old_keys(venue, level as u8 + 1, 0, 0),
    }
}

/// Calls `each` with the keys in a range of rows.
fn visit(
    rows: &(impl ReadRows + ?Sized),
    from: &Key,
    to: &Key,
    mut each: impl FnMut(&[u8], &[u8], &[Old]),
) -> Result<(), RowsError> {
    let mut broken = None;
    rows.scan(from, to, &mut |key, value| match decode_row::<Chunk>(key, value) {
        Ok(chunk) => {
            each(key, value, &chunk.0);
            ControlFlow::Continue(())
        }
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    })?;
    broken.map_or(Ok(()), Err)
}

/// The records that keys of this hash stand for, as the rows were before the entry: none, one, or, where two keys have one
/// hash, more.
pub(crate) fn find(rows: &(impl ReadRows + ?Sized), venue: VenueNo, hash: u64) -> Result<Vec<u64>, RowsError> {
    let mut found = Vec::new();
    for level in 0..BITS.len() {
        let partition = partition(hash, level);
        let from = Key::old_keys(venue, level as u8, partition, 0);
        visit(rows, &from, &partition_end(venue, level, partition), |_, _, chunk| {
            let first = chunk.partition_point(|old| old.hash < hash);
            let same = chunk[first..].iter().take_while(|old| old.hash == hash);
            found.extend(same.map(|old| old.seq));
        })?;
    }
    Ok(found)
}

/// All of a venue's.
pub(crate) fn each(
    rows: &(impl ReadRows + ?Sized),
    venue: VenueNo,
    mut each: impl FnMut(Old),
) -> Result<(), RowsError> {
    let (from, to) = (
        Key::old_keys(venue, 0, 0, 0),
        Key::old_keys(venue, BITS.len() as u8, 0, 0),
    );
    visit(rows, &from, &to, |_, _, chunk| {
        chunk.iter().copied().for_each(&mut each)
    })
}

/// Those of a venue that are in one partition of the first level, and in what it is divided into further down.
pub(super) fn each_of(
    rows: &(impl ReadRows + ?Sized),
    venue: VenueNo,
    number: usize,
    mut each: impl FnMut(Old),
) -> Result<(), RowsError> {
    let width = u32::MAX >> BITS[0];
    let first = (number as u32) << (32 - BITS[0]);
    for level in 0..BITS.len() as u8 {
        let from = Key::old_keys(venue, level, first, 0);
        let to = match (first | width).checked_add(1) {
            Some(next) => Key::old_keys(venue, level, next, 0),
            None => Key::old_keys(venue, level + 1, 0, 0),
        };
        visit(rows, &from, &to, |_, _, chunk| {
            chunk.iter().copied().for_each(&mut each)
        })?;
    }
    Ok(())
}

/// Writes keys that leave the memory, and moves on what is due on each level. `run` is the number of the venue's spill; once
/// in an entry, for nothing that an entry writes is seen before it ends.
pub(super) fn add(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    run: u64,
    mut keys: Vec<Old>,
) -> Result<(), RowsError> {
    // Of the levels from below, so that each sees what earlier entries have left there and no more.
    for level in (0..BITS.len() - 1).rev() {
        let partitions = 1u64 << BITS[level];
        for turn in 0..merges(level) {
            let number = (run * merges(level) + turn) % partitions;
            merge(transaction, venue, level, (number << (32 - BITS[level])) as u32, run)?;
        }
    }
    keys.sort_unstable();
    write(transaction, venue, 0, run, &keys);
    Ok(())
}

/// Moves the keys of a partition to the level below.
fn merge(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    level: usize,
    partition: u32,
    run: u64,
) -> Result<(), RowsError> {
    let (mut keys, mut gone) = (Vec::new(), Vec::new());
    let from = Key::old_keys(venue, level as u8, partition, 0);
    let to = partition_end(venue, level, partition);
    visit(transaction.rows(), &from, &to, |key, value, chunk| {
        keys.extend_from_slice(chunk);
        gone.push((Key::copied(key), value.to_vec()));
    })?;
    for (key, value) in gone {
        transaction.remove_appended(key, &value);
    }
    // Of sorted runs: a sort that knows them merges them.
    keys.sort();
    write(transaction, venue, level + 1, run, &keys);
    Ok(())
}

/// Writes sorted keys to a level, a row for each partition that has some.
fn write(transaction: &mut Transaction<'_>, venue: VenueNo, level: usize, run: u64, keys: &[Old]) {
    for chunk in keys.chunk_by(|one, other| partition(one.hash, level) == partition(other.hash, level)) {
        let key = Key::old_keys(venue, level as u8, partition(chunk[0].hash, level), run);
        transaction.append(key, &Chunk(chunk.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]
    use std::collections::BTreeMap;

    use super::super::filter::Filter;
    use super::*;
    use crate::inventory::{Inventory, Limits, recompute_state_hash};
    use crate::rows::MapRows;
    use crate::time::Timestamp;

    const VENUE: VenueNo = VenueNo(3);

    /// What an entry does to rows.
    fn entry(inventory: &mut Inventory, rows: &mut MapRows, change: impl FnOnce(&mut Transaction<'_>)) {
        inventory.change_alone(rows, Timestamp(0), change);
        rows.commit();
        assert_eq!(inventory.state_hash(), recompute_state_hash(rows).unwrap());
    }

    #[test]
    fn every_key_is_found_through_all_merges_and_rows_stay_few() {
        let (mut inventory, mut rows) = (Inventory::new(Limits::default()), MapRows::new());
        let mut all = BTreeMap::new();
        let hash = |seq: u64| seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Small spills, so that three levels of merging are gone through. The filter is made anew from them as it grows.
        let spills = 3 * 4_096 / 2;
        let (mut filter, most) = (Filter::for_keys(0, 0), 128 << 10);
        let smallest = filter.bytes();
        for run in 0..spills {
            filter.grow(&rows, &[VENUE], most).unwrap();
            let keys: Vec<Old> = (run * 8..run * 8 + 8).map(|seq| Old { hash: hash(seq), seq }).collect();
            keys.iter().for_each(|old| filter.add(old.hash));
            all.extend(keys.iter().map(|old| (old.hash, old.seq)));
            entry(&mut inventory, &mut rows, |transaction| {
                add(transaction, VENUE, run, keys).unwrap()
            });
        }
        for (hash, seq) in &all {
            assert_eq!(find(&rows, VENUE, *hash).unwrap(), [*seq]);
            assert!(find(&rows, VENUE, hash ^ 1).unwrap().is_empty());
            assert!(find(&rows, VenueNo(4), *hash).unwrap().is_empty());
        }
        assert!(smallest < filter.bytes() && filter.bytes() <= most);
        assert!(all.keys().all(|hash| filter.may_hold(*hash)));
        let strangers = (1 << 40..(1 << 40) + 10_000).filter(|seq| filter.may_hold(hash(*seq)));
        assert!(strangers.count() < 100);
        let mut found = BTreeMap::new();
        each(&rows, VENUE, |old| assert_eq!(found.insert(old.hash, old.seq), None)).unwrap();
        assert_eq!(found, all);
        let mut of_parts = 0;
        for number in 0..PARTITIONS {
            each_of(&rows, VENUE, number, |old| {
                assert_eq!(partition_of(old.hash), number);
                of_parts += 1;
            })
            .unwrap();
        }
        assert_eq!(of_parts, all.len());
        for level in 0..BITS.len() - 1 {
            let mut rows_of: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            let (from, to) = (
                Key::old_keys(VENUE, level as u8, 0, 0),
                Key::old_keys(VENUE, level as u8 + 1, 0, 0),
            );
            visit(&rows, &from, &to, |key, _, _| {
                *rows_of.entry(key[..10].to_vec()).or_default() += 1
            })
            .unwrap();
            assert!(
                rows_of.values().all(|rows| *rows <= FAN_OUT),
                "level {level}: {rows_of:?}"
            );
            assert!(!rows_of.is_empty(), "level {level} was not reached");
        }
    }

    #[test]
    fn keys_of_one_hash_are_all_found() {
        let (mut inventory, mut rows) = (Inventory::new(Limits::default()), MapRows::new());
        for run in 0..40 {
            let keys = vec![Old {
                hash: u64::MAX,
                seq: run,
            }];
            entry(&mut inventory, &mut rows, |transaction| {
                add(transaction, VENUE, run, keys).unwrap()
            });
        }
        let mut found = find(&rows, VENUE, u64::MAX).unwrap();
        found.sort_unstable();
        assert_eq!(found, (0..40).collect::<Vec<_>>());
    }
}
