//! I9 by log index: the log's order is the witness, and this proves that it is one.
//!
//! It follows each log with plain rules and asks of every command whether its reply is what they give at that place; of
//! every answer, whether it is the reply in the log; of every read, whether it shows the booking or the slot as it was at
//! the index that it names, and whether that index is as new as anything told before the read was asked.

use rotunda_booking::command::{LineRequest, Operation};
use rotunda_booking::ids::{BookingId, CommandKey, VenueNo};
use rotunda_booking::outcome::{BookingStatus, BookingView, LineView, Outcome, RefusalCode};
use rotunda_booking::time::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::history::answers::{Admitted, Money, Told, ToldLine};
use crate::history::lines::{Act, Ended, Op};
use crate::invariants::Invariant;
use crate::invariants::evidence::{Evidence, Shard, Step};
use crate::invariants::gates::Gates;
use crate::invariants::log_order::in_real_time;
use crate::invariants::pools::Pools;
use crate::invariants::verdict::{Entity, Finding, Verdict};

/// A hold is extended so often at most.
const MOST_EXTENSIONS: u8 = 3;

/// See the module.
pub struct Witness;

impl Invariant for Witness {
    fn id(&self) -> &'static str {
        "I9 by index"
    }

    fn promise(&self) -> &'static str {
        "every slot is linearizable, the log being the witness"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict {
            not_covered: evidence.logs_incomplete(),
            ..Verdict::default()
        };
        let mut reads: FxHashMap<u64, Vec<&Op>> = FxHashMap::default();
        for op in &evidence.saved.operations {
            if let (true, Some(shard)) = (op.op.is_read(), op.shard) {
                reads.entry(shard).or_default().push(op);
            }
        }
        for (id, shard) in &evidence.shards {
            let mut reads = reads.remove(id).unwrap_or_default();
            reads.sort_by_key(|op| op.index);
            follow(evidence, (*id, shard), &reads, &mut verdict);
        }
        check_answers(evidence, &mut verdict);
        if !evidence.saved.header.others {
            check_origins(evidence, &mut verdict);
        }
        check_reads_are_new(evidence, &mut verdict);
        verdict
    }
}

/// A booking by the plain rules.
#[derive(Clone)]
struct Booking {
    status: BookingStatus,
    extensions: u8,
    total: i64,
    /// When the slot of each line begins; none of those that were cancelled.
    lines: Vec<Option<Timestamp>>,
}

impl Booking {
    fn of(view: &BookingView) -> Self {
        Booking {
            status: view.status,
            extensions: 0,
            total: view.total,
            lines: lines_of(view),
        }
    }

    /// True where one of these lines is not there; never where none is named.
    fn lacks(&self, lines: &[u16]) -> bool {
        let there = |line: &u16| self.lines.get(usize::from(*line)).is_some_and(Option::is_some);
        !lines.iter().all(there)
    }

    /// True where the slot of one of these lines, of any where none is named, has begun.
    fn has_begun(&self, lines: &[u16], now: Timestamp) -> bool {
        let mut concerned = (0..)
            .zip(&self.lines)
            .filter(|(line, _)| lines.is_empty() || lines.contains(line));
        concerned.any(|(_, start)| start.is_some_and(|start| start <= now))
    }
}

fn lines_of(view: &BookingView) -> Vec<Option<Timestamp>> {
    let lines = view.lines.iter();
    lines.map(|line| (!line.cancelled).then_some(line.slot.start)).collect()
}

/// A shard by the plain rules.
#[derive(Default)]
struct State {
    pools: Pools,
    gates: Gates,
    bookings: FxHashMap<BookingId, Booking>,
}

fn follow(evidence: &Evidence<'_>, (id, shard): (u64, &Shard), reads: &[&Op], verdict: &mut Verdict) {
    let mut state = State::default();
    let mut reads = reads.iter().peekable();
    let mut now = Timestamp(0);
    for step in &shard.steps {
        while let Some(read) = reads.next_if(|read| read.index.is_some_and(|index| index < step.index)) {
            check_read(evidence, &state, now, read, verdict);
        }
        now = step.now;
        verdict.count("commands", 1);
        for text in state.apply(step) {
            let finding = Finding::new(format!("shard {id} at index {}: {text}", step.index))
                .line(step.line)
                .entry(id, step.index);
            verdict.add(match (step.booking(), &step.command.operation) {
                (Some(booking), _) => finding.booking(booking),
                (None, Operation::Hold(request)) => {
                    let slots = request.lines.iter().map(|line| line.slot.clone());
                    slots.fold(finding, |finding, slot| {
                        finding.about(Entity::Slot(step.command.venue, slot))
                    })
                }
                _ => finding,
            });
        }
    }
    let last = shard.range.1;
    for read in reads {
        if read.index.is_some_and(|index| index > last) {
            let text = format!(
                "{} of {} shows index {id}:{}, which no log has",
                read.op,
                read.client,
                read.index.unwrap_or(0)
            );
            verdict.add(Finding::new(text).line(read.line));
        } else {
            check_read(evidence, &state, now, read, verdict);
        }
    }
}

impl State {
    /// What is wrong with a step's reply.
    fn apply(&mut self, step: &Step) -> Vec<String> {
        let mut wrong = Vec::new();
        if step.reply.replayed || step.is_key_reused() {
            return wrong;
        }
        let refused = match &step.reply.outcome {
            Outcome::Refused(refusal) => Some(refusal.code),
            _ => None,
        };
        match (&step.command.operation, &step.reply.outcome) {
            (Operation::Hold(request), Outcome::Refused(refusal)) => {
                let fits = self.pools.fits(step.command.venue, &request.lines);
                if refusal.code == RefusalCode::SoldOut && fits == Some(true) {
                    wrong.push("a hold was refused as sold out although every pool has room".to_owned());
                }
            }
            (Operation::Hold(request), Outcome::Booking(view)) => {
                let asked = request.lines.iter().map(|line| (&line.slot, &line.unit, line.quantity));
                let given = view.lines.iter().map(|line| (&line.slot, &line.unit, line.quantity));
                if !asked.clone().eq(given.clone()) || view.status != BookingStatus::Held {
                    let (asked, given): (Vec<_>, Vec<_>) = (asked.collect(), given.collect());
                    let status = view.status;
                    wrong.push(format!("a hold of {asked:?} was answered with {status:?} {given:?}"));
                }
                if self.pools.fits(step.command.venue, &request.lines) == Some(false) {
                    wrong.push("a hold was granted although a pool had no room".to_owned());
                }
                if self.bookings.insert(view.id, Booking::of(view)).is_some() {
                    wrong.push(format!("booking {} was handed out twice", view.id));
                }
            }
            (
                Operation::Extend { booking }
                | Operation::Confirm { booking, .. }
                | Operation::Release { booking }
                | Operation::Cancel { booking, .. }
                | Operation::Rebook { booking, .. },
                outcome,
            ) => {
                let expected = self.expected(&step.command.operation, *booking, step.now);
                if !expected.allows(refused) {
                    let found = refused.map_or("done", RefusalCode::as_str);
                    let act = Act::of_operation(&step.command.operation);
                    wrong.push(format!("{act} of {booking} was {found}; by the rules: {expected}"));
                }
                if let Operation::Rebook { lines, .. } = &step.command.operation {
                    wrong.extend(self.exchange(*booking, lines, outcome));
                }
                if let (Some(view), Some(known)) = (step.left(), self.bookings.get_mut(booking)) {
                    known.extensions += u8::from(matches!(step.command.operation, Operation::Extend { .. }));
                    (known.status, known.total, known.lines) = (view.status, view.total, lines_of(view));
                }
            }
            (Operation::Expire { .. }, Outcome::Expired { .. }) => {
                for id in &step.expired {
                    if let Some(booking) = self.bookings.get_mut(id) {
                        booking.status = BookingStatus::Expired;
                    }
                }
            }
            _ => {}
        }
        self.gates.follow(step, &self.pools);
        self.pools.follow(step);
        wrong
    }

    /// What is wrong with how an exchange was answered: whether there was room, and what was given for what was asked for.
    fn exchange(&mut self, booking: BookingId, lines: &[LineRequest], outcome: &Outcome) -> Option<String> {
        match outcome {
            Outcome::Refused(refusal) if refusal.code == RefusalCode::SoldOut => {
                let fits = self.pools.fits_instead(booking, lines) == Some(true);
                fits.then(|| "an exchange was refused as sold out although every pool has room".to_owned())
            }
            Outcome::Rebooked { booking: view, .. } => {
                let asked = lines.iter().map(|line| (&line.slot, &line.unit, line.quantity));
                let given = view.lines.iter().map(|line| (&line.slot, &line.unit, line.quantity));
                if !asked.clone().eq(given.clone()) || view.status != BookingStatus::Confirmed {
                    let (asked, given): (Vec<_>, Vec<_>) = (asked.collect(), given.collect());
                    let status = view.status;
                    return Some(format!(
                        "an exchange for {asked:?} was answered with {status:?} {given:?}"
                    ));
                }
                let full = self.pools.fits_instead(booking, lines) == Some(false);
                full.then(|| "an exchange was granted although a pool had no room".to_owned())
            }
            _ => None,
        }
    }

    /// What the plain rules say to a command about a booking.
    fn expected(&self, operation: &Operation, id: BookingId, now: Timestamp) -> Expected {
        let Some(booking) = self.bookings.get(&id) else {
            return Expected::Refused(RefusalCode::UnknownBooking);
        };
        match (booking.status, operation) {
            (BookingStatus::Held, Operation::Cancel { .. } | Operation::Rebook { .. }) => {
                Expected::Refused(RefusalCode::NotConfirmed)
            }
            (BookingStatus::Held, Operation::Extend { .. }) if booking.extensions >= MOST_EXTENSIONS => {
                Expected::Refused(RefusalCode::ExtendLimit)
            }
            (BookingStatus::Held, _) => Expected::Done,
            (BookingStatus::Confirmed, Operation::Cancel { lines, .. }) if booking.lacks(lines) => {
                Expected::Refused(RefusalCode::UnknownLine)
            }
            (BookingStatus::Confirmed, Operation::Cancel { lines, .. }) if booking.has_begun(lines, now) => {
                Expected::Refused(RefusalCode::SlotInPast)
            }
            (BookingStatus::Confirmed, Operation::Rebook { .. }) if booking.has_begun(&[], now) => {
                Expected::Refused(RefusalCode::SlotInPast)
            }
            (BookingStatus::Confirmed, Operation::Cancel { lines, .. }) if self.gates.is_admitted(id, lines) => {
                Expected::Refused(RefusalCode::AlreadyAdmitted)
            }
            (BookingStatus::Confirmed, Operation::Rebook { .. }) if self.gates.is_admitted(id, &[]) => {
                Expected::Refused(RefusalCode::AlreadyAdmitted)
            }
            // What stays has to be a booking by itself.
            (BookingStatus::Confirmed, Operation::Cancel { lines, .. }) if !lines.is_empty() => {
                Expected::DoneUnless(&[RefusalCode::NotAccompanied, RefusalCode::QuantityOutOfRange])
            }
            (BookingStatus::Confirmed, Operation::Cancel { .. }) => Expected::Done,
            (BookingStatus::Confirmed, Operation::Rebook { .. }) => Expected::DoneUnless(NO_SUCH_PLACES),
            (BookingStatus::Confirmed, _) => Expected::Refused(RefusalCode::AlreadyConfirmed),
            (BookingStatus::Expired, _) => Expected::Refused(RefusalCode::HoldExpired),
            (BookingStatus::Released, _) => Expected::Refused(RefusalCode::AlreadyReleased),
            (BookingStatus::Cancelled, _) => Expected::Refused(RefusalCode::AlreadyCancelled),
            (BookingStatus::Redeemed, _) => Expected::Refused(RefusalCode::AlreadyAdmitted),
        }
    }
}

/// What a request for places is refused for besides.
const NO_SUCH_PLACES: &[RefusalCode] = &[
    RefusalCode::SoldOut,
    RefusalCode::SlotInPast,
    RefusalCode::NotOnSale,
    RefusalCode::SlotClosed,
    RefusalCode::UnknownSlot,
    RefusalCode::UnknownProduct,
    RefusalCode::UnknownUnit,
    RefusalCode::QuantityOutOfRange,
    RefusalCode::NotAccompanied,
    RefusalCode::ClaimRequired,
    RefusalCode::TooLarge,
    RefusalCode::NothingToRebook,
];

enum Expected {
    Done,
    /// Or refused for what is not looked at here.
    DoneUnless(&'static [RefusalCode]),
    Refused(RefusalCode),
}

impl Expected {
    fn allows(&self, refused: Option<RefusalCode>) -> bool {
        match self {
            Expected::Done => refused.is_none(),
            Expected::DoneUnless(codes) => refused.is_none_or(|refused| codes.contains(&refused)),
            Expected::Refused(code) => refused == Some(*code),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Expected::Done | Expected::DoneUnless(_) => "done",
            Expected::Refused(code) => code.as_str(),
        })
    }
}

/// A read shows the state at its index.
fn check_read(evidence: &Evidence<'_>, state: &State, now: Timestamp, read: &Op, verdict: &mut Verdict) {
    let Some(told) = &read.response else { return };
    let at = (read.shard.unwrap_or(0), read.index.unwrap_or(0));
    match (read.op, read.booking()) {
        (Act::Read, Some(id)) => {
            verdict.count("reads", 1);
            let known = state.bookings.get(&id);
            let status = known.map(|booking| booking.status);
            let total = known.map(|booking| booking.total);
            // Its visitors have come: a query says so, and the log of bookings does not.
            let redeemed = status == Some(BookingStatus::Confirmed)
                && told.status == Some(BookingStatus::Redeemed)
                && state.gates.is_admitted(id, &[]);
            if (told.status != status && !redeemed)
                || (told.total.is_some() && told.total.as_ref().map(|total| total.amount) != total)
            {
                let text = format!(
                    "{} read booking {id} as {:?} for {:?} at {}:{}; there it was {status:?} for {total:?}",
                    read.client, told.status, told.total, at.0, at.1
                );
                verdict.add(Finding::new(text).line(read.line).entry(at.0, at.1).booking(id));
            }
        }
        (Act::Availability, _) => {
            let venue = read.request.venue.as_ref().and_then(|slug| evidence.venues.get(slug));
            for slot in venue.into_iter().flat_map(|_| &told.slots) {
                let venue = venue.copied().unwrap_or(VenueNo(0));
                verdict.count("slots seen", 1);
                let vacancies = state.pools.vacancies(venue, &slot.id, now);
                if vacancies != Some(i64::from(slot.vacancies)) {
                    let text = format!(
                        "{} saw {} vacancies in {} at {}:{}; there it had {vacancies:?}",
                        read.client, slot.vacancies, slot.id, at.0, at.1
                    );
                    verdict.add(
                        Finding::new(text)
                            .line(read.line)
                            .entry(at.0, at.1)
                            .about(Entity::Slot(venue, slot.id.clone())),
                    );
                }
            }
        }
        _ => {}
    }
}

/// An answer is the reply that the log has under its key.
fn check_answers(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    for op in &evidence.saved.operations {
        let (Some(told), Some(_), false) = (&op.response, op.index, op.op.is_read()) else {
            continue;
        };
        let Some((shard, step)) = evidence.first_step(op) else {
            continue;
        };
        if op.code() == "idempotency_key_reused" {
            continue;
        }
        verdict.count("answers", 1);
        if let Some(field) = difference(told, &step.reply.outcome) {
            let logged = Told::of_outcome(&step.reply.outcome);
            let text = format!(
                "{} of {}: the answer's {field} is not the log's: {told:?} and {logged:?}",
                op.op, op.client
            );
            verdict.add(
                Finding::new(text)
                    .line(op.line)
                    .line(step.line)
                    .entry(shard, step.index)
                    .key(op.command_key()),
            );
        }
        if op.request.booking.is_some() && op.request.booking != step.named() {
            let text = format!("{} of {} named another booking than the log", op.op, op.client);
            verdict.add(Finding::new(text).line(op.line).line(step.line));
        }
    }
}

/// The field of an answer that is not as the log's reply has it.
fn difference(told: &Told, logged: &Outcome) -> Option<&'static str> {
    let wrong = |fields: &[(&'static str, bool)]| fields.iter().find(|(_, same)| !same).map(|(field, _)| *field);
    let (view, difference) = match logged {
        Outcome::Booking(view) => (Some(view), None),
        Outcome::Rebooked { booking, difference } => (Some(booking), Some(*difference)),
        _ => (None, None),
    };
    let Some(view) = view else {
        let (code, admission) = match logged {
            Outcome::Refused(refusal) => (Some(refusal.code.as_str()), None),
            Outcome::Admission(view) => (None, Some(Admitted::from(view.verdict))),
            _ => (None, None),
        };
        return wrong(&[
            ("code", told.code.as_deref() == code),
            ("admission", told.admission == admission),
            ("id", told.id.is_none()),
            ("status", told.status.is_none()),
            ("tickets", told.tickets.is_empty()),
        ]);
    };
    let same_money = |told: &Option<Money>, amount: i64| {
        let told = told.as_ref().map(|money| (money.amount, money.currency.as_str()));
        told == Some((amount, view.currency.as_str()))
    };
    let same_line = |(told, logged): (&ToldLine, &LineView)| {
        (&told.slot, &told.unit, told.quantity) == (&logged.slot, &logged.unit, logged.quantity)
            && told.cancelled == logged.cancelled
            && same_money(&told.total, logged.total)
    };
    let tickets = view.tickets.iter().map(|ticket| ticket.id);
    wrong(&[
        ("code", told.code.is_none()),
        ("id", told.id == Some(view.id)),
        ("reference", told.reference.as_deref() == Some(view.reference.as_str())),
        ("status", told.status == Some(view.status)),
        ("total", same_money(&told.total, view.total)),
        (
            "difference",
            told.difference.as_ref().map(|told| told.amount) == difference,
        ),
        (
            "lines",
            told.lines.len() == view.lines.len() && told.lines.iter().zip(&view.lines).all(same_line),
        ),
        ("tickets", told.tickets.iter().map(|ticket| ticket.id).eq(tickets)),
    ])
}

/// Whatever took places was asked for.
fn check_origins(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let asked: FxHashSet<CommandKey> = evidence.saved.operations.iter().filter_map(Op::command_key).collect();
    // Visitors whose keys are not known could have asked for anything.
    let takes = |op: &Op| matches!(op.op, Act::Hold | Act::Rebook);
    let keyless = |op: &&Op| op.command.is_none() && takes(op) && op.outcome != Ended::Fail;
    if evidence.saved.operations.iter().any(|op| keyless(&op)) {
        return;
    }
    for (shard, step) in evidence.steps() {
        let (Operation::Hold(_) | Operation::Rebook { .. }, Some(view), Some(key)) =
            (&step.command.operation, step.left(), step.command.key)
        else {
            continue;
        };
        if !asked.contains(&key) {
            let text = format!(
                "booking {} took places at {shard}:{} and no operation asked for it: nobody was told of it",
                view.id, step.index
            );
            verdict.add(
                Finding::new(text)
                    .line(step.line)
                    .entry(shard, step.index)
                    .booking(view.id),
            );
        }
    }
}

/// A read of a booking is as new as anything that anybody was told before it was asked.
fn check_reads_are_new(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    in_real_time(&evidence.saved.operations, |op, told| {
        let (Act::Read, Some((highest, earlier)), Some(shard), Some(index)) = (op.op, told, op.shard, op.index) else {
            return;
        };
        let stale = op.response.as_ref().is_some_and(|told| told.stale);
        if index < highest && !stale {
            let text = format!(
                "a stale read: {} was shown {shard}:{index} and asked after {} of {} had been told of {shard}:{highest}",
                op.client, earlier.op, earlier.client
            );
            let finding = Finding::new(text).line(earlier.line).line(op.line);
            verdict.add(match op.booking() {
                Some(booking) => finding.booking(booking),
                None => finding,
            });
        }
    });
}
