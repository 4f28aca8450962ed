//! What a node's audit finds in rows that do not add up, and that it finds nothing in those that do.

use crate::ids::VenueNo;
use crate::invariants::{Invariant, Violation, of_reserve, of_venue};
use crate::keys::Key;
use crate::rows::{MapRows, Rows as _};
use crate::state::{BUCKET, GuideHour, GuideHourId, Hour, HourId, Prober, Reserve, Slot, SlotId, Taken, encode_row};
use crate::time::{ServiceDay, Timestamp};

const VENUE: VenueNo = VenueNo(3);
const HOUR: i64 = 12 * BUCKET;

fn slot_id() -> SlotId {
    SlotId {
        venue: VENUE,
        product: 2,
        start: Timestamp(10 * HOUR),
    }
}

fn slot() -> Slot {
    Slot {
        end: Timestamp(10 * HOUR + 6 * BUCKET),
        occupies_until: Timestamp(11 * HOUR + BUCKET),
        day: ServiceDay(0),
        offset_minutes: 0,
        planned: 10,
        operators: None,
        closed: false,
        dropped: false,
        lowered: false,
        held: 2,
        confirmed: 3,
    }
}

fn hour(number: i64) -> HourId {
    HourId {
        venue: VENUE,
        hour: number,
    }
}

fn guides(number: i64) -> GuideHourId {
    GuideHourId {
        venue: VENUE,
        product: 2,
        hour: number,
    }
}

/// One slot of an hour and five minutes, and what apply writes with it.
fn sound() -> MapRows {
    let mut rows = MapRows::new();
    let taken = Taken { held: 2, confirmed: 3 };
    let mut next = Hour::default();
    next.0[0] = taken;
    let mut next_tours = GuideHour::default();
    next_tours.0[0] = 1;
    rows.put(&Key::slot(slot_id()), &encode_row(&slot()));
    rows.put(&Key::building(hour(10)), &encode_row(&Hour([taken; 12])));
    rows.put(&Key::building(hour(11)), &encode_row(&next));
    rows.put(&Key::guides(guides(10)), &encode_row(&GuideHour([1; 12])));
    rows.put(&Key::guides(guides(11)), &encode_row(&next_tours));
    // A neighbour's, which is none of the venue's business.
    let neighbour = HourId {
        venue: VenueNo(4),
        hour: 10,
    };
    rows.put(&Key::building(neighbour), &encode_row(&next));
    rows.commit();
    rows
}

fn found(damage: impl FnOnce(&mut MapRows)) -> Vec<Invariant> {
    let mut rows = sound();
    damage(&mut rows);
    rows.commit();
    let violations: Vec<Violation> = of_venue(&rows, VENUE).unwrap();
    violations.into_iter().map(|violation| violation.invariant).collect()
}

#[test]
fn sound_rows_have_nothing_to_find() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn a_place_that_only_one_of_the_pools_knows_is_found() {
    let one_more = Slot { held: 3, ..slot() };
    assert_eq!(
        found(|rows| rows.put(&Key::slot(slot_id()), &encode_row(&one_more))),
        [Invariant::Building; 2]
    );
    // Held taken for sold: the sums are the same.
    let sold = Slot {
        held: 0,
        confirmed: 5,
        ..slot()
    };
    assert_eq!(
        found(|rows| rows.put(&Key::slot(slot_id()), &encode_row(&sold))),
        [Invariant::Building; 2]
    );
    assert_eq!(
        found(|rows| rows.delete(&Key::slot(slot_id()))),
        [
            Invariant::Building,
            Invariant::Building,
            Invariant::Guides,
            Invariant::Guides
        ]
    );
    assert_eq!(
        found(|rows| rows.delete(&Key::building(hour(11)))),
        [Invariant::Building]
    );
    assert_eq!(found(|rows| rows.delete(&Key::guides(guides(10)))), [Invariant::Guides]);
}

#[test]
fn an_overbooked_slot_is_found_unless_its_capacity_was_lowered() {
    let few = Slot { planned: 4, ..slot() };
    let put = |slot: Slot| move |rows: &mut MapRows| rows.put(&Key::slot(slot_id()), &encode_row(&slot));
    assert_eq!(found(put(few)), [Invariant::Slot]);
    assert_eq!(found(put(Slot { lowered: true, ..few })), []);
}

#[test]
fn bytes_that_are_no_row_are_found() {
    let damaged = found(|rows| rows.put(&Key::guides(guides(11)), &[1, 2, 3]));
    assert_eq!(damaged, [Invariant::Row, Invariant::Guides]);
}

#[test]
fn a_reserve_that_holds_more_than_it_has_is_found() {
    let mut rows = sound();
    assert_eq!(of_reserve(&rows).unwrap(), None);
    let probers = (0..65).map(|prober| Prober {
        prober,
        turn: 1,
        held: true,
        heard: Timestamp(1),
    });
    let reserve = Reserve {
        probers: probers.collect(),
    };
    rows.put(&Key::reserve(), &encode_row(&reserve));
    rows.commit();
    assert_eq!(of_reserve(&rows).unwrap().unwrap().invariant, Invariant::Reserve);
}
