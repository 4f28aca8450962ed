//! Broken histories that the model must catch, and a sound one that it must pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use rotunda_booking::catalogue::{ProductDefinition, ProductKind, UnitDefinition};
use rotunda_booking::command::{Channel, HoldRequest, LineRequest, SlotPlan, SlotSpec};
use rotunda_booking::ids::{SlotRef, TicketId};
use rotunda_booking::outcome::{LineView, TicketStatus, TicketView};

use super::*;

const VENUE: VenueNo = VenueNo(3);
const START: Timestamp = Timestamp(1_800_000_000_000);
const HOLD_FOR: i64 = 600_000;

fn definition(building: u32, guides: Option<u32>) -> VenueDefinition {
    VenueDefinition {
        slug: "house".to_owned(),
        name: "House".to_owned(),
        city: "Town".to_owned(),
        time_zone: "UTC".to_owned(),
        currency: "EUR".to_owned(),
        currency_digits: 2,
        tax_basis_points: 0,
        building_capacity: building,
        opening: Vec::new(),
        closed: Vec::new(),
        products: vec![ProductDefinition {
            slug: "tour".to_owned(),
            name: "Tour".to_owned(),
            kind: ProductKind::Guided,
            slot_minutes: 30,
            visit_minutes: 60,
            capacity: 4,
            last_entry_before_close_minutes: None,
            on_sale: None,
            hold_minutes: 10,
            min_units_per_booking: 1,
            max_units_per_booking: 10,
            min_to_run: None,
            guides,
            units: vec![UnitDefinition {
                slug: "adult".to_owned(),
                kind: "ADULT".to_owned(),
                price: 100,
                pax: 1,
                min_age: None,
                max_age: None,
                accompanied_by: Vec::new(),
                max_quantity: None,
                requires: None,
                id_required: false,
            }],
        }],
    }
}

/// A shard whose log is written by hand.
struct Story {
    model: Model,
    index: u64,
    wrong: Vec<String>,
}

impl Story {
    fn new(building: u32, guides: Option<u32>) -> Self {
        let mut story = Story {
            model: Model::default(),
            index: 0,
            wrong: Vec::new(),
        };
        let import = Operation::ImportVenue(Box::new(definition(building, guides)));
        story.tell(
            0,
            import,
            Outcome::Imported {
                revision: 1,
                changed: true,
            },
        );
        let slots = (0..3)
            .map(|n| SlotSpec {
                start: Timestamp(START.0 + n * 1_800_000),
                end: Timestamp(START.0 + n * 1_800_000 + 1_800_000),
                occupies_until: Timestamp(START.0 + n * 1_800_000 + 3_600_000),
                offset_minutes: 0,
                capacity: 4,
            })
            .collect();
        let plan = SlotPlan {
            revision: 1,
            product: "tour".to_owned(),
            day: ServiceDay(20833),
            slots,
        };
        story.tell(
            0,
            Operation::SetSlots(plan),
            Outcome::SlotsSet {
                added: 3,
                removed: 0,
                kept: 0,
            },
        );
        story
    }

    fn tell(&mut self, at: i64, operation: Operation, outcome: Outcome) -> u64 {
        self.index += 1;
        let reply = Reply {
            index: self.index,
            replayed: false,
            outcome,
        };
        self.say(at, None, operation, reply);
        self.index
    }

    fn say(&mut self, at: i64, key: Option<(u8, u64)>, operation: Operation, reply: Reply) {
        let command = Command {
            key: key.map(|(key, _)| CommandKey([key; 16])),
            fingerprint: key.map_or(0, |(_, fingerprint)| fingerprint),
            venue: VENUE,
            operation,
        };
        let entry = Entry {
            stamp: Timestamp(at),
            commands: vec![command],
        };
        self.wrong.extend(self.model.observe(self.index, &entry, &[reply]));
    }

    fn hold(&mut self, at: i64, seq: u64, slot: i64, quantity: u32) -> BookingId {
        let (request, view) = held(at, seq, slot, quantity);
        let id = view.id;
        self.tell(at, request, Outcome::Booking(view));
        id
    }

    fn change(&mut self, at: i64, id: BookingId, operation: Operation, status: BookingStatus) {
        let (_, mut view) = held(at, id.seq, 0, 1);
        view.status = status;
        if status == BookingStatus::Confirmed {
            let persons = self.model.venues[&VENUE].persons_of(id);
            view.tickets = (0..persons).map(|n| ticket(id, n)).collect();
        }
        self.tell(at, operation, Outcome::Booking(view));
    }
}

fn slot(n: i64) -> SlotRef {
    SlotRef {
        product: "tour".to_owned(),
        start: Timestamp(START.0 + n * 1_800_000),
        offset_minutes: 0,
    }
}

fn held(at: i64, seq: u64, n: i64, quantity: u32) -> (Operation, BookingView) {
    let request = HoldRequest {
        secret: 0,
        channel: Channel::Web,
        lines: vec![LineRequest {
            slot: slot(n),
            unit: "adult".to_owned(),
            quantity,
        }],
    };
    let view = BookingView {
        id: BookingId {
            venue: VENUE,
            seq,
            secret: 0,
        },
        reference: "HOUSE-0".to_owned(),
        status: BookingStatus::Held,
        venue: "house".to_owned(),
        channel: Channel::Web,
        currency: "EUR".to_owned(),
        lines: vec![LineView {
            slot: slot(n),
            unit: "adult".to_owned(),
            quantity,
            unit_price: 100,
            tax: 0,
            total: 100,
        }],
        total: 100,
        created_at: Timestamp(at),
        expires_at: Some(Timestamp(at + HOLD_FOR)),
        confirmed_at: None,
        ended_at: None,
        offset_minutes: 0,
        tickets: Vec::new(),
    };
    (Operation::Hold(request), view)
}

fn ticket(id: BookingId, n: i64) -> TicketView {
    let number = u16::try_from(n).unwrap();
    TicketView {
        id: TicketId {
            venue: id.venue,
            seq: id.seq,
            number,
            secret: 0,
        },
        serial: 1,
        unit: "adult".to_owned(),
        slot: slot(0),
        status: TicketStatus::Valid,
    }
}

#[track_caller]
fn caught(story: &Story, what: &str) {
    assert!(
        story.wrong.iter().any(|text| text.contains(what)),
        "{what:?} is not among {:#?}",
        story.wrong
    );
}

#[test]
fn a_sound_history_passes() {
    let mut story = Story::new(8, None);
    let first = story.hold(10, 1, 0, 2);
    let second = story.hold(20, 2, 0, 2);
    story.change(
        30,
        first,
        Operation::Confirm {
            booking: first,
            nonce: 0,
        },
        BookingStatus::Confirmed,
    );
    story.change(
        40,
        second,
        Operation::Release { booking: second },
        BookingStatus::Released,
    );
    story.hold(50, 3, 0, 2);
    story.tell(
        50 + HOLD_FOR,
        Operation::Expire { limit: 9 },
        Outcome::Expired { count: 1, more: false },
    );
    story.change(
        60 + HOLD_FOR,
        first,
        Operation::Cancel { booking: first },
        BookingStatus::Cancelled,
    );
    assert!(story.wrong.is_empty(), "{:#?}", story.wrong);
    assert_eq!(story.model.persons_in(VENUE, &slot(0)), Some(0));
}

#[test]
fn a_slot_sold_above_its_capacity_is_caught() {
    let mut story = Story::new(100, None);
    story.hold(10, 1, 0, 3);
    story.hold(20, 2, 0, 2);
    caught(&story, "OVERBOOKED: slot");
}

#[test]
fn a_building_over_its_limit_is_caught_where_visits_overlap() {
    let mut story = Story::new(5, None);
    story.hold(10, 1, 0, 3);
    story.hold(20, 2, 2, 2);
    assert!(
        story.wrong.is_empty(),
        "the third slot's visitors come when the first's have left: {:?}",
        story.wrong
    );
    story.hold(30, 3, 1, 3);
    caught(&story, "OVERBOOKED: the building");
}

#[test]
fn more_tours_at_once_than_guides_are_caught() {
    let mut story = Story::new(100, Some(1));
    story.hold(10, 1, 0, 1);
    story.hold(20, 2, 0, 1);
    assert!(story.wrong.is_empty(), "the same tour: {:?}", story.wrong);
    story.hold(30, 3, 1, 1);
    caught(&story, "tours of tour at once");
}

#[test]
fn a_key_that_takes_effect_twice_is_caught() {
    let mut story = Story::new(100, None);
    let (operation, view) = held(10, 1, 0, 1);
    story.index += 1;
    let index = story.index;
    story.say(
        10,
        Some((7, 1)),
        operation.clone(),
        Reply {
            index,
            replayed: false,
            outcome: Outcome::Booking(view),
        },
    );
    let (_, other) = held(20, 2, 0, 1);
    story.index += 1;
    let index = story.index;
    story.say(
        20,
        Some((7, 1)),
        operation,
        Reply {
            index,
            replayed: false,
            outcome: Outcome::Booking(other),
        },
    );
    caught(&story, "came again and was answered otherwise");
}

#[test]
fn a_key_reused_with_another_body_must_be_refused() {
    let mut story = Story::new(100, None);
    for (fingerprint, seq) in [(1, 1), (2, 2)] {
        let (operation, view) = held(10, seq, 0, 1);
        story.index += 1;
        let index = story.index;
        story.say(
            10,
            Some((7, fingerprint)),
            operation,
            Reply {
                index,
                replayed: false,
                outcome: Outcome::Booking(view),
            },
        );
    }
    caught(&story, "reused with another body");
}

#[test]
fn a_hold_expired_before_its_time_is_caught() {
    let mut story = Story::new(100, None);
    story.hold(10, 1, 0, 1);
    story.tell(
        10 + HOLD_FOR - 1,
        Operation::Expire { limit: 9 },
        Outcome::Expired { count: 1, more: false },
    );
    caught(&story, "1 holds expired");
}

#[test]
fn a_hold_that_expiry_forgets_is_caught() {
    let mut story = Story::new(100, None);
    story.hold(10, 1, 0, 1);
    story.tell(
        10 + HOLD_FOR,
        Operation::Expire { limit: 9 },
        Outcome::Expired { count: 0, more: false },
    );
    caught(&story, "where 1 were due");
}

#[test]
fn a_confirm_after_its_hold_expired_is_caught() {
    let mut story = Story::new(100, None);
    let id = story.hold(10, 1, 0, 1);
    story.tell(
        10 + HOLD_FOR,
        Operation::Expire { limit: 9 },
        Outcome::Expired { count: 1, more: false },
    );
    story.change(
        20 + HOLD_FOR,
        id,
        Operation::Confirm { booking: id, nonce: 0 },
        BookingStatus::Confirmed,
    );
    caught(&story, "was confirmed although it was Expired");
}

#[test]
fn places_given_back_twice_are_caught() {
    let mut story = Story::new(100, None);
    let id = story.hold(10, 1, 0, 1);
    for at in [20, 30] {
        story.change(at, id, Operation::Release { booking: id }, BookingStatus::Released);
    }
    caught(&story, "was released although it was Released");
}

#[test]
fn a_confirm_with_too_few_tickets_is_caught() {
    let mut story = Story::new(100, None);
    let id = story.hold(10, 1, 0, 2);
    let (_, mut view) = held(20, 1, 0, 2);
    view.status = BookingStatus::Confirmed;
    story.tell(20, Operation::Confirm { booking: id, nonce: 0 }, Outcome::Booking(view));
    caught(&story, "2 persons got 0 tickets");
}

#[test]
fn a_booking_id_handed_out_twice_is_caught() {
    let mut story = Story::new(100, None);
    story.hold(10, 1, 0, 1);
    story.hold(20, 1, 1, 1);
    caught(&story, "was handed out twice");
}
