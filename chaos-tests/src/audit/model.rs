//! The rules once more, in the plainest form: who holds what, counted by hand from commands and replies.
//!
//! It shares no code with `Inventory::apply`, keeps no rows and trusts no stored counter, so a mistake there does not
//! hide itself here. It looks at every entry and says what should not be:
//! - a pool (slot, building over five minutes, guides) above its capacity after a hold;
//! - a key that took effect twice, or whose replay differs from the first answer;
//! - a booking confirmed, released, cancelled or expired from a state that does not allow it;
//! - a hold expired before its time, or places given back twice (the counts then differ).

use std::collections::BTreeMap;

use rotunda_booking::catalogue::VenueDefinition;
use rotunda_booking::command::{Command, Entry, Operation, SlotChange};
use rotunda_booking::ids::{BookingId, CommandKey, VenueNo};
use rotunda_booking::outcome::{BookingStatus, BookingView, Outcome, RefusalCode, Reply};
use rotunda_booking::time::{ServiceDay, Timestamp};

/// The building and the guides are counted over so many milliseconds.
const BUCKET: i64 = 5 * 60 * 1000;

/// One shard as the auditor counts it.
#[derive(Debug, Default)]
pub(crate) struct Model {
    now: Timestamp,
    venues: BTreeMap<VenueNo, Venue>,
    keys: BTreeMap<CommandKey, First>,
    /// What has been counted.
    pub(crate) counts: Counts,
}

/// Numbers for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Log entries with commands.
    pub(crate) entries: u64,
    /// Commands in them.
    pub(crate) commands: u64,
    /// Holds that took places.
    pub(crate) holds: u64,
    /// Confirms that sold.
    pub(crate) confirms: u64,
    /// Holds given back.
    pub(crate) releases: u64,
    /// Holds that ran out.
    pub(crate) expiries: u64,
    /// Refusals.
    pub(crate) refusals: u64,
    /// Of these, sold out.
    pub(crate) sold_out: u64,
    /// Keys that came again and were answered from the record.
    pub(crate) replays: u64,
}

/// The first time that a key was seen.
#[derive(Debug)]
struct First {
    index: u64,
    fingerprint: u64,
    outcome: Outcome,
}

#[derive(Debug, Default)]
struct Venue {
    definition: Option<VenueDefinition>,
    slots: BTreeMap<(String, Timestamp), Slot>,
    bookings: BTreeMap<BookingId, Booking>,
    /// Persons in the building per bucket.
    building: BTreeMap<i64, i64>,
}

#[derive(Debug)]
struct Slot {
    day: ServiceDay,
    occupies_until: Timestamp,
    capacity: u32,
    persons: i64,
}

#[derive(Debug)]
struct Booking {
    status: BookingStatus,
    deadline: Timestamp,
    /// Slot and persons.
    places: Vec<((String, Timestamp), i64)>,
}

impl Model {
    /// Looks at one applied entry with its replies. Gives what is wrong, in words.
    pub(crate) fn observe(&mut self, index: u64, entry: &Entry, replies: &[Reply]) -> Vec<String> {
        self.now = self.now.max(entry.stamp);
        self.counts.entries += 1;
        let mut wrong = Vec::new();
        if entry.commands.len() != replies.len() {
            wrong.push(format!(
                "{} commands got {} replies",
                entry.commands.len(),
                replies.len()
            ));
        }
        for (command, reply) in entry.commands.iter().zip(replies) {
            self.counts.commands += 1;
            if self.is_first(index, command, reply, &mut wrong) {
                self.take_effect(command, reply, &mut wrong);
            }
        }
        wrong
            .iter_mut()
            .for_each(|text| *text = format!("at index {index}: {text}"));
        wrong
    }

    /// The index at which a key took effect, if it has been seen.
    #[must_use]
    pub(crate) fn index_of(&self, key: CommandKey) -> Option<u64> {
        self.keys.get(&key).map(|first| first.index)
    }

    /// What a key was answered the first time.
    #[must_use]
    pub(crate) fn outcome_of(&self, key: CommandKey) -> Option<&Outcome> {
        self.keys.get(&key).map(|first| &first.outcome)
    }

    /// State of a booking.
    #[must_use]
    pub(crate) fn status_of(&self, booking: BookingId) -> Option<BookingStatus> {
        self.venues
            .get(&booking.venue)?
            .bookings
            .get(&booking)
            .map(|booking| booking.status)
    }

    /// Every booking that was ever held.
    pub(crate) fn bookings(&self) -> impl Iterator<Item = BookingId> {
        self.venues.values().flat_map(|venue| venue.bookings.keys().copied())
    }

    /// Persons that hold or have bought a slot of a venue.
    #[cfg(test)]
    pub(crate) fn persons_in(&self, venue: VenueNo, slot: &rotunda_booking::ids::SlotRef) -> Option<i64> {
        let slots = &self.venues.get(&venue)?.slots;
        slots.get(&(slot.product.clone(), slot.start)).map(|slot| slot.persons)
    }

    /// Largest share of its capacity that any slot reaches, in percent, and how many slots are full.
    #[must_use]
    pub(crate) fn fullest(&self) -> (u64, usize) {
        let slots = self
            .venues
            .values()
            .flat_map(|venue| venue.slots.values())
            .filter(|slot| slot.capacity > 0);
        let shares: Vec<u64> = slots
            .map(|slot| u64::try_from(slot.persons).unwrap_or(0) * 100 / u64::from(slot.capacity))
            .collect();
        (
            shares.iter().copied().max().unwrap_or(0),
            shares.iter().filter(|share| **share >= 100).count(),
        )
    }

    fn is_first(&mut self, index: u64, command: &Command, reply: &Reply, wrong: &mut Vec<String>) -> bool {
        let Some(key) = command.key else {
            return true;
        };
        let Some(first) = self.keys.get(&key) else {
            if reply.replayed || reply.index != index {
                wrong.push(format!(
                    "a key seen for the first time was answered as a replay of index {}",
                    reply.index
                ));
            }
            let first = First {
                index,
                fingerprint: command.fingerprint,
                outcome: reply.outcome.clone(),
            };
            self.keys.insert(key, first);
            return true;
        };
        if first.fingerprint == command.fingerprint {
            self.counts.replays += 1;
            if !reply.replayed || reply.index != first.index || reply.outcome != first.outcome {
                wrong.push(format!(
                    "the key of index {} came again and was answered otherwise: {:?}, not {:?}",
                    first.index, reply, first.outcome
                ));
            }
        } else if !matches!(&reply.outcome, Outcome::Refused(refusal) if refusal.code == RefusalCode::IdempotencyKeyReused)
        {
            wrong.push(format!(
                "a key reused with another body was answered {:?}",
                reply.outcome
            ));
        }
        false
    }

    fn take_effect(&mut self, command: &Command, reply: &Reply, wrong: &mut Vec<String>) {
        let now = self.now;
        let counts = &mut self.counts;
        let venue = self.venues.entry(command.venue).or_default();
        match (&command.operation, &reply.outcome) {
            (_, Outcome::Refused(refusal)) => {
                counts.refusals += 1;
                counts.sold_out += u64::from(refusal.code == RefusalCode::SoldOut);
            }
            (Operation::ImportVenue(definition), Outcome::Imported { changed, .. }) => {
                if *changed {
                    venue.definition = Some((**definition).clone());
                }
            }
            (Operation::SetSlots(plan), Outcome::SlotsSet { .. }) => venue.plan(plan),
            (Operation::ChangeSlot { slot, change }, Outcome::SlotChanged(_)) => {
                if let (SlotChange::Capacity(capacity), Some(slot)) =
                    (change, venue.slots.get_mut(&(slot.product.clone(), slot.start)))
                {
                    slot.capacity = *capacity;
                }
            }
            (Operation::Hold(request), Outcome::Booking(view)) => {
                counts.holds += 1;
                let asked: Vec<_> = request
                    .lines
                    .iter()
                    .map(|line| (&line.slot, &line.unit, line.quantity))
                    .collect();
                let given: Vec<_> = view
                    .lines
                    .iter()
                    .map(|line| (&line.slot, &line.unit, line.quantity))
                    .collect();
                if asked != given || view.status != BookingStatus::Held {
                    wrong.push(format!(
                        "a hold of {asked:?} was answered with {:?} {given:?}",
                        view.status
                    ));
                }
                venue.hold(view, now, wrong);
            }
            (Operation::Extend { booking }, Outcome::Booking(view)) => {
                let deadline = view.expires_at.unwrap_or(Timestamp(i64::MAX));
                if let Some(booking) = venue.in_state(*booking, BookingStatus::Held, "extended", wrong) {
                    booking.deadline = deadline;
                }
            }
            (Operation::Confirm { booking, .. }, Outcome::Booking(view)) => {
                counts.confirms += 1;
                let persons = venue.persons_of(*booking);
                if view.status != BookingStatus::Confirmed || i64::try_from(view.tickets.len()) != Ok(persons) {
                    wrong.push(format!(
                        "{} persons got {} tickets, {:?}",
                        persons,
                        view.tickets.len(),
                        view.status
                    ));
                }
                if let Some(booking) = venue.in_state(*booking, BookingStatus::Held, "confirmed", wrong) {
                    booking.status = BookingStatus::Confirmed;
                }
            }
            (Operation::Release { booking }, Outcome::Booking(_)) => {
                counts.releases += 1;
                venue.give_back(
                    *booking,
                    (BookingStatus::Held, BookingStatus::Released),
                    "released",
                    wrong,
                );
            }
            (Operation::Cancel { booking }, Outcome::Booking(_)) => {
                venue.give_back(
                    *booking,
                    (BookingStatus::Confirmed, BookingStatus::Cancelled),
                    "cancelled",
                    wrong,
                );
            }
            (Operation::Expire { .. }, Outcome::Expired { count, more }) => {
                counts.expiries += u64::from(*count);
                venue.expire(now, *count, *more, wrong);
            }
            (operation, outcome) => wrong.push(format!("{operation:?} was answered with {outcome:?}")),
        }
    }
}

impl Venue {
    fn plan(&mut self, plan: &rotunda_booking::command::SlotPlan) {
        for spec in &plan.slots {
            let fresh = Slot {
                day: plan.day,
                occupies_until: spec.occupies_until,
                capacity: spec.capacity,
                persons: 0,
            };
            let slot = self.slots.entry((plan.product.clone(), spec.start)).or_insert(fresh);
            slot.capacity = spec.capacity;
            if slot.persons == 0 {
                slot.occupies_until = spec.occupies_until;
            }
        }
        self.slots.retain(|(product, start), slot| {
            *product != plan.product
                || slot.day != plan.day
                || slot.persons > 0
                || plan.slots.iter().any(|spec| spec.start == *start)
        });
    }

    fn hold(&mut self, view: &BookingView, now: Timestamp, wrong: &mut Vec<String>) {
        let mut places = Vec::new();
        for line in &view.lines {
            let pax = self.pax(&line.slot.product, &line.unit);
            places.push((
                (line.slot.product.clone(), line.slot.start),
                i64::from(line.quantity) * pax,
            ));
        }
        let deadline = view.expires_at.unwrap_or(Timestamp(i64::MAX));
        if deadline <= now {
            wrong.push(format!("a hold was born expired: {deadline:?} at {now:?}"));
        }
        self.shift(&places, 1, wrong);
        self.check_pools(&places, wrong);
        let booking = Booking {
            status: BookingStatus::Held,
            deadline,
            places,
        };
        if self.bookings.insert(view.id, booking).is_some() {
            wrong.push(format!("booking {:?} was handed out twice", view.id));
        }
    }

    fn pax(&self, product: &str, unit: &str) -> i64 {
        let products = self.definition.iter().flat_map(|definition| &definition.products);
        let units = products
            .filter(|known| known.slug == product)
            .flat_map(|known| &known.units);
        units
            .filter(|known| known.slug == unit)
            .map(|unit| i64::from(unit.pax))
            .next()
            .unwrap_or(1)
    }

    fn persons_of(&self, booking: BookingId) -> i64 {
        self.bookings
            .get(&booking)
            .map_or(0, |booking| booking.places.iter().map(|(_, persons)| persons).sum())
    }

    fn shift(&mut self, places: &[((String, Timestamp), i64)], sign: i64, wrong: &mut Vec<String>) {
        for (id, persons) in places {
            let Some(slot) = self.slots.get_mut(id) else {
                wrong.push(format!("a booking in slot {id:?}, which nobody planned"));
                continue;
            };
            slot.persons += sign * persons;
            for bucket in buckets(id.1, slot.occupies_until) {
                *self.building.entry(bucket).or_default() += sign * persons;
            }
        }
    }

    fn check_pools(&self, places: &[((String, Timestamp), i64)], wrong: &mut Vec<String>) {
        let Some(definition) = &self.definition else {
            wrong.push("a hold at a venue without a catalogue".to_owned());
            return;
        };
        for (id, _) in places {
            let Some(slot) = self.slots.get(id) else { continue };
            if slot.persons > i64::from(slot.capacity) {
                wrong.push(format!(
                    "OVERBOOKED: slot {id:?} of {} has {} of {}",
                    definition.slug, slot.persons, slot.capacity
                ));
            }
            for bucket in buckets(id.1, slot.occupies_until) {
                let inside = self.building.get(&bucket).copied().unwrap_or(0);
                if inside > i64::from(definition.building_capacity) {
                    let (slug, most) = (&definition.slug, definition.building_capacity);
                    wrong.push(format!(
                        "OVERBOOKED: the building of {slug} has {inside} of {most} at {}",
                        bucket * BUCKET
                    ));
                }
            }
            let guides = definition
                .products
                .iter()
                .find(|product| product.slug == id.0)
                .and_then(|product| product.guides);
            if let Some(guides) = guides {
                self.check_guides(id, slot, guides, wrong);
            }
        }
    }

    fn check_guides(&self, id: &(String, Timestamp), slot: &Slot, guides: u32, wrong: &mut Vec<String>) {
        for bucket in buckets(id.1, slot.occupies_until) {
            let tours = self
                .slots
                .iter()
                .filter(|((product, start), tour)| {
                    *product == id.0 && tour.persons > 0 && buckets(*start, tour.occupies_until).contains(&bucket)
                })
                .count();
            if tours > guides as usize {
                wrong.push(format!(
                    "OVERBOOKED: {tours} tours of {} at once with {guides} guides",
                    id.0
                ));
            }
        }
    }

    fn in_state(
        &mut self,
        id: BookingId,
        wanted: BookingStatus,
        done: &str,
        wrong: &mut Vec<String>,
    ) -> Option<&mut Booking> {
        match self.bookings.get_mut(&id) {
            Some(booking) if booking.status == wanted => Some(booking),
            Some(booking) => {
                wrong.push(format!("booking {id} was {done} although it was {:?}", booking.status));
                None
            }
            None => {
                wrong.push(format!("booking {id} was {done}, which nobody held"));
                None
            }
        }
    }

    fn give_back(
        &mut self,
        id: BookingId,
        (from, to): (BookingStatus, BookingStatus),
        done: &str,
        wrong: &mut Vec<String>,
    ) {
        let Some(booking) = self.in_state(id, from, done, wrong) else {
            return;
        };
        booking.status = to;
        let places = booking.places.clone();
        self.shift(&places, -1, wrong);
    }

    /// The log says how many; which ones follows from the deadlines.
    fn expire(&mut self, now: Timestamp, count: u32, more: bool, wrong: &mut Vec<String>) {
        let mut due: Vec<(Timestamp, BookingId)> = self
            .bookings
            .iter()
            .filter(|(_, booking)| booking.status == BookingStatus::Held && booking.deadline <= now)
            .map(|(id, booking)| (booking.deadline, *id))
            .collect();
        due.sort_by_key(|(deadline, id)| (*deadline, id.seq));
        let expected = if more {
            due.len() > count as usize
        } else {
            due.len() == count as usize
        };
        if !expected {
            wrong.push(format!(
                "{count} holds expired (more: {more}) where {} were due",
                due.len()
            ));
        }
        for (_, id) in due.into_iter().take(count as usize) {
            self.give_back(id, (BookingStatus::Held, BookingStatus::Expired), "expired", wrong);
        }
    }
}

fn buckets(from: Timestamp, until: Timestamp) -> std::ops::Range<i64> {
    if until <= from {
        return 0..0;
    }
    from.0.div_euclid(BUCKET)..(until.0 - 1).div_euclid(BUCKET) + 1
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
