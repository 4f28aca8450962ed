//! I4: the entry that expires, releases or cancels a booking gives its places back, exactly once; and a booking is
//! confirmed or expired, never both. An automaton per booking, and the count of places at the end.
//!
//! `held` -> `confirmed` | `expired` | `released`; `confirmed` -> `cancelled`, line by line or all at once. An exchange
//! gives back all that is left and takes the new lines. What was given back twice, or never, shows in what the replicas
//! have left in their slots at the end.

use std::collections::BTreeSet;

use rotunda_booking::command::Operation;
use rotunda_booking::ids::BookingId;
use rotunda_booking::outcome::{BookingStatus, BookingView, Outcome};
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::{Evidence, Shard, Step};
use super::pools::Pools;
use super::verdict::{Entity, Finding, Verdict};

pub(super) struct GivenBack;

impl Invariant for GivenBack {
    fn id(&self) -> &'static str {
        "I4"
    }

    fn promise(&self) -> &'static str {
        "places come back exactly once; confirmed or expired, never both"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        for (id, shard) in &evidence.shards {
            let mut states = FxHashMap::default();
            for step in &shard.steps {
                follow(*id, step, &mut states, &mut verdict);
            }
            verdict.count("bookings", states.len() as u64);
            if shard.incomplete.is_none() {
                check_slots(evidence, *id, shard, &mut verdict);
            }
        }
        verdict
    }
}

/// A booking by the automaton.
struct State {
    status: BookingStatus,
    /// Lines that take places.
    live: BTreeSet<u16>,
}

impl State {
    fn of(status: BookingStatus, view: &BookingView) -> Self {
        let live = (0..).zip(&view.lines).filter(|(_, line)| !line.cancelled);
        State {
            status,
            live: live.map(|(number, _)| number).collect(),
        }
    }

    /// Takes lines out, all where none is named; says which of them were not there.
    fn cancel(&mut self, lines: &[u16]) -> Vec<u16> {
        let gone = lines.iter().filter(|line| !self.live.remove(line)).copied().collect();
        if lines.is_empty() || self.live.is_empty() {
            self.status = BookingStatus::Cancelled;
            self.live.clear();
        }
        gone
    }
}

fn follow(shard: u64, step: &Step, states: &mut FxHashMap<BookingId, State>, verdict: &mut Verdict) {
    let Some(outcome) = step.effect() else { return };
    let mut wrong = |id: BookingId, text: String| {
        let finding = Finding::new(format!("shard {shard} at index {}: {text}", step.index));
        verdict.add(finding.line(step.line).entry(shard, step.index).booking(id));
    };
    let mut change = |id: BookingId, from: BookingStatus, to: BookingStatus, done: &str| match states.get_mut(&id) {
        Some(state) if state.status == from => state.status = to,
        Some(state) => wrong(
            id,
            format!("booking {id} was {done} although it was {:?}", state.status),
        ),
        None => wrong(id, format!("booking {id} was {done}, which nobody held")),
    };
    match (&step.command.operation, outcome) {
        (Operation::Hold(_), Outcome::Booking(view)) => {
            let known = states.insert(view.id, State::of(BookingStatus::Held, view));
            if known.is_some() {
                wrong(view.id, format!("booking {} was handed out twice", view.id));
            }
        }
        (Operation::Extend { booking }, Outcome::Booking(_)) => {
            change(*booking, BookingStatus::Held, BookingStatus::Held, "extended");
        }
        (Operation::Confirm { booking, .. }, Outcome::Booking(_)) => {
            change(*booking, BookingStatus::Held, BookingStatus::Confirmed, "confirmed");
        }
        (Operation::Release { booking }, Outcome::Booking(_)) => {
            change(*booking, BookingStatus::Held, BookingStatus::Released, "released");
        }
        (Operation::Cancel { booking, lines }, Outcome::Booking(_)) => {
            change(
                *booking,
                BookingStatus::Confirmed,
                BookingStatus::Confirmed,
                "cancelled",
            );
            let gone = states
                .get_mut(booking)
                .map(|state| state.cancel(lines))
                .unwrap_or_default();
            if !gone.is_empty() {
                let text = format!("lines {gone:?} of booking {booking} were cancelled, which were not there");
                wrong(*booking, text);
            }
        }
        (Operation::Rebook { booking, .. }, Outcome::Rebooked { booking: view, .. }) => {
            change(
                *booking,
                BookingStatus::Confirmed,
                BookingStatus::Confirmed,
                "exchanged",
            );
            states.insert(view.id, State::of(BookingStatus::Confirmed, view));
        }
        (Operation::Expire { .. }, Outcome::Expired { .. }) => {
            for id in &step.expired {
                change(*id, BookingStatus::Held, BookingStatus::Expired, "expired");
            }
        }
        _ => {}
    }
    let Some(view) = step.left() else { return };
    let known = states.get(&view.id);
    let status = known.map(|state| state.status);
    if Some(view.status) != status || step.booking() != Some(view.id) {
        let shown = view.status;
        let text = format!("the answer shows booking {} as {shown:?}, not as {status:?}", view.id);
        wrong(view.id, text);
    } else if let Some(known) = known.filter(|known| known.status == BookingStatus::Confirmed) {
        let live = State::of(view.status, view).live;
        if live != known.live {
            let text = format!(
                "the answer shows lines {live:?} of booking {}, not {:?}",
                view.id, known.live
            );
            wrong(view.id, text);
        }
    }
}

/// What the replicas have in their slots at the end must be what the log took and gave back.
fn check_slots(evidence: &Evidence<'_>, id: u64, shard: &Shard, verdict: &mut Verdict) {
    let mut lines: Vec<_> = evidence
        .saved
        .final_slots
        .iter()
        .filter(|slot| slot.shard == id)
        .collect();
    lines.sort_by_key(|slot| slot.index);
    let mut pools = Pools::default();
    let mut steps = shard.steps.iter().peekable();
    for line in lines {
        while let Some(step) = steps.next_if(|step| step.index <= line.index) {
            pools.follow(step);
        }
        verdict.count("slots read", 1);
        let venue = rotunda_booking::ids::VenueNo(line.venue);
        let counted = pools.slot(venue, &line.slot).map(|slot| (slot.held, slot.confirmed));
        let read = Some((i64::from(line.held), i64::from(line.confirmed)));
        if counted != read {
            let text = format!(
                "node {} has {} held and {} sold in slot {} at {id}:{}; by the log it is {}",
                line.node,
                line.held,
                line.confirmed,
                line.slot,
                line.index,
                counted.map_or("not there".to_owned(), |(held, sold)| format!(
                    "{held} held and {sold} sold"
                ))
            );
            verdict.add(
                Finding::new(text)
                    .line(line.line)
                    .about(Entity::Slot(venue, line.slot.clone())),
            );
        }
    }
}
