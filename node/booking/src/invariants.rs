//! What must hold of a venue's pools, looked at from outside of apply: a node goes through the venues of its replicas, one
//! after the other, and counts what does not add up.
//!
//! Apply checks what it touches and stops the process rather than sell from damage; this finds what nobody touches. The slots
//! are counted again over time and held against the rows of the building and of the guides, which apply moves by
//! differences: a difference that was lost, or came twice, shows here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::ids::VenueNo;
use crate::inventory::venues_in;
use crate::keys::{self, Key, Table};
use crate::rows::{ReadRows, RowsError};
use crate::state::{BUCKETS_PER_HOUR, GuideHour, GuideHourId, Hour, HourId, Reserve, Row, Slot, decode_row, read_row};
use crate::time::Timestamp;

/// What does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A row decodes.
    Row,
    /// Held and sold places of a slot are no more than its capacity, unless that was lowered below them.
    Slot,
    /// Who is in the building at a time is who has a place in a slot then.
    Building,
    /// A product's tours under way are its slots in which a place is taken.
    Guides,
    /// Probers have no more of the reserve than there is.
    Reserve,
}

impl Invariant {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Row, Self::Slot, Self::Building, Self::Guides, Self::Reserve];

    /// As it stands in metrics: `building`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Slot => "slot",
            Self::Building => "building",
            Self::Guides => "guides",
            Self::Reserve => "reserve",
        }
    }
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What.
    pub invariant: Invariant,
    /// The row's key in hexadecimal.
    pub row: String,
    /// For people: what is there, and what should be.
    pub detail: String,
}

/// The venues of a shard that have slots, in order.
///
/// # Errors
/// Where the store fails.
pub fn venues(rows: &impl ReadRows) -> Result<Vec<VenueNo>, RowsError> {
    venues_in(rows, Table::Venue)
}

/// What does not hold of the shard's reserve.
///
/// # Errors
/// Where the store fails.
pub fn of_reserve(rows: &impl ReadRows) -> Result<Option<Violation>, RowsError> {
    match read_row::<Reserve>(rows, ()) {
        Err(RowsError::Damaged { key, detail }) => Ok(Some(Violation {
            invariant: Invariant::Reserve,
            row: key,
            detail,
        })),
        read => read.map(|_| None),
    }
}

/// What does not hold of a venue.
///
/// # Errors
/// Where the store fails. A row that does not decode is a violation.
pub fn of_venue(rows: &impl ReadRows, venue: VenueNo) -> Result<Vec<Violation>, RowsError> {
    let mut audit = Audit::default();
    each::<Slot>(rows, venue, Table::Slot, &mut audit, |audit, key, slot| {
        audit.slot(venue, key, &slot);
    })?;
    each::<Hour>(rows, venue, Table::Building, &mut audit, |audit, key, hour| {
        audit.building(key, &hour);
    })?;
    each::<GuideHour>(rows, venue, Table::Guides, &mut audit, |audit, key, hour| {
        audit.guides(key, &hour);
    })?;
    Ok(audit.end(venue))
}

/// Calls `visit` for the venue's rows of a table.
fn each<T: Row>(
    rows: &impl ReadRows,
    venue: VenueNo,
    table: Table,
    audit: &mut Audit,
    mut visit: impl FnMut(&mut Audit, &[u8], T),
) -> Result<(), RowsError> {
    let (from, to) = Key::of_venue(table, venue);
    rows.scan(&from, &to, &mut |key, value| {
        match decode_row::<T>(key, value) {
            Ok(row) => {
                if let Err(what) = row.check() {
                    let invariant = if table == Table::Slot {
                        Invariant::Slot
                    } else {
                        Invariant::Row
                    };
                    audit.found(invariant, key, what.to_owned());
                }
                visit(audit, key, row);
            }
            Err(error) => audit.found(Invariant::Row, key, error.to_string()),
        }
        ControlFlow::Continue(())
    })
}

/// A value of each bucket of an hour.
type PerBucket<T> = [T; BUCKETS_PER_HOUR];

/// Counted out of the slots; what was found in the rows is taken out again.
#[derive(Default)]
struct Audit {
    /// Held and confirmed.
    building: BTreeMap<i64, PerBucket<(u64, u64)>>,
    guides: BTreeMap<(u16, i64), PerBucket<u64>>,
    violations: Vec<Violation>,
}

impl Audit {
    fn found(&mut self, invariant: Invariant, key: &[u8], detail: String) {
        self.violations.push(Violation {
            invariant,
            row: key.iter().map(|byte| format!("{byte:02x}")).collect(),
            detail,
        });
    }

    fn slot(&mut self, venue: VenueNo, key: &[u8], slot: &Slot) {
        if slot.used() == 0 {
            return;
        }
        let (Some(product), Some(start)) = (keys::product_of(key), keys::last_time(key)) else {
            return self.found(Invariant::Row, key, format!("no key of a slot of venue {}", venue.0));
        };
        for (hour, buckets) in slot.span(Timestamp(start)).hours() {
            let building = self.building.entry(hour).or_default();
            for (held, confirmed) in &mut building[buckets.clone()] {
                *held += u64::from(slot.held);
                *confirmed += u64::from(slot.confirmed);
            }
            for tours in &mut self.guides.entry((product, hour)).or_default()[buckets] {
                *tours += 1;
            }
        }
    }

    fn building(&mut self, key: &[u8], row: &Hour) {
        let counted = keys::last_time(key).and_then(|hour| self.building.remove(&hour));
        let stored = row.0.map(|taken| (u64::from(taken.held), u64::from(taken.confirmed)));
        let counted = counted.unwrap_or_default();
        if stored != counted {
            let detail = format!("held and sold are {stored:?}, and the slots have {counted:?}");
            self.found(Invariant::Building, key, detail);
        }
    }

    fn guides(&mut self, key: &[u8], row: &GuideHour) {
        let at = keys::product_of(key).zip(keys::last_time(key));
        let counted = at.and_then(|at| self.guides.remove(&at)).unwrap_or_default();
        let stored = row.0.map(u64::from);
        if stored != counted {
            let detail = format!("tours are {stored:?}, and the slots have {counted:?}");
            self.found(Invariant::Guides, key, detail);
        }
    }

    /// What is left has no row.
    fn end(mut self, venue: VenueNo) -> Vec<Violation> {
        for (hour, counted) in std::mem::take(&mut self.building) {
            let key = Key::building(HourId { venue, hour });
            self.found(
                Invariant::Building,
                &key,
                format!("no row, and the slots have {counted:?}"),
            );
        }
        for ((product, hour), counted) in std::mem::take(&mut self.guides) {
            let key = Key::guides(GuideHourId { venue, product, hour });
            self.found(
                Invariant::Guides,
                &key,
                format!("no row, and the slots have {counted:?}"),
            );
        }
        self.violations
    }
}
