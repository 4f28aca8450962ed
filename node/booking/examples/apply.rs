//! The pure path of a hot slot, for counting instructions: entries of holds are decoded and applied, with the replies that
//! the leader gives and without them, as on a follower. `make instructions` runs it under callgrind, which counts what
//! happens in `measured` and nothing else; the counts are the same on every run of one build.
//!
//! Rows that are written once are not kept here, so what is counted is the rules' and not a store's.

#![allow(clippy::expect_used, reason = "an example")]

use std::hint::black_box;
use std::ops::ControlFlow;

use bytes::Bytes;
use rotunda_booking::catalogue::{Opening, ProductDefinition, ProductKind, UnitDefinition, VenueDefinition, revision};
use rotunda_booking::codec;
use rotunda_booking::command::{Channel, Command, Entry, HoldRequest, LineRequest, Operation, SlotPlan, SlotSpec};
use rotunda_booking::ids::{CommandKey, SlotRef, VenueNo};
use rotunda_booking::inventory::{Inventory, Limits};
use rotunda_booking::rows::{MapRows, ReadRows, Rows, RowsError};
use rotunda_booking::time::{ServiceDay, Timestamp};

/// Entries before what is counted: the window of keys fills up and spills.
const WARM_UP: u64 = 60;
const COUNTED: u64 = 40;
const COMMANDS: u64 = 512;
const VENUE: VenueNo = VenueNo(1);
const DAY: i64 = 86_400_000;
const NOW: Timestamp = Timestamp(20_000 * DAY);
/// Tables whose rows are written once a booking: records, deadlines, keys, ledger, outbox.
const WRITTEN_ONCE: std::ops::RangeInclusive<u8> = 0x30..=0x41;

/// Keeps what is changed again and again, drops the rest.
#[derive(Default)]
struct Sink(MapRows);

impl ReadRows for Sink {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, RowsError> {
        self.0.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RowsError> {
        self.0.scan(from, to, visit)
    }
}

impl Rows for Sink {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        if WRITTEN_ONCE.contains(&key[0]) {
            black_box((key, value));
        } else {
            self.0.put(key, value);
        }
    }

    fn delete(&mut self, key: &[u8]) {
        black_box(key);
    }
}

fn venue() -> VenueDefinition {
    let unit = UnitDefinition {
        slug: "adult".to_owned(),
        name: None,
        texts: Default::default(),
        kind: "ADULT".to_owned(),
        price: 1_400,
        pax: 1,
        min_age: None,
        max_age: None,
        accompanied_by: Vec::new(),
        max_quantity: None,
        requires: None,
        id_required: false,
    };
    let product = ProductDefinition {
        slug: "general".to_owned(),
        name: "General admission".to_owned(),
        texts: Default::default(),
        kind: ProductKind::Timed,
        slot_minutes: 60,
        visit_minutes: 60,
        capacity: 100_000_000,
        last_entry_before_close_minutes: None,
        on_sale: None,
        hold_minutes: 10,
        min_units_per_booking: 1,
        max_units_per_booking: 20,
        min_to_run: None,
        cutoff_minutes: 60,
        guides: None,
        re_entry: false,
        early_entry_minutes: 15,
        units: vec![unit],
    };
    VenueDefinition {
        slug: "lisbon-tides".to_owned(),
        name: "Museum of Tides".to_owned(),
        language: String::new(),
        texts: Default::default(),
        city: "Lisbon".to_owned(),
        time_zone: "Europe/Lisbon".to_owned(),
        currency: "EUR".to_owned(),
        currency_digits: 2,
        tax_basis_points: 600,
        building_capacity: 100_000_000,
        opening: vec![Opening {
            days: 127,
            from_minute: 600,
            to_minute: 660,
        }],
        closed: Vec::new(),
        products: vec![product],
    }
}

fn command(key: Option<u64>, operation: Operation) -> Command {
    // Scattered, as digests are.
    let key = key.map(|key| u128::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    Command {
        key: key.map(|key| CommandKey(key.to_be_bytes())),
        fingerprint: 7,
        venue: VENUE,
        actor: None,
        operation,
    }
}

fn entry(commands: Vec<Command>) -> Bytes {
    codec::encode_entry(&Entry { stamp: NOW, commands })
}

fn holds(number: u64, start: Timestamp) -> Bytes {
    let hold = |key: u64| {
        let slot = SlotRef {
            product: "general".to_owned(),
            start,
            offset_minutes: 0,
        };
        let line = LineRequest {
            slot,
            unit: "adult".to_owned(),
            quantity: 1,
            claim: None,
        };
        let hold = HoldRequest {
            secret: key,
            channel: Channel::Web,
            lines: vec![line],
        };
        command(Some(key), Operation::Hold(hold))
    };
    entry((number * COMMANDS..(number + 1) * COMMANDS).map(hold).collect())
}

/// What callgrind counts.
#[inline(never)]
fn measured(inventory: &mut Inventory, rows: &mut Sink, index: u64, payload: &[u8], leads: bool) -> Bytes {
    let entry = codec::decode_entry(payload).expect("an entry");
    if leads {
        inventory.lead(rows, index, &entry).expect("an applied entry")
    } else {
        inventory.follow(rows, index, &entry).expect("an applied entry");
        Bytes::new()
    }
}

fn main() {
    let leads = match std::env::args().nth(1).as_deref() {
        Some("leader") => true,
        Some("follower") => false,
        _ => {
            eprintln!("usage: apply leader|follower");
            std::process::exit(2);
        }
    };
    let (mut inventory, mut rows) = (Inventory::new(Limits::default()), Sink::default());
    let start = Timestamp(NOW.0 + 3 * DAY);
    let definition = venue();
    let slot = SlotSpec {
        start,
        end: Timestamp(start.0 + 3_600_000),
        occupies_until: Timestamp(start.0 + 3_600_000),
        offset_minutes: 0,
        capacity: 100_000_000,
    };
    let plan = SlotPlan {
        revision: revision(&definition),
        product: "general".to_owned(),
        day: ServiceDay(20_003),
        slots: vec![slot],
    };
    let import = command(None, Operation::ImportVenue(Box::new(definition)));
    let payload = entry(vec![import, command(None, Operation::SetSlots(plan))]);
    let first = codec::decode_entry(&payload).expect("an entry");
    inventory.apply(&mut rows, 1, &first).expect("an applied entry");
    rows.0.commit();
    for number in 0..WARM_UP {
        let first = codec::decode_entry(&holds(number, start)).expect("an entry");
        inventory
            .apply(&mut rows, number + 2, &first)
            .expect("an applied entry");
        rows.0.commit();
    }
    let mut bytes = 0;
    for number in WARM_UP..WARM_UP + COUNTED {
        let payload = holds(number, start);
        bytes += black_box(measured(&mut inventory, &mut rows, number + 2, &payload, leads)).len();
        rows.0.commit();
    }
    // A refusal would be cheap.
    assert_eq!(bytes > 0, leads);
    println!("{}", COUNTED * COMMANDS);
}
