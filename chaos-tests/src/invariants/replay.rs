//! A shard's log applied to nothing by the product's own rules: the replies where the history has none, and the state
//! hash at the indexes where replicas were asked for theirs.

use std::collections::{BTreeMap, BTreeSet};

use rotunda_booking::command::Entry;
use rotunda_booking::idempotency::KeyWindow;
use rotunda_booking::inventory::{Inventory, Limits};
use rotunda_booking::outcome::Reply;
use rotunda_booking::rows::MapRows;

/// So many replies that are not as the rules have them are kept.
const KEPT: usize = 25;

/// What came of it.
#[derive(Debug, Default)]
pub struct Replayed {
    /// State hash by index, where it was wanted.
    pub hashes: BTreeMap<u64, [u8; 16]>,
    /// Replies of the history that the rules do not give: index, and both in words.
    pub otherwise: Vec<(u64, String)>,
    /// Why the replay ended early.
    pub broken: Option<String>,
    /// The last index that was applied.
    pub through: u64,
}

pub(super) struct Replay {
    rows: MapRows,
    inventory: Inventory,
    wanted: BTreeSet<u64>,
    replayed: Replayed,
}

impl Replay {
    pub(super) fn new(window: Option<(u64, u64)>, wanted: BTreeSet<u64>) -> Self {
        let window = window.map_or_else(KeyWindow::default, |(recent, spill)| KeyWindow { recent, spill });
        Replay {
            rows: MapRows::new(),
            inventory: Inventory::with_key_window(Limits::default(), window),
            wanted,
            replayed: Replayed::default(),
        }
    }

    /// Applies an entry; gives its replies, or nothing where the rules broke at it or before.
    pub(super) fn apply(&mut self, index: u64, entry: &Entry, seen: Option<&[Reply]>) -> Option<Vec<Reply>> {
        if self.replayed.broken.is_some() {
            return None;
        }
        match self.inventory.apply(&mut self.rows, index, entry) {
            Ok(replies) => {
                self.rows.commit();
                if let Some((worked_out, seen)) = seen.and_then(|seen| {
                    let pairs = replies.iter().zip(seen);
                    pairs.into_iter().find(|(worked_out, seen)| worked_out != seen)
                }) && self.replayed.otherwise.len() < KEPT
                {
                    let text = format!("{seen:?}, and the rules give {worked_out:?}");
                    self.replayed.otherwise.push((index, text));
                }
                self.skip(index);
                Some(replies)
            }
            Err(error) => {
                self.replayed.broken = Some(format!("at index {index}: {error}"));
                None
            }
        }
    }

    /// An entry without commands.
    pub(super) fn skip(&mut self, index: u64) {
        if self.replayed.broken.is_none() {
            self.replayed.through = index;
            if self.wanted.contains(&index) {
                self.replayed.hashes.insert(index, self.inventory.state_hash());
            }
        }
    }

    pub(super) fn end(self) -> Replayed {
        self.replayed
    }
}
