//! What is left over all the pools that a visit draws on: the slot's own places, the building over every five minutes
//! of the visit, and a guide. Looked at here, by apply before it takes and by queries; taken in `Transaction::shift`.

use crate::catalogue::{ProductDefinition, ProductKind};
use crate::command::Channel;
use crate::ids::SlotRef;
use crate::outcome::{SlotStatus, SlotView};
use crate::rows::RowsError;
use crate::state::{BUCKETS_PER_HOUR, GuideHour, GuideHourId, Hour, HourId, Slot, SlotId, Span};
use crate::time::Timestamp;

/// Where the pools over time are read from: caches in apply, a snapshot of the rows in queries.
pub(crate) trait PoolRows {
    /// The building over one hour.
    fn building(&mut self, id: HourId) -> Result<Hour, RowsError>;
    /// A product's tours over one hour.
    fn guides(&mut self, id: GuideHourId) -> Result<GuideHour, RowsError>;
}

/// Places wanted in one slot, over all lines of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want<'a> {
    pub(crate) id: SlotId,
    pub(crate) slot: Slot,
    pub(crate) product: &'a ProductDefinition,
    pub(crate) places: u32,
}

impl Want<'_> {
    fn span(&self) -> Span {
        self.slot.span(self.id.start)
    }

    /// True where granting it takes a guide that the slot does not have yet.
    fn starts_tour(&self) -> bool {
        self.slot.used() == 0 && self.places > 0
    }
}

/// What the pools have for a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Places that a booking of this slot alone could get.
    pub(crate) left: u32,
    /// True where it can be granted together with all others of the request.
    pub(crate) enough: bool,
}

/// What the pools have for `wants[which]`, given that all of `wants` are granted together or not at all.
pub(crate) fn room(
    pools: &mut impl PoolRows,
    building_capacity: u32,
    wants: &[Want<'_>],
    which: usize,
) -> Result<Room, RowsError> {
    let want = &wants[which];
    let mut left = want.slot.left();
    let mut enough = want.places <= left;
    let venue = want.id.venue;
    for (hour, buckets) in want.span().hours() {
        let row = pools.building(HourId { venue, hour })?;
        if wants.len() == 1 {
            // Nearly all requests: the fullest bucket decides.
            let free = building_capacity.saturating_sub(row.peak(buckets));
            left = left.min(free);
            enough &= want.places <= free;
            continue;
        }
        for bucket in buckets {
            let free = building_capacity.saturating_sub(row.used(bucket));
            left = left.min(free);
            let absolute = hour * BUCKETS_PER_HOUR as i64 + bucket as i64;
            let covering = wants.iter().filter(|other| other.span().covers(absolute));
            let wanted: u64 = covering.map(|other| u64::from(other.places)).sum();
            enough &= wanted <= u64::from(free);
        }
    }
    if let Some(guides) = want.product.guides
        && want.slot.used() == 0
    {
        for (hour, buckets) in want.span().hours() {
            let row = pools.guides(GuideHourId {
                venue,
                product: want.id.product,
                hour,
            })?;
            for bucket in buckets {
                let absolute = hour * BUCKETS_PER_HOUR as i64 + bucket as i64;
                let starting = wants.iter().filter(|other| {
                    other.id.product == want.id.product && other.starts_tour() && other.span().covers(absolute)
                });
                let wanted = u64::from(row.0[bucket]) + starting.count() as u64;
                enough &= !want.starts_tour() || wanted <= u64::from(guides);
                if row.0[bucket] >= guides {
                    left = 0;
                }
            }
        }
    }
    Ok(Room { left, enough })
}

/// True where `channel` may no longer sell the slot: it has begun, or, at the counter and for day passes, entry is over.
pub(crate) fn is_past(product: &ProductDefinition, id: SlotId, slot: &Slot, channel: Channel, now: Timestamp) -> bool {
    let until_end = channel == Channel::Counter || product.kind == ProductKind::Day;
    now >= if until_end { slot.end } else { id.start }
}

/// True where the product's sale has begun.
pub(crate) fn is_on_sale(product: &ProductDefinition, now: Timestamp) -> bool {
    product.on_sale.is_none_or(|on_sale| now >= on_sale)
}

/// When it is decided whether a tour takes place; `None` where it always does.
pub(crate) fn decided_at(product: &ProductDefinition, id: SlotId) -> Option<Timestamp> {
    product.min_to_run?;
    Some(Timestamp(
        id.start.0.saturating_sub(i64::from(product.cutoff_minutes) * 60_000),
    ))
}

/// True where it is decided, or late enough to decide, that a tour does not take place.
pub(crate) fn is_called_off(product: &ProductDefinition, id: SlotId, slot: &Slot, now: Timestamp) -> bool {
    decided_at(product, id).is_some_and(|decided| now >= decided)
        && product.min_to_run.is_some_and(|needed| slot.confirmed < needed)
}

/// A slot as it is shown at `now`.
pub(crate) fn slot_view(
    pools: &mut impl PoolRows,
    building_capacity: u32,
    product: &ProductDefinition,
    (id, slot): (SlotId, Slot),
    now: Timestamp,
) -> Result<SlotView, RowsError> {
    let want = Want {
        id,
        slot,
        product,
        places: 0,
    };
    let capacity = slot.capacity();
    let closed = slot.is_closed() || now >= slot.end || is_called_off(product, id, &slot, now);
    let vacancies = if closed {
        0
    } else {
        room(pools, building_capacity, &[want], 0)?.left
    };
    let status = if closed {
        SlotStatus::Closed
    } else if !is_on_sale(product, now) {
        SlotStatus::NotOnSale
    } else if vacancies == 0 {
        SlotStatus::SoldOut
    } else if u64::from(vacancies) * 5 < u64::from(capacity) {
        SlotStatus::Limited
    } else {
        SlotStatus::Available
    };
    Ok(SlotView {
        slot: SlotRef {
            product: product.slug.clone(),
            start: id.start,
            offset_minutes: slot.offset_minutes,
        },
        end: slot.end,
        day: slot.day,
        status,
        capacity,
        held: slot.held,
        confirmed: slot.confirmed,
        vacancies,
    })
}
