//! The operations on each slot, as the search looks at them: by booking and number of persons, without indexes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rotunda_booking::catalogue::VenueDefinition;
use rotunda_booking::command::Operation;
use rotunda_booking::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use rotunda_booking::outcome::BookingStatus;
use rotunda_booking::time::Timestamp;
use rustc_hash::FxHashMap;

use crate::history::lines::{Act, Ended, Op};
use crate::invariants::evidence::Evidence;

/// All slots that can be searched.
pub(super) struct Slots {
    pub(super) slots: Vec<Slot>,
    /// Slots whose capacity changed while they were sold, or that a booking may have left or come to that nobody knows of.
    pub(super) left_out: u64,
}

/// One slot with what was done about it.
pub(super) struct Slot {
    pub(super) venue: VenueNo,
    pub(super) name: SlotRef,
    pub(super) capacity: u32,
    /// True where no other pool can have refused what the slot has room for.
    pub(super) alone: bool,
    /// Number of bookings; operations name them by number.
    pub(super) bookings: usize,
    /// In order of when they were asked for.
    pub(super) operations: Vec<Operated>,
}

/// One operation on a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operated {
    pub(super) invoked: u64,
    /// Before this it had its effect; `u64::MAX` where nobody knows.
    pub(super) returned: u64,
    pub(super) what: What,
    /// False where it may never have had an effect.
    pub(super) required: bool,
    /// Its line; 0 for the end of a hold, which nobody asked for.
    pub(super) line: u64,
}

/// What it was, with what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// So many persons were let in.
    Hold { booking: usize, persons: u32 },
    /// So many were not.
    SoldOut { persons: u32 },
    /// A booking went from one state to another, or was to stay in it.
    Change {
        booking: usize,
        from: BookingStatus,
        to: BookingStatus,
    },
    /// A confirmed booking has so many persons here from now on: lines of it were cancelled, or it was exchanged.
    Resize { booking: usize, persons: u32 },
    /// A booking was seen in a state, by a read or a refusal.
    Seen { booking: usize, status: BookingStatus },
}

/// A slot as the catalogue plans it.
struct Planned {
    capacity: u32,
    occupies_until: Timestamp,
    changed: bool,
}

type Plans = BTreeMap<(VenueNo, String), BTreeMap<Timestamp, Planned>>;

pub(super) fn partition(evidence: &Evidence<'_>) -> Slots {
    let (plans, definitions) = plans(evidence);
    let operations = merged(evidence);
    let mut slots: BTreeMap<(VenueNo, SlotRef), Vec<&Merged<'_>>> = BTreeMap::new();
    let mut of_booking: FxHashMap<BookingId, Vec<(VenueNo, SlotRef)>> = FxHashMap::default();
    let mut unclear: BTreeSet<(VenueNo, SlotRef)> = BTreeSet::new();
    // Every slot that a booking ever had; it has nobody in those that it comes to later.
    for merged in operations.iter().filter(|merged| takes(merged.op)) {
        let op = merged.op;
        let venue = op.request.venue.as_ref().and_then(|slug| evidence.venues.get(slug));
        for (venue, slot) in venue
            .into_iter()
            .flat_map(|venue| names(op).into_iter().map(|slot| (*venue, slot)))
        {
            match op.booking() {
                Some(id) => {
                    let known = of_booking.entry(id).or_default();
                    if !known.contains(&(venue, slot.clone())) {
                        known.push((venue, slot.clone()));
                    }
                }
                None => slots.entry((venue, slot.clone())).or_default().push(merged),
            }
        }
    }
    for merged in &operations {
        let slots_of = merged.op.booking().and_then(|id| of_booking.get(&id));
        for slot in slots_of.into_iter().flatten() {
            slots.entry(slot.clone()).or_default().push(merged);
            if merged.op.outcome == Ended::Unknown && resizes(merged.op) {
                unclear.insert(slot.clone());
            }
        }
    }
    let mut left_out = 0;
    let mut found = Vec::new();
    for ((venue, name), ops) in slots {
        let of_product = plans.get(&(venue, name.product.clone()));
        let planned = of_product.and_then(|slots| slots.get(&name.start));
        let (Some(planned), Some(definition)) = (planned, definitions.get(&venue)) else {
            continue;
        };
        if planned.changed || unclear.contains(&(venue, name.clone())) {
            left_out += 1;
            continue;
        }
        let mut slot = Slot {
            venue,
            capacity: planned.capacity,
            alone: is_alone(venue, definition, &plans, &name, planned),
            name,
            bookings: 0,
            operations: Vec::new(),
        };
        slot.fill(definition, &ops);
        found.push(slot);
    }
    Slots { slots: found, left_out }
}

/// An operation with when it was first asked for.
struct Merged<'a> {
    invoked: u64,
    op: &'a Op,
}

/// One operation a key: what was sent again is the same operation, done once between the first sending and the first
/// definite answer.
fn merged<'a>(evidence: &Evidence<'a>) -> Vec<Merged<'a>> {
    let mut merged: Vec<Merged<'a>> = Vec::with_capacity(evidence.saved.operations.len());
    let mut by_key: FxHashMap<CommandKey, usize> = FxHashMap::default();
    for op in &evidence.saved.operations {
        let key = op.command_key().filter(|_| op.code() != "idempotency_key_reused");
        let Some(known) = key.and_then(|key| by_key.get(&key).copied()) else {
            if let Some(key) = key {
                by_key.insert(key, merged.len());
            }
            let invoked = op.invoked_ns;
            merged.push(Merged { invoked, op });
            continue;
        };
        let known = &mut merged[known];
        known.invoked = known.invoked.min(op.invoked_ns);
        // An answer from a log is worth more than a refusal before it, and that more than none.
        let worth = |op: &Op| {
            (
                op.index.is_some(),
                op.outcome != Ended::Unknown,
                Reverse(op.returned_ns),
            )
        };
        if worth(op) > worth(known.op) {
            known.op = op;
        }
    }
    merged
}

fn plans(evidence: &Evidence<'_>) -> (Plans, BTreeMap<VenueNo, VenueDefinition>) {
    let mut plans: Plans = BTreeMap::new();
    let mut definitions = BTreeMap::new();
    for (_, step) in evidence.steps() {
        let venue = step.command.venue;
        match (&step.command.operation, step.effect()) {
            (Operation::ImportVenue(definition), Some(_)) => {
                definitions.insert(venue, (**definition).clone());
            }
            (Operation::SetSlots(plan), Some(_)) => {
                let slots = plans.entry((venue, plan.product.clone())).or_default();
                for spec in &plan.slots {
                    let planned = slots.entry(spec.start).or_insert(Planned {
                        capacity: spec.capacity,
                        occupies_until: spec.occupies_until,
                        changed: false,
                    });
                    planned.changed |= planned.capacity != spec.capacity;
                }
            }
            (Operation::ChangeSlot { slot, .. }, Some(_)) => {
                let slots = plans.entry((venue, slot.product.clone())).or_default();
                if let Some(planned) = slots.get_mut(&slot.start) {
                    planned.changed = true;
                }
            }
            _ => {}
        }
    }
    (plans, definitions)
}

/// True where neither guides nor the building can be short before the slot's own places are.
fn is_alone(venue: VenueNo, definition: &VenueDefinition, plans: &Plans, name: &SlotRef, slot: &Planned) -> bool {
    let guided = |product: &str| {
        let mut products = definition.products.iter().filter(|known| known.slug == product);
        products.any(|product| product.guides.is_some())
    };
    let venues = plans
        .iter()
        .filter(|((of, _), _)| *of == venue)
        .flat_map(|(_, slots)| slots);
    let beside = venues.filter(|(start, other)| **start < slot.occupies_until && other.occupies_until > name.start);
    let persons: u64 = beside.map(|(_, other)| u64::from(other.capacity)).sum();
    !guided(&name.product) && persons <= u64::from(definition.building_capacity)
}

fn takes(op: &Op) -> bool {
    matches!(op.op, Act::Hold | Act::Rebook)
}

/// True where it changes how many persons a booking has in a slot and leaves it confirmed.
fn resizes(op: &Op) -> bool {
    op.op == Act::Rebook || (op.op == Act::Cancel && !op.request.cancel.is_empty())
}

/// The slots that an operation asks for.
fn names(op: &Op) -> Vec<&SlotRef> {
    let mut names: Vec<&SlotRef> = Vec::new();
    let told = op.response.iter().flat_map(|told| &told.lines).map(|line| &line.slot);
    // What was given for less than was asked for is for others to find; here both are looked at.
    for slot in op.request.lines.iter().map(|line| &line.slot).chain(told) {
        if !names.contains(&slot) {
            names.push(slot);
        }
    }
    names
}

impl Slot {
    fn fill(&mut self, definition: &VenueDefinition, merged: &[&Merged<'_>]) {
        let mut numbers: FxHashMap<BookingId, usize> = FxHashMap::default();
        for Merged { invoked, op } in merged.iter().filter(|merged| merged.op.op == Act::Hold) {
            let lines = op.request.lines.iter();
            let persons = self.persons(
                definition,
                lines.map(|line| (&line.slot, line.unit.as_str(), line.quantity)),
            );
            let several = names(op).len() > 1;
            let what = match (op.outcome, op.code(), op.response.as_ref().and_then(|told| told.id)) {
                (Ended::Ok, _, Some(id)) => {
                    let booking = self.new_booking();
                    numbers.insert(id, booking);
                    What::Hold { booking, persons }
                }
                (Ended::Unknown, ..) => What::Hold {
                    booking: self.new_booking(),
                    persons,
                },
                // Of several slots any one may have been sold out.
                (Ended::Fail, "sold_out", _) if self.alone && !several => What::SoldOut { persons },
                _ => continue,
            };
            self.add(*invoked, op, what);
            if let What::Hold { booking, .. } = what {
                // Nobody asks for the end of a hold, and nobody is told.
                self.operations.push(Operated {
                    invoked: *invoked,
                    returned: u64::MAX,
                    what: What::Change {
                        booking,
                        from: BookingStatus::Held,
                        to: BookingStatus::Expired,
                    },
                    required: false,
                    line: 0,
                });
            }
        }
        for Merged { invoked, op } in merged.iter().filter(|merged| merged.op.op != Act::Hold) {
            let Some(booking) = op.booking().and_then(|id| numbers.get(&id).copied()) else {
                continue;
            };
            let stays = op.response.as_ref().and_then(|told| told.status) == Some(BookingStatus::Confirmed);
            let what = if op.outcome == Ended::Ok && resizes(op) && stays {
                let lines = op.response.iter().flat_map(|told| &told.lines);
                let live = lines.filter(|line| !line.cancelled);
                let live = live.map(|line| (&line.slot, line.unit.as_str(), line.quantity));
                let persons = self.persons(definition, live);
                Some(What::Resize { booking, persons })
            } else {
                about(op, booking)
            };
            if let Some(what) = what {
                self.add(*invoked, op, what);
            }
        }
        self.operations.sort_by_key(|op| (op.invoked, op.line));
    }

    fn new_booking(&mut self) -> usize {
        self.bookings += 1;
        self.bookings - 1
    }

    fn add(&mut self, invoked: u64, op: &Op, what: What) {
        let known = op.outcome != Ended::Unknown;
        self.operations.push(Operated {
            invoked,
            returned: if known { op.returned_ns } else { u64::MAX },
            what,
            required: known,
            line: op.line,
        });
    }

    /// Persons in this slot.
    fn persons<'l>(
        &self,
        definition: &VenueDefinition,
        lines: impl Iterator<Item = (&'l SlotRef, &'l str, u32)>,
    ) -> u32 {
        let products = definition
            .products
            .iter()
            .filter(|product| product.slug == self.name.product);
        let units: Vec<_> = products.flat_map(|product| &product.units).collect();
        let here = lines.filter(|(slot, ..)| **slot == self.name);
        here.map(|(_, name, quantity)| {
            let unit = units.iter().find(|unit| unit.slug == name);
            quantity.saturating_mul(unit.map_or(1, |unit| unit.pax))
        })
        .fold(0, u32::saturating_add)
    }
}

/// What an operation about a booking came to, where the answer says something about it.
fn about(op: &Op, booking: usize) -> Option<What> {
    use BookingStatus::{Cancelled, Confirmed, Expired, Held, Released};
    let change = |from, to| Some(What::Change { booking, from, to });
    let seen = |status| Some(What::Seen { booking, status });
    match (op.outcome, op.op) {
        (Ended::Ok, Act::Read) => match op.response.as_ref()?.status? {
            BookingStatus::Redeemed => seen(Confirmed),
            status => seen(status),
        },
        (Ended::Ok | Ended::Unknown, Act::Confirm) => change(Held, Confirmed),
        (Ended::Ok | Ended::Unknown, Act::Release) => change(Held, Released),
        (Ended::Ok | Ended::Unknown, Act::Cancel) => change(Confirmed, Cancelled),
        (Ended::Ok, Act::Extend) => change(Held, Held),
        (Ended::Fail, _) => match op.code() {
            "hold_expired" => seen(Expired),
            "already_confirmed" | "already_admitted" | "unknown_line" | "nothing_to_rebook" => seen(Confirmed),
            "already_released" => seen(Released),
            "already_cancelled" => seen(Cancelled),
            "not_confirmed" | "extend_limit" => seen(Held),
            _ => None,
        },
        _ => None,
    }
}
