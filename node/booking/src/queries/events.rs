//! The change feed: the outbox, from after an event, in words that leak nothing. A booking is named by its reference, which
//! opens nothing; its id would.

use std::ops::ControlFlow;

use crate::ids::{SlotRef, VenueNo};
use crate::inventory::read_clock;
use crate::live::each_event;
use crate::outbox::Event;
use crate::query::{Answer, EventKind, EventPosition, EventView, MAX_EVENTS};
use crate::reference::Reference;
use crate::rows::{ReadRows, RowsError};
use crate::state::{Slot, SlotId, VenueRow, read_row};
use crate::time::Timestamp;

/// At most so many events behind `after`. A position that was never told is as good as the next one that was.
pub(super) fn events(
    rows: &impl ReadRows,
    venue: VenueNo,
    after: EventPosition,
    limit: u32,
) -> Result<Option<Answer>, RowsError> {
    let Some(names) = read_row::<VenueRow>(rows, venue)? else {
        return Ok(None);
    };
    let limit = limit.min(MAX_EVENTS) as usize;
    let (mut events, mut end, mut more) = (Vec::new(), after, false);
    let mut slots = Vec::new();
    each_event(rows, venue, after.row, |number, (first, row), event| {
        if number < after.next {
            return ControlFlow::Continue(());
        }
        if events.len() >= limit {
            more = true;
            return ControlFlow::Break(());
        }
        end = EventPosition {
            row: first,
            next: number + 1,
        };
        let (kind, booking, ticket) = parts(event);
        if let Event::SlotChanged(product, start) = event {
            slots.push((events.len(), product, start));
        }
        events.push(EventView {
            number,
            end,
            at: row.at,
            index: row.index,
            kind,
            booking: booking.map(|seq| Reference::new(&names.slug, seq).to_string()),
            ticket,
            slot: None,
        });
        ControlFlow::Continue(())
    })?;
    for (place, product, start) in slots {
        let slot = read_row::<Slot>(rows, SlotId { venue, product, start })?;
        events[place].slot = Some(slot_ref(&names, product, start, slot));
    }
    Ok(Some(Answer::Events {
        events,
        end,
        more,
        time: read_clock(rows)?.unwrap_or_default(),
    }))
}

fn slot_ref(names: &VenueRow, product: u16, start: Timestamp, slot: Option<Slot>) -> SlotRef {
    SlotRef {
        product: names.name(product).to_owned(),
        start,
        offset_minutes: slot.map_or(0, |slot| slot.offset_minutes),
    }
}

fn parts(event: Event) -> (EventKind, Option<u64>, Option<u16>) {
    match event {
        Event::Held(seq) => (EventKind::Held, Some(seq), None),
        Event::Extended(seq) => (EventKind::Extended, Some(seq), None),
        Event::Confirmed(seq) => (EventKind::Confirmed, Some(seq), None),
        Event::Released(seq) => (EventKind::Released, Some(seq), None),
        Event::Expired(seq) => (EventKind::Expired, Some(seq), None),
        Event::Cancelled(seq) => (EventKind::Cancelled, Some(seq), None),
        Event::SlotChanged(..) => (EventKind::SlotChanged, None, None),
        Event::Admitted(seq, ticket) => (EventKind::Admitted, Some(seq), Some(ticket)),
        Event::Left(seq, ticket) => (EventKind::Left, Some(seq), Some(ticket)),
        Event::AdmissionChanged(seq, ticket) => (EventKind::AdmissionChanged, Some(seq), Some(ticket)),
        Event::Rebooked(seq) => (EventKind::Rebooked, Some(seq), None),
        Event::PartCancelled(seq) => (EventKind::PartCancelled, Some(seq), None),
    }
}
