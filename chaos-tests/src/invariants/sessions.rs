//! I10: a client reads its own writes, and never an older state than it has seen. A read that may be older says so.

use std::collections::BTreeMap;

use rotunda_booking::ids::BookingId;
use rotunda_booking::outcome::BookingStatus;
use rustc_hash::FxHashMap;

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::{Finding, Verdict};
use crate::history::lines::Op;

pub(super) struct Sessions;

/// What a client has seen.
#[derive(Default)]
struct Seen<'a> {
    /// Of each shard: the highest index, and who showed it.
    indexes: FxHashMap<u64, (u64, &'a Op)>,
    /// Of each booking: how far it has come.
    bookings: FxHashMap<BookingId, (u8, &'a Op)>,
}

impl Invariant for Sessions {
    fn id(&self) -> &'static str {
        "I10"
    }

    fn promise(&self) -> &'static str {
        "own writes are read, reads are monotonic"
    }

    fn check(&self, evidence: &Evidence<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut clients: BTreeMap<&str, Vec<&Op>> = BTreeMap::new();
        for op in evidence.saved.operations.iter().filter(|op| op.index.is_some()) {
            clients.entry(&op.client).or_default().push(op);
        }
        for mut ops in clients.into_values() {
            ops.sort_by_key(|op| (op.invoked_ns, op.line));
            let mut answered = ops.clone();
            answered.sort_by_key(|op| (op.returned_ns, op.line));
            let mut answered = answered.into_iter().peekable();
            let mut seen = Seen::default();
            for op in ops {
                while let Some(earlier) = answered.next_if(|earlier| earlier.returned_ns < op.invoked_ns) {
                    seen.take(earlier);
                }
                if op.op.is_read() {
                    verdict.count("reads", 1);
                    seen.check(op, &mut verdict);
                }
            }
            verdict.count("sessions", 1);
        }
        verdict
    }
}

/// How far a booking has come: it never goes back.
fn rank(status: BookingStatus) -> u8 {
    match status {
        BookingStatus::Held => 0,
        BookingStatus::Confirmed => 1,
        BookingStatus::Expired | BookingStatus::Released | BookingStatus::Cancelled | BookingStatus::Redeemed => 2,
    }
}

impl<'a> Seen<'a> {
    fn take(&mut self, op: &'a Op) {
        if let (Some(shard), Some(index)) = (op.shard, op.index) {
            let highest = self.indexes.entry(shard).or_insert((index, op));
            if index > highest.0 {
                *highest = (index, op);
            }
        }
        let told = op.response.as_ref();
        // A replay shows the booking as it was when its key came first.
        if let (Some(booking), Some(status), false) = (op.booking(), told.and_then(|told| told.status), op.replayed) {
            let furthest = self.bookings.entry(booking).or_insert((rank(status), op));
            if rank(status) > furthest.0 {
                *furthest = (rank(status), op);
            }
        }
    }

    fn check(&self, op: &Op, verdict: &mut Verdict) {
        let told = op.response.as_ref();
        let stale = told.is_some_and(|told| told.stale);
        if stale {
            verdict.count("said to be stale", 1);
            return;
        }
        let (Some(shard), Some(index)) = (op.shard, op.index) else {
            return;
        };
        if let Some((highest, earlier)) = self.indexes.get(&shard)
            && index < *highest
        {
            let what = if earlier.op.is_read() { "read" } else { "wrote" };
            let text = format!(
                "{} {what} {shard}:{highest} and was then shown {shard}:{index}, which does not say that it is stale",
                op.client
            );
            let finding = Finding::new(text).line(earlier.line).line(op.line);
            verdict.add(match op.booking() {
                Some(booking) => finding.booking(booking),
                None => finding,
            });
        }
        let Some((booking, status)) = op.booking().zip(told.and_then(|told| told.status)) else {
            return;
        };
        if let Some((furthest, earlier)) = self.bookings.get(&booking)
            && rank(status) < *furthest
        {
            let text = format!(
                "{} saw booking {booking} as {status:?} after {} of it was answered: it came back",
                op.client, earlier.op
            );
            verdict.add(Finding::new(text).line(earlier.line).line(op.line).booking(booking));
        }
    }
}
