//! Products and their units.

use super::Defaults;
use super::fields::Report;
use super::texts::texts;
use crate::calendar::zone::{Showing, Zone};
use crate::catalogue::bounds::{
    DEFAULT_CUTOFF_MINUTES, DEFAULT_EARLY_ENTRY_MINUTES, GRID_MINUTES, MAX_AGE, MAX_CAPACITY, MAX_CUTOFF_MINUTES,
    MAX_GUIDES, MAX_HOLD_MINUTES, MAX_PAX, MAX_PRICE, MAX_SPAN_MINUTES, MAX_UNITS, MAX_UNITS_PER_BOOKING,
};
use crate::catalogue::{ProductDefinition, ProductDescription, ProductKind, UnitDefinition, UnitDescription};
use crate::time::{self, Timestamp};

/// Kinds of units that the resellers' standard (OCTO) knows.
const UNIT_KINDS: [&str; 9] = [
    "ADULT", "YOUTH", "CHILD", "INFANT", "FAMILY", "SENIOR", "STUDENT", "MILITARY", "OTHER",
];

pub(super) fn product(
    at: &str,
    product: &ProductDescription,
    zone: Option<&Zone>,
    language: &str,
    defaults: &Defaults,
    report: &mut Report,
) -> ProductDefinition {
    report.name(format!("{at}/name"), &product.name);
    let texts = texts(
        at,
        product.description.as_deref(),
        &product.translations,
        language,
        report,
    );
    let kind = ProductKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.as_str() == product.kind);
    if kind.is_none() {
        report.say(
            format!("{at}/kind"),
            format!(
                "there is no kind of product {:?}; use timed, guided, group or day",
                product.kind
            ),
        );
    }
    let (slot_minutes, visit_minutes, capacity) = places(at, product, kind, report);
    let last_entry_before_close_minutes = product.last_entry_before_close_minutes.map(|minutes| {
        report.span(
            format!("{at}/last_entry_before_close_minutes"),
            minutes,
            0..=MAX_SPAN_MINUTES,
        )
    });
    let on_sale = product
        .on_sale
        .as_ref()
        .and_then(|text| Some((text, zone?)))
        .and_then(|(text, zone)| on_sale(format!("{at}/on_sale"), text, zone, report));
    let hold_minutes = report
        .optional(format!("{at}/hold_minutes"), product.hold_minutes, 1..=MAX_HOLD_MINUTES)
        .unwrap_or(defaults.hold_minutes);
    let (min_units_per_booking, max_units_per_booking) = units_per_booking(at, product, defaults, report);
    let (min_to_run, guides) = tour(at, product, kind, capacity, report);
    let cutoff_minutes = cutoff(at, product, report);
    let early_entry_minutes = report.optional(
        format!("{at}/early_entry_minutes"),
        product.early_entry_minutes,
        0..=MAX_SPAN_MINUTES,
    );
    let units_at = format!("{at}/units");
    if product.units.is_empty() {
        report.say(&units_at, "without a unit nothing can be sold; describe at least one");
    }
    report.at_most(&units_at, product.units.len(), MAX_UNITS, "units");
    report.ids(&units_at, product.units.iter().map(|unit| unit.id.as_str()), "unit");
    let units = (0..)
        .zip(product.units.iter().take(MAX_UNITS))
        .map(|(index, description)| {
            unit(
                &format!("{units_at}/{index}"),
                description,
                &product.units,
                language,
                report,
            )
        })
        .collect();
    ProductDefinition {
        slug: product.id.clone(),
        name: product.name.clone(),
        texts,
        kind: kind.unwrap_or(ProductKind::Timed),
        slot_minutes,
        visit_minutes,
        capacity,
        last_entry_before_close_minutes,
        on_sale,
        hold_minutes,
        min_units_per_booking,
        max_units_per_booking,
        min_to_run,
        cutoff_minutes,
        guides,
        re_entry: product.re_entry.unwrap_or(false),
        early_entry_minutes: early_entry_minutes.unwrap_or(DEFAULT_EARLY_ENTRY_MINUTES),
        units,
    }
}

/// When it is decided whether a tour runs.
fn cutoff(at: &str, product: &ProductDescription, report: &mut Report) -> u32 {
    let at = format!("{at}/cutoff_minutes");
    if product.cutoff_minutes.is_some() && product.min_to_run.is_none() {
        report.say(
            &at,
            "without min_to_run nothing is cut off; leave it out, or say how many a tour needs",
        );
    }
    report
        .optional(at, product.cutoff_minutes, 0..=MAX_CUTOFF_MINUTES)
        .unwrap_or(DEFAULT_CUTOFF_MINUTES)
}

/// Slot minutes, visit minutes and capacity: which of them a product has depends on its kind.
fn places(at: &str, product: &ProductDescription, kind: Option<ProductKind>, report: &mut Report) -> (u32, u32, u32) {
    let slots = [
        ("slot_minutes", product.slot_minutes, GRID_MINUTES..=MAX_SPAN_MINUTES),
        ("visit_minutes", product.visit_minutes, GRID_MINUTES..=MAX_SPAN_MINUTES),
        ("capacity_per_slot", product.capacity_per_slot, 1..=MAX_CAPACITY),
    ];
    let day = ("capacity_per_day", product.capacity_per_day, 1..=MAX_CAPACITY);
    let Some(kind) = kind else { return (0, 0, 0) };
    let needs = |field: &str| format!("is missing; a product of kind {} needs {field}", kind.as_str());
    let forbids = |field: &str| {
        format!(
            "a product of kind {} has no {field}; leave it out, or choose another kind",
            kind.as_str()
        )
    };
    if kind == ProductKind::Day {
        for (field, number, _) in slots {
            if number.is_some() {
                report.say(format!("{at}/{field}"), forbids(field));
            }
        }
        let (field, number, bounds) = day;
        if number.is_none() {
            report.say(format!("{at}/{field}"), needs(field));
        }
        let capacity = report
            .optional(format!("{at}/{field}"), number, bounds)
            .unwrap_or_default();
        return (0, 0, capacity);
    }
    let [slot_minutes, visit_minutes, capacity] = slots.map(|(field, number, bounds)| {
        let at = format!("{at}/{field}");
        match number {
            None => {
                report.say(at, needs(field));
                0
            }
            Some(places) if field == "capacity_per_slot" => report.number(at, places, bounds),
            Some(minutes) => report.span(at, minutes, bounds),
        }
    });
    if day.1.is_some() {
        report.say(format!("{at}/{}", day.0), forbids(day.0));
    }
    (slot_minutes, visit_minutes, capacity)
}

/// `2027-01-15T10:00`, local, as an instant: the first of the two where the time comes twice.
fn on_sale(at: String, text: &str, zone: &Zone, report: &mut Report) -> Option<Timestamp> {
    let read = text
        .split_once('T')
        .and_then(|(date, clock)| Some((date.parse().ok()?, time::parse_clock(clock).ok()?)));
    let Some((day, millis)) = read else {
        report.say(
            at,
            format!(
                "{text:?} is not a local time; write it as 2027-01-15T10:00, without zone: it is the venue's clock"
            ),
        );
        return None;
    };
    match zone.showing(day, millis) {
        Some(Showing::At(instant)) => Some(instant),
        Some(Showing::Skipped) => {
            report.say(
                at,
                format!(
                    "the clocks of {} skip {text} (they go forward then); choose an earlier or later time",
                    zone.name()
                ),
            );
            None
        }
        None => {
            report.say(at, format!("{text} lies outside of the calendar; check the year"));
            None
        }
    }
}

fn units_per_booking(at: &str, product: &ProductDescription, defaults: &Defaults, report: &mut Report) -> (u32, u32) {
    let bounds = 1..=MAX_UNITS_PER_BOOKING;
    let min_at = format!("{at}/min_units_per_booking");
    let min = report
        .optional(&min_at, product.min_units_per_booking, bounds.clone())
        .unwrap_or(1);
    let max_at = format!("{at}/max_units_per_booking");
    let max = report.optional(max_at, product.max_units_per_booking, bounds);
    let (most, whose) = match max {
        Some(max) => (max, "the product's"),
        None => (defaults.max_units_per_booking, "the network's"),
    };
    if min > most {
        report.say(
            min_at,
            format!(
                "no booking has at least {min} and at most {most} units ({whose} maximum); lower this or raise that"
            ),
        );
    }
    (min, most)
}

/// Smallest tour and number of guides.
fn tour(
    at: &str,
    product: &ProductDescription,
    kind: Option<ProductKind>,
    capacity: u32,
    report: &mut Report,
) -> (Option<u32>, Option<u32>) {
    if let Some(kind) = kind.filter(|kind| *kind != ProductKind::Guided) {
        for (field, number) in [("min_to_run", product.min_to_run), ("guides", product.guides)] {
            if number.is_some() {
                let detail = format!(
                    "only guided products have {field}, this one is {}; leave it out",
                    kind.as_str()
                );
                report.say(format!("{at}/{field}"), detail);
            }
        }
        return (None, None);
    }
    let min_at = format!("{at}/min_to_run");
    let min_to_run = report.optional(&min_at, product.min_to_run, 1..=MAX_CAPACITY);
    if let Some(min) = min_to_run.filter(|min| capacity > 0 && *min > capacity) {
        report.say(
            min_at,
            format!("a tour of {capacity} places never has {min} visitors; lower it"),
        );
    }
    (
        min_to_run,
        report.optional(format!("{at}/guides"), product.guides, 1..=MAX_GUIDES),
    )
}

fn unit(
    at: &str,
    unit: &UnitDescription,
    all: &[UnitDescription],
    language: &str,
    report: &mut Report,
) -> UnitDefinition {
    if let Some(name) = &unit.name {
        report.name(format!("{at}/name"), name);
    }
    let texts = texts(at, unit.description.as_deref(), &unit.translations, language, report);
    if !UNIT_KINDS.contains(&unit.kind.as_str()) {
        report.say(
            format!("{at}/type"),
            format!(
                "there is no type of unit {:?}; use one of {}",
                unit.kind,
                UNIT_KINDS.join(", ")
            ),
        );
    }
    if !(0..=MAX_PRICE).contains(&unit.price) {
        let detail = if unit.price < 0 {
            format!("a price of {} is negative; use 0 or more minor units", unit.price)
        } else {
            format!(
                "a price of {} is too high; use at most {MAX_PRICE} minor units",
                unit.price
            )
        };
        report.say(format!("{at}/price"), detail);
    }
    let pax = report.number(format!("{at}/pax"), unit.pax.unwrap_or(1), 1..=MAX_PAX);
    let min_age = report.optional(format!("{at}/min_age"), unit.min_age, 0..=MAX_AGE);
    let max_age = report.optional(format!("{at}/max_age"), unit.max_age, 0..=MAX_AGE);
    if let Some((min, max)) = min_age.zip(max_age).filter(|(min, max)| min > max) {
        report.say(
            format!("{at}/min_age"),
            format!("nobody is at least {min} and at most {max}; swap them"),
        );
    }
    for (index, other) in unit.accompanied_by.iter().enumerate() {
        let at = format!("{at}/accompanied_by/{index}");
        if *other == unit.id {
            report.say(at, format!("{other:?} cannot accompany itself; name another unit"));
        } else if !all.iter().any(|unit| unit.id == *other) {
            report.say(at, format!("this product has no unit {other:?}; name one of its units"));
        } else if unit.accompanied_by[..index].contains(other) {
            report.say(at, format!("names {other:?} a second time; leave it out"));
        }
    }
    if let Some(requires) = &unit.requires {
        report.name(format!("{at}/requires"), requires);
    }
    UnitDefinition {
        slug: unit.id.clone(),
        name: unit.name.clone(),
        texts,
        kind: unit.kind.clone(),
        price: unit.price,
        pax,
        min_age,
        max_age,
        accompanied_by: unit.accompanied_by.clone(),
        max_quantity: report.optional(
            format!("{at}/max_quantity"),
            unit.max_quantity,
            1..=MAX_UNITS_PER_BOOKING,
        ),
        requires: unit.requires.clone(),
        id_required: unit.id_required.unwrap_or(false),
    }
}
