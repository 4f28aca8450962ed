//! Small histories of one slot, for and against an order.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use rotunda_booking::ids::{SlotRef, VenueNo};
use rotunda_booking::outcome::BookingStatus::{Cancelled, Confirmed, Expired, Held, Released};
use rotunda_booking::time::Timestamp;

use super::history::{Operated, Slot, What};
use super::order::{Answer, Order};

fn find(operations: Vec<Operated>) -> Answer {
    find_within(100_000, operations)
}

/// In a slot of ten places, with so many steps.
fn find_within(steps: u64, operations: Vec<Operated>) -> Answer {
    let bookings = operations.iter().map(|operated| match operated.what {
        What::Hold { booking, .. }
        | What::Change { booking, .. }
        | What::Resize { booking, .. }
        | What::Seen { booking, .. } => booking + 1,
        What::SoldOut { .. } => 0,
    });
    let mut slot = Slot {
        venue: VenueNo(1),
        name: SlotRef {
            product: "general".to_owned(),
            start: Timestamp(0),
            offset_minutes: 0,
        },
        capacity: 10,
        alone: true,
        bookings: bookings.max().unwrap_or(0),
        operations,
    };
    slot.operations.sort_by_key(|operated| operated.invoked);
    Order::new(&slot).find(steps).0
}

fn told(invoked: u64, returned: u64, what: What) -> Operated {
    Operated {
        invoked,
        returned,
        what,
        required: true,
        line: invoked,
    }
}

/// It may have been done at any time after, or never.
fn unseen(invoked: u64, what: What) -> Operated {
    Operated {
        returned: u64::MAX,
        required: false,
        ..told(invoked, invoked, what)
    }
}

fn hold(booking: usize, persons: u32) -> What {
    What::Hold { booking, persons }
}

fn change(
    booking: usize,
    from: rotunda_booking::outcome::BookingStatus,
    to: rotunda_booking::outcome::BookingStatus,
) -> What {
    What::Change { booking, from, to }
}

#[test]
fn concurrent_operations_may_come_in_any_order() {
    // The second hold fits only after the release, which was asked for later and overlaps it.
    let found = find(vec![
        told(1, 2, hold(0, 6)),
        told(3, 9, hold(1, 6)),
        told(4, 8, change(0, Held, Released)),
    ]);
    assert_eq!(found, Answer::Found);
}

#[test]
fn what_returned_before_the_other_was_asked_for_comes_first() {
    let found = find(vec![
        told(1, 2, hold(0, 6)),
        told(3, 4, hold(1, 6)),
        told(5, 6, change(0, Held, Released)),
    ]);
    assert_eq!(found, Answer::None { stuck: vec![3] });
}

#[test]
fn sold_out_with_room_is_explained_by_nothing() {
    assert_eq!(
        find(vec![told(1, 2, hold(0, 4)), told(3, 4, What::SoldOut { persons: 6 })]),
        Answer::None { stuck: vec![3] }
    );
    assert_eq!(
        find(vec![told(1, 2, hold(0, 4)), told(3, 4, What::SoldOut { persons: 7 })]),
        Answer::Found
    );
}

#[test]
fn an_unknown_hold_explains_a_refusal_and_may_be_done_later_than_given_up() {
    let refused = told(30, 40, What::SoldOut { persons: 7 });
    assert_eq!(find(vec![unseen(1, hold(0, 4)), refused]), Answer::Found);
    let fits = told(10, 20, hold(1, 8));
    assert_eq!(find(vec![unseen(1, hold(0, 4)), fits, refused]), Answer::Found);
    let asked_too_late = unseen(50, hold(0, 4));
    assert_eq!(find(vec![asked_too_late, refused]), Answer::None { stuck: vec![30] });
}

#[test]
fn a_hold_that_ran_out_unseen_makes_room_once() {
    let runs_out = unseen(1, change(0, Held, Expired));
    let first = told(1, 2, hold(0, 8));
    let second = told(3, 4, hold(1, 8));
    assert_eq!(find(vec![first, second, runs_out]), Answer::Found);
    let confirmed = told(5, 6, change(0, Held, Confirmed));
    assert_eq!(
        find(vec![first, second, runs_out, confirmed]),
        Answer::None { stuck: vec![5] }
    );
}

#[test]
fn a_booking_goes_one_way() {
    let held = told(1, 2, hold(0, 1));
    let sold = told(3, 4, change(0, Held, Confirmed));
    let undone = told(5, 6, change(0, Confirmed, Cancelled));
    let seen = |at, status| told(at, at + 1, What::Seen { booking: 0, status });
    assert_eq!(find(vec![held, sold, undone, seen(7, Cancelled)]), Answer::Found);
    assert_eq!(find(vec![held, sold, seen(5, Held)]), Answer::None { stuck: vec![5] });
}

#[test]
fn a_search_without_steps_gives_up() {
    let operations = vec![told(1, 2, hold(0, 4)), told(3, 4, hold(1, 4))];
    assert_eq!(find_within(1, operations), Answer::GaveUp);
}

fn resize(booking: usize, persons: u32) -> What {
    What::Resize { booking, persons }
}

#[test]
fn a_booking_that_shrinks_makes_room_for_as_many() {
    let held = told(1, 2, hold(0, 8));
    let sold = told(3, 4, change(0, Held, Confirmed));
    let smaller = told(5, 6, resize(0, 5));
    let fits = |persons| told(7, 8, hold(1, persons));
    assert_eq!(find(vec![held, sold, smaller, fits(5)]), Answer::Found);
    assert_eq!(
        find(vec![held, sold, smaller, fits(6)]),
        Answer::None { stuck: vec![7] }
    );
    assert_eq!(
        find(vec![held, told(3, 4, resize(0, 5))]),
        Answer::None { stuck: vec![3] }
    );
}

#[test]
fn a_booking_that_comes_from_another_slot_needs_room_in_this_one() {
    let elsewhere = told(1, 2, hold(0, 0));
    let sold = told(3, 4, change(0, Held, Confirmed));
    let comes = told(5, 6, resize(0, 4));
    let others = |persons| told(1, 2, hold(1, persons));
    assert_eq!(find(vec![elsewhere, sold, comes, others(6)]), Answer::Found);
    assert_eq!(
        find(vec![elsewhere, sold, comes, others(7)]),
        Answer::None { stuck: vec![5] }
    );
    // What it left behind when it was cancelled is what it had last.
    let undone = told(7, 8, change(0, Confirmed, Cancelled));
    let after = told(9, 10, hold(2, 10));
    assert_eq!(find(vec![elsewhere, sold, comes, undone, after]), Answer::Found);
}
