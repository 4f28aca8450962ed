//! Hold: takes places for a while, in every pool of every slot asked for, or in none.
//!
//! Checks go from what is wrong with the request to what is wrong with the moment, each over all lines, so a refusal
//! names all lines that share its reason.

use smallvec::SmallVec;

use super::{note_key, tours};
use crate::catalogue::bounds::MAX_HOLD_MINUTES;
use crate::catalogue::{ProductDefinition, UnitDefinition};
use crate::command::{Channel, Command, HoldRequest, LineRequest};
use crate::ids::VenueNo;
use crate::inventory::{Halt, Shift, Transaction};
use crate::money;
use crate::mutant::mutant;
use crate::outbox::{self, Event};
use crate::outcome::{BookingStatus, LineProblem, Refusal, RefusalCode};
use crate::pools::{self, PoolRows, Want};
use crate::state::{Booking, Catalogue, Line, Lines, Record, RecordId, SlotId};
use crate::time::Timestamp;

/// Lines of one booking.
const MAX_LINES: usize = 64;

/// Persons in one booking, over all lines: as many tickets, in one answer.
pub(super) const MAX_PERSONS: u64 = 5_000;

/// A line with its names looked up.
#[derive(Clone, Copy)]
struct Resolved<'a> {
    request: &'a LineRequest,
    /// Position of the product in the definition.
    position: usize,
    product: &'a ProductDefinition,
    unit: &'a UnitDefinition,
    /// Number of the unit's name.
    unit_number: u16,
    id: SlotId,
}

/// Collects what is wrong with lines.
#[derive(Default)]
struct Problems(Vec<LineProblem>);

impl Problems {
    fn add(&mut self, line: usize, left: Option<u32>, detail: impl Into<String>) {
        self.0.push(LineProblem {
            line: line as u16,
            left,
            detail: detail.into(),
        });
    }

    /// Refuses if anything was collected.
    fn settle(self, code: RefusalCode, detail: &str) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refusal::about(code, detail, self.0))
        }
    }
}

pub(super) fn hold(
    transaction: &mut Transaction<'_>,
    command: &Command,
    request: &HoldRequest,
) -> Result<RecordId, Halt> {
    let venue = command.venue;
    let catalogue = transaction.known_catalogue(venue)?;
    let selection = Selection::of(transaction, &catalogue, venue, &request.lines, request.channel)?;
    selection.check_pools(transaction, catalogue.definition.building_capacity)?;
    let lines_sold = selection.price(&catalogue)?;

    for want in &selection.wants {
        transaction.shift(&catalogue, want.id, want.places, Shift::Hold)?;
    }
    let minutes = selection
        .lines
        .iter()
        .map(|line| i64::from(line.product.hold_minutes))
        .min();
    // A hold of no time at all would be due in the entry that makes it.
    let minutes = minutes.unwrap_or(1).clamp(1, MAX_HOLD_MINUTES);
    let deadline = Timestamp(transaction.now.0.saturating_add(minutes * 60_000));
    let booking = Booking {
        secret: request.secret,
        channel: request.channel,
        key: command.key,
        fingerprint: command.fingerprint,
        index: transaction.index,
        status: BookingStatus::Held,
        created_at: transaction.now,
        first_deadline: deadline,
        deadline,
        extensions: 0,
        confirmed_at: None,
        ended_at: None,
        nonce: 0,
        first_serial: 0,
        first_number: 0,
        lines: lines_sold,
        past: Vec::new(),
    };
    let id = transaction.next_record(venue);
    transaction.counters_mut(venue).bookings += 1;
    transaction.deadlines().note(venue, deadline, id.seq);
    for want in &selection.wants {
        tours::note(transaction, want.product, want.id, id.seq)?;
    }
    outbox::tell_booking(transaction, id, Event::Held);
    transaction.insert_record(id, Record::Booking(booking));
    if let Some(key) = command.key {
        note_key(transaction, id, key);
    }
    Ok(id)
}

/// What somebody wants to have, looked up and found to be allowed; whether there is room is asked of it.
pub(super) struct Selection<'a> {
    lines: SmallVec<[Resolved<'a>; 2]>,
    /// Slot by slot.
    pub(super) wants: SmallVec<[Want<'a>; 2]>,
}

impl<'a> Selection<'a> {
    /// Looks the lines up and checks all but the pools.
    pub(super) fn of(
        transaction: &mut Transaction<'_>,
        catalogue: &'a Catalogue,
        venue: VenueNo,
        requests: &'a [LineRequest],
        channel: Channel,
    ) -> Result<Self, Halt> {
        check_size(requests)?;
        let lines = resolve(catalogue, venue, requests)?;
        let wants = find_slots(transaction, &lines)?;
        check_quantities(&lines)?;
        check_company(&lines)?;
        check_claims(&lines)?;
        check_moment(&lines, &wants, channel, transaction.now)?;
        Ok(Self { lines, wants })
    }

    /// Whether every pool has room for all of it.
    pub(super) fn check_pools(&self, pools: &mut impl PoolRows, building_capacity: u32) -> Result<(), Halt> {
        check_pools(pools, building_capacity, &self.lines, &self.wants)
    }

    /// The lines as they are sold, in order of request.
    pub(super) fn price(&self, catalogue: &Catalogue) -> Result<Lines, Refusal> {
        price(catalogue, &self.lines, &self.wants)
    }
}

/// Bounds what the checks after it have to go through.
fn check_size(lines: &[LineRequest]) -> Result<(), Refusal> {
    if lines.is_empty() {
        return Err(Refusal::new(
            RefusalCode::QuantityOutOfRange,
            "a booking has at least one line; name a slot",
        ));
    }
    if lines.len() > MAX_LINES {
        let detail = format!("a booking has at most {MAX_LINES} lines; make several bookings");
        return Err(Refusal::new(RefusalCode::TooLarge, detail));
    }
    Ok(())
}

/// Looks up products and units.
fn resolve<'a>(
    catalogue: &'a Catalogue,
    venue: VenueNo,
    requests: &'a [LineRequest],
) -> Result<SmallVec<[Resolved<'a>; 2]>, Refusal> {
    let mut problems = Problems::default();
    for (number, line) in requests.iter().enumerate() {
        if catalogue.product(&line.slot.product).is_none() {
            problems.add(number, None, format!("there is no product {}", line.slot.product));
        }
    }
    problems.settle(
        RefusalCode::UnknownProduct,
        "the venue has no such product; look it up in its products",
    )?;
    let mut problems = Problems::default();
    let mut lines = SmallVec::with_capacity(requests.len());
    for (number, request) in requests.iter().enumerate() {
        let Some(position) = catalogue.product(&request.slot.product) else {
            continue;
        };
        let product = &catalogue.definition.products[position];
        let Some(unit) = catalogue.unit(position, &request.unit) else {
            problems.add(number, None, format!("{} has no unit {}", product.slug, request.unit));
            continue;
        };
        lines.push(Resolved {
            request,
            position,
            product,
            unit: &product.units[unit],
            unit_number: catalogue.unit_numbers[position][unit],
            id: SlotId {
                venue,
                product: catalogue.product_numbers[position],
                start: request.slot.start,
            },
        });
    }
    problems.settle(
        RefusalCode::UnknownUnit,
        "the product has no such unit; look it up in the venue's products",
    )?;
    Ok(lines)
}

/// Looks up slots, and adds up what is wanted of each: two lines of one slot draw on the same places.
fn find_slots<'a>(transaction: &mut Transaction<'_>, lines: &[Resolved<'a>]) -> Result<SmallVec<[Want<'a>; 2]>, Halt> {
    let mut problems = Problems::default();
    let mut wants: SmallVec<[Want<'a>; 2]> = SmallVec::new();
    for (number, line) in lines.iter().enumerate() {
        let slot = transaction.slot(line.id)?;
        // The offset is part of the slot's name: a time that is right by another clock is another slot's name.
        let Some(slot) = slot.filter(|slot| slot.offset_minutes == line.request.slot.offset_minutes) else {
            problems.add(number, None, "there is no slot at this time");
            continue;
        };
        let pax = if mutant!(FamilyCountsAsOne) { 1 } else { line.unit.pax };
        let places = line.request.quantity.saturating_mul(pax);
        match wants.iter_mut().find(|want| want.id == line.id) {
            Some(want) => want.places = want.places.saturating_add(places),
            None => wants.push(Want {
                id: line.id,
                slot,
                product: line.product,
                places,
            }),
        }
    }
    problems.settle(
        RefusalCode::UnknownSlot,
        "there is no such slot; look it up in availability",
    )?;
    Ok(wants)
}

/// How many: of each line, of each unit, of each product, of persons.
fn check_quantities(lines: &[Resolved<'_>]) -> Result<(), Refusal> {
    let mut problems = Problems::default();
    for (number, line) in lines.iter().enumerate() {
        if line.request.quantity == 0 {
            problems.add(number, None, "a line is of at least one");
            continue;
        }
        let sum = |same: &dyn Fn(&Resolved<'_>) -> bool| -> u64 {
            let quantities = lines
                .iter()
                .filter(|other| same(other))
                .map(|other| u64::from(other.request.quantity));
            quantities.sum()
        };
        let of_product = sum(&|other| other.position == line.position);
        let of_unit = sum(&|other| other.position == line.position && other.unit_number == line.unit_number);
        let (least, most) = (line.product.min_units_per_booking, line.product.max_units_per_booking);
        if let Some(most_of_unit) = line.unit.max_quantity.filter(|most| of_unit > u64::from(*most)) {
            let detail = format!("at most {most_of_unit} of {} in a booking", line.unit.slug);
            problems.add(number, Some(most_of_unit), detail);
        } else if of_product > u64::from(most) {
            problems.add(
                number,
                Some(most),
                format!("at most {most} of {} in a booking", line.product.slug),
            );
        } else if of_product < u64::from(least) {
            problems.add(
                number,
                Some(least),
                format!("at least {least} of {} in a booking", line.product.slug),
            );
        }
    }
    problems.settle(
        RefusalCode::QuantityOutOfRange,
        "too few or too many; see the lines for the bounds",
    )?;
    let persons: u64 = lines
        .iter()
        .map(|line| u64::from(line.request.quantity) * u64::from(line.unit.pax))
        .sum();
    if persons > MAX_PERSONS {
        let detail = format!("a booking is for at most {MAX_PERSONS} persons; make several bookings");
        return Err(Refusal::new(RefusalCode::TooLarge, detail));
    }
    Ok(())
}

/// Whoever must not come alone has company in the same slot.
fn check_company(lines: &[Resolved<'_>]) -> Result<(), Refusal> {
    let mut problems = Problems::default();
    for (number, line) in lines.iter().enumerate() {
        let companions = &line.unit.accompanied_by;
        let has_company = companions.is_empty()
            || lines
                .iter()
                .any(|other| other.id == line.id && companions.contains(&other.unit.slug));
        if !has_company {
            let detail = format!("{} comes with one of: {}", line.unit.slug, companions.join(", "));
            problems.add(number, None, detail);
        }
    }
    problems.settle(
        RefusalCode::NotAccompanied,
        "a unit needs another one beside it in the same slot; add it",
    )
}

/// Whoever must be somebody (a member, say) has shown that they are.
fn check_claims(lines: &[Resolved<'_>]) -> Result<(), Refusal> {
    let mut problems = Problems::default();
    for (number, line) in lines.iter().enumerate() {
        let Some(required) = &line.unit.requires else { continue };
        let claim = line.request.claim.as_deref().and_then(|claim| claim.split_once(':'));
        if claim.is_none_or(|(kind, _)| kind != required) {
            problems.add(number, None, format!("{} requires {required}", line.unit.slug));
        }
    }
    problems.settle(
        RefusalCode::ClaimRequired,
        "a unit is for those who can show a claim; send it with the line, or choose another unit",
    )
}

/// Whether the slots can be sold now: not over, on sale, open.
fn check_moment(lines: &[Resolved<'_>], wants: &[Want<'_>], channel: Channel, now: Timestamp) -> Result<(), Refusal> {
    let about = |wrong: &dyn Fn(&Want<'_>) -> bool, detail: &str| {
        let mut problems = Problems::default();
        for want in wants.iter().filter(|want| wrong(want)) {
            for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.id == want.id) {
                problems.add(number, None, detail);
            }
        }
        problems.0.sort_by_key(|problem| problem.line);
        problems
    };
    about(
        &|want| pools::is_past(want.product, want.id, &want.slot, channel, now),
        "the slot has begun",
    )
    .settle(RefusalCode::SlotInPast, "the slot has begun; choose a later one")?;
    about(&|want| !pools::is_on_sale(want.product, now), "the sale has not begun").settle(
        RefusalCode::NotOnSale,
        "the product's sale has not begun; see on_sale of the product",
    )?;
    about(&|want| want.slot.is_closed(), "the slot is closed")
        .settle(RefusalCode::SlotClosed, "the slot is closed; choose another one")?;
    about(
        &|want| pools::is_called_off(want.product, want.id, &want.slot, now),
        "the tour does not take place",
    )
    .settle(
        RefusalCode::SlotClosed,
        "too few had booked the tour when it was decided; choose another one",
    )
}

/// Whether every pool has room for all of it.
fn check_pools(
    pools: &mut impl PoolRows,
    building_capacity: u32,
    lines: &[Resolved<'_>],
    wants: &[Want<'_>],
) -> Result<(), Halt> {
    let mut problems = Problems::default();
    for (which, want) in wants.iter().enumerate() {
        let room = pools::room(pools, building_capacity, wants, which)?;
        if room.enough {
            continue;
        }
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.id == want.id) {
            let left = room.left / line.unit.pax.max(1);
            problems.add(number, Some(left), format!("{left} left"));
        }
    }
    problems.0.sort_by_key(|problem| problem.line);
    problems.settle(
        RefusalCode::SoldOut,
        "not enough places are left for all lines together; see what is left for each",
    )?;
    Ok(())
}

/// The lines as they are sold, in order of request.
fn price(catalogue: &Catalogue, lines: &[Resolved<'_>], wants: &[Want<'_>]) -> Result<Lines, Refusal> {
    let too_large = || Refusal::new(RefusalCode::TooLarge, "the total is beyond what can be counted");
    let mut sum = 0i64;
    let mut sold = Lines::with_capacity(lines.len());
    for line in lines {
        let offset_minutes = wants
            .iter()
            .find(|want| want.id == line.id)
            .map_or(0, |want| want.slot.offset_minutes);
        let total = money::line_total(line.unit.price, line.request.quantity).ok_or_else(too_large)?;
        sum = sum.checked_add(total).ok_or_else(too_large)?;
        sold.push(Line {
            product: line.id.product,
            unit: line.unit_number,
            start: line.id.start,
            offset_minutes,
            quantity: line.request.quantity,
            pax: line.unit.pax,
            unit_price: line.unit.price,
            total,
            tax: money::contained_tax(total, catalogue.definition.tax_basis_points),
            cancelled: false,
        });
    }
    Ok(sold)
}
