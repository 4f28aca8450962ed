//! Every ticket with what gates scanned of it, judged by hand: who was let in, and who was not.
//!
//! It shares no code with the product. `admission` asks it whether each verdict is the one that a ticket's scans come to,
//! the witness of `linearizable` whether a cancellation had to be refused because a visitor was in.
//!
//! The rule: all scans of a ticket in order of time (that of a device within the ticket's own time, no earlier than the
//! ticket admits), device and number; the first entry within the window is accepted, later ones are duplicates, unless the
//! product lets people out and in again. A gate that asks comes after every passage that the log knows.

use std::collections::BTreeMap;

use rotunda_booking::admission::{Admit, Direction, Verdict};
use rotunda_booking::command::Operation;
use rotunda_booking::ids::{BookingId, SlotRef, TicketId, VenueNo};
use rotunda_booking::outcome::{BookingView, Outcome};
use rotunda_booking::time::Timestamp;
use rustc_hash::FxHashMap;

use super::evidence::Step;
use super::pools::Pools;

/// Beyond its window a ticket has so much more time, within which a scan of it is of the right day.
const SAME_DAY: i64 = 12 * 60 * 60 * 1000;
const MINUTE: i64 = 60 * 1000;

/// All tickets of one shard.
#[derive(Debug, Default)]
pub(super) struct Gates {
    tickets: FxHashMap<TicketId, Ticket>,
    issued: FxHashMap<BookingId, Vec<TicketId>>,
    /// What a device used a number for.
    scans: FxHashMap<(VenueNo, String, u64), TicketId>,
}

#[derive(Debug)]
struct Ticket {
    slot: SlotRef,
    /// Position of its line in the booking.
    line: u16,
    void: bool,
    /// What it allows, since it was first scanned.
    terms: Option<Terms>,
    scans: BTreeMap<(String, u64), Scan>,
}

#[derive(Clone, Copy, Debug)]
struct Terms {
    from: Timestamp,
    until: Timestamp,
    re_entry: bool,
}

#[derive(Clone, Copy, Debug)]
struct Scan {
    at: Timestamp,
    exit: bool,
    annulled: bool,
}

impl Gates {
    /// Issues, voids and scans what a step did. `pools` are as they were before it.
    pub(super) fn follow(&mut self, step: &Step, pools: &Pools) {
        let venue = step.command.venue;
        match (&step.command.operation, step.effect()) {
            (Operation::Confirm { .. }, Some(Outcome::Booking(view))) => self.issue(view, pools),
            (Operation::Rebook { booking, .. }, Some(Outcome::Rebooked { booking: view, .. })) => {
                self.make_void(*booking, &[]);
                self.issue(view, pools);
            }
            (Operation::Cancel { booking, lines }, Some(Outcome::Booking(_))) => self.make_void(*booking, lines),
            (Operation::Admit(admit), Some(Outcome::Admission(_))) => {
                let last = self.passages(admit.ticket).map(|at| Timestamp(at.0 + 1)).max();
                self.scan(venue, admit, last.map_or(step.now, |last| last.max(step.now)), pools);
            }
            (Operation::MergeScans { scans }, Some(Outcome::Merged { .. })) => {
                for scan in scans {
                    self.scan(venue, &scan.admit, scan.at, pools);
                }
            }
            (Operation::Annul { device, device_seq }, Some(Outcome::Admission(_))) => {
                let ticket = self.scans.get(&(venue, device.clone(), *device_seq));
                let ticket = ticket.and_then(|ticket| self.tickets.get_mut(ticket));
                let scan = ticket.and_then(|ticket| ticket.scans.get_mut(&(device.clone(), *device_seq)));
                if let Some(scan) = scan {
                    scan.annulled = true;
                }
            }
            _ => {}
        }
    }

    /// What a scan comes to, by all that is known of its ticket. It was seen before.
    pub(super) fn verdict(&self, venue: VenueNo, ticket: TicketId, device: &str, device_seq: u64) -> Verdict {
        if ticket.venue != venue {
            return Verdict::WrongVenue;
        }
        let Some(known) = self.tickets.get(&ticket) else {
            return Verdict::Unknown;
        };
        let verdicts = known.judged(known.void);
        let of = |judged: &&(&(String, u64), Verdict)| (judged.0.0.as_str(), judged.0.1) == (device, device_seq);
        // Of one that is not among the ticket's it is known only that there were too many others.
        verdicts.iter().find(of).map_or(Verdict::Duplicate, |judged| judged.1)
    }

    /// True where a visitor of one of these lines is in or was, of any line where none is named.
    pub(super) fn is_admitted(&self, booking: BookingId, lines: &[u16]) -> bool {
        let tickets = self.issued.get(&booking).into_iter().flatten();
        let mut tickets = tickets.filter_map(|ticket| self.tickets.get(ticket));
        tickets.any(|ticket| {
            let concerned = lines.is_empty() || lines.contains(&ticket.line);
            let mut verdicts = ticket.judged(false).into_iter();
            concerned && verdicts.any(|(_, verdict)| verdict == Verdict::Accepted)
        })
    }

    /// True where the ticket's visitor may come back.
    pub(super) fn may_come_back(&self, ticket: TicketId) -> bool {
        let terms = self.tickets.get(&ticket).and_then(|ticket| ticket.terms);
        terms.is_some_and(|terms| terms.re_entry)
    }

    /// True where the staff took back a scan of the ticket.
    pub(super) fn was_annulled(&self, ticket: TicketId) -> bool {
        let known = self.tickets.get(&ticket);
        known.is_some_and(|ticket| ticket.scans.values().any(|scan| scan.annulled))
    }

    fn issue(&mut self, view: &BookingView, pools: &Pools) {
        let venue = view.id.venue;
        let lines = (0..).zip(&view.lines).flat_map(|(number, line)| {
            let persons = i64::from(line.quantity) * pools.pax(venue, &line.slot.product, &line.unit);
            std::iter::repeat_n(number, usize::try_from(persons).unwrap_or(0))
        });
        for (ticket, line) in view.tickets.iter().zip(lines) {
            let issued = Ticket {
                slot: ticket.slot.clone(),
                line,
                void: false,
                terms: None,
                scans: BTreeMap::new(),
            };
            self.tickets.insert(ticket.id, issued);
        }
        self.issued
            .insert(view.id, view.tickets.iter().map(|ticket| ticket.id).collect());
    }

    fn make_void(&mut self, booking: BookingId, lines: &[u16]) {
        for ticket in self.issued.get(&booking).into_iter().flatten() {
            if let Some(ticket) = self.tickets.get_mut(ticket)
                && (lines.is_empty() || lines.contains(&ticket.line))
            {
                ticket.void = true;
            }
        }
    }

    fn scan(&mut self, venue: VenueNo, admit: &Admit, at: Timestamp, pools: &Pools) {
        let name = (venue, admit.device.clone(), admit.device_seq);
        if self.scans.contains_key(&name) {
            return;
        }
        self.scans.insert(name, admit.ticket);
        let Some(ticket) = self
            .tickets
            .get_mut(&admit.ticket)
            .filter(|_| admit.ticket.venue == venue)
        else {
            return;
        };
        if ticket.terms.is_none() {
            ticket.terms = terms(venue, &ticket.slot, pools);
        }
        let scan = Scan {
            at,
            exit: admit.direction == Direction::Exit,
            annulled: false,
        };
        ticket.scans.insert((admit.device.clone(), admit.device_seq), scan);
    }

    /// When somebody went through with the ticket.
    fn passages(&self, ticket: TicketId) -> impl Iterator<Item = Timestamp> {
        let ticket = self.tickets.get(&ticket);
        let judged = ticket.into_iter().flat_map(|ticket| {
            let accepted = ticket.judged(ticket.void).into_iter();
            let accepted = accepted.filter(|(_, verdict)| *verdict == Verdict::Accepted);
            accepted.filter_map(|(name, _)| Some(ticket.scans.get(name)?.at))
        });
        judged.collect::<Vec<_>>().into_iter()
    }
}

impl Ticket {
    /// Its scans in the order in which they count, each with what it comes to.
    fn judged(&self, void: bool) -> Vec<(&(String, u64), Verdict)> {
        let Some(terms) = self.terms else { return Vec::new() };
        let last = Timestamp(terms.until.0 + SAME_DAY).max(terms.from);
        let mut scans: Vec<(&(String, u64), &Scan)> = self.scans.iter().collect();
        scans.sort_by_key(|(name, scan)| (scan.at.clamp(terms.from, last), *name));
        let (mut inside, mut came) = (false, false);
        let mut judge = |scan: &Scan| {
            if scan.annulled {
                return Verdict::Annulled;
            }
            if void {
                return Verdict::Void;
            }
            if scan.exit {
                let was_inside = std::mem::replace(&mut inside, false);
                return if was_inside {
                    Verdict::Accepted
                } else {
                    Verdict::NotInside
                };
            }
            if inside || (came && !terms.re_entry) {
                return Verdict::Duplicate;
            }
            if scan.at.0 < terms.from.0 - SAME_DAY || scan.at.0 > terms.until.0 + SAME_DAY {
                return Verdict::WrongDay;
            }
            if scan.at < terms.from || (scan.at > terms.until && !came) {
                return Verdict::OutsideWindow;
            }
            (inside, came) = (true, true);
            Verdict::Accepted
        };
        scans.into_iter().map(|(name, scan)| (name, judge(scan))).collect()
    }
}

fn terms(venue: VenueNo, slot: &SlotRef, pools: &Pools) -> Option<Terms> {
    let definition = pools.definition(venue)?;
    let mut products = definition.products.iter();
    let product = products.find(|product| product.slug == slot.product)?;
    let until = pools.slot(venue, slot).map_or(slot.start, |planned| planned.end());
    Some(Terms {
        from: Timestamp(slot.start.0 - i64::from(product.early_entry_minutes) * MINUTE),
        until,
        re_entry: product.re_entry,
    })
}
