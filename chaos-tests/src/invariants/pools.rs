//! What is taken of each pool, counted by hand: a slot's places, the building over five minutes each, a product's guides.
//!
//! It shares no code with the product and trusts no stored counter. `capacity` asks it whether a hold took too much, the
//! witness of `linearizable` also whether a refusal was right.

use std::collections::BTreeMap;

use rotunda_booking::catalogue::VenueDefinition;
use rotunda_booking::command::{LineRequest, Operation, SlotChange, SlotPlan};
use rotunda_booking::ids::{BookingId, SlotRef, VenueNo};
use rotunda_booking::outcome::{BookingView, Outcome};
use rotunda_booking::time::{ServiceDay, Timestamp};
use rustc_hash::FxHashMap;

use super::evidence::Step;

/// The building and the guides are counted over so many milliseconds.
const BUCKET: i64 = 5 * 60 * 1000;

/// All pools of one shard.
#[derive(Debug, Default)]
pub(super) struct Pools {
    venues: BTreeMap<VenueNo, Venue>,
    taken: FxHashMap<BookingId, Taken>,
}

#[derive(Debug, Default)]
struct Venue {
    definition: Option<VenueDefinition>,
    slots: FxHashMap<String, BTreeMap<Timestamp, Slot>>,
    /// Persons in the building per bucket.
    building: FxHashMap<i64, i64>,
    /// Slots of a product with visitors per bucket.
    tours: FxHashMap<String, FxHashMap<i64, usize>>,
}

/// One slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    day: ServiceDay,
    end: Timestamp,
    occupies_until: Timestamp,
    planned: u32,
    operators: Option<u32>,
    closed: bool,
    dropped: bool,
    /// Persons.
    pub(super) held: i64,
    /// Persons.
    pub(super) confirmed: i64,
}

/// What a booking takes, line by line.
#[derive(Debug)]
struct Taken {
    lines: Vec<Place>,
    sold: bool,
}

/// Persons in a slot: none in a line that was cancelled by itself.
#[derive(Clone, Debug)]
struct Place {
    slot: SlotRef,
    persons: i64,
}

impl Taken {
    /// The same, slot by slot.
    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::with_capacity(self.lines.len());
        for line in self.lines.iter().filter(|line| line.persons > 0) {
            match places.iter_mut().find(|place| place.slot == line.slot) {
                Some(place) => place.persons += line.persons,
                None => places.push(line.clone()),
            }
        }
        places
    }
}

impl Slot {
    /// Places.
    pub(super) fn capacity(&self) -> i64 {
        i64::from(self.operators.unwrap_or(self.planned))
    }

    /// Entry ends.
    pub(super) fn end(&self) -> Timestamp {
        self.end
    }

    /// Persons, held or sold.
    pub(super) fn used(&self) -> i64 {
        self.held + self.confirmed
    }
}

impl Pools {
    /// Takes and gives back what a step did.
    pub(super) fn follow(&mut self, step: &Step) {
        let Some(outcome) = step.effect() else { return };
        match (&step.command.operation, outcome) {
            (Operation::ImportVenue(definition), Outcome::Imported { changed: true, .. }) => {
                self.venue(step.command.venue).definition = Some((**definition).clone());
            }
            (Operation::SetSlots(plan), Outcome::SlotsSet { .. }) => self.venue(step.command.venue).plan(plan),
            (Operation::ChangeSlot { slot, change }, Outcome::SlotChanged(_)) => {
                if let Some(slot) = self.venue(step.command.venue).slot_mut(slot) {
                    match change {
                        SlotChange::Capacity(capacity) => slot.operators = Some(*capacity),
                        SlotChange::Closed(closed) => slot.closed = *closed,
                    }
                }
            }
            (Operation::Hold(_), Outcome::Booking(view)) => self.hold(step.command.venue, view),
            (Operation::Confirm { booking, .. }, Outcome::Booking(_)) => self.sell(*booking),
            (Operation::Release { booking }, Outcome::Booking(_)) => self.give_back(*booking),
            (Operation::Cancel { booking, lines }, Outcome::Booking(_)) => self.give_back_lines(*booking, lines),
            (Operation::Rebook { booking, .. }, Outcome::Rebooked { booking: view, .. }) => {
                self.give_back(*booking);
                self.hold(step.command.venue, view);
                self.sell(view.id);
            }
            (Operation::Expire { .. }, _) => step.expired.iter().for_each(|id| self.give_back(*id)),
            _ => {}
        }
    }

    /// Pools that a hold has taken above what they have, in words.
    pub(super) fn above_capacity(&self, hold: BookingId) -> Vec<String> {
        let mut found = Vec::new();
        let (Some(taken), Some(venue)) = (self.taken.get(&hold), self.venues.get(&hold.venue)) else {
            return found;
        };
        let Some(definition) = &venue.definition else {
            return vec!["a hold at a venue without a catalogue".to_owned()];
        };
        for place in &taken.places() {
            let name = &place.slot;
            let Some(slot) = venue.slot(name) else {
                found.push(format!("a booking in slot {name}, which nobody planned"));
                continue;
            };
            if slot.used() > slot.capacity() {
                let (used, capacity) = (slot.used(), slot.capacity());
                found.push(format!(
                    "OVERBOOKED: slot {name} of {} has {used} of {capacity}",
                    definition.slug
                ));
            }
            let most = i64::from(definition.building_capacity);
            let fullest = buckets(name.start, slot.occupies_until).map(|bucket| (venue.inside(bucket), bucket));
            if let Some((inside, bucket)) = fullest.max().filter(|(inside, _)| *inside > most) {
                let at = Timestamp(bucket * BUCKET).to_rfc3339(0);
                found.push(format!(
                    "OVERBOOKED: the building of {} has {inside} of {most} at {at}",
                    definition.slug
                ));
            }
            let began = slot.used() == place.persons && place.persons > 0;
            if let (true, Some(guides)) = (began, venue.guides(&name.product)) {
                let tours = buckets(name.start, slot.occupies_until).map(|bucket| venue.tours(&name.product, bucket));
                if let Some(tours) = tours.max().filter(|tours| *tours > guides) {
                    found.push(format!(
                        "OVERBOOKED: {tours} tours of {} at once with {guides} guides",
                        name.product
                    ));
                }
            }
        }
        found
    }

    /// True where every pool has room for all lines together; none where a slot or the venue is not known.
    pub(super) fn fits(&self, venue: VenueNo, lines: &[LineRequest]) -> Option<bool> {
        let venue = self.venues.get(&venue)?;
        let definition = venue.definition.as_ref()?;
        let mut wants: Vec<(&SlotRef, &Slot, i64)> = Vec::new();
        for line in lines {
            let slot = venue.slot(&line.slot)?;
            let persons = i64::from(line.quantity) * venue.pax(&line.slot.product, &line.unit);
            match wants.iter_mut().find(|(known, ..)| **known == line.slot) {
                Some((.., wanted)) => *wanted += persons,
                None => wants.push((&line.slot, slot, persons)),
            }
        }
        let covers = |(name, slot, _): &(&SlotRef, &Slot, i64), bucket: i64| {
            buckets(name.start, slot.occupies_until).contains(&bucket)
        };
        Some(wants.iter().all(|want| {
            let (name, slot, persons) = want;
            let mut spans = buckets(name.start, slot.occupies_until);
            let inside = spans.clone().all(|bucket| {
                let wanted: i64 = wants
                    .iter()
                    .filter(|want| covers(want, bucket))
                    .map(|want| want.2)
                    .sum();
                venue.inside(bucket) + wanted <= i64::from(definition.building_capacity)
            });
            let begins = slot.used() == 0 && *persons > 0;
            let guided = match venue.guides(&name.product).filter(|_| begins) {
                None => true,
                Some(guides) => spans.all(|bucket| {
                    let same = |want: &&(&SlotRef, &Slot, i64)| {
                        want.0.product == name.product && want.1.used() == 0 && want.2 > 0 && covers(want, bucket)
                    };
                    venue.tours(&name.product, bucket) + wants.iter().filter(same).count() <= guides
                }),
            };
            slot.used() + persons <= slot.capacity() && inside && guided
        }))
    }

    /// As [`Pools::fits`], once a booking has given back what it has.
    pub(super) fn fits_instead(&mut self, booking: BookingId, lines: &[LineRequest]) -> Option<bool> {
        let taken = self.taken.remove(&booking)?;
        self.move_all(booking.venue, &taken, -1);
        let fits = self.fits(booking.venue, lines);
        self.move_all(booking.venue, &taken, 1);
        self.taken.insert(booking, taken);
        fits
    }

    /// What a booking of one could get of a slot at a log time; none where the slot is not known.
    pub(super) fn vacancies(&self, venue: VenueNo, name: &SlotRef, now: Timestamp) -> Option<i64> {
        let venue = self.venues.get(&venue)?;
        let definition = venue.definition.as_ref()?;
        let slot = venue.slot(name)?;
        if slot.closed || slot.dropped || now >= slot.end {
            return Some(0);
        }
        let mut left = slot.capacity() - slot.used();
        let guides = venue.guides(&name.product).filter(|_| slot.used() == 0);
        for bucket in buckets(name.start, slot.occupies_until) {
            left = left.min(i64::from(definition.building_capacity) - venue.inside(bucket));
            if guides.is_some_and(|guides| venue.tours(&name.product, bucket) >= guides) {
                left = 0;
            }
        }
        Some(left.max(0))
    }

    /// A slot as it is counted.
    pub(super) fn slot(&self, venue: VenueNo, name: &SlotRef) -> Option<&Slot> {
        self.venues.get(&venue)?.slot(name)
    }

    /// The catalogue in force.
    pub(super) fn definition(&self, venue: VenueNo) -> Option<&VenueDefinition> {
        self.venues.get(&venue)?.definition.as_ref()
    }

    /// Persons of a booking that takes places.
    pub(super) fn persons(&self, booking: BookingId) -> i64 {
        let lines = self.taken.get(&booking).map(|taken| taken.lines.iter());
        lines.into_iter().flatten().map(|line| line.persons).sum()
    }

    /// Persons that one of a unit stands for.
    pub(super) fn pax(&self, venue: VenueNo, product: &str, unit: &str) -> i64 {
        self.venues.get(&venue).map_or(1, |venue| venue.pax(product, unit))
    }

    /// Largest share of its capacity that any slot reaches, in percent, and how many slots are full.
    pub(super) fn fullest(&self) -> (i64, u64) {
        let slots = self.venues.values().flat_map(|venue| venue.slots.values());
        let slots = slots.flat_map(BTreeMap::values).filter(|slot| slot.capacity() > 0);
        slots.fold((0, 0), |(most, full), slot| {
            let share = slot.used() * 100 / slot.capacity();
            (most.max(share), full + u64::from(share >= 100))
        })
    }

    fn venue(&mut self, venue: VenueNo) -> &mut Venue {
        self.venues.entry(venue).or_default()
    }

    fn hold(&mut self, number: VenueNo, view: &BookingView) {
        let venue = self.venues.entry(number).or_default();
        let lines = view.lines.iter().map(|line| {
            let persons = i64::from(line.quantity) * venue.pax(&line.slot.product, &line.unit);
            Place {
                slot: line.slot.clone(),
                persons: if line.cancelled { 0 } else { persons },
            }
        });
        let taken = Taken {
            lines: lines.collect(),
            sold: false,
        };
        self.move_all(number, &taken, 1);
        self.taken.insert(view.id, taken);
    }

    fn sell(&mut self, id: BookingId) {
        let (Some(taken), Some(venue)) = (self.taken.get_mut(&id), self.venues.get_mut(&id.venue)) else {
            return;
        };
        if std::mem::replace(&mut taken.sold, true) {
            return;
        }
        for line in &taken.lines {
            let move_over = |slot: &mut Slot, persons| {
                slot.held -= persons;
                slot.confirmed += persons;
            };
            venue.shift(line, move_over, 0);
        }
    }

    /// Gives places back, once: who gives back again is `given_back`'s to find.
    fn give_back(&mut self, id: BookingId) {
        if let Some(taken) = self.taken.remove(&id) {
            self.move_all(id.venue, &taken, -1);
        }
    }

    /// Gives the places of some lines back; of all that are left where none is named.
    fn give_back_lines(&mut self, id: BookingId, lines: &[u16]) {
        let Some(mut taken) = self.taken.remove(&id) else {
            return;
        };
        let mut back = Taken {
            lines: Vec::new(),
            sold: taken.sold,
        };
        for (number, line) in (0..).zip(&mut taken.lines) {
            if lines.is_empty() || lines.contains(&number) {
                back.lines.push(line.clone());
                line.persons = 0;
            }
        }
        self.move_all(id.venue, &back, -1);
        if taken.lines.iter().any(|line| line.persons > 0) {
            self.taken.insert(id, taken);
        }
    }

    /// Takes all of it, or with a `sign` of -1 gives all of it back.
    fn move_all(&mut self, venue: VenueNo, taken: &Taken, sign: i64) {
        let Some(venue) = self.venues.get_mut(&venue) else {
            return;
        };
        for line in taken.lines.iter().filter(|line| line.persons > 0) {
            let change = |slot: &mut Slot, persons| {
                let pool = if taken.sold {
                    &mut slot.confirmed
                } else {
                    &mut slot.held
                };
                *pool += sign * persons;
            };
            venue.shift(line, change, sign);
        }
    }
}

impl Venue {
    fn slot(&self, name: &SlotRef) -> Option<&Slot> {
        self.slots.get(&name.product)?.get(&name.start)
    }

    fn slot_mut(&mut self, name: &SlotRef) -> Option<&mut Slot> {
        self.slots.get_mut(&name.product)?.get_mut(&name.start)
    }

    fn inside(&self, bucket: i64) -> i64 {
        self.building.get(&bucket).copied().unwrap_or(0)
    }

    fn guides(&self, product: &str) -> Option<usize> {
        let products = self.definition.iter().flat_map(|definition| &definition.products);
        let mut guides = products.filter(|known| known.slug == product).map(|known| known.guides);
        guides.next().flatten().map(|guides| guides as usize)
    }

    fn pax(&self, product: &str, unit: &str) -> i64 {
        let products = self.definition.iter().flat_map(|definition| &definition.products);
        let units = products
            .filter(|known| known.slug == product)
            .flat_map(|known| &known.units);
        let mut pax = units.filter(|known| known.slug == unit).map(|unit| i64::from(unit.pax));
        pax.next().unwrap_or(1)
    }

    /// Slots of a product with visitors in a bucket.
    fn tours(&self, product: &str, bucket: i64) -> usize {
        let of_product = self.tours.get(product);
        of_product.and_then(|tours| tours.get(&bucket)).copied().unwrap_or(0)
    }

    fn shift(&mut self, place: &Place, change: impl Fn(&mut Slot, i64), sign: i64) {
        let Some(slot) = self
            .slots
            .get_mut(&place.slot.product)
            .and_then(|slots| slots.get_mut(&place.slot.start))
        else {
            return;
        };
        let before = slot.used() > 0;
        change(slot, place.persons);
        let after = slot.used() > 0;
        if sign != 0 {
            for bucket in buckets(place.slot.start, slot.occupies_until) {
                *self.building.entry(bucket).or_default() += sign * place.persons;
            }
        }
        if before != after {
            let tours = self.tours.entry(place.slot.product.clone()).or_default();
            for bucket in buckets(place.slot.start, slot.occupies_until) {
                let running = tours.entry(bucket).or_default();
                *running = if after { *running + 1 } else { running.saturating_sub(1) };
            }
        }
    }

    fn plan(&mut self, plan: &SlotPlan) {
        let slots = self.slots.entry(plan.product.clone()).or_default();
        for spec in &plan.slots {
            let fresh = Slot {
                day: plan.day,
                end: spec.end,
                occupies_until: spec.occupies_until,
                planned: spec.capacity,
                operators: None,
                closed: false,
                dropped: false,
                held: 0,
                confirmed: 0,
            };
            let slot = slots.entry(spec.start).or_insert(fresh);
            // What the operator has set outlives a plan; what was sold keeps what it occupies.
            *slot = if slot.used() == 0 {
                Slot {
                    operators: slot.operators,
                    closed: slot.closed,
                    ..fresh
                }
            } else {
                Slot {
                    end: spec.end,
                    planned: spec.capacity,
                    dropped: false,
                    ..*slot
                }
            };
        }
        slots.retain(|start, slot| {
            if slot.day != plan.day || plan.slots.iter().any(|spec| spec.start == *start) {
                return true;
            }
            slot.dropped = true;
            slot.used() > 0
        });
    }
}

fn buckets(from: Timestamp, until: Timestamp) -> std::ops::Range<i64> {
    if until <= from {
        return 0..0;
    }
    from.0.div_euclid(BUCKET)..(until.0 - 1).div_euclid(BUCKET) + 1
}
