//! What a picture shows: slots as they were told, whole days at a time, and how old it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rotunda_booking::catalogue::{ProductDefinition, ProductKind, VenueDefinition};
use rotunda_booking::outcome::SlotStatus;
use rotunda_booking::time::Timestamp;

use super::*;

const MONDAY: ServiceDay = ServiceDay(20_000);
const TUESDAY: ServiceDay = ServiceDay(20_001);

fn slot(day: ServiceDay, hour: i64, vacancies: u32) -> SlotView {
    let start = Timestamp((i64::from(day.0) * 24 + hour) * 3_600_000);
    SlotView {
        slot: SlotRef {
            product: "general".to_owned(),
            start,
            offset_minutes: 0,
        },
        end: start.plus_minutes(30),
        day,
        status: SlotStatus::Available,
        capacity: 10,
        held: 0,
        confirmed: 10 - vacancies,
        vacancies,
    }
}

fn catalogue(revision: u64) -> VenueNews {
    let product = ProductDefinition {
        slug: "general".to_owned(),
        name: "General".to_owned(),
        texts: Default::default(),
        kind: ProductKind::Timed,
        slot_minutes: 60,
        visit_minutes: 60,
        capacity: 10,
        last_entry_before_close_minutes: None,
        on_sale: None,
        hold_minutes: 10,
        min_units_per_booking: 1,
        max_units_per_booking: 10,
        min_to_run: None,
        cutoff_minutes: 0,
        guides: None,
        re_entry: false,
        early_entry_minutes: 0,
        units: Vec::new(),
    };
    VenueNews {
        revision,
        planned_through: vec![Some(TUESDAY)],
        definition: VenueDefinition {
            slug: "house".to_owned(),
            name: "House".to_owned(),
            language: String::new(),
            texts: Default::default(),
            city: "Lisbon".to_owned(),
            time_zone: "UTC".to_owned(),
            currency: "EUR".to_owned(),
            currency_digits: 2,
            tax_basis_points: 600,
            building_capacity: 100,
            opening: Vec::new(),
            closed: Vec::new(),
            products: vec![product],
        },
    }
}

fn all(revision: u64, slots: Vec<SlotView>) -> News {
    News {
        venue: Some(catalogue(revision)),
        first_day: ServiceDay(19_998),
        days: vec![MONDAY, TUESDAY],
        slots,
    }
}

fn some(days: &[ServiceDay], slots: Vec<SlotView>) -> News {
    News {
        venue: None,
        first_day: ServiceDay(19_998),
        days: days.to_vec(),
        slots,
    }
}

fn both() -> Range {
    Range {
        product: None,
        from: MONDAY,
        to: TUESDAY,
    }
}

fn on(day: ServiceDay) -> Range {
    Range {
        product: Some(0),
        from: day,
        to: day,
    }
}

fn first() -> Picture {
    let slots = vec![slot(MONDAY, 10, 9), slot(MONDAY, 11, 9), slot(TUESDAY, 10, 9)];
    Picture::after(None, 100, all(1, slots)).unwrap().0
}

/// Starts and vacancies of the slots that changed after an index.
fn changed(picture: &Picture, range: &Range, after: u64) -> Vec<(Timestamp, u32)> {
    let changes = picture.changes(range, after);
    changes
        .map(|(_, shown)| (shown.view.slot.start, shown.view.vacancies))
        .collect()
}

#[test]
fn the_first_news_must_tell_everything() {
    assert!(Picture::after(None, 100, some(&[MONDAY], vec![slot(MONDAY, 10, 9)])).is_none());
    let picture = first();
    assert_eq!((picture.base, changed(&picture, &both(), 99).len()), (100, 3));
    assert!(changed(&picture, &both(), 100).is_empty());
}

#[test]
fn a_change_is_told_to_those_who_have_not_seen_it_and_moves_its_own_day_alone() {
    let news = some(&[MONDAY], vec![slot(MONDAY, 10, 9), slot(MONDAY, 11, 7)]);
    let (picture, any) = Picture::after(Some(&first()), 105, news.clone()).unwrap();
    assert!(any);
    assert_eq!(changed(&picture, &both(), 104), [(slot(MONDAY, 11, 7).slot.start, 7)]);
    assert!(changed(&picture, &both(), 105).is_empty());
    assert_eq!(
        (picture.changed(&on(MONDAY)), picture.changed(&on(TUESDAY))),
        (105, 100)
    );
    // The same again is no change.
    let (again, any) = Picture::after(Some(&picture), 106, news).unwrap();
    assert!(!any && again.serial == picture.serial && again.changed(&both()) == 105);
}

#[test]
fn everything_anew_keeps_the_index_of_what_is_as_it_was() {
    let slots = vec![slot(MONDAY, 10, 9), slot(MONDAY, 11, 9), slot(TUESDAY, 10, 3)];
    let (picture, _) = Picture::after(Some(&first()), 110, all(1, slots)).unwrap();
    assert_eq!(picture.base, 100);
    assert_eq!(changed(&picture, &both(), 100), [(slot(TUESDAY, 10, 3).slot.start, 3)]);
    // New prices are in every slot.
    let slots = vec![slot(MONDAY, 10, 9), slot(MONDAY, 11, 9), slot(TUESDAY, 10, 3)];
    let (picture, _) = Picture::after(Some(&picture), 120, all(2, slots)).unwrap();
    assert_eq!(changed(&picture, &both(), 119).len(), 3);
}

#[test]
fn a_slot_that_is_no_more_is_named_until_it_comes_back() {
    let (picture, any) = Picture::after(Some(&first()), 105, some(&[MONDAY], vec![slot(MONDAY, 10, 9)])).unwrap();
    assert!(any && changed(&picture, &both(), 100).is_empty());
    let gone: Vec<u64> = picture.gone(&both(), 100).map(|gone| gone.at).collect();
    assert_eq!((gone, picture.gone(&both(), 105).count()), (vec![105], 0));
    assert_eq!(picture.gone(&on(TUESDAY), 100).count(), 0);
    assert_eq!(picture.changed(&on(MONDAY)), 105);
    let slots = vec![slot(MONDAY, 10, 9), slot(MONDAY, 11, 9)];
    let (picture, _) = Picture::after(Some(&picture), 107, some(&[MONDAY], slots)).unwrap();
    assert_eq!(picture.gone(&both(), 100).count(), 0);
    assert_eq!(changed(&picture, &both(), 105).len(), 1);
    // All of a day.
    let (picture, _) = Picture::after(Some(&picture), 109, all(1, vec![slot(MONDAY, 10, 9)])).unwrap();
    assert_eq!(
        (picture.gone(&both(), 107).count(), picture.changed(&on(TUESDAY))),
        (2, 109)
    );
}

#[test]
fn more_that_have_gone_than_are_remembered_cost_those_who_are_far_behind_everything_anew() {
    let many = |count: i64| -> Vec<SlotView> { (0..count).map(|hour| slot(MONDAY, hour, 1)).collect() };
    let (picture, _) = Picture::after(None, 1, all(1, many(GONE as i64 + 2))).unwrap();
    let (picture, _) = Picture::after(Some(&picture), 2, some(&[MONDAY], many(GONE as i64 + 1))).unwrap();
    assert_eq!(picture.base, 1);
    let (picture, _) = Picture::after(Some(&picture), 3, some(&[MONDAY], Vec::new())).unwrap();
    assert!(
        picture.base >= 2,
        "whoever has seen less than {} is told everything",
        picture.base
    );
    assert!(picture.gone(&both(), 0).count() <= GONE);
}
