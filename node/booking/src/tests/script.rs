//! The language of the golden scripts: lines that a person writes, turned into commands, applied, and answered in lines
//! that a person reads. CONTRIBUTING of the language is its use: see `testscripts/`.
//!
//! ```text
//! venue tides EUR/2 tax=600 building=900       a definition begins; `product` and `unit` lines add to it
//! product general timed hold=10 min=1 max=20 guides=2 on_sale=10:00 needs=4 re-entry
//! unit child 0 pax=1 max=2 with=adult,senior
//! import                                       sends it
//! slots general 2027-01-15 10:00-10:15/60x10   entry from-to, minutes of the visit (0: none), places
//! at 09:00                                     the leader's stamp from here on
//! hold b1 web general@10:00 adult=2 child=1 / tour@11:00 adult=2
//! extend|confirm|release|cancel b1             `b1!` is b1 with a wrong secret
//! cancel b1 0 2, confirm b1 till-1 (or card), rebook b1 general@11:00 adult=2
//! admit b1#0 device/1 [exit], merge b1#0 device/1 10:05 / b1#1 device/2 exit 10:07, annul device 1
//! key 7 [first], retire 1, drawer open|close till-1 5000
//! capacity general@10:00 5, close general@10:00, open general@10:00, expire 100
//! show b1, ticket b1#0, gates? 2027-01-15, footfall?, sales?, no-shows?, slots? general, ledger, outbox, restart
//! ```
//! Any command takes `key=` (else each has its own, but for those that come without one), `venue=` (else 1) and `by=anna:counter` (a member of the staff; `audit`
//! shows what they did). A line that begins with `+` joins the entry
//! of the line before it. Times without a day are of 2027-01-15, UTC.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use crate::admission::{AdmissionView, Admit, Direction, Scan};
use crate::catalogue::{self, Opening, ProductDefinition, ProductKind, UnitDefinition, VenueDefinition};
use crate::command::{
    Actor, Channel, Command, Entry, HoldRequest, LineRequest, Operation, Payment, Role, SlotChange, SlotPlan, SlotSpec,
};
use crate::idempotency::{KeyWindow, archive};
use crate::ids::{BookingId, CommandKey, SlotRef, TicketId, VenueNo};
use crate::inventory::{Inventory, Limits, recompute_state_hash, venues_in};
use crate::keys::{Key, Table};
use crate::ledger::JournalEntry;
use crate::outbox::OutboxRow;
use crate::outcome::{BookingView, Outcome, RefusalCode, Reply, SlotView};
use crate::queries;
use crate::query::{Answer, Query};
use crate::rows::{MapRows, ReadRows};
use crate::state::decode_row;
use crate::ticket_key::Claims;
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
    tickets: BTreeMap<(BookingId, u16), TicketId>,
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
            tickets: BTreeMap::new(),
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
            if let Outcome::Booking(view) | Outcome::Rebooked { booking: view, .. } = &reply.outcome {
                let tickets = view.tickets.iter();
                self.tickets
                    .extend(tickets.map(|ticket| ((view.id, ticket.id.number), ticket.id)));
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
        let mut actor = None;
        let mut rest = Vec::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some(("key", name)) => key = Some(name.to_owned()),
                Some(("venue", number)) => venue = VenueNo(number.parse().unwrap()),
                Some(("by", who)) => actor = Some(Box::new(staff(who))),
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
                payment: match words.get(1) {
                    None => None,
                    Some(&"card") => Some(Payment::Card),
                    Some(drawer) => Some(Payment::Cash {
                        drawer: (*drawer).to_owned(),
                    }),
                },
            },
            "rebook" => Operation::Rebook {
                booking: self.booking(words[0]),
                nonce: xxh3_64(words.join(" ").as_bytes()),
                lines: lines(&words[1..]),
            },
            "admit" => Operation::Admit(self.scan(words).admit),
            "merge" => Operation::MergeScans {
                scans: words
                    .split(|word| *word == "/")
                    .flat_map(|words| self.scans(words))
                    .collect(),
            },
            "annul" => Operation::Annul {
                device: words[0].to_owned(),
                device_seq: words[1].parse().unwrap(),
            },
            "key" => Operation::AddTicketKey {
                seed: [words[0].parse().unwrap(); 32],
                first_only: words.get(1) == Some(&"first"),
            },
            "retire" => Operation::RetireTicketKey {
                key: words[0].parse().unwrap(),
            },
            "drawer" => {
                let (drawer, cash) = (words[1].to_owned(), words[2].parse().unwrap());
                match words[0] {
                    "open" => Operation::OpenDrawer { drawer, float: cash },
                    _ => Operation::CloseDrawer { drawer, counted: cash },
                }
            }
            "release" => Operation::Release {
                booking: self.booking(words[0]),
            },
            "cancel" => Operation::Cancel {
                booking: self.booking(words[0]),
                lines: words[1..].iter().map(|line| line.parse().unwrap()).collect(),
            },
            "expire" => Operation::Expire {
                limit: words.first().map_or(100, |limit| limit.parse().unwrap()),
            },
            _ => return None,
        };
        let keyless = matches!(
            operation,
            Operation::ImportVenue(_)
                | Operation::SetSlots(_)
                | Operation::Expire { .. }
                | Operation::Annul { .. }
                | Operation::RetireTicketKey { .. }
        );
        self.keys += 1;
        let key = match key {
            Some(name) => Some(name),
            None => (!keyless).then(|| format!("own {}", self.keys)),
        };
        let fingerprint = xxh3_64(rest.join(" ").as_bytes());
        let key = key.map(|key| CommandKey(xxh3_128(key.as_bytes()).to_be_bytes()));
        Some((
            Command {
                key,
                fingerprint,
                venue,
                actor,
                operation,
            },
            name,
        ))
    }

    fn ask(&self, query: &Query) -> Answer {
        queries::answer(&self.rows, query).unwrap()
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

    /// `b1#0`: the ticket of booking b1 with number 0; with `!` at the end, one with a wrong secret.
    fn ticket(&self, name: &str) -> TicketId {
        let (booking, number) = name.trim_end_matches('!').split_once('#').unwrap();
        let mut id = self.tickets[&(self.booking(booking), number.parse().unwrap())];
        id.secret ^= u64::from(name.ends_with('!'));
        id
    }

    /// `b1#0 device/seq`, then perhaps `exit` and the device's time.
    fn scan(&self, words: &[&str]) -> Scan {
        let (device, device_seq) = words[1].split_once('/').unwrap();
        Scan {
            admit: Admit {
                ticket: self.ticket(words[0]),
                gate: "main".to_owned(),
                device: device.to_owned(),
                device_seq: device_seq.parse().unwrap(),
                direction: if words.contains(&"exit") {
                    Direction::Exit
                } else {
                    Direction::Entry
                },
            },
            at: words
                .last()
                .filter(|word| word.contains(':'))
                .map_or(self.stamp, |time| instant(time)),
        }
    }

    /// As [`World::scan`], or so many of them: `b1#0 device/1..9 10:05`.
    fn scans(&self, words: &[&str]) -> Vec<Scan> {
        let Some((first, last)) = words[1].split_once("..") else {
            return vec![self.scan(words)];
        };
        let (device, first) = first.split_once('/').unwrap();
        let numbers = first.parse::<u64>().unwrap()..=last.parse().unwrap();
        numbers
            .map(|number| {
                let device = format!("{device}/{number}");
                self.scan(&[words[0], &device, words[2]])
            })
            .collect()
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
                    language: String::new(),
                    texts: Default::default(),
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
                    texts: Default::default(),
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
                    min_to_run: count("needs"),
                    cutoff_minutes: 60,
                    guides: count("guides"),
                    re_entry: words.contains(&"re-entry"),
                    early_entry_minutes: 15,
                    units: Vec::new(),
                };
                self.drafts.get_mut(&number).unwrap().products.push(product);
            }
            "unit" => {
                let unit = UnitDefinition {
                    slug: words[1].to_owned(),
                    name: None,
                    texts: Default::default(),
                    kind: words[1].to_uppercase(),
                    price: words[2].parse().unwrap(),
                    pax: count("pax").unwrap_or(1),
                    min_age: None,
                    max_age: None,
                    accompanied_by: option("with").map_or(Vec::new(), |w| w.split(',').map(str::to_owned).collect()),
                    max_quantity: count("max"),
                    requires: option("requires").map(str::to_owned),
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
            "ticket" => match self.ask(&Query::Ticket {
                ticket: self.ticket(words[1]),
            }) {
                Answer::Ticket(ticket) => {
                    let time = |at: Timestamp| at.to_rfc3339(0);
                    let (from, until) = (time(ticket.from), time(ticket.until));
                    write!(output, "{:?} from {from} until {until}", ticket.ticket.status).unwrap();
                    let claims = ticket.payload.as_deref().map(|payload| Claims::read(payload).unwrap());
                    if let Some(claims) = claims {
                        write!(output, ", serial {} signed by key {}", claims.serial, claims.key).unwrap();
                    }
                    output.push('\n');
                    for scan in &ticket.scans {
                        output.push_str("   ");
                        show_admission(output, scan);
                    }
                }
                other => writeln!(output, "{other:?}").unwrap(),
            },
            "gates?" => match self.ask(&Query::GateBundle {
                venue: VenueNo(number),
                from: words[1].parse().unwrap(),
                to: words[1].parse().unwrap(),
            }) {
                Answer::GateBundle { text, key, .. } => writeln!(output, "{text}signed by key {key}").unwrap(),
                other => writeln!(output, "{other:?}").unwrap(),
            },
            "footfall?" => {
                let day = DAY.parse().unwrap();
                let (venue, from, to) = (VenueNo(number), day, day);
                let Answer::Footfall { rows, .. } = self.ask(&Query::Footfall { venue, from, to }) else {
                    panic!("no footfall")
                };
                for row in rows {
                    let hour = row.hour.to_rfc3339(0);
                    let (product, entered, left, visitors) = (row.product, row.entered, row.left, row.visitors);
                    writeln!(output, "{hour} {product}: {entered} in, {left} out, {visitors} new").unwrap();
                }
            }
            "no-shows?" => {
                let day = DAY.parse().unwrap();
                let (venue, from, to) = (VenueNo(number), day, day);
                let Answer::NoShows { rows, .. } = self.ask(&Query::NoShows { venue, from, to }) else {
                    panic!("no answer")
                };
                for row in rows {
                    writeln!(
                        output,
                        "{} {}: {} of {} came",
                        row.day, row.product, row.admitted, row.sold
                    )
                    .unwrap();
                }
            }
            "sales?" => {
                let (from, to) = (instant(words[1]), instant(words[2]));
                let venue = VenueNo(number);
                let Answer::Sales { rows, .. } = self.ask(&Query::Sales { venue, from, to }) else {
                    panic!("no sales")
                };
                for row in rows {
                    writeln!(
                        output,
                        "{} {} by {:?}: {:+}, {:+}, tax {:+}",
                        row.product, row.unit, row.channel, row.quantity, row.gross, row.tax
                    )
                    .unwrap();
                }
            }
            "audit" => {
                let (venue, after, limit) = (VenueNo(number), count("after").unwrap_or(0).into(), 100);
                let Answer::Audit { lines, last, .. } = self.ask(&Query::Audit { venue, after, limit }) else {
                    panic!("no audit log")
                };
                for line in lines {
                    let at = line.at.to_rfc3339(0);
                    let (name, role, address) = (&line.actor.name, line.actor.role.as_str(), &line.actor.address);
                    write!(
                        output,
                        "{}/{last} @{} {at} {name} ({role}, {address})",
                        line.number, line.index
                    )
                    .unwrap();
                    write!(output, " {} {}", line.operation, line.about).unwrap();
                    let refused = line
                        .refused
                        .map_or(String::new(), |code| format!(": refused, {}", code.as_str()));
                    writeln!(output, "{refused}").unwrap();
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
                        "   item {} {:?} {:+}",
                        posting.item, posting.account, posting.amount
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

/// `anna:counter`
fn staff(who: &str) -> Actor {
    let (name, role) = who.split_once(':').unwrap();
    Actor {
        name: name.to_owned(),
        role: Role::ALL.iter().copied().find(|known| known.as_str() == role).unwrap(),
        address: "10.0.0.7".to_owned(),
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
    HoldRequest {
        secret: xxh3_64(words[0].as_bytes()),
        channel,
        lines: lines(&words[2..]),
    }
}

/// `slot unit=quantity unit=quantity*times / slot ...`; a unit with a claim is `unit=quantity:membership:4711`.
fn lines(words: &[&str]) -> Vec<LineRequest> {
    let mut lines = Vec::new();
    let mut slot = None;
    for word in words {
        if *word == "/" || word.starts_with("body:") {
            continue;
        }
        if let Some((unit, quantity)) = word.split_once('=') {
            let (quantity, claim) = match quantity.split_once(':') {
                Some((quantity, claim)) => (quantity, Some(claim.to_owned())),
                None => (quantity, None),
            };
            let (quantity, times) = quantity.split_once('*').unwrap_or((quantity, "1"));
            let line = LineRequest {
                slot: slot.clone().unwrap(),
                unit: unit.to_owned(),
                quantity: quantity.parse().unwrap(),
                claim,
            };
            lines.extend(std::iter::repeat_n(line, times.parse().unwrap()));
        } else {
            slot = Some(slot_ref(word));
        }
    }
    lines
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
        Outcome::Rebooked { booking, difference } => {
            write!(output, "difference {difference:+}: ").unwrap();
            show_booking(output, booking);
        }
        Outcome::Probed { held } => writeln!(output, "reserve {}", if *held { "held" } else { "free" }).unwrap(),
        Outcome::Admission(view) => show_admission(output, view),
        Outcome::Merged { scans, conflicts } => {
            writeln!(output, "{} scans, {} conflicts", scans.len(), conflicts.len()).unwrap();
            for (what, views) in [("", scans), ("conflict ", conflicts)] {
                for view in views.iter().take(8) {
                    write!(output, "   {what}").unwrap();
                    show_admission(output, view);
                }
                if views.len() > 8 {
                    writeln!(output, "   {what}and {} more", views.len() - 8).unwrap();
                }
            }
        }
        Outcome::TicketKeys(keys) => {
            let shown = keys.iter().map(|key| match key.retired_at {
                None => format!("{}", key.key),
                Some(_) => format!("{} (retired)", key.key),
            });
            writeln!(output, "keys {}", shown.collect::<Vec<_>>().join(", ")).unwrap();
        }
        Outcome::Drawer(view) => {
            let state = if view.closed_at.is_some() { "closed" } else { "open" };
            writeln!(
                output,
                "drawer {} {state}: float {}, sales {} of {} bookings, counted {:?}",
                view.drawer, view.float, view.sales, view.bookings, view.counted
            )
            .unwrap();
        }
    }
}

fn show_admission(output: &mut String, view: &AdmissionView) {
    write!(
        output,
        "{} {:?} of ticket {}",
        view.verdict.as_str(),
        view.direction,
        view.ticket.number
    )
    .unwrap();
    write!(
        output,
        " by {}/{} at {}",
        view.device,
        view.device_seq,
        view.at.to_rfc3339(view.offset_minutes)
    )
    .unwrap();
    if let Some(first) = &view.first {
        let at = first.at.to_rfc3339(view.offset_minutes);
        write!(
            output,
            ", first {at} at {} by {}/{}",
            first.gate, first.device, first.device_seq
        )
        .unwrap();
    }
    output.push('\n');
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
            "   {quantity} {unit} {slot} at {}: {}, tax {}{}",
            line.unit_price,
            line.total,
            line.tax,
            if line.cancelled { ", cancelled" } else { "" }
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
