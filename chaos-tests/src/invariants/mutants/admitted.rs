//! Lies about scans at the gates: a ticket that somebody bought and no gate has seen, and what gates did then.

use super::{Dice, Evidence, Invariant, Mutant, Ruling, SEEDS, Saved, history, mutant, op, plan, verdicts};
use rotunda_booking::ids::TicketId;

use crate::history::answers::{Admitted, Asked, Scan, Told};
use crate::history::lines::{Act, Ended, Op};
use crate::invariants::admission::Admission;

pub(super) const MUTANTS: &[Mutant] = &[
    mutant("two admissions: accepted at two gates", "I6", accepted_at_two_gates),
    mutant(
        "two admissions: accepted again under another number of the same device",
        "I6",
        accepted_under_another_number,
    ),
];

/// A scan of a ticket: gate, the device's number, what came of it.
type Scanned = (&'static str, u64, Admitted);

/// Lets a ticket of some confirmed booking be scanned so, one scan after the other. Each gate has one device.
fn scan(saved: &mut Saved, dice: &mut Dice, scans: &[Scanned]) -> Option<()> {
    let sold = |op: &Op| op.op == Act::Confirm && op.outcome == Ended::Ok;
    let scanned = |op: &Op, ticket: TicketId| {
        let scans = op.request.scan.as_deref().into_iter().chain(&op.request.scans);
        scans.into_iter().any(|scan| scan.ticket == ticket)
    };
    let unseen = |ticket: TicketId| !saved.operations.iter().any(|op| scanned(op, ticket));
    let ticket = |op: &Op| {
        let mut tickets = op
            .response
            .iter()
            .flat_map(|told| &told.tickets)
            .map(|ticket| ticket.id);
        tickets.find(|ticket| unseen(*ticket))
    };
    let number = op(saved, dice, |op| sold(op) && ticket(op).is_some())?;
    let ticket = ticket(&saved.operations[number])?;
    let mut at_ns = saved.ended_ns();
    for (gate, device_seq, admitted) in scans {
        let device = format!("turnstile-{gate}");
        let request = Asked {
            scan: Some(Box::new(Scan {
                ticket,
                gate: (*gate).to_owned(),
                device: device.clone(),
                device_seq: *device_seq,
                exit: false,
            })),
            ..Asked::default()
        };
        at_ns += 2_000_000;
        saved.lines += 1;
        saved.operations.push(Op {
            line: saved.lines,
            returned_ns: at_ns - 1_000_000,
            outcome: Ended::Ok,
            response: Some(Told {
                admission: Some(*admitted),
                ..Told::default()
            }),
            ..Op::asked(device, Act::Admit, request, at_ns - 2_000_000)
        });
    }
    Some(())
}

fn accepted_at_two_gates(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    scan(
        saved,
        dice,
        &[("north", 1, Admitted::Accepted), ("south", 1, Admitted::Accepted)],
    )
}

/// The answer got lost, the device sent the scan again under a new number, and the ticket was as good as new.
fn accepted_under_another_number(_: &Evidence<'_>, saved: &mut Saved, dice: &mut Dice) -> Option<()> {
    scan(
        saved,
        dice,
        &[("north", 1, Admitted::Accepted), ("north", 2, Admitted::Accepted)],
    )
}

#[test]
fn a_scan_sent_again_is_one_admission() {
    for seed in SEEDS {
        let mut saved = history(plan(seed));
        let before = looked_at(&saved);
        let scans = [
            ("north", 1, Admitted::Accepted),
            ("north", 1, Admitted::Accepted),
            ("south", 1, Admitted::Duplicate),
            ("north", 2, Admitted::Rejected),
        ];
        scan(&mut saved, &mut Dice::new(seed), &scans).unwrap();
        for verdict in verdicts(&saved) {
            assert_eq!(verdict.ruling(), Ruling::Sound, "seed {seed}: {verdict:#?}");
        }
        assert_eq!(looked_at(&saved), (before.0 + 4, before.1 + 1));
    }
}

/// Scans that asked, and tickets of which one was accepted.
fn looked_at(saved: &Saved) -> (u64, u64) {
    let verdict = Admission.check(&Evidence::new(saved).unwrap());
    let count = |what: &str| {
        let mut counts = verdict.looked_at.iter().filter(|(name, _)| *name == what);
        counts.next().map_or(0, |(_, count)| *count)
    };
    (count("scans"), count("tickets admitted"))
}

/// Without an answer nobody opened the gate, whatever the cluster came to think.
#[test]
fn a_scan_whose_fate_nobody_knows_is_no_admission() {
    let mut saved = history(plan(1));
    accepted_at_two_gates(&Evidence::new(&saved.clone()).unwrap(), &mut saved, &mut Dice::new(1)).unwrap();
    let unheard = saved.operations.last_mut().unwrap();
    (unheard.outcome, unheard.response) = (Ended::Unknown, None);
    let verdict = Admission.check(&Evidence::new(&saved).unwrap());
    assert_eq!(verdict.ruling(), Ruling::Sound, "{verdict:#?}");
}
