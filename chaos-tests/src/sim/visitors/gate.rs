//! Gates of the simulated museums. Tickets that anybody was given go from hand to hand, so that several gates meet the same
//! one, now and then at the same moment. A gate asks, or scans by itself and hands its scans in later: some again, in no
//! order, and by a clock of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rotunda_booking::admission::{Admit, Direction, Scan};
use rotunda_booking::command::Operation;
use rotunda_booking::ids::{TicketId, VenueNo};
use rotunda_booking::outcome::BookingView;
use rotunda_booking::time::Timestamp;

use crate::sim::chance::Chance;

/// Tickets that are about: few, so that gates meet the same ones.
const ABOUT: usize = 24;

/// Scans that a gate keeps and hands in once more.
const KEPT: usize = 8;

/// How far a gate's clock is off, in either direction.
const CLOCK_OFF_MS: i64 = 60_000;

/// Tickets that somebody was given and may show at any gate.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<Mutex<VecDeque<(TicketId, String)>>>);

/// What a visitor does at a gate.
#[derive(Debug)]
pub(super) struct Gate {
    tickets: Tickets,
    /// Scans so far: no two have the same number.
    scans: u64,
    /// What it scanned by itself.
    kept: VecDeque<(String, Scan)>,
}

impl Gate {
    pub(super) fn new(tickets: Tickets) -> Self {
        Self {
            tickets,
            scans: 0,
            kept: VecDeque::new(),
        }
    }

    /// Somebody was given these tickets.
    pub(super) fn hand_over(&self, view: &BookingView, slug: &str) {
        let mut about = self.tickets.0.lock();
        for ticket in &view.tickets {
            if !about.iter().any(|(known, _)| *known == ticket.id) {
                about.push_back((ticket.id, slug.to_owned()));
            }
        }
        while about.len() > ABOUT {
            about.pop_front();
        }
    }

    /// What it sends next, to which venue; none while nobody has a ticket.
    pub(super) fn work(
        &mut self,
        device: &str,
        chance: &mut Chance,
        now_ms: i64,
    ) -> Option<(VenueNo, String, Operation)> {
        if chance.per_mille(500) {
            let (admit, slug) = self.scan(device, chance)?;
            return Some((admit.ticket.venue, slug, Operation::Admit(admit)));
        }
        for _ in 0..=chance.below(3) {
            let (admit, slug) = self.scan(device, chance)?;
            let off = chance.between(0, 2 * CLOCK_OFF_MS.unsigned_abs());
            let at = Timestamp(now_ms - CLOCK_OFF_MS + i64::try_from(off).unwrap_or(0));
            self.kept.push_back((slug, Scan { admit, at }));
        }
        while self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        let (slug, last) = self.kept.back().cloned()?;
        let venue = last.admit.ticket.venue;
        let of_venue = self.kept.iter().map(|(_, scan)| scan);
        let mut scans: Vec<Scan> = of_venue
            .filter(|scan| scan.admit.ticket.venue == venue)
            .cloned()
            .collect();
        for end in (1..scans.len()).rev() {
            scans.swap(end, chance.below(end + 1));
        }
        Some((venue, slug, Operation::MergeScans { scans }))
    }

    fn scan(&mut self, device: &str, chance: &mut Chance) -> Option<(Admit, String)> {
        let about = self.tickets.0.lock();
        let (ticket, slug) = about.get(chance.below(about.len())).cloned()?;
        drop(about);
        self.scans += 1;
        let admit = Admit {
            ticket,
            gate: "main".to_owned(),
            device: device.to_owned(),
            device_seq: self.scans,
            direction: if chance.per_mille(100) {
                Direction::Exit
            } else {
                Direction::Entry
            },
        };
        Some((admit, slug))
    }
}
