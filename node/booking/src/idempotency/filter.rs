//! A Bloom filter over the old keys of a shard: almost every new command has a new key, and this spares it a look at the disk.
//!
//! It grows with them, within a bound. A Bloom filter cannot grow by itself, for it does not know its keys; the archive does,
//! so a part of the filter is made anew from the rows of its partition, a few parts with every spill and never all at once.
//! Where the bound is reached more look-ups go to the disk for nothing, and none goes wrong.
//!
//! All bits of a key are in one block, which is a line of the processor's cache (Putze, Sanders, Singler: Cache-, Hash- and
//! Space-Efficient Bloom Filters, 2007): of a filter of some megabytes each further line would be a miss.

use super::archive;
use crate::ids::VenueNo;
use crate::rows::{ReadRows, RowsError};

/// Parts, one for each partition of the archive's first level.
const PARTS: usize = archive::PARTITIONS;

/// Words of a block.
const BLOCK: usize = 8;

/// Bits set for a key.
const PROBES: u32 = 5;

/// A part that has fewer bits for each key is made anew, twice as large: at sixteen bits one look-up in several hundred is for
/// nothing, at eight one in thirty.
const BITS_PER_KEY: usize = 16;

/// Words of a part at least.
const SMALLEST: usize = 8 * BLOCK;

/// Keys that one spill reads at most to make parts anew, and those of the part at which that many are reached.
const READ_AT_ONCE: usize = 16_384;

/// Keys that begin alike.
#[derive(Debug, Default)]
struct Part {
    words: Vec<u64>,
    keys: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Filter {
    parts: Vec<Part>,
    /// Where the search for a part that is too small goes on.
    next: usize,
}

impl Part {
    fn with_room_for(keys: usize) -> Self {
        let words = (keys * BITS_PER_KEY).div_ceil(64).next_power_of_two().max(SMALLEST);
        Self {
            words: vec![0; words],
            keys: 0,
        }
    }

    fn bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    fn is_too_small(&self) -> bool {
        self.keys * BITS_PER_KEY > self.words.len() * 64
    }

    fn add(&mut self, hash: u64) {
        for (word, bit) in bits(hash, self.words.len() / BLOCK) {
            self.words[word] |= bit;
        }
        self.keys += 1;
    }

    fn may_hold(&self, hash: u64) -> bool {
        bits(hash, self.words.len() / BLOCK).all(|(word, bit)| self.words[word] & bit != 0)
    }
}

/// The bits of a key among so many blocks. Scattered anew: the hash's first bits have chosen the part.
fn bits(hash: u64, blocks: usize) -> impl Iterator<Item = (usize, u64)> {
    let hash = scattered(hash);
    // The upper bits choose the block, the lower ones have nine for each probe. Blocks are far fewer than 2^19, and where they
    // were more, bits would be used twice and nothing else would happen.
    let block = ((u128::from(hash) * blocks as u128) >> 64) as usize;
    (0..PROBES).map(move |probe| {
        let place = hash >> (9 * probe);
        (block * BLOCK + (place >> 6 & 7) as usize, 1 << (place & 63))
    })
}

/// A bijection in which every bit depends on all others (the finalizer of splitmix64, by Stafford).
fn scattered(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

impl Filter {
    /// An empty one with room for so many keys, as far as `most_bytes` allow.
    pub(super) fn for_keys(keys: u64, most_bytes: usize) -> Self {
        let of_part = usize::try_from(keys).unwrap_or(usize::MAX) / PARTS;
        let affordable = most_bytes / PARTS * 8 / BITS_PER_KEY;
        let mut part_keys = of_part.min(affordable);
        if Part::with_room_for(part_keys).bytes() * PARTS > most_bytes {
            part_keys /= 2; // Sizes are powers of two.
        }
        Self {
            parts: (0..PARTS).map(|_| Part::with_room_for(part_keys)).collect(),
            next: 0,
        }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(Part::bytes).sum()
    }

    pub(super) fn add(&mut self, hash: u64) {
        self.parts[archive::partition_of(hash)].add(hash);
    }

    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.parts[archive::partition_of(hash)].may_hold(hash)
    }

    /// Makes parts anew that have become too small, twice as large, as far as `most_bytes` allow. Before an entry adds keys:
    /// rows show none of what it writes.
    ///
    /// # Errors
    /// Where the store fails or a row is damaged.
    pub(super) fn grow(
        &mut self,
        rows: &(impl ReadRows + ?Sized),
        venues: &[VenueNo],
        most_bytes: usize,
    ) -> Result<(), RowsError> {
        let (mut bytes, mut read) = (self.bytes(), 0);
        for _ in 0..PARTS {
            let number = self.next;
            let part = &self.parts[number];
            if part.is_too_small() {
                if read >= READ_AT_ONCE || bytes + part.bytes() > most_bytes {
                    return Ok(());
                }
                bytes += part.bytes();
                let mut anew = Part {
                    words: vec![0; part.words.len() * 2],
                    keys: 0,
                };
                for venue in venues {
                    archive::each_of(rows, *venue, number, |old| anew.add(old.hash))?;
                }
                read += anew.keys;
                self.parts[number] = anew;
            }
            self.next = (number + 1) % PARTS;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;
    use crate::ids::CommandKey;

    fn key(number: u64) -> u64 {
        hash(VenueNo(1), CommandKey(u128::from(number).to_be_bytes()))
    }

    fn strangers_let_in(filter: &Filter, strangers: std::ops::Range<u64>) -> usize {
        strangers.filter(|number| filter.may_hold(key(*number))).count()
    }

    #[test]
    fn the_filter_forgets_no_key_and_lets_few_strangers_in() {
        let mut filter = Filter::for_keys(100_000, 1 << 20);
        (0..100_000).for_each(|number| filter.add(key(number)));
        assert!((0..100_000).all(|number| filter.may_hold(key(number))));
        let strangers = strangers_let_in(&filter, 100_000..200_000);
        assert!(strangers < 500, "{strangers} of 100000");
    }

    #[test]
    fn an_overfull_filter_still_forgets_no_key() {
        let mut filter = Filter::for_keys(1 << 30, PARTS * SMALLEST * 8);
        assert_eq!(filter.bytes(), PARTS * SMALLEST * 8);
        (0..100_000).for_each(|number| filter.add(key(number)));
        assert!((0..100_000).all(|number| filter.may_hold(key(number))));
    }
}
