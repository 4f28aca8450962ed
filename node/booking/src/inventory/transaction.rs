//! What a command works with while its entry is applied: the caches, the rows below them, the entry's time and index.
//!
//! Commands look at everything first and change things only once nothing can be refused any more, so a refusal leaves
//! no trace but its record.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::wire::Wire;
use crate::idempotency::Keys;
use crate::ids::VenueNo;
use crate::inventory::Inventory;
use crate::inventory::deadlines::Deadlines;
use crate::inventory::hash::digest;
use crate::keys::{self, Key};
use crate::outbox::Events;
use crate::outcome::{Refusal, RefusalCode};
use crate::pools::PoolRows;
use crate::rows::{Rows, RowsError};
use crate::state::{
    Booking, Catalogue, CatalogueRow, Counters, GuideHour, GuideHourId, Hour, HourId, PlanRow, Record, RecordId,
    Reserve, Slot, SlotId, damaged, encode_row, read_row,
};
use crate::time::Timestamp;

/// Why a command went no further.
#[derive(Debug)]
pub(crate) enum Halt {
    /// An answer like any other.
    Refused(Refusal),
    /// The entry cannot be applied.
    Broken(RowsError),
}

impl From<RowsError> for Halt {
    fn from(error: RowsError) -> Self {
        Self::Broken(error)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// See the module.
pub(crate) struct Transaction<'a> {
    /// Log index of the entry.
    pub(crate) index: u64,
    /// Log time of the entry.
    pub(crate) now: Timestamp,
    pub(super) rows: &'a mut dyn Rows,
    pub(super) inventory: &'a mut Inventory,
}

/// How places move in the pools of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    /// Free to held.
    Hold,
    /// Held to sold.
    Sell,
    /// Held to free.
    Release,
    /// Sold to free.
    Cancel,
}

impl Shift {
    /// The counts after `places` have moved; `None` where there were not so many.
    fn apply(self, held: u32, confirmed: u32, places: u32) -> Option<(u32, u32)> {
        Some(match self {
            Self::Hold => (held.checked_add(places)?, confirmed),
            Self::Sell => (held.checked_sub(places)?, confirmed.checked_add(places)?),
            Self::Release => (held.checked_sub(places)?, confirmed),
            Self::Cancel => (held, confirmed.checked_sub(places)?),
        })
    }
}

impl Transaction<'_> {
    /// The venue's catalogue, where it has one.
    pub(crate) fn catalogue(&mut self, venue: VenueNo) -> Result<Option<Arc<Catalogue>>, RowsError> {
        self.inventory.catalogues.get(self.rows, venue)
    }

    /// The venue's catalogue, or the refusal for want of one.
    pub(crate) fn known_catalogue(&mut self, venue: VenueNo) -> Result<Arc<Catalogue>, Halt> {
        let catalogue = self.catalogue(venue)?;
        catalogue.ok_or_else(|| {
            let refusal = Refusal::new(
                RefusalCode::UnknownVenue,
                "the venue has no catalogue yet; import it, or correct its id",
            );
            refusal.into()
        })
    }

    /// Replaces the venue's catalogue.
    pub(crate) fn set_catalogue(&mut self, venue: VenueNo, catalogue: Catalogue) -> Result<(), RowsError> {
        self.replace(&Key::venue_row(venue), &encode_row(&catalogue.row))?;
        self.replace(
            &Key::catalogue(venue),
            &encode_row(&CatalogueRow(catalogue.definition.clone())),
        )?;
        self.inventory.catalogues.keep(venue, catalogue);
        Ok(())
    }

    pub(crate) fn counters(&self, venue: VenueNo) -> Counters {
        self.inventory
            .venues
            .get(&venue)
            .map(|venue| venue.counters)
            .unwrap_or_default()
    }

    pub(crate) fn counters_mut(&mut self, venue: VenueNo) -> &mut Counters {
        let state = self.inventory.venues.entry(venue).or_default();
        if !std::mem::replace(&mut state.changed, true) {
            self.inventory.changed_venues.push(venue);
        }
        &mut state.counters
    }

    /// The next sequence number of the venue.
    pub(crate) fn next_record(&mut self, venue: VenueNo) -> RecordId {
        let counters = self.counters_mut(venue);
        let seq = counters.next_seq;
        counters.next_seq += 1;
        RecordId { venue, seq }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.inventory.keys
    }

    pub(crate) fn keys_mut(&mut self) -> &mut Keys {
        &mut self.inventory.keys
    }

    /// Venues and how many of their keys are in the window, most first.
    pub(crate) fn venues_by_window_keys(&self) -> Vec<(VenueNo, u64)> {
        let venues = self.inventory.venues.iter();
        let mut counts: Vec<_> = venues
            .map(|(venue, state)| (*venue, state.counters.window_keys))
            .collect();
        // Stable: equal counts stay in order of venue, on every replica alike.
        counts.sort_by_key(|(_, keys)| std::cmp::Reverse(*keys));
        counts
    }

    /// Lets the filter over old keys grow.
    pub(crate) fn grow_filter(&mut self, most_bytes: usize) -> Result<(), RowsError> {
        let venues: Vec<VenueNo> = self.inventory.venues.keys().copied().collect();
        self.inventory.keys.grow_filter(self.rows, &venues, most_bytes)
    }

    /// The store below the caches; it shows nothing of this entry.
    pub(crate) fn rows(&self) -> &dyn Rows {
        self.rows
    }

    /// Writes a row that did not exist and is not read again within the entry.
    pub(crate) fn append<T: Wire>(&mut self, key: Key, value: &T) {
        self.inventory.appended.put(&mut self.inventory.hash, key, value);
    }

    /// Removes a row that an earlier entry has appended, and that was stored as `value`. Once in an entry.
    pub(crate) fn remove_appended(&mut self, key: Key, value: &[u8]) {
        let stored = digest(&key, value);
        self.inventory.appended.remove(&mut self.inventory.hash, key, stored);
    }

    /// What this entry has said of deadlines so far.
    pub(crate) fn deadlines_noted(&self) -> &Deadlines {
        &self.inventory.deadlines
    }

    pub(crate) fn deadlines(&mut self) -> &mut Deadlines {
        &mut self.inventory.deadlines
    }

    pub(crate) fn events(&mut self) -> &mut Events {
        &mut self.inventory.events
    }

    /// Writes a row of the few that are not cached. Changed twice in one entry, its row before the entry would be
    /// counted out twice: what the entry has put is therefore noted.
    fn replace(&mut self, key: &[u8], value: &[u8]) -> Result<(), RowsError> {
        let before = match self.inventory.replaced.get(key) {
            Some(digest) => *digest,
            None => self.rows.get(key)?.map_or(0, |bytes| digest(key, &bytes)),
        };
        let after = digest(key, value);
        if before != after {
            self.inventory.hash.replace(before, after);
            self.inventory.replaced.insert(key.to_vec(), after);
            self.rows.put(key, value);
        }
        Ok(())
    }

    pub(crate) fn slot(&mut self, id: SlotId) -> Result<Option<Slot>, RowsError> {
        Ok(self.inventory.slots.get(self.rows, id)?.copied())
    }

    /// Creates, changes or (with `None`) removes a slot. Its sales are moved by [`Transaction::shift`] alone.
    pub(crate) fn set_slot(&mut self, id: SlotId, slot: Option<Slot>) -> Result<(), RowsError> {
        *self.inventory.slots.change(self.rows, id)? = slot;
        Ok(())
    }

    /// Slots of a product with a start in `from..to`, those of this entry included.
    pub(crate) fn slots_between(&mut self, from: SlotId, to: SlotId) -> Result<Vec<(SlotId, Slot)>, RowsError> {
        let mut ids: Vec<SlotId> = self.inventory.slots.changed(from..=to).filter(|id| *id < to).collect();
        self.rows.scan(&Key::slot(from), &Key::slot(to), &mut |key, _| {
            if let Some(start) = keys::last_time(key) {
                ids.push(SlotId {
                    start: Timestamp(start),
                    ..from
                });
            }
            ControlFlow::Continue(())
        })?;
        ids.sort_unstable();
        ids.dedup();
        let mut slots = Vec::with_capacity(ids.len());
        for id in ids {
            // A row that this entry removed is still seen by the scan.
            if let Some(slot) = self.slot(id)? {
                slots.push((id, slot));
            }
        }
        Ok(slots)
    }

    /// How far the product is planned.
    pub(crate) fn plan(&mut self, venue: VenueNo, product: u16) -> Result<Option<PlanRow>, RowsError> {
        match self.inventory.plans.get(&(venue, product)) {
            Some(plan) => Ok(Some(*plan)),
            None => read_row::<PlanRow>(self.rows, (venue, product)),
        }
    }

    pub(crate) fn set_plan(&mut self, venue: VenueNo, product: u16, plan: PlanRow) -> Result<(), RowsError> {
        self.replace(&Key::plan(venue, product), &encode_row(&plan))?;
        self.inventory.plans.insert((venue, product), plan);
        Ok(())
    }

    /// What probers have of the reserve.
    pub(crate) fn reserve(&mut self) -> Result<Reserve, RowsError> {
        match &self.inventory.reserve {
            Some(changed) => Ok(changed.clone()),
            None => Ok(read_row::<Reserve>(self.rows, ())?.unwrap_or_default()),
        }
    }

    pub(crate) fn set_reserve(&mut self, reserve: &Reserve) -> Result<(), RowsError> {
        self.replace(&Key::reserve(), &encode_row(reserve))?;
        self.inventory.reserve = Some(reserve.clone());
        Ok(())
    }

    /// A booking, where `id` is one.
    pub(crate) fn record(&mut self, id: RecordId) -> Result<Option<&Record>, RowsError> {
        self.inventory.records.get(self.rows, id)
    }

    /// A record at hand. What this entry changed always is.
    pub(crate) fn record_at_hand(&self, id: RecordId) -> Option<&Record> {
        self.inventory.records.peek(id)
    }

    /// A record that did not exist.
    pub(crate) fn insert_record(&mut self, id: RecordId, record: Record) {
        self.inventory.records.insert_new(id, record);
    }

    /// A booking after a change.
    pub(crate) fn set_booking(&mut self, id: RecordId, booking: Booking) -> Result<(), RowsError> {
        *self.inventory.records.change(self.rows, id)? = Some(Record::Booking(booking));
        Ok(())
    }

    /// Moves `places` in every pool of a slot: its own, the building's, the guides'. The only way in which places move.
    ///
    /// # Errors
    /// Where a pool would hold more than its capacity after a hold, or less than nothing: the caller has looked before,
    /// so the state is damaged, and it is better to stop than to sell from it.
    pub(crate) fn shift(
        &mut self,
        catalogue: &Catalogue,
        id: SlotId,
        places: u32,
        shift: Shift,
    ) -> Result<(), RowsError> {
        let key = Key::slot(id);
        let inventory = &mut *self.inventory;
        let slot = inventory.slots.change(self.rows, id)?.as_mut();
        let slot = slot.ok_or_else(|| damaged(&key, "a booked slot is gone".to_owned()))?;
        let before = slot.used();
        (slot.held, slot.confirmed) = shift
            .apply(slot.held, slot.confirmed, places)
            .ok_or_else(|| damaged(&key, format!("{shift:?} of {places} places does not add up")))?;
        let after = slot.used();
        if shift == Shift::Hold && after > slot.capacity() {
            return Err(damaged(&key, "a hold would overbook the slot".to_owned()));
        }
        slot.lowered &= after > slot.capacity();
        let span = slot.span(id.start);
        for (hour, buckets) in span.hours() {
            let hour_id = HourId { venue: id.venue, hour };
            let row = inventory.building.change(self.rows, hour_id)?.get_or_insert_default();
            for bucket in buckets {
                let taken = &mut row.0[bucket];
                let moved = shift.apply(taken.held, taken.confirmed, places);
                (taken.held, taken.confirmed) = moved.ok_or_else(|| {
                    damaged(
                        &Key::building(hour_id),
                        "people in the building do not add up".to_owned(),
                    )
                })?;
                if shift == Shift::Hold && row.used(bucket) > catalogue.definition.building_capacity {
                    let detail = "a hold would overbook the building".to_owned();
                    return Err(damaged(&Key::building(hour_id), detail));
                }
            }
        }
        if (before == 0) != (after == 0) {
            for (hour, buckets) in span.hours() {
                let hour_id = GuideHourId {
                    venue: id.venue,
                    product: id.product,
                    hour,
                };
                let row = inventory.guides.change(self.rows, hour_id)?.get_or_insert_default();
                row.shift(hour_id, buckets, before == 0)?;
            }
        }
        Ok(())
    }

    /// Moves all places of a booking.
    pub(crate) fn shift_booking(&mut self, venue: VenueNo, booking: &Booking, shift: Shift) -> Result<(), RowsError> {
        let Some(catalogue) = self.catalogue(venue)? else {
            return Err(damaged(
                &Key::venue_row(venue),
                "a venue with bookings has no catalogue".to_owned(),
            ));
        };
        for (_, line) in booking.live_lines() {
            let id = SlotId {
                venue,
                product: line.product,
                start: line.start,
            };
            self.shift(&catalogue, id, line.places(), shift)?;
        }
        Ok(())
    }
}

impl PoolRows for Transaction<'_> {
    fn building(&mut self, id: HourId) -> Result<Hour, RowsError> {
        Ok(self.inventory.building.get(self.rows, id)?.copied().unwrap_or_default())
    }

    fn guides(&mut self, id: GuideHourId) -> Result<GuideHour, RowsError> {
        Ok(self.inventory.guides.get(self.rows, id)?.copied().unwrap_or_default())
    }
}
