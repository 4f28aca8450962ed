//! I4: the entry that expires, releases or cancels a booking gives its places back, exactly once; and a booking is
//! confirmed or expired, never both. An automaton per booking, and the count of places at the end.
//!
//! `held` -> `confirmed` | `expired` | `released`; `confirmed` -> `cancelled`. What was given back twice, or never, shows
//! in what the replicas have left in their slots at the end.

use rotunda_booking::command::Operation;
use rotunda_booking::ids::BookingId;
use rotunda_booking::outcome::{BookingStatus, Outcome};
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

fn follow(shard: u64, step: &Step, states: &mut FxHashMap<BookingId, BookingStatus>, verdict: &mut Verdict) {
    let Some(outcome) = step.effect() else { return };
    let mut wrong = |id: BookingId, text: String| {
        let finding = Finding::new(format!("shard {shard} at index {}: {text}", step.index));
        verdict.add(finding.line(step.line).entry(shard, step.index).booking(id));
    };
    let mut change = |id: BookingId, from: BookingStatus, to: BookingStatus, done: &str| match states.get_mut(&id) {
        Some(state) if *state == from => *state = to,
        Some(state) => wrong(id, format!("booking {id} was {done} although it was {state:?}")),
        None => wrong(id, format!("booking {id} was {done}, which nobody held")),
    };
    let told = match (&step.command.operation, outcome) {
        (Operation::Hold(_), Outcome::Booking(view)) => {
            if states.insert(view.id, BookingStatus::Held).is_some() {
                wrong(view.id, format!("booking {} was handed out twice", view.id));
            }
            Some((view, BookingStatus::Held))
        }
        (Operation::Extend { booking }, Outcome::Booking(view)) => {
            change(*booking, BookingStatus::Held, BookingStatus::Held, "extended");
            Some((view, BookingStatus::Held))
        }
        (Operation::Confirm { booking, .. }, Outcome::Booking(view)) => {
            change(*booking, BookingStatus::Held, BookingStatus::Confirmed, "confirmed");
            Some((view, BookingStatus::Confirmed))
        }
        (Operation::Release { booking }, Outcome::Booking(view)) => {
            change(*booking, BookingStatus::Held, BookingStatus::Released, "released");
            Some((view, BookingStatus::Released))
        }
        (Operation::Cancel { booking, .. }, Outcome::Booking(view)) => {
            change(
                *booking,
                BookingStatus::Confirmed,
                BookingStatus::Cancelled,
                "cancelled",
            );
            Some((view, BookingStatus::Cancelled))
        }
        (Operation::Expire { .. }, Outcome::Expired { .. }) => {
            for id in &step.expired {
                change(*id, BookingStatus::Held, BookingStatus::Expired, "expired");
            }
            None
        }
        _ => None,
    };
    if let Some((view, status)) = told
        && (view.status != status || step.booking() != Some(view.id))
    {
        wrong(
            view.id,
            format!(
                "the answer shows booking {} as {:?}, not as {status:?}",
                view.id, view.status
            ),
        );
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
