//! What changes at a venue, for whoever looks on: a [`Watcher`] is shown the rows of a replica again and again, leader or
//! not, and says each time what is not as it told it before. Nothing here decides or stores anything; nodes call it for
//! their change streams, tests in place of a node.
//!
//! Slots are told by service day, whole days at a time: pools over time tie slots of different products together, so a
//! sale in one is a change of all that overlap it. Which days have changed is read off the outbox; a new catalogue, a
//! new plan, and a time at which a slot looks different without any sale (its entry ends, its sale begins, its tour is
//! decided) are reasons to tell all days anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::catalogue::{ProductDefinition, ProductKind, VenueDefinition};
use crate::codec::wire::wire_struct;
use crate::ids::VenueNo;
use crate::inventory::{read_catalogue, read_clock};
use crate::keys::Key;
use crate::outbox::{Event, OutboxRow};
use crate::outcome::{SlotStatus, SlotView};
use crate::pools;
use crate::queries::{self, HoursRead, slots_of};
use crate::rows::{ReadRows, RowsError};
use crate::state::{Catalogue, Counters, PlanRow, Record, RecordId, Slot, SlotId, decode_row, read_row};
use crate::time::{ServiceDay, Timestamp};

/// Service days before today that a watcher tells of: a slot of yesterday's opening may still go on.
const DAYS_BACK: i32 = 2;

/// Service days from today on that a watcher tells of: all that one question may ask for.
const DAYS_AHEAD: i32 = queries::MAX_AVAILABILITY_DAYS;

/// Bookings that are looked up to find the days that changed; beyond it telling all days anew is cheaper.
const MAX_LOOKED_UP: usize = 4_096;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The catalogue in force, as [`crate::query::Answer::Venue`] has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueNews {
    /// Digest of the definition.
    pub revision: u64,
    /// Last service day whose slots are in place, per product in catalogue order.
    pub planned_through: Vec<Option<ServiceDay>>,
    /// The definition.
    pub definition: VenueDefinition,
}

/// What is not as it was told before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Where all is told anew: the catalogue. What was told before no longer counts.
    pub venue: Option<VenueNews>,
    /// The first service day that is told of; earlier ones are to be asked for.
    pub first_day: ServiceDay,
    /// Days that are told, each whole: a slot of such a day that is not among `slots` is no more.
    pub days: Vec<ServiceDay>,
    /// Their slots, in order of product (by the catalogue) and start.
    pub slots: Vec<SlotView>,
}

wire_struct!(VenueNews {
    revision,
    planned_through,
    definition
});
wire_struct!(News {
    venue,
    first_day,
    days,
    slots
});

/// What a look at the rows has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The shard has no such venue (yet).
    NoVenue,
    /// All is as it was told.
    Same {
        /// Log time of the state.
        time: Timestamp,
    },
    /// Something has changed.
    Changed {
        /// Log time of the state.
        time: Timestamp,
        /// What.
        news: Box<News>,
    },
}

/// From when to when the slots of a service day occupy anything.
type Extent = (Timestamp, Timestamp);

/// What was told.
struct Told {
    /// As stored, to see whether it is another one.
    definition: Bytes,
    catalogue: Catalogue,
    plans: Vec<Option<PlanRow>>,
    /// Number of the next event.
    next_event: u64,
    /// Log time from which on some slot looks different though nothing happened.
    next_turn: Timestamp,
    first_day: ServiceDay,
    days: BTreeMap<ServiceDay, Extent>,
}

/// Looks at one venue. The first look tells everything. See the module.
pub struct Watcher {
    venue: VenueNo,
    told: Option<Told>,
}

impl Watcher {
    /// Of a venue, before the first look.
    #[must_use]
    pub fn new(venue: VenueNo) -> Self {
        Self { venue, told: None }
    }

    /// Looks at the rows of one moment, which must not be older than those of the look before.
    ///
    /// # Errors
    /// Where the store fails or a row is damaged. The next look then tells everything.
    pub fn look(&mut self, rows: &impl ReadRows) -> Result<Seen, RowsError> {
        let told = self.told.take();
        let time = read_clock(rows)?.unwrap_or_default();
        let Some(definition) = rows.get(&Key::catalogue(self.venue))? else {
            return Ok(Seen::NoVenue);
        };
        let next_event = read_row::<Counters>(rows, self.venue)?.unwrap_or_default().next_event;
        if let Some(mut told) = told
            && told.definition == definition
            && time < told.next_turn
            && told.plans == plans(rows, self.venue, &told.catalogue)?
            && let Some(days) = self.days_changed(rows, &told)?
        {
            told.next_event = next_event;
            let told = self.told.insert(told);
            if days.is_empty() {
                return Ok(Seen::Same { time });
            }
            let found = Found::read(rows, self.venue, &told.catalogue, &days, time)?;
            told.next_turn = told.next_turn.min(found.next_turn);
            for day in &days {
                told.days.remove(day);
            }
            told.days.extend(found.days);
            let news = News {
                venue: None,
                first_day: told.first_day,
                days: days.into_iter().collect(),
                slots: found.slots,
            };
            return Ok(Seen::Changed {
                time,
                news: Box::new(news),
            });
        }
        self.tell_all(rows, definition, next_event, time)
    }

    fn tell_all(
        &mut self,
        rows: &impl ReadRows,
        definition: Bytes,
        next_event: u64,
        time: Timestamp,
    ) -> Result<Seen, RowsError> {
        let Some(catalogue) = read_catalogue(rows, self.venue)? else {
            return Ok(Seen::NoVenue);
        };
        let plans = plans(rows, self.venue, &catalogue)?;
        let today = i32::try_from(time.0.div_euclid(DAY)).unwrap_or(i32::MAX - DAYS_AHEAD - DAYS_BACK);
        let first_day = ServiceDay(today - DAYS_BACK);
        let days: BTreeSet<ServiceDay> = (first_day.0..=today + DAYS_AHEAD).map(ServiceDay).collect();
        let found = Found::read(rows, self.venue, &catalogue, &days, time)?;
        let revision = catalogue.row.revision;
        let through = |plan: &Option<PlanRow>| plan.filter(|plan| plan.revision == revision).map(|plan| plan.through);
        let news = News {
            venue: Some(VenueNews {
                revision,
                planned_through: plans.iter().map(through).collect(),
                definition: catalogue.definition.clone(),
            }),
            first_day,
            days: found.days.keys().copied().collect(),
            slots: found.slots,
        };
        self.told = Some(Told {
            definition,
            catalogue,
            plans,
            next_event,
            next_turn: found.next_turn,
            first_day,
            days: found.days,
        });
        Ok(Seen::Changed {
            time,
            news: Box::new(news),
        })
    }

    /// The service days that what has happened since may have touched; `None` where all may be.
    fn days_changed(&self, rows: &impl ReadRows, told: &Told) -> Result<Option<BTreeSet<ServiceDay>>, RowsError> {
        let mut starts: BTreeSet<(u16, Timestamp)> = BTreeSet::new();
        let mut bookings: BTreeSet<u64> = BTreeSet::new();
        each_event(rows, self.venue, told.next_event, |_, _, event| {
            match event {
                Event::SlotChanged(product, start) => {
                    starts.insert((product, start));
                }
                Event::Held(seq)
                | Event::Confirmed(seq)
                | Event::Released(seq)
                | Event::Expired(seq)
                | Event::Cancelled(seq)
                | Event::Rebooked(seq)
                | Event::PartCancelled(seq) => {
                    bookings.insert(seq);
                }
                // These move no place.
                Event::Extended(_) | Event::Admitted(..) | Event::Left(..) | Event::AdmissionChanged(..) => {}
            }
            if bookings.len() + starts.len() > MAX_LOOKED_UP {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if bookings.len() + starts.len() > MAX_LOOKED_UP {
            return Ok(None);
        }
        for seq in bookings {
            let id = RecordId { venue: self.venue, seq };
            if let Some(Record::Booking(booking)) = read_row::<Record>(rows, id)? {
                // Those that it had before it was exchanged, too: they may be what was given back.
                let past = booking.past.iter().flat_map(|issue| &issue.lines);
                starts.extend(booking.lines.iter().chain(past).map(|line| (line.product, line.start)));
            }
        }
        let mut days = BTreeSet::new();
        for (product, start) in starts {
            let id = SlotId {
                venue: self.venue,
                product,
                start,
            };
            let Some(slot) = read_row::<Slot>(rows, id)? else {
                return Ok(None); // Gone since: only all days can say so.
            };
            if slot.day < told.first_day {
                continue;
            }
            if !told.days.contains_key(&slot.day) {
                return Ok(None);
            }
            days.insert(slot.day);
            let until = slot.occupies_until.max(slot.end);
            let touched = told
                .days
                .iter()
                .filter(|(_, (from, to))| *from <= until && start <= *to);
            days.extend(touched.map(|(day, _)| *day));
        }
        Ok(Some(days))
    }
}

/// What the rows say of some days.
struct Found {
    slots: Vec<SlotView>,
    /// Of the days that have slots.
    days: BTreeMap<ServiceDay, Extent>,
    next_turn: Timestamp,
}

impl Found {
    fn read(
        rows: &impl ReadRows,
        venue: VenueNo,
        catalogue: &Catalogue,
        wanted: &BTreeSet<ServiceDay>,
        time: Timestamp,
    ) -> Result<Self, RowsError> {
        let mut found = Self {
            slots: Vec::new(),
            days: BTreeMap::new(),
            next_turn: Timestamp(i64::MAX),
        };
        let mut slots = Vec::new();
        for (position, _) in catalogue.definition.products.iter().enumerate() {
            for days in runs(wanted) {
                slots.push((position, slots_of(rows, venue, catalogue, position, days)?));
            }
        }
        let mut hours = HoursRead::around(rows, venue, slots.iter().flat_map(|(_, slots)| slots))?;
        let building = catalogue.definition.building_capacity;
        for (position, slots) in slots {
            let product = &catalogue.definition.products[position];
            for (id, slot) in slots {
                let turns = [Some(slot.end), product.on_sale, pools::decided_at(product, id)];
                for turn in turns.into_iter().flatten().filter(|turn| *turn > time) {
                    found.next_turn = found.next_turn.min(turn);
                }
                let until = slot.occupies_until.max(slot.end);
                let extent = found.days.entry(slot.day).or_insert((id.start, until));
                *extent = (extent.0.min(id.start), extent.1.max(until));
                found
                    .slots
                    .push(pools::slot_view(&mut hours, building, product, (id, slot), time)?);
            }
        }
        Ok(found)
    }
}

/// Days that follow each other, put together: one scan reads them all.
fn runs(days: &BTreeSet<ServiceDay>) -> Vec<std::ops::RangeInclusive<ServiceDay>> {
    let mut runs: Vec<std::ops::RangeInclusive<ServiceDay>> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some(run) if run.end().0.saturating_add(1) == day.0 => *run = *run.start()..=*day,
            _ => runs.push(*day..=*day),
        }
    }
    runs
}

fn plans(rows: &impl ReadRows, venue: VenueNo, catalogue: &Catalogue) -> Result<Vec<Option<PlanRow>>, RowsError> {
    let products = catalogue.product_numbers.iter();
    products
        .map(|product| read_row::<PlanRow>(rows, (venue, *product)))
        .collect()
}

/// Calls `each` with the number, the row and the event of every event from the row that begins with number `from` on,
/// until it breaks.
pub(crate) fn each_event(
    rows: &impl ReadRows,
    venue: VenueNo,
    from: u64,
    mut each: impl FnMut(u64, (u64, &OutboxRow), Event) -> ControlFlow<()>,
) -> Result<(), RowsError> {
    let mut broken = None;
    let (first, last) = (Key::outbox(venue, from), Key::outbox(venue, u64::MAX));
    rows.scan(&first, &last, &mut |key, value| {
        let row: OutboxRow = match decode_row(key, value) {
            Ok(row) => row,
            Err(error) => {
                broken = Some(error);
                return ControlFlow::Break(());
            }
        };
        let number = crate::keys::last_number(key).unwrap_or_default();
        for (event, at) in row.events.iter().zip(number..) {
            each(at, (number, &row), *event)?;
        }
        ControlFlow::Continue(())
    })?;
    broken.map_or(Ok(()), Err)
}

/// Whether a hold of these units (id and quantity of each) of one slot would be granted as it stands, in the web shop and to
/// those who can show what a unit requires. Mirrors what `hold` checks; it decides nothing.
#[must_use]
pub fn fits(product: &ProductDefinition, party: &[(String, u32)], slot: &SlotView, now: Timestamp) -> bool {
    if !matches!(slot.status, SlotStatus::Available | SlotStatus::Limited) {
        return false;
    }
    if product.kind != ProductKind::Day && now >= slot.slot.start {
        return false;
    }
    let (mut units, mut places) = (0u64, 0u64);
    for (slug, quantity) in party {
        let Some(unit) = product.units.iter().find(|unit| unit.slug == *slug) else {
            return false;
        };
        let alone = !unit.accompanied_by.is_empty()
            && !party
                .iter()
                .any(|(other, quantity)| *quantity > 0 && unit.accompanied_by.contains(other));
        if alone || unit.max_quantity.is_some_and(|most| *quantity > most) {
            return false;
        }
        units += u64::from(*quantity);
        places += u64::from(*quantity) * u64::from(unit.pax);
    }
    let bounds = u64::from(product.min_units_per_booking)..=u64::from(product.max_units_per_booking);
    bounds.contains(&units) && units > 0 && places <= u64::from(slot.vacancies)
}
