//! Which slots most holds ask for, lately: the Space-Saving algorithm with counts that fade, in a fixed amount of memory.
//!
//! It stands in the way of every hold, so it never waits: whoever finds the table taken by another goes on, and that hold is
//! not counted. A name is made only for a slot that was not in the table. Left out is how many places a hold asks for.

use std::hash::{Hash, Hasher};
use std::time::Instant;

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHasher};

use crate::state::HotSlot;

/// Slots that are told apart. A slot that gets more than one in so many of the holds is surely among them.
const PLACES: usize = 128;

/// After so many seconds without a hold a slot counts half.
const HALF_LIFE: f64 = 5.0;

/// A slot with less than this is forgotten.
const FORGET_BELOW: f64 = 0.05;

/// Counts holds by slot.
#[derive(Debug)]
pub struct HotSlots {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    faded: Instant,
    all: f64,
    slots: FxHashMap<u64, Slot>,
}

#[derive(Debug)]
struct Slot {
    venue: u32,
    name: String,
    count: f64,
}

/// A slot that many want.
#[derive(Clone, Debug, PartialEq)]
pub struct Hot {
    /// Number of its venue.
    pub venue: u32,
    /// Its id within the venue.
    pub slot: String,
    /// Holds asked for each second, lately.
    pub per_second: f64,
    /// Their share of all that were counted.
    pub share: f64,
}

impl Hot {
    /// As it is shown, with the venue's id in the place of its number.
    pub fn named(self, venue: impl FnOnce(u32) -> String) -> HotSlot {
        let rounded = |value: f64| (value * 1_000.0).round() / 1_000.0;
        HotSlot {
            venue: venue(self.venue),
            slot: self.slot,
            per_second: rounded(self.per_second),
            share: rounded(self.share),
        }
    }
}

impl Default for HotSlots {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table {
                faded: Instant::now(),
                all: 0.0,
                slots: FxHashMap::default(),
            }),
        }
    }
}

impl HotSlots {
    /// So many holds ask for this slot of the venue. `name` is asked where the slot was not known.
    pub fn asked(&self, venue: u32, slot: &impl Hash, holds: usize, name: impl FnOnce() -> String) {
        let mut hasher = FxHasher::default();
        (venue, slot).hash(&mut hasher);
        let Some(mut table) = self.table.try_lock() else { return };
        table.count(hasher.finish(), venue, holds as f64, name);
    }

    /// The hottest, at most so many.
    #[must_use]
    pub fn hottest(&self, most: usize) -> Vec<Hot> {
        self.hottest_at(Instant::now(), most)
    }

    fn hottest_at(&self, now: Instant, most: usize) -> Vec<Hot> {
        let mut table = self.table.lock();
        table.fade(now);
        let all = table.all;
        let mut hot: Vec<Hot> = table
            .slots
            .values()
            .map(|slot| Hot {
                venue: slot.venue,
                slot: slot.name.clone(),
                // What comes in at r a second and halves in h seconds settles at r * h / ln 2.
                per_second: slot.count * std::f64::consts::LN_2 / HALF_LIFE,
                share: (slot.count / all.max(f64::MIN_POSITIVE)).min(1.0),
            })
            .collect();
        drop(table);
        hot.sort_by(|one, other| {
            let by_rate = other.per_second.total_cmp(&one.per_second);
            by_rate.then_with(|| (one.venue, &one.slot).cmp(&(other.venue, &other.slot)))
        });
        hot.truncate(most);
        hot
    }
}

impl Table {
    fn count(&mut self, hash: u64, venue: u32, holds: f64, name: impl FnOnce() -> String) {
        self.all += holds;
        if let Some(slot) = self.slots.get_mut(&hash) {
            slot.count += holds;
            return;
        }
        // The newcomer takes the place of the least, and its count: so what is often asked for cannot be kept out.
        let mut count = holds;
        if self.slots.len() >= PLACES {
            let least = self
                .slots
                .iter()
                .min_by(|one, other| one.1.count.total_cmp(&other.1.count));
            if let Some(least) = least.map(|(hash, _)| *hash)
                && let Some(gone) = self.slots.remove(&least)
            {
                count += gone.count;
            }
        }
        let name = name();
        self.slots.insert(hash, Slot { venue, name, count });
    }

    fn fade(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.faded).as_secs_f64();
        self.faded = now;
        let left = (-seconds * std::f64::consts::LN_2 / HALF_LIFE).exp();
        self.all *= left;
        self.slots.retain(|_, slot| {
            slot.count *= left;
            slot.count >= FORGET_BELOW
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ask(hot: &HotSlots, slot: u64, holds: usize) {
        hot.asked(1, &slot, holds, || format!("slot-{slot}"));
    }

    #[test]
    fn the_hot_one_is_found_among_thousands_of_cold_ones() {
        let hot = HotSlots::default();
        for n in 0..20_000 {
            ask(&hot, n, 1);
            if n % 20 == 0 {
                ask(&hot, u64::MAX, 1);
            }
        }
        let found = hot.hottest(3);
        assert_eq!(found[0].slot, format!("slot-{}", u64::MAX));
        assert!(hot.table.lock().slots.len() <= PLACES);
        assert!(found[0].share > 0.04 && found[0].share < 0.1, "{found:?}");
    }

    #[test]
    fn what_nobody_asks_for_any_more_fades_and_is_forgotten() {
        let hot = HotSlots::default();
        ask(&hot, 7, 100);
        let begun = hot.table.lock().faded;
        let after = |seconds| hot.hottest_at(begun + Duration::from_secs(seconds), 9);
        let (first, later) = (after(0)[0].per_second, after(5)[0].per_second);
        assert!((later / first - 0.5).abs() < 1e-9, "{first} then {later}");
        assert_eq!(after(120), []);
    }

    #[test]
    fn a_steady_rate_is_shown_as_that_rate() {
        let hot = HotSlots::default();
        let begun = hot.table.lock().faded;
        for second in 1..=60 {
            ask(&hot, 7, 40);
            hot.hottest_at(begun + Duration::from_secs(second), 1);
        }
        ask(&hot, 7, 20);
        let found = hot.hottest_at(begun + Duration::from_secs(60), 1);
        assert!((found[0].per_second - 40.0).abs() < 2.0, "{found:?}");
    }

    #[test]
    fn a_name_is_made_once() {
        let hot = HotSlots::default();
        ask(&hot, 7, 1);
        hot.asked(1, &7_u64, 1, || unreachable!("known already"));
        hot.asked(2, &7_u64, 1, || "of another venue".to_owned());
        assert_eq!(hot.hottest(9).len(), 2);
    }
}
