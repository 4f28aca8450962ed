//! Logs written by hand: small stories that break one rule each, and a sound one. Replies that no binary of ours would
//! give are the point, so what replays the logs by the product's rules (I11) is not asked.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use rotunda_booking::admission::{AdmissionView, Admit, Direction, Verdict};
use rotunda_booking::catalogue::{ProductDefinition, ProductKind, VenueDefinition};
use rotunda_booking::codec;
use rotunda_booking::command::{Channel, Command, Entry, HoldRequest, LineRequest, Operation, SlotPlan, SlotSpec};
use rotunda_booking::ids::{BookingId, CommandKey, SlotRef, TicketId, VenueNo};
use rotunda_booking::outcome::{BookingStatus, BookingView, LineView, Outcome, Reply, TicketStatus, TicketView};
use rotunda_booking::time::{ServiceDay, Timestamp};

use super::{Evidence, check_all, registry};
use crate::history::lines::{FinalSlot, LogLine};
use crate::history::reader::Saved;
use crate::history::text::Bytes;
use crate::model_cluster::catalogue::unit;

const VENUE: VenueNo = VenueNo(3);
const START: Timestamp = Timestamp(1_800_000_000_000);
const HOLD_FOR: i64 = 600_000;

fn definition(building: u32, guides: Option<u32>) -> VenueDefinition {
    VenueDefinition {
        slug: "house".to_owned(),
        name: "House".to_owned(),
        language: String::new(),
        texts: Default::default(),
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
            texts: Default::default(),
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
            cutoff_minutes: 60,
            guides,
            re_entry: false,
            early_entry_minutes: 15,
            units: vec![unit("adult", 100, 1)],
        }],
    }
}

/// A shard whose log is written by hand.
#[derive(Default)]
struct Story {
    saved: Saved,
    index: u64,
    serial: u64,
}

impl Story {
    fn new(building: u32, guides: Option<u32>) -> Self {
        let mut story = Story::default();
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

    fn tell(&mut self, at: i64, operation: Operation, outcome: Outcome) {
        self.tell_under(None, at, operation, outcome);
    }

    /// The same under a key, of which every byte is the same, with the fingerprint of its request.
    fn tell_under(&mut self, key: Option<(u8, u64)>, at: i64, operation: Operation, outcome: Outcome) {
        self.index += 1;
        let command = Command {
            key: key.map(|(key, _)| CommandKey([key; 16])),
            fingerprint: key.map_or(0, |(_, fingerprint)| fingerprint),
            venue: VENUE,
            actor: None,
            operation,
        };
        let entry = Entry {
            stamp: Timestamp(at),
            commands: vec![command],
        };
        let reply = Reply {
            index: self.index,
            replayed: false,
            outcome,
        };
        self.saved.entries.push(LogLine {
            line: 0,
            shard: 1,
            index: self.index,
            term: 1,
            node: None,
            payload: Bytes(codec::encode_entry(&entry).to_vec()),
            replies: Some(Bytes(codec::encode_replies(&[reply]).to_vec())),
        });
        self.saved.renumber();
    }

    /// What the invariants say of it.
    fn wrong(&self) -> Vec<String> {
        let evidence = Evidence::new(&self.saved).unwrap();
        let by_hand = registry().into_iter().filter(|invariant| invariant.id() != "I11");
        let verdicts = check_all(&evidence, &by_hand.collect::<Vec<_>>());
        let findings = verdicts.into_iter().flat_map(|verdict| verdict.findings);
        findings.map(|finding| finding.text).collect()
    }

    fn hold(&mut self, at: i64, seq: u64, slot: i64, quantity: u32) -> BookingId {
        let (request, view) = held(at, seq, slot, quantity);
        let id = view.id;
        self.tell(at, request, Outcome::Booking(view));
        id
    }

    fn change(&mut self, at: i64, id: BookingId, persons: u32, operation: Operation, status: BookingStatus) {
        let (_, mut view) = held(at, id.seq, 0, persons);
        view.status = status;
        if status == BookingStatus::Confirmed {
            for number in 0..persons {
                self.serial += 1;
                view.tickets.push(ticket(id, number, self.serial));
            }
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
            claim: None,
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
            total: 100 * i64::from(quantity),
            cancelled: false,
        }],
        total: 100 * i64::from(quantity),
        created_at: Timestamp(at),
        expires_at: Some(Timestamp(at + HOLD_FOR)),
        confirmed_at: None,
        ended_at: None,
        offset_minutes: 0,
        tickets: Vec::new(),
    };
    (Operation::Hold(request), view)
}

fn ticket(id: BookingId, n: u32, serial: u64) -> TicketView {
    let number = u16::try_from(n).unwrap();
    TicketView {
        id: TicketId {
            venue: id.venue,
            seq: id.seq,
            number,
            secret: 0,
        },
        serial,
        unit: "adult".to_owned(),
        slot: slot(0),
        status: TicketStatus::Valid,
    }
}

#[track_caller]
fn caught(story: &Story, what: &str) {
    let wrong = story.wrong();
    assert!(
        wrong.iter().any(|text| text.contains(what)),
        "{what:?} is not among {wrong:#?}"
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
        2,
        Operation::Confirm {
            booking: first,
            nonce: 0,
            payment: None,
        },
        BookingStatus::Confirmed,
    );
    story.change(
        40,
        second,
        2,
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
        2,
        Operation::Cancel {
            booking: first,
            lines: Vec::new(),
        },
        BookingStatus::Cancelled,
    );
    // Nobody is left in the slot.
    story.saved.final_slots.push(FinalSlot {
        line: 0,
        node: 1,
        shard: 1,
        index: story.index,
        venue: VENUE.0,
        slot: slot(0),
        capacity: 4,
        held: 0,
        confirmed: 0,
    });
    let wrong = story.wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
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
    let wrong = story.wrong();
    assert!(
        wrong.is_empty(),
        "the third slot's visitors come when the first's have left: {wrong:?}"
    );
    story.hold(30, 3, 1, 3);
    caught(&story, "OVERBOOKED: the building");
}

#[test]
fn more_tours_at_once_than_guides_are_caught() {
    let mut story = Story::new(100, Some(1));
    story.hold(10, 1, 0, 1);
    story.hold(20, 2, 0, 1);
    let wrong = story.wrong();
    assert!(wrong.is_empty(), "the same tour: {wrong:?}");
    story.hold(30, 3, 1, 1);
    caught(&story, "tours of tour at once");
}

#[test]
fn a_key_that_takes_effect_twice_is_caught() {
    let mut story = Story::new(100, None);
    let (operation, view) = held(10, 1, 0, 1);
    let (_, other) = held(20, 2, 0, 1);
    story.tell_under(Some((7, 1)), 10, operation.clone(), Outcome::Booking(view));
    story.tell_under(Some((7, 1)), 20, operation, Outcome::Booking(other));
    caught(&story, "came again and was answered otherwise");
}

#[test]
fn a_key_reused_with_another_body_must_be_refused() {
    let mut story = Story::new(100, None);
    for (fingerprint, seq) in [(1, 1), (2, 2)] {
        let (operation, view) = held(10, seq, 0, 1);
        story.tell_under(Some((7, fingerprint)), 10, operation, Outcome::Booking(view));
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
        1,
        Operation::Confirm {
            booking: id,
            nonce: 0,
            payment: None,
        },
        BookingStatus::Confirmed,
    );
    caught(&story, "was confirmed although it was Expired");
}

#[test]
fn places_given_back_twice_are_caught() {
    let mut story = Story::new(100, None);
    let id = story.hold(10, 1, 0, 1);
    for at in [20, 30] {
        story.change(at, id, 1, Operation::Release { booking: id }, BookingStatus::Released);
    }
    caught(&story, "was released although it was Released");
}

#[test]
fn a_confirm_with_too_few_tickets_is_caught() {
    let mut story = Story::new(100, None);
    let id = story.hold(10, 1, 0, 2);
    let (_, mut view) = held(20, 1, 0, 2);
    view.status = BookingStatus::Confirmed;
    story.tell(
        20,
        Operation::Confirm {
            booking: id,
            nonce: 0,
            payment: None,
        },
        Outcome::Booking(view),
    );
    caught(&story, "2 persons got 0 tickets");
}

#[test]
fn a_booking_id_handed_out_twice_is_caught() {
    let mut story = Story::new(100, None);
    story.hold(10, 1, 0, 1);
    story.hold(20, 1, 1, 1);
    caught(&story, "was handed out twice");
}

/// A story in which a booking of two persons in the first slot, in a line each, is confirmed.
fn sold_by_line() -> (Story, BookingView) {
    let mut story = Story::new(100, None);
    let (Operation::Hold(mut request), mut view) = held(10, 1, 0, 1) else {
        unreachable!("it is a hold");
    };
    request.lines.push(request.lines[0].clone());
    view.lines.push(view.lines[0].clone());
    view.total = 200;
    story.tell(10, Operation::Hold(request), Outcome::Booking(view.clone()));
    view.status = BookingStatus::Confirmed;
    view.tickets = vec![ticket(view.id, 0, 1), ticket(view.id, 1, 2)];
    let confirm = Operation::Confirm {
        booking: view.id,
        nonce: 0,
        payment: None,
    };
    story.tell(20, confirm, Outcome::Booking(view.clone()));
    (story, view)
}

fn cancel(view: &BookingView, line: u16) -> Operation {
    Operation::Cancel {
        booking: view.id,
        lines: vec![line],
    }
}

/// The booking moves to another slot, in one line of two.
fn exchange(view: &BookingView, n: i64) -> (Operation, BookingView) {
    let line = LineRequest {
        slot: slot(n),
        unit: "adult".to_owned(),
        quantity: 2,
        claim: None,
    };
    let (_, other) = held(0, view.id.seq, n, 2);
    let tickets = [2, 3].map(|number| ticket(view.id, number, u64::from(number) + 1));
    let after = BookingView {
        lines: other.lines,
        total: other.total,
        tickets: tickets.to_vec(),
        ..view.clone()
    };
    let operation = Operation::Rebook {
        booking: view.id,
        nonce: 1,
        lines: vec![line],
    };
    (operation, after)
}

fn final_slot(story: &mut Story, n: i64, confirmed: u32) {
    story.saved.final_slots.push(FinalSlot {
        line: 0,
        node: 1,
        shard: 1,
        index: story.index,
        venue: VENUE.0,
        slot: slot(n),
        capacity: 4,
        held: 0,
        confirmed,
    });
}

#[test]
fn a_booking_that_loses_a_line_and_moves_is_sound() {
    let (mut story, mut view) = sold_by_line();
    view.lines[0].cancelled = true;
    view.total = 100;
    story.tell(30, cancel(&view, 0), Outcome::Booking(view.clone()));
    let (operation, after) = exchange(&view, 2);
    let rebooked = Outcome::Rebooked {
        booking: after,
        difference: 100,
    };
    story.tell(40, operation, rebooked);
    final_slot(&mut story, 0, 0);
    final_slot(&mut story, 2, 2);
    let wrong = story.wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_exchange_that_keeps_its_old_places_is_caught() {
    let (mut story, view) = sold_by_line();
    let (operation, after) = exchange(&view, 2);
    let rebooked = Outcome::Rebooked {
        booking: after,
        difference: 0,
    };
    story.tell(40, operation, rebooked);
    final_slot(&mut story, 0, 2);
    final_slot(&mut story, 2, 2);
    caught(&story, "has 0 held and 2 sold in slot");
    caught(&story, "places sold: 4");
}

#[test]
fn an_exchange_into_a_full_slot_is_caught() {
    let (mut story, view) = sold_by_line();
    story.hold(30, 2, 2, 3);
    let (operation, after) = exchange(&view, 2);
    let rebooked = Outcome::Rebooked {
        booking: after,
        difference: 0,
    };
    story.tell(40, operation, rebooked);
    caught(&story, "OVERBOOKED: slot");
    caught(&story, "an exchange was granted although a pool had no room");
}

#[test]
fn a_line_cancelled_twice_is_caught() {
    let (mut story, mut view) = sold_by_line();
    view.lines[0].cancelled = true;
    view.total = 100;
    for at in [30, 40] {
        story.tell(at, cancel(&view, 0), Outcome::Booking(view.clone()));
    }
    caught(&story, "lines [0] of booking");
}

#[test]
fn a_line_that_is_cancelled_and_still_paid_is_caught() {
    let (mut story, mut view) = sold_by_line();
    view.lines[0].cancelled = true;
    story.tell(30, cancel(&view, 0), Outcome::Booking(view));
    caught(&story, "200 are shown after a reversal that leaves 100");
}

/// A gate's scan of the booking's first ticket, and what it is told.
fn scanned(view: &BookingView, device: &str, verdict: Verdict) -> (Operation, Outcome) {
    let ticket = view.tickets[0].id;
    let admit = Admit {
        ticket,
        gate: "main".to_owned(),
        device: device.to_owned(),
        device_seq: 1,
        direction: Direction::Entry,
    };
    let told = AdmissionView {
        ticket,
        gate: "main".to_owned(),
        device: device.to_owned(),
        device_seq: 1,
        direction: Direction::Entry,
        at: START,
        verdict,
        first: None,
        admits: None,
        offset_minutes: 0,
    };
    (Operation::Admit(admit), Outcome::Admission(told))
}

#[test]
fn two_gates_that_let_one_ticket_in_are_caught() {
    let (mut story, view) = sold_by_line();
    let (operation, outcome) = scanned(&view, "south", Verdict::Accepted);
    story.tell(START.0, operation, outcome);
    let wrong = story.wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // At the same log time, by a device whose name comes first.
    let (operation, outcome) = scanned(&view, "north", Verdict::Accepted);
    story.tell(START.0, operation, outcome);
    caught(&story, "is accepted; by all of its scans it is duplicate");
}

#[test]
fn a_cancellation_behind_a_visitor_who_is_in_is_caught() {
    let (mut story, mut view) = sold_by_line();
    let (operation, outcome) = scanned(&view, "south", Verdict::Accepted);
    story.tell(START.0 - 1_000, operation, outcome);
    view.lines[1].cancelled = true;
    view.total = 100;
    // The other visitor's line may still go.
    story.tell(START.0 - 500, cancel(&view, 1), Outcome::Booking(view.clone()));
    let wrong = story.wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
    view.status = BookingStatus::Cancelled;
    story.tell(START.0 - 400, cancel(&view, 0), Outcome::Booking(view));
    caught(&story, "was done; by the rules: already_admitted");
}
