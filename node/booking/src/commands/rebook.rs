//! Rebook: a confirmed booking gets other places of the venue for those that it has. Old places are given back and new ones
//! taken in one entry, so the booking is never without, and nobody else is refused for places that are about to be free.

use super::cancel::{must_be_confirmed, must_not_have_begun};
use super::hold::{self, Selection};
use super::tickets::{make_void, none_admitted, slot_of};
use super::{find_booking, tours};
use crate::command::LineRequest;
use crate::ids::{BookingId, VenueNo};
use crate::inventory::{Halt, Shift, Transaction};
use crate::ledger::{self, Account, Posted, Reason};
use crate::outbox::{self, Event};
use crate::outcome::{Outcome, Refusal, RefusalCode};
use crate::pools::PoolRows;
use crate::rows::RowsError;
use crate::state::{
    BUCKETS_PER_HOUR, Booking, GuideHour, GuideHourId, Hour, HourId, Line, PastIssue, Slot, SlotId, Span,
};
use crate::views;

pub(super) fn rebook(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    booking: BookingId,
    nonce: u64,
    lines: &[LineRequest],
) -> Result<Outcome, Halt> {
    let (id, mut booking) = find_booking(transaction, venue, booking)?;
    must_be_confirmed(&booking)?;
    let catalogue = transaction.known_catalogue(venue)?;
    must_not_have_begun(&booking, |_| true, transaction.now)?;
    none_admitted(transaction, id, &booking, |_| true)?;
    let mut selection = Selection::of(transaction, &catalogue, venue, lines, booking.channel)?;
    let given_back = GivenBack::by(transaction, venue, &booking)?;
    for want in &mut selection.wants {
        want.slot.confirmed -= given_back.places(want.id).min(want.slot.confirmed);
    }
    let mut pools = Without {
        transaction,
        given_back: &given_back,
    };
    selection.check_pools(&mut pools, catalogue.definition.building_capacity)?;
    let sold = selection.price(&catalogue)?;
    must_differ(&booking, &sold)?;
    let first_number = next_number(&booking)?;

    let past = PastIssue {
        nonce: booking.nonce,
        first_serial: booking.first_serial,
        first_number: booking.first_number,
        until: transaction.now,
        lines: booking.lines.clone(),
    };
    make_void(transaction, id, &booking, |_| true)?;
    let back: Vec<Line> = booking.live_lines().map(|(_, line)| *line).collect();
    for line in &back {
        transaction.shift(&catalogue, slot_of(venue, line), line.places(), Shift::Cancel)?;
    }
    for want in &selection.wants {
        transaction.shift(&catalogue, want.id, want.places, Shift::Hold)?;
        transaction.shift(&catalogue, want.id, want.places, Shift::Sell)?;
        tours::note(transaction, want.product, want.id, id.seq)?;
    }
    let before = booking.total();
    booking.past.push(past);
    booking.lines = sold;
    booking.nonce = nonce;
    booking.first_number = first_number;
    let persons = booking.persons();
    let counters = transaction.counters_mut(venue);
    booking.first_serial = counters.next_serial;
    counters.next_serial += persons;
    let posted = Posted {
        reason: Reason::Exchange,
        booking: id.seq,
        channel: booking.channel,
        money: Account::Takings,
        back: &back.iter().collect::<Vec<_>>(),
        sold: &booking.lines.iter().collect::<Vec<_>>(),
    };
    ledger::post(transaction, venue, &posted)?;
    outbox::tell_booking(transaction, id, Event::Rebooked);
    let difference = booking.total() - before;
    let view = views::booking(&catalogue.row, id, &booking);
    transaction.set_booking(id, booking)?;
    Ok(Outcome::Rebooked {
        booking: view,
        difference,
    })
}

fn must_differ(booking: &Booking, sold: &[Line]) -> Result<(), Refusal> {
    let has = booking.live_lines().map(|(_, line)| line);
    if has.eq(sold) {
        let detail = "the booking has these places already; name others";
        return Err(Refusal::new(RefusalCode::NothingToRebook, detail));
    }
    Ok(())
}

/// The number of the first new ticket: numbers of a booking are never used again.
fn next_number(booking: &Booking) -> Result<u16, Refusal> {
    let next = u64::from(booking.first_number) + booking.persons();
    // As many again must fit behind it.
    u16::try_from(next + hold::MAX_PERSONS)
        .map(|_| next as u16)
        .map_err(|_| {
            Refusal::new(
                RefusalCode::TooLarge,
                "the booking was exchanged too often; cancel it and book anew",
            )
        })
}

/// What a booking has, slot by slot.
struct GivenBack(Vec<(SlotId, Slot, u32)>);

impl GivenBack {
    fn by(transaction: &mut Transaction<'_>, venue: VenueNo, booking: &Booking) -> Result<Self, RowsError> {
        let mut slots: Vec<(SlotId, Slot, u32)> = Vec::new();
        for (_, line) in booking.live_lines() {
            let id = slot_of(venue, line);
            match slots.iter_mut().find(|(known, ..)| *known == id) {
                Some((.., places)) => *places = places.saturating_add(line.places()),
                None => {
                    if let Some(slot) = transaction.slot(id)? {
                        slots.push((id, slot, line.places()));
                    }
                }
            }
        }
        Ok(Self(slots))
    }

    fn places(&self, id: SlotId) -> u32 {
        self.0
            .iter()
            .find(|(known, ..)| *known == id)
            .map_or(0, |(.., places)| *places)
    }
}

/// Positions of the hour's buckets that a visit covers.
fn covered(span: Span, hour: i64) -> impl Iterator<Item = usize> {
    (0..BUCKETS_PER_HOUR).filter(move |bucket| span.covers(hour * BUCKETS_PER_HOUR as i64 + *bucket as i64))
}

/// The pools as they will be once the booking has given back what it has.
struct Without<'a, 'b> {
    transaction: &'a mut Transaction<'b>,
    given_back: &'a GivenBack,
}

impl PoolRows for Without<'_, '_> {
    fn building(&mut self, id: HourId) -> Result<Hour, RowsError> {
        let mut row = self.transaction.building(id)?;
        for (slot_id, slot, places) in &self.given_back.0 {
            for bucket in covered(slot.span(slot_id.start), id.hour) {
                let taken = &mut row.0[bucket];
                taken.confirmed = taken.confirmed.saturating_sub(*places);
            }
        }
        Ok(row)
    }

    fn guides(&mut self, id: GuideHourId) -> Result<GuideHour, RowsError> {
        let mut row = self.transaction.guides(id)?;
        let alone = |slot: &Slot, places: u32| slot.used() == places;
        for (slot_id, slot, places) in &self.given_back.0 {
            if slot_id.product == id.product && alone(slot, *places) {
                for bucket in covered(slot.span(slot_id.start), id.hour) {
                    row.0[bucket] = row.0[bucket].saturating_sub(1);
                }
            }
        }
        Ok(row)
    }
}
