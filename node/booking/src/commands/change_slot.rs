//! Change slot: the operator sets a slot's capacity, or closes and reopens it. Capacity below what is sold stops sales
//! and cancels nobody.

use crate::command::SlotChange;
use crate::ids::{SlotRef, VenueNo};
use crate::inventory::{Halt, Transaction};
use crate::outbox;
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::pools;
use crate::state::SlotId;

pub(super) fn change_slot(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    slot: &SlotRef,
    change: SlotChange,
) -> Result<Outcome, Halt> {
    let catalogue = transaction.known_catalogue(venue)?;
    let position = catalogue
        .product(&slot.product)
        .ok_or_else(|| Refusal::new(RefusalCode::UnknownProduct, "the venue has no such product"))?;
    let id = SlotId {
        venue,
        product: catalogue.product_numbers[position],
        start: slot.start,
    };
    let before = transaction
        .slot(id)?
        .filter(|stored| stored.offset_minutes == slot.offset_minutes)
        .ok_or_else(|| {
            Refusal::new(
                RefusalCode::UnknownSlot,
                "there is no such slot; look it up in availability",
            )
        })?;
    let mut after = before;
    match change {
        SlotChange::Capacity(capacity) => {
            after.operators = Some(capacity);
            after.note_lowered();
        }
        SlotChange::Closed(closed) => after.closed = closed,
    }
    if after != before {
        transaction.set_slot(id, Some(after))?;
        outbox::tell_slot(transaction, id);
    }
    let definition = &catalogue.definition;
    let (building, product, now) = (
        definition.building_capacity,
        &definition.products[position],
        transaction.now,
    );
    Ok(Outcome::SlotChanged(pools::slot_view(
        transaction,
        building,
        product,
        (id, after),
        now,
    )?))
}
