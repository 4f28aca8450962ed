//! The language of the golden scripts: lines that a person writes, turned into commands, applied, and answered in lines
//! that a person reads. CONTRIBUTING of the language is its use: see `testscripts/`.
//!
//! ```text
//! venue tides EUR/2 tax=600 building=900       a definition begins; `product` and `unit` lines add to it
//! product general timed hold=10 min=1 max=20 guides=2 on_sale=10:00
//! unit child 0 pax=1 max=2 with=adult,senior
//! import                                       sends it
//! slots general 2027-01-15 10:00-10:15/60x10   entry from-to, minutes of the visit (0: none), places
//! at 09:00                                     the leader's stamp from here on
//! hold b1 web general@10:00 adult=2 child=1 / tour@11:00 adult=2
//! extend|confirm|release|cancel b1             `b1!` is b1 with a wrong secret
//! capacity general@10:00 5, close general@10:00, open general@10:00, expire 100
//! show b1, slots? general, ledger, outbox, restart
//! ```
//! Any command takes `key=` (else each has its own) and `venue=` (else 1). A line that begins with `+` joins the entry
//! of the line before it. Times without a day are of 2027-01-15, UTC.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use crate::catalogue::{self, Opening, ProductDefinition, ProductKind, UnitDefinition, VenueDefinition};
use crate::command::{Channel, Command, Entry, HoldRequest, LineRequest, Operation, SlotChange, SlotPlan, SlotSpec};
use crate::idempotency::{KeyWindow, archive};
use crate::ids::{BookingId, CommandKey, SlotRef, VenueNo};
use crate::inventory::{Inventory, Limits, recompute_state_hash, venues_in};
use crate::keys::{Key, Table};
use crate::ledger::JournalEntry;
use crate::outbox::OutboxRow;
use crate::outcome::{BookingView, Outcome, RefusalCode, Reply, SlotView};
use crate::queries;
use crate::query::{Answer, Query};
use crate::rows::{MapRows, ReadRows};
use crate::state::decode_row;
use crate::time::{ServiceDay, Timestamp};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Small, so that scripts reach what lies beyond it.
const WINDOW: KeyWindow = KeyWindow { recent: 3, spill: 2 };

const DAY: &str = "2027-01-15";

/// A shard, and what a script has said so far.
pub(super) struct World {
    rows: MapRows,
    inventory: Inventory,
    index: u64,
    stamp: Timestamp,
    drafts: BTreeMap<u32, VenueDefinition>,
    bookings: BTreeMap<String, BookingId>,
    keys: u64,
    /// Refusals seen.
    pub(super) refusals: Vec<RefusalCode>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            rows: MapRows::new(),
            inventory: Inventory::with_key_window(Limits::default(), WINDOW),
            index: 0,
            stamp: instant("00:00"),
            drafts: BTreeMap::new(),
            bookings: BTreeMap::new(),
            keys: 0,
            refusals: Vec::new(),
        }
    }

    /// Runs the lines of a block and gives what they answered.
    pub(super) fn run(&mut self, lines: &[&str]) -> String {
        let mut output = String::new();
        let mut entry: Vec<(Command, Option<String>)> = Vec::new();
        for line in lines {
            let (joins, line) = match line.strip_prefix('+') {
                Some(rest) => (true, rest.trim()),
                None => (false, *line),
            };
            if !joins {
                self.apply(&mut entry, &mut output);
            }
            match self.command(line) {
                Some(command) => entry.push(command),
                None => self.direct(line, &mut output),
            }
        }
        self.apply(&mut entry, &mut output);
        output
    }

    fn apply(&mut self, pending: &mut Vec<(Command, Option<String>)>, output: &mut String) {
        if pending.is_empty() {
            return;
        }
        self.index += 1;
        let pending = std::mem::take(pending);
        let commands = pending.iter().map(|(command, _)| command.clone()).collect();
        let entry = Entry {
            stamp: self.stamp,
            commands,
        };
        let replies = self.inventory.apply(&mut self.rows, self.index, &entry).unwrap();
        self.rows.commit();
        assert_eq!(
            self.inventory.state_hash(),
            recompute_state_hash(&self.rows).unwrap(),
            "the kept hash is that of the rows"
        );
        for ((_, name), reply) in pending.iter().zip(&replies) {
            if let (Some(name), Outcome::Booking(view)) = (name, &reply.outcome) {
                self.bookings.insert(name.clone(), view.id);
            }
            if let Outcome::Refused(refusal) = &reply.outcome {
                self.refusals.push(refusal.code);
            }
            show_reply(output, reply);
        }
    }

    /// The command that a line means, and the name that its booking gets.
    fn command(&mut self, line: &str) -> Option<(Command, Option<String>)> {
        let mut key = None;
        let mut venue = VenueNo(1);
        let mut rest = Vec::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some(("key", name)) => key = Some(name.to_owned()),
                Some(("venue", number)) => venue = VenueNo(number.parse().unwrap()),
                _ => rest.push(word),
            }
        }
        let (verb, words) = rest.split_first()?;
        let mut name = None;
        let operation = match *verb {
            "import" => Operation::ImportVenue(Box::new(self.drafts[&venue.0].clone())),
            "slots" => Operation::SetSlots(self.plan(venue, words)),
            "capacity" => Operation::ChangeSlot {
                slot: slot_ref(words[0]),
                change: SlotChange::Capacity(words[1].parse().unwrap()),
            },
            "close" | "open" => Operation::ChangeSlot {
                slot: slot_ref(words[0]),
                change: SlotChange::Closed(*verb == "close"),
            },
            "hold" => {
                name = Some(words[0].to_owned());
                Operation::Hold(hold_request(words))
            }
            "extend" => Operation::Extend {
                booking: self.booking(words[0]),
            },
            "confirm" => Operation::Confirm {
                booking: self.booking(words[0]),
                nonce: xxh3_64(words[0].as_bytes()),
            },
            "release" => Operation::Release {
                booking: self.booking(words[0]),
            },
            "cancel" => Operation::Cancel {
                booking: self.booking(words[0]),
            },
            "expire" => Operation::Expire {
                limit: words.first().map_or(100, |limit| limit.parse().unwrap()),
            },
            _ => return None,
        };
        let proposers = matches!(
            operation,
            Operation::ImportVenue(_) | Operation::SetSlots(_) | Operation::Expire { .. }
        );
        self.keys += 1;
        let key = match key {
            Some(name) => Some(name),
            None => (!proposers).then(|| format!("own {}", self.keys)),
        };
        let fingerprint = xxh3_64(rest.join(" ").as_bytes());
        let key = key.map(|key| CommandKey(xxh3_128(key.as_bytes()).to_be_bytes()));
        Some((
            Command {
                key,
                fingerprint,
                venue,
                operation,
            },
            name,
        ))
    }

    fn booking(&self, name: &str) -> BookingId {
        let known = self.bookings.get(name.trim_end_matches('!')).copied();
        let mut id = known.unwrap_or(BookingId {
            venue: VenueNo(1),
            seq: 999,
            secret: 0,
        });
        id.secret ^= u64::from(name.ends_with('!'));
        id
    }

    fn plan(&self, venue: VenueNo, words: &[&str]) -> SlotPlan {
        let revision = self.drafts.get(&venue.0).map_or(0, catalogue::revision);
        let stale = words.contains(&"stale");
        let slots = words[2..]
            .iter()
            .filter(|word| **word != "stale")
            .map(|word| slot_spec(words[1], word))
            .collect();
        SlotPlan {
            revision: revision ^ u64::from(stale),
            product: words[0].to_owned(),
            day: words[1].parse().unwrap(),
            slots,
        }
    }

    /// Lines that are not commands.
    fn direct(&mut self, line: &str, output: &mut String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words
            .iter()
            .find_map(|word| word.strip_prefix("venue="))
            .map_or(1, |n| n.parse().unwrap());
        let option =
            |name: &str| -> Option<&str> { words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')) };
        let count = |name: &str| option(name).map(|text| text.parse::<u32>().unwrap());
        match words[0] {
            "at" => self.stamp = instant(words[1]),
            "restart" => {
                self.inventory.load(&self.rows).unwrap();
                assert_eq!(self.inventory.state_hash(), recompute_state_hash(&self.rows).unwrap());
            }
            "venue" => {
                let (currency, digits) = words[2].split_once('/').unwrap();
                let definition = VenueDefinition {
                    slug: words[1].to_owned(),
                    name: words[1].to_owned(),
                    city: "Lisbon".to_owned(),
                    time_zone: option("zone").unwrap_or("Europe/Lisbon").to_owned(),
                    currency: currency.to_owned(),
                    currency_digits: digits.parse().unwrap(),
                    tax_basis_points: count("tax").unwrap_or(0),
                    building_capacity: count("building").unwrap_or(900),
                    opening: vec![Opening {
                        days: 127,
                        from_minute: 600,
                        to_minute: 1080,
                    }],
                    closed: Vec::new(),
                    products: Vec::new(),
                };
                self.drafts.insert(number, definition);
            }
            "product" => {
                let product = ProductDefinition {
                    slug: words[1].to_owned(),
                    name: words[1].to_owned(),
                    kind: match words[2] {
                        "timed" => ProductKind::Timed,
                        "guided" => ProductKind::Guided,
                        "group" => ProductKind::Group,
                        "day" => ProductKind::Day,
                        other => panic!("no kind of product: {other}"),
                    },
                    slot_minutes: 15,
                    visit_minutes: 60,
                    capacity: 10,
                    last_entry_before_close_minutes: None,
                    on_sale: option("on_sale").map(instant),
                    hold_minutes: count("hold").unwrap_or(10),
                    min_units_per_booking: count("min").unwrap_or(1),
                    max_units_per_booking: count("max").unwrap_or(20),
                    min_to_run: None,
                    guides: count("guides"),
                    units: Vec::new(),
                };
                self.drafts.get_mut(&number).unwrap().products.push(product);
            }
            "unit" => {
                let unit = UnitDefinition {
                    slug: words[1].to_owned(),
                    kind: words[1].to_uppercase(),
                    price: words[2].parse().unwrap(),
                    pax: count("pax").unwrap_or(1),
                    min_age: None,
                    max_age: None,
                    accompanied_by: option("with").map_or(Vec::new(), |w| w.split(',').map(str::to_owned).collect()),
                    max_quantity: count("max"),
                    requires: None,
                    id_required: false,
                };
                self.drafts
                    .get_mut(&number)
                    .unwrap()
                    .products
                    .last_mut()
                    .unwrap()
                    .units
                    .push(unit);
            }
            "show" => {
                let query = Query::Booking {
                    booking: self.booking(words[1]),
                };
                match queries::answer(&self.rows, &query).unwrap() {
                    Answer::Booking(view) => show_booking(output, &view),
                    _ => output.push_str("not found\n"),
                }
            }
            "slots?" => {
                let product = words[1..].iter().find(|word| !word.contains('='));
                self.show_slots(VenueNo(number), product.copied(), output);
            }
            "plan?" => {
                let query = Query::Venue { venue: VenueNo(number) };
                match queries::answer(&self.rows, &query).unwrap() {
                    Answer::Venue {
                        planned_through,
                        definition,
                        ..
                    } => {
                        for (product, through) in definition.products.iter().zip(planned_through) {
                            let through =
                                through.map_or("not planned".to_owned(), |day| format!("planned through {day}"));
                            writeln!(output, "{} {through}", product.slug).unwrap();
                        }
                    }
                    _ => output.push_str("not found\n"),
                }
            }
            "due?" => match queries::next_deadline(&self.rows).unwrap() {
                Some((venue, deadline)) => {
                    writeln!(output, "venue {} at {}", venue.0, deadline.to_rfc3339(0)).unwrap();
                }
                None => output.push_str("no reminder\n"),
            },
            "ledger" => self.each(Table::Ledger, |key, value| {
                let entry: JournalEntry = decode_row(key, value).unwrap();
                writeln!(
                    output,
                    "{:?} of booking {}, places {:+}",
                    entry.reason, entry.booking, entry.places
                )
                .unwrap();
                for posting in entry.postings {
                    writeln!(
                        output,
                        "   line {} {:?} {:+}",
                        posting.line, posting.account, posting.amount
                    )
                    .unwrap();
                }
            }),
            "outbox" => self.each(Table::Outbox, |key, value| {
                let row: OutboxRow = decode_row(key, value).unwrap();
                for event in row.events {
                    writeln!(output, "@{} {event:?}", row.index).unwrap();
                }
            }),
            "keys" => {
                let mut spilled = 0;
                for venue in venues_in(&self.rows, Table::Counters).unwrap() {
                    archive::each(&self.rows, venue, |_| spilled += 1).unwrap();
                }
                writeln!(output, "{spilled} keys on disk").unwrap();
            }
            other => panic!("the script says {other:?} in {line:?}"),
        }
    }

    fn each(&self, table: Table, mut visit: impl FnMut(&[u8], &[u8])) {
        self.rows
            .scan(&Key::table_start(table), &Key::table_end(table), &mut |key, value| {
                visit(key, value);
                ControlFlow::Continue(())
            })
            .unwrap();
    }

    fn show_slots(&self, venue: VenueNo, product: Option<&str>, output: &mut String) {
        let day: ServiceDay = DAY.parse().unwrap();
        let query = Query::Availability {
            venue,
            product: product.map(str::to_owned),
            from: day.plus_days(-1),
            to: day.plus_days(2),
        };
        match queries::answer(&self.rows, &query).unwrap() {
            Answer::Availability { slots, .. } => slots.iter().for_each(|slot| show_slot(output, slot)),
            _ => output.push_str("not found\n"),
        }
    }
}

/// `10:00` of the scripts' day, or a whole time.
fn instant(text: &str) -> Timestamp {
    let text = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{DAY}T{text}")
    };
    Timestamp::parse_rfc3339(&format!("{text}:00Z")).unwrap()
}

/// `general@10:00`, or a whole slot id.
fn slot_ref(text: &str) -> SlotRef {
    if text.contains('T') {
        return text.parse().unwrap();
    }
    let (product, time) = text.split_once('@').unwrap();
    SlotRef {
        product: product.to_owned(),
        start: instant(time),
        offset_minutes: 0,
    }
}

/// `10:00-10:15/60x10`
fn slot_spec(day: &str, text: &str) -> SlotSpec {
    let (times, rest) = text.split_once('/').unwrap();
    let (start, end) = times.split_once('-').unwrap();
    let (visit, capacity) = rest.split_once('x').unwrap();
    let time = |text: &str| instant(&format!("{day}T{text}"));
    SlotSpec {
        start: time(start),
        end: time(end),
        occupies_until: time(start).plus_minutes(visit.parse().unwrap()),
        offset_minutes: 0,
        capacity: capacity.parse().unwrap(),
    }
}

/// `b1 web general@10:00 adult=2 child=1 / tour@11:00 adult=2`
fn hold_request(words: &[&str]) -> HoldRequest {
    let channel = match words[1] {
        "web" => Channel::Web,
        "kiosk" => Channel::Kiosk,
        "counter" => Channel::Counter,
        "reseller" => Channel::Reseller,
        "phone" => Channel::Phone,
        other => panic!("no channel: {other}"),
    };
    let mut lines = Vec::new();
    let mut slot = None;
    for word in &words[2..] {
        if *word == "/" || word.starts_with("body:") {
            continue;
        }
        if let Some((unit, quantity)) = word.split_once('=') {
            let (quantity, times) = quantity.split_once('*').unwrap_or((quantity, "1"));
            let line = LineRequest {
                slot: slot.clone().unwrap(),
                unit: unit.to_owned(),
                quantity: quantity.parse().unwrap(),
            };
            lines.extend(std::iter::repeat_n(line, times.parse().unwrap()));
        } else {
            slot = Some(slot_ref(word));
        }
    }
    HoldRequest {
        secret: xxh3_64(words[0].as_bytes()),
        channel,
        lines,
    }
}

fn show_reply(output: &mut String, reply: &Reply) {
    let replayed = if reply.replayed { " (stored answer)" } else { "" };
    write!(output, "@{}{replayed} ", reply.index).unwrap();
    match &reply.outcome {
        Outcome::Booking(view) => show_booking(output, view),
        Outcome::Refused(refusal) => {
            writeln!(output, "refused: {}: {}", refusal.code.as_str(), refusal.detail).unwrap();
            for problem in refusal.lines.iter().take(4) {
                let left = problem.left.map_or(String::new(), |left| format!(" [{left}]"));
                writeln!(output, "   line {}: {}{left}", problem.line, problem.detail).unwrap();
            }
        }
        Outcome::Imported { changed, .. } => {
            writeln!(output, "imported{}", if *changed { "" } else { ", nothing changed" }).unwrap();
        }
        Outcome::SlotsSet { added, removed, kept } => {
            writeln!(output, "slots: {added} added, {removed} removed, {kept} kept closed").unwrap();
        }
        Outcome::SlotChanged(view) => show_slot(output, view),
        Outcome::Expired { count, more } => {
            writeln!(output, "{count} expired{}", if *more { ", more are due" } else { "" }).unwrap();
        }
    }
}

fn show_booking(output: &mut String, view: &BookingView) {
    let time = |time: Timestamp| time.to_rfc3339(view.offset_minutes);
    write!(
        output,
        "{:?} {} by {:?}, total {} {}",
        view.status, view.reference, view.channel, view.total, view.currency
    )
    .unwrap();
    for (what, when) in [
        ("until", view.expires_at),
        ("confirmed", view.confirmed_at),
        ("ended", view.ended_at),
    ] {
        if let Some(when) = when {
            write!(output, ", {what} {}", time(when)).unwrap();
        }
    }
    output.push('\n');
    for line in &view.lines {
        let (quantity, unit, slot) = (line.quantity, &line.unit, &line.slot);
        writeln!(
            output,
            "   {quantity} {unit} {slot} at {}: {}, tax {}",
            line.unit_price, line.total, line.tax
        )
        .unwrap();
    }
    for ticket in view.tickets.iter().take(4) {
        writeln!(
            output,
            "   ticket {} {} {} {:?}",
            ticket.serial, ticket.unit, ticket.slot, ticket.status
        )
        .unwrap();
    }
    if view.tickets.len() > 4 {
        writeln!(output, "   and {} more tickets", view.tickets.len() - 4).unwrap();
    }
}

fn show_slot(output: &mut String, view: &SlotView) {
    let SlotView {
        slot,
        status,
        capacity,
        held,
        confirmed,
        vacancies,
        ..
    } = view;
    writeln!(
        output,
        "{slot} {status:?}: {held} held and {confirmed} confirmed of {capacity}, {vacancies} left"
    )
    .unwrap();
}
