//! Stories that a script cannot tell: numbers at the edge, and rows that are not what they should be.

use super::audit::{Counted, audit};
use crate::catalogue::{self, ProductDefinition, ProductKind, UnitDefinition, VenueDefinition};
use crate::command::{Channel, Command, Entry, HoldRequest, LineRequest, Operation, SlotPlan, SlotSpec};
use crate::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use crate::inventory::{Inventory, Limits};
use crate::keys::Key;
use crate::outcome::{BookingView, Outcome, RefusalCode, Reply};
use crate::queries;
use crate::rows::{MapRows, ReadRows, Rows, RowsError};
use crate::state::{Slot, SlotId, encode_row, read_row};
use crate::time::{ServiceDay, Timestamp};

const VENUE: VenueNo = VenueNo(1);
const NOON: Timestamp = Timestamp(20_000 * 24 * 3_600_000 + 12 * 3_600_000);
const SLOT: SlotId = SlotId {
    venue: VENUE,
    product: 0,
    start: NOON,
};

fn definition() -> VenueDefinition {
    let unit = |slug: &str, pax| UnitDefinition {
        slug: slug.to_owned(),
        name: None,
        texts: Default::default(),
        kind: "ADULT".to_owned(),
        price: 1_000_000_000_000,
        pax,
        min_age: None,
        max_age: None,
        accompanied_by: Vec::new(),
        max_quantity: None,
        requires: None,
        id_required: false,
    };
    VenueDefinition {
        slug: "lisbon-tides".to_owned(),
        name: "Tides".to_owned(),
        language: String::new(),
        texts: Default::default(),
        city: "Lisbon".to_owned(),
        time_zone: "UTC".to_owned(),
        currency: "EUR".to_owned(),
        currency_digits: 2,
        tax_basis_points: 600,
        building_capacity: u32::MAX,
        opening: Vec::new(),
        closed: Vec::new(),
        products: vec![ProductDefinition {
            slug: "general".to_owned(),
            name: "General".to_owned(),
            texts: Default::default(),
            kind: ProductKind::Timed,
            slot_minutes: 30,
            visit_minutes: 60,
            capacity: u32::MAX,
            last_entry_before_close_minutes: None,
            on_sale: None,
            hold_minutes: 10,
            min_units_per_booking: 0,
            max_units_per_booking: u32::MAX,
            min_to_run: None,
            cutoff_minutes: 60,
            guides: None,
            re_entry: false,
            early_entry_minutes: 15,
            units: vec![unit("adult", 1), unit("coach", 100)],
        }],
    }
}

struct Shard {
    rows: MapRows,
    inventory: Inventory,
    index: u64,
}

impl Shard {
    fn new() -> Self {
        let mut shard = Self {
            rows: MapRows::new(),
            inventory: Inventory::new(Limits::default()),
            index: 0,
        };
        let definition = definition();
        let revision = catalogue::revision(&definition);
        shard.apply(Operation::ImportVenue(Box::new(definition)));
        let slot = SlotSpec {
            start: NOON,
            end: NOON.plus_minutes(30),
            occupies_until: NOON.plus_minutes(60),
            offset_minutes: 0,
            capacity: u32::MAX,
        };
        let plan = SlotPlan {
            revision,
            product: "general".to_owned(),
            day: ServiceDay(20_000),
            slots: vec![slot],
        };
        shard.apply(Operation::SetSlots(plan));
        shard
    }

    fn try_apply(&mut self, stamp: Timestamp, operation: Operation) -> Result<Reply, RowsError> {
        self.index += 1;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.index.to_be_bytes());
        let command = Command {
            key: Some(CommandKey(key)),
            fingerprint: 0,
            venue: VENUE,
            actor: None,
            operation,
        };
        let entry = Entry {
            stamp,
            commands: vec![command],
        };
        let mut replies = self.inventory.apply(&mut self.rows, self.index, &entry)?;
        self.rows.commit();
        Ok(replies.remove(0))
    }

    fn apply(&mut self, operation: Operation) -> Outcome {
        self.try_apply(Timestamp(0), operation).unwrap().outcome
    }

    fn hold(&mut self, lines: &[(&str, u32)]) -> Outcome {
        self.apply(hold(lines))
    }
}

fn hold(lines: &[(&str, u32)]) -> Operation {
    let slot = SlotRef {
        product: "general".to_owned(),
        start: NOON,
        offset_minutes: 0,
    };
    let lines = lines
        .iter()
        .map(|(unit, quantity)| LineRequest {
            slot: slot.clone(),
            unit: (*unit).to_owned(),
            quantity: *quantity,
            claim: None,
        })
        .collect();
    Operation::Hold(HoldRequest {
        secret: 5,
        channel: Channel::Web,
        lines,
    })
}

fn code(outcome: &Outcome) -> Option<RefusalCode> {
    match outcome {
        Outcome::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

fn view(outcome: Outcome) -> BookingView {
    match outcome {
        Outcome::Booking(view) => view,
        other => panic!("{other:?}"),
    }
}

#[test]
fn quantities_beyond_counting_are_refused_and_take_nothing() {
    let mut shard = Shard::new();
    assert_eq!(
        code(&shard.hold(&[("coach", u32::MAX); 64])),
        Some(RefusalCode::QuantityOutOfRange)
    );
    let overflowing = shard.hold(&[("adult", u32::MAX), ("adult", 1)]);
    assert_eq!(code(&overflowing), Some(RefusalCode::QuantityOutOfRange));
    assert_eq!(code(&shard.hold(&[("coach", u32::MAX)])), Some(RefusalCode::TooLarge));
    assert_eq!(code(&shard.hold(&[("adult", 5001)])), Some(RefusalCode::TooLarge));
    assert_eq!(code(&shard.hold(&[("adult", 1); 65])), Some(RefusalCode::TooLarge));
    audit(&shard.rows, &shard.inventory, &Counted::default());
}

#[test]
fn the_largest_booking_gets_a_ticket_for_each_person() {
    let mut shard = Shard::new();
    let held = view(shard.hold(&[("coach", 49), ("adult", 100)]));
    assert_eq!(held.total, 149 * 1_000_000_000_000);
    let confirmed = view(shard.apply(Operation::Confirm {
        booking: held.id,
        nonce: 1,
        payment: None,
    }));
    assert_eq!(confirmed.tickets.len(), 5000);
    let mut secrets: Vec<u64> = confirmed.tickets.iter().map(|ticket| ticket.id.secret).collect();
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 5000, "every ticket has a secret of its own");
    assert!(!secrets.contains(&held.id.secret));
    let serials: Vec<u64> = confirmed.tickets.iter().map(|ticket| ticket.serial).collect();
    assert_eq!(serials, (1..=5000).collect::<Vec<_>>());
    audit(&shard.rows, &shard.inventory, &Counted::default());
}

#[test]
fn an_identifier_of_another_venue_is_unknown_here() {
    let mut shard = Shard::new();
    let held = view(shard.hold(&[("adult", 1)]));
    let elsewhere = BookingId {
        venue: VenueNo(2),
        ..held.id
    };
    let outcome = shard.apply(Operation::Release { booking: elsewhere });
    assert_eq!(code(&outcome), Some(RefusalCode::UnknownBooking));
}

#[test]
fn a_stamp_from_the_past_does_not_turn_time_back() {
    let mut shard = Shard::new();
    shard.try_apply(Timestamp(5_000_000), hold(&[("adult", 1)])).unwrap();
    let held = view(
        shard
            .try_apply(Timestamp(1_000), hold(&[("adult", 1)]))
            .unwrap()
            .outcome,
    );
    assert_eq!(held.created_at, Timestamp(5_000_000));
    assert_eq!(shard.inventory.now(), Timestamp(5_000_000));
}

#[test]
fn a_stamp_at_the_end_of_time_is_survived() {
    let mut shard = Shard::new();
    let held = view(shard.hold(&[("adult", 1)]));
    let late = shard
        .try_apply(Timestamp(i64::MAX), Operation::Extend { booking: held.id })
        .unwrap();
    assert_eq!(view(late.outcome).expires_at, Some(Timestamp(i64::MAX)));
    shard
        .try_apply(Timestamp(i64::MAX), Operation::Expire { limit: 9 })
        .unwrap();
}

/// Rewrites the slot's row behind the inventory's back.
fn tamper(shard: &mut Shard, change: impl FnOnce(&mut Slot)) {
    let mut slot = read_row::<Slot>(&shard.rows, SLOT).unwrap().unwrap();
    change(&mut slot);
    shard.rows.put(&Key::slot(SLOT), &encode_row(&slot));
    shard.rows.commit();
    shard.inventory.load(&shard.rows).unwrap();
}

#[test]
fn an_overbooked_row_is_damage_and_nothing_is_sold_from_it() {
    let mut shard = Shard::new();
    tamper(&mut shard, |slot| {
        slot.planned = 3;
        slot.held = 4;
    });
    let error = shard.try_apply(Timestamp(0), hold(&[("adult", 1)])).unwrap_err();
    assert!(error.to_string().contains("overbooked"), "{error}");
}

#[test]
fn giving_back_more_than_was_taken_stops_the_replica() {
    let mut shard = Shard::new();
    let held = view(shard.hold(&[("adult", 2)]));
    tamper(&mut shard, |slot| slot.held = 1);
    let error = shard
        .try_apply(Timestamp(0), Operation::Release { booking: held.id })
        .unwrap_err();
    assert!(error.to_string().contains("does not add up"), "{error}");
}

#[test]
fn a_row_of_another_version_is_not_guessed_at() {
    let mut shard = Shard::new();
    let mut bytes = shard.rows.get(&Key::slot(SLOT)).unwrap().unwrap().to_vec();
    bytes[0] = 200;
    shard.rows.put(&Key::slot(SLOT), &bytes);
    shard.rows.commit();
    shard.inventory.load(&shard.rows).unwrap();
    let error = shard.try_apply(Timestamp(0), hold(&[("adult", 1)])).unwrap_err();
    assert!(error.to_string().contains("version 200"), "{error}");
}

#[test]
fn an_expiry_that_finds_only_what_was_given_back_stops_after_a_while_and_goes_on_with_the_next() {
    let mut shard = Shard::new();
    // One more than an expiry looks at, each with a deadline of its own.
    let holds = 16_384 + 1;
    for number in 0..holds {
        let held = shard.try_apply(Timestamp(number), hold(&[("adult", 1)])).unwrap();
        if number + 1 < holds {
            let booking = view(held.outcome).id;
            shard
                .try_apply(Timestamp(number), Operation::Release { booking })
                .unwrap();
        }
    }
    let later = Timestamp(holds).plus_minutes(10);
    let mut expire = || shard.try_apply(later, Operation::Expire { limit: 9 }).unwrap().outcome;
    assert_eq!(expire(), Outcome::Expired { count: 0, more: true });
    assert_eq!(expire(), Outcome::Expired { count: 1, more: false });
    assert_eq!(queries::next_deadline(&shard.rows).unwrap(), None);
    audit(&shard.rows, &shard.inventory, &Counted::default());
}
