//! What must hold of the rows after any entry, worked out from the bookings alone and compared with every counter.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::admission::Direction;
use crate::catalogue::VenueDefinition;
use crate::idempotency::{archive, hash};
use crate::ids::VenueNo;
use crate::inventory::{Ending, Inventory, recompute_state_hash};
use crate::keys::{self, Key, Table, deadline_of, venue_of};
use crate::ledger::{Account, JournalEntry, Reason, chain};
use crate::outcome::BookingStatus;
use crate::rows::{MapRows, ReadRows};
use crate::state::{
    Booking, CatalogueRow, Counters, Footfall, GuideHour, Hour, Line, Record, Row, Scans, Slot, Span, VenueRow,
    VoidTickets, checked_row, decode_row, read_row,
};
use crate::time::Timestamp;

/// (venue, product, start) of a slot; (venue, product or none for the building, hour, bucket) of a pool over time.
type SlotAt = (u32, u16, i64);
type PoolAt = (u32, Option<u16>, i64, usize);

/// Everything that is counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Held and confirmed.
    pub(super) slots: BTreeMap<SlotAt, (u32, u32)>,
    pub(super) pools: BTreeMap<PoolAt, (u32, u32)>,
}

/// All rows of a table, decoded.
pub(super) fn table<T: Row>(rows: &MapRows, table: Table) -> Vec<(Vec<u8>, T)> {
    let mut decoded = Vec::new();
    rows.scan(&Key::table_start(table), &Key::table_end(table), &mut |key, value| {
        decoded.push((key.to_vec(), checked_row(key, value).unwrap()));
        ControlFlow::Continue(())
    })
    .unwrap();
    decoded
}

fn product_of(key: &[u8]) -> u16 {
    u16::from_be_bytes(key[5..7].try_into().unwrap())
}

/// The counters as the rows have them.
fn counted(rows: &MapRows) -> Counted {
    let mut counted = Counted::default();
    for (key, slot) in table::<Slot>(rows, Table::Slot) {
        if slot.used() > 0 {
            let at = (
                venue_of(&key).unwrap().0,
                product_of(&key),
                keys::last_time(&key).unwrap(),
            );
            counted.slots.insert(at, (slot.held, slot.confirmed));
        }
    }
    for (key, row) in table::<Hour>(rows, Table::Building) {
        assert!(!row.is_void(), "an hour without visitors has no row");
        for (bucket, taken) in row
            .0
            .iter()
            .enumerate()
            .filter(|(_, taken)| taken.held + taken.confirmed > 0)
        {
            let at = (venue_of(&key).unwrap().0, None, keys::last_time(&key).unwrap(), bucket);
            counted.pools.insert(at, (taken.held, taken.confirmed));
        }
    }
    for (key, row) in table::<GuideHour>(rows, Table::Guides) {
        assert!(!row.is_void(), "an hour without tours has no row");
        for (bucket, tours) in row.0.iter().enumerate().filter(|(_, tours)| **tours > 0) {
            let at = (
                venue_of(&key).unwrap().0,
                Some(product_of(&key)),
                keys::last_time(&key).unwrap(),
                bucket,
            );
            counted.pools.insert(at, (*tours, 0));
        }
    }
    counted
}

/// The counters as they follow from the bookings.
fn expected(rows: &MapRows) -> Counted {
    let slots: BTreeMap<SlotAt, Slot> = table::<Slot>(rows, Table::Slot)
        .into_iter()
        .map(|(key, slot)| {
            (
                (
                    venue_of(&key).unwrap().0,
                    product_of(&key),
                    keys::last_time(&key).unwrap(),
                ),
                slot,
            )
        })
        .collect();
    let mut counted = Counted::default();
    for (venue, _, booking) in bookings(rows) {
        let taken = |line: &Line| match booking.status {
            BookingStatus::Held => (line.places(), 0),
            BookingStatus::Confirmed => (0, line.places()),
            _ => (0, 0),
        };
        for (_, line) in booking.live_lines() {
            let (held, confirmed) = taken(line);
            if held + confirmed == 0 {
                continue;
            }
            let at = (venue, line.product, line.start.0);
            let slot = counted.slots.entry(at).or_default();
            *slot = (slot.0 + held, slot.1 + confirmed);
            let span = Span::new(line.start, slots[&at].occupies_until);
            for (hour, bucket) in span
                .hours()
                .flat_map(|(hour, buckets)| buckets.map(move |bucket| (hour, bucket)))
            {
                let pool = counted.pools.entry((venue, None, hour, bucket)).or_default();
                *pool = (pool.0 + held, pool.1 + confirmed);
            }
        }
    }
    for (venue, product, start) in counted.slots.keys() {
        let span = Span::new(Timestamp(*start), slots[&(*venue, *product, *start)].occupies_until);
        for (hour, bucket) in span
            .hours()
            .flat_map(|(hour, buckets)| buckets.map(move |bucket| (hour, bucket)))
        {
            counted
                .pools
                .entry((*venue, Some(*product), hour, bucket))
                .or_default()
                .0 += 1;
        }
    }
    counted
}

/// All bookings: venue, sequence number, booking.
pub(super) fn bookings(rows: &MapRows) -> Vec<(u32, u64, Booking)> {
    let records = table::<Record>(rows, Table::Record).into_iter();
    records
        .filter_map(|(key, record)| match record {
            Record::Booking(booking) => Some((venue_of(&key).unwrap().0, keys::last_number(&key).unwrap(), booking)),
            Record::Operated(_) => None,
        })
        .collect()
}

/// Checks everything. `before` is what was counted before the last entry, in which no capacity changed unless
/// `capacity_changed`; gives what is counted now.
pub(super) fn audit(rows: &MapRows, inventory: &Inventory, before: &Counted) -> Counted {
    assert_eq!(
        inventory.state_hash(),
        recompute_state_hash(rows).unwrap(),
        "the kept hash is that of the rows"
    );
    let counted = counted(rows);
    assert_eq!(counted, expected(rows), "every counter is the sum of its bookings");
    never_overbooked(rows, &counted, before);
    holds_are_reminded_of(rows);
    ledger_balances(rows);
    keys_are_counted(rows);
    passages_are_counted(rows);
    void_tickets_are_listed(rows);
    counted
}

/// Who came and went is the sum of the tickets' passages, and no ticket let two people in.
fn passages_are_counted(rows: &MapRows) {
    let mut passed: BTreeMap<(u32, i32, i64), (u32, u32, u32)> = BTreeMap::new();
    for (key, scans) in table::<Scans>(rows, Table::Scans) {
        let venue = venue_of(&key).unwrap().0;
        let mut inside = 0;
        for passage in &scans.passages {
            let counts = passed.entry((venue, passage.day.0, passage.hour)).or_default();
            match passage.direction {
                Direction::Entry => (counts.0, inside) = (counts.0 + 1, inside + 1),
                Direction::Exit => (counts.1, inside) = (counts.1 + 1, inside - 1),
            }
            counts.2 += u32::from(passage.new);
            assert!((0..=1).contains(&inside), "two people are in on one ticket: {scans:?}");
        }
        let entries = scans
            .passages
            .iter()
            .filter(|passage| passage.direction == Direction::Entry);
        assert!(scans.re_entry || entries.count() <= 1, "admitted twice: {scans:?}");
        let mut sorted: Vec<_> = scans.facts.iter().map(|fact| (&fact.device, fact.device_seq)).collect();
        sorted.sort_unstable();
        assert!(
            sorted.windows(2).all(|pair| pair[0] != pair[1]),
            "a scan counts twice: {scans:?}"
        );
    }
    let mut kept: BTreeMap<(u32, i32, i64), (u32, u32, u32)> = BTreeMap::new();
    for (key, row) in table::<Footfall>(rows, Table::Footfall) {
        let at = (
            venue_of(&key).unwrap().0,
            keys::day_of(&key).unwrap().0,
            keys::last_time(&key).unwrap(),
        );
        for hour in row.0 {
            let counts = kept.entry(at).or_default();
            *counts = (counts.0 + hour.entered, counts.1 + hour.left, counts.2 + hour.visitors);
        }
    }
    assert_eq!(kept, passed, "who came and went is the sum of all passages");
}

/// Offline gates are told of every ticket that was issued and is void, and of no other.
fn void_tickets_are_listed(rows: &MapRows) {
    let mut listed = BTreeSet::new();
    for (key, void) in table::<VoidTickets>(rows, Table::Void) {
        let at = (venue_of(&key).unwrap().0, keys::last_number(&key).unwrap());
        for number in void.0 {
            assert!(listed.insert((at, number)), "a void ticket is listed for two days");
        }
    }
    let mut void = BTreeSet::new();
    for (venue, seq, booking) in bookings(rows)
        .into_iter()
        .filter(|(.., booking)| booking.confirmed_at.is_some())
    {
        let all = booking.status != BookingStatus::Confirmed;
        let present = booking.tickets().filter(|(_, line)| all || line.cancelled);
        let numbers = (0..booking.first_number).chain(present.map(|(number, _)| number));
        void.extend(numbers.map(|number| ((venue, seq), number)));
    }
    assert_eq!(listed, void, "the list of void tickets");
}

/// Used is at most the capacity, or, where an operator or a catalogue has lowered that, has not grown.
fn never_overbooked(rows: &MapRows, counted: &Counted, before: &Counted) {
    let sum = |(held, confirmed): &(u32, u32)| held + confirmed;
    for (key, slot) in table::<Slot>(rows, Table::Slot) {
        let at = (
            venue_of(&key).unwrap().0,
            product_of(&key),
            keys::last_time(&key).unwrap(),
        );
        let was = before.slots.get(&at).map_or(0, sum);
        assert!(
            slot.used() <= slot.capacity().max(was),
            "slot {at:?} is overbooked: {slot:?}, was {was}"
        );
    }
    let definitions: BTreeMap<u32, (VenueRow, VenueDefinition)> = table::<VenueRow>(rows, Table::Venue)
        .into_iter()
        .zip(table::<CatalogueRow>(rows, Table::Catalogue))
        .map(|((key, row), (_, definition))| (venue_of(&key).unwrap().0, (row, definition.0)))
        .collect();
    for (at, taken) in &counted.pools {
        let (row, definition) = &definitions[&at.0];
        let limit = match at.1 {
            None => Some(definition.building_capacity),
            Some(product) => {
                let slug = row.name(product);
                definition
                    .products
                    .iter()
                    .find(|product| product.slug == slug)
                    .and_then(|product| product.guides)
            }
        };
        let was = before.pools.get(at).map_or(0, sum);
        assert!(
            sum(taken) <= limit.unwrap_or(u32::MAX).max(was),
            "pool {at:?} is overbooked: {taken:?} of {limit:?}"
        );
    }
}

/// Every hold has a reminder of its deadline, and nothing is reminded of twice.
fn holds_are_reminded_of(rows: &MapRows) {
    let mut reminded = BTreeSet::new();
    rows.scan(
        &Key::table_start(Table::Deadline),
        &Key::table_end(Table::Deadline),
        &mut |key, value| {
            let (deadline, first) = deadline_of(key).unwrap();
            let venue = venue_of(key).unwrap().0;
            for seq in decode_row::<Ending>(key, value).unwrap().seqs(first) {
                assert!(
                    reminded.insert((venue, deadline, seq)),
                    "two reminders of booking {seq} at {deadline:?}"
                );
            }
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    let through: BTreeMap<u32, Timestamp> = table::<Counters>(rows, Table::Counters)
        .into_iter()
        .map(|(key, counters)| (venue_of(&key).unwrap().0, counters.expired_through))
        .collect();
    for (venue, seq, booking) in bookings(rows) {
        if booking.status == BookingStatus::Held {
            assert!(
                reminded.contains(&(venue, booking.deadline, seq)),
                "no reminder of booking {seq}"
            );
            assert!(
                through[&venue] <= booking.deadline,
                "the next expiry passes booking {seq} over"
            );
        }
    }
}

/// Each journal entry sums to zero, and the journal holds exactly what the confirmed bookings are worth.
fn ledger_balances(rows: &MapRows) {
    let mut takings: BTreeMap<(u32, u64), (i64, i64, i64)> = BTreeMap::new();
    let mut chains: BTreeMap<VenueNo, [u8; 32]> = BTreeMap::new();
    rows.scan(
        &Key::table_start(Table::Ledger),
        &Key::table_end(Table::Ledger),
        &mut |key, value| {
            let entry: JournalEntry = crate::state::decode_row(key, value).unwrap();
            let sum: i64 = entry.postings.iter().map(|posting| posting.amount).sum();
            assert_eq!(sum, 0, "a journal entry sums to zero");
            let venue = venue_of(key).unwrap();
            let (row, number) = (
                read_row::<VenueRow>(rows, venue).unwrap().unwrap(),
                keys::last_number(key).unwrap(),
            );
            let before = chains.entry(venue).or_insert([0; 32]);
            *before = chain(before, &entry.line(&row, number));
            assert_eq!(*before, entry.hash, "line {number} is chained to the one before");
            if entry.reason == Reason::DrawerClosed {
                return ControlFlow::Continue(());
            }
            let booked = takings.entry((venue.0, entry.booking)).or_default();
            for posting in &entry.postings {
                match posting.account {
                    Account::Takings | Account::Cash | Account::Card => booked.0 += posting.amount,
                    Account::Tax => booked.1 -= posting.amount,
                    Account::Sales | Account::CashDifference => {}
                }
            }
            booked.2 += entry.places;
            assert!(entry.places > 0 || entry.reason != Reason::Sale);
            assert!(entry.places < 0 || !matches!(entry.reason, Reason::Reversal | Reason::TourCancelled));
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    for (venue, seq, booking) in bookings(rows) {
        let booked = takings.remove(&(venue, seq)).unwrap_or_default();
        let sold = match booking.status {
            BookingStatus::Confirmed => (
                booking.total(),
                booking.live_lines().map(|(_, line)| line.tax).sum(),
                booking.live_lines().map(|(_, line)| i64::from(line.places())).sum(),
            ),
            _ => (0, 0, 0),
        };
        assert_eq!(booked, sold, "money taken is that of booking {seq}");
    }
    for (key, counters) in table::<Counters>(rows, Table::Counters) {
        let newest = chains.get(&venue_of(&key).unwrap()).copied().unwrap_or_default();
        assert_eq!(counters.journal_hash, newest, "the counters have the newest digest");
    }
    assert!(takings.is_empty(), "the journal speaks of bookings that are not there");
}

/// Every key stands for one record, and the window's counters are right.
fn keys_are_counted(rows: &MapRows) {
    for (key, counters) in table::<Counters>(rows, Table::Counters) {
        let venue = venue_of(&key).unwrap();
        let records: Vec<_> = table::<Record>(rows, Table::Record)
            .into_iter()
            .filter(|(key, _)| venue_of(key) == Some(venue))
            .map(|(key, record)| (keys::last_number(&key).unwrap(), record))
            .collect();
        assert_eq!(records.len() as u64, counters.next_seq - 1);
        let keyed: Vec<_> = records
            .iter()
            .filter_map(|(seq, record)| Some((record.key()?, *seq)))
            .collect();
        let distinct: BTreeSet<_> = keyed.iter().map(|(key, _)| *key).collect();
        assert_eq!(distinct.len(), keyed.len(), "a key took effect twice");
        let spilled: Vec<_> = keyed.iter().filter(|(_, seq)| *seq < counters.window_from).collect();
        assert_eq!(spilled.len() as u64, counters.spilled_keys);
        assert_eq!((keyed.len() - spilled.len()) as u64, counters.window_keys);
        for (key, seq) in spilled {
            let found = archive::find(rows, venue, hash(venue, *key)).unwrap();
            assert!(found.contains(seq), "a spilled key is on disk");
        }
        let mut on_disk = 0;
        archive::each(rows, venue, |_| on_disk += 1).unwrap();
        assert_eq!(on_disk, counters.spilled_keys);
    }
}
