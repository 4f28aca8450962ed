//! I7: what the ledger sums to is what was taken, and what it sold is what is used.
//!
//! The ledger is kept here once more, by double entry: a confirm adds a booking's total and its persons, a cancel takes
//! them away, line by line or all that is left, an exchange takes the old away and adds the new. It must agree with the prices of the catalogue, with what the callers were told that they pay, with the
//! tickets that were issued, and with what every replica that was read has sold at the end. The product's own journal
//! rows are not read: nothing shows them to an auditor yet.

use std::collections::BTreeMap;

use rotunda_booking::command::Operation;
use rotunda_booking::ids::{BookingId, VenueNo};
use rotunda_booking::outcome::{BookingStatus, BookingView, Outcome};
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::{Evidence, Step};
use super::pools::Pools;
use super::verdict::{Finding, Verdict};
use crate::history::lines::{Act, Ended};

pub(super) struct Ledger;

impl Invariant for Ledger {
    fn id(&self) -> &'static str {
        "I7"
    }

    fn promise(&self) -> &'static str {
        "ledger = capacity used = money taken"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        let mut books = Books::default();
        for (id, shard) in &evidence.shards {
            let mut pools = Pools::default();
            for step in &shard.steps {
                books.post(*id, step, &mut pools, &mut verdict);
            }
        }
        check_takings(evidence, &books, &mut verdict);
        check_replicas(evidence, &books, &mut verdict);
        verdict
    }
}

/// What was sold for how much.
#[derive(Default)]
struct Books {
    /// Every booking that was ever confirmed.
    sold: FxHashMap<BookingId, Sale>,
    /// Money and persons of a shard after each index that changed them.
    sums: BTreeMap<(u64, u64), (i64, i64)>,
    serials: FxHashMap<VenueNo, u64>,
}

/// A booking that was confirmed.
#[derive(Default)]
struct Sale {
    /// Money and persons of each line; none of those that were cancelled.
    lines: Vec<(i64, i64)>,
    /// What it showed after each index that changed it: total, and tickets of the present issue.
    shown: Vec<(u64, i64, i64)>,
}

impl Sale {
    fn sum(&self) -> (i64, i64) {
        let add = |(money, persons): (i64, i64), (total, more): &(i64, i64)| (money + total, persons + more);
        self.lines.iter().fold((0, 0), add)
    }

    /// Takes lines away, all where none is named; gives what they came to.
    fn reverse(&mut self, lines: &[u16]) -> (i64, i64) {
        let before = self.sum();
        for (number, line) in (0..).zip(&mut self.lines) {
            if lines.is_empty() || lines.contains(&number) {
                *line = (0, 0);
            }
        }
        let after = self.sum();
        (before.0 - after.0, before.1 - after.1)
    }

    /// True where the booking showed this total and so many tickets at an index; at any where none is named.
    fn has_shown(&self, index: Option<u64>, total: i64, tickets: usize) -> bool {
        let same = |shown: &&(u64, i64, i64)| (shown.1, Ok(shown.2)) == (total, i64::try_from(tickets));
        let at = |shown: &&(u64, i64, i64)| index.is_none_or(|index| shown.0 == index);
        self.shown.iter().filter(at).any(|shown| same(&shown))
    }
}

impl Books {
    fn post(&mut self, shard: u64, step: &Step, pools: &mut Pools, verdict: &mut Verdict) {
        let mut wrong: Vec<String> = Vec::new();
        match (&step.command.operation, step.effect()) {
            (Operation::Hold(_), Some(Outcome::Booking(view))) => {
                verdict.count("prices", view.lines.len() as u64);
                wrong.extend(price_mistakes(pools, view));
            }
            (Operation::Confirm { booking, .. }, Some(Outcome::Booking(view))) => {
                verdict.count("sales", 1);
                let held = pools.persons(*booking);
                let sums = price_mistakes(pools, view).into_iter();
                wrong.extend(sums.filter(|text| text.contains("sum")));
                let sold = self.sell((shard, step.index), view, pools, &mut wrong);
                if sold != held {
                    wrong.push(format!("{held} persons were held and {sold} sold"));
                }
            }
            (Operation::Cancel { booking, lines }, Some(Outcome::Booking(view))) => {
                verdict.count("reversals", 1);
                let sale = self.sold.entry(*booking).or_default();
                let before = sale.sum();
                let (money, persons) = sale.reverse(lines);
                // Of what was cancelled altogether the lines that were there at the end are shown.
                let total = if sale.sum().1 == 0 { before.0 } else { sale.sum().0 };
                if view.total != total {
                    wrong.push(format!("{} are shown after a reversal that leaves {total}", view.total));
                }
                let tickets = sale.shown.last().map_or(0, |shown| shown.2);
                sale.shown.push((step.index, total, tickets));
                self.add(shard, step.index, -money, -persons);
            }
            (
                Operation::Rebook { booking, .. },
                Some(Outcome::Rebooked {
                    booking: view,
                    difference,
                }),
            ) => {
                verdict.count("exchanges", 1);
                wrong.extend(price_mistakes(pools, view));
                let (money, persons) = self.sold.entry(*booking).or_default().reverse(&[]);
                if view.total - money != *difference {
                    let total = view.total;
                    wrong.push(format!(
                        "an exchange of {money} for {total} makes a difference of {difference}"
                    ));
                }
                self.add(shard, step.index, -money, -persons);
                self.sell((shard, step.index), view, pools, &mut wrong);
            }
            _ => {}
        }
        for text in wrong {
            let finding = Finding::new(format!("shard {shard} at index {}: {text}", step.index));
            let finding = finding.line(step.line).entry(shard, step.index);
            verdict.add(match step.booking() {
                Some(booking) => finding.booking(booking),
                None => finding,
            });
        }
        pools.follow(step);
    }

    /// Adds what a booking now has, and looks at the tickets that were issued for it; gives the persons.
    fn sell(&mut self, (shard, index): (u64, u64), view: &BookingView, pools: &Pools, wrong: &mut Vec<String>) -> i64 {
        let venue = view.id.venue;
        let lines = view.lines.iter().filter(|line| !line.cancelled);
        let lines = lines.map(|line| {
            let persons = i64::from(line.quantity) * pools.pax(venue, &line.slot.product, &line.unit);
            (line.total, persons)
        });
        let sale = self.sold.entry(view.id).or_default();
        sale.lines = lines.collect();
        let (money, persons) = sale.sum();
        if i64::try_from(view.tickets.len()) != Ok(persons) {
            let (tickets, status) = (view.tickets.len(), view.status);
            wrong.push(format!("{persons} persons got {tickets} tickets, {status:?}"));
        }
        sale.shown.push((index, view.total, persons));
        let next = self.serials.entry(venue).or_insert(1);
        for ticket in &view.tickets {
            if ticket.serial != *next {
                wrong.push(format!("a ticket has serial {}, {next} is next", ticket.serial));
            }
            *next = ticket.serial + 1;
        }
        self.add(shard, index, money, persons);
        persons
    }

    fn add(&mut self, shard: u64, index: u64, money: i64, persons: i64) {
        let (sold, used) = self.at(shard, index);
        self.sums.insert(
            (shard, index),
            (sold.saturating_add(money), used.saturating_add(persons)),
        );
    }

    /// Money and persons of a shard at an index.
    fn at(&self, shard: u64, index: u64) -> (i64, i64) {
        let mut before = self.sums.range((shard, 0)..=(shard, index));
        before.next_back().map_or((0, 0), |(_, sums)| *sums)
    }
}

/// Lines against the catalogue, sums against lines.
fn price_mistakes(pools: &Pools, view: &BookingView) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(definition) = pools.definition(view.id.venue) else {
        return wrong;
    };
    for line in &view.lines {
        let products = definition
            .products
            .iter()
            .filter(|product| product.slug == line.slot.product);
        let mut units = products.flat_map(|product| &product.units);
        let price = units.find(|unit| unit.slug == line.unit).map(|unit| unit.price);
        if price != Some(line.unit_price) {
            let (unit, asked) = (&line.unit, line.unit_price);
            wrong.push(format!("{unit} is priced {asked}, {price:?} in the catalogue"));
        }
        if line.unit_price.checked_mul(i64::from(line.quantity)) != Some(line.total) {
            let (quantity, each, total) = (line.quantity, line.unit_price, line.total);
            wrong.push(format!("{quantity} x {each} do not sum to {total}"));
        }
        // Rounded half away from zero: never more than half a unit off.
        let basis = i128::from(definition.tax_basis_points);
        let error = i128::from(line.tax) * (10_000 + basis) - i128::from(line.total) * basis;
        if 2 * error.abs() > 10_000 + basis {
            wrong.push(format!(
                "{} are the tax in {} at {basis} basis points",
                line.tax, line.total
            ));
        }
    }
    let live = view.lines.iter().filter(|line| !line.cancelled);
    if live.map(|line| line.total).sum::<i64>() != view.total {
        wrong.push(format!("the lines do not sum to {}", view.total));
    }
    wrong
}

/// What buyers were told that they pay.
fn check_takings(evidence: &Evidence<'_>, books: &Books, verdict: &mut Verdict) {
    for op in &evidence.saved.operations {
        let (Act::Confirm | Act::Cancel | Act::Rebook, Ended::Ok, Some(told)) = (op.op, op.outcome, &op.response)
        else {
            continue;
        };
        let (Some(booking), Some(total), Some(shard)) = (op.booking(), &told.total, op.shard) else {
            continue;
        };
        if !evidence.is_whole(shard) {
            continue;
        }
        verdict.count("takings", 1);
        let sale = books.sold.get(&booking);
        if sale.is_some_and(|sale| sale.has_shown(op.index, total.amount, told.tickets.len())) {
            continue;
        }
        let shown = sale.and_then(|sale| {
            let before = |shown: &&(u64, i64, i64)| op.index.is_none_or(|index| shown.0 <= index);
            sale.shown.iter().rfind(before)
        });
        let (sold, persons) = shown.map_or((0, 0), |(_, total, persons)| (*total, *persons));
        let tickets = told.tickets.len();
        let text = if total.amount == sold {
            format!(
                "{} got {tickets} tickets for booking {booking}; {persons} persons were sold",
                op.client
            )
        } else {
            format!(
                "{} told of {} for booking {booking}; the ledger has {sold}",
                op.client, total.amount
            )
        };
        verdict.add(Finding::new(text).line(op.line).booking(booking));
    }
}

/// What every replica has sold at the end.
fn check_replicas(evidence: &Evidence<'_>, books: &Books, verdict: &mut Verdict) {
    // By shard and replica: index, and money or persons.
    let mut money: BTreeMap<(u64, u32), (u64, i64)> = BTreeMap::new();
    let mut persons: BTreeMap<(u64, u32), (u64, i64)> = BTreeMap::new();
    let mut last_line = 0;
    for line in &evidence.saved.final_bookings {
        let sum = money.entry((line.shard, line.node)).or_insert((line.index, 0));
        last_line = last_line.max(line.line);
        if matches!(line.status, Some(BookingStatus::Confirmed | BookingStatus::Redeemed)) {
            sum.1 = sum.1.saturating_add(line.total);
        }
    }
    for line in &evidence.saved.final_slots {
        let sum = persons.entry((line.shard, line.node)).or_insert((line.index, 0));
        last_line = last_line.max(line.line);
        sum.1 += i64::from(line.confirmed);
    }
    let mut compare = |shard: u64, node: u32, index: u64, what: &str, found: i64, ledger: i64| {
        if !evidence.is_whole(shard) {
            return;
        }
        verdict.count("sums", 1);
        if found != ledger {
            let text = format!("node {node} has {what} {found} at {shard}:{index}; the ledger sums to {ledger}");
            verdict.add(Finding::new(text).line(last_line));
        }
    };
    for ((shard, node), (index, found)) in money {
        compare(
            shard,
            node,
            index,
            "confirmed bookings for",
            found,
            books.at(shard, index).0,
        );
    }
    for ((shard, node), (index, found)) in persons {
        compare(shard, node, index, "places sold:", found, books.at(shard, index).1);
    }
}
