//! One shard's state while it is served: decoded caches over the rows, and the one way to change them.
//!
//! The node's apply thread owns an inventory. [`Inventory::apply`] turns an entry into replies and row changes;
//! [`Inventory::load`] rebuilds the caches. Reads beside it go through `queries`, which needs rows only.

mod appended;
mod cache;
mod catalogues;
mod deadlines;
mod desk;
pub(crate) mod hash;
mod transaction;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

pub(crate) use self::appended::Appended;
use self::cache::Cache;
use self::catalogues::Catalogues;
pub(crate) use self::deadlines::{Deadlines, Ending};
use self::desk::Desk;
pub(crate) use self::hash::StateHash;
use self::hash::digest;
pub use self::hash::{RowsHash, recompute_state_hash};
pub(crate) use self::transaction::{Halt, Shift, Transaction};
use crate::codec::RepliesBuilder;
use crate::command::{Command, Entry};
use crate::commands;
use crate::idempotency::{self, KeyWindow, Keys};
use crate::ids::VenueNo;
use crate::keys::{self, Key, Table};
use crate::mutant::mutant;
use crate::outbox::Events;
use crate::outcome::Reply;
use crate::rows::{ReadRows, Rows, RowsError};
use crate::state::{
    Catalogue, CatalogueRow, Counters, GuideHour, Hour, PlanRow, Record, Reserve, Row, Slot, VenueRow, checked_row,
    damaged, encode_row, read_row,
};
use crate::time::Timestamp;

/// How much of the state is kept decoded. Affects memory and speed, never an outcome: replicas may differ in it.
/// In memory besides are the newest command keys ([`KeyWindow::bytes`]) and a few hundred bytes of counters a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Slots kept decoded, about 150 bytes each. The least recently used beyond it are read again when wanted.
    pub slots: usize,
    /// Hours of the building and of guides kept decoded, about 200 bytes each.
    pub hours: usize,
    /// Bookings and other records kept decoded, about 400 bytes each.
    pub records: usize,
    /// Bytes of catalogues kept decoded, about. One is kept even where it is larger.
    pub catalogue_bytes: usize,
    /// Bytes up to which the filter over the command keys on disk may grow.
    pub filter_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            slots: 32_768,
            hours: 16_384,
            records: 8_192,
            catalogue_bytes: 2 << 20,
            filter_bytes: 1 << 20,
        }
    }
}

/// What is in memory of one venue, always.
#[derive(Debug, Default)]
struct Venue {
    counters: Counters,
    /// Digest of the counters' row.
    stored_counters: u128,
    /// The counters changed in this entry.
    changed: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Inventory {
    limits: Limits,
    window: KeyWindow,
    now: Timestamp,
    stored_now: Option<Timestamp>,
    hash: StateHash,
    venues: BTreeMap<VenueNo, Venue>,
    changed_venues: Vec<VenueNo>,
    keys: Keys,
    catalogues: Catalogues,
    slots: Cache<Slot>,
    building: Cache<Hour>,
    guides: Cache<GuideHour>,
    records: Cache<Record>,
    /// Rows of gates and counters.
    desk: Desk,
    /// Rows that this entry writes once.
    appended: Appended,
    /// Holds of this entry, by deadline.
    deadlines: Deadlines,
    /// What happened in this entry.
    events: Events,
    /// Plans changed in this entry.
    plans: BTreeMap<(VenueNo, u16), PlanRow>,
    /// The reserve as this entry has changed it.
    reserve: Option<Reserve>,
    /// Digests of uncached rows changed in this entry.
    replaced: BTreeMap<Vec<u8>, u128>,
}

impl Inventory {
    /// An empty shard.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::with_key_window(limits, KeyWindow::default())
    }

    /// An empty shard with a window of its own. All replicas of a cluster must have the same, from the first entry on:
    /// for tests and simulations, which reach the end of a small one sooner.
    #[must_use]
    pub fn with_key_window(limits: Limits, window: KeyWindow) -> Self {
        Self {
            limits,
            window,
            now: Timestamp(0),
            stored_now: None,
            hash: StateHash::default(),
            venues: BTreeMap::new(),
            changed_venues: Vec::new(),
            keys: Keys::with_room_for(0, limits.filter_bytes),
            catalogues: Catalogues::default(),
            slots: Cache::default(),
            building: Cache::default(),
            guides: Cache::default(),
            records: Cache::default(),
            desk: Desk::default(),
            appended: Appended::default(),
            deadlines: Deadlines::default(),
            events: Events::default(),
            plans: BTreeMap::new(),
            reserve: None,
            replaced: BTreeMap::new(),
        }
    }

    /// Forgets what is in memory and rebuilds it from `rows`: at start, and after a snapshot was installed.
    ///
    /// # Errors
    /// Where the store fails or a row is damaged.
    pub fn load(&mut self, rows: &impl ReadRows) -> Result<(), RowsError> {
        *self = Self::with_key_window(self.limits, self.window);
        self.hash = StateHash::read(rows)?;
        self.stored_now = read_clock(rows)?;
        self.now = self.stored_now.unwrap_or(Timestamp(0));
        for venue in venues_in(rows, Table::Counters)? {
            let key = Key::counters(venue);
            if let Some(bytes) = rows.get(&key)? {
                let state = self.venues.entry(venue).or_default();
                state.counters = checked_row::<Counters>(&key, &bytes)?;
                state.stored_counters = digest(&key, &bytes);
            }
        }
        let spilled = self.venues.values().map(|venue| venue.counters.spilled_keys).sum();
        self.keys = Keys::with_room_for(spilled, self.limits.filter_bytes);
        for (venue, state) in &self.venues {
            if !mutant!(KeysForgottenAtLoad) {
                self.keys.load(rows, *venue, &state.counters)?;
            }
        }
        Ok(())
    }

    /// Changes how much is kept decoded, from the end of the next entry on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Applies one entry: a reply for each command, in order, and the row changes in `rows`. The same entries at the
    /// same indexes give the same replies and rows, wherever and however often they are applied from the same rows.
    ///
    /// # Errors
    /// Where the store fails or a row is damaged. `rows` must then not be written, and the caches are of no use.
    pub fn apply(&mut self, rows: &mut impl Rows, index: u64, entry: &Entry) -> Result<Vec<Reply>, RowsError> {
        let mut replies = Vec::with_capacity(entry.commands.len());
        self.run(rows, index, entry, |transaction, command| {
            replies.push(commands::answer(transaction, command)?);
            Ok(())
        })?;
        Ok(replies)
    }

    /// As [`Inventory::apply`], with the replies as [`crate::codec::encode_replies`] encodes them.
    ///
    /// # Errors
    /// As [`Inventory::apply`].
    pub fn lead(&mut self, rows: &mut impl Rows, index: u64, entry: &Entry) -> Result<Bytes, RowsError> {
        let mut replies = RepliesBuilder::for_commands(entry.commands.len());
        self.run(rows, index, entry, |transaction, command| {
            commands::answer_encoded(transaction, command, &mut replies)
        })?;
        Ok(replies.finish())
    }

    /// As [`Inventory::apply`], where nobody waits for the replies: the rows are the same, and most answers are not made.
    ///
    /// # Errors
    /// As [`Inventory::apply`].
    pub fn follow(&mut self, rows: &mut impl Rows, index: u64, entry: &Entry) -> Result<(), RowsError> {
        self.run(rows, index, entry, |transaction, command| {
            commands::execute(transaction, command).map(drop)
        })
    }

    fn run(
        &mut self,
        rows: &mut impl Rows,
        index: u64,
        entry: &Entry,
        mut command: impl FnMut(&mut Transaction<'_>, &Command) -> Result<(), RowsError>,
    ) -> Result<(), RowsError> {
        self.now = self.now.max(entry.stamp);
        let (window, filter_bytes) = (self.window, self.limits.filter_bytes);
        let mut transaction = Transaction {
            index,
            now: self.now,
            rows,
            inventory: self,
        };
        for next in &entry.commands {
            command(&mut transaction, next)?;
        }
        idempotency::spill(&mut transaction, window, filter_bytes)?;
        self.flush(rows);
        Ok(())
    }

    /// An entry of one change that no command makes.
    #[cfg(test)]
    pub(crate) fn change_alone(
        &mut self,
        rows: &mut impl Rows,
        stamp: Timestamp,
        change: impl FnOnce(&mut Transaction<'_>),
    ) {
        self.now = self.now.max(stamp);
        change(&mut Transaction {
            index: 0,
            now: self.now,
            rows,
            inventory: self,
        });
        self.flush(rows);
    }

    /// Hands the entry's changes to the store, and makes room in the caches.
    fn flush(&mut self, rows: &mut dyn Rows) {
        self.slots.flush(rows, &mut self.hash);
        self.building.flush(rows, &mut self.hash);
        self.guides.flush(rows, &mut self.hash);
        self.records.flush(rows, &mut self.hash);
        self.desk.flush(rows, &mut self.hash);
        self.deadlines.flush(&mut self.appended, &mut self.hash);
        self.events.flush(&mut self.appended, &mut self.hash);
        self.appended.flush(rows);
        for venue in self.changed_venues.drain(..) {
            let Some(state) = self.venues.get_mut(&venue) else {
                continue;
            };
            state.changed = false;
            let (key, row) = (Key::counters(venue), encode_row(&state.counters));
            let after = digest(&key, &row);
            if after != state.stored_counters {
                self.hash.replace(state.stored_counters, after);
                state.stored_counters = after;
                rows.put(&key, &row);
            }
        }
        if self.stored_now != Some(self.now) {
            let key = Key::clock();
            let before = self.stored_now.map_or(0, |stored| digest(&key, &encode_row(&stored)));
            let row = encode_row(&self.now);
            self.hash.replace(before, digest(&key, &row));
            self.stored_now = Some(self.now);
            rows.put(&key, &row);
        }
        rows.put(&Key::hash(), &self.hash.0.to_be_bytes());
        self.slots.evict(self.limits.slots);
        self.building.evict(self.limits.hours);
        self.guides.evict(self.limits.hours);
        self.records.evict(self.limits.records);
        self.catalogues.evict(self.limits.catalogue_bytes);
        self.plans.clear();
        self.reserve = None;
        self.replaced.clear();
    }

    /// What the filter over the command keys on disk takes in memory.
    #[must_use]
    pub fn filter_bytes(&self) -> usize {
        self.keys.filter_bytes()
    }

    /// Digest over all rows but the one that keeps it. Equal on all replicas at equal index.
    #[must_use]
    pub fn state_hash(&self) -> [u8; 16] {
        self.hash.0.to_be_bytes()
    }

    /// The last log time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// The log time that is stored.
pub(crate) fn read_clock(rows: &(impl ReadRows + ?Sized)) -> Result<Option<Timestamp>, RowsError> {
    let key = Key::clock();
    rows.get(&key)?
        .map(|bytes| crate::state::decode_row(&key, &bytes))
        .transpose()
}

/// The catalogue that is stored.
pub(crate) fn read_catalogue(rows: &(impl ReadRows + ?Sized), venue: VenueNo) -> Result<Option<Catalogue>, RowsError> {
    let Some(row) = read_row::<VenueRow>(rows, venue)? else {
        return Ok(None);
    };
    let key = <CatalogueRow as Row>::key(venue);
    let missing = || damaged(&key, "a venue without its catalogue".to_owned());
    let definition = read_row::<CatalogueRow>(rows, venue)?.ok_or_else(missing)?;
    let catalogue = Catalogue::new(row, definition.0);
    catalogue
        .map(Some)
        .ok_or_else(|| damaged(&key, "more names than numbers".to_owned()))
}

/// The venues of a table that has one row for each.
pub(crate) fn venues_in(rows: &(impl ReadRows + ?Sized), table: Table) -> Result<Vec<VenueNo>, RowsError> {
    let mut venues = Vec::new();
    rows.scan(&Key::table_start(table), &Key::table_end(table), &mut |key, _| {
        venues.extend(keys::venue_of(key));
        ControlFlow::Continue(())
    })?;
    Ok(venues)
}

#[cfg(test)]
mod tests;
