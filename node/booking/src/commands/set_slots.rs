//! Set slots: one product's slots on one service day become those of the plan. Slots with sales stay: with the plan's
//! capacity where the plan has them, closed to further sales where it has not.

use crate::command::{SlotPlan, SlotSpec};
use crate::ids::VenueNo;
use crate::inventory::{Halt, Transaction};
use crate::outbox;
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::state::{PlanRow, Slot, SlotId};
use crate::time::Timestamp;

/// A slot every five minutes of a day of 25 hours, and some.
const MAX_SLOTS_A_DAY: usize = 512;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// An opening that began on a service day has begun in UTC within the day before and the day after it; its slots, up
/// to a day later. Scans look this far around the day.
const DAYS_BEFORE: i64 = 1;
const DAYS_AFTER: i64 = 3;

/// A visit that lasts longer is a mistake, and would touch rows without bound.
const LONGEST_VISIT: i64 = 2 * DAY;

pub(super) fn set_slots(transaction: &mut Transaction<'_>, venue: VenueNo, plan: &SlotPlan) -> Result<Outcome, Halt> {
    let catalogue = transaction.known_catalogue(venue)?;
    let position = catalogue
        .product(&plan.product)
        .ok_or_else(|| Refusal::new(RefusalCode::UnknownProduct, "the venue has no such product; plan anew"))?;
    let revision = catalogue.row.revision;
    if plan.revision != revision {
        let detail = "the plan was made from another catalogue; read the catalogue and plan anew";
        return Err(Refusal::new(RefusalCode::StalePlan, detail).into());
    }
    let first = i64::from(plan.day.0)
        .saturating_mul(DAY)
        .saturating_sub(DAYS_BEFORE * DAY);
    let range = first..first.saturating_add((DAYS_BEFORE + DAYS_AFTER) * DAY);
    check_plan(plan, &range)?;
    let product = catalogue.product_numbers[position];
    let id_at = |start| SlotId { venue, product, start };

    let before = transaction.plan(venue, product)?;
    // What fills a day for the first time is told by how far the plan has come.
    let planned_before = before.is_some_and(|row| row.revision == revision && plan.day <= row.through);
    let (mut added, mut removed, mut kept) = (0, 0, 0);
    for spec in &plan.slots {
        let id = id_at(spec.start);
        let before = transaction.slot(id)?;
        added += u32::from(before.is_none());
        let after = planned(before, spec, plan);
        if before != Some(after) {
            transaction.set_slot(id, Some(after))?;
            if before.is_some() || planned_before {
                outbox::tell_slot(transaction, id);
            }
        }
    }
    let (from, to) = (id_at(Timestamp(range.start)), id_at(Timestamp(range.end)));
    for (id, slot) in transaction.slots_between(from, to)? {
        let in_plan = plan.slots.binary_search_by_key(&id.start, |spec| spec.start).is_ok();
        if in_plan || slot.day != plan.day {
            continue;
        }
        if slot.used() == 0 {
            transaction.set_slot(id, None)?;
            outbox::tell_slot(transaction, id);
            removed += 1;
        } else {
            kept += 1;
            if !slot.dropped {
                transaction.set_slot(id, Some(Slot { dropped: true, ..slot }))?;
                outbox::tell_slot(transaction, id);
            }
        }
    }
    let through = match transaction.plan(venue, product)? {
        Some(row) if row.revision == revision => row.through.max(plan.day),
        _ => plan.day,
    };
    transaction.set_plan(venue, product, PlanRow { revision, through })?;
    Ok(Outcome::SlotsSet { added, removed, kept })
}

/// The slot as the plan wants it, as far as its sales allow.
fn planned(before: Option<Slot>, spec: &SlotSpec, plan: &SlotPlan) -> Slot {
    let fresh = Slot {
        end: spec.end,
        occupies_until: spec.occupies_until,
        day: plan.day,
        offset_minutes: spec.offset_minutes,
        planned: spec.capacity,
        operators: None,
        closed: false,
        dropped: false,
        lowered: false,
        held: 0,
        confirmed: 0,
    };
    match before {
        None => fresh,
        // What the operator has set outlives a new plan.
        Some(before) if before.used() == 0 => Slot {
            operators: before.operators,
            closed: before.closed,
            ..fresh
        },
        // What was sold keeps its name, its day and what it occupies.
        Some(before) => {
            let mut slot = Slot {
                end: spec.end,
                planned: spec.capacity,
                dropped: false,
                ..before
            };
            slot.note_lowered();
            slot
        }
    }
}

/// Refuses what no planner makes.
fn check_plan(plan: &SlotPlan, range: &std::ops::Range<i64>) -> Result<(), Refusal> {
    let conflict = |detail: &str| Refusal::new(RefusalCode::CatalogueConflict, detail);
    if plan.slots.len() > MAX_SLOTS_A_DAY {
        return Err(conflict("more slots than a day can have"));
    }
    if !plan.slots.is_sorted_by(|a, b| a.start < b.start) {
        return Err(conflict("the slots of a plan are in order of start, each start once"));
    }
    for slot in &plan.slots {
        if !range.contains(&slot.start.0) {
            return Err(conflict("a slot of the plan lies outside its service day"));
        }
        let lasts = |until: Timestamp| (0..=LONGEST_VISIT).contains(&until.0.saturating_sub(slot.start.0));
        if !lasts(slot.end) || !lasts(slot.occupies_until) {
            return Err(conflict(
                "a slot of the plan ends before it begins, or lasts longer than two days",
            ));
        }
    }
    Ok(())
}
