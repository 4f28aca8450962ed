//! The newest keys of a shard, in memory. Found by a hash table of positions, for a tree of random keys costs a booking as
//! much as its record; nothing ever walks the table, so its order decides nothing.

use hashbrown::HashTable;

use super::archive::Old;
use super::hash;
use crate::ids::{CommandKey, VenueNo};

/// A key, and the record that it stands for.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: CommandKey,
    seq: u64,
    venue: VenueNo,
    /// Left by a key that was taken out, and free for another.
    is_free: bool,
}

impl Place {
    fn hash(&self) -> u64 {
        hash(self.venue, self.key)
    }
}

/// Bytes that a key takes at most: its place, a position with a control byte in a table that may be half empty, and a place
/// in the list of free ones.
pub(super) const BYTES_PER_KEY: u64 = 48;

const _: () = assert!(size_of::<Place>() + 2 * (size_of::<u32>() + 1) + size_of::<u32>() <= BYTES_PER_KEY as usize);

/// Places that are added at a time.
const GROWTH: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Window {
    places: Vec<Place>,
    free: Vec<u32>,
    positions: HashTable<u32>,
}

impl Window {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.positions.len() as u64
    }

    /// The record that a key stands for.
    pub(super) fn find(&self, venue: VenueNo, hash: u64, key: CommandKey) -> Option<u64> {
        let is_it = |position: &u32| {
            let place = &self.places[*position as usize];
            place.key == key && place.venue == venue
        };
        let position = self.positions.find(hash, is_it)?;
        Some(self.places[*position as usize].seq)
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, venue: VenueNo, hash: u64, key: CommandKey, seq: u64) {
        let place = Place {
            key,
            seq,
            venue,
            is_free: false,
        };
        let position = match self.free.pop() {
            Some(position) => {
                self.places[position as usize] = place;
                position
            }
            None => {
                if self.places.len() == self.places.capacity() {
                    // A vector would double, and the window is close to its bound once it is this large.
                    self.places.reserve_exact(GROWTH);
                }
                self.places.push(place);
                (self.places.len() - 1) as u32
            }
        };
        let places = &self.places;
        let rehash = |position: &u32| places[*position as usize].hash();
        self.positions.insert_unique(hash, position, rehash);
    }

    /// Takes out the `count` oldest of a venue, in no order.
    pub(super) fn take_oldest(&mut self, venue: VenueNo, count: usize) -> Vec<Old> {
        let of_venue = |(_, place): &(usize, &Place)| place.venue == venue && !place.is_free;
        let places = self.places.iter().enumerate().filter(of_venue);
        let mut oldest: Vec<(u64, u32)> = places.map(|(position, place)| (place.seq, position as u32)).collect();
        if count < oldest.len() {
            // No two records of a venue have one sequence number.
            oldest.select_nth_unstable(count);
            oldest.truncate(count);
        }
        let mut taken = Vec::with_capacity(oldest.len());
        for (seq, position) in oldest {
            let place = &mut self.places[position as usize];
            place.is_free = true;
            let hash = place.hash();
            taken.push(Old { hash, seq });
            let found = self.positions.find_entry(hash, |known| *known == position);
            if let Ok(entry) = found {
                entry.remove();
            }
            self.free.push(position);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> CommandKey {
        CommandKey(
            u128::from(number)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                .to_be_bytes(),
        )
    }

    proptest! {
        /// Against a tree, through insertions and takings in any order.
        #[test]
        fn it_holds_what_a_tree_would_hold(steps in vec((0u32..3, 0usize..40), 1..120)) {
            let mut window = Window::default();
            let mut tree: BTreeMap<(VenueNo, CommandKey), u64> = BTreeMap::new();
            for (seq, (venue, count)) in steps.into_iter().enumerate() {
                let (venue, seq) = (VenueNo(venue), seq as u64);
                if count >= 10 {
                    window.insert(venue, hash(venue, key(seq)), key(seq), seq);
                    tree.insert((venue, key(seq)), seq);
                } else {
                    let mut oldest: Vec<(CommandKey, u64)> = tree
                        .iter()
                        .filter(|((of, _), _)| *of == venue)
                        .map(|((_, key), seq)| (*key, *seq))
                        .collect();
                    oldest.sort_unstable_by_key(|(_, seq)| *seq);
                    oldest.truncate(count);
                    let mut taken = window.take_oldest(venue, count);
                    taken.sort_unstable_by_key(|old| old.seq);
                    let expected = oldest.iter().map(|(key, seq)| Old { hash: hash(venue, *key), seq: *seq });
                    prop_assert_eq!(taken, expected.collect::<Vec<_>>());
                    for (key, _) in oldest {
                        tree.remove(&(venue, key));
                    }
                }
                prop_assert_eq!(window.len(), tree.len() as u64);
                for number in 0..=seq {
                    for venue in (0..3).map(VenueNo) {
                        let found = window.find(venue, hash(venue, key(number)), key(number));
                        prop_assert_eq!(found, tree.get(&(venue, key(number))).copied());
                    }
                }
            }
        }
    }
}
